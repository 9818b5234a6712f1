//! The service that [`UpgradeLayer`](crate::UpgradeLayer) puts around another.

use std::task::{Context, Poll};

use http::{Request, Response};
use hyper::rt::Executor;
use hyper::upgrade::OnUpgrade;
use tower_service::Service;
use towline_core::pipeline::{self, Offer};
use towline_core::{HandshakeError, HandshakeErrorKind, WebSocketUpgrade};

use crate::admission::{Admission, Place};
use crate::body::UpgradeBody;
use crate::future::{Offered, ResponseFuture};
use crate::layer::Settings;
use crate::pipeline::{Pipeline, Surroundings};
use crate::trace::CallSpan;

/// Offers a WebSocket to `S` for every valid handshake; made by [`UpgradeLayer`](crate::UpgradeLayer).
#[derive(Clone, Debug)]
pub struct Upgrade<S, E> {
    inner: S,
    executor: E,
    settings: Settings,
    admission: Admission,
}

impl<S, E> Upgrade<S, E> {
    pub(crate) fn new(inner: S, executor: E, settings: Settings, admission: Admission) -> Self {
        Self {
            inner,
            executor,
            settings,
            admission,
        }
    }

    /// The inner service.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service, mutably.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The inner service, without the layer.
    pub fn into_inner(self) -> S {
        self.inner
    }

    /// What the layer leaves in the extensions of `request` and keeps of it.
    fn judge<B>(&self, request: &Request<B>) -> Judgement {
        let extensions = request.extensions();
        let head = pipeline::head(request);
        if !head.attempts_websocket() || is_judged(extensions) {
            return Judgement::Pass;
        }
        let handshake = match head.check() {
            Ok(handshake) => handshake,
            Err(invalid) => return Judgement::Refuse(HandshakeError::new(invalid, head.version)),
        };
        let Some(on_upgrade) = extensions.get::<OnUpgrade>() else {
            let kind = HandshakeErrorKind::NotUpgradable;
            return Judgement::Refuse(HandshakeError::new(kind, head.version));
        };
        let Settings {
            limits,
            handshake_timeout,
            ..
        } = self.settings;
        // The original stays for an inner service that upgrades by itself.
        let (offer, upgrade) = Offer::new(handshake, on_upgrade.clone(), limits, handshake_timeout);
        let place = match self.admission.admit(&offer) {
            Ok(place) => place,
            Err(kind) => return Judgement::Answer(HandshakeError::new(kind, head.version)),
        };
        #[cfg(feature = "deflate")]
        let upgrade = upgrade.compression(self.settings.compression);
        Judgement::Offer(offer, upgrade, place)
    }
}

#[allow(
    clippy::large_enum_variant,
    reason = "it is taken apart at once, and mostly it is the large one"
)]
enum Judgement {
    Pass,
    Refuse(HandshakeError),
    /// No socket for whom it may be: the layer answers by itself.
    Answer(HandshakeError),
    Offer(Offer, WebSocketUpgrade, Place),
}

/// An upgrade layer further out has spoken already.
fn is_judged(extensions: &http::Extensions) -> bool {
    extensions.get::<WebSocketUpgrade>().is_some() || extensions.get::<HandshakeError>().is_some()
}

impl<S, E, ReqBody, ResBody> Service<Request<ReqBody>> for Upgrade<S, E>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    S::Future: Send + 'static,
    E: Executor<Pipeline<S::Future>> + Clone,
{
    type Response = Response<UpgradeBody<ResBody>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, E>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        match self.judge(&request) {
            Judgement::Pass => ResponseFuture::passed(self.inner.call(request)),
            Judgement::Refuse(error) => {
                request.extensions_mut().insert(error);
                ResponseFuture::passed(self.inner.call(request))
            }
            Judgement::Answer(error) => ResponseFuture::refused(error),
            Judgement::Offer(offer, upgrade, place) => {
                Offer::leave(upgrade, request.extensions_mut());
                ResponseFuture::offered(Offered {
                    inner: Box::pin(self.inner.call(request)),
                    offer,
                    executor: self.executor.clone(),
                    surroundings: Surroundings {
                        endpoint_grace: self.settings.endpoint_grace,
                        span: CallSpan::current(),
                        place,
                    },
                })
            }
        }
    }
}
