//! nginx in front of a server, as `examples/proxies/nginx.conf` has it.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{
    cargo::{root, target_dir},
    programs,
    steps::{Ended, Result},
};

const READY_WITHIN: Duration = Duration::from_secs(20);

/// What the configuration listens on and passes to; both are replaced.
const LISTEN: &str = "127.0.0.1:8080";
const SERVER: &str = "127.0.0.1:5000";

/// A running nginx; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Proxy {
    _process: Ended,
    /// Such as `http://127.0.0.1:40123`.
    pub(crate) url: String,
}

impl Proxy {
    /// Starts nginx in front of `server`, which is `HOST:PORT`, with `edits` to the configuration. Its files are in a
    /// directory of this name under `target`.
    pub(crate) fn start(name: &str, server: &str, edits: &[(&str, &str)]) -> Result<Self> {
        let address = unused_address()?;
        let dir = target_dir()?.join(name);
        configure(&dir, address, server, edits)?;
        let mut process = Command::new(programs::nginx()?)
            .arg("-p")
            .arg(&dir)
            .args(["-e", "stderr", "-c", "nginx.conf"])
            .stdin(Stdio::null())
            .spawn()
            .map(Ended)
            .map_err(|error| format!("cannot start nginx: {error}"))?;
        wait_until_ready(&mut process, address)?;
        Ok(Self {
            _process: process,
            url: format!("http://{address}"),
        })
    }
}

/// One process of nginx does not take a socket that listens already, as HAProxy does.
fn unused_address() -> Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map_err(|error| format!("cannot find a port for nginx: {error}"))
}

fn wait_until_ready(process: &mut Ended, address: SocketAddr) -> Result {
    let deadline = Instant::now() + READY_WITHIN;
    while TcpStream::connect(address).is_err() {
        if let Some(status) = process.0.try_wait().map_err(|error| error.to_string())? {
            return Err(format!("nginx ended with {status}"));
        }
        if Instant::now() > deadline {
            return Err(format!("nginx does not listen on {address}"));
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn configure(dir: &Path, address: SocketAddr, server: &str, edits: &[(&str, &str)]) -> Result {
    let sample = root().join("examples/proxies/nginx.conf");
    let mut site = fs::read_to_string(&sample)
        .map_err(|error| format!("cannot read {}: {error}", sample.display()))?;
    let address = address.to_string();
    for (from, to) in [(LISTEN, &*address), (SERVER, server)].iter().chain(edits) {
        if !site.contains(from) {
            return Err(format!("{} has no `{from}`", sample.display()));
        }
        site = site.replace(from, to);
    }
    // All that Debian's nginx would look for where only root may write. One process, which ends when it is killed.
    let main = "daemon off;\nmaster_process off;\npid nginx.pid;\nerror_log stderr;\nevents {}\nhttp {\n\
        access_log off;\nclient_body_temp_path body;\nproxy_temp_path proxy;\nfastcgi_temp_path fastcgi;\n\
        uwsgi_temp_path uwsgi;\nscgi_temp_path scgi;\ninclude site.conf;\n}\n";
    fs::create_dir_all(dir)
        .and_then(|()| fs::write(dir.join("nginx.conf"), main))
        .and_then(|()| fs::write(dir.join("site.conf"), site))
        .map_err(|error| format!("cannot write to {}: {error}", dir.display()))
}
