//! A TLS handshake that never ends.

use tokio::io::AsyncReadExt;
use tokio::time::Instant;

use super::*;
use crate::tls::self_signed;

// While nothing happens, the clock jumps to the next timer, also over TCP.
#[tokio::test(start_paused = true)]
async fn a_client_without_a_tls_handshake_is_given_up() {
    let address = serve(server(IDLE, CLOSING, Some(self_signed()))).await;
    let mut client = TcpStream::connect(address).await.unwrap();
    let started = Instant::now();
    let end = timeout(2 * TLS_TIMEOUT, client.read(&mut [0])).await;
    assert_eq!(end.expect("it waits for ever").unwrap(), 0);
    assert_eq!(started.elapsed().as_secs(), TLS_TIMEOUT.as_secs());
}
