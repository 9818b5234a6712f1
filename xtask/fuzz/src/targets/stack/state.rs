//! The events of a run, and its finding.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;
use towline_core::{Closed, Message};
use towline_protocol::deflate::PerMessageDeflate;
use towline_protocol::{CloseCode, Limits};

use super::known::{self, Fault};
use super::message::{header, shown};
use super::plan::Settings;
use super::reference::{Input, Output};
use super::wire::Wire;

/// A task that is polled this often while nothing else happens spins.
const SPIN: u32 = 1000;

/// No run has as many polls in all.
const MOST_POLLS: u32 = 2_000_000;

/// Above so many queued bytes no message is queued.
const HIGH_WATER: usize = 64 * 1024;

/// The name of the task that only drives the transport.
pub(crate) const PEER: &str = "the peer";

/// A little more than the timer's precision.
pub(crate) const SLACK: Duration = Duration::from_millis(50);

/// The event that a future of the endpoint waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Waits {
    Recv,
    Send,
    Flush,
    Ping,
    Closed,
    Draining,
    SinkClose,
    /// For a time.
    Sleep,
}

/// The cause of a socket's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// By the owner, which receives nothing more.
    Close(CloseCode),
    /// By a `Control`.
    Kick(CloseCode),
    /// The owner was dropped.
    Drop(CloseCode),
    /// The endpoint gave an error or panicked.
    Fail,
    Abort,
    PolicyClose(CloseCode),
    PolicyEnd(CloseCode),
    PolicyAbort,
    Drain(CloseCode),
    DrainAbort,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) settings: Settings,
    pub(crate) agreed: Option<PerMessageDeflate>,
    pub(crate) wire: Wire,
    /// How long the request is.
    pub(crate) request: usize,
    pub(crate) input: Input,
    pub(crate) output: Output,
    /// The messages that the endpoint has queued, in order.
    pub(crate) sent: Vec<Message>,
    pub(crate) sent_bytes: usize,
    /// How long their frames are, if they are not compressed.
    sent_frames: usize,
    /// How many of them are known to arrive.
    pub(crate) compared: usize,
    pub(crate) messages_made: u32,
    /// How many messages the owner has received.
    pub(crate) received: usize,
    /// When the server read the peer's Close, or a violation.
    pub(crate) close_read: Option<Instant>,
    /// It was told that there are no more.
    pub(crate) received_end: bool,
    /// It takes none any more.
    pub(crate) discards: bool,
    pub(crate) waits: BTreeMap<u64, (Waits, Instant)>,
    next_wait: u64,
    pub(crate) causes: Vec<(Cause, Instant)>,
    pub(crate) drain_began: Option<Instant>,
    pub(crate) opened: Option<Instant>,
    pub(crate) closed: Option<(Closed, Instant)>,
    /// The endpoint waits for nothing but the end of the socket.
    pub(crate) endpoint_done: bool,
    /// How many permits the inner service took, and when it gave them back.
    pub(crate) permits: usize,
    pub(crate) permit_dropped: Vec<Instant>,
    pub(crate) pipelines: usize,
    pub(crate) pipeline_ended: Option<Instant>,
    pub(crate) tasks: usize,
    /// A policy has paused reading until then.
    pub(crate) paused: Option<Instant>,
    /// A policy that watches messages holds this one and all after it until then.
    pub(crate) held: Option<(usize, Instant)>,
    /// Answers of the peer that are on their way.
    pub(crate) answers_due: usize,
    /// The last progress of what puts an end off: bytes taken by the peer, messages taken or sent by the endpoint.
    pub(crate) last_activity: Option<Instant>,
    pub(crate) last_progress: Instant,
    #[cfg(test)]
    began: Instant,
    polls: u32,
    all_polls: u32,
    polled_at: Instant,
    /// When a task other than the peer's was polled.
    pub(crate) server_polled_at: Instant,
    findings: Vec<String>,
    pub(crate) reached: BTreeSet<&'static str>,
    over: bool,
}

