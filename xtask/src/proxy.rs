//! Reverse proxies in front of a server, as the configurations in `examples/proxies` have it.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{
    cargo::{root, target_dir},
    programs, python,
    steps::{Ended, Result},
};

const READY_WITHIN: Duration = Duration::from_secs(20);

/// What the configurations listen on and pass to; both are replaced.
const LISTEN: &str = "127.0.0.1:8080";
const SERVER: &str = "127.0.0.1:5000";

/// A program that is a proxy.
#[derive(Debug)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    program: programs::Find,
    /// One process in the foreground, which ends when it is killed.
    args: &'static [&'static str],
    env: &'static [(&'static str, &'static str)],
    /// Its configuration in `examples/proxies`.
    pub(crate) sample: &'static str,
    /// What a `main` has to have in it around the configuration, which is in the file `site`.
    main: &'static str,
}

pub(crate) const NGINX: Kind = Kind {
    name: "nginx",
    program: programs::nginx,
    args: &["-p", ".", "-e", "stderr", "-c", "main"],
    env: &[],
    sample: "nginx.conf",
    // All that Debian's nginx would look for where only root may write.
    main: "daemon off;\nmaster_process off;\npid nginx.pid;\nerror_log stderr;\nevents {}\nhttp {\n\
        access_log off;\nclient_body_temp_path body;\nproxy_temp_path proxy;\nfastcgi_temp_path fastcgi;\n\
        uwsgi_temp_path uwsgi;\nscgi_temp_path scgi;\ninclude site;\n}\n",
};

pub(crate) const HAPROXY: Kind = Kind {
    name: "haproxy",
    program: programs::haproxy,
    args: &["-db", "-f", "site"],
    env: &[],
    sample: "haproxy.cfg",
    main: "",
};

pub(crate) const CADDY: Kind = Kind {
    name: "caddy",
    program: caddy,
    args: &["run", "--adapter", "caddyfile", "--config", "main"],
    // Go's own HTTP/2 offers extended CONNECT to those who ask for it.
    env: &[("GODEBUG", "http2xconnect=1")],
    sample: "Caddyfile",
    // HTTP/2 in cleartext, and nothing but the proxy.
    main: "{\n\tadmin off\n\tpersist_config off\n\tlog {\n\t\tlevel WARN\n\t}\n\tservers {\n\t\tprotocols h1 h2c\n\t}\n}\n\n\
        import site\n",
};

/// The edit with which HAProxy speaks HTTP/2 to the server: every WebSocket becomes a stream (RFC 8441).
pub(crate) const HTTP2_TO_SERVER: (&str, &str) = (
    "server one",
    "default-server proto h2 ws h2\n    server one",
);

/// Debian's Caddy is older than WebSockets over HTTP/2.
fn caddy() -> Result<PathBuf> {
    let python = python::venv("proxies", &root().join("xtask/proxies"))?;
    Ok(python.with_file_name("caddy"))
}

/// A running proxy; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Proxy {
    _process: Ended,
    /// Such as `127.0.0.1:40123`.
    pub(crate) authority: String,
}

impl Proxy {
    /// Starts a proxy in front of `server`, which is `HOST:PORT`, with `edits` to the configuration. Its files are in a
    /// directory of this name under `target/proxies`.
    pub(crate) fn start(
        kind: &Kind,
        name: &str,
        server: &str,
        edits: &[(&str, &str)],
    ) -> Result<Self> {
        let address = unused_address()?;
        let dir = target_dir()?.join("proxies").join(name);
        configure(kind, &dir, address, server, edits)?;
        let mut process = Command::new((kind.program)()?)
            .args(kind.args)
            .current_dir(&dir)
            .envs(kind.env.iter().copied())
            .env("XDG_CONFIG_HOME", &dir)
            .env("XDG_DATA_HOME", &dir)
            .stdin(Stdio::null())
            .spawn()
            .map(Ended)
            .map_err(|error| format!("cannot start {}: {error}", kind.name))?;
        wait_until_ready(&mut process, kind, address)?;
        Ok(Self {
            _process: process,
            authority: address.to_string(),
        })
    }
}

/// Not all of them take a socket that listens already.
fn unused_address() -> Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map_err(|error| format!("cannot find a port for a proxy: {error}"))
}

fn wait_until_ready(process: &mut Ended, kind: &Kind, address: SocketAddr) -> Result {
    let deadline = Instant::now() + READY_WITHIN;
    while TcpStream::connect(address).is_err() {
        if let Some(status) = process.0.try_wait().map_err(|error| error.to_string())? {
            return Err(format!("{} ended with {status}", kind.name));
        }
        if Instant::now() > deadline {
            return Err(format!("{} does not listen on {address}", kind.name));
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn configure(
    kind: &Kind,
    dir: &Path,
    address: SocketAddr,
    server: &str,
    edits: &[(&str, &str)],
) -> Result {
    let sample = root().join("examples/proxies").join(kind.sample);
    let mut site = fs::read_to_string(&sample)
        .map_err(|error| format!("cannot read {}: {error}", sample.display()))?;
    let address = address.to_string();
    for (from, to) in edits.iter().chain(&[(LISTEN, &*address), (SERVER, server)]) {
        if !site.contains(from) {
            return Err(format!("{} has no `{from}`", sample.display()));
        }
        site = site.replace(from, to);
    }
    fs::create_dir_all(dir)
        .and_then(|()| fs::write(dir.join("main"), kind.main))
        .and_then(|()| fs::write(dir.join("site"), site))
        .map_err(|error| format!("cannot write to {}: {error}", dir.display()))
}
