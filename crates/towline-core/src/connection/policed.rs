//! A connection with policies: what they are told, and what they bring about.

use std::mem;
use std::task::Context;

use tokio::time::Instant;

use super::{Connection, Gone, Input};
use crate::shared::{Batch, Orders, Shared};
use crate::timer::Timer;

impl Connection {
    /// What the handles did, noted before any of it is written.
    pub(super) fn note_news(&mut self, orders: &Orders, shared: &Shared) {
        if orders.news
            && let Some(policies) = &mut self.policies
        {
            policies.transferred(mem::take(&mut self.untold));
            policies.note(shared.take_news());
        }
    }

    /// Whether what this round has brought can wait, as it mostly can on a busy socket, if all is written and nobody had
    /// orders: while a close is under way somebody has.
    #[inline]
    pub(super) fn policies_wait(&self, timer: &Timer) -> bool {
        let coalesces = self.policies.as_ref().is_some_and(|it| it.coalesces());
        coalesces && timer.is_pending()
    }

    #[inline]
    pub(super) fn is_written(&self) -> bool {
        self.writing.is_empty() && !self.unflushed && self.to_compress() == 0
    }

    /// Tells the policies what this round has brought, does as they say, and waits for the next deadline.
    #[inline(never)]
    pub(super) fn police(
        &mut self,
        close_queued: bool,
        shared: &Shared,
        timer: &mut Timer,
        cx: &mut Context<'_>,
    ) -> Result<(), Gone> {
        let written = self.is_written();
        let Some(policies) = &mut self.policies else {
            return Ok(());
        };
        policies.transferred(mem::take(&mut self.untold));
        let blocked = self.writing.len().max(usize::from(self.unflushed));
        if close_queued && policies.ends() {
            return Err(Gone);
        }
        if written && policies.awaits_ping() && shared.is_empty() {
            policies.ping_left();
        }
        if let Some(decision) = policies.tell(blocked, || shared.messages(), close_queued) {
            shared.obey(*decision);
        }
        let deadline = self.next_deadline();
        if timer.poll(cx, deadline).is_pending() {
            return Ok(());
        }
        self.time_is_up(shared, timer, cx)
    }

    fn time_is_up(
        &mut self,
        shared: &Shared,
        timer: &mut Timer,
        cx: &mut Context<'_>,
    ) -> Result<(), Gone> {
        let own = self.deadline();
        let theirs = self.policies_deadline();
        let (Some(policies), Some(theirs)) = (&mut self.policies, theirs) else {
            return Err(Gone);
        };
        if own.is_some_and(|own| own <= theirs) {
            return Err(Gone);
        }
        if let Some(decision) = policies.fire(theirs.into_std(), shared.messages()) {
            shared.obey(*decision);
        }
        let deadline = self.next_deadline();
        if timer.poll(cx, deadline).is_ready() {
            shared.go_on();
        }
        Ok(())
    }

    /// The round changed nothing more; whether the policies know all of it.
    ///
    /// Behind a pause they do not, and in the round that follows the transport is asked again: what woke the driver
    /// meanwhile was not read.
    pub(super) fn policies_rest(&mut self) -> bool {
        let full = self.room.is_none();
        let stopped = full || self.is_paused() || !matches!(self.input, Input::Frames);
        let policies = self.policies.as_mut();
        policies.is_none_or(|policies| policies.rest(stopped))
    }

    /// Messages are about to be handed on.
    #[inline]
    pub(super) fn note_arrived(&mut self, arrived: &Batch) {
        if let Some(policies) = &mut self.policies
            && policies.watches_messages()
        {
            policies.arrived(arrived);
        }
    }

    /// The driver yields in the middle of its work.
    pub(crate) fn suspend(&mut self) {
        if let Some(policies) = &mut self.policies {
            policies.forget_time();
        }
    }

    /// The connection's own deadline, or one of its policies.
    fn next_deadline(&mut self) -> Option<Instant> {
        match (self.deadline(), self.policies_deadline()) {
            (Some(own), Some(theirs)) => Some(own.min(theirs)),
            (own, theirs) => own.or(theirs),
        }
    }

    fn policies_deadline(&mut self) -> Option<Instant> {
        let policies = self.policies.as_mut()?;
        policies.deadline().map(Instant::from_std)
    }
}