impl State {
    pub(crate) fn new(
        settings: Settings,
        limits: Limits,
        agreed: Option<PerMessageDeflate>,
        request: &[u8],
    ) -> Self {
        let now = Instant::now();
        let mut wire = Wire::new();
        wire.inbound.extend(request);
        Self {
            settings,
            wire,
            request: request.len(),
            input: Input::new(limits, agreed.as_ref()),
            output: Output::new(agreed.as_ref()),
            agreed,
            sent: Vec::new(),
            sent_bytes: 0,
            sent_frames: 0,
            compared: 0,
            messages_made: 0,
            received: 0,
            close_read: None,
            received_end: false,
            discards: false,
            waits: BTreeMap::new(),
            next_wait: 0,
            causes: Vec::new(),
            drain_began: None,
            opened: None,
            closed: None,
            permit_dropped: Vec::new(),
            endpoint_done: false,
            permits: 0,
            pipelines: 0,
            pipeline_ended: None,
            tasks: 0,
            paused: None,
            held: None,
            answers_due: 0,
            last_activity: None,
            last_progress: now,
            #[cfg(test)]
            began: now,
            polls: 0,
            all_polls: 0,
            polled_at: now,
            server_polled_at: now,
            findings: Vec::new(),
            reached: BTreeSet::new(),
            over: false,
        }
    }

    /// A future begins to wait; the key is for [`end_wait`](Self::end_wait).
    pub(crate) fn begin_wait(&mut self, waits: Waits) -> u64 {
        self.next_wait += 1;
        self.waits.insert(self.next_wait, (waits, Instant::now()));
        self.next_wait
    }

    pub(crate) fn end_wait(&mut self, key: u64) {
        self.waits.remove(&key);
    }

    /// A task is polled; whether it may be.
    pub(crate) fn polled(&mut self, task: &'static str) -> bool {
        if self.over {
            return false;
        }
        let now = Instant::now();
        if now != self.polled_at {
            self.polled_at = now;
            self.polls = 0;
        }
        if task != PEER {
            self.server_polled_at = now;
        }
        self.polls += 1;
        self.all_polls += 1;
        if self.polls > SPIN {
            self.found_spin(task);
        } else if self.all_polls > MOST_POLLS {
            self.find(None, format!("{MOST_POLLS} polls, the last of {task}"));
        }
        !self.over
    }

    /// A summary of the run, by which runs are compared.
    #[cfg(test)]
    pub(crate) fn summary(&self) -> String {
        let (polls, read, written) = (self.all_polls, self.wire.read, self.output.len);
        let took = self.last_progress - self.began;
        let closed = self.closed.as_ref().map(|(closed, _)| closed.to_string());
        let findings = &self.findings;
        format!("{polls} {read} {written} {took:?} {closed:?} {findings:?}")
    }

    pub(crate) fn findings(&self) -> &[String] {
        &self.findings
    }

    /// Something happened that is worth more polls.
    pub(crate) fn progress(&mut self, _what: &'static str) {
        self.polls = 0;
        self.last_progress = Instant::now();
    }

    /// The peer took bytes.
    pub(crate) fn peer_took(&mut self) {
        self.taken_bytes();
        self.wire.last_taken = Some(self.last_progress);
    }

    /// The peer took bytes, or the endpoint took or sent a message.
    pub(crate) fn taken_bytes(&mut self) {
        self.progress("bytes");
        self.last_activity = Some(self.last_progress);
    }

    pub(crate) fn cause(&mut self, cause: Cause) {
        self.causes.push((cause, Instant::now()));
        self.reached(match cause {
            Cause::Close(_) => "close by the owner",
            Cause::Kick(_) => "close by a control",
            Cause::Drop(_) => "drop of the owner",
            Cause::Fail => "failed endpoint",
            Cause::Abort => "abort",
            Cause::PolicyClose(_) => "policy close",
            Cause::PolicyEnd(_) => "policy end",
            Cause::PolicyAbort => "policy abort",
            Cause::Drain(_) => "drain",
            Cause::DrainAbort => "drain's deadline",
        });
    }

    pub(crate) fn reached(&mut self, what: &'static str) {
        self.reached.insert(what);
    }

