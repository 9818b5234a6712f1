//! Messages are compressed where the client offers it and the server has it on: the answer tells, and so do the handles.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tower::{ServiceBuilder, service_fn};
use towline::{Closed, Compression, PerMessageDeflate, UpgradeLayer, WebSocketUpgrade};
use towline_testing::deflate::{Client, OFFER, RSV1, agree};
use towline_testing::{
    App, CLOSE, EVERYWHERE, NoBody, TEXT, Wire, app, close_body, frame, next, serve,
    tungstenite_echo,
};

/// What an endpoint finds out: before it accepts, of its socket, and when that has closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Told {
    negotiated: Option<PerMessageDeflate>,
    socket: Option<PerMessageDeflate>,
    closed: Option<PerMessageDeflate>,
}

impl Told {
    fn everywhere(agreed: Option<PerMessageDeflate>) -> Self {
        Self {
            negotiated: agreed,
            socket: agreed,
            closed: agreed,
        }
    }
}

/// An echo that tells, of a layer with these settings and an endpoint that makes `choose` of its upgrade.
fn telling(
    layer: Option<Compression>,
    choose: fn(WebSocketUpgrade) -> WebSocketUpgrade,
) -> (App, UnboundedReceiver<Told>) {
    let (tell, told) = mpsc::unbounded_channel();
    let endpoint = service_fn(move |request: Request<NoBody>| {
        let tell = tell.clone();
        async move {
            let upgrade = choose(WebSocketUpgrade::of(&request).unwrap());
            let negotiated = upgrade.negotiated_compression();
            let mut socket = upgrade.accept().await.unwrap();
            let compression = socket.compression();
            while let Some(message) = socket.recv().await {
                socket.send(message).await.unwrap();
            }
            let closed = socket.closed().await;
            let response = Response::<Full<Bytes>>::from(closed);
            let in_the_response = response.extensions().get::<Closed>().unwrap();
            let told = Told {
                negotiated,
                socket: compression,
                closed: in_the_response.compression(),
            };
            tell.send(told).unwrap();
            Ok::<_, Infallible>(response)
        }
    });
    let layer = UpgradeLayer::new().compression(layer);
    let stack = ServiceBuilder::new().layer(layer).service(endpoint);
    (app(stack), told)
}

/// A text that is long enough and becomes shorter.
fn text() -> String {
    "again and again, ".repeat(20)
}

async fn end(mut wire: Wire) {
    wire.write(frame(CLOSE, close_body(1000, ""))).await;
    assert_eq!(wire.closed_with().await, 1000);
}

#[tokio::test]
async fn an_accepted_offer_is_told_and_used() {
    let small = Compression::shared().server_window_bits(9).unwrap();
    let small = small.client_window_bits(10).unwrap();
    for (settings, offer, answer) in [
        (Compression::new(), OFFER, "permessage-deflate"),
        (
            Compression::new(),
            "permessage-deflate; client_max_window_bits; server_no_context_takeover",
            "permessage-deflate; server_no_context_takeover",
        ),
        (
            small,
            "permessage-deflate; client_max_window_bits",
            "permessage-deflate; client_no_context_takeover; client_max_window_bits=10",
        ),
    ] {
        let agreed = agree(offer, settings);
        assert_eq!(agreed.unwrap().to_string(), answer);
        let (app, mut told) = telling(Some(settings), |upgrade| upgrade);
        for (server, http) in EVERYWHERE {
            let address = serve(server, http, app.clone()).await;
            let mut client = Client::open(http, address, offer, settings).await;
            for _ in 0..3 {
                client.echo(text()).await;
            }
            end(client.wire).await;
            let everywhere = Told::everywhere(agreed);
            assert_eq!(next(&mut told).await, everywhere, "{server:?} {http:?}");
        }
    }
}

