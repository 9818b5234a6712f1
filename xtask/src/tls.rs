//! A certificate for servers and proxies.

use std::{fs, io, path::PathBuf};

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
        execute(cargo("run --package echo-server --example self-signed").arg(&dir))?;
        Ok(Self {
            cert: dir.join("cert.pem"),
            key: dir.join("key.pem"),
        })
    }

    /// Both in one file, as HAProxy wants them.
    pub(crate) fn in_one_file(&self) -> Result<PathBuf> {
        let both = self.cert.with_file_name("both.pem");
        let write = || -> io::Result<()> {
            let pems = [fs::read(&self.cert)?, fs::read(&self.key)?];
            fs::write(&both, pems.concat())
        };
        write().map_err(|error| format!("cannot write {}: {error}", both.display()))?;
        Ok(both)
    }
}
