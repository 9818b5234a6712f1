//! The program, started and ended by a test, and certificates for it.

use std::fs;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Duration;

use bytes::Bytes;
use http::header::ORIGIN;
use http::{Method, Request};
use http_body_util::Empty;
use hyper::client::conn::http2::{self, SendRequest};
use hyper::ext::Protocol;
use hyper::upgrade::Upgraded;
use hyper_util::rt::{TokioExecutor, TokioIo};
#[cfg(unix)]
use tokio::io::AsyncReadExt;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdout, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;

/// Longer than anything takes: what runs into it hangs.
const LONG: Duration = Duration::from_secs(20);

/// `future`, unless it hangs.
pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    timeout(LONG, future).await.expect("this hangs")
}

/// A running echo application on a free port; it ends with the value.
pub(crate) struct Server {
    process: Child,
    stdout: BufReader<ChildStdout>,
    /// Such as `https://127.0.0.1:40123`.
    pub(crate) url: String,
}

impl Server {
    pub(crate) async fn start(options: &[&str]) -> Self {
        Self::spawn(command(options)).await
    }

    pub(crate) async fn spawn(mut command: Command) -> Self {
        let mut process = command
            .args(["--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(process.stdout.take().unwrap());
        within(stdout.read_line(&mut line)).await.unwrap();
        let url = line.trim_end().strip_prefix("listening on ").unwrap();
        Self {
            process,
            stdout,
            url: url.to_owned(),
        }
    }

    /// Host and port.
    pub(crate) fn authority(&self) -> &str {
        self.url.split_once("://").unwrap().1
    }

    /// The URL of the endpoint.
    pub(crate) fn socket_url(&self) -> String {
        format!("{}/ws", self.url.replacen("http", "ws", 1))
    }

    #[cfg(unix)]
    pub(crate) async fn signal(&self, name: &str) {
        let process = self.process.id().unwrap().to_string();
        let mut kill = Command::new("sh");
        let kill = kill.args(["-c", "kill -s \"$1\" \"$2\"", "sh", name, &process]);
        assert!(within(kill.status()).await.unwrap().success());
    }

    /// Everything that it writes to the log, which is piped, until the end.
    #[cfg(unix)]
    pub(crate) fn log(&mut self) -> JoinHandle<String> {
        let mut stderr = self.process.stderr.take().unwrap();
        tokio::spawn(async move {
            let mut log = String::new();
            stderr.read_to_string(&mut log).await.unwrap();
            log
        })
    }

    /// What else it says, and its exit code.
    #[cfg(unix)]
    pub(crate) async fn end(mut self) -> (String, Option<i32>) {
        let mut said = String::new();
        within(self.stdout.read_to_string(&mut said)).await.unwrap();
        (said, within(self.process.wait()).await.unwrap().code())
    }
}

/// An HTTP/2 connection without TLS.
pub(crate) async fn http2(
    server: &Server,
) -> (
    SendRequest<Empty<Bytes>>,
    JoinHandle<Result<(), hyper::Error>>,
) {
    let stream = TcpStream::connect(server.authority()).await.unwrap();
    let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (requests, connection) = within(handshake).await.unwrap();
    (requests, tokio::spawn(connection))
}

/// The request for a socket over HTTP/2.
pub(crate) fn handshake(server: &Server) -> Request<Empty<Bytes>> {
    Request::builder()
        .method(Method::CONNECT)
        .uri(format!("{}/ws", server.url))
        .extension(Protocol::from_static("websocket"))
        .header("sec-websocket-version", "13")
        .header(ORIGIN, &server.url)
        .body(Empty::new())
        .unwrap()
}

/// A socket on a connection that may have carried other requests.
pub(crate) async fn extended_connect(
    requests: &mut SendRequest<Empty<Bytes>>,
    server: &Server,
) -> WebSocketStream<TokioIo<Upgraded>> {
    let opening = requests.send_request(handshake(server));
    let response = within(opening).await.unwrap();
    assert_eq!(response.status(), 200);
    let upgraded = within(hyper::upgrade::on(response)).await.unwrap();
    WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Client, None).await
}

/// What is left of an application that ends by itself.
pub(crate) async fn run(mut command: Command) -> Output {
    within(command.output()).await.unwrap()
}

/// The application with these options, and without a log.
pub(crate) fn command(options: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_echo-server"));
    command
        .args(options)
        .stdin(Stdio::null())
        .env_remove("RUST_LOG")
        .kill_on_drop(true);
    command
}

/// A certificate that signs itself, and its key, in files with this name in theirs.
pub(crate) struct Identity {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) made: rcgen::CertifiedKey<rcgen::KeyPair>,
}

impl Identity {
    pub(crate) fn new(name: &str) -> Self {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        let cert = file(&format!("{name}-cert.pem"), &made.cert.pem());
        let key = file(
            &format!("{name}-key.pem"),
            &made.signing_key.serialize_pem(),
        );
        Self { cert, key, made }
    }

    /// The options that name it.
    pub(crate) fn options(&self) -> [&str; 4] {
        let [cert, key] = [&self.cert, &self.key].map(|path| path.to_str().unwrap());
        ["--tls-cert", cert, "--tls-key", key]
    }
}

/// A file with this text in it.
pub(crate) fn file(name: &str, text: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, text).unwrap();
    path
}
