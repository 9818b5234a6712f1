//! More clients may wait to be accepted than the 128 of `TcpListener::bind`.

use std::time::Duration;

use futures_util::future::try_join_all;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::listen::listen;

#[cfg(target_os = "linux")]
#[tokio::test]
async fn more_clients_than_128_connect_while_none_is_accepted() {
    let most = std::fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap();
    let clients = most.trim().parse::<usize>().unwrap().min(500);
    let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let connecting = (0..clients).map(|_| TcpStream::connect(address));
    let connected = timeout(Duration::from_secs(10), try_join_all(connecting)).await;
    let connected = connected.expect("the backlog is shorter").unwrap();
    assert_eq!(connected.len(), clients);
}

#[tokio::test]
async fn a_port_is_free_again_at_once() {
    let listener = listen("[::1]:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let client = TcpStream::connect(address).await.unwrap();
    // The server's side ends first and stays in TIME_WAIT.
    drop(listener.accept().await.unwrap());
    drop((listener, client));
    listen(address).unwrap();
}
