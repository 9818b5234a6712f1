//! The offer of a socket as an endpoint sees it: look, choose, accept.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE};
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Request, Version};
use towline_protocol::Limits;
#[cfg(feature = "deflate")]
use towline_protocol::deflate::{Compression, PerMessageDeflate};
use towline_protocol::handshake;

use crate::closed::Closed;
use crate::error::AcceptError;
use crate::handshake_error::{HandshakeError, HandshakeErrorKind};
use crate::pipeline::{self, Slot};
use crate::policies::{Policies, PolicyFactory};
use crate::trace;
use crate::websocket::WebSocket;

/// A valid WebSocket handshake, offered to the endpoint.
///
/// An upgrade layer leaves it in the request's extensions. The setters are the accept options; all of them are checked
/// before the handshake is answered, so what is refused is refused by an ordinary response.
///
/// Clones are of one offer: it can be accepted once.
#[derive(Clone, Debug)]
#[must_use = "an upgrade that is not accepted is answered by the endpoint's response"]
pub struct WebSocketUpgrade {
    slot: Arc<Slot>,
    pub(crate) options: Options,
}

/// What the endpoint chose; nothing of it is checked yet.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) protocol: Option<String>,
    pub(crate) require_protocol: bool,
    pub(crate) headers: HeaderMap,
    pub(crate) limits: Limits,
    #[cfg(feature = "deflate")]
    pub(crate) compression: Option<Compression>,
    pub(crate) policies: Policies,
    /// The endpoint gets the connection itself.
    pub(crate) raw: bool,
}

impl WebSocketUpgrade {
    pub(crate) fn new(slot: Arc<Slot>, limits: Limits) -> Self {
        let options = Options {
            protocol: None,
            require_protocol: false,
            headers: HeaderMap::new(),
            limits,
            #[cfg(feature = "deflate")]
            compression: None,
            policies: Policies::default(),
            raw: false,
        };
        Self { slot, options }
    }

    /// The upgrade that `request` carries. The request may be dropped then: an idle socket does not need it.
    ///
    /// # Errors
    ///
    /// [`HandshakeError`], which is the response to give, when the request attempts no handshake, a bad one, or a good
    /// one without an upgrade layer around the endpoint.
    pub fn of<B>(request: &Request<B>) -> Result<Self, HandshakeError> {
        Self::find(request.extensions(), pipeline::head(request))
    }

    pub(crate) fn find(
        extensions: &Extensions,
        head: handshake::Request<'_>,
    ) -> Result<Self, HandshakeError> {
        if let Some(upgrade) = extensions.get::<Self>() {
            return Ok(upgrade.clone());
        }
        if let Some(error) = extensions.get::<HandshakeError>() {
            return Err(*error);
        }
        let kind = match head.check() {
            // An upgrade layer leaves nothing in a request that attempts no handshake.
            Err(invalid) if !head.attempts_websocket() => invalid.into(),
            _ => HandshakeErrorKind::NoUpgradeLayer,
        };
        Err(HandshakeError::new(kind, head.version))
    }

    /// The version of HTTP that the handshake came over.
    #[must_use]
    pub fn version(&self) -> Version {
        self.slot.handshake().version()
    }

    /// The sub-protocols that the client offers, in its order of preference.
    pub fn offered_protocols(&self) -> impl Iterator<Item = &str> {
        self.slot.handshake().protocols()
    }

    /// Chooses the first of `protocols`, in the server's order of preference, that the client offers.
    ///
    /// With none in common the socket opens without a sub-protocol, unless one is
    /// [required](Self::require_protocol). Default: no sub-protocol.
    pub fn protocols<I>(mut self, protocols: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let chosen = protocols.into_iter().find(|ours| {
            self.offered_protocols()
                .any(|offered| offered == ours.as_ref())
        });
        self.options.protocol = chosen.map(|name| name.as_ref().to_owned());
        self
    }

    /// Lets `choose` pick from what the client offers.
    ///
    /// A sub-protocol that was not offered makes [`accept`](Self::accept) fail, as RFC 6455 section 4.2.2 forbids it.
    pub fn select_protocol(mut self, choose: impl FnOnce(&[&str]) -> Option<String>) -> Self {
        let offered: Vec<&str> = self.offered_protocols().collect();
        let chosen = choose(&offered);
        self.options.protocol = chosen;
        self
    }

    /// Refuses the handshake with 400 when no sub-protocol was chosen. Default: `false`.
    pub fn require_protocol(mut self, require: bool) -> Self {
        self.options.require_protocol = require;
        self
    }

