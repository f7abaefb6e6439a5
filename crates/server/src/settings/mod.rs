//! Typed settings from a file and the environment.
//!
//! An application declares each setting once, as a constant with its name, what is expected and how it is read.
//! A value comes from the environment variable of that name, else from the file's key of the same name in lower
//! case, else from the default. The file is TOML, named by `--config FILE` or `CONFIG_FILE`.
//!
//! ```
//! use unstale_server::settings::{Reader, Setting, Sources};
//!
//! const WORKERS: Setting<u16> = Setting::new("WORKERS", "a number from 1 to 65535", |text| {
//!     text.parse().ok().filter(|workers| *workers > 0)
//! });
//!
//! let sources = Sources::default().with_env([("WORKERS", "0"), ("WROKERS", "3")]);
//! let mut reader = Reader::new(sources);
//! let workers = reader.read_or(&WORKERS, 4);
//! let faults = reader.finish().unwrap_err().to_string();
//! assert!(faults.contains(r#"WORKERS (environment) is "0": expected a number from 1 to 65535"#), "{faults}");
//! assert!(faults.contains("WROKERS (environment) is no setting: did you mean WORKERS?"), "{faults}");
//! # let _ = workers;
//! ```
//!
//! # Invariants
//! - All faults are told at once, each with the setting, where it came from, its value and what was expected.
//! - The value of a secret is never told.
//! - An empty environment variable counts as not set, as Compose files pass what is not set.
//!
//! It reads neither the process's environment nor files by itself, but in [`Sources::of_process`].

mod common;
mod distance;
mod error;
mod reader;
mod sources;

use std::time::Duration;

pub(crate) use self::distance::nearest;
pub use self::{
    common::{CommonSettings, DatabaseUrl, LogFormat, RedisAccess, RedisUrl},
    error::{Fault, Origin, SettingsError},
    reader::Reader,
    sources::Sources,
};

/// One setting: its name, what is expected and how its text is read.
#[derive(Debug)]
pub struct Setting<T> {
    pub(crate) name: &'static str,
    pub(crate) expected: &'static str,
    pub(crate) parse: fn(&str) -> Option<T>,
    pub(crate) is_secret: bool,
}

impl<T> Setting<T> {
    /// A setting `NAME`; `expected` completes the sentence "expected …".
    pub const fn new(name: &'static str, expected: &'static str, parse: fn(&str) -> Option<T>) -> Self {
        Self { name, expected, parse, is_secret: false }
    }

    /// The same, but its value is never told.
    #[must_use]
    pub const fn secret(self) -> Self {
        Self { name: self.name, expected: self.expected, parse: self.parse, is_secret: true }
    }

    /// Its name, as the environment has it.
    pub const fn name(&self) -> &'static str {
        self.name
    }
}

/// Reads a whole number and its unit: `250ms`, `30s`, `5m`, `2h`, `1d`.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let number: u64 = text[..end].parse().ok()?;
    let unit_ms = match &text[end..] {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(unit_ms).map(Duration::from_millis)
}

/// Reads `true` or `false` and their usual synonyms.
pub fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "true" | "1" | "yes" | "on" => Some(true),
        "false" | "0" | "no" | "off" => Some(false),
        _ => None,
    }
}
