//! Checks at the end of a run.

use std::time::Duration;

use tokio::time::Instant;
use towline_core::{Closed, ClosedBy};
use towline_protocol::CloseCode;

use super::known::Fault;
use super::reference::EndKind;
use super::state::{Cause, SLACK, State};
use super::wire::ReadEnd;

/// How long the peer may take no byte of our Close, or not answer it.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long it may take for all of that.
const CLOSE_LIMIT: Duration = Duration::from_secs(60);

impl State {
    /// The run is over.
    pub(crate) fn verdict(&mut self) {
        if self.is_over() {
            return;
        }
        self.check_ended();
        if let Some((closed, at)) = self.closed.clone() {
            self.check_closed(&closed, at);
            self.check_wire(&closed, at);
            self.check_patience(&closed, at);
            self.check_counts(&closed);
            self.check_deliveries(&closed);
            self.note_reached(&closed);
        }
    }

    /// Checks that the pipeline has ended, if there was one.
    pub(crate) fn has_unwound(&self) -> bool {
        self.pipelines == 0 || self.pipeline_ended.is_some()
    }

    /// Everything has ended, once.
    fn check_ended(&mut self) {
        if self.opened.is_some() && self.closed.is_none() {
            self.find(None, "a socket without a `Closed`");
        }
        if self.wire.dropped.is_none() {
            self.find(None, "the connection is never dropped");
        }
        if !self.has_unwound() {
            self.find(None, "the pipeline never ends");
        }
        let (taken, dropped) = (self.permits, self.permit_dropped.len());
        if taken != dropped {
            self.find(
                None,
                format!("{taken} permits are taken, {dropped} given back"),
            );
        }
        if self.output.messages.len() > self.sent.len() {
            self.find(None, "a message arrives that was never sent");
        }
        let closed = self.closed.as_ref().map(|(_, at)| *at);
        if let (Some(permit), Some(closed)) = (self.permit_dropped.first().copied(), closed) {
            let fails = self.causes.iter().any(|(cause, _)| *cause == Cause::Fail);
            if permit < closed && !fails && self.settings.alone == 0 {
                self.find(None, "the permit is given back before the end");
            }
        }
    }

    /// Checks that `Closed` names the first cause of the socket's end.
    fn check_closed(&mut self, closed: &Closed, at: Instant) {
        let told = (closed.by(), closed.code());
        let possible = self.possible_ends(at);
        if !possible.contains(&told) {
            let text = format!(
                "{closed} is told; possible are {possible:?}, {:?}",
                self.causes
            );
            self.find(None, text);
        }
        let first = self.causes.first().map(|(cause, _)| *cause);
        let nothing_else = self.settings.keepalive == 0
            && self.end_was_read().is_none()
            && self.wire.end_read.is_none()
            && self.wire.write_failed.is_none();
        if first == Some(Cause::Abort) && nothing_else && closed.code() != CloseCode::ABNORMAL {
            self.find(None, format!("{closed} is told after an abort"));
        }
        if let Some(opened) = self.opened {
            let open = at - opened;
            let duration = closed.duration();
            if duration > open + SLACK {
                self.find(None, format!("open for {duration:?} is told, not {open:?}"));
            }
        }
        if closed.compression() != self.agreed {
            self.find(None, "another compression is told");
        }
    }