#[tokio::test]
async fn a_declined_offer_connects_uncompressed() {
    let (app, mut told) = telling(Some(Compression::new()), |upgrade| upgrade);
    let offers = [
        "permessage-deflate; server_max_window_bits=0",
        "permessage-deflate; server_max_window_bits=7",
        "permessage-deflate; server_max_window_bits=8",
        "permessage-deflate; server_max_window_bits=16",
        "permessage-deflate; server_max_window_bits=99",
        "permessage-deflate; server_max_window_bits=\"99\"",
        "permessage-deflate; server_max_window_bits=4294967306",
        "permessage-deflate; server_max_window_bits=010",
        "permessage-deflate; server_max_window_bits",
        "permessage-deflate; server_max_window_bits=10; server_max_window_bits=10",
        "permessage-deflate; client_max_window_bits=0",
        "permessage-deflate; client_max_window_bits=7",
        "permessage-deflate; client_max_window_bits=16",
        "permessage-deflate; client_max_window_bits=99",
        "permessage-deflate; client_max_window_bits; client_max_window_bits=10",
        "permessage-deflate; client_no_context_takeover; client_no_context_takeover",
        "permessage-deflate; server_no_context_takeover=1",
        "permessage-deflate; unknown",
        "permessage-deflate; mem_level=\"8\"",
        "x-webkit-deflate-frame, permessage-bzip2",
    ];
    for (server, http) in EVERYWHERE {
        let address = serve(server, http, app.clone()).await;
        for offer in offers {
            let (mut wire, answer) = Wire::offer(http, address, offer).await;
            let row = format!("{server:?} {http:?} {offer}");
            assert_eq!(answer, None, "{row}");
            wire.echo(text()).await;
            end(wire).await;
            assert_eq!(next(&mut told).await, Told::everywhere(None), "{row}");
        }
    }
}

#[tokio::test]
async fn the_first_offer_that_will_do_is_accepted() {
    let (app, mut told) = telling(Some(Compression::new()), |upgrade| upgrade);
    let widest = "permessage-deflate; server_max_window_bits=15";
    let table = [
        ("permessage-deflate; server_max_window_bits=\"15\"", widest),
        ("permessage-deflate; client_max_window_bits=8", OFFER),
        (
            "permessage-deflate; server_max_window_bits=8, permessage-deflate",
            OFFER,
        ),
        (
            "x-unknown; a=\"b\", permessage-deflate; unknown, permessage-deflate; server_max_window_bits=9, \
             permessage-deflate",
            "permessage-deflate; server_max_window_bits=9",
        ),
    ];
    for (server, http) in EVERYWHERE {
        let address = serve(server, http, app.clone()).await;
        for (offer, expected) in table {
            let (wire, answer) = Wire::offer(http, address, offer).await;
            let row = format!("{server:?} {http:?} {offer}");
            assert_eq!(answer.as_deref(), Some(expected), "{row}");
            let agreed = agree(offer, Compression::new()).unwrap();
            let mut client = Client::over(wire, &agreed, Compression::new());
            client.echo(text()).await;
            end(client.wire).await;
            assert_eq!(next(&mut told).await, Told::everywhere(Some(agreed)));
        }
    }
}

/// The library that reads a raw connection knows nothing of what was negotiated.
#[tokio::test]
async fn a_raw_connection_declines_every_offer() {
    let layer = UpgradeLayer::new().compression(Compression::new());
    let stack = ServiceBuilder::new()
        .layer(layer)
        .service_fn(tungstenite_echo);
    for (server, http) in EVERYWHERE {
        let address = serve(server, http, app(stack.clone())).await;
        let (mut wire, answer) = Wire::offer(http, address, OFFER).await;
        assert_eq!(answer, None, "{server:?} {http:?}");
        wire.echo(text()).await;
        end(wire).await;
    }
}

#[tokio::test]
async fn an_endpoint_overrides_its_layer() {
    let on = agree(OFFER, Compression::new());
    let shared = agree(OFFER, Compression::shared());
    type Choose = fn(WebSocketUpgrade) -> WebSocketUpgrade;
    let table: [(Option<Compression>, Choose, _); 5] = [
        (None, |upgrade| upgrade, None),
        (None, |upgrade| upgrade.compression(Compression::new()), on),
        (Some(Compression::new()), |upgrade| upgrade, on),
        (
            Some(Compression::new()),
            |upgrade| upgrade.compression(Compression::shared()),
            shared,
        ),
        (
            Some(Compression::new()),
            |upgrade| upgrade.compression(None),
            None,
        ),
    ];
    for (row, (layer, choose, agreed)) in table.into_iter().enumerate() {
        let (app, mut told) = telling(layer, choose);
        for (server, http) in EVERYWHERE {
            let address = serve(server, http, app.clone()).await;
            let (mut wire, answer) = Wire::offer(http, address, OFFER).await;
            let row = format!("{server:?} {http:?} {row}");
            assert_eq!(answer, agreed.map(|agreed| agreed.to_string()), "{row}");
            wire.write(frame(TEXT, text())).await;
            let (first, _) = wire.frame().await.unwrap();
            assert_eq!(first & RSV1 != 0, agreed.is_some(), "{row}");
            end(wire).await;
            assert_eq!(next(&mut told).await, Told::everywhere(agreed), "{row}");

            // Nor is anything compressed for a client that does not offer it.
            let mut plain = Wire::open(http, address).await;
            plain.echo(text()).await;
            end(plain).await;
            assert_eq!(next(&mut told).await, Told::everywhere(None), "{row}");
        }
    }
}
