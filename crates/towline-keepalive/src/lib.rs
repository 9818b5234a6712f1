//! Keep-alive, idle timeout and lifetime of WebSockets.
//!
//! This crate is the place for the layer that pings peers which are silent, and ends the sockets of those that are gone,
//! idle or open for too long. It holds nothing yet: until it does, a socket whose peer vanished without a word stays open
//! until the transport gives it up.
