//! The origin layer: refuses the WebSocket handshakes of foreign pages.
//!
//! A browser lets any page open a WebSocket to any server, with that server's cookies: neither the same-origin policy nor
//! CORS applies. What it does is name the page in `Origin`, and a server that looks at it keeps foreign pages from acting
//! as its user (cross-site WebSocket hijacking). [`OriginLayer`] looks.
//!
//! 1. A request that names websocket neither in `Upgrade` nor, over HTTP/2, in `:protocol` passes.
//! 2. A handshake, valid or not, passes without an `Origin` (no browser), or with one that a rule admits.
//! 3. Any other is refused: 403, no body, and an [`OriginRejection`] in the response's extensions. The inner service is not
//!    called. An `Origin` that is empty, repeated, malformed or `null` is refused whatever the rules are, but for
//!    [`allow_null`](OriginLayer::allow_null).
//!
//! ```
//! use std::convert::Infallible;
//!
//! use http::{Request, Response, StatusCode};
//! use towline_origin::{OriginLayer, OriginRejection, OriginRejectionKind};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let app = ServiceBuilder::new()
//!     .layer(
//!         OriginLayer::same_origin()
//!             .hosts(["app.example.com"])?
//!             .or_allow(["https://client.com", "https://*.example.com"])?,
//!     )
//!     .service(service_fn(async |_| Ok::<_, Infallible>(Response::new(()))));
//!
//! let from = |origin| {
//!     Request::builder()
//!         .header("host", "app.example.com")
//!         .header("upgrade", "websocket")
//!         .header("origin", origin)
//!         .body(())
//! };
//! for origin in ["https://app.example.com", "https://client.com", "https://a.b.example.com"] {
//!     assert_eq!(app.clone().oneshot(from(origin)?).await?.status(), StatusCode::OK);
//! }
//!
//! let refused = app.oneshot(from("https://evil.example")?).await?;
//! assert_eq!(refused.status(), StatusCode::FORBIDDEN);
//! let rejection = refused.extensions().get::<OriginRejection>().unwrap();
//! assert_eq!(rejection.kind(), OriginRejectionKind::NotAllowed);
//! assert_eq!(rejection.origin().unwrap(), "https://evil.example");
//! # Ok(())
//! # }
//! ```
//!
//! # Native clients
//!
//! A client that is no browser passes without an `Origin`. Many native clients send one by default:
//!
//! | `Origin` | sent by | admitted by |
//! | --- | --- | --- |
//! | `wss://host`, `ws://host:port`: the URL of the socket | Starscream, socket.io-client-swift, IXWebSocket | whatever admits `https://host` or `http://host:port`: [`same_origin`](OriginLayer::same_origin), or a list |
//! | `file://`, `content://`, `qrc://`: no host | arduinoWebSockets, WebViews, Qt | a list that names it, or `*` |
//! | `app://.`, `capacitor://localhost`, `tauri://localhost` | Electron, Capacitor, Tauri | a list that names it, or `*` |
//! | `null` | pages opened from a file, sandboxed frames | [`allow_null`](OriginLayer::allow_null), which admits every page |
//!
//! A [`predicate`](OriginLayer::predicate) is asked about all of these but `null`. No page in a browser has an origin with the
//! scheme `ws` or `wss`, so comparing these as `http` and `https` admits no page.
//!
//! # Where to put it
//!
//! Around whatever answers the handshake, at any distance: outside or inside of towline's upgrade layer, or in front of an
//! endpoint that upgrades by itself, such as axum's own extractor. It needs nothing else of towline. A layer decides for
//! the requests that go through it and leaves no mark on them, so two mounts have two lists, and of two layers around one
//! another each must admit the origin.
//!
//! It does nothing for ordinary requests: those are CORS's. socket.io's polling is such a request.
//!
//! # Deployment
//!
//! [`same_origin`](OriginLayer::same_origin) compares the origin with the host that the request names. A proxy in front of
//! the server may change that name:
//!
//! | the proxy | what to do |
//! | --- | --- |
//! | keeps `Host` (HAProxy, Caddy, Traefik; nginx with `proxy_set_header Host $http_host`) | nothing |
//! | strips the port (nginx with `$host`) | on another port than 80 and 443 every page is refused: let it send `$http_host` |
//! | puts its own name for the server there (nginx by default, Apache without `ProxyPreserveHost On`, many load balancers) | let it keep `Host`; or let it send `X-Forwarded-Host` and set [`trust_forwarded`](OriginLayer::trust_forwarded); or name the public origin by [`allow`](OriginLayer::allow) |
//! | ends TLS | nothing. To refuse the page of `http://` as well set [`scheme`](OriginLayer::scheme) to `https` |
//!
//! `trust_forwarded` believes `Forwarded`, `X-Forwarded-Host` and `X-Forwarded-Proto`. Leave it off unless every request
//! comes through a proxy that sets those itself. With it the scheme is compared, too, by what the proxy says. The `:scheme`
//! of HTTP/2 is no more than that hop's and is not looked at.
//!
//! When a page is refused that should not be, turn feature `tracing` on: the `debug` event of a refusal has the origin and
//! the host side by side.
//!
//! # What it cannot do
//!
//! - It authenticates nobody. What is no browser sends any `Origin` it likes, or none, and passes: it has no cookies of
//!   your user's to send with it. [`require_origin`](OriginLayer::require_origin) makes that no safer.
//! - `same_origin` alone does not stop DNS rebinding: an attacker's page may have a name that resolves to your server, and
//!   then its origin and the request's host are equal. [`hosts`](OriginLayer::hosts) stops it. A server on `localhost` or in
//!   a private network needs it most.
//! - It trusts a page as a whole, with all that was injected into it.
//! - `https://*.example.com` trusts whoever can get a name there. A forgotten one that points at somebody else's machine is
//!   enough.
//!
//! # Cost
//!
//! What passes allocates nothing, however long the lists are; an entry costs a comparison. A list can be
//! [replaced](AllowedOrigins::replace) while the server runs.
//!
//! # Cancel safety
//!
//! The decision falls within `call`. Dropping the response future drops the inner service's.
//!
//! # Features
//!
//! | feature | what it adds |
//! | --- | --- |
//! | `tracing` | a `debug` event for every handshake that is refused |

#![cfg_attr(docsrs, feature(doc_cfg))]

mod layer;
mod service;

mod body;
mod future;
mod trace;

mod allowed;
mod error;
mod origin;
mod policy;
mod target;

pub use self::allowed::AllowedOrigins;
pub use self::body::OriginBody;
pub use self::error::{InvalidOrigin, InvalidOriginKind, OriginRejection, OriginRejectionKind};
pub use self::future::ResponseFuture;
pub use self::layer::OriginLayer;
pub use self::origin::Origin;
pub use self::policy::OriginPolicy;
pub use self::service::OriginCheck;
