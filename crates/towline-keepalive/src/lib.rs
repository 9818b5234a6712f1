//! Keep-alive, idle timeout and lifetime of WebSockets.
//!
//! A peer that vanished without a word (a laptop closed, a NAT that forgot, a cable pulled) leaves a socket that looks
//! idle for hours. [`KeepAliveLayer`] pings peers that are silent and ends the sockets of those that are gone; it can end
//! those that are idle or open for too long as well.
//!
//! | setting | default | what it does |
//! | --- | --- | --- |
//! | [`interval`](KeepAlive::interval) | 30 s | pings after this long without a byte received, give or take a tenth |
//! | [`timeout`](KeepAlive::timeout) | 20 s | nothing received since the ping left: Close 1011 "keep-alive timeout" is attempted, the connection dropped |
//! | [`strategy`](KeepAlive::strategy) | pings | or unsolicited pongs, which keep proxies content and detect nothing |
//! | [`idle_timeout`](KeepAlive::idle_timeout) | off | no message received for this long: Close 1001 "idle timeout" |
//! | [`max_lifetime`](KeepAlive::max_lifetime) | off | Close 1001 "maximum lifetime" |
//! | [`write_timeout`](KeepAlive::write_timeout) | 30 s | the peer takes not one byte of what is queued: the connection is dropped |
//! | [`stall_timeout`](KeepAlive::stall_timeout) | 5 min | the endpoint takes nothing of a full inbox: Close 1011 |
//!
//! Nobody is killed for what is not their fault: any byte is a sign of life; nothing counts against a peer while its
//! socket is not read, because the endpoint is busy; a ping that stands in line behind megabytes has not left yet; and a
//! deadline that is noticed late, after a stalled runtime or a suspended machine, starts over.
//!
//! ```
//! use std::time::Duration;
//!
//! use towline_keepalive::{KeepAlive, KeepAliveLayer};
//!
//! let defaults = KeepAliveLayer::new();
//! let patient = KeepAlive::new()
//!     .interval(Duration::from_secs(60))
//!     .idle_timeout(Duration::from_secs(600))
//!     .layer()?;
//! # let _ = (defaults, patient);
//!
//! let error = KeepAlive::new().interval(Duration::ZERO).layer().unwrap_err();
//! assert_eq!(error.to_string(), "the keep-alive interval is zero; `None` turns it off");
//! # Ok::<(), towline_keepalive::InvalidKeepAlive>(())
//! ```
//!
//! # Where to put it
//!
//! On either side of the upgrade layer, around the endpoints that are meant. Of two such layers the inner one counts, and
//! an endpoint's own settings before both: `upgrade.policy(KeepAlive::new().interval(None).policy()?)`.
//!
//! # Behind proxies
//!
//! The interval must be shorter than the time after which a proxy, a load balancer or a NAT drops an idle connection,
//! often 60 s. Pings go from end to end: what answers them is the client, not the proxy.
//!
//! # What it costs
//!
//! An idle socket has less than 200 bytes more, its timer among them, and a busy one some 150 beyond that. Most messages of
//! a busy socket neither read the clock nor touch the timer.
//!
//! # What it is not
//!
//! HTTP/2's own pings and TCP's keep-alive tell whether the connection's other end is there, which behind a proxy is that
//! proxy. On HTTP/2 one socket that is not read can take the whole connection's window and silence the sockets beside
//! it: the server's connection window should be the stream window times the number of streams.
//!
//! Over HTTP/2 a ping has left our queue when hyper has it. What hyper and the kernel hold before it the peer must read
//! within `timeout`: for clients that read slowly, lower `max_send_buf_size` of the server (hyper's default is 400 KiB).
//!
//! # Features
//!
//! | feature | what it adds |
//! | --- | --- |
//! | `tracing` | a warning, once, when a socket opens that knows nothing of the layer |

#![cfg_attr(docsrs, feature(doc_cfg))]

mod layer;
mod service;

mod machine;

mod error;
mod future;

pub use self::error::InvalidKeepAlive;
pub use self::future::ResponseFuture;
pub use self::layer::{KeepAlive, KeepAliveLayer, Strategy};
pub use self::service::KeepAliveService;
