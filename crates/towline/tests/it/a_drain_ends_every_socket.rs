//! A drain over every server and version: what was queued, then the Close; the rest is dropped at the deadline.

use std::convert::Infallible;
use std::future::pending;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use http::{Request, Response};
use http_body_util::Full;
use tokio::sync::mpsc;
use tower::{Layer, service_fn};
use towline::upgrade::Drained;
use towline::{Drain, Sockets, UpgradeLayer, WebSocket, WebSocketUpgrade};
use towline_testing::{
    App, EVERYWHERE, Guard, Http, NoBody, TEXT, Wire, app, connect, http2_request, next, refused,
    serve, tungstenite_echo, within,
};

/// An endpoint under the layer; anything that is no handshake is answered.
fn endpoint<F>(
    sockets: &Sockets,
    endpoint: impl Fn(WebSocket) -> F + Clone + Send + Sync + 'static,
) -> App
where
    F: Future<Output = ()> + Send + 'static,
{
    let inner = service_fn(move |request: Request<NoBody>| {
        let endpoint = endpoint.clone();
        async move {
            let Ok(upgrade) = WebSocketUpgrade::of(&request) else {
                return Ok(Response::new(Full::from("flows on")));
            };
            let served = upgrade.serve(endpoint).await;
            Ok::<Response<Full<Bytes>>, Infallible>(
                served.map_or_else(Response::from, Response::from),
            )
        }
    });
    app(UpgradeLayer::new().sockets(sockets).layer(inner))
}

async fn drain(sockets: &Sockets, drain: Drain) -> (usize, usize) {
    let Drained {
        closed, aborted, ..
    } = within(sockets.drain(drain)).await.unwrap();
    (closed, aborted)
}

#[tokio::test]
async fn what_was_queued_arrives_before_the_close() {
    // As much as may be queued while nobody reads.
    const MESSAGES: usize = 64;
    const SIZE: usize = 1000;

    for (server, http) in EVERYWHERE {
        let sockets = Sockets::new();
        let (log, mut events) = mpsc::unbounded_channel();
        let app = endpoint(&sockets, move |mut socket| {
            let log = log.clone();
            async move {
                for _ in 0..MESSAGES {
                    socket.send(vec![7; SIZE]).await.unwrap();
                }
                log.send(()).unwrap();
                while socket.recv().await.is_some() {}
            }
        });
        let address = serve(server, http, app).await;
        let mut clients = Vec::new();
        for _ in 0..5 {
            clients.push(connect(http, address).await);
        }
        let drained = tokio::spawn({
            let sockets = sockets.clone();
            async move {
                for _ in 0..5 {
                    next(&mut events).await;
                }
                drain(&sockets, Drain::new()).await
            }
        });
        for client in &mut clients {
            for _ in 0..MESSAGES {
                let message = within(client.socket.next()).await.unwrap().unwrap();
                assert_eq!(message.into_data().len(), SIZE);
            }
            assert_eq!(client.closed().await, Some(1001), "{server:?} {http:?}");
        }
        drop(clients);
        assert_eq!(
            within(drained).await.unwrap(),
            (5, 0),
            "{server:?} {http:?}"
        );
        assert_eq!(sockets.active(), 0);
    }
}

#[tokio::test]
async fn an_endpoint_finishes_by_itself_within_its_grace() {
    for (server, http) in EVERYWHERE {
        let sockets = Sockets::new();
        let app = endpoint(&sockets, async |mut socket: WebSocket| {
            socket.draining().await;
            socket.send("goodbye").await.unwrap();
            socket.close(4000, "").await.unwrap();
        });
        let address = serve(server, http, app).await;
        let mut client = connect(http, address).await;
        let drained = tokio::spawn(async move {
            let with = Drain::new().grace(Duration::from_secs(15));
            drain(&sockets, with).await
        });
        assert_eq!(client.recv().await, "goodbye");
        assert_eq!(client.closed().await, Some(4000), "{server:?} {http:?}");
        drop(client);
        assert_eq!(within(drained).await.unwrap(), (1, 0));
    }
}

