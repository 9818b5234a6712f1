//! A certificate for servers and proxies.

use std::path::PathBuf;

use crate::{
    cargo::{cargo, target_dir},
    steps::{Result, execute},
};

/// A certificate that signs itself, for `localhost` and `127.0.0.1`, and its key: files in PEM format.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

impl Identity {
    /// Makes a new one.
    pub(crate) fn self_signed() -> Result<Self> {
        let dir = target_dir()?.join("tls");
        let make = [
            "run",
            "--package",
            "echo-server",
            "--example",
            "self-signed",
        ];
        execute(cargo(make).arg(&dir))?;
        Ok(Self {
            cert: dir.join("cert.pem"),
            key: dir.join("key.pem"),
        })
    }
}
