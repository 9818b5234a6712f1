//! Endpoints that several tests need.

use std::convert::Infallible;
use std::future::pending;

use futures_util::{SinkExt, StreamExt};
use http::{Request, Response};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;
use tower::{Service, service_fn};
use towline_core::WebSocketUpgrade;

use crate::server::NoBody;

/// An endpoint that gives its raw connection to tungstenite, and echoes.
pub async fn tungstenite_echo(request: Request<NoBody>) -> Result<Response<NoBody>, Infallible> {
    let upgrade = WebSocketUpgrade::of(&request).unwrap();
    let raw = upgrade.accept_raw().await.unwrap();
    let mut stream = WebSocketStream::from_raw_socket(raw, Role::Server, None).await;
    while let Some(Ok(message)) = stream.next().await {
        if message.is_text() || message.is_binary() {
            stream.send(message).await.unwrap();
        }
    }
    Ok(Response::new(NoBody::new()))
}

/// An endpoint that has the offer of a socket and never decides; it logs `called`, and `dropped`.
pub fn undecided(
    log: mpsc::UnboundedSender<&'static str>,
) -> impl Service<
    Request<NoBody>,
    Response = Response<NoBody>,
    Error = Infallible,
    Future = impl Future<Output = Result<Response<NoBody>, Infallible>> + Send + 'static,
> + Clone
+ Send
+ Sync
+ 'static {
    service_fn(move |request: Request<NoBody>| {
        let guard = Guard(log.clone(), "dropped");
        log.send("called").unwrap();
        async move {
            let _guard = guard;
            let _upgrade = WebSocketUpgrade::of(&request).unwrap();
            pending().await
        }
    })
}

/// Tells the test when it is dropped.
pub struct Guard(pub mpsc::UnboundedSender<&'static str>, pub &'static str);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.send(self.1);
    }
}
