//! What keep-alive adds to a socket that does nothing: its state, and the one timer.

use tower::{Layer, ServiceBuilder};
use towline::{EchoService, KeepAliveLayer, UpgradeLayer};

use crate::heap::{Heap, alone};
use crate::support::{App, Http, Server, app, serve};
use crate::wire::Wire;

/// These leave what all others share.
const FIRST: usize = 100;

const SOCKETS: usize = 900;

#[test]
fn of_memory() {
    alone(async {
        let without = each(app(UpgradeLayer::new().layer(EchoService::new()))).await;
        let layers = ServiceBuilder::new()
            .layer(UpgradeLayer::new())
            .layer(KeepAliveLayer::new());
        let with = each(app(layers.service(EchoService::new()))).await;
        let more = with.saturating_sub(without);
        assert!(more <= 200, "{more} bytes more than {without}");
    });
}

/// The bytes of one of many sockets.
async fn each(app: App) -> usize {
    let address = serve(Server::Hyper, Http::One, app).await;
    let mut open = Vec::with_capacity(FIRST + SOCKETS);
    for _ in 0..FIRST {
        open.push(used(address).await);
    }
    let before = Heap::settled().await;
    for _ in 0..SOCKETS {
        open.push(used(address).await);
    }
    Heap::settled().await;
    before.growth() / SOCKETS
}

async fn used(address: std::net::SocketAddr) -> Wire {
    let mut wire = Wire::open(Http::One, address).await;
    wire.echo("used").await;
    wire
}
