//! The origin check for WebSocket requests.
//!
//! A browser lets any page open a WebSocket to any server, with that server's cookies, and names the page in the request's
//! `Origin`. This crate is the place for the layer that refuses the handshakes of foreign pages. It holds nothing yet:
//! until it does, an application has to check `Origin` by itself.
