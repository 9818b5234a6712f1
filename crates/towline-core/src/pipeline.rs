//! What an upgrade layer is built on: the offer of a socket, and the driver once it is accepted.
//!
//! Endpoints do not need this module. A layer makes an [`Offer`] of a valid handshake, leaves the [`WebSocketUpgrade`]
//! in the request's extensions and polls the inner service's future:
//!
//! - the inner future is pending and [`Offer::poll_accepted`] is ready: the layer answers with the head of the
//!   [`Accepted`], and moves the inner future into a task that polls it by [`Driver::poll`];
//! - the inner future is finished and [`Offer::answer`] gives nothing: its response is the response;
//! - both at once: the head goes out, and the driver runs alone.
//!
//! One state under one lock decides every race between layer and endpoint: offered → accepted | answered | cancelled.
//!
//! A registry of sockets reaches an offer, and then the socket, by its [`Remote`].

mod remote;

use std::mem;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::{Extensions, Request, Response};
use hyper::ext::Protocol;
use hyper::upgrade::OnUpgrade;
use towline_protocol::Limits;
#[cfg(feature = "deflate")]
use towline_protocol::deflate::PerMessageDeflate;
use towline_protocol::handshake::{self, Handshake};

pub use self::remote::{Remote, WeakRemote};
use crate::closed::Negotiated;
pub use crate::driver::{Driver, EndpointFailed};
use crate::error::{AcceptError, UpgradeFailed};
use crate::handshake_error::{HandshakeError, HandshakeErrorKind};
use crate::policies::Policies;
use crate::shared::Shared;
use crate::sync::Mutex;
use crate::upgrade::{Options, WebSocketUpgrade, is_reserved};

/// The head of `request`, with the `:protocol` that hyper leaves in its extensions.
pub fn head<B>(request: &Request<B>) -> handshake::Request<'_> {
    handshake::Request {
        method: request.method(),
        uri: request.uri(),
        version: request.version(),
        headers: request.headers(),
        protocol: request.extensions().get().map(Protocol::as_str),
    }
}

/// The layer's side of a handshake that is offered to an endpoint.
///
/// Dropped, as when the client goes away before the response, it cancels the offer.
#[derive(Debug)]
#[must_use = "an offer that is dropped is cancelled"]
pub struct Offer {
    slot: Arc<Slot>,
    on_upgrade: OnUpgrade,
    handshake_timeout: Duration,
}

/// A handshake that the endpoint has accepted.
#[derive(Debug)]
#[non_exhaustive]
pub struct Accepted {
    /// The response that tells the client: 101, or 200 on HTTP/2.
    pub head: Response<()>,
    /// Drives the socket from here to its end.
    pub driver: Driver,
}

impl Offer {
    /// Offers `handshake`, whose connection will come from `on_upgrade`.
    ///
    /// `limits` are those of a socket whose endpoint sets none. Once accepted, the connection must come within
    /// `handshake_timeout`.
    pub fn new(
        handshake: Handshake,
        on_upgrade: OnUpgrade,
        limits: Limits,
        handshake_timeout: Duration,
    ) -> (Self, WebSocketUpgrade) {
        let slot = Arc::new(Slot {
            handshake,
            state: Mutex::new(State::Offered {
                layer: None,
                draining: false,
            }),
        });
        let upgrade = WebSocketUpgrade::new(Arc::clone(&slot), limits);
        let offer = Self {
            slot,
            on_upgrade,
            handshake_timeout,
        };
        (offer, upgrade)
    }

    /// Leaves the offer in the request's extensions, with the policies that layers further out have left there.
    pub fn leave(mut upgrade: WebSocketUpgrade, extensions: &mut Extensions) {
        upgrade.options.policies = Policies::take(extensions);
        extensions.insert(upgrade);
    }

    /// The handshake, and then the socket that comes of it, as a registry reaches them.
    #[must_use]
    pub fn remote(&self) -> Remote {
        Remote::offer(Arc::clone(&self.slot))
    }

