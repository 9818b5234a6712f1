//! What goes wrong with one connection, at any moment of its upgrade, is nothing to the next.

use std::time::Duration;

use socket2::SockRef;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tower::ServiceBuilder;
use towline::{EchoService, UpgradeLayer};
use towline_testing::{HANDSHAKE, Http, Server, Wire, app, frame, serve};

const TIMES: usize = 1000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn that_reset_or_break_the_protocol() {
    for server in [Server::Hyper, Server::Axum] {
        let layers = ServiceBuilder::new().layer(UpgradeLayer::new());
        let app = app(layers.service(EchoService::new()));
        let address = serve(server, Http::One, app).await;
        let mut neighbour = Wire::open(Http::One, address).await;
        for time in 0..TIMES {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let reserved_bits = frame(0xf1, "x");
            let both = [HANDSHAKE.as_bytes(), &reserved_bits].concat();
            let sent = match time % 5 {
                0 => &both[..],
                1 => HANDSHAKE.as_bytes(),
                2 => &HANDSHAKE.as_bytes()[..HANDSHAKE.len() / 2],
                3 => &both[..both.len() - 3],
                _ => b"",
            };
            stream.write_all(sent).await.unwrap();
            if time % 10 != 0 {
                // Reset at once, which the server meets wherever it is by then.
                let socket = SockRef::from(&stream);
                socket.set_linger(Some(Duration::ZERO)).unwrap();
            }
        }
        neighbour.echo("unhurt").await;
        let mut wire = Wire::open(Http::One, address).await;
        wire.echo("served").await;
        wire.half_close().await;
        assert_eq!(wire.frame().await, None, "{server:?}");
    }
}
