//! A TCP listener whose backlog is as long as the system allows.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket};

/// Listens on `address`, with the longest backlog that the system allows (Linux: `net.core.somaxconn`).
///
/// `TcpListener::bind` of tokio and of the standard library have a backlog of 128. When more clients connect at once, the
/// kernel drops their SYN, and they try again a second later.
pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // On Windows this would let another process take the port over.
    socket.set_reuseaddr(!cfg!(windows))?;
    socket.bind(address)?;
    socket.listen(u32::MAX)
}
