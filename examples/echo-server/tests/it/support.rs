//! The program, started and ended by a test, and certificates for it.

use std::fs;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// Longer than anything takes: what runs into it hangs.
const LONG: Duration = Duration::from_secs(20);

/// `future`, unless it hangs.
pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    timeout(LONG, future).await.expect("this hangs")
}

/// A running echo application on a free port; it ends with the value.
pub(crate) struct Server {
    _process: Child,
    /// Such as `https://127.0.0.1:40123`.
    pub(crate) url: String,
}

impl Server {
    pub(crate) async fn start(options: &[&str]) -> Self {
        let mut process = command(options)
            .args(["--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(process.stdout.take().unwrap());
        within(stdout.read_line(&mut line)).await.unwrap();
        let url = line.trim_end().strip_prefix("listening on ").unwrap();
        Self {
            _process: process,
            url: url.to_owned(),
        }
    }

    /// Host and port.
    pub(crate) fn authority(&self) -> &str {
        self.url.split_once("://").unwrap().1
    }
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
