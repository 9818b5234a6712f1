//! A TLS stream takes more than its connection does, and passes the rest on when it is flushed.

use std::sync::Arc;

use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::{DuplexStream, duplex};
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tower_layer::Layer;
use towline::{EchoService, UpgradeLayer};
use towline_testing::{HANDSHAKE, Wire, within};

/// Both sides of TLS, with a certificate that signs itself.
fn tls() -> (TlsAcceptor, TlsConnector) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let server = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.into()], made.signing_key.into())
        .unwrap();
    let client = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (Arc::new(server).into(), Arc::new(client).into())
}

async fn serve(stream: DuplexStream, tls: TlsAcceptor) {
    let stream = tls.accept(stream).await.unwrap();
    let service = TowerToHyperService::new(UpgradeLayer::new().layer(EchoService::new()));
    let connection = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    connection.await.unwrap();
}

// The clock is paused: an echo that is never flushed fails at once.
#[tokio::test(start_paused = true)]
async fn an_echo_that_the_connection_does_not_take_at_once_arrives_whole() {
    let (acceptor, connector) = tls();
    // Less than one record of TLS.
    let (near, far) = duplex(1024);
    tokio::spawn(serve(far, acceptor));
    let name = ServerName::try_from("localhost").unwrap();
    let mut client = Wire::over(within(connector.connect(name, near)).await.unwrap());
    client.write(HANDSHAKE).await;
    assert_eq!(client.head().await, 101);
    for size in [10, 10_000, 200_000] {
        client.echo(vec![7; size]).await;
    }
}
