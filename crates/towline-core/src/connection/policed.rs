//! A connection with policies: what they are told, and what they bring about.

use std::task::Context;

use tokio::time::Instant;

use super::{Connection, Gone, Input};
use crate::shared::{Orders, Shared};
use crate::timer::Timer;

impl Connection {
    /// Tells the policies what this round has brought, and does as they say.
    pub(super) fn tell_policies(&mut self, orders: &Orders, shared: &Shared) -> Result<(), Gone> {
        let blocked = self.writing.len().max(usize::from(self.unflushed));
        let Some(policies) = &mut self.policies else {
            return Ok(());
        };
        if orders.close_queued && policies.ends() {
            return Err(Gone);
        }
        let sent = if policies.watches_messages() {
            shared.take_sent()
        } else {
            Vec::new()
        };
        policies.collected(orders, sent);
        let was_paused = policies.is_paused();
        if let Some(decision) = policies.tell(blocked, orders.close_queued) {
            shared.obey(decision);
        }
        self.note_pause(was_paused);
        Ok(())
    }

    /// Waits for the next deadline, the connection's own or of its policies.
    pub(super) fn wait_with_policies(
        &mut self,
        shared: &Shared,
        timer: &mut Timer,
        cx: &mut Context<'_>,
    ) -> Result<(), Gone> {
        let own = self.deadline();
        let theirs = self.policies_deadline();
        let deadline = own.into_iter().chain(theirs).min();
        if timer.poll(cx, deadline).is_pending() {
            return Ok(());
        }
        let (Some(policies), Some(theirs)) = (&mut self.policies, theirs) else {
            return Err(Gone);
        };
        if own.is_some_and(|own| own <= theirs) {
            return Err(Gone);
        }
        let was_paused = policies.is_paused();
        shared.obey(policies.fire(theirs.into_std()));
        self.note_pause(was_paused);
        let deadline = own.into_iter().chain(self.policies_deadline()).min();
        if timer.poll(cx, deadline).is_ready() {
            shared.go_on();
        }
        Ok(())
    }

    /// The round changed nothing more; whether the policies know all of it.
    pub(super) fn policies_rest(&mut self) -> bool {
        let full = self.room.is_none();
        let stopped = full || self.is_paused() || !matches!(self.input, Input::Frames);
        match &mut self.policies {
            Some(policies) => policies.rest(stopped, full),
            None => true,
        }
    }

    /// The driver yields in the middle of its work.
    pub(crate) fn suspend(&mut self) {
        if let Some(policies) = &mut self.policies {
            policies.forget_time();
        }
    }

    fn policies_deadline(&self) -> Option<Instant> {
        let policies = self.policies.as_ref()?;
        policies.deadline().map(Instant::from_std)
    }

    /// After a pause the transport is asked again: what woke the driver meanwhile was not read.
    fn note_pause(&mut self, was_paused: bool) {
        if was_paused && !self.is_paused() {
            self.read_blocked = false;
        }
    }
}
