//! The configuration file, as it is written: one table per part of the gateway.
//!
//! These types are the file's whole description: its JSON schema is generated from them, and the file is judged by that
//! schema. What a value means is for [`super::check`] to say.

mod audit;
mod identity;
mod records;
mod routes;
mod upstreams;

use std::{collections::BTreeMap, num::NonZeroU32, path::PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

pub use self::{
    audit::{Audit, AuditLevel},
    identity::{
        CertificateField, Credentials, IdentityFile, IntrospectionFile, JwtAlgorithm, JwtFile, MutualTlsFile,
        OnCredentials, OnStrangers, TenantRule, TrustedHeaderFile,
    },
    records::Records,
    routes::{Browser, CacheMode, GroupSource, LifetimeOf, OriginFile, QueryOf, RouteCache, RouteFile, SharingOf},
    upstreams::{Health, Retry, Timeouts, UpstreamFile, UpstreamTls},
};
use super::values::{Size, Span};

/// The configuration of `unstale gateway`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "unstale gateway")]
pub struct File {
    /// Where requests come in.
    pub listen: Listen,
    /// The API for backends, metrics and health: a listener of its own. Without it there is none.
    pub control: Option<Control>,
    /// The cache.
    #[serde(default)]
    pub cache: Cache,
    /// The backends, by name.
    pub upstreams: BTreeMap<String, UpstreamFile>,
    /// How requests are told apart by tenant where the identity does not say it.
    #[serde(default)]
    pub tenant: TenantRule,
    /// By what the backends know who is asking.
    #[serde(default)]
    pub credentials: Credentials,
    /// How identities are verified, in this order: the first kind whose credentials a request has decides.
    #[serde(default)]
    pub identity: Vec<IdentityFile>,
    /// Which requests go where, and how their answers are kept.
    #[serde(default)]
    pub routes: Vec<RouteFile>,
    /// The upstream of requests that no route covers; they are passed on and never kept. Without it they are answered
    /// with 404.
    pub fallback: Option<String>,
    /// The audit trail. Without it there is none.
    pub audit: Option<Audit>,
    /// Records about the cache, and its configuration while it runs. Without it there are none.
    pub records: Option<Records>,
    /// Log lines.
    #[serde(default)]
    pub log: Log,
}

/// Where requests come in. The address and the limits of connections cannot change while the gateway runs.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Listen {
    /// An IP address and a port, such as `0.0.0.0:8080`.
    #[schemars(extend("x-text" = "address"))]
    pub address: String,
    /// Certificate and key; without them the listener speaks plain HTTP.
    pub tls: Option<ListenTls>,
    /// Whether HTTP/2 is offered.
    #[serde(default = "yes")]
    pub http2: bool,
    /// Connections at once.
    #[serde(default = "connections_max")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub connections_max: usize,
    /// Bytes of a request's head.
    #[serde(default = "head_bytes_max")]
    pub head_bytes_max: Size,
    /// Header lines of a request.
    #[serde(default = "headers_max")]
    #[schemars(range(min = 1, max = 1000))]
    pub headers_max: usize,
    /// How long a request's head may take to come.
    #[serde(default = "head_timeout")]
    pub head_timeout: Span,
    /// How long a connection may be unused.
    #[serde(default = "idle_timeout")]
    pub idle_timeout: Span,
    /// How long a client may take nothing of what is sent to it. Longer is for clients that stop in the midst of large
    /// answers; each of them holds what is buffered for it.
    #[serde(default = "write_timeout")]
    pub write_timeout: Span,
    /// Proxies in front, by their addresses or networks, whose `X-Forwarded-…` and `Forwarded` are believed and passed
    /// on. Of everybody else's requests these are taken out, before anything is looked up.
    #[serde(default)]
    #[schemars(extend("x-each" = "network"))]
    pub trusted_proxies: Vec<String>,
    /// Bytes of a request's body, where its route says nothing else.
    #[serde(default = "request_body_max")]
    pub request_body_max: Size,
    /// How long what runs may still take when the gateway stops.
    #[serde(default = "drain_timeout")]
    pub drain_timeout: Span,
}

/// A listener's certificate.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct ListenTls {
    /// A PEM file: the certificate and its chain.
    pub certificate: PathBuf,
    /// A PEM file: its private key.
    pub key: PathBuf,
    /// A PEM file with the authorities whose client certificates are accepted (mutual TLS).
    pub client_ca: Option<PathBuf>,
    /// A PEM file with the revocation lists of these authorities, one of each at least, none of them over. A certificate that
    /// is on one is refused; on connections that are open, within seconds of the file's change.
    pub client_crl: Option<PathBuf>,
    /// Whether a client without a certificate is refused.
    #[serde(default)]
    pub client_required: bool,
}

