//! What it adds to a socket that does nothing to be one of many: a weak link in a table, and a slot.

use tower::Layer;
use towline::{EchoService, Sockets, UpgradeLayer};
use towline_testing::{Http, KIB, Server, app, connect, serve};

use crate::heap::{Heap, alone, idle};

#[test]
fn of_memory() {
    alone(async {
        let layer = UpgradeLayer::new;
        let without = idle(app(layer().layer(EchoService::new()))).await;
        let sockets = Sockets::new();
        let many = layer().sockets(&sockets).max_sockets(10_000);
        let with = idle(app(many.layer(EchoService::new()))).await;
        let more = with.saturating_sub(without);
        assert!(more <= 96, "{more} bytes more than {without}");
    });
}

#[test]
fn and_nothing_when_it_is_gone() {
    const SOCKETS: usize = 2000;

    alone(async {
        let sockets = Sockets::new();
        let layer = UpgradeLayer::new().sockets(&sockets);
        let app = app(layer.layer(EchoService::new()));
        let address = serve(Server::Hyper, Http::One, app).await;
        connect(Http::One, address).await.close().await;
        let heap = Heap::now();
        for _ in 0..SOCKETS {
            connect(Http::One, address).await.close().await;
        }
        while sockets.active() > 0 {
            tokio::task::yield_now().await;
        }
        let growth = heap.growth();
        assert!(growth <= 100 * KIB, "{growth} bytes");
    });
}
