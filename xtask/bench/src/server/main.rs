//! An echo server for the benchmark: one of the peers, on one thread.
#![allow(clippy::print_stdout, reason = "a server says where it listens")]

mod peers;

use std::io;
use std::net::SocketAddr;

use clap::Parser;
use tokio::net::TcpListener;

use crate::peers::Peer;

#[derive(Debug, Parser)]
#[command(
    name = "bench-server",
    about = "Sends back what it gets, as one of the peers of the benchmark does"
)]
struct Options {
    /// Whose server this is
    #[arg(long)]
    peer: Peer,

    /// The address and port to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
}

// One thread, so that it can be pinned to a core and its instructions can be counted.
#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let options = Options::parse();
    let listener = TcpListener::bind(options.listen).await?;
    println!("listening on http://{}", listener.local_addr()?);
    options.peer.serve(listener).await
}
