//! Sockets over which no message goes, for longer than a proxy lets one be silent.

use std::{
    ffi::OsStr,
    io,
    path::Path,
    time::{Duration, Instant},
};

use super::{Route, expect, log};
use crate::{
    server::Server,
    steps::Result,
    websocket::{BINARY, PING, PONG, Socket},
};

/// Longer than the proxies' timeout of 2 s.
const SILENT: Duration = Duration::from_secs(5);

/// Pings keep the socket open; without them the proxy cuts it off, if it has a timeout for that.
pub(super) fn is_kept_alive(route: &Route, python: &Path) -> Result {
    let log = log("silence")?;
    let edits = route.timeout.as_slice();

    let pinging = Server::logging_echo(&log, &["--keep-alive", "700ms"].map(OsStr::new))?;
    let proxy = route.start(&pinging, edits)?;
    stays(&proxy.authority).map_err(|error| format!("over HTTP/1.1: {error}"))?;
    route.over_http2(python, &proxy, "stays")?;
    drop((proxy, pinging));

    if route.timeout.is_none() {
        return Ok(());
    }
    let silent = Server::logging_echo(&log, &["--keep-alive", "off"].map(OsStr::new))?;
    let proxy = route.start(&silent, edits)?;
    is_cut(&proxy.authority).map_err(|error| format!("over HTTP/1.1: {error}"))?;
    route.over_http2(python, &proxy, "is_cut")
}

fn stays(authority: &str) -> io::Result<()> {
    let mut socket = Socket::open(authority, "/ws")?;
    let opened = Instant::now();
    let mut pings = 0;
    while opened.elapsed() < SILENT {
        let (first, payload) = socket.frame()?;
        expect(&first, &PING)?;
        socket.send(PONG, &payload)?;
        pings += 1;
    }
    println!("open after {SILENT:?} and {pings} pings");
    socket.send(BINARY, b"still here")?;
    expect(&socket.frame()?, &(BINARY, b"still here".to_vec()))
}

fn is_cut(authority: &str) -> io::Result<()> {
    let socket = Socket::open(authority, "/ws")?;
    let opened = Instant::now();
    // Nothing comes, and then the end; a socket that stays open runs into the client's patience.
    expect(&socket.rest()?, &Vec::new())?;
    println!("cut off after {:.1} s", opened.elapsed().as_secs_f64());
    Ok(())
}
