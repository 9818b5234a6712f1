//! The same with axum's own means: the extractor, `middleware::from_fn` and `Router::layer`.

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::any;
use tokio::sync::mpsc::{self, UnboundedSender, error::TryRecvError};
use tower::ServiceExt;
use towline::{AcceptError, CloseCode, Closed, SendError, UpgradeLayer, WebSocketUpgrade};
use towline_testing::{EVERYWHERE, NoBody, Server, connect, next, serve_axum, serve_hyper};

async fn endpoint(upgrade: WebSocketUpgrade) -> Result<Closed, AcceptError> {
    let served = upgrade.serve(|mut socket| async move {
        while let Some(message) = socket.recv().await {
            socket.send(message).await?;
        }
        Ok::<_, SendError>(())
    });
    served.await
}

async fn report(
    State(reports): State<UnboundedSender<Option<Closed>>>,
    request: Request,
    next: Next,
) -> Response {
    let response = next.run(request).await;
    let closed = response.extensions().get::<Closed>().cloned();
    reports.send(closed).unwrap();
    response
}

#[tokio::test]
async fn everywhere() {
    for (server, http) in EVERYWHERE {
        let (sender, mut reports) = mpsc::unbounded_channel();
        let router = Router::new()
            .route("/ws", any(endpoint))
            .layer(from_fn_with_state(sender, report))
            .layer(UpgradeLayer::new());
        let address = match server {
            Server::Axum => serve_axum(router).await,
            Server::Hyper => {
                let with_body = |request: http::Request<NoBody>| request.map(axum::body::Body::new);
                serve_hyper(http, router.map_request(with_body)).await
            }
        };

        let mut client = connect(http, address).await;
        client.echo("hello").await;
        assert_eq!(reports.try_recv().unwrap_err(), TryRecvError::Empty);
        client.close().await;

        let closed = next(&mut reports)
            .await
            .expect("the response carries how it ended");
        assert_eq!(closed.code(), CloseCode::NORMAL);
    }
}
