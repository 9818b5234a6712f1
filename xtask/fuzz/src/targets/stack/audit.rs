//! What has to hold whenever the clock moves: nobody sleeps over what has happened, and nothing is late.

use std::time::Duration;

use tokio::time::Instant;

use super::known::Fault;
use super::reference::EndKind;
use super::world::{Cause, SLACK, State, Waits};

/// The end of a socket without any progress: the grace of the answer, the close timeout and the shutdown together.
const END: Duration = Duration::from_secs(1 + 10 + 10);

/// The end in all: `../shared` says 60 s for the grace, 60 s for the Close, 10 s for its answer and 10 s for the shutdown.
const END_IN_ALL: Duration = Duration::from_secs(60 + 60 + 10 + 10);

/// From the record of the end until the connection is dropped.
const LINGER: Duration = Duration::from_secs(10 + 1);

/// Nothing but the peer ends receiving so soon behind our Close.
const AT_ONCE: Duration = Duration::from_millis(500);

/// What is read ahead of the endpoint: the inbox, one turn of reading, and what of that is not decoded.
const READ_AHEAD: usize = 3 * 64 * 1024 + 16 * 1024;

impl State {
    /// Called by a timer. All tasks slept until then, unless one was woken by another timer just before.
    pub(crate) fn audit(&mut self) {
        let now = Instant::now();
        if self.last_progress.max(self.server_polled_at) >= now || self.is_over() {
            return;
        }
        self.reached("audit");
        self.audit_recv(now);
        self.audit_output();
        self.audit_waits(now);
        self.audit_end(now);
    }

    /// A fault of a future that is not woken, unless a known one explains it.
    fn asleep(&mut self, what: impl Into<String>) {
        let fault = (self.settings.place >= 2).then_some(Fault::SharedTask);
        let known = fault.is_some_and(Fault::is_off);
        self.find(fault, what);
        if known {
            // It sleeps for ever, and so would whatever waits for it.
            self.end();
        }
    }

    fn is_paused(&self, now: Instant) -> bool {
        self.paused.is_some_and(|until| until + SLACK > now)
    }

    fn waits_for(&self, waits: Waits) -> bool {
        self.waits.values().any(|(other, _)| *other == waits)
    }

    fn audit_recv(&mut self, now: Instant) {
        let locally = self.ends_locally() || self.settings.keepalive != 0;
        if !self.waits_for(Waits::Recv) || self.is_paused(now) || locally {
            return;
        }
        if self.closed.is_none() && self.input.messages.len() > self.received {
            let (there, taken) = (self.input.messages.len(), self.received);
            self.asleep(format!(
                "recv sleeps: {there} messages came, {taken} are received"
            ));
        } else if self.input.end.is_some() {
            self.asleep("recv sleeps though the input has ended");
        }
    }

    /// Nothing that is queued waits while the peer takes everything.
    fn audit_output(&mut self) {
        let writes = self.wire.is_open() && !self.wire.unflushed;
        if !writes || self.closed.is_some() || self.opened.is_none() {
            return;
        }
        if self.output.messages.len() < self.sent.len() && !self.aborts() {
            let (written, sent) = (self.output.messages.len(), self.sent.len());
            self.asleep(format!("of {sent} messages sent {written} are written"));
        }
        for waits in [Waits::Send, Waits::Flush] {
            if self.waits_for(waits) {
                self.asleep(format!("{waits:?} sleeps though the peer takes everything"));
            }
        }
        let ends = self.ends_locally() || self.input.end.is_some() || self.settings.keepalive != 0;
        let reads =
            (self.waits_for(Waits::Recv) || self.discards) && !self.is_paused(Instant::now());
        if ends || !reads {
            return;
        }
        if let Some((ping, _)) = self.input.pings.last()
            && self
                .output
                .pongs
                .iter()
                .rev()
                .find(|pong| !pong.is_empty() || ping.is_empty())
                != Some(ping)
        {
            self.asleep(format!("the ping {} has no pong", ping.escape_ascii()));
        }
        let answered = self.settings.silent & 1 == 0 && self.answers_due == 0;
        if self.waits_for(Waits::Ping) && answered && self.wire.inbound.is_empty() {
            self.asleep("a ping waits though the peer has answered all");
        }
    }

