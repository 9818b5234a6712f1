//! A layer whose policy reaches no socket says so, once.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::ws::WebSocketUpgrade;
use axum::routing::any;
use http::Version;
use tower::Layer;
use towline::test_util::{connect, http1, http2};
use towline::{EchoService, KeepAliveLayer, UpgradeLayer};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber, subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt};

/// The policies that were warned of.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

impl<S: Subscriber> tracing_subscriber::Layer<S> for Warnings {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if *event.metadata().level() == Level::WARN {
            event.record(&mut self.clone());
        }
    }
}

impl Visit for Warnings {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "policy" {
            self.0.lock().unwrap().push(value.to_owned());
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

#[tokio::test(start_paused = true)]
async fn by_one_warning() {
    let warnings = Warnings::default();
    let _guard = subscriber::set_default(tracing_subscriber::registry().with(warnings.clone()));
    let warned = || warnings.0.lock().unwrap().len();

    // A socket of this workspace takes it, on either side of the upgrade layer.
    let inside = UpgradeLayer::new().layer(KeepAliveLayer::new().layer(EchoService::new()));
    let outside = KeepAliveLayer::new().layer(UpgradeLayer::new().layer(EchoService::new()));
    for request in [http1("/"), http2("/")] {
        let version = request.version();
        let (_client, _) = connect(inside.clone(), request).await.unwrap();
        let request = if version == Version::HTTP_2 {
            http2("/")
        } else {
            http1("/")
        };
        let (_client, _) = connect(outside.clone(), request).await.unwrap();
    }
    assert_eq!(warned(), 0);

    // Another library's does not: the layer does nothing for it.
    let foreign = Router::new()
        .route(
            "/",
            any(async |upgrade: WebSocketUpgrade| upgrade.on_upgrade(async |_| {})),
        )
        .layer(KeepAliveLayer::new());
    for app in [foreign.clone(), foreign.layer(UpgradeLayer::new())] {
        let (_client, _) = connect(app, http1("/")).await.unwrap();
        assert_eq!(warned(), 1);
    }
    assert!(warnings.0.lock().unwrap()[0].contains("keepalive"));
}
