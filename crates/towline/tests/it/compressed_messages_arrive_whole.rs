//! Messages by permessage-deflate, in both directions: whole, in their order, and within the limits.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower::{ServiceBuilder, service_fn};
use towline::{
    CloseCode, Compression, EchoService, Message, SendOptions, UpgradeLayer, WebSocket,
    WebSocketUpgrade,
};
use towline_protocol::deflate::Fragment;
use towline_protocol::{Event, Opcode};
use towline_testing::deflate::{Client, OFFER, RSV1, noise};
use towline_testing::{
    App, BINARY, CLOSE, EVERYWHERE, Http, NoBody, PING, Server, TEXT, Wire, app, close_body, frame,
    serve,
};

/// Makes what a client must not send.
type Broken = fn(&mut Client) -> Vec<u8>;

const FIRST: Fragment = Fragment {
    first: true,
    last: false,
};
const MIDDLE: Fragment = Fragment {
    first: false,
    last: false,
};
const LAST: Fragment = Fragment {
    first: false,
    last: true,
};

const MIB: usize = 1024 * 1024;

fn echo(settings: Compression, max_message_size: usize) -> App {
    let layer = UpgradeLayer::new()
        .compression(settings)
        .max_message_size(max_message_size);
    let layers = ServiceBuilder::new().layer(layer);
    app(layers.service(EchoService::new()))
}

/// An application whose endpoint is `serve`.
fn endpoint<F>(serve: fn(WebSocket) -> F) -> App
where
    F: Future<Output = ()> + Send + 'static,
{
    let endpoint = service_fn(move |request: Request<NoBody>| async move {
        let upgrade = WebSocketUpgrade::of(&request).unwrap();
        let closed = upgrade.serve(serve).await.unwrap();
        Ok::<_, Infallible>(Response::<Full<Bytes>>::from(closed))
    });
    let layer = UpgradeLayer::new().compression(Compression::new());
    app(ServiceBuilder::new().layer(layer).service(endpoint))
}

fn text(len: usize) -> String {
    let mut text = "again and again, ".repeat(len / 17 + 1);
    text.truncate(len);
    text
}

#[tokio::test]
async fn of_every_size_and_with_or_without_contexts() {
    for settings in [Compression::new(), Compression::shared()] {
        for (server, http) in EVERYWHERE {
            let address = serve(server, http, echo(settings, MIB)).await;
            let mut client = Client::open(http, address, OFFER, settings).await;
            for len in [128, 129, 1000, 16 * 1024, 65_535, 65_536, 200_000, MIB] {
                client.echo(text(len)).await;
                client.echo(noise(len)).await;
            }
        }
    }
}

#[tokio::test]
async fn short_ones_and_those_sent_so_go_uncompressed() {
    let app = endpoint(|mut socket| async move {
        let plain = SendOptions::new().compress(false);
        let messages: [Message; 4] = [
            "".into(),
            text(127).into(),
            text(128).into(),
            vec![7; 128].into(),
        ];
        for message in messages {
            socket.send(message.clone()).await.unwrap();
            socket.send_with(message, plain).await.unwrap();
        }
        let (sender, _receiver) = socket.split();
        sender.send_with(text(5000), plain).await.unwrap();
        sender.try_send(text(5000)).unwrap();
    });
    for (server, http) in EVERYWHERE {
        let address = serve(server, http, app.clone()).await;
        let mut client = Client::open(http, address, OFFER, Compression::new()).await;
        for (first, message) in [
            (TEXT, Message::from("")),
            (TEXT, "".into()),
            (TEXT, text(127).into()),
            (TEXT, text(127).into()),
            (TEXT | RSV1, text(128).into()),
            (TEXT, text(128).into()),
            (BINARY | RSV1, vec![7; 128].into()),
            (BINARY, vec![7; 128].into()),
            (TEXT, text(5000).into()),
            (TEXT | RSV1, text(5000).into()),
        ] {
            let row = format!("{server:?} {http:?} {first:x} {}", message.len());
            assert_eq!(client.message().await, (first, message), "{row}");
        }
    }
}

