//! TLS, with the certificate and the key that the options name.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::{Error as PemError, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{Error as RustlsError, ServerConfig};

/// Why there is no TLS with the files of the options.
#[derive(Debug)]
pub(crate) enum InvalidTls {
    Certificate(PathBuf, PemError),
    Key(PathBuf, PemError),
    Pair(RustlsError),
}

/// TLS as a server of this certificate speaks it, with HTTP/2 for clients that know it.
pub(crate) fn acceptor(certificate: &Path, key: &Path) -> Result<TlsAcceptor, InvalidTls> {
    let chain = certificates(certificate)
        .map_err(|error| InvalidTls::Certificate(certificate.to_owned(), error))?;
    let key = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| InvalidTls::Key(key.to_owned(), error))?;
    of(chain, key).map_err(InvalidTls::Pair)
}

fn of(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<TlsAcceptor, RustlsError> {
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// One with a certificate that signs itself.
#[cfg(test)]
pub(crate) fn self_signed() -> TlsAcceptor {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    of(vec![made.cert.into()], made.signing_key.into()).unwrap()
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let chain: Vec<_> = CertificateDer::pem_file_iter(path)?.collect::<Result<_, _>>()?;
    if chain.is_empty() {
        return Err(PemError::NoItemsFound);
    }
    Ok(chain)
}

impl fmt::Display for InvalidTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (option, path, error, item) = match self {
            Self::Certificate(path, error) => ("--tls-cert", path, error, "certificate"),
            Self::Key(path, error) => ("--tls-key", path, error, "private key"),
            Self::Pair(RustlsError::InconsistentKeys(_)) => {
                return f.write_str("bad --tls-key: it is not the key of the certificate");
            }
            Self::Pair(error) => return write!(f, "bad --tls-cert or --tls-key: {error}"),
        };
        write!(f, "bad {option}: ")?;
        match error {
            PemError::NoItemsFound => write!(f, "{} has no {item} in it", path.display()),
            PemError::Io(error) => write!(f, "cannot read {}: {error}", path.display()),
            error => write!(f, "{} is not in PEM format: {error}", path.display()),
        }
    }
}