/// One endpoint ignores the end of its socket, one peer the Close; a third socket is as it should be.
#[tokio::test]
async fn what_is_left_at_the_deadline_is_dropped_and_counted() {
    for (server, http) in EVERYWHERE {
        let sockets = Sockets::new();
        let (log, mut events) = mpsc::unbounded_channel();
        let app = endpoint(&sockets, move |mut socket| {
            let guard = Guard(log.clone(), "dropped");
            async move {
                let _guard = guard;
                if socket.recv().await.is_some() {
                    pending().await
                }
            }
        });
        let address = serve(server, http, app).await;
        let mut ignored = connect(http, address).await;
        ignored.send("stay").await;
        let mut silent = Wire::open(http, address).await;
        let mut good = connect(http, address).await;
        let drained = tokio::spawn(async move {
            let with = Drain::new().within(Duration::from_millis(700));
            drain(&sockets, with).await
        });
        assert_eq!(ignored.closed().await, Some(1001));
        assert_eq!(good.closed().await, Some(1001));
        drop((good, ignored));
        let silent_peer = tokio::spawn(async move {
            // The Close, and no answer.
            assert!(silent.frame().await.is_some());
            silent
        });
        assert_eq!(
            within(drained).await.unwrap(),
            (1, 2),
            "{server:?} {http:?}"
        );
        for _ in 0..3 {
            assert_eq!(next(&mut events).await, "dropped");
        }
        drop(silent_peer);
    }
}

#[tokio::test]
async fn meanwhile_handshakes_are_refused_and_requests_flow_on() {
    for (server, http) in EVERYWHERE {
        let sockets = Sockets::new();
        let app = endpoint(&sockets, async |mut socket: WebSocket| {
            while let Some(message) = socket.recv().await {
                socket.send(message).await.unwrap();
            }
        });
        let address = serve(server, http, app).await;
        let mut client = connect(http, address).await;
        let drained = tokio::spawn({
            let sockets = sockets.clone();
            let with = Drain::new().grace(Duration::from_secs(20));
            async move { drain(&sockets, with).await }
        });
        while !sockets.is_draining() {
            tokio::task::yield_now().await;
        }
        let refused = refused(http, address).await;
        assert_eq!(refused.status(), 503, "{server:?} {http:?}");
        let connection = refused.headers().get("connection");
        let close = (http == Http::One).then_some("close");
        assert_eq!(connection.map(|it| it.to_str().unwrap()), close);

        assert_eq!(plain_status(http, address).await, 200);
        client.echo("and so do messages").await;
        client.close().await;
        assert_eq!(within(drained).await.unwrap(), (1, 0));
    }
}

async fn plain_status(http: Http, address: std::net::SocketAddr) -> u16 {
    match http {
        Http::One => {
            let mut wire = Wire::over(tokio::net::TcpStream::connect(address).await.unwrap());
            wire.write("GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
                .await;
            wire.head().await
        }
        Http::Two => {
            let request = Request::builder().uri(format!("http://{address}/"));
            let request = request.body(NoBody::new()).unwrap();
            http2_request(address, request).await.status().as_u16()
        }
    }
}

#[tokio::test]
async fn a_socket_of_tungstenite_is_dropped_at_the_deadline() {
    for (server, http) in EVERYWHERE {
        let sockets = Sockets::new();
        let layer = UpgradeLayer::new().sockets(&sockets);
        let address = serve(server, http, app(layer.layer(service_fn(tungstenite_echo)))).await;
        let mut wire = Wire::open(http, address).await;
        wire.echo("before").await;
        let drained = tokio::spawn(async move {
            let with = Drain::new().within(Duration::from_millis(500));
            drain(&sockets, with).await
        });
        assert_eq!(within(drained).await.unwrap(), (0, 1));
        assert!(wire.frame().await.is_none_or(|(first, _)| first != TEXT));
    }
}