/// A message of the client may be compressed or not, too.
#[tokio::test]
async fn in_fragments_with_pings_between_them() {
    for (server, http) in EVERYWHERE {
        let address = serve(server, http, echo(Compression::new(), MIB)).await;
        let mut client = Client::open(http, address, OFFER, Compression::new()).await;
        let whole = text(30_000);
        let (begin, rest) = whole.as_bytes().split_at(7);
        let (middle, end) = rest.split_at(20_000);
        for _ in 0..2 {
            let sent = [
                client.frame(Opcode::Text, FIRST, begin),
                frame(PING, "one"),
                client.frame(Opcode::Text, MIDDLE, middle),
                client.frame(Opcode::Text, MIDDLE, b""),
                frame(PING, "two"),
                client.frame(Opcode::Text, LAST, end),
                frame(TEXT, "uncompressed"),
                frame(0x01, "in two frames, "),
                frame(0x80, "neither compressed"),
            ]
            .concat();
            // However it is cut on its way.
            for piece in sent.chunks(11) {
                client.wire.write(piece).await;
            }
            let expected = [
                Event::Pong("one".into()),
                Event::Pong("two".into()),
                Event::Message(whole.as_str().into()),
                Event::Message("uncompressed".into()),
                Event::Message("in two frames, neither compressed".into()),
            ];
            for expected in expected {
                let (_, event) = client.next().await.unwrap();
                assert!(event == expected, "{server:?} {http:?}: {event:?}");
            }
        }
    }
}

#[tokio::test]
async fn messages_and_the_close_keep_their_order() {
    let app = endpoint(|mut socket| async move {
        let plain = SendOptions::new().compress(false);
        socket.send(text(300_000)).await.unwrap();
        socket.send("short").await.unwrap();
        socket.send_with(text(100_000), plain).await.unwrap();
        socket.send(noise(100_000)).await.unwrap();
        socket.send(text(1000)).await.unwrap();
        // Dropped: the Close comes behind all of them.
    });
    for (server, http) in EVERYWHERE {
        let address = serve(server, http, app.clone()).await;
        let mut client = Client::open(http, address, OFFER, Compression::new()).await;
        let expected: [Message; 5] = [
            text(300_000).into(),
            "short".into(),
            text(100_000).into(),
            noise(100_000).into(),
            text(1000).into(),
        ];
        for expected in expected {
            let (_, message) = client.message().await;
            assert!(message == expected, "{server:?} {http:?}");
        }
        let (_, close) = client.next().await.unwrap();
        assert!(matches!(close, Event::Close(Some(frame)) if frame.code() == CloseCode::NORMAL));
        client.wire.write(frame(CLOSE, close_body(1000, ""))).await;
        assert!(client.next().await.is_none());
    }
}

/// What the client sent before its Close is echoed before ours.
#[tokio::test]
async fn a_peer_that_closes_has_all_its_echoes() {
    for (server, http) in EVERYWHERE {
        let address = serve(server, http, echo(Compression::new(), MIB)).await;
        let mut client = Client::open(http, address, OFFER, Compression::new()).await;
        let messages: [Message; 3] = [
            text(400_000).into(),
            noise(200_000).into(),
            "and out".into(),
        ];
        let mut sent = Vec::new();
        for message in &messages {
            sent.extend(client.binary(message.as_bytes()));
        }
        sent.extend(frame(CLOSE, close_body(1000, "")));
        client.wire.write(sent).await;
        for message in &messages {
            let (_, echoed) = client.message().await;
            assert!(echoed.as_bytes() == message.as_bytes());
        }
        assert_eq!(client.wire.closed_with().await, 1000, "{server:?} {http:?}");
    }
}

#[tokio::test]
async fn the_limit_is_that_of_the_message() {
    const LIMIT: usize = 100_000;

    for (server, http) in EVERYWHERE {
        let address = serve(server, http, echo(Compression::new(), LIMIT)).await;
        let mut client = Client::open(http, address, OFFER, Compression::new()).await;
        for len in [LIMIT - 1, LIMIT] {
            client.echo(text(len)).await;
            // A little longer as it is compressed.
            client.echo(noise(len)).await;
        }
        for fragments in [false, true] {
            for payload in [Bytes::from(text(LIMIT + 1)), noise(LIMIT + 1)] {
                let mut client = Client::open(http, address, OFFER, Compression::new()).await;
                let sent = if fragments {
                    let (begin, end) = payload.split_at(LIMIT / 2);
                    [
                        client.frame(Opcode::Binary, FIRST, begin),
                        client.frame(Opcode::Binary, LAST, end),
                    ]
                    .concat()
                } else {
                    client.binary(&payload)
                };
                client.wire.write(sent).await;
                let row = format!("{server:?} {http:?} {fragments}");
                assert_eq!(client.wire.closed_with().await, 1009, "{row}");
            }
        }
    }
}

