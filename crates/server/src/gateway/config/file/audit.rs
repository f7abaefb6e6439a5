//! `[audit]`: the trail of what is changed and read through the gateway.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    audit::Level,
    gateway::config::values::{Size, Span},
};

/// The audit trail. All but its level and which routes are sensitive cannot change while the gateway runs. It needs the
/// cache's secret.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    /// The environment variable that holds the database's URL: `postgres://…`, or `sqlite://audit.db?mode=rwc`.
    pub database_url_env: Option<String>,
    /// A file that holds the URL.
    pub database_url_file: Option<PathBuf>,
    /// Where records wait for the database: of this node alone, and kept over restarts.
    #[serde(default = "directory")]
    pub directory: PathBuf,
    /// What is recorded.
    #[serde(default)]
    pub level: AuditLevel,
    /// Paths of routes, as they are written there, of which every read is recorded from the level `sensitive` on.
    #[serde(default)]
    pub sensitive: Vec<String>,
    /// Bytes that may wait for the database. When they do, what must be recorded is refused with 503.
    #[serde(default = "spool_max")]
    pub spool_max: Size,
    /// Whether what changes something is on disk before it is answered, so that it outlives the machine, too.
    #[serde(default)]
    pub sync: bool,
    /// How long records are kept; for good if nothing is said.
    pub retention: Option<Span>,
}

/// What is recorded.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum AuditLevel {
    /// Nothing.
    Off,
    /// What changes something.
    #[default]
    Mutations,
    /// And reads of sensitive routes, and what was refused.
    Sensitive,
    /// And every read.
    All,
}

impl From<AuditLevel> for Level {
    fn from(level: AuditLevel) -> Self {
        match level {
            AuditLevel::Off => Self::Off,
            AuditLevel::Mutations => Self::Mutations,
            AuditLevel::Sensitive => Self::Sensitive,
            AuditLevel::All => Self::All,
        }
    }
}

fn directory() -> PathBuf {
    "audit".into()
}

fn spool_max() -> Size {
    Size::mib(256)
}
