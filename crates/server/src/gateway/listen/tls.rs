//! The listener's certificate, and whom it takes for a client: read again when the files change.
//!
//! # Invariant
//! - A client's certificate is judged when it connects, and again at a request once what it is judged by has changed or
//!   [`JUDGED_FOR`] has gone by: a connection does not outlive the certificate that it began with.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use parking_lot::Mutex;
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, UnixTime},
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};
use tokio::time::{MissedTickBehavior, interval};

use super::settings::{ClientAuthority, ListenTls};
use crate::gateway::tls::{self, TlsError};

/// For so long a certificate is taken for what it was found to be, unless the files change.
pub(crate) const JUDGED_FOR: Duration = Duration::from_secs(60);

/// The listener's certificate, as it is now.
pub(crate) struct Certificates {
    settings: ListenTls,
    http2: bool,
    current: Mutex<Current>,
    /// Counts the readings of the files.
    reading: AtomicU64,
}

/// What one reading of the files has made.
#[derive(Clone)]
struct Current {
    config: Arc<ServerConfig>,
    /// Who judges clients; none where they are not asked.
    clients: Option<Arc<dyn ClientCertVerifier>>,
}

impl Certificates {
    pub(crate) fn new(settings: ListenTls, http2: bool) -> Result<Self, TlsError> {
        let current = Mutex::new(Current::read(&settings, http2)?);
        Ok(Self { settings, http2, current, reading: AtomicU64::new(0) })
    }

    pub(crate) fn current(&self) -> Arc<ServerConfig> {
        self.current.lock().config.clone()
    }

    /// Reads the files. If they cannot be used, what was read before stays.
    pub(crate) fn reload(&self) -> Result<(), TlsError> {
        let current = Current::read(&self.settings, self.http2)?;
        *self.current.lock() = current;
        self.reading.fetch_add(1, Relaxed);
        Ok(())
    }

    /// Whether a client with this certificate and its chain would be let in.
    fn accepts(&self, chain: &[CertificateDer<'static>], now: UnixTime) -> bool {
        let Some(clients) = self.current.lock().clients.clone() else { return false };
        chain.split_first().is_some_and(|(own, rest)| clients.verify_client_cert(own, rest, now).is_ok())
    }

    /// Reads the files again whenever they change; without end.
    pub(crate) async fn watch(&self) {
        let mut looks = interval(self.settings.look_every);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut seen = self.stamps();
        loop {
            looks.tick().await;
            let stamps = self.stamps();
            if stamps == seen {
                continue;
            }
            match self.reload() {
                Ok(()) => {
                    seen = stamps;
                    tracing::info!("the certificate was read again");
                }
                // Perhaps only one of the files was written so far: it is tried again at the next look.
                Err(error) => {
                    tracing::warn!(%error, "the certificate has changed and cannot be used; the old one stays");
                }
            }
        }
    }

    fn stamps(&self) -> Vec<Option<(SystemTime, u64)>> {
        let ListenTls { files, client_ca, .. } = &self.settings;
        let paths = [
            Some(files.certificate.as_path()),
            Some(files.key.as_path()),
            client_ca.as_ref().map(|ca| ca.ca.as_path()),
            client_ca.as_ref().and_then(|ca| ca.crl.as_deref()),
        ];
        paths.into_iter().map(|path| stamp(path?)).collect()
    }
}

fn stamp(path: &Path) -> Option<(SystemTime, u64)> {
    let metadata = path.metadata().ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

impl Current {
    fn read(settings: &ListenTls, http2: bool) -> Result<Self, TlsError> {
        let clients = settings.client_ca.as_ref().map(verifier).transpose()?;
        let builder = ServerConfig::builder_with_provider(tls::provider()).with_safe_default_protocol_versions()?;
        let builder = match &clients {
            None => builder.with_no_client_auth(),
            Some(clients) => builder.with_client_cert_verifier(clients.clone()),
        };
        let (chain, key) = (tls::certificates(&settings.files.certificate)?, tls::private_key(&settings.files.key)?);
        let mut config = builder.with_single_cert(chain, key)?;
        config.alpn_protocols = if http2 { vec![b"h2".into(), b"http/1.1".into()] } else { vec![b"http/1.1".into()] };
        Ok(Self { config: Arc::new(config), clients })
    }
}

/// Who judges clients. With revocation lists, every authority must have one that is not over: of whom nobody knows whether
/// it was revoked is not let in.
fn verifier(authority: &ClientAuthority) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let roots = Arc::new(tls::authorities(&authority.ca)?);
    let mut builder = WebPkiClientVerifier::builder_with_provider(roots, tls::provider());
    if let Some(crl) = &authority.crl {
        builder = builder.with_crls(tls::revocation_lists(crl)?).enforce_revocation_expiration();
    }
    let builder = if authority.required { builder } else { builder.allow_unauthenticated() };
    builder.build().map_err(|error| rustls::Error::General(error.to_string()).into())
}

/// The certificate that a connection's client showed, for as long as the connection lasts.
pub(crate) struct Shown {
    chain: Vec<CertificateDer<'static>>,
    certificates: Arc<Certificates>,
    judged: Mutex<Judged>,
}

/// What a certificate was found to be.
#[derive(Clone, Copy)]
struct Judged {
    is_accepted: bool,
    reading: u64,
    at: UnixTime,
}

impl Shown {
    /// Of a client that was let in by one of the readings: by which is not known, so it is judged at its first request.
    pub(crate) fn new(chain: &[CertificateDer<'_>], certificates: &Arc<Certificates>) -> Self {
        let chain = chain.iter().map(|certificate| certificate.clone().into_owned()).collect();
        let judged = Judged { is_accepted: false, reading: u64::MAX, at: UnixTime::since_unix_epoch(Duration::ZERO) };
        Self { chain, certificates: certificates.clone(), judged: Mutex::new(judged) }
    }

    /// Whether the client would be let in now.
    pub(crate) fn is_accepted(&self, now: UnixTime) -> bool {
        let reading = self.certificates.reading.load(Relaxed);
        let mut judged = self.judged.lock();
        let age = now.as_secs().checked_sub(judged.at.as_secs());
        if judged.reading != reading || age.is_none_or(|age| age >= JUDGED_FOR.as_secs()) {
            let is_accepted = self.certificates.accepts(&self.chain, now);
            *judged = Judged { is_accepted, reading, at: now };
        }
        judged.is_accepted
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
    use unstale::testing::Folder;

    use super::*;
    use crate::gateway::upstream::CertificateFiles;

    /// The first second of a year, since 1970.
    fn year(year: i32) -> UnixTime {
        let seconds = date_time_ymd(year, 1, 1).unix_timestamp();
        UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(seconds).unwrap()))
    }

