//! The tables `[upstreams.<name>]`.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{super::values::Span, yes};

/// A backend: one or more servers that answer alike.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct UpstreamFile {
    /// Where they are: `http://127.0.0.1:8000` or `https://backend.internal`.
    #[schemars(length(min = 1), extend("x-each" = "origin"))]
    pub servers: Vec<String>,
    /// How TLS connections to them are judged.
    #[serde(default)]
    pub tls: UpstreamTls,
    /// Whether HTTP/2 is spoken to them.
    #[serde(default)]
    pub http2: bool,
    /// Connections to each of them.
    #[serde(default = "connections_max")]
    #[schemars(range(min = 1, max = 100_000))]
    pub connections_max: usize,
    /// Whether they get the `Host` that the client sent, rather than their own.
    #[serde(default = "yes")]
    pub preserve_host: bool,
    /// Whether they get request headers whose names have other signs than letters, digits and `-`. Servers that hand headers
    /// on as variables (CGI, WSGI, PHP) take `X_User` for `X-User`, and so let everybody say what only a proxy may.
    #[serde(default)]
    pub any_header_name: bool,
    /// How long things may take.
    #[serde(default)]
    pub timeouts: Timeouts,
    /// Safe requests that failed are sent once more.
    #[serde(default)]
    pub retry: Retry,
    /// Asking whether a server is well. Without it every server is taken to be.
    pub health: Option<Health>,
}

/// How TLS connections to an upstream are judged.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct UpstreamTls {
    /// A PEM file with the authorities that are trusted, in place of the system's.
    pub ca: Option<PathBuf>,
    /// The name in the servers' certificates, if it is not the host in their address.
    pub server_name: Option<String>,
    /// A PEM file: the certificate that the gateway shows.
    pub certificate: Option<PathBuf>,
    /// A PEM file: its private key.
    pub key: Option<PathBuf>,
}

/// How long things may take.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    /// To connect.
    pub connect: Span,
    /// From the request to the head of its answer.
    pub head: Span,
    /// Between two parts of a body.
    pub body_idle: Span,
}

/// Sending safe requests once more.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Retry {
    /// How often one request is sent at most; 1: never again.
    #[schemars(range(min = 1, max = 10))]
    pub attempts_max: u32,
    /// How many of all requests may be repetitions, in percent.
    #[schemars(range(min = 0, max = 100))]
    pub budget_percent: u32,
}

/// Asking whether a server is well.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Health {
    /// The path that answers 2xx if it is.
    #[schemars(extend("x-text" = "path"))]
    pub path: String,
    /// How often it is asked.
    #[serde(default = "every")]
    pub every: Span,
    /// How long the answer may take.
    #[serde(default = "timeout")]
    pub timeout: Span,
    /// Failures in a row after which it gets no requests.
    #[serde(default = "unhealthy_after")]
    #[schemars(range(min = 1, max = 100))]
    pub unhealthy_after: u32,
    /// Good answers in a row after which it gets them again.
    #[serde(default = "healthy_after")]
    #[schemars(range(min = 1, max = 100))]
    pub healthy_after: u32,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Span::seconds(2), head: Span::seconds(30), body_idle: Span::seconds(60) }
    }
}

impl Default for Retry {
    fn default() -> Self {
        Self { attempts_max: 2, budget_percent: 20 }
    }
}

fn connections_max() -> usize {
    256
}

fn every() -> Span {
    Span::seconds(5)
}

fn timeout() -> Span {
    Span::seconds(2)
}

fn unhealthy_after() -> u32 {
    3
}

fn healthy_after() -> u32 {
    2
}