    /// The causes that `Closed` may name: the first one, and all that came in the same turn of the clock.
    fn possible_ends(&self, closed_at: Instant) -> Vec<(ClosedBy, CloseCode)> {
        // A Close is queued when the connection is there, and not before.
        let opened = self.opened.unwrap_or(closed_at);
        let local: Vec<_> = self
            .causes
            .iter()
            .map(|(cause, at)| (cause, (*at).max(opened)))
            .filter(|(_, at)| *at <= closed_at + SLACK)
            .collect();
        let mut first: Option<Instant> = local.iter().map(|(_, at)| *at).min();
        for other in [self.wire.end_read, self.wire.write_failed]
            .into_iter()
            .flatten()
        {
            first = Some(first.map_or(other, |first| first.min(other)));
        }
        let first = first.unwrap_or(closed_at);
        let mut possible = Vec::new();
        for (cause, at) in local {
            // A drain goes round its sockets.
            if at > first + SLACK {
                continue;
            }
            possible.push(match *cause {
                Cause::Close(code) | Cause::Kick(code) | Cause::Drop(code) => {
                    (ClosedBy::Endpoint, code)
                }
                Cause::Fail => (ClosedBy::Endpoint, CloseCode::INTERNAL_ERROR),
                Cause::Abort => (ClosedBy::Endpoint, CloseCode::ABNORMAL),
                Cause::PolicyClose(code) | Cause::PolicyEnd(code) => (ClosedBy::Policy, code),
                Cause::PolicyAbort => (ClosedBy::Policy, CloseCode::ABNORMAL),
                Cause::Drain(code) => (ClosedBy::Drain, code),
                Cause::DrainAbort => (ClosedBy::Drain, CloseCode::ABNORMAL),
            });
        }
        if self.wire.end_read.is_some() || self.wire.write_failed.is_some() {
            possible.push((ClosedBy::Transport, CloseCode::ABNORMAL));
        }
        if let Some(kind) = self.end_was_read() {
            let end = self.input.end.expect("it was read");
            let by = match kind {
                EndKind::Close(_) => ClosedBy::Peer,
                EndKind::Violation(violation) => ClosedBy::Violation(violation),
            };
            possible.push((by, end.code()));
        }
        if self.settings.keepalive != 0 {
            for code in [
                CloseCode::GOING_AWAY,
                CloseCode::INTERNAL_ERROR,
                CloseCode::ABNORMAL,
            ] {
                possible.push((ClosedBy::Policy, code));
            }
        }
        possible
    }

    /// Checks that `Closed` agrees with the bytes that were written.
    fn check_wire(&mut self, closed: &Closed, at: Instant) {
        if self.output.closes.len() > 1 {
            self.find(None, format!("{} Closes", self.output.closes.len()));
        }
        let written = self.output.closes.first().copied();
        let expected = match closed.by() {
            ClosedBy::Transport => None,
            _ => Some(closed.code()).filter(|code| *code != CloseCode::ABNORMAL),
        };
        match (written, expected) {
            (Some(written), Some(expected)) if written != expected => {
                self.find(None, format!("{written} is written, {closed} is told"));
            }
            (Some(written), None) if closed.by() != ClosedBy::Transport => {
                self.find(None, format!("{written} is written, {closed} is told"));
            }
            (None, Some(_)) if self.close_was_due(at) => {
                self.find(None, format!("{closed}, and no Close is written"));
            }
            _ => {}
        }
        let input_closed = matches!(self.end_was_read(), Some(EndKind::Close(_)));
        let clean = closed.is_clean();
        if clean && (!input_closed || written.is_none()) {
            self.find(None, format!("{closed} cleanly, without both Closes"));
        }
        if !clean
            && written.is_some()
            && input_closed
            && self.undisturbed()
            && self.settings.flush == 0
        {
            let end = self.input.end.map(|end| end.to);
            if end.is_some_and(|end| self.frames_read() >= end) && !self.is_cut_short() {
                self.find(None, format!("{closed} not cleanly, with both Closes"));
            }
        }
        if matches!(closed.by(), ClosedBy::Violation(_) | ClosedBy::Peer)
            && self.undisturbed()
            && self.settings.silent & 4 == 0
            && !self.is_cut_short()
            && !self.wire.inbound.is_empty()
        {
            let unread = self.wire.inbound.len();
            let text = format!("the connection is dropped over {unread} bytes");
            self.find(None, text);
        }
    }

    /// The transport did all it could: everything was taken, and nothing failed.
    fn undisturbed(&self) -> bool {
        self.wire.always_open
            && self.wire.write_failed.is_none()
            && self.wire.read_end != Some(ReadEnd::Error)
    }

