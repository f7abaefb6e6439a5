//! What both ends need of TLS: certificates and keys from PEM files, with errors that name the file.

use std::{path::Path, sync::Arc};

use rustls::{
    RootCertStore,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, pem::PemObject},
};

/// Why TLS could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be used.
    #[error("{path}: {reason}")]
    File {
        /// The file.
        path: String,
        /// Why not, and what was expected.
        reason: String,
    },
    /// The certificate and the key do not go together, or are of a kind that is not known.
    #[error("TLS cannot be set up: {0}")]
    Setup(#[from] rustls::Error),
    /// A name that cannot stand in a certificate.
    #[error("{0:?} cannot be the name in a certificate: expected a host name or an IP address")]
    ServerName(String),
    /// No authority is trusted.
    #[error("this system has no certificate authorities: name a PEM file with those of the upstream (tls.ca)")]
    NoAuthorities,
}

impl TlsError {
    fn file(path: &Path, reason: impl Into<String>) -> Self {
        Self::File { path: path.display().to_string(), reason: reason.into() }
    }
}

/// The cryptography that the whole project uses.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// All certificates of a PEM file; at least one.
pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    all_of(path, "certificate", "CERTIFICATE")
}

/// The revocation lists of a PEM file; at least one.
pub(crate) fn revocation_lists(path: &Path) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
    all_of(path, "revocation list", "X509 CRL")
}

/// All of one kind in a PEM file, at least one; `label` is what PEM calls it.
fn all_of<T: PemObject>(path: &Path, kind: &str, label: &str) -> Result<Vec<T>, TlsError> {
    let read: Result<Vec<_>, _> = T::pem_file_iter(path).and_then(Iterator::collect);
    match read {
        Ok(found) if found.is_empty() => {
            Err(TlsError::file(path, format!("no {kind} in it; expected PEM (-----BEGIN {label}-----)")))
        }
        Ok(found) => Ok(found),
        Err(error) => Err(TlsError::file(path, format!("cannot be read as PEM {kind}s: {error}"))),
    }
}

/// The private key of a PEM file.
pub(crate) fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(path)
        .map_err(|error| TlsError::file(path, format!("cannot be read as a PEM private key: {error}")))
}

/// The authorities of a PEM file.
pub(crate) fn authorities(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots
            .add(certificate)
            .map_err(|error| TlsError::file(path, format!("holds something that is no authority: {error}")))?;
    }
    Ok(roots)
}

/// The authorities that the system trusts.
pub(crate) fn system_authorities() -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if added == 0 { Err(TlsError::NoAuthorities) } else { Ok(roots) }
}
