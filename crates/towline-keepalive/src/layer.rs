//! The settings, and the layer made of them.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tower_layer::Layer;
use towline_core::PolicyFactory;

use crate::error::InvalidKeepAlive;
use crate::machine::{Common, Machine, Settings};
use crate::service::KeepAliveService;

/// The settings of a [`KeepAliveLayer`], or of one socket.
///
/// `None` turns a part off, and so does [`Duration::MAX`]. Zero is an error of [`layer`](Self::layer) and
/// [`policy`](Self::policy).
#[derive(Clone, Copy, Debug)]
#[must_use = "settings do nothing until they are made a layer or a policy"]
pub struct KeepAlive {
    settings: Settings,
}

/// What is sent to a silent peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Strategy {
    /// Pings, which the peer must answer.
    #[default]
    PingPong,
    /// Pongs that answer nothing, every interval whatever else goes on. They keep the connection busy for the proxies on
    /// the way, and detect no dead peer: `timeout` does not apply.
    UnsolicitedPong,
}

impl KeepAlive {
    /// The default settings.
    pub fn new() -> Self {
        let settings = Settings {
            interval: Some(Duration::from_secs(30)),
            timeout: Some(Duration::from_secs(20)),
            strategy: Strategy::PingPong,
            idle_timeout: None,
            max_lifetime: None,
            write_timeout: Some(Duration::from_secs(30)),
            stall_timeout: Some(Duration::from_secs(300)),
        };
        Self { settings }
    }

    /// Pings after this long without a byte received. `None`: never. Default: 30 s.
    ///
    /// Each wait is up to a tenth longer or shorter, and the first of a socket up to half shorter, so that sockets do not
    /// ping in step, also those that were opened together.
    pub fn interval(mut self, interval: impl Into<Option<Duration>>) -> Self {
        self.settings.interval = interval.into();
        self
    }

    /// How long nothing at all may be received after a ping has left our queue. Then a Close 1011 "keep-alive timeout" is
    /// attempted and the connection dropped. `None`: for ever. Default: 20 s.
    pub fn timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.settings.timeout = timeout.into();
        self
    }

    /// What is sent. Default: [`Strategy::PingPong`].
    pub fn strategy(mut self, strategy: Strategy) -> Self {
        self.settings.strategy = strategy;
        self
    }

    /// How long no message may come before the socket closes with 1001 "idle timeout". Pings and pongs are no messages.
    /// Default: `None`.
    pub fn idle_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.settings.idle_timeout = timeout.into();
        self
    }

    /// How long a socket may be open before it closes with 1001 "maximum lifetime". Default: `None`.
    pub fn max_lifetime(mut self, lifetime: impl Into<Option<Duration>>) -> Self {
        self.settings.max_lifetime = lifetime.into();
        self
    }

    /// How long the peer may take not one byte of what is queued for it before the connection is dropped. Default: 30 s.
    ///
    /// What it takes is seen as its side and the kernel tell of it: over TCP on Linux, some 32 KiB at a time.
    ///
    /// Over HTTP/2 the pipeline ends; hyper may keep the stream as long as the connection.
    pub fn write_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.settings.write_timeout = timeout.into();
        self
    }

    /// How long the endpoint may take no message while its inbox is full, so that nothing is read, before the socket
    /// closes with 1011. Default: 5 min.
    ///
    /// An endpoint that only sends calls [`Receiver::discard`](towline_core::Receiver::discard).
    pub fn stall_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.settings.stall_timeout = timeout.into();
        self
    }

    /// The layer of these settings.
    ///
    /// # Errors
    ///
    /// A duration is zero.
    pub fn layer(self) -> Result<KeepAliveLayer, InvalidKeepAlive> {
        let factory = self.policy()?;
        Ok(KeepAliveLayer { factory })
    }

    /// The settings for one socket: [`WebSocketUpgrade::policy`](towline_core::WebSocketUpgrade::policy) takes them in
    /// place of a layer's.
    ///
    /// # Errors
    ///
    /// A duration is zero.
    pub fn policy(self) -> Result<PolicyFactory, InvalidKeepAlive> {
        self.check()?;
        Ok(self.factory())
    }

    fn check(&self) -> Result<(), InvalidKeepAlive> {
        let durations = [
            ("interval", self.settings.interval),
            ("timeout", self.settings.timeout),
            ("idle timeout", self.settings.idle_timeout),
            ("maximum lifetime", self.settings.max_lifetime),
            ("write timeout", self.settings.write_timeout),
            ("stall timeout", self.settings.stall_timeout),
        ];
        let mut zero = durations
            .into_iter()
            .filter(|(_, it)| *it == Some(Duration::ZERO));
        match zero.next() {
            Some((setting, _)) => Err(InvalidKeepAlive { setting }),
            None => Ok(()),
        }
    }

    fn factory(self) -> PolicyFactory {
        let common = Arc::new(Common {
            settings: self.settings,
            epoch: Instant::now(),
        });
        PolicyFactory::new(move |now| {
            // Different for each socket, and that is all there is to ask of it.
            let seed = RandomState::new().hash_one(()) as u32;
            let any = common.settings.any();
            any.then(|| Machine::new(Arc::clone(&common), seed, now))
        })
    }
}

impl Default for KeepAlive {
    fn default() -> Self {
        Self::new()
    }
}

/// Pings silent peers, and ends the sockets of those that are gone, idle or open for too long.
///
/// See the [crate documentation](crate). Made by [`KeepAlive::layer`] with other settings than the default ones.
#[derive(Clone, Debug)]
#[must_use = "a layer does nothing until it is applied to a service"]
pub struct KeepAliveLayer {
    factory: PolicyFactory,
}

impl KeepAliveLayer {
    /// A layer with the default settings.
    pub fn new() -> Self {
        let factory = KeepAlive::new().factory();
        Self { factory }
    }
}

impl Default for KeepAliveLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for KeepAliveLayer {
    type Service = KeepAliveService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        KeepAliveService::new(inner, self.factory.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_is_an_error_of_each_duration() {
        let zero = Duration::ZERO;
        let rows = [
            ("interval", KeepAlive::new().interval(zero)),
            ("timeout", KeepAlive::new().timeout(zero)),
            ("idle timeout", KeepAlive::new().idle_timeout(zero)),
            ("maximum lifetime", KeepAlive::new().max_lifetime(zero)),
            ("write timeout", KeepAlive::new().write_timeout(zero)),
            ("stall timeout", KeepAlive::new().stall_timeout(zero)),
        ];
        for (setting, keep_alive) in rows {
            assert_eq!(keep_alive.layer().unwrap_err().setting(), setting);
            assert_eq!(keep_alive.policy().unwrap_err().setting(), setting);
        }
    }
}
