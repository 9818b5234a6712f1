//! The server over real TCP.

mod backlog;
mod bounds;
mod shutdown;
mod tls;

use clap::Parser;

use super::*;

/// `future`, unless it hangs.
async fn within<F: Future>(future: F) -> F::Output {
    timeout(Duration::from_secs(20), future)
        .await
        .expect("this hangs")
}

fn server(idle: Duration, closing: Duration, tls: Option<TlsAcceptor>) -> Server {
    let options = Options::parse_from(["echo-server"]);
    Server {
        app: app(&options, &Sockets::new()).unwrap(),
        tls,
        max_streams: options.max_streams,
        connections: Arc::new(Connections::new(idle, closing)),
    }
}

/// Serves on a free port for as long as the test's runtime lives.
async fn serve(server: Server) -> SocketAddr {
    let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { accept(&listener, &server).await });
    address
}
