//! What makes the policies of a socket, and how it gets from a layer to the socket.

mod running;

mod activity;
mod decision;

use std::any::{TypeId, type_name};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use http::{Extensions, Method, Request, Response, StatusCode, Version};
use towline_protocol::handshake::accepted_status;

pub(crate) use self::decision::{Decision, End};
pub(crate) use self::running::Running;
use self::running::Several;
use crate::pipeline;
use crate::policy::SocketPolicy;
use crate::trace;
use crate::upgrade::WebSocketUpgrade;

/// Makes a [`SocketPolicy`] for each socket that opens.
///
/// A socket has at most one policy of a type: of several factories for it the one nearest to the endpoint counts, and
/// the endpoint's own ([`WebSocketUpgrade::policy`]) before all.
#[derive(Clone)]
pub struct PolicyFactory {
    key: TypeId,
    name: &'static str,
    make: Arc<dyn Make>,
}

/// Makes a policy, in the box in which it is to live.
trait Make: Send + Sync {
    /// As the only one of its socket.
    fn alone(&self, now: Instant) -> Option<Box<Running>>;

    /// As one of several.
    fn beside_others(&self, now: Instant) -> Option<Box<dyn SocketPolicy>>;
}

impl<P, F> Make for F
where
    P: SocketPolicy,
    F: Fn(Instant) -> Option<P> + Send + Sync,
{
    fn alone(&self, now: Instant) -> Option<Box<Running>> {
        Some(Box::new(Running::new(self(now)?)))
    }

    fn beside_others(&self, now: Instant) -> Option<Box<dyn SocketPolicy>> {
        Some(Box::new(self(now)?))
    }
}

impl PolicyFactory {
    /// A factory of `make`, which is called with the time at which a socket opens. Where it gives `None`, that socket has
    /// no policy of this type.
    pub fn new<P>(make: impl Fn(Instant) -> Option<P> + Send + Sync + 'static) -> Self
    where
        P: SocketPolicy,
    {
        Self {
            key: TypeId::of::<P>(),
            name: type_name::<P>(),
            make: Arc::new(make),
        }
    }

    /// Leaves the factory in a request on its way to the endpoint, if it attempts a WebSocket handshake. This is what a
    /// layer does in its `call`, on whichever side of the upgrade layer it stands.
    ///
    /// What comes back is for the response: [`Offered::check`].
    pub fn offer<B>(&self, request: &mut Request<B>) -> Offered {
        let attempts = pipeline::head(request).attempts_websocket();
        // What else names websocket is refused, or served as something else.
        let accepts = request.version() == Version::HTTP_11 || request.method() == Method::CONNECT;
        let accepted = accepted_status(request.version());
        let extensions = request.extensions_mut();
        // An upgrade layer further out has made its offer: the list is with that.
        let policies = match extensions.get_mut::<WebSocketUpgrade>() {
            Some(upgrade) => &mut upgrade.options.policies,
            None if attempts => extensions.get_or_insert_default::<Policies>(),
            None => return Offered(None),
        };
        policies.put(self.clone());
        Offered(accepts.then(|| policies.left(self.name, accepted)))
    }
}

impl fmt::Debug for PolicyFactory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PolicyFactory({})", self.name)
    }
}

/// A factory was left in a request; whether a socket takes it is known with the response.
#[derive(Clone, Debug)]
#[must_use = "a policy that no socket takes should not go unnoticed"]
pub struct Offered(Option<Arc<Left>>);

/// Factories were left in a request.
#[derive(Debug)]
struct Left {
    /// The first of them.
    name: &'static str,
    /// The status that accepts the handshake.
    accepted: StatusCode,
    /// A socket has taken them.
    claimed: AtomicBool,
}

impl Offered {
    /// Warns, once a process, when the response accepts a WebSocket that knows nothing of the policy: there is no upgrade
    /// layer, or the endpoint speaks by another library. The response of a socket of this one passes.
    pub fn check<B>(&self, response: &Response<B>) {
        static WARNED: AtomicBool = AtomicBool::new(false);
        let Some(left) = &self.0 else {
            return;
        };
        if response.status() == left.accepted
            && !left.claimed.load(Ordering::Acquire)
            && !WARNED.swap(true, Ordering::Relaxed)
        {
            trace::unclaimed(left.name);
        }
    }

    /// The response is pending. Once a socket has taken the policy it will be for as long as that is open, and there is
    /// nothing to check any more: this then gives back what the check needs. Only to save memory.
    pub fn pending(&mut self) {
        let left = self.0.as_ref();
        if left.is_some_and(|left| left.claimed.load(Ordering::Acquire)) {
            self.0 = None;
        }
    }
}

