//! `cargo xtask proxies`: the echo application through nginx, HAProxy and Caddy, as `examples/proxies` configures them.

mod silence;
mod smuggling;

use std::{
    io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use crate::{
    cargo::{cargo, root, target_dir},
    clients, programs,
    proxy::{CADDY, HAPROXY, HTTP2_TO_SERVER, Kind, NGINX, Proxy},
    server::Server,
    steps::{Result, Steps, execute, execute_within},
    websocket::{BINARY, CLOSE, Socket},
};

const WITHIN: Duration = Duration::from_secs(60);

/// A proxy, and which version of HTTP it speaks to either side.
struct Route {
    kind: &'static Kind,
    /// Clients of HTTP/2 are served as well as those of HTTP/1.1.
    http2_clients: bool,
    http2_server: bool,
    /// What becomes of the configuration for that.
    edits: &'static [(&'static str, &'static str)],
    /// What cuts silent sockets off, and the same for impatient people; Caddy does not.
    timeout: Option<(&'static str, &'static str)>,
}

const ROUTES: &[Route] = &[
    Route {
        kind: &NGINX,
        http2_clients: false,
        http2_server: false,
        edits: &[],
        timeout: Some(("proxy_read_timeout 6m", "proxy_read_timeout 2s")),
    },
    Route {
        kind: &HAPROXY,
        http2_clients: true,
        http2_server: false,
        edits: &[],
        timeout: Some(("timeout tunnel 6m", "timeout tunnel 2s")),
    },
    Route {
        kind: &HAPROXY,
        http2_clients: true,
        http2_server: true,
        edits: &[HTTP2_TO_SERVER],
        timeout: Some(("timeout tunnel 6m", "timeout tunnel 2s")),
    },
    Route {
        kind: &CADDY,
        http2_clients: true,
        http2_server: false,
        edits: &[],
        timeout: None,
    },
];

/// Looks for the programs it needs, then tries the proxies.
pub(crate) fn run(steps: &mut Steps) -> Option<()> {
    steps.run("programs", || programs::check(programs::PROXIES))?;
    try_all(steps)
}

/// Tries every proxy, also after one that failed.
pub(crate) fn try_all(steps: &mut Steps) -> Option<()> {
    let python = steps.run("python venv", clients::python)?;
    steps.run("build echo-server", || {
        execute(&mut cargo("build --package echo-server"))
    })?;
    let echoes = each(steps, "echoes", |route| echoes(route, &python));
    let smuggling = each(steps, "smuggling", |route| {
        smuggling::is_in_vain(route, &python)
    });
    let silence = each(steps, "silence", |route| {
        silence::is_kept_alive(route, &python)
    });
    echoes.and(smuggling).and(silence)
}

fn each(steps: &mut Steps, what: &str, check: impl Fn(&Route) -> Result) -> Option<()> {
    let mut all = Some(());
    for route in ROUTES {
        let name = format!("proxies: {what}: {}", route.name());
        all = steps.run(&name, || check(route)).and(all);
    }
    all
}

impl Route {
    fn name(&self) -> String {
        let server = if self.http2_server { "2" } else { "1.1" };
        format!("{}, HTTP/{server} to the server", self.kind.name)
    }

    /// Starts the proxy in front of `server`, with further edits to its configuration.
    fn start(&self, server: &Server, edits: &[(&str, &str)]) -> Result<Proxy> {
        let edits = [self.edits, edits].concat();
        Proxy::start(self.kind, self.kind.name, server.authority()?, &edits)
    }

    /// Has the HTTP/2 client do its `check`, where the proxy takes such clients.
    fn over_http2(&self, python: &Path, proxy: &Proxy, check: &str) -> Result {
        if !self.http2_clients {
            return Ok(());
        }
        let (host, port) = proxy.authority.split_once(':').unwrap_or_default();
        execute_within(
            WITHIN,
            Command::new(python)
                .arg(root().join("xtask/clients/http2_proxied.py"))
                .args([host, port, check])
                .stdin(Stdio::null()),
        )
    }
}

/// Messages of all sizes, and the closing handshake.
fn echoes(route: &Route, python: &Path) -> Result {
    let log = log("echoes")?;
    let server = Server::logging_echo(&log, &[])?;
    let proxy = route.start(&server, &[])?;
    converse(&proxy.authority).map_err(|error| format!("over HTTP/1.1: {error}"))?;
    route.over_http2(python, &proxy, "echoes")?;
    let expected = if route.http2_server {
        "HTTP/2.0"
    } else {
        "HTTP/1.1"
    };
    match answered(&log)?.iter().find(|it| it.version != expected) {
        None => Ok(()),
        Some(other) => Err(format!("the proxy speaks {} to the server", other.version)),
    }
}

fn converse(authority: &str) -> io::Result<()> {
    let mut socket = Socket::open(authority, "/ws")?;
    for size in [0, 10, 1000, 100_000, 1_000_000] {
        let message = (BINARY, vec![7; size]);
        socket.send(message.0, &message.1)?;
        expect(&socket.frame()?, &message)?;
    }
    let close = (CLOSE, 1000_u16.to_be_bytes().to_vec());
    socket.send(close.0, &close.1)?;
    expect(&socket.frame()?, &close)?;
    expect(&socket.rest()?, &Vec::new())
}

fn expect<T: PartialEq>(actual: &T, expected: &T) -> io::Result<()> {
    if actual == expected {
        Ok(())
    } else {
        Err(io::Error::other("not what was sent came back"))
    }
}

/// The file for a server's log.
fn log(name: &str) -> Result<PathBuf> {
    let dir = target_dir()?.join("proxies");
    std::fs::create_dir_all(&dir)
        .map_err(|error| format!("cannot make {}: {error}", dir.display()))?;
    Ok(dir.join(format!("{name}.log")))
}

/// A request that the server has answered.
#[derive(Debug, PartialEq, Eq)]
struct Answered {
    version: String,
    path: String,
    /// By a socket.
    opened: bool,
}

/// What the server has answered, by its log.
fn answered(log: &Path) -> Result<Vec<Answered>> {
    let text = std::fs::read_to_string(log)
        .map_err(|error| format!("cannot read {}: {error}", log.display()))?;
    Ok(text.lines().filter_map(parse).collect())
}

fn parse(line: &str) -> Option<Answered> {
    let (_, span) = line.split_once(" version=")?;
    let (version, rest) = span.split_once(" method=")?;
    let (method, rest) = rest.split_once(" path=\"")?;
    let (path, rest) = rest.split_once("\"}")?;
    let (_, status) = rest.split_once(" answered status=")?;
    Some(Answered {
        version: version.to_owned(),
        path: path.to_owned(),
        opened: matches!((method, status), (_, "101") | ("CONNECT", "200")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_is_understood() {
        let line = "2026-01-01T00:00:00.000000Z DEBUG request{peer=127.0.0.1:40123 version=HTTP/2.0 method=CONNECT \
                    path=\"/ws\"}: echo_server::server: answered status=200";
        let answered = Answered {
            version: "HTTP/2.0".to_owned(),
            path: "/ws".to_owned(),
            opened: true,
        };
        assert_eq!(parse(line), Some(answered));
        let page = parse(&line.replace("CONNECT", "GET"));
        assert!(!page.expect("the same line").opened);
        assert_eq!(parse("listening on http://127.0.0.1:5000"), None);
    }
}
