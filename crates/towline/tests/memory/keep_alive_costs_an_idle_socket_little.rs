//! What keep-alive adds to a socket that does nothing: its state, and the one timer.

use tower::{Layer, ServiceBuilder};
use towline::{EchoService, KeepAliveLayer, UpgradeLayer};
use towline_testing::app;

use crate::heap::{alone, idle};

#[test]
fn of_memory() {
    alone(async {
        let without = idle(app(UpgradeLayer::new().layer(EchoService::new()))).await;
        let layers = ServiceBuilder::new()
            .layer(UpgradeLayer::new())
            .layer(KeepAliveLayer::new());
        let with = idle(app(layers.service(EchoService::new()))).await;
        let more = with.saturating_sub(without);
        assert!(more <= 200, "{more} bytes more than {without}");
    });
}
