//! The Close is read to its last byte and nothing behind it, whatever the peer had still to send.

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tower::{ServiceBuilder, service_fn};
use towline::{EchoService, UpgradeLayer, WebSocketUpgrade};
use towline_testing::{
    App, BINARY, CLOSE, EVERYWHERE, Http, NoBody, TEXT, Wire, app, close_body, frame, next, serve,
};

/// 122 and 123 are the most that a Close has room for.
const LENGTHS: [usize; 4] = [0, 1, 122, 123];

fn echo() -> App {
    let layers = ServiceBuilder::new().layer(UpgradeLayer::new());
    app(layers.service(EchoService::new()))
}

/// A socket whose client still writes when it is refused: its kernel holds little for it.
async fn open_narrow(http: Http, address: SocketAddr) -> Wire {
    match http {
        Http::One => {
            let stream = TcpStream::connect(address).await.unwrap();
            SockRef::from(&stream).set_send_buffer_size(4096).unwrap();
            Wire::upgrade(stream).await
        }
        Http::Two => Wire::open(http, address).await,
    }
}

/// A connection that is dropped over unread input is reset: under the client's writes, and with the Close on its way.
#[tokio::test]
async fn a_violation_with_more_behind_it() {
    for (server, http) in EVERYWHERE {
        let address = serve(server, http, echo()).await;
        for trailing in [0, 64, 256, 900] {
            let mut wire = open_narrow(http, address).await;
            let mut bytes = b"\x81\x00".to_vec();
            bytes.extend(vec![0x55; trailing * 1024]);
            wire.write(bytes).await;
            let body = wire.closed().await;
            let row = format!("{server:?} {http:?} {trailing}");
            assert_eq!(body[..2], 1002_u16.to_be_bytes(), "{row}");
            assert_eq!(&body[2..], b"client frame without a mask", "{row}");
        }
    }
}

#[tokio::test]
async fn a_close_with_more_behind_it() {
    for (server, http) in EVERYWHERE {
        let address = serve(server, http, echo()).await;
        let mut wire = open_narrow(http, address).await;
        let close = frame(CLOSE, close_body(1000, "bye"));
        let rest = frame(BINARY, vec![7; 600 * 1024]);
        wire.write([&close[..], &rest, &rest].concat()).await;
        assert_eq!(
            wire.closed().await,
            close_body(1000, ""),
            "{server:?} {http:?}"
        );
    }
}

#[tokio::test]
async fn a_reason_of_the_endpoint() {
    let endpoint = service_fn(|request: Request<NoBody>| async move {
        let upgrade = WebSocketUpgrade::of(&request).unwrap();
        let served = upgrade.serve(|mut socket| async move {
            let order = socket.recv().await.unwrap();
            let reason = String::from_utf8(order.into_bytes().into()).unwrap();
            socket.close(4000, reason).await.unwrap();
        });
        Ok::<_, Infallible>(Response::<Full<Bytes>>::from(served.await.unwrap()))
    });
    let layers = ServiceBuilder::new().layer(UpgradeLayer::new());
    let app = app(layers.service(endpoint));
    for (server, http) in EVERYWHERE {
        let address = serve(server, http, app.clone()).await;
        for length in LENGTHS {
            let reason = "reason ".repeat(20)[..length].to_owned();
            let mut wire = Wire::open(http, address).await;
            wire.write(frame(TEXT, &reason)).await;
            let close = Some((CLOSE, close_body(4000, &reason)));
            assert_eq!(wire.frame().await, close, "{server:?} {http:?}");
            wire.write(frame(CLOSE, close_body(4000, ""))).await;
            assert_eq!(wire.frame().await, None, "{server:?} {http:?}");
        }
    }
}

#[tokio::test]
async fn a_reason_of_the_client() {
    let (told, mut tells) = mpsc::unbounded_channel();
    let endpoint = service_fn(move |request: Request<NoBody>| {
        let told = told.clone();
        async move {
            let upgrade = WebSocketUpgrade::of(&request).unwrap();
            let served =
                upgrade.serve(|mut socket| async move { while socket.recv().await.is_some() {} });
            let closed = served.await.unwrap();
            told.send(closed.clone()).unwrap();
            Ok::<_, Infallible>(Response::<Full<Bytes>>::from(closed))
        }
    });
    let layers = ServiceBuilder::new().layer(UpgradeLayer::new());
    let app = app(layers.service(endpoint));
    for (server, http) in EVERYWHERE {
        let address = serve(server, http, app.clone()).await;
        for length in LENGTHS {
            let reason = "reason ".repeat(20)[..length].to_owned();
            let mut wire = Wire::open(http, address).await;
            wire.write(frame(CLOSE, close_body(4321, &reason))).await;
            assert_eq!(wire.closed().await, close_body(4321, ""));
            let closed = next(&mut tells).await;
            assert_eq!((closed.code().into(), closed.reason()), (4321, &*reason));
        }
    }
}