#[tokio::test]
async fn what_cannot_be_inflated_is_1007_and_the_bit_elsewhere_1002() {
    let rows: [(u16, &str, Broken); 13] = [
        (1007, "no block", |_| frame(0xc2, b"\xff\xff\xff")),
        (1007, "a stored length without its complement", |_| {
            frame(0xc2, b"\x00\x05\x00\x00\x00Hello")
        }),
        (1007, "farther back than there is anything", |_| {
            frame(0xc1, b"\xf2\x00\x11\x00\x00")
        }),
        (1007, "text that is no UTF-8", |client| {
            client.frame(Opcode::Text, Fragment::WHOLE, b"not \xff text")
        }),
        (1007, "text that ends within a character", |client| {
            client.frame(Opcode::Text, Fragment::WHOLE, b"\xe2\x82")
        }),
        (1007, "corrupt behind a good one", |client| {
            let mut sent = client.text("good");
            sent.extend(frame(0xc2, b"\xff\xff\xff"));
            sent
        }),
        (1002, "on a continuation", |client| {
            let mut sent = client.frame(Opcode::Text, FIRST, b"begun");
            sent.extend(frame(0xc0, ""));
            sent
        }),
        (1002, "on a continuation of an uncompressed one", |_| {
            [frame(0x01, "begun"), frame(0xc0, "")].concat()
        }),
        (1002, "on a ping", |_| frame(0xc9, "")),
        (1002, "on a pong", |_| frame(0xca, "")),
        (1002, "on a close", |_| frame(0xc8, close_body(1000, ""))),
        (1002, "another bit with it", |_| frame(0xe1, b"\x00")),
        (1002, "another bit", |_| frame(0xa1, "")),
    ];
    for (server, http) in EVERYWHERE {
        let address = serve(server, http, echo(Compression::new(), MIB)).await;
        for (code, name, sent) in rows {
            let mut client = Client::open(http, address, OFFER, Compression::new()).await;
            let sent = sent(&mut client);
            client.wire.write(sent).await;
            let closed = loop {
                match client.next().await.unwrap() {
                    (_, Event::Message(_)) => {}
                    (_, Event::Close(Some(frame))) => break frame.code(),
                    (_, other) => panic!("{other:?}"),
                }
            };
            assert_eq!(u16::from(closed), code, "{server:?} {http:?} {name}");
            assert!(client.next().await.is_none());
        }
    }
}

#[tokio::test]
async fn nothing_is_inflated_that_was_not_negotiated() {
    for (server, http) in EVERYWHERE {
        let address = serve(server, http, echo(Compression::new(), MIB)).await;
        let compressed = Client::open(http, address, OFFER, Compression::new())
            .await
            .text("compressed");
        for offer in [None, Some("permessage-deflate; server_max_window_bits=8")] {
            let mut wire = match offer {
                Some(offer) => Wire::offer(http, address, offer).await.0,
                None => Wire::open(http, address).await,
            };
            wire.write(&compressed).await;
            let row = format!("{server:?} {http:?} {offer:?}");
            assert_eq!(wire.closed_with().await, 1002, "{row}");
        }
    }
}

/// Sockets without contexts share compressors and inflaters, also while one of them is within a message.
#[tokio::test]
async fn what_is_shared_mixes_nothing_up() {
    let settings = Compression::shared();
    let address = serve(Server::Hyper, Http::One, echo(settings, MIB)).await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        clients.push(Client::open(Http::One, address, OFFER, settings).await);
    }
    for round in 0..3 {
        let payload = |index: usize| text(20_000 + 997 * index + round).replace('g', "é");
        let mut ends = Vec::new();
        for (index, client) in clients.iter_mut().enumerate() {
            let sent = client.text(&payload(index));
            let (begin, end) = sent.split_at(sent.len() / 2);
            client.wire.write(begin).await;
            ends.push(end.to_vec());
        }
        for (client, end) in clients.iter_mut().zip(ends) {
            client.wire.write(end).await;
        }
        for (index, client) in clients.iter_mut().enumerate() {
            let (first, message) = client.message().await;
            assert_eq!(first, TEXT | RSV1);
            assert!(message == payload(index).into(), "{index}");
        }
    }
}

#[tokio::test]
async fn messages_that_end_in_a_final_block_are_taken() {
    // RFC 7692, 7.2.3.4: "Hello" in a final block, with the octet of zeros after it. Some clients leave that out.
    let hello = b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00";
    let settings = [Compression::new(), Compression::shared()];
    for (server, http) in EVERYWHERE {
        for settings in settings {
            let address = serve(server, http, echo(settings, MIB)).await;
            let mut client = Client::open(http, address, OFFER, settings).await;
            for data in [&hello[..], &hello[..7], &hello[..7], &hello[..]] {
                client.wire.write(frame(TEXT | RSV1, data)).await;
                let (_, message) = client.message().await;
                assert_eq!(message, Message::from("Hello"), "{server:?} {http:?}");
            }
        }
    }
}
