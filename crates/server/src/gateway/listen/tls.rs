//! The listener's certificate, read again when its files change.

use std::{path::Path, sync::Arc, time::SystemTime};

use parking_lot::Mutex;
use rustls::{ServerConfig, server::WebPkiClientVerifier};
use tokio::time::{MissedTickBehavior, interval};

use super::settings::ListenTls;
use crate::gateway::tls::{self, TlsError};

/// The listener's certificate, as it is now.
pub(crate) struct Certificates {
    settings: ListenTls,
    http2: bool,
    current: Mutex<Arc<ServerConfig>>,
}

impl Certificates {
    pub(crate) fn new(settings: ListenTls, http2: bool) -> Result<Self, TlsError> {
        let current = Mutex::new(Arc::new(config(&settings, http2)?));
        Ok(Self { settings, http2, current })
    }

    pub(crate) fn current(&self) -> Arc<ServerConfig> {
        self.current.lock().clone()
    }

    /// Reads the files. If they cannot be used, what was read before stays.
    pub(crate) fn reload(&self) -> Result<(), TlsError> {
        let config = Arc::new(config(&self.settings, self.http2)?);
        *self.current.lock() = config;
        Ok(())
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
        ];
        paths.into_iter().map(|path| stamp(path?)).collect()
    }
}

fn stamp(path: &Path) -> Option<(SystemTime, u64)> {
    let metadata = path.metadata().ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

fn config(settings: &ListenTls, http2: bool) -> Result<ServerConfig, TlsError> {
    let builder = ServerConfig::builder_with_provider(tls::provider()).with_safe_default_protocol_versions()?;
    let builder = match &settings.client_ca {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let roots = Arc::new(tls::authorities(&authority.ca)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, tls::provider());
            let verifier = if authority.required { verifier } else { verifier.allow_unauthenticated() };
            let verifier = verifier.build().map_err(|error| rustls::Error::General(error.to_string()))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let (chain, key) = (tls::certificates(&settings.files.certificate)?, tls::private_key(&settings.files.key)?);
    let mut config = builder.with_single_cert(chain, key)?;
    config.alpn_protocols = if http2 { vec![b"h2".into(), b"http/1.1".into()] } else { vec![b"http/1.1".into()] };
    Ok(config)
}
