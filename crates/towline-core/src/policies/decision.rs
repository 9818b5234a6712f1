//! What the policies of a socket ask for, made one.

use std::time::Instant;

use towline_protocol::CloseFrame;

use crate::policy::Action;

/// What the policies ask for, of all the strongest.
#[derive(Debug, Default)]
pub(crate) struct Decision {
    pub(crate) ping: bool,
    pub(crate) pong: bool,
    /// The driver's own affair: see [`Running::is_paused`](super::Running::is_paused).
    pub(super) pause: Option<Instant>,
    pub(crate) end: Option<End>,
}

#[derive(Debug)]
pub(crate) enum End {
    Close(CloseFrame),
    /// Attempt a Close and drop the connection.
    Now(CloseFrame),
    Abort(&'static str),
}

/// What policies have asked for so far.
#[derive(Default)]
pub(super) struct Asked(pub(super) Option<Box<Decision>>);

impl Asked {
    #[inline]
    pub(super) fn add(&mut self, action: Action) {
        if !matches!(action, Action::None) {
            self.weigh(action);
        }
    }

    #[cold]
    fn weigh(&mut self, action: Action) {
        let decision = self.0.get_or_insert_default();
        let end = match action {
            Action::None => return,
            Action::Ping => return decision.ping = true,
            Action::UnsolicitedPong => return decision.pong = true,
            Action::PauseReading(until) => return decision.pause = decision.pause.max(Some(until)),
            Action::Close(frame) => End::Close(frame),
            Action::End(frame) => End::Now(frame),
            Action::Abort(reason) => End::Abort(reason),
        };
        let strength = |end: &End| match end {
            End::Close(_) => 1,
            End::Now(_) => 2,
            End::Abort(_) => 3,
        };
        let stands = decision.end.as_ref().map_or(0, strength);
        if strength(&end) > stands {
            decision.end = Some(end);
        }
    }
}
