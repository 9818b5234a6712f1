//! One `debug` event for a refusal, none for what passes. A binary of its own: a thread without a subscriber that came to the
//! event first would turn it off for all.

#![cfg(feature = "tracing")]
#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::convert::Infallible;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use http::{Request, Response};
use tower::{ServiceBuilder, ServiceExt};
use towline_origin::OriginLayer;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<(Level, String)>>>);

impl<S: Subscriber> Layer<S> for Log {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let line = (*event.metadata().level(), fields.0);
        self.0.lock().unwrap().push(line);
    }
}

#[derive(Default)]
struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.push_str(&format!("{field}={value:?};"));
    }
}

#[tokio::test]
async fn with_origin_and_host_side_by_side() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(registry().with(log.clone()));
    let service = ServiceBuilder::new()
        .layer(OriginLayer::same_origin())
        .service_fn(async |_| Ok::<_, Infallible>(Response::new(())));
    for origin in ["https://example.com", "https://évil.example"] {
        let request = Request::builder()
            .header("host", "example.com")
            .header("upgrade", "websocket")
            .header("origin", origin);
        let request = request.body(()).unwrap();
        service.clone().oneshot(request).await.unwrap();
    }
    let lines = log.0.lock().unwrap().clone();
    assert_eq!(lines.len(), 1, "{lines:?}");
    let (level, line) = &lines[0];
    assert_eq!(*level, Level::DEBUG);
    for part in [
        "message=WebSocket handshake refused;",
        "reason=origin is malformed;",
        r#"origin=Some("https://\xc3\xa9vil.example");"#,
        r#"host=Some("example.com");"#,
    ] {
        assert!(line.contains(part), "{part} is not in {line}");
    }
}
