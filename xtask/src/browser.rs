//! `cargo xtask browser`: the page of the echo application in a headless Chromium.

use std::{fs, path::PathBuf, time::Duration};

use crate::{
    cargo::target_dir,
    node, programs,
    proxy::{HAPROXY, NGINX, Proxy},
    server::Server,
    steps::{Result, Steps, execute_within},
    tls::Identity,
};

const WITHIN: Duration = Duration::from_secs(300);

/// Looks for the programs it needs, then tries the page.
pub(crate) fn run(steps: &mut Steps) -> Option<()> {
    steps.run("programs", || programs::check(programs::BROWSER))?;
    try_page(steps)
}

/// Builds and starts the server, then runs the scripts against it, also after one that failed.
pub(crate) fn try_page(steps: &mut Steps) -> Option<()> {
    steps.run("node packages", node::packages)?;
    let server = Server::echo(steps)?;
    let page = steps.run("browser: the page", || page(&server));
    let origins = steps.run("browser: origins", || origins(&server));
    let tls = steps.run("browser: TLS", over_tls);
    let server = Server::socketio(steps)?;
    let socketio = steps.run("browser: socket.io over HTTP/2", || socketio(&server));
    page.and(origins).and(tls).and(socketio)
}

fn page(server: &Server) -> Result {
    script("page.mjs", &[&server.url])
}

/// The page again, from another server and through nginx.
fn origins(server: &Server) -> Result {
    let (host, port) = server.host_and_port()?;
    let authority = format!("{host}:{port}");
    let other = Server::another_echo(&["--origin", &server.url])?;
    let nginx = Proxy::start(&NGINX, "nginx", &authority, &[])?;
    let edits = [("$http_host", "$host")];
    let without_port = Proxy::start(&NGINX, "nginx-host", &authority, &edits)?;
    let [nginx, without_port] =
        [&nginx, &without_port].map(|it| format!("http://{}", it.authority));
    script(
        "origins.mjs",
        &[&server.url, &other.url, &nginx, &without_port],
    )
}

/// The page over HTTP/2 and over HTTP/1.1, as the server saw it. The script stops the server at its end.
fn over_tls() -> Result {
    let identity = Identity::self_signed()?;
    let log = screenshots()?.join("tls.log");
    let options = [
        "--tls-cert".as_ref(),
        identity.cert.as_os_str(),
        "--tls-key".as_ref(),
        identity.key.as_os_str(),
    ];
    let server = Server::logging_echo(&log, &options)?;
    let [cert, log] = [&identity.cert, &log].map(|path| path.display().to_string());
    let pid = server.pid().to_string();
    script("tls.mjs", &[&server.url, &cert, &log, &pid])
}

/// socket.io in a page, where HTTP/2 is spoken all the way to the server.
fn socketio(server: &Server) -> Result {
    let identity = Identity::self_signed()?;
    let tls = format!(
        "bind 127.0.0.1:8080 ssl crt {} alpn h2,http/1.1",
        identity.in_one_file()?.display()
    );
    let edits = [
        ("bind 127.0.0.1:8080", &*tls),
        (
            "server one 127.0.0.1:5000",
            "server one 127.0.0.1:5000 proto h2 ws h2",
        ),
    ];
    let (host, port) = server.host_and_port()?;
    let proxy = Proxy::start(&HAPROXY, "haproxy-tls", &format!("{host}:{port}"), &edits)?;
    execute_within(
        WITHIN,
        node::script("socketio-http2.mjs")?
            .arg(format!("https://{}", proxy.authority))
            .arg(&identity.cert)
            .env("CHROMIUM", programs::chromium()?),
    )
}

fn script(name: &str, parameters: &[&String]) -> Result {
    let screenshots = screenshots()?;
    let result = execute_within(
        WITHIN,
        node::script(name)?
            .args(parameters)
            .arg(&screenshots)
            .env("CHROMIUM", programs::chromium()?),
    );
    // Also after a failure: then they show what the page looked like.
    println!("screenshots: {}", screenshots.display());
    result
}

fn screenshots() -> Result<PathBuf> {
    let dir = target_dir()?.join("browser");
    fs::create_dir_all(&dir).map_err(|error| format!("cannot make {}: {error}", dir.display()))?;
    Ok(dir)
}
