//! `[records]`: what is kept about the cache, and how it is used, changed while it runs.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::gateway::config::values::Span;

/// Records about the cache (what it holds, how it does by hour and day), and its configuration while it runs (lifetimes,
/// modes, quotas, switches). Both are in a database, which all nodes of one cache share and nobody else. Operators reach
/// them on the address of `control`. It cannot change while the gateway runs.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Records {
    /// The environment variable that holds the database's URL: `postgres://…`, or `sqlite://records.db?mode=rwc`.
    pub database_url_env: Option<String>,
    /// A file that holds the URL.
    pub database_url_file: Option<PathBuf>,
    /// How often what was noted is written.
    #[serde(default = "write_every")]
    pub write_every: Span,
}

fn write_every() -> Span {
    Span::seconds(10)
}