/// The API for backends. Its address and its certificate's files cannot change while the gateway runs; what is in those
/// files can.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Control {
    /// An IP address and a port, such as `127.0.0.1:8081`. Metrics and health are answered to everybody who reaches it.
    #[schemars(extend("x-text" = "address"))]
    pub address: String,
    /// Certificate and key; without them it speaks plain HTTP, which is for this host or a network that is trusted.
    pub tls: Option<ListenTls>,
    /// Who may use it.
    #[serde(default)]
    pub credentials: Vec<ControlCredential>,
    /// Requests of one credential within a minute.
    #[serde(default = "control_requests_max")]
    #[schemars(range(min = 1, max = 100_000))]
    pub requests_per_minute_max: usize,
}

/// One who may use the API for backends. Give its token as a hash or as a file.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ControlCredential {
    /// Who it is, for the log.
    pub name: String,
    /// For which tenants; `"*"` for all.
    #[schemars(length(min = 1))]
    pub tenants: Vec<String>,
    /// The token's BLAKE3 hash: 64 hexadecimal digits, as `unstale gateway token` prints it.
    #[schemars(extend("x-text" = "hash"))]
    pub token_blake3: Option<String>,
    /// A file that holds the token.
    pub token_file: Option<PathBuf>,
    /// Whether it operates the gateway: reads records of all tenants and changes how the cache is used.
    #[serde(default)]
    pub operates: bool,
}

/// The cache. Its store, its secret and its memory cannot change while the gateway runs.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Cache {
    /// The environment variable that holds the URL of the Redis that nodes share. Without a URL the cache is of this
    /// process alone.
    pub redis_url_env: Option<String>,
    /// A file that holds the URL.
    pub redis_url_file: Option<PathBuf>,
    /// The URL itself: `redis://host:6379`. Not for one that holds a password.
    #[schemars(extend("x-text" = "redis"))]
    pub redis_url: Option<String>,
    /// Failures of Redis in a row after which it is not asked for a while; in a cluster, of one partition's.
    #[schemars(range(min = 1, max = 1000))]
    pub redis_breaker_failures: u32,
    /// How long it is not asked then.
    pub redis_breaker_open: Span,
    /// Keeps applications on one Redis apart.
    pub namespace: String,
    /// Raising it makes every older entry unreachable.
    pub version: String,
    /// Bytes of all entries in this node's memory.
    pub memory_max: Size,
    /// Bytes of one tenant's entries, even while there is room.
    pub tenant_memory_max: Option<Size>,
    /// Each tenant's weight when memory is short; 1 if nothing is said.
    pub tenant_weights: BTreeMap<String, NonZeroU32>,
    /// Bytes of a response's body that is kept.
    pub response_body_max: Size,
    /// Bytes of a response's headers that are kept.
    pub response_headers_max: Size,
    /// Bytes of path and query of a request that is looked up.
    pub url_max: Size,
    /// The environment variable that holds the secret of validators and groups: at least 32 bytes, the same on all
    /// nodes. Without a secret one is made at the start, which is good for one node only.
    pub secret_env: Option<String>,
    /// A file that holds the secret.
    pub secret_file: Option<PathBuf>,
    /// Request headers that tell responses apart, besides the identity.
    pub vary_on: Vec<String>,
    /// Answers of one URL that are kept for one principal (or for all who share them) where headers select them; of more,
    /// those that are not used go.
    #[schemars(range(min = 1, max = 1000))]
    pub variants_max: usize,
}

/// Log lines.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// Which are written: `info`, or `warn,unstale_server=debug`.
    pub filter: String,
    /// How they are written.
    pub format: LogFormat,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

impl Default for Cache {
    fn default() -> Self {
        Self {
            redis_url_env: None,
            redis_url_file: None,
            redis_url: None,
            redis_breaker_failures: 5,
            redis_breaker_open: Span::seconds(60),
            namespace: "unstale".to_owned(),
            version: "v1".to_owned(),
            memory_max: Size::mib(256),
            tenant_memory_max: None,
            tenant_weights: BTreeMap::new(),
            response_body_max: Size::mib(1),
            response_headers_max: Size::kib(16),
            url_max: Size::kib(2),
            secret_env: None,
            secret_file: None,
            vary_on: vec!["accept".to_owned()],
            variants_max: 64,
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { filter: "info".to_owned(), format: LogFormat::Text }
    }
}

fn yes() -> bool {
    true
}

fn connections_max() -> usize {
    10_000
}

fn head_bytes_max() -> Size {
    Size::kib(32)
}

fn headers_max() -> usize {
    100
}

fn head_timeout() -> Span {
    Span::seconds(10)
}

fn idle_timeout() -> Span {
    Span::seconds(75)
}

fn write_timeout() -> Span {
    Span::seconds(60)
}

fn request_body_max() -> Size {
    Size::mib(10)
}

fn drain_timeout() -> Span {
    Span::seconds(10)
}

fn control_requests_max() -> usize {
    600
}
