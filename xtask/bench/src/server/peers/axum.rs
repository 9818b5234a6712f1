//! axum's `ws` under its own `serve`, as the docs of `axum::extract::ws` teach it.

use std::io;

use axum::Router;
use axum::extract::ws::{WebSocket, WebSocketUpgrade};
use axum::response::Response;
use axum::routing::any;
use axum::serve::ListenerExt;
use tokio::net::TcpListener;

pub(super) async fn serve(listener: TcpListener) -> io::Result<()> {
    let app = Router::new().route("/", any(handler));
    let listener = listener.tap_io(|stream| {
        // Without it the socket is slower, not wrong.
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, app).await
}

async fn handler(ws: WebSocketUpgrade) -> Response {
    ws.on_upgrade(handle_socket)
}

async fn handle_socket(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if socket.send(message).await.is_err() {
            return;
        }
    }
}
