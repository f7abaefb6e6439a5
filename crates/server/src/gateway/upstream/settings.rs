//! What an upstream is told: where its servers are, how long things may take, and when a server is left out.

use std::{fmt, path::PathBuf, str::FromStr, time::Duration};

use http::{HeaderValue, Uri, uri::Scheme};

/// An upstream: one or more servers that answer alike.
#[derive(Clone, Debug)]
pub struct UpstreamSettings {
    /// What it is called in logs and refusals.
    pub name: String,
    /// Where its servers are; at least one.
    pub servers: Vec<ServerAddress>,
    /// How TLS connections to them are judged.
    pub tls: UpstreamTls,
    /// Whether HTTP/2 is spoken: over TLS if the server agrees to it (ALPN), without TLS always (prior knowledge).
    pub http2: bool,
    /// Connections to each server; over HTTP/2, [`STREAMS_PER_CONNECTION`] requests for each of them.
    pub connections_max: usize,
    /// Requests per server that may wait for a connection at a time.
    pub waiting_max: usize,
    /// How large the head of an answer may be.
    pub head_bytes_max: usize,
    /// How long things may take.
    pub timeouts: Timeouts,
    /// Sending a request once more.
    pub retry: RetrySettings,
    /// Asking whether a server is well. Without it, only failed requests tell.
    pub health: Option<HealthSettings>,
    /// Leaving out a server whose requests fail.
    pub ejection: EjectionSettings,
    /// The `Host` that the servers get.
    pub host: SentHost,
    /// Whether request headers are passed on whose names have other signs than letters, digits and `-`.
    pub any_header_name: bool,
}

/// Requests that share one HTTP/2 connection.
pub const STREAMS_PER_CONNECTION: usize = 100;

impl UpstreamSettings {
    /// An upstream of these servers; all else as usual.
    pub fn new(name: impl Into<String>, servers: impl IntoIterator<Item = ServerAddress>) -> Self {
        Self {
            name: name.into(),
            servers: servers.into_iter().collect(),
            tls: UpstreamTls::default(),
            http2: false,
            connections_max: 256,
            waiting_max: 1024,
            head_bytes_max: 64 * 1024,
            timeouts: Timeouts::default(),
            retry: RetrySettings::default(),
            health: None,
            ejection: EjectionSettings::default(),
            host: SentHost::Preserved,
            any_header_name: false,
        }
    }
}

/// Where a server is: `http://127.0.0.1:8000`, `https://backend.internal`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerAddress {
    /// Whether TLS is spoken.
    pub tls: bool,
    /// A name or an address, without the brackets of IPv6.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// Not the address of a server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the address of a server: expected http://host[:port] or https://host[:port], without a path")]
pub struct BadServerAddress(String);

impl FromStr for ServerAddress {
    type Err = BadServerAddress;

    fn from_str(text: &str) -> Result<Self, BadServerAddress> {
        let bad = || BadServerAddress(text.to_owned());
        let uri: Uri = text.parse().map_err(|_| bad())?;
        let tls = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => false,
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            _ => return Err(bad()),
        };
        let authority = uri.authority().ok_or_else(bad)?;
        let whole = authority.as_str();
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        // `Authority::port_u16` is `None` for a port that is no number, too.
        let port_is_plain = authority.port().is_some() || !whole.trim_end_matches(']').ends_with(':');
        let has_path = uri.path_and_query().is_some_and(|path| path.as_str() != "/");
        if host.is_empty() || whole.contains('@') || has_path || !port_is_plain || text.contains('#') {
            return Err(bad());
        }
        Ok(Self { tls, host, port: authority.port_u16().unwrap_or(if tls { 443 } else { 80 }) })
    }
}

impl ServerAddress {
    /// As in a `Host` header: without the port if it is the scheme's own.
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let own = if self.tls { 443 } else { 80 };
        if self.port == own { host } else { format!("{host}:{}", self.port) }
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.tls { "https" } else { "http" }, self.authority())
    }
}

/// How TLS connections to an upstream are judged.
#[derive(Clone, Debug, Default)]
pub struct UpstreamTls {
    /// A PEM file with the authorities that are trusted, in place of the system's.
    pub ca: Option<PathBuf>,
    /// The name in the servers' certificates, if it is not the host in their address.
    pub server_name: Option<String>,
    /// PEM files with the certificate that is shown to the servers, and its key.
    pub identity: Option<CertificateFiles>,
}

