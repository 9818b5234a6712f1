//! Only contexts that are kept from message to message cost an idle socket something.

use std::net::SocketAddr;

use tower::ServiceBuilder;
use towline::{Compression, EchoService, UpgradeLayer};
use towline_testing::deflate::{Client, OFFER, noise};
use towline_testing::{Http, KIB, Server, Wire, app, serve};

use crate::heap::{Heap, alone};

const SOCKETS: usize = 300;

/// The threads' own, which serve all sockets, are there after so many.
const WARM_UP: usize = 100;

/// What a socket costs that has echoed messages, with the client's end of it.
async fn each(settings: Option<Compression>, offers: bool) -> usize {
    let layer = UpgradeLayer::new().compression(settings);
    let app = app(ServiceBuilder::new()
        .layer(layer)
        .service(EchoService::new()));
    let address = serve(Server::Hyper, Http::One, app).await;
    let used = async || match settings {
        Some(settings) if offers => used_compressed(address, settings).await,
        _ => used(address).await,
    };
    let mut open = Vec::with_capacity(WARM_UP + SOCKETS);
    for _ in 0..WARM_UP {
        open.push(used().await);
    }
    let heap = Heap::now();
    for _ in 0..SOCKETS {
        open.push(used().await);
    }
    heap.growth() / SOCKETS
}

async fn used(address: SocketAddr) -> Wire {
    let mut wire = Wire::open(Http::One, address).await;
    wire.echo(text()).await;
    wire.echo(noise(100 * KIB)).await;
    wire
}

/// The same, compressed both ways; what the client had for that is gone.
async fn used_compressed(address: SocketAddr, settings: Compression) -> Wire {
    let mut client = Client::open(Http::One, address, OFFER, settings).await;
    client.echo(text()).await;
    client.echo(noise(100 * KIB)).await;
    client.wire
}

fn text() -> String {
    "again and again, ".repeat(100)
}

#[test]
fn beside_one_without_compression() {
    alone(async {
        let off = each(None, false).await;
        let not_offered = each(Some(Compression::new()), false).await;
        let shared = each(Some(Compression::shared()), true).await;
        let kept = each(Some(Compression::new()), true).await;
        println!("{off} off, {not_offered} not offered, {shared} shared, {kept} kept");
        assert!(not_offered.abs_diff(off) <= 64, "{not_offered}, {off}");
        assert!(shared <= off + KIB, "{shared}, {off}");
        // What the docs of `Compression` say, and some for what is not the contexts'.
        assert!((300 * KIB..320 * KIB).contains(&kept), "{kept}");
    });
}
