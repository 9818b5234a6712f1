//! Without RUST_LOG a peer cannot make the server write more than a few lines, however many connections it opens.

use std::process::Stdio;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Server, command, within};

const CONNECTIONS: usize = 200;

/// HTTP/2, and a stream that is reset as soon as it is opened, a hundred times. RFC 9113, 10.5: "An endpoint MAY treat
/// activity that is suspicious as a connection error of type ENHANCE_YOUR_CALM." h2 does, and warns of it.
fn rapid_resets() -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    for stream in (1..200_u32).step_by(2) {
        // HEADERS, END_HEADERS and END_STREAM: GET http://a/
        bytes.extend(b"\0\0\x06\x01\x05");
        bytes.extend(stream.to_be_bytes());
        bytes.extend(b"\x82\x86\x84\x01\x01a");
        // RST_STREAM, CANCEL
        bytes.extend(b"\0\0\x04\x03\0");
        bytes.extend(stream.to_be_bytes());
        bytes.extend(8_u32.to_be_bytes());
    }
    bytes
}

#[tokio::test]
async fn by_rapid_resets() {
    let mut command = command(&[]);
    command.stderr(Stdio::piped());
    let mut server = Server::spawn(command).await;
    let log = server.log();
    let resets = rapid_resets();
    let mut calmed = 0;
    for _ in 0..CONNECTIONS {
        let mut client = TcpStream::connect(server.authority()).await.unwrap();
        client.write_all(&resets).await.unwrap();
        let mut answer = Vec::new();
        let _ = within(client.read_to_end(&mut answer)).await;
        calmed += usize::from(answer.windows(15).any(|it| it == b"too_many_resets"));
    }
    assert!(calmed > CONNECTIONS / 2, "{calmed} of {CONNECTIONS}");
    server.signal("TERM").await;
    let (_, code) = server.end().await;
    assert_eq!(code, Some(0));
    let log = within(log).await.unwrap();
    assert!(log.lines().count() < 5, "{log}");
}
