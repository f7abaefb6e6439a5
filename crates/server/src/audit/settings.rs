//! How a trail is kept, and how that is read from an application's settings.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use super::record::Level;
use crate::settings::{Reader, Setting, parse_bool, parse_duration};

const LEVEL: Setting<Level> = Setting::new("AUDIT_LEVEL", "off, mutations, sensitive or all", Level::parse);
const SPOOL_BYTES: Setting<u64> =
    Setting::new("AUDIT_SPOOL_BYTES", "a number of bytes from 1048576 (1 MiB) to 1099511627776 (1 TiB)", |text| {
        text.parse().ok().filter(|bytes| (1 << 20..=1 << 40).contains(bytes))
    });
const SYNC: Setting<bool> = Setting::new("AUDIT_SYNC", "true or false", parse_bool);
const RETENTION: Setting<Duration> =
    Setting::new("AUDIT_RETENTION", "1h to 36500d: a whole number with its unit (h or d), such as 365d", |text| {
        let allowed = Duration::from_secs(3600)..=Duration::from_secs(36_500 * 86_400);
        parse_duration(text).filter(|kept| allowed.contains(kept))
    });

/// How a trail is kept.
#[derive(Clone, Debug)]
pub struct AuditSettings {
    /// Where the spool is.
    pub directory: PathBuf,
    /// What is recorded at first.
    pub level: Level,
    /// Bytes that may wait for the database.
    pub spool_bytes_max: u64,
    /// Whether what changes something is on disk before it is answered, so that it outlives the machine, too.
    pub syncs: bool,
    /// How long records are kept; for good if nothing is said.
    pub retention: Option<Duration>,
}

impl AuditSettings {
    /// 256 MiB in `directory`, what changes something, not synced, for good.
    pub fn new(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            level: Level::default(),
            spool_bytes_max: 256 << 20,
            syncs: false,
            retention: None,
        }
    }

    /// Reads `AUDIT_LEVEL`, `AUDIT_SPOOL_BYTES`, `AUDIT_SYNC` and `AUDIT_RETENTION`; faults stay with the reader. The
    /// spool is `audit` in `data_dir`.
    pub fn read(reader: &mut Reader, data_dir: &Path) -> Self {
        let usual = Self::new(&data_dir.join("audit"));
        Self {
            level: reader.read_or(&LEVEL, usual.level),
            spool_bytes_max: reader.read_or(&SPOOL_BYTES, usual.spool_bytes_max),
            syncs: reader.read_or(&SYNC, usual.syncs),
            retention: reader.read(&RETENTION),
            ..usual
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Sources;

    fn read(env: &[(&'static str, &'static str)]) -> Result<AuditSettings, String> {
        let mut reader = Reader::new(Sources::default().with_env(env.iter().copied()));
        let settings = AuditSettings::read(&mut reader, Path::new("data"));
        reader.finish().map(|()| settings).map_err(|error| error.to_string())
    }

    #[test]
    fn what_changes_something_is_recorded_unless_something_else_is_said() {
        let settings = read(&[]).unwrap();
        assert_eq!((settings.level, settings.syncs, settings.retention), (Level::Mutations, false, None));
        assert_eq!(settings.directory, Path::new("data/audit"));
        let set = read(&[("AUDIT_LEVEL", "all"), ("AUDIT_SYNC", "true"), ("AUDIT_RETENTION", "30d")]).unwrap();
        assert_eq!((set.level, set.syncs), (Level::All, true));
        assert_eq!(set.retention, Some(Duration::from_secs(30 * 86_400)));
        for (name, value, told) in [
            ("AUDIT_LEVEL", "some", "expected off, mutations"),
            ("AUDIT_SPOOL_BYTES", "5", "1 MiB"),
            ("AUDIT_RETENTION", "1m", "such as 365d"),
            ("AUDIT_LEVLE", "all", "did you mean AUDIT_LEVEL?"),
        ] {
            let error = read(&[(name, value)]).unwrap_err();
            assert!(error.contains(told), "{error}");
        }
    }
}
