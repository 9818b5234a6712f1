//! The whole stack of this workspace: hyper, the upgrade layer, the echo service.

use std::io;

use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tower::ServiceBuilder;
use towline::{Compression, EchoService, KeepAliveLayer, UpgradeLayer};

pub(super) async fn serve(
    listener: TcpListener,
    compression: Option<Compression>,
    keep_alive: Option<KeepAliveLayer>,
) -> io::Result<()> {
    let app = ServiceBuilder::new()
        .layer(UpgradeLayer::new().compression(compression))
        .option_layer(keep_alive)
        .service(EchoService::new());
    let app = TowerToHyperService::new(app);
    super::accept(listener, move |stream| super::http1(stream, app.clone())).await
}
