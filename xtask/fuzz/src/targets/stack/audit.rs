//! Checks each time the clock moves: every task that has something to do was woken, and nothing is late.

use std::time::Duration;

use tokio::time::Instant;

use super::known::Fault;
use super::state::{Cause, SLACK, State, Waits};

/// The end of a socket without any progress: the grace of the answer, the close timeout and the shutdown together.
const END: Duration = Duration::from_secs(1 + 10 + 10);

/// The end in all: `../shared` says 60 s for the grace, 60 s for the Close, 10 s for its answer and 10 s for the shutdown.
const END_IN_ALL: Duration = Duration::from_secs(60 + 60 + 10 + 10);

/// The peer's Close or violation is answered when nothing was taken or sent for so long.
const ANSWER: Duration = Duration::from_secs(1);

/// How long the endpoint may go on after the end of its connection.
const ENDPOINT_GRACE: Duration = Duration::from_secs(30);

/// From the record of the end until the connection is dropped.
const LINGER: Duration = Duration::from_secs(10 + 1);

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

    /// A future that is not woken.
    fn asleep(&mut self, what: impl Into<String>) {
        self.find(None, what);
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

    /// Checks that everything is done that does not depend on the peer.
    fn audit_at_once(&mut self, now: Instant) {
        let cuts = |cause| {
            matches!(
                cause,
                Cause::Abort | Cause::PolicyAbort | Cause::PolicyEnd(_) | Cause::DrainAbort
            )
        };
        let cut = self
            .causes
            .iter()
            .find(|(cause, at)| cuts(*cause) && *at + SLACK < now);
        if let Some((cause, at)) = cut.copied() {
            self.asleep(format!("no end, {:?} after {cause:?}", now - at));
        }
        let Some(read) = self.close_read else {
            return;
        };
        if self.waits_for(Waits::Ping) && read < now && (self.received_end || self.discards) {
            self.asleep("a ping waits after the peer's Close");
        }
        let seen = self.received_end || self.discards;
        let open = self.wire.always_open && self.settings.flush == 0;
        let last = self.last_activity.map_or(read, |last| last.max(read));
        let late = now > last + ANSWER + SLACK;
        if seen && open && late && self.output.closes.is_empty() && !self.is_paused(now) {
            let text = format!("no answer, {:?} after the peer's Close", now - last);
            self.asleep(text);
        }
    }

    fn audit_end(&mut self, now: Instant) {
        if let Some((_, ended)) = self.closed {
            if let Some(dropped) = self.wire.dropped
                && !self.has_unwound()
                && now > dropped.max(ended) + ENDPOINT_GRACE + SLACK
            {
                self.asleep("the endpoint is not dropped in its time");
            }
            if self.wire.dropped.is_none() && now > ended + LINGER + SLACK {
                self.asleep(format!(
                    "the connection is held for {:?} after the end",
                    now - ended
                ));
            }
            return;
        }
        if self.opened.is_none() {
            return;
        }
        self.audit_at_once(now);
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
}
