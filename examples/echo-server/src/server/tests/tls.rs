//! A TLS handshake that never ends.

use clap::Parser;
use tokio::io::AsyncReadExt;
use tokio::time::Instant;

use super::*;
use crate::tls::self_signed;

// While nothing happens, the clock jumps to the next timer, also over TCP.
#[tokio::test(start_paused = true)]
async fn a_client_without_a_tls_handshake_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut client = TcpStream::connect(address).await.unwrap();
    let (stream, peer) = listener.accept().await.unwrap();
    let app = app(&Options::parse_from(["echo-server"]), &Sockets::new()).unwrap();
    let watcher = GracefulShutdown::new().watcher();
    let started = Instant::now();
    let tls = Some(self_signed());
    tokio::spawn(connection(stream, peer, tls, app, watcher));
    let end = timeout(2 * TLS_TIMEOUT, client.read(&mut [0])).await;
    assert_eq!(end.expect("it waits for ever").unwrap(), 0);
    assert_eq!(started.elapsed().as_secs(), TLS_TIMEOUT.as_secs());
}