    /// Adds a header to the response that accepts the handshake, such as `Set-Cookie`. Default: none.
    ///
    /// Those of the handshake itself and of HTTP's framing are refused by [`accept`](Self::accept).
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.options.headers.append(name, value);
        self
    }

    /// The largest message that is received, in bytes, inclusive; a larger one closes the socket with 1009.
    ///
    /// Default: that of the upgrade layer, 1 MiB.
    pub fn max_message_size(mut self, bytes: usize) -> Self {
        self.options.limits.max_message_size = bytes;
        self
    }

    /// Compresses messages by permessage-deflate (RFC 7692) if the client offers that acceptably; `None` declines it.
    /// Read what [`Compression`] says of secrets. Default: that of the upgrade layer, none.
    #[cfg(feature = "deflate")]
    #[cfg_attr(docsrs, doc(cfg(feature = "deflate")))]
    pub fn compression(mut self, compression: impl Into<Option<Compression>>) -> Self {
        self.options.compression = compression.into();
        self
    }

    /// The compression that [`accept`](Self::accept) would agree on with these options.
    #[cfg(feature = "deflate")]
    #[cfg_attr(docsrs, doc(cfg(feature = "deflate")))]
    #[must_use]
    pub fn negotiated_compression(&self) -> Option<PerMessageDeflate> {
        self.slot.negotiate(&self.options)
    }

    /// Gives the socket a policy, in place of one of the same type that a layer left for it. Default: those of the layers.
    pub fn policy(mut self, factory: impl Into<PolicyFactory>) -> Self {
        self.options.policies.put(factory.into());
        self
    }

    /// Accepts the handshake and waits for the connection. The low-level form of [`serve`](Self::serve).
    ///
    /// The client has its 101 once the returned future was polled. After it the endpoint ends with
    /// [`WebSocket::close`] or [`WebSocket::closed`], whose [`Closed`] is its response; if it returns before the socket
    /// closed, its layers unwind at that moment and the socket lives on without them.
    ///
    /// # Errors
    ///
    /// [`AcceptError`], see there. Before the 101 it converts into the response to give.
    ///
    /// # Cancel safety
    ///
    /// Dropped before its first poll, nothing happened; dropped after it, the socket closes with 1011.
    pub fn accept(self) -> Accept {
        Accept {
            step: Step::Offered(Box::new(self)),
        }
    }

    /// Accepts the handshake, runs `endpoint` on the socket and waits until that is closed.
    ///
    /// The socket closes with 1000 when `endpoint` drops it, with 1011 when it panics or gives an error (see
    /// [`Outcome`]). The [`Closed`] that comes back is the endpoint's response.
    ///
    /// # Errors
    ///
    /// [`AcceptError`], as for [`accept`](Self::accept).
    ///
    /// # Cancel safety
    ///
    /// As for [`accept`](Self::accept); dropped later it drops what `endpoint` returned, and the socket closes with it.
    pub async fn serve<E, F>(self, endpoint: E) -> Result<Closed, AcceptError>
    where
        E: FnOnce(WebSocket) -> F,
        F: Future<Output: Outcome>,
    {
        let socket = self.accept().await?;
        let closed = socket.closed();
        if let Err(error) = endpoint(socket).await.outcome() {
            // An error because the socket had ended, as of a `send`, is no failure of the endpoint.
            if closed.shared().fail() {
                trace::endpoint_failed(&error);
            }
        }
        Ok(closed.await)
    }
}

/// What an endpoint's closure may end with: `()`, or a `Result` whose error closes the socket with 1011 and is logged.
pub trait Outcome {
    /// What is logged.
    type Error: fmt::Display;

    /// The outcome as a result.
    ///
    /// # Errors
    ///
    /// The endpoint's failure.
    fn outcome(self) -> Result<(), Self::Error>;
}

impl Outcome for () {
    type Error = std::convert::Infallible;

    fn outcome(self) -> Result<(), Self::Error> {
        Ok(())
    }
}

impl<E> Outcome for Result<(), E>
where
    E: fmt::Display,
{
    type Error = E;

    fn outcome(self) -> Self {
        self
    }
}

/// The future of [`WebSocketUpgrade::accept`].
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Accept {
    step: Step,
}

#[derive(Debug)]
enum Step {
    Offered(Box<WebSocketUpgrade>),
    /// Dropped here, the handle closes the socket with 1011 as soon as there is one.
    Accepted(WebSocket),
    Done,
}

impl Future for Accept {
    type Output = Result<WebSocket, AcceptError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Step::Offered(_) = self.step {
            let Step::Offered(upgrade) = std::mem::replace(&mut self.step, Step::Done) else {
                unreachable!("just matched");
            };
            let shared = upgrade.slot.accept(upgrade.options)?;
            self.step = Step::Accepted(WebSocket::accepted(shared));
        }
        let Step::Accepted(socket) = &self.step else {
            panic!("`Accept` polled after completion");
        };
        let opened = ready!(socket.shared().poll_open(cx));
        let Step::Accepted(socket) = std::mem::replace(&mut self.step, Step::Done) else {
            unreachable!("just matched");
        };
        Poll::Ready(match opened {
            Ok(()) => Ok(socket.opened()),
            Err(error) => Err(AcceptError::UpgradeFailed(error)),
        })
    }
}

/// Whether an endpoint may not set this header on the response that accepts a handshake.
pub(crate) fn is_reserved(name: &HeaderName) -> bool {
    [CONNECTION, UPGRADE, CONTENT_LENGTH, TRANSFER_ENCODING].contains(name)
        || name.as_str().starts_with("sec-websocket-")
}
