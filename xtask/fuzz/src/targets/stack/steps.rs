//! Checks at each step of the endpoint and of the transport.

use std::time::Duration;

use tokio::time::Instant;

use super::known::Fault;
use super::message::shown;
use super::reference::EndKind;
use super::state::{Cause, State};

/// Only the peer ends receiving this soon after our Close.
const AT_ONCE: Duration = Duration::from_millis(500);

/// The bytes that are read ahead of the endpoint: the inbox, one turn of reading, and the part of that which is not decoded.
const READ_AHEAD: usize = 3 * 64 * 1024 + 16 * 1024;

impl State {
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
                format!("recv ends after {taken} of {whole} messages"),
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
            let text = "recv ends after our Close, before the peer's";
            self.find(Some(Fault::LostAfterOurClose), text);
        }
    }

    /// The server begins to shut down the connection.
    pub(crate) fn check_slot(&mut self) {
        if self.endpoint_done && self.permits > self.permit_dropped.len() {
            let text = "the permit is held behind the FIN, and by nothing but the pipeline";
            self.find(None, text);
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
        if read <= taken + READ_AHEAD {
            return;
        }
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
        if self.output.follows_close() {
            // RFC 6455, 5.5.1: "The application MUST NOT send any more data frames after sending a Close frame."
            self.find(None, "a frame follows the Close");
        }
        if self.output.fragments > 0 {
            self.find(None, "a message in several frames");
        }
        self.check_written();
    }

    /// Checks that the messages that have arrived are a prefix of those that were sent, in order.
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
                    shown(message),
                    shown(expected)
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
