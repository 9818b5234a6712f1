//! The stack of most tests of keep-alive.

use tower::Layer;
use towline::UpgradeLayer;
use towline::keepalive::KeepAlive;
use towline_testing::memory::{App, under};

/// The upgrade layer and, inside of it, keep-alive.
pub(crate) fn stack(keep_alive: KeepAlive, app: App) -> App {
    under(UpgradeLayer::new(), keep_alive.layer().unwrap().layer(app))
}
