//! The server over real TCP.

mod backlog;
mod tls;

use super::*;
