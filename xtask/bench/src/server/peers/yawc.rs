//! hyper and yawc, as its documentation of `WebSocket::upgrade_with_options` teaches it, at the level of the others.

use bytes::Bytes;
use futures_util::SinkExt;
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use tokio::net::TcpStream;
use yawc::{CompressionLevel, OpCode, Options, UpgradeFut, WebSocket, WebSocketError};

pub(super) async fn serve(stream: TcpStream) {
    super::http1(stream, service_fn(handle)).await;
}

async fn handle(mut request: Request<Incoming>) -> Result<Response<Empty<Bytes>>, WebSocketError> {
    let options = Options::default()
        .with_compression_level(CompressionLevel::new(6))
        .with_utf8();
    let (response, upgraded) = WebSocket::upgrade_with_options(&mut request, options)?;
    tokio::spawn(async move {
        // It ends with the connection, whose end is of no interest.
        let _ = echo(upgraded).await;
    });
    Ok(response)
}

async fn echo(upgraded: UpgradeFut) -> Result<(), WebSocketError> {
    let mut socket = upgraded.await?;
    loop {
        let frame = socket.next_frame().await?;
        match frame.opcode() {
            OpCode::Close => return Ok(()),
            OpCode::Text | OpCode::Binary => socket.send(frame).await?,
            _ => {}
        }
    }
}
