//! What a layer does behind the inner service's answer happens when the socket has closed, and can read how.

use http::{Response, Version};
use tokio::sync::mpsc::{self, error::TryRecvError};
use tower::ServiceBuilder;
use towline::{CloseCode, Closed, ClosedBy, EchoService, UpgradeLayer};
use towline_testing::{EVERYWHERE, Http, app, connect, next, serve};

#[tokio::test]
async fn everywhere() {
    for (server, http) in EVERYWHERE {
        let (report, mut reports) = mpsc::unbounded_channel();
        let stack = ServiceBuilder::new()
            .layer(UpgradeLayer::new())
            .map_response(move |response: Response<_>| {
                let closed = response.extensions().get::<Closed>().cloned();
                report.send((response.status(), closed)).unwrap();
                response
            })
            .service(EchoService::new());
        let address = serve(server, http, app(stack)).await;

        let mut client = connect(http, address).await;
        client.echo("one").await;
        client.echo("three").await;
        assert_eq!(reports.try_recv().unwrap_err(), TryRecvError::Empty);
        client.close().await;

        let (status, closed) = next(&mut reports).await;
        let closed = closed.expect("the response carries how the socket ended");
        let (accepted, version) = match http {
            Http::One => (101, Version::HTTP_11),
            Http::Two => (200, Version::HTTP_2),
        };
        assert_eq!((status.as_u16(), closed.version()), (accepted, version));
        assert_eq!(
            (closed.by(), closed.code()),
            (ClosedBy::Peer, CloseCode::NORMAL)
        );
        assert!(closed.is_clean(), "{server:?} {http:?}");
        assert_eq!(
            (closed.messages_received(), closed.bytes_received()),
            (2, 8)
        );
        assert_eq!((closed.messages_sent(), closed.bytes_sent()), (2, 8));
    }
}
