//! Policies of one's own on open sockets: `cargo run -p examples --bin socket-policies`.
//!
//! A socket of `/ws/60` closes with 1008 after 60 s, as if the token of its user had expired. Each socket may send
//! ten messages a second; more of them wait in the client, and nothing is lost.

#[path = "echo-server/src/listen.rs"]
mod listen;

use std::io::{self, Write};
use std::time::{Duration, Instant};

use axum::extract::{Path, Request};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::{Router, routing::any};
use towline::{
    AcceptError, Action, CloseCode, Closed, Event, PolicyFactory, SendError, SocketPolicy,
    SocketState, UpgradeLayer, WebSocket, WebSocketUpgrade, deadline_after,
};

use crate::listen::listen;

fn app() -> Router {
    Router::new()
        .route("/ws/{expires}", any(endpoint))
        .layer(middleware::from_fn(limit_rate))
        .layer(UpgradeLayer::new())
}

/// Ends the socket when the token expires. A revoked one is ended by `WebSocket::control`, from wherever it is noticed.
struct TokenExpiry {
    at: Instant,
}

impl SocketPolicy for TokenExpiry {
    fn deadline(&self) -> Option<Instant> {
        Some(self.at)
    }

    fn on_deadline(&mut self, _now: Instant, _state: &SocketState) -> Action {
        Action::close(CloseCode::POLICY, "token expired")
    }
}

/// A policy that the endpoint chooses, for it knows the token.
async fn endpoint(
    Path(expires): Path<u64>,
    upgrade: WebSocketUpgrade,
) -> Result<Closed, AcceptError> {
    let left = Duration::from_secs(expires);
    // The client chose it: `now + left` would panic at the end of what a clock can tell.
    let expiry = PolicyFactory::new(move |now| {
        let at = deadline_after(now, left);
        Some(TokenExpiry { at })
    });
    upgrade.policy(expiry).serve(echo).await
}

async fn echo(mut socket: WebSocket) -> Result<(), SendError> {
    while let Some(message) = socket.recv().await {
        socket.send(message).await?;
    }
    Ok(())
}

/// Lets a message cost a tenth of a second, of which a socket may save up one.
struct RateLimit {
    paid_until: Instant,
}

const COST: Duration = Duration::from_millis(100);
const SAVED: Duration = Duration::from_secs(1);

impl SocketPolicy for RateLimit {
    fn on_event(&mut self, now: Instant, event: Event, _state: &SocketState) -> Action {
        if !matches!(event, Event::MessageReceived { .. }) {
            return Action::None;
        }
        self.paid_until = self.paid_until.max(now) + COST;
        if self.paid_until > now + SAVED {
            return Action::PauseReading(self.paid_until - SAVED);
        }
        Action::None
    }

    fn watches_messages(&self) -> bool {
        true
    }
}

/// A policy that a layer leaves for every socket behind it.
async fn limit_rate(mut request: Request, next: Next) -> Response {
    let limit = PolicyFactory::new(|now| Some(RateLimit { paid_until: now }));
    let offered = limit.offer(&mut request);
    let response = next.run(request).await;
    offered.check(&response);
    response
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let listener = listen(([127, 0, 0, 1], 5000).into())?;
    writeln!(
        io::stdout(),
        "listening on http://{}",
        listener.local_addr()?
    )?;
    axum::serve(listener, app()).await
}

#[cfg(test)]
mod tests {
    use futures_util::{SinkExt, StreamExt};
    use tokio::time::Instant;
    use tokio_tungstenite::tungstenite::Message;
    use towline::test_util::{connect, http1, http2};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_socket_ends_with_its_token() {
        for request in [http1("/ws/60"), http2("/ws/60")] {
            let (mut client, _) = connect(app(), request).await.unwrap();
            let start = Instant::now();
            let Message::Close(Some(close)) = client.next().await.unwrap().unwrap() else {
                panic!("no close");
            };
            assert_eq!(start.elapsed().as_secs(), 60);
            assert_eq!(
                (u16::from(close.code), &*close.reason),
                (1008, "token expired")
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_may_be_valid_for_ever() {
        for request in [http1, http2] {
            let path = format!("/ws/{}", u64::MAX);
            let (mut client, _) = connect(app(), request(&path)).await.unwrap();
            client.send(Message::text("hello")).await.unwrap();
            assert!(client.next().await.unwrap().unwrap().is_text());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn messages_come_at_ten_a_second() {
        for request in [http1("/ws/60"), http2("/ws/60")] {
            let (mut client, _) = connect(app(), request).await.unwrap();
            let start = Instant::now();
            for _ in 0..50 {
                client.send(Message::text("hello")).await.unwrap();
                assert!(client.next().await.unwrap().unwrap().is_text());
            }
            // Ten are free.
            let elapsed = start.elapsed().as_millis();
            assert!((3900..4100).contains(&elapsed), "{elapsed} ms");
        }
    }
}
