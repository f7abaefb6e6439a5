//! What a listener is told: where it listens, how it proves who it is, and what a client may take.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use crate::gateway::upstream::CertificateFiles;

/// A listener: one address, HTTP/1.1 and HTTP/2, with or without TLS.
#[derive(Clone, Debug)]
pub struct ListenSettings {
    /// Where it listens; port 0 takes a free one.
    pub address: SocketAddr,
    /// Whether it speaks TLS.
    pub tls: Option<ListenTls>,
    /// Whether HTTP/2 is spoken, too.
    pub http2: bool,
    /// Connections at a time; further ones wait to be accepted.
    pub connections_max: usize,
    /// How large the head of a request may be.
    pub head_bytes_max: usize,
    /// Header fields of a request.
    pub headers_max: usize,
    /// How long a head may take from its first byte on, and a TLS handshake.
    pub head_timeout: Duration,
    /// How long a connection may be unused. One of HTTP/2 whose client does not let it end is closed after the write
    /// time-out besides.
    pub idle_timeout: Duration,
    /// How long a client may take nothing of what is sent to it: then the connection is closed. If it is only one stream of
    /// HTTP/2 of which nothing is taken (less than 64 KiB, at the latest in twice the time), that stream is reset.
    pub write_timeout: Duration,
    /// Requests at a time on one HTTP/2 connection.
    pub streams_max: u32,
    /// How long requests that run may still take after the stop.
    pub drain_limit: Duration,
}

impl ListenSettings {
    /// Listens here, without TLS; all else as usual.
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            tls: None,
            http2: true,
            connections_max: 20_000,
            head_bytes_max: 32 * 1024,
            headers_max: 100,
            head_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            write_timeout: Duration::from_secs(60),
            streams_max: 100,
            drain_limit: crate::run::DRAIN_LIMIT,
        }
    }
}

/// How a listener proves who it is, and whom it asks to prove the same.
#[derive(Clone, Debug)]
pub struct ListenTls {
    /// Its certificate and key. They are read again when the files change.
    pub files: CertificateFiles,
    /// Who vouches for clients; without it, clients are not asked for a certificate.
    pub client_ca: Option<ClientAuthority>,
    /// How often the files are looked at.
    pub look_every: Duration,
}

impl ListenTls {
    /// This certificate; clients are not asked for one.
    pub fn new(files: CertificateFiles) -> Self {
        Self { files, client_ca: None, look_every: Duration::from_secs(10) }
    }
}

/// Who vouches for clients.
#[derive(Clone, Debug)]
pub struct ClientAuthority {
    /// A PEM file with the authorities.
    pub ca: PathBuf,
    /// A PEM file with the revocation lists of all of them; without it, a certificate is good until its time is over.
    pub crl: Option<PathBuf>,
    /// Whether a client without a certificate is refused.
    pub required: bool,
}
