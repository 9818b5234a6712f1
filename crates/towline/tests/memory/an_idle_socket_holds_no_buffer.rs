//! What a socket needed for its messages is given back when they are through.

use std::net::SocketAddr;

use towline_testing::{BINARY, Http, KIB, MIB, PING, PONG, Server, TEXT, Wire, frame, serve};

use crate::heap::{Heap, alone, echo};

const SOCKETS: usize = 100;

#[test]
fn whatever_went_through_it() {
    alone(async {
        for server in [Server::Hyper, Server::Axum] {
            let address = serve(server, Http::One, echo(MIB)).await;
            let mut open = Vec::with_capacity(SOCKETS + 1);
            // The first one leaves the thread's own buffers, which serve all the others.
            open.push(used(address).await);
            let heap = Heap::now();
            for _ in 0..SOCKETS {
                open.push(used(address).await);
            }
            // The client's end has a part in this, above all its read buffer of 1 KiB.
            let each = heap.growth() / SOCKETS;
            assert!(each <= 5 * KIB, "{server:?}: {each} bytes a socket");
        }
    });
}

/// A socket that has echoed whatever there is.
async fn used(address: SocketAddr) -> Wire {
    let mut wire = Wire::open(Http::One, address).await;
    wire.echo("small").await;
    wire.echo(vec![7; 100 * KIB]).await;
    wire.write([frame(0x02, vec![7; 30 * KIB]), frame(0x80, "end")].concat())
        .await;
    assert_eq!(wire.frame().await.map(|(first, _)| first), Some(BINARY));
    wire.write(frame(TEXT, "many ").repeat(50)).await;
    for _ in 0..50 {
        assert_eq!(wire.frame().await, Some((TEXT, b"many ".to_vec())));
    }
    wire.write(frame(PING, [b'x'; 125])).await;
    assert_eq!(wire.frame().await, Some((PONG, vec![b'x'; 125])));
    wire
}