    #[test]
    fn a_connection_does_not_outlive_its_clients_certificate() {
        let folder = Folder::new();
        let path = |name: &str| folder.path().join(name);
        let mut authority = CertificateParams::new([]).unwrap();
        authority.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        let (own, mut clients) = (KeyPair::generate().unwrap(), CertificateParams::new(["ann".to_owned()]).unwrap());
        let gateways = CertificateParams::new(["gateway".to_owned()]).unwrap().signed_by(&own, &authority).unwrap();
        clients.not_after = date_time_ymd(2030, 1, 1);
        let client = clients.signed_by(&KeyPair::generate().unwrap(), &authority).unwrap();
        let written = [("ca.pem", authority.pem()), ("own.pem", gateways.pem()), ("own.key", own.serialize_pem())];
        written.iter().for_each(|(name, text)| std::fs::write(path(name), text).unwrap());
        let files = CertificateFiles { certificate: path("own.pem"), key: path("own.key") };
        let client_ca = Some(ClientAuthority { ca: path("ca.pem"), crl: None, required: true });
        let settings = ListenTls { client_ca, ..ListenTls::new(files) };
        let certificates = Arc::new(Certificates::new(settings, true).unwrap());

        let shown = Shown::new(&[client.der().clone()], &certificates);
        let before = UnixTime::since_unix_epoch(Duration::from_secs(year(2030).as_secs() - 1));
        let after = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(before.as_secs() + seconds));
        assert!(shown.is_accepted(year(2029)) && shown.is_accepted(before));
        // It was judged a second before its end; within a minute it is judged again.
        assert!(shown.is_accepted(after(JUDGED_FOR.as_secs() - 1)));
        assert!(!shown.is_accepted(after(JUDGED_FOR.as_secs())));
        // A clock that is set back is no reason to believe what was found.
        assert!(shown.is_accepted(before));
        // Nobody vouches for the client any more.
        let other = CertifiedIssuer::self_signed(CertificateParams::new([]).unwrap(), KeyPair::generate().unwrap());
        std::fs::write(path("ca.pem"), other.unwrap().pem()).unwrap();
        certificates.reload().unwrap();
        assert!(!shown.is_accepted(before));
    }
}