    fn aborts(&self) -> bool {
        let aborts = |cause| matches!(cause, Cause::Abort | Cause::PolicyAbort | Cause::DrainAbort);
        self.causes.iter().any(|(cause, _)| aborts(*cause))
    }

    fn audit_waits(&mut self, now: Instant) {
        if let Some(began) = self.drain_began
            && began < now
            && self.waits_for(Waits::Draining)
        {
            self.asleep("draining sleeps though the drain has begun");
        }
        let ended = self.closed.as_ref().is_some_and(|(_, at)| *at < now);
        if !ended {
            return;
        }
        let waiting = self
            .waits
            .values()
            .find(|(waits, _)| *waits != Waits::Sleep);
        if let Some((waits, since)) = waiting.copied() {
            let for_long = now - since;
            self.asleep(format!(
                "{waits:?} sleeps for {for_long:?} though the socket has ended"
            ));
        }
    }

    /// When the end of the socket has begun, as far as that is known.
    pub(crate) fn end_began(&self) -> Option<Instant> {
        let local = self.causes.iter().map(|(_, at)| *at).min();
        let local = local.filter(|at| *at <= Instant::now());
        [local, self.wire.end_read, self.wire.write_failed]
            .into_iter()
            .flatten()
            .min()
    }

    fn audit_end(&mut self, now: Instant) {
        if let Some((_, ended)) = self.closed {
            if self.wire.dropped.is_none() && now > ended + LINGER + SLACK {
                self.asleep(format!(
                    "the connection is held for {:?} behind the end",
                    now - ended
                ));
            }
            return;
        }
        if self.opened.is_none() {
            return;
        }
        let mut began = self.end_began();
        if began.is_none() && self.received_end && self.input.end.is_some() {
            // When exactly does not matter much: it takes or sends nothing since.
            began = self.last_activity;
        }
        let Some(began) = began else {
            return;
        };
        let last = self.last_activity.map_or(began, |last| last.max(began));
        if now > last + END + SLACK {
            self.asleep(format!("no end, {:?} after the last byte", now - last));
        } else if now > began + END_IN_ALL + SLACK {
            let text = format!("no end, {:?} after its beginning", now - began);
            self.find(Some(Fault::EndUnbounded), text);
        }
    }

    /// The owner is told that there are no more messages.
    pub(crate) fn check_received_end(&mut self) {
        let now = Instant::now();
        let read = self.frames_read();
        let whole = self.input.messages.iter();
        let whole = whole.take_while(|message| message.end <= read).count();
        let ends = self.end_was_read().is_some() || self.wire.end_read.is_some();
        let local = self.ends_locally() || self.settings.keepalive != 0;
        let failed = self.wire.write_failed.is_some();
        if ends && !local && !self.discards && whole > self.received {
            let fault = failed.then_some(Fault::LostAtTheEnd);
            let taken = self.received;
            self.find(
                fault,
                format!("recv ends behind {taken} of {whole} messages"),
            );
        }
        let first = self.causes.iter().map(|(_, at)| *at).min();
        let recent = first.is_some_and(|first| first + AT_ONCE > now);
        let goes_on = |cause| {
            matches!(
                cause,
                Cause::Kick(_) | Cause::PolicyClose(_) | Cause::Drain(_)
            )
        };
        let due = self.causes.iter().filter(|(_, at)| *at <= now);
        let goes_on = due.clone().all(|(cause, _)| goes_on(*cause)) && due.count() > 0;
        if goes_on && recent && !ends && !failed && !self.discards {
            let text = "recv ends behind our Close, before the peer's";
            self.find(Some(Fault::LostBehindOurClose), text);
        }
    }

