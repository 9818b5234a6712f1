//! DATA frames without a byte cost no window in HTTP/2. h2 takes 100 of them on a connection, and then ends that.

use bytes::Bytes;
use h2::Reason;
use tokio::task::yield_now;
use tower::ServiceBuilder;
use towline::{EchoService, UpgradeLayer};
use towline_testing::http2::Connection;
use towline_testing::{Http, Server, app, serve, within};

#[tokio::test]
async fn in_order() {
    for server in [Server::Hyper, Server::Axum] {
        let layers = ServiceBuilder::new().layer(UpgradeLayer::new());
        let app = app(layers.service(EchoService::new()));
        let address = serve(server, Http::Two, app).await;
        let mut neighbour = Connection::open(address).await.socket().await;
        let mut connection = Connection::open(address).await;
        let mut stream = connection.socket().await;
        let mut sibling = connection.socket().await;
        for _ in 0..50 {
            stream.write(b"");
        }
        stream.echo("a few do no harm").await;
        sibling.echo("nor to others").await;

        for _ in 0..1000 {
            for _ in 0..100 {
                let _ = stream.send.send_data(Bytes::new(), false);
            }
            yield_now().await;
        }
        let error = within(connection.task).await.unwrap().unwrap_err();
        assert!(
            error.is_go_away() && error.is_remote(),
            "{server:?}: {error}"
        );
        assert_eq!(error.reason(), Some(Reason::ENHANCE_YOUR_CALM));
        neighbour.echo("on another connection").await;
    }
}
