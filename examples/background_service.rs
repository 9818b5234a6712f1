//! A chat room that owns its sockets: `cargo run -p examples --bin background-service`.
//!
//! The endpoint hands each socket over to a background service and awaits `closed()`, so the middleware around the
//! endpoint lives until the socket closes although the endpoint does not hold it.

#[path = "echo-server/src/listen.rs"]
mod listen;

use std::collections::HashMap;
use std::io::{self, Write};

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::any;
use futures_util::stream::{self, SelectAll, StreamExt};
use tokio::sync::{mpsc, watch};
use tokio::task::yield_now;
use towline::{AcceptError, CloseCode, Closed, Message, Sender, TrySendError};
use towline::{OriginLayer, UpgradeLayer, WebSocket, WebSocketUpgrade};

use crate::listen::listen;

/// The room's application; `open` counts its sockets. It is called in a tokio runtime, where the room gets a task.
fn app(open: watch::Sender<usize>) -> Router {
    let (room, arrivals) = mpsc::channel(16);
    tokio::spawn(run(arrivals));
    Router::new()
        .route("/ws", any(join))
        .with_state(room)
        .layer(from_fn_with_state(open, count))
        .layer(UpgradeLayer::new().max_message_size(4 * 1024))
        .layer(OriginLayer::same_origin())
}

async fn count(State(open): State<watch::Sender<usize>>, request: Request, next: Next) -> Response {
    /// Counts down also when the request is dropped and not answered.
    struct Guard(watch::Sender<usize>);
    impl Drop for Guard {
        fn drop(&mut self) {
            self.0.send_modify(|open| *open -= 1);
        }
    }
    open.send_modify(|open| *open += 1);
    let _guard = Guard(open);
    next.run(request).await
}

async fn join(
    State(room): State<mpsc::Sender<WebSocket>>,
    upgrade: WebSocketUpgrade,
) -> Result<Closed, AcceptError> {
    let socket = upgrade.accept().await?;
    let closed = socket.closed();
    // Without a room the socket comes back in the error, and closes as that is dropped.
    let _ = room.send(socket).await;
    Ok(closed.await)
}

/// The background service: one task for all sockets. It ends when the application and all its sockets are gone.
async fn run(mut arrivals: mpsc::Receiver<WebSocket>) {
    let mut senders: HashMap<u64, Sender> = HashMap::new();
    // A receiver owns its socket; it is dropped when it has ended, and then `None` follows.
    let mut receivers = SelectAll::new();
    let mut id = 0;
    loop {
        tokio::select! {
            Some(socket) = arrivals.recv() => {
                let (sender, receiver) = socket.split();
                id += 1;
                senders.insert(id, sender);
                let messages = receiver.map(Some).chain(stream::iter([None]));
                receivers.push(messages.map(move |message| (id, message)));
            }
            Some((id, message)) = receivers.next() => match message {
                Some(message) => {
                    senders.retain(|_, sender| tell(sender, &message));
                    // Between two messages the sockets get to write the first.
                    yield_now().await;
                }
                None => drop(senders.remove(&id)),
            },
            else => break,
        }
    }
}

/// Nobody waits for a slow reader: who has 64 KiB outstanding must go. Whether the member stays.
fn tell(sender: &Sender, message: &Message) -> bool {
    let told = sender.try_send(message.clone());
    if let Err(TrySendError::Full(_)) = told {
        let _ = sender.control().close(CloseCode::POLICY, "too slow");
    }
    told.is_ok()
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let listener = listen(([127, 0, 0, 1], 5000).into())?;
    let address = listener.local_addr()?;
    writeln!(io::stdout(), "listening on http://{address}")?;
    let (open, mut changes) = watch::channel(0);
    tokio::spawn(async move {
        while changes.changed().await.is_ok() {
            eprintln!("{} in the room", *changes.borrow_and_update());
        }
    });
    axum::serve(listener, app(open)).await
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use futures_util::SinkExt;
    use http::HeaderValue;
    use tokio::net::{TcpListener, TcpSocket, TcpStream};
    use tokio_tungstenite::tungstenite::client::IntoClientRequest;
    use tokio_tungstenite::tungstenite::{Error, Message};
    use tokio_tungstenite::{WebSocketStream, client_async, connect_async};

    use super::*;

    type Client = WebSocketStream<TcpStream>;

    /// A room, and how many sockets are open in it.
    async fn serve() -> (SocketAddr, watch::Receiver<usize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (open, changes) = watch::channel(0);
        tokio::spawn(async move { axum::serve(listener, app(open)).await });
        (address, changes)
    }

    /// A member who is in the room, for it hears itself.
    async fn enter(address: SocketAddr) -> Client {
        let socket = TcpSocket::new_v4().unwrap();
        // What a slow reader leaves unread shall not all fit into the kernel.
        socket.set_recv_buffer_size(64 * 1024).unwrap();
        let stream = socket.connect(address).await.unwrap();
        let (mut client, _) = client_async(format!("ws://{address}/ws"), stream)
            .await
            .unwrap();
        client.send("here".into()).await.unwrap();
        hear(&mut client, "here").await;
        client
    }

    async fn hear(client: &mut Client, expected: &str) {
        assert_eq!(
            client.next().await.unwrap().unwrap(),
            Message::text(expected)
        );
    }

    #[tokio::test]
    async fn the_middleware_lives_as_long_as_the_sockets_that_were_handed_over() {
        let (address, mut open) = serve().await;
        let mut ann = enter(address).await;
        let mut ben = enter(address).await;
        hear(&mut ann, "here").await;
        assert_eq!(*open.borrow_and_update(), 2);

        ben.send("hello".into()).await.unwrap();
        hear(&mut ann, "hello").await;
        hear(&mut ben, "hello").await;

        ben.close(None).await.unwrap();
        drop(ben);
        open.wait_for(|open| *open == 1).await.unwrap();
        drop(ann);
        open.wait_for(|open| *open == 0).await.unwrap();
    }

    #[tokio::test]
    async fn a_slow_reader_does_not_stall_the_room() {
        let (address, mut open) = serve().await;
        let mut slow = enter(address).await;
        let mut talker = enter(address).await;
        let text = "x".repeat(4 * 1024);
        for _ in 0..1024 {
            talker.send(text.as_str().into()).await.unwrap();
            hear(&mut talker, &text).await;
        }

        let mut last = None;
        while let Some(Ok(message)) = slow.next().await {
            last = Some(message);
        }
        drop(slow);
        let Some(Message::Close(Some(close))) = last else {
            panic!("the slow reader was not told: {last:?}");
        };
        assert_eq!(
            (u16::from(close.code), close.reason.as_str()),
            (1008, "too slow")
        );
        open.wait_for(|open| *open == 1).await.unwrap();
    }

    #[tokio::test]
    async fn a_page_of_another_site_is_refused() {
        let (address, open) = serve().await;
        let mut request = format!("ws://{address}/ws").into_client_request().unwrap();
        let evil = HeaderValue::from_static("http://evil.example");
        request.headers_mut().insert("origin", evil);
        let Err(Error::Http(response)) = connect_async(request).await else {
            panic!("it got a socket");
        };
        assert_eq!(response.status(), 403);
        assert_eq!(*open.borrow(), 0);
    }
}