/// The factories on their way to a socket.
// Boxed: mostly there are none, and an upgrade moves.
#[derive(Clone, Debug, Default)]
pub(crate) struct Policies(Option<Box<List>>);

#[derive(Clone, Debug, Default)]
struct List {
    factories: Vec<PolicyFactory>,
    /// If they come from layers. Of all copies of the list.
    left: Option<Arc<Left>>,
}

impl Policies {
    /// What layers outside of the upgrade layer have left.
    pub(crate) fn take(extensions: &mut Extensions) -> Self {
        extensions.remove().unwrap_or_default()
    }

    /// Adds a factory, in place of one for policies of the same type.
    pub(crate) fn put(&mut self, factory: PolicyFactory) {
        let factories = &mut self.0.get_or_insert_default().factories;
        factories.retain(|other| other.key != factory.key);
        factories.push(factory);
    }

    fn left(&mut self, name: &'static str, accepted: StatusCode) -> Arc<Left> {
        let left = &mut self.0.get_or_insert_default().left;
        let new = || Left {
            name,
            accepted,
            claimed: AtomicBool::new(false),
        };
        Arc::clone(left.get_or_insert_with(|| Arc::new(new())))
    }

    /// A socket takes them.
    pub(crate) fn claim(&self) {
        if let Some(left) = self.0.as_ref().and_then(|list| list.left.as_ref()) {
            left.claimed.store(true, Ordering::Release);
        }
    }

    /// The policies of a socket that opens now; the clock is read if there may be one.
    fn make(&self, now: impl FnOnce() -> Instant) -> Option<Box<Running>> {
        let factories = &*self.0.as_ref()?.factories;
        let now = now();
        if let [factory] = factories {
            return factory.make.alone(now);
        }
        let made = factories
            .iter()
            .filter_map(|factory| factory.make.beside_others(now));
        let several: Vec<_> = made.collect();
        (!several.is_empty()).then(|| Box::new(Running::new(Several(several))) as _)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt;
    use towline_protocol::Limits;

    use super::*;
    use crate::pipeline::Offer;

    struct Nothing;
    struct Other;

    impl SocketPolicy for Nothing {}
    impl SocketPolicy for Other {}

    fn offer<P: SocketPolicy>(request: &mut Request<()>, make: fn() -> Option<P>) {
        let offered = PolicyFactory::new(move |_| make()).offer(request);
        drop(offered);
    }

    fn made(request: &mut Request<()>) -> usize {
        let list = Policies::take(request.extensions_mut()).0.unwrap();
        let made = list.factories.iter();
        let now = Instant::now();
        made.filter_map(|factory| factory.make.beside_others(now))
            .count()
    }

    #[test]
    fn only_an_attempt_at_a_handshake_gets_them() {
        let mut request = Request::new(());
        offer(&mut request, || Some(Nothing));
        assert!(request.extensions().is_empty());

        let (name, value) = ("upgrade", "websocket");
        let mut request = Request::builder().header(name, value).body(()).unwrap();
        offer(&mut request, || Some(Nothing));
        assert_eq!(made(&mut request), 1);
    }

    #[test]
    fn the_innermost_of_a_type_counts() {
        let mut request = Request::builder()
            .header("upgrade", "websocket")
            .body(())
            .unwrap();
        offer(&mut request, || Some(Nothing));
        offer(&mut request, || Some(Other));
        offer(&mut request, || None::<Nothing>);
        assert_eq!(made(&mut request), 1);
    }

    /// So `Offered::check` warns of a policy whose socket is a raw connection.
    #[test]
    fn a_raw_connection_claims_none() {
        let mut request = Request::builder()
            .header("host", "example.com")
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
            .body(())
            .unwrap();
        let handshake = pipeline::head(&request).check().unwrap();
        let on_upgrade = hyper::upgrade::on(&mut request);
        let is_claimed = |accept: fn(WebSocketUpgrade)| {
            let timeout = Duration::from_secs(1);
            let limits = Limits::default();
            let (_offer, upgrade) =
                Offer::new(handshake.clone(), on_upgrade.clone(), limits, timeout);
            let mut request = Request::new(());
            request.extensions_mut().insert(upgrade);
            let Offered(left) = PolicyFactory::new(|_| Some(Nothing)).offer(&mut request);
            accept(request.extensions_mut().remove().unwrap());
            left.unwrap().claimed.load(Ordering::Acquire)
        };
        assert!(is_claimed(|upgrade| drop(upgrade.accept().now_or_never())));
        assert!(!is_claimed(|upgrade| drop(
            upgrade.accept_raw().now_or_never()
        )));
    }
}
