//! A connection that the endpoint speaks over by itself: the driver lends it, and ends it when it comes back.

use std::mem;
use std::task::{Context, Poll};

use hyper::upgrade::Upgraded;

use super::{List, Shared};
use crate::io::Io;

/// Where the connection is.
#[derive(Debug, Default)]
pub(super) enum Loan {
    /// With the driver, which nobody asked for it.
    #[default]
    None,
    /// With the server still, and the endpoint will have it.
    Asked,
    /// Here for the endpoint.
    Offered(Box<Upgraded>),
    /// With the endpoint.
    Taken,
    /// Here for the driver.
    Returned(Box<Io>),
}

/// What the driver has of a connection that it lent.
pub(crate) enum Returned {
    /// The endpoint never took it.
    Unused(Upgraded),
    Used(Io),
    /// The socket was ended while the endpoint had it.
    Never,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Direction {
    Read,
    Write,
}

impl Loan {
    /// Whether the connection is not the driver's, or will not be.
    pub(super) fn is_out(&self) -> bool {
        !matches!(self, Self::None)
    }
}

impl Shared {
    pub(crate) fn ask_to_borrow(&self) {
        self.with(|state, _| state.loan = Loan::Asked);
    }

    /// Lends the connection if the endpoint asked for it; otherwise it is the driver's.
    pub(crate) fn lend(&self, upgraded: Upgraded) -> Option<Upgraded> {
        self.with(|state, _| {
            if matches!(state.loan, Loan::Asked) {
                state.loan = Loan::Offered(Box::new(upgraded));
                None
            } else {
                Some(upgraded)
            }
        })
    }

    /// The connection, unless the socket was ended before the endpoint came for it.
    pub(crate) fn borrow(&self) -> Option<Upgraded> {
        self.with(
            |state, _| match mem::replace(&mut state.loan, Loan::Taken) {
                Loan::Offered(upgraded) => Some(*upgraded),
                _ => None,
            },
        )
    }

    /// Ready when the endpoint may not use the connection any longer.
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

    /// The endpoint is done with the connection.
    pub(crate) fn give_back(&self, io: Io) {
        let io = Box::new(io);
        self.with(|state, wakes| {
            // Behind the endpoint's frames comes none of the driver's.
            state.close.queued = true;
            state.shut = true;
            state.loan = Loan::Returned(io);
            state.wakers.wake_driver(wakes);
        });
    }

    /// The connection if it is not the endpoint's any more.
    pub(crate) fn take_back(&self) -> Option<Returned> {
        self.with(|state, _| {
            state.wakers.poked = false;
            let over = state.shut;
            match mem::take(&mut state.loan) {
                Loan::Returned(io) => Some(Returned::Used(*io)),
                Loan::Offered(upgraded) if over => Some(Returned::Unused(*upgraded)),
                Loan::Taken if over => Some(Returned::Never),
                loan => {
                    state.loan = loan;
                    None
                }
            }
        })
    }
}
