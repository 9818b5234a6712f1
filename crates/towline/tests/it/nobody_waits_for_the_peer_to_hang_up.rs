//! The socket has closed when both Closes are through: layers unwind then, though the peer keeps its connection.

use futures_util::{SinkExt, StreamExt};
use http::Response;
use tokio::sync::mpsc;
use tokio::time::{Duration, Instant};
use tokio_tungstenite::tungstenite::Message;
use tower::ServiceBuilder;
use towline::test_util::{connect, http1, http2};
use towline::{Closed, EchoService, UpgradeLayer};
use towline_testing::next;

#[tokio::test(start_paused = true)]
async fn over_both_versions_of_http() {
    for request in [http1("/ws"), http2("/ws")] {
        let (report, mut reports) = mpsc::unbounded_channel();
        let app = ServiceBuilder::new()
            .layer(UpgradeLayer::new())
            .map_response(move |response: Response<_>| {
                report
                    .send(response.extensions().get::<Closed>().cloned())
                    .unwrap();
                response
            })
            .service(EchoService::new());
        let (mut client, _) = connect(app, request).await.unwrap();
        client.send(Message::Close(None)).await.unwrap();
        let start = Instant::now();
        let closed = next(&mut reports).await.unwrap();
        assert!(closed.is_clean());
        // The clock is paused: any wait for the peer would show.
        assert_eq!(start.elapsed(), Duration::ZERO);
        assert_eq!(closed.duration(), Duration::ZERO);
        assert!(client.next().await.unwrap().unwrap().is_close());
    }
}
