//! A client that goes away before the endpoint accepts takes the endpoint's future with it.

use futures_util::FutureExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tower::Layer;
use towline::UpgradeLayer;
use towline_testing::{EVERYWHERE, HANDSHAKE, Http, app, extended_connect, next, serve, undecided};

#[tokio::test]
async fn everywhere() {
    for (server, http) in EVERYWHERE {
        let (log, mut events) = mpsc::unbounded_channel();
        let address = serve(server, http, app(UpgradeLayer::new().layer(undecided(log)))).await;

        match http {
            Http::One => {
                let mut stream = TcpStream::connect(address).await.unwrap();
                stream.write_all(HANDSHAKE.as_bytes()).await.unwrap();
                assert_eq!(next(&mut events).await, "called");
                drop(stream);
            }
            Http::Two => {
                let mut connecting = Box::pin(extended_connect(address));
                tokio::select! {
                    _ = &mut connecting => panic!("answered"),
                    event = next(&mut events) => assert_eq!(event, "called"),
                }
                // A request dropped on HTTP/2 is reset: RST_STREAM.
                assert!(connecting.now_or_never().is_none());
            }
        }
        assert_eq!(next(&mut events).await, "dropped", "{server:?} {http:?}");
    }
}
