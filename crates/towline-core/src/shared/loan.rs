//! The loan of a connection: the endpoint reads and writes it by itself, and the driver ends it when it comes back.

use std::mem;
use std::task::{Context, Poll};

use hyper::upgrade::Upgraded;

use super::{List, Shared};
use crate::io::Io;

/// The present owner of the connection.
#[derive(Debug, Default)]
pub(super) enum Loan {
    /// The driver: no loan was requested.
    #[default]
    None,
    /// The HTTP server, until the upgrade is done. Then it is offered to the endpoint.
    Requested,
    /// This state holds it until the endpoint takes it.
    Offered(Box<Upgraded>),
    /// The endpoint.
    Taken,
    /// This state holds it until the driver takes it back.
    Returned(Box<Io>),
}

/// Result of [`Shared::take_back`]: how a loan ended.
pub(crate) enum Returned {
    /// The endpoint never took the connection.
    Unused(Upgraded),
    /// The endpoint dropped the connection.
    Used(Io),
    /// The socket ended while the endpoint had the connection. The endpoint drops it.
    Revoked,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Direction {
    Read,
    Write,
}

impl Loan {
    /// Returns `true` if a loan was requested and has not ended.
    pub(super) fn is_out(&self) -> bool {
        !matches!(self, Self::None)
    }
}

impl Shared {
    /// Called before the upgrade is done.
    pub(crate) fn request_loan(&self) {
        self.with(|state, _| state.loan = Loan::Requested);
    }

    /// Offers the connection to the endpoint if a loan was requested; returns it to the driver otherwise.
    pub(crate) fn lend(&self, upgraded: Upgraded) -> Option<Upgraded> {
        self.with(|state, _| {
            if matches!(state.loan, Loan::Requested) {
                state.loan = Loan::Offered(Box::new(upgraded));
                None
            } else {
                Some(upgraded)
            }
        })
    }

    /// Takes the connection for the endpoint. Returns `None` if the socket ended before.
    pub(crate) fn take_loan(&self) -> Option<Upgraded> {
        self.with(
            |state, _| match mem::replace(&mut state.loan, Loan::Taken) {
                Loan::Offered(upgraded) => Some(*upgraded),
                _ => None,
            },
        )
    }

    /// Ready when the socket has ended: the endpoint may not use the connection any longer.
    pub(crate) fn poll_revoked(&self, direction: Direction, cx: &mut Context<'_>) -> Poll<()> {
        self.with(|state, wakes| {
            if state.shut {
                return Poll::Ready(());
            }
            match direction {
                Direction::Read => {
                    state.wakers.wait_recv(self.caller(), cx, wakes);
                }
                Direction::Write => {
                    state
                        .wakers
                        .wait_in_sink(List::Send, self.caller(), cx, wakes);
                }
            }
            Poll::Pending
        })
    }

    /// Called when the endpoint drops the connection.
    pub(crate) fn give_back(&self, io: Io) {
        let io = Box::new(io);
        self.with(|state, wakes| {
            // The driver must not write a Close: the endpoint may have sent its own, or stopped inside a frame.
            state.close.queued = true;
            state.shut = true;
            state.loan = Loan::Returned(io);
            state.wakers.wake_driver(wakes);
        });
    }

    /// Takes the connection for the driver. Returns `None` while the loan goes on.
    pub(crate) fn take_back(&self) -> Option<Returned> {
        self.with(|state, _| {
            state.wakers.poked = false;
            let over = state.shut;
            match mem::take(&mut state.loan) {
                Loan::Returned(io) => Some(Returned::Used(*io)),
                Loan::Offered(upgraded) if over => Some(Returned::Unused(*upgraded)),
                Loan::Taken if over => Some(Returned::Revoked),
                loan => {
                    state.loan = loan;
                    None
                }
            }
        })
    }
}
