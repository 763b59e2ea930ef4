//! TLS with rustls, its provider `ring`, and PEM files.

use rustls::RootCertStore;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ServerConfig, WebPkiClientVerifier};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;
use tower::BoxError;

/// The server's files.
#[derive(Clone, Debug)]
pub(crate) struct Tls {
    /// The server's certificate, followed by intermediate ones.
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    /// The authority of clients' certificates. If `None`, clients need no certificate.
    pub(crate) client_ca: Option<PathBuf>,
}

impl Tls {
    /// Returns `None` if no file is given.
    ///
    /// # Errors
    ///
    /// Returns an error if the certificate or the key is missing.
    pub(crate) fn of(
        certificate: Option<PathBuf>,
        key: Option<PathBuf>,
        client_ca: Option<PathBuf>,
    ) -> Result<Option<Self>, BoxError> {
        match (certificate, key) {
            (Some(certificate), Some(key)) => Ok(Some(Self {
                certificate,
                key,
                client_ca,
            })),
            (None, None) if client_ca.is_none() => Ok(None),
            _ => Err("TLS needs both a certificate and its key".into()),
        }
    }
}

/// Returns an acceptor for TLS 1.3.
pub(crate) fn acceptor(files: &Tls) -> Result<TlsAcceptor, BoxError> {
    let Tls {
        certificate,
        key,
        client_ca,
    } = files;
    let provider = Arc::new(default_provider());
    let certificates = certificates(certificate)?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(of_file(key))?;
    let config = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?;
    let config = match client_ca {
        None => config.with_no_client_auth(),
        Some(file) => {
            let roots = Arc::new(authorities(file)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
            config.with_client_cert_verifier(verifier.build()?)
        }
    };
    let mut config = config.with_single_cert(certificates, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn authorities(file: &Path) -> Result<RootCertStore, BoxError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file)? {
        roots.add(certificate).map_err(of_file(file))?;
    }
    Ok(roots)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, BoxError> {
    let found: Result<Vec<_>, pem::Error> =
        CertificateDer::pem_file_iter(file).and_then(Iterator::collect);
    let found = found.map_err(of_file(file))?;
    if found.is_empty() {
        return Err(format!("{}: there is no certificate in it", file.display()).into());
    }
    Ok(found)
}

fn of_file<E: fmt::Display>(file: &Path) -> impl FnOnce(E) -> BoxError {
    move |error| format!("{}: {error}", file.display()).into()
}