/// A certificate chain and its private key, each a PEM file.
#[derive(Clone, Debug)]
pub struct CertificateFiles {
    /// The chain, the own certificate first.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// For a connection to be free.
    pub queue: Duration,
    /// To connect, TLS included.
    pub connect: Duration,
    /// From the last byte of the request to the head of its answer.
    pub head: Duration,
    /// Between two parts of a body, either way.
    pub body_idle: Duration,
    /// Without a byte either way on an upgraded connection.
    pub tunnel_idle: Duration,
    /// An unused connection is kept this long. It must be shorter than the servers keep theirs, else a request meets
    /// a connection that is being closed: uvicorn and Node.js close after 5 s.
    pub keep_alive: Duration,
    /// With `Expect: 100-continue`, the body is sent after this long even if the server said nothing.
    pub expect: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            queue: Duration::from_secs(1),
            connect: Duration::from_secs(2),
            head: Duration::from_secs(30),
            body_idle: Duration::from_secs(60),
            tunnel_idle: Duration::from_secs(300),
            keep_alive: Duration::from_secs(4),
            expect: Duration::from_secs(1),
        }
    }
}

/// Sending a request once more.
#[derive(Clone, Copy, Debug)]
pub struct RetrySettings {
    /// How often one request is sent at most; 1: never again.
    pub attempts_max: u32,
    /// How many of all requests may be repetitions, in percent.
    pub budget_percent: u32,
}

impl Default for RetrySettings {
    fn default() -> Self {
        Self { attempts_max: 2, budget_percent: 20 }
    }
}

/// Asking whether a server is well.
#[derive(Clone, Debug)]
pub struct HealthSettings {
    /// The path and query that answer 2xx or 3xx if it is.
    pub path: String,
    /// How often it is asked.
    pub every: Duration,
    /// How long the answer may take.
    pub timeout: Duration,
    /// Failures in a row after which it gets no requests.
    pub unhealthy_after: u32,
    /// Good answers in a row after which it gets them again.
    pub healthy_after: u32,
}

impl HealthSettings {
    /// Asks for this path every 5 s; out after three failures, in after two good answers.
    pub fn new(path: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            every: Duration::from_secs(5),
            timeout: Duration::from_secs(2),
            unhealthy_after: 3,
            healthy_after: 2,
        }
    }
}

/// Leaving out a server whose requests fail.
#[derive(Clone, Copy, Debug)]
pub struct EjectionSettings {
    /// Failures in a row after which it is left out; 0: never.
    pub failures: u32,
    /// For how long the first time; twice as long each time after.
    pub first: Duration,
    /// At most this long.
    pub max: Duration,
}

impl Default for EjectionSettings {
    fn default() -> Self {
        Self { failures: 5, first: Duration::from_secs(5), max: Duration::from_secs(120) }
    }
}

/// The `Host` that the servers get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SentHost {
    /// What the client asked for.
    Preserved,
    /// The server's own, from its address.
    Server,
    /// This one.
    Named(HeaderValue),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<(bool, &str, u16)>) {
        let parsed = text.parse::<ServerAddress>().ok();
        let parsed = parsed.as_ref().map(|address| (address.tls, address.host.as_str(), address.port));
        assert_eq!(parsed, expected, "{text}");
    }

    #[test]
    fn an_address_is_a_scheme_a_host_and_a_port() {
        check("http://127.0.0.1:8000", Some((false, "127.0.0.1", 8000)));
        check("https://backend.internal", Some((true, "backend.internal", 443)));
        check("http://backend/", Some((false, "backend", 80)));
        check("http://[::1]:81", Some((false, "::1", 81)));
        for bad in ["backend:80", "ftp://a", "http://", "http://a/b", "http://a?b", "http://u@a", "http://a:", "a", ""]
        {
            check(bad, None);
        }
    }

    #[test]
    fn an_authority_names_the_port_only_if_it_is_another() {
        let authority = |text: &str| text.parse::<ServerAddress>().unwrap().authority();
        assert_eq!(authority("http://a:80"), "a");
        assert_eq!(authority("https://a:80"), "a:80");
        assert_eq!(authority("http://[::1]:81"), "[::1]:81");
    }
}