    /// Ready when the endpoint has accepted; ask after the inner future was pending.
    ///
    /// # Errors
    ///
    /// The response to give in place of the inner future's, which is to be dropped: [`Remote::abort`] was called.
    pub fn poll_accepted(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Accepted, HandshakeError>> {
        let mut state = self.slot.state.lock();
        if let Some(chosen) = state.take() {
            drop(state);
            return Poll::Ready(Ok(self.accepted(chosen)));
        }
        let replaced = match &mut *state {
            State::Offered { layer, .. } => layer.replace(cx.waker().clone()),
            State::Aborted => return Poll::Ready(Err(self.slot.draining())),
            _ => None,
        };
        drop(state);
        drop(replaced);
        Poll::Pending
    }

    /// The inner future has finished: the endpoint has answered, unless it accepted in that very poll.
    #[must_use]
    pub fn answer(&self) -> Option<Accepted> {
        let mut state = self.slot.state.lock();
        if let Some(chosen) = state.take() {
            drop(state);
            return Some(self.accepted(chosen));
        }
        let previous = mem::replace(&mut *state, State::Answered);
        drop(state);
        drop(previous);
        None
    }

    fn accepted(&self, accepted: Chosen) -> Accepted {
        let Chosen {
            head,
            shared,
            policies,
        } = accepted;
        let on_upgrade = self.on_upgrade.clone();
        let driver = Driver::new(shared, on_upgrade, self.handshake_timeout, policies);
        Accepted { head, driver }
    }
}

impl Drop for Offer {
    fn drop(&mut self) {
        let mut state = self.slot.state.lock();
        let previous = match &*state {
            State::Offered { .. } | State::Accepted(_) => {
                mem::replace(&mut *state, State::Cancelled)
            }
            State::Taken(_) | State::Answered | State::Cancelled | State::Aborted => return,
        };
        drop(state);
        if let State::Accepted(accepted) = previous {
            accepted.shared.upgrade_failed(UpgradeFailed::Dropped);
        }
    }
}

/// Where the layer and the endpoint meet.
#[derive(Debug)]
pub(crate) struct Slot {
    handshake: Handshake,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    Offered {
        /// Of the layer's response future.
        layer: Option<Waker>,
        /// It is too late to accept.
        draining: bool,
    },
    Accepted(Box<Chosen>),
    /// Accepted, and the layer knows.
    Taken(Weak<Shared>),
    Answered,
    Cancelled,
    /// The layer is to answer in place of the endpoint.
    Aborted,
}

impl State {
    /// What was accepted, for the layer.
    fn take(&mut self) -> Option<Chosen> {
        let Self::Accepted(chosen) = self else {
            return None;
        };
        let taken = Self::Taken(Arc::downgrade(&chosen.shared));
        match mem::replace(self, taken) {
            Self::Accepted(chosen) => Some(*chosen),
            _ => unreachable!("just matched"),
        }
    }
}

/// What the endpoint has accepted.
#[derive(Debug)]
struct Chosen {
    head: Response<()>,
    shared: Arc<Shared>,
    policies: Policies,
}

impl Slot {
    pub(crate) fn handshake(&self) -> &Handshake {
        &self.handshake
    }

    /// Refuses what can be refused, and accepts.
    pub(crate) fn accept(&self, options: Options) -> Result<Arc<Shared>, AcceptError> {
        #[cfg(feature = "deflate")]
        let compression = self.negotiate(&options);
        let head = self.head(
            &options,
            #[cfg(feature = "deflate")]
            compression,
        )?;
        let negotiated = Negotiated {
            version: self.handshake.version(),
            protocol: options.protocol,
            #[cfg(feature = "deflate")]
            compression,
        };
        let shared = Shared::new(
            negotiated,
            options.limits,
            #[cfg(feature = "deflate")]
            options.compression,
        );
        if options.raw {
            shared.request_loan();
        }
        let policies = options.policies;
        let mut state = self.state.lock();
        let waker = match &mut *state {
            State::Offered { draining: true, .. } | State::Aborted => {
                return Err(AcceptError::Draining(self.draining()));
            }
            State::Offered { layer, .. } => layer.take(),
            State::Accepted(_) | State::Taken(_) => return Err(AcceptError::AlreadyAccepted),
            State::Answered => return Err(AcceptError::Answered),
            State::Cancelled => return Err(AcceptError::Cancelled),
        };
        // A raw connection runs no policies: its layers warn of that.
        if !options.raw {
            policies.claim();
        }
        *state = State::Accepted(Box::new(Chosen {
            head,
            shared: Arc::clone(&shared),
            policies,
        }));
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(shared)
    }

    /// Why it is too late to accept.
    fn draining(&self) -> HandshakeError {
        HandshakeError::new(HandshakeErrorKind::Draining, self.handshake.version())
    }

    /// The compression that these options and the client's offers come to.
    #[cfg(feature = "deflate")]
    pub(crate) fn negotiate(&self, options: &Options) -> Option<PerMessageDeflate> {
        if options.raw {
            // The endpoint's library is not told of extensions.
            return None;
        }
        self.handshake.negotiate(options.compression.as_ref()?)
    }

    fn head(
        &self,
        options: &Options,
        #[cfg(feature = "deflate")] compression: Option<PerMessageDeflate>,
    ) -> Result<Response<()>, AcceptError> {
        if options.require_protocol && options.protocol.is_none() {
            return Err(AcceptError::NoCommonProtocol);
        }
        if let Some(name) = options.headers.keys().find(|name| is_reserved(name)) {
            return Err(AcceptError::ReservedHeader(name.clone()));
        }
        let protocol = options.protocol.as_deref();
        #[cfg(feature = "deflate")]
        let mut head = match compression {
            Some(agreed) => self.handshake.accept_compressed(protocol, agreed)?,
            None => self.handshake.accept(protocol)?,
        };
        #[cfg(not(feature = "deflate"))]
        let mut head = self.handshake.accept(protocol)?;
        head.headers_mut().extend(options.headers.clone());
        Ok(head)
    }
}
