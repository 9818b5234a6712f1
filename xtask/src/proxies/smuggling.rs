//! Requests behind a handshake that the server refuses: a proxy that takes it for accepted would pass them on unseen.
//!
//! Envoy (CVE-2024-23326) and Apache (CVE-2019-17567) did, and so opened what they were to close.

use std::{
    io::{self, Read, Write},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use super::{Route, answered, log};
use crate::{
    server::Server,
    steps::Result,
    websocket::{connect, handshake, read_head},
};

/// What the proxies keep to the inside.
const FORBIDDEN: &str = "/metrics";
const LOGGED_WITHIN: Duration = Duration::from_secs(10);

/// What is wrong with a handshake: its path, and the text that is replaced.
type Wrong = (&'static str, &'static [(&'static str, &'static str)]);

/// Handshakes that get no 101. Some get one all the same where the proxy mends them, and then from the server.
const REFUSED: &[(&str, Wrong)] = &[
    (
        "another version",
        ("/ws", &[("Version: 13", "Version: 12")]),
    ),
    (
        "no version",
        ("/ws", &[("Sec-WebSocket-Version: 13\r\n", "")]),
    ),
    (
        "a short key",
        ("/ws", &[("dGhlIHNhbXBsZSBub25jZQ==", "c2hvcnQ=")]),
    ),
    (
        "no key",
        (
            "/ws",
            &[("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "")],
        ),
    ),
    (
        "another protocol",
        ("/ws", &[("Upgrade: websocket", "Upgrade: h2c")]),
    ),
    (
        "two protocols",
        (
            "/ws",
            &[("Upgrade: websocket", "Upgrade: websocket/2, h2c")],
        ),
    ),
    (
        "no Connection: Upgrade",
        ("/ws", &[("Connection: Upgrade", "Connection: keep-alive")]),
    ),
    ("POST", ("/ws", &[("GET", "POST")])),
    (
        "a foreign page",
        (
            "/ws",
            &[("\r\nUpgrade", "\r\nOrigin: http://evil.example\r\nUpgrade")],
        ),
    ),
    ("a page, not a socket", ("/", &[])),
    ("nothing at all", ("/nothing", &[])),
];

/// The server never answers what is behind them, whether it comes with the handshake or after its answer.
pub(super) fn is_in_vain(route: &Route, python: &Path) -> Result {
    let log = log("smuggling")?;
    let server = Server::logging_echo(&log, &[])?;
    let proxy = route.start(&server, &[])?;

    for (name, wrong) in REFUSED {
        for behind in [Behind::Handshake, Behind::Answer] {
            let before = sockets(&log)?;
            let answer = smuggle(&proxy.authority, *wrong, behind)
                .map_err(|error| format!("{name}: {error}"))?;
            println!("{:<24}{answer}", format!("{name}:"));
            if answer.starts_with("HTTP/1.1 101 ") && sockets(&log)? == before {
                return Err(format!("{name}: the proxy switched protocols by itself"));
            }
        }
    }
    route.over_http2(python, &proxy, "smuggles")?;
    // All that was on its way is there when this one is.
    get(&proxy.authority, "/last").map_err(|error| error.to_string())?;
    wait_for(&log, "/last")?;
    if answered(&log)?.iter().any(|it| it.path == FORBIDDEN) {
        return Err(format!("{FORBIDDEN} was reached through the proxy"));
    }

    // It would have been seen: without a proxy it is.
    let (_, wrong) = REFUSED[0];
    smuggle(server.authority()?, wrong, Behind::Handshake).map_err(|error| error.to_string())?;
    wait_for(&log, FORBIDDEN)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behind {
    Handshake,
    Answer,
}

/// Sends a handshake and a request behind it; the first line of the answer to the handshake.
fn smuggle(authority: &str, (path, changes): Wrong, behind: Behind) -> io::Result<String> {
    let mut stream = connect(authority)?;
    let handshake = handshake(authority, path, changes);
    let smuggled = request(authority, FORBIDDEN);
    let first = match behind {
        Behind::Handshake => handshake + &smuggled,
        Behind::Answer => handshake,
    };
    stream.write_all(first.as_bytes())?;
    let head = read_head(&mut stream)?;
    if behind == Behind::Answer {
        // The proxy may have closed the connection already.
        let _ = stream.write_all(smuggled.as_bytes());
    }
    // The proxy's own answer to the second request, or a reset, or the end.
    let _ = stream.read_to_end(&mut Vec::new());
    Ok(head.lines().next().unwrap_or_default().to_owned())
}

fn get(authority: &str, path: &str) -> io::Result<()> {
    let mut stream = connect(authority)?;
    stream.write_all(request(authority, path).as_bytes())?;
    stream.read_to_end(&mut Vec::new()).map(drop)
}

fn request(authority: &str, path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n")
}

/// How many sockets the server has opened.
fn sockets(log: &Path) -> Result<usize> {
    Ok(answered(log)?.iter().filter(|it| it.opened).count())
}

fn wait_for(log: &Path, path: &str) -> Result {
    let deadline = Instant::now() + LOGGED_WITHIN;
    while !answered(log)?.iter().any(|it| it.path == path) {
        if Instant::now() > deadline {
            return Err(format!("the server has not answered {path}"));
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
