//! Offers, also those of real clients, and their answers.

use std::collections::HashMap;

use http::HeaderMap;
use proptest::prelude::*;

use super::*;
use crate::handshake::offers;

fn negotiate(lines: &[&str], compression: &Compression) -> String {
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append("sec-websocket-extensions", line.parse().unwrap());
    }
    let offers = offers(&headers).unwrap();
    let agreed = offers.negotiate(compression);
    agreed.map_or_else(String::new, |agreed| agreed.to_string())
}

#[test]
fn offers_and_their_answers() {
    let plain = "permessage-deflate";
    let widest = "permessage-deflate; server_max_window_bits=15";
    for (offer, answer) in [
        ("", ""),
        ("permessage-deflate", plain),
        ("permessage-deflate; client_max_window_bits", plain),
        ("permessage-deflate; client_max_window_bits=8", plain),
        (
            "permessage-deflate; client_max_window_bits=10",
            "permessage-deflate; client_max_window_bits=10",
        ),
        ("permessage-deflate; server_max_window_bits=15", widest),
        ("permessage-deflate; server_max_window_bits=\"15\"", widest),
        (
            "permessage-deflate; server_max_window_bits=9",
            "permessage-deflate; server_max_window_bits=9",
        ),
        (
            "permessage-deflate; server_no_context_takeover",
            "permessage-deflate; server_no_context_takeover",
        ),
        (
            "permessage-deflate; client_no_context_takeover",
            "permessage-deflate; client_no_context_takeover",
        ),
        ("x-webkit-deflate-frame, permessage-deflate", plain),
        (
            "permessage-deflate; server_max_window_bits=8, permessage-deflate",
            plain,
        ),
        (
            "permessage-deflate; what, permessage-deflate; server_max_window_bits=10, permessage-deflate",
            "permessage-deflate; server_max_window_bits=10",
        ),
        // Declined.
        ("permessage-deflate; server_max_window_bits=8", ""),
        ("permessage-deflate; server_max_window_bits=0", ""),
        ("permessage-deflate; server_max_window_bits=7", ""),
        ("permessage-deflate; server_max_window_bits=16", ""),
        ("permessage-deflate; server_max_window_bits=99", ""),
        ("permessage-deflate; server_max_window_bits=012", ""),
        ("permessage-deflate; server_max_window_bits=1", ""),
        ("permessage-deflate; server_max_window_bits=\"99\"", ""),
        ("permessage-deflate; server_max_window_bits", ""),
        (
            "permessage-deflate; server_max_window_bits=10; server_max_window_bits=10",
            "",
        ),
        ("permessage-deflate; client_max_window_bits=7", ""),
        ("permessage-deflate; client_max_window_bits=16", ""),
        (
            "permessage-deflate; client_max_window_bits; client_max_window_bits",
            "",
        ),
        ("permessage-deflate; server_no_context_takeover=1", ""),
        ("permessage-deflate; client_no_context_takeover=true", ""),
        (
            "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
            "",
        ),
        ("permessage-deflate; unknown", ""),
        ("permessage-deflate; unknown=1", ""),
        ("permessage-bzip2", ""),
        ("PERMESSAGE-DEFLATE", ""),
    ] {
        let lines: &[&str] = if offer.is_empty() { &[] } else { &[offer] };
        assert_eq!(negotiate(lines, &Compression::new()), answer, "{offer}");
    }
}

#[test]
fn lines_are_one_list() {
    let lines = [
        "permessage-deflate; unknown",
        "permessage-deflate; server_max_window_bits=11",
    ];
    let answer = "permessage-deflate; server_max_window_bits=11";
    assert_eq!(negotiate(&lines, &Compression::new()), answer);
}

#[test]
fn settings_of_the_client_are_told_and_those_of_the_server_are_not() {
    let settings = Compression::shared().client_window_bits(11).unwrap();
    let settings = settings.server_window_bits(9).unwrap();
    let takeover = "permessage-deflate; client_no_context_takeover";
    assert_eq!(negotiate(&["permessage-deflate"], &settings), takeover);
    assert_eq!(
        negotiate(&["permessage-deflate; client_max_window_bits"], &settings),
        format!("{takeover}; client_max_window_bits=11")
    );
    assert_eq!(
        negotiate(
            &["permessage-deflate; server_no_context_takeover; server_max_window_bits=12"],
            &settings
        ),
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
         server_max_window_bits=12"
    );
}

/// The parameters of an offer or an answer with their values.
#[derive(Debug)]
struct Parameters(HashMap<String, Option<u8>>);

impl Parameters {
    /// Reads `permessage-deflate; name; name=value`, each name at most once.
    fn of(extension: &str) -> Self {
        let mut parts = extension.split("; ");
        assert_eq!(parts.next(), Some("permessage-deflate"), "{extension}");
        let mut parameters = HashMap::new();
        for part in parts {
            let (name, value) = match part.split_once('=') {
                Some((name, value)) => (name, Some(value.parse().unwrap())),
                None => (part, None),
            };
            let before = parameters.insert(name.to_owned(), value);
            assert_eq!(before, None, "{extension}");
        }
        Self(parameters)
    }

    fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    fn value(&self, name: &str) -> Option<u8> {
        self.0.get(name).copied().flatten()
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

const SERVER_TAKEOVER: &str = "server_no_context_takeover";
const CLIENT_TAKEOVER: &str = "client_no_context_takeover";
const SERVER_BITS: &str = "server_max_window_bits";
const CLIENT_BITS: &str = "client_max_window_bits";

/// A client, its offer, and the answers that it takes.
struct Client {
    name: &'static str,
    offer: &'static str,
    takes: fn(offer: &Parameters, answer: &Parameters) -> bool,
}

/// RFC 7692's rules for a client, which Chromium and Firefox follow.
fn by_the_rfc(offer: &Parameters, answer: &Parameters) -> bool {
    let client_bits = answer.value(CLIENT_BITS);
    (!offer.has(SERVER_TAKEOVER) || answer.has(SERVER_TAKEOVER))
        && offer
            .value(SERVER_BITS)
            .is_none_or(|most| answer.value(SERVER_BITS).is_some_and(|bits| bits <= most))
        && (offer.has(CLIENT_BITS) || !answer.has(CLIENT_BITS))
        && client_bits.is_none_or(|bits| bits <= offer.value(CLIENT_BITS).unwrap_or(15))
}

/// `acceptAsClient` of ws 8 looks at the limits of the client only.
fn ws(offer: &Parameters, answer: &Parameters) -> bool {
    let most = offer.value(CLIENT_BITS).unwrap_or(15);
    answer.has(CLIENT_BITS) == answer.value(CLIENT_BITS).is_some()
        && answer.value(CLIENT_BITS).is_none_or(|bits| bits <= most)
}

/// `verifyServerExtensions` of coder/websocket 1.8.7 knows two parameters.
fn coder(_: &Parameters, answer: &Parameters) -> bool {
    answer
        .names()
        .all(|name| name == SERVER_TAKEOVER || name == CLIENT_TAKEOVER)
}

/// `PerMessageDeflateClientExtensionHandshaker` of Netty 4.1.48.
fn netty(offer: &Parameters, answer: &Parameters) -> bool {
    let names = [SERVER_TAKEOVER, CLIENT_TAKEOVER, CLIENT_BITS];
    names
        .iter()
        .all(|name| offer.has(name) || !answer.has(name))
        && (!offer.has(SERVER_TAKEOVER) || answer.has(SERVER_TAKEOVER))
        && offer.value(SERVER_BITS).unwrap_or(15) == answer.value(SERVER_BITS).unwrap_or(15)
}

/// `process_response_params` of Python's websockets 17.
fn websockets(offer: &Parameters, answer: &Parameters) -> bool {
    by_the_rfc(offer, answer)
}

#[rustfmt::skip] // One row a line.
const CLIENTS: [Client; 14] = [
    Client { name: "Chromium", offer: "permessage-deflate; client_max_window_bits", takes: by_the_rfc },
    Client { name: "Firefox", offer: "permessage-deflate", takes: by_the_rfc },
    Client { name: "ws", offer: "permessage-deflate; client_max_window_bits", takes: ws },
    Client { name: "ws, small", offer: "permessage-deflate; server_max_window_bits=9; client_max_window_bits=9", takes: ws },
    Client { name: "coder/websocket", offer: "permessage-deflate", takes: coder },
    Client { name: "coder/websocket without takeover", offer: "permessage-deflate; client_no_context_takeover; server_no_context_takeover", takes: coder },
    Client { name: "Netty", offer: "permessage-deflate; client_max_window_bits", takes: netty },
    Client { name: "Netty without windows", offer: "permessage-deflate", takes: netty },
    Client { name: "Netty, window 13", offer: "permessage-deflate; server_max_window_bits=13; client_max_window_bits", takes: netty },
    Client { name: "Netty without takeover", offer: "permessage-deflate; server_no_context_takeover; client_no_context_takeover; client_max_window_bits", takes: netty },
    Client { name: "websockets", offer: "permessage-deflate; client_max_window_bits", takes: websockets },
    Client { name: "websockets, window 15", offer: "permessage-deflate; server_max_window_bits=15; client_max_window_bits=15", takes: websockets },
    Client { name: "websockets, window 10", offer: "permessage-deflate; server_max_window_bits=10; client_max_window_bits=10", takes: websockets },
    Client { name: "websockets without takeover", offer: "permessage-deflate; server_no_context_takeover; client_no_context_takeover", takes: websockets },
];

/// The clients that fail the handshake over the answer of a server with these settings.
fn refusing(settings: &Compression) -> Vec<&'static str> {
    let refuses = |client: &&Client| {
        let answer = negotiate(&[client.offer], settings);
        !(client.takes)(&Parameters::of(client.offer), &Parameters::of(&answer))
    };
    CLIENTS
        .iter()
        .filter(refuses)
        .map(|client| client.name)
        .collect()
}

#[test]
fn real_clients_take_the_answer_to_their_offer() {
    for server_bits in 9..=15 {
        for client_bits in 9..=15 {
            for server_takeover in [false, true] {
                let settings = Compression::new()
                    .server_no_context_takeover(server_takeover)
                    .server_window_bits(server_bits)
                    .and_then(|settings| settings.client_window_bits(client_bits));
                let settings = settings.unwrap();
                // coder/websocket offers no limit of the client's window, so it is told of none.
                assert_eq!(refusing(&settings), [""; 0], "{settings:?}");
            }
        }
    }
    // The client must be told of its own duties, and Netty takes them only if it is set up to.
    let unprepared = ["Netty", "Netty without windows", "Netty, window 13"];
    assert_eq!(refusing(&Compression::shared()), unprepared);
}

/// An offer, and whether a server must decline it.
fn offer() -> impl Strategy<Value = (String, bool)> {
    let bits = || prop_oneof![1 => Just(None), 2 => (8..=15_u8).prop_map(Some)];
    let bad = [
        "server_max_window_bits=16",
        "client_max_window_bits=7",
        "server_max_window_bits",
        "server_no_context_takeover=1",
        "unknown",
    ];
    let bad = prop::option::weighted(0.2, prop::sample::select(bad.to_vec()));
    let parameters = (
        any::<bool>(),
        any::<bool>(),
        bits(),
        prop::option::of(bits()),
        bad,
    );
    let parameters = parameters.prop_map(|(server, client, server_bits, client_bits, bad)| {
        let mut parameters = Vec::new();
        parameters.extend(server.then(|| SERVER_TAKEOVER.to_owned()));
        parameters.extend(client.then(|| CLIENT_TAKEOVER.to_owned()));
        parameters.extend(server_bits.map(|bits| format!("{SERVER_BITS}={bits}")));
        parameters.extend(client_bits.map(|bits| match bits {
            Some(bits) => format!("{CLIENT_BITS}={bits}"),
            None => CLIENT_BITS.to_owned(),
        }));
        parameters.extend(bad.map(str::to_owned));
        (parameters, bad.is_some() || server_bits == Some(8))
    });
    let shuffled = parameters
        .prop_flat_map(|(parameters, is_bad)| (Just(parameters).prop_shuffle(), Just(is_bad)));
    shuffled.prop_map(|(parameters, is_bad)| {
        let parts = [vec!["permessage-deflate".to_owned()], parameters].concat();
        (parts.join("; "), is_bad)
    })
}

proptest! {
    #[test]
    fn an_answer_names_only_what_was_offered(
        offers in prop::collection::vec(offer(), 1..4),
        server_takeover: bool,
        client_takeover: bool,
        server_bits in 9..=15_u8,
        client_bits in 9..=15_u8,
    ) {
        let settings = Compression::new()
            .server_no_context_takeover(server_takeover)
            .client_no_context_takeover(client_takeover)
            .server_window_bits(server_bits)
            .and_then(|settings| settings.client_window_bits(client_bits))
            .unwrap();
        let lines: Vec<_> = offers.iter().map(|(offer, _)| offer.as_str()).collect();
        let answer = negotiate(&[&lines.join(", ")], &settings);
        let Some((offer, _)) = offers.iter().find(|(_, is_bad)| !is_bad) else {
            prop_assert_eq!(answer, "");
            return Ok(());
        };
        let (offer, answer) = (Parameters::of(offer), Parameters::of(&answer));
        for name in answer.names() {
            prop_assert!(offer.has(name) || name == CLIENT_TAKEOVER && client_takeover, "{answer:?}");
        }
        // RFC 7692, 7.1.1.1: "A server accepts an extension negotiation offer that includes the
        // "server_no_context_takeover" extension parameter by including" it, and it "has no value".
        prop_assert_eq!(answer.has(SERVER_TAKEOVER), offer.has(SERVER_TAKEOVER));
        // 7.1.2.1: "A server accepts an extension negotiation offer with this parameter by including the
        // "server_max_window_bits" extension parameter in the extension negotiation response to send back to the client
        // with the same or smaller value as the offer."
        prop_assert_eq!(answer.value(SERVER_BITS), offer.value(SERVER_BITS));
        // 7.1.2.2: "with a value equal to or smaller than the received value."
        if answer.has(CLIENT_BITS) {
            let most = offer.value(CLIENT_BITS).unwrap_or(15).min(client_bits);
            prop_assert_eq!(answer.value(CLIENT_BITS), Some(most));
        }
        prop_assert_eq!(answer.value(SERVER_TAKEOVER), None);
        prop_assert_eq!(answer.value(CLIENT_TAKEOVER), None);
        prop_assert!(by_the_rfc(&offer, &answer));
    }
}
