//! The handshake rules against the same rules written once more, as naively as can be.
//!
//! An input is the head of a request as text. `:protocol` stands among its lines.

mod generate;
mod head;

use http::{HeaderValue, StatusCode, Version};
use towline_protocol::handshake::{self, Handshake};
use tungstenite::handshake::derive_accept_key;

pub(super) use self::generate::generate;
use self::head::Head;

/// Checks a request, and what accepts it.
pub(crate) fn check(input: &[u8]) {
    let Some(head) = Head::parse(input) else {
        return;
    };
    let (parts, ()) = head.request().into_parts();
    let protocol = head.protocol();
    let request = handshake::Request::new(&parts, protocol.as_deref());

    assert_eq!(request.attempts_websocket(), head.attempts());
    let checked = request.check();
    assert_eq!(checked.is_ok(), head.is_valid(), "{checked:?}");
    if let Ok(handshake) = checked {
        check_accept(&handshake, &head);
    }
}

fn check_accept(handshake: &Handshake, head: &Head) {
    let offered = head.list("sec-websocket-protocol");
    assert!(handshake.protocols().eq(offered.iter().map(String::as_str)));

    let response = handshake
        .accept(None)
        .expect("no sub-protocol is offered always");
    let upgrade = head.version == Version::HTTP_11;
    let status = if upgrade {
        StatusCode::SWITCHING_PROTOCOLS
    } else {
        StatusCode::OK
    };
    assert_eq!(response.status(), status);
    let value = |name| response.headers().get(name).map(HeaderValue::as_bytes);
    assert_eq!(value("connection"), upgrade.then_some(&b"Upgrade"[..]));
    assert_eq!(value("upgrade"), upgrade.then_some(&b"websocket"[..]));
    assert_eq!(value("sec-websocket-protocol"), None);
    let accept = head.key().map(|key| derive_accept_key(key.as_bytes()));
    assert_eq!(
        value("sec-websocket-accept"),
        accept.as_ref().map(String::as_bytes)
    );

    for name in &offered {
        let response = handshake.accept(Some(name)).expect("it is offered");
        assert_eq!(response.headers()["sec-websocket-protocol"], name.as_str());
    }
    assert!(handshake.accept(Some("not, offered")).is_err());
}