    /// A `try_send` found the queue full.
    pub(crate) fn check_full(&mut self) {
        // No less than was queued besides messages.
        let pongs: usize = self
            .input
            .pings
            .iter()
            .map(|(ping, _)| ping.len() + 2)
            .sum();
        let pings = (self.output.pings.len() + 2) * 10;
        let queued = (self.sent_frames + pongs + pings).saturating_sub(self.output.len);
        if queued <= HIGH_WATER && self.agreed.is_none() {
            let fault = (self.settings.policy == 10).then_some(Fault::PingsPileUp);
            self.find(
                fault,
                format!("a message is refused while {queued} bytes are queued"),
            );
        }
        self.reached("full queue");
    }

    /// The endpoint has queued a message, or that was refused.
    pub(crate) fn note_send(&mut self, message: Message, sent: bool) {
        if !sent {
            self.check_refused();
            return;
        }
        let queued = self.sent_frames.saturating_sub(self.output.len);
        if queued > HIGH_WATER && self.agreed.is_none() {
            self.find(
                None,
                format!("a message is queued while {queued} bytes are"),
            );
        }
        self.sent_frames += message.len() + header(message.len());
        self.sent_bytes += message.len();
        self.sent.push(message);
        self.taken_bytes();
    }

    /// The owner has received a message, or that there are no more.
    pub(crate) fn note_received(&mut self, message: Option<&Message>) {
        self.taken_bytes();
        let Some(message) = message else {
            self.check_received_end();
            self.received_end = true;
            return;
        };
        if self.received_end {
            self.find(None, "a message after the last one");
        }
        if let Some((first, until)) = self.held
            && self.received >= first
            && Instant::now() < until
        {
            let text = format!("message {} is received during a pause", self.received);
            self.find(Some(Fault::PauseLeaks), text);
        }
        match self.input.messages.get(self.received) {
            Some(expected) if expected.message == *message => {}
            Some(expected) => {
                let text = format!(
                    "received {} as message {}, not {}",
                    shown(message),
                    self.received,
                    shown(&expected.message)
                );
                self.find(None, text);
            }
            None => self.find(
                None,
                format!("received {}, which was never sent", shown(message)),
            ),
        }
        self.received += 1;
    }

    /// Returns `true` if a handle, a policy or the server has ended the socket.
    pub(crate) fn ends_locally(&self) -> bool {
        let now = Instant::now();
        self.causes.iter().any(|(_, at)| *at <= now)
    }

    /// Returns `true` if a handle, a policy or a drain has dropped the connection by now, or by the end of the socket.
    pub(crate) fn aborts(&self) -> bool {
        let until = self
            .closed
            .as_ref()
            .map_or_else(Instant::now, |(_, at)| *at);
        let mut due = self.causes.iter().filter(|(_, at)| *at <= until + SLACK);
        let aborts = |cause| matches!(cause, Cause::Abort | Cause::PolicyAbort | Cause::DrainAbort);
        due.any(|(cause, _)| aborts(*cause))
    }

    /// Returns `true` if something else than the close timeout may have ended the wait for the peer's Close.
    pub(crate) fn is_cut_short(&self) -> bool {
        let ends = |cause| matches!(cause, Cause::PolicyEnd(_));
        let ends = self.causes.iter().any(|(cause, _)| ends(*cause));
        ends || self.aborts() || self.settings.keepalive != 0
    }

    /// How many bytes of its frames the server has read.
    pub(crate) fn frames_read(&self) -> usize {
        self.wire.read.saturating_sub(self.request)
    }

    /// Something is wrong. The run goes no further.
    pub(crate) fn find(&mut self, fault: Option<Fault>, what: impl Into<String>) {
        if let Some(fault) = fault.filter(|fault| fault.is_off()) {
            return self.reached(fault.reached());
        }
        self.over = true;
        if self.findings.is_empty() {
            known::set_found(fault);
        }
        if self.findings.len() < 8 {
            let fault = fault.map_or(String::new(), |fault| format!("{fault:?}: "));
            self.findings.push(fault + &what.into());
        }
    }

    /// Ends a run that cannot go on.
    fn found_spin(&mut self, task: &'static str) {
        let waits: Vec<_> = self.waits.values().map(|(waits, _)| *waits).collect();
        self.find(
            None,
            format!("{SPIN} polls in which nothing happened, the last of {task}; {waits:?}"),
        );
        self.over = true;
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over
    }

    pub(crate) fn end(&mut self) {
        self.over = true;
    }
}