    /// The server begins to shut down the connection.
    pub(crate) fn check_slot(&mut self) {
        if self.endpoint_done && self.permits > self.permit_dropped.len() {
            let text = "the permit is held behind the FIN, and by nothing but the pipeline";
            self.find(Some(Fault::SlotKept), text);
        }
    }

    /// The endpoint may not send.
    pub(crate) fn check_refused(&mut self) {
        let Some(EndKind::Close(_)) = self.end_was_read() else {
            return;
        };
        let now = Instant::now();
        let local = self.ends_locally() || self.settings.keepalive != 0;
        let gone = self.wire.end_read.is_some() || self.wire.write_failed.is_some();
        // It is answered in a second, whatever the endpoint does.
        let just_came = self.close_read.is_some_and(|read| read + AT_ONCE > now);
        let answers = self.received < self.input.messages.len() && just_came;
        if answers && !local && !gone && !self.discards && self.closed.is_none() {
            self.find(
                None,
                "send is refused before all of the peer's messages are received",
            );
        }
    }

    /// Called with each read.
    pub(crate) fn check_read_ahead(&mut self) {
        if self.close_read.is_none() && self.end_was_read().is_some() {
            self.close_read = Some(Instant::now());
        }
        let ends = self.ends_locally() || self.settings.keepalive != 0;
        if self.discards || self.closed.is_some() || ends {
            return;
        }
        let read = self.frames_read();
        if self.input.end.is_some_and(|end| read >= end.from) {
            return;
        }
        let taken = match self.received {
            0 => 0,
            received => self
                .input
                .messages
                .get(received - 1)
                .map_or(read, |last| last.end),
        };
        // Control frames take no room.
        let next = self.input.messages.get(self.received);
        let longest = self.input.messages[self.received.min(self.input.messages.len())..]
            .iter()
            .map(|received| received.message.len())
            .max()
            .unwrap_or(0);
        let controls = self.input.pings.iter().filter(|(_, end)| *end > taken);
        let controls: usize = controls.map(|(payload, _)| payload.len() + 6).sum();
        if next.is_some() && read > taken + READ_AHEAD + 2 * longest + controls {
            let ahead = read - taken;
            self.find(
                None,
                format!("{ahead} bytes are read ahead of the endpoint"),
            );
        }
    }

    /// Something has been written.
    pub(crate) fn output_changed(&mut self) {
        if let Some(violation) = self.output.violation {
            self.find(None, format!("the server breaks the protocol: {violation}"));
        }
        if let Some(only_pings) = self.output.follows_close() {
            let fault = (only_pings && self.agreed.is_some()).then_some(Fault::PongBehindClose);
            // RFC 6455, 5.5.1: "The application MUST NOT send any more data frames after sending a Close frame."
            self.find(fault, "a frame follows the Close");
        }
        if self.output.fragments > 0 {
            self.find(
                Some(Fault::FragmentedMessage),
                "a message in several frames",
            );
        }
        self.check_written();
    }

    /// What arrives is a prefix of what was sent, in its order.
    pub(crate) fn check_written(&mut self) {
        let (written, sent) = (&self.output.messages, &self.sent);
        let from = self.compared;
        for (index, message) in written.iter().enumerate().skip(from) {
            let Some(expected) = sent.get(index) else {
                // Its `send` returns later in this very turn of its task.
                return;
            };
            if message != expected {
                let text = format!(
                    "message {index} arrives as {}, not {}",
                    super::world::shown(message),
                    super::world::shown(expected)
                );
                return self.find(None, text);
            }
            self.compared = index + 1;
        }
    }

    /// The peer's Close or violation, if the server has read it.
    pub(crate) fn end_was_read(&self) -> Option<EndKind> {
        let end = self.input.end?;
        (self.frames_read() >= end.from).then_some(end.kind)
    }
}