    /// Nothing kept the server from writing its Close.
    fn close_was_due(&self, at: Instant) -> bool {
        let ended_before = self.wire.end_read.is_some_and(|end| end <= at);
        self.undisturbed() && !ended_before && !self.is_cut_short()
    }

    /// Checks that the peer had enough time to take our Close and to answer it.
    fn check_patience(&mut self, closed: &Closed, at: Instant) {
        let ours = matches!(
            closed.by(),
            ClosedBy::Endpoint | ClosedBy::Policy | ClosedBy::Drain
        );
        let failed = self.wire.end_read.is_some() || self.wire.write_failed.is_some();
        if !ours || failed || self.end_was_read().is_some() || self.is_cut_short() {
            return;
        }
        let Some(began) = self.end_began() else {
            return;
        };
        let last = self.wire.last_taken.map_or(began, |last| last.max(began));
        let waited = at.saturating_duration_since(last);
        if waited + SLACK < CLOSE_TIMEOUT
            && at.saturating_duration_since(began) + SLACK < CLOSE_LIMIT
        {
            self.find(
                None,
                format!("the peer is given up after {waited:?}, {closed}"),
            );
        }
    }

    fn check_counts(&mut self, closed: &Closed) {
        let (messages, bytes) = (closed.messages_sent(), closed.bytes_sent());
        if (messages, bytes) != (self.sent.len() as u64, self.sent_bytes as u64) {
            let text = format!(
                "{messages} messages of {bytes} bytes sent are told, not {} of {}",
                self.sent.len(),
                self.sent_bytes
            );
            self.find(None, text);
        }
        let received = closed.messages_received() as usize;
        let read = self.frames_read();
        let whole = self
            .input
            .messages
            .iter()
            .take_while(|message| message.end <= read)
            .count();
        if !(self.received..=whole).contains(&received) {
            let text = format!(
                "{received} messages received are told, not between {} and {whole}",
                self.received
            );
            self.find(None, text);
        }
        let bytes = self.input.messages.iter().take(received);
        let bytes: usize = bytes.map(|received| received.message.len()).sum();
        if closed.bytes_received() != bytes as u64 {
            let told = closed.bytes_received();
            self.find(None, format!("{told} bytes received are told, not {bytes}"));
        }
        let (pongs, until) = self.input.pongs;
        if closed.round_trip().is_some() && (pongs == 0 || self.output.pings.is_empty()) {
            self.find(None, format!("a round trip without ping and pong, {until}"));
        }
    }

    /// Checks that all messages have arrived, unless something kept them from it.
    fn check_deliveries(&mut self, closed: &Closed) {
        if self.received_end
            && self.wire.write_failed.is_some()
            && self.causes.is_empty()
            && self.input.messages.len() > self.received
        {
            let text = format!(
                "of {} messages {} are received after a failed write",
                self.input.messages.len(),
                self.received
            );
            self.find(Some(Fault::LostAtTheEnd), text);
        }
        let failed = self.wire.read_end == Some(ReadEnd::Error);
        let lost = self.sent.len() - self.output.messages.len().min(self.sent.len());
        if lost > 0 && self.undisturbed() && !failed && !self.is_cut_short() {
            let fault = self.wire.end_read.map(|_| Fault::LostAtTheEnd);
            self.find(
                fault,
                format!("{lost} messages that were sent never arrive; {closed}"),
            );
        }
        let pings = &self.input.pings;
        let mut from = 0;
        // One that answers nothing is empty.
        let unsolicited = |pong: &&Vec<u8>| self.settings.policy == 2 && pong.is_empty();
        for pong in self.output.pongs.iter().filter(|pong| !unsolicited(pong)) {
            let found = pings[from..].iter().position(|(ping, _)| ping == pong);
            match found {
                Some(at) => from += at + 1,
                None => {
                    let text = format!("the pong {} answers no ping", pong.escape_ascii());
                    return self.find(None, text);
                }
            }
        }
    }
}
