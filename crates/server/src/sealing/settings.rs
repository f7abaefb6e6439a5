//! The settings of sealing.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use unstale::KeyRing;

use super::{KeyCommand, KeySource};
use crate::settings::{Reader, Setting, parse_bool, parse_duration};

const SEALING_ENABLED: Setting<bool> = Setting::new("SEALING_ENABLED", "true or false", parse_bool);
const SEALING_KEY: Setting<KeyRing> = Setting::new(
    "SEALING_KEY",
    "keys of 64 hexadecimal digits (`openssl rand -hex 32` makes one), apart by commas, the current one first",
    |text| KeyRing::parse(text).ok(),
)
.secret();
const SEALING_KEY_FILE: Setting<PathBuf> =
    Setting::new("SEALING_KEY_FILE", "a file with keys of 64 hexadecimal digits, the current one first", |text| {
        Some(PathBuf::from(text))
    });
const SEALING_KEY_COMMAND: Setting<Vec<String>> = Setting::new(
    "SEALING_KEY_COMMAND",
    "a program and its arguments, apart by spaces, that writes keys of 64 hexadecimal digits, the current one first",
    |text| {
        let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        (!words.is_empty()).then_some(words)
    },
);
const SEALING_MEMORY: Setting<bool> = Setting::new("SEALING_MEMORY", "clear or sealed", |text| match text {
    "clear" => Some(false),
    "sealed" => Some(true),
    _ => None,
});
const SEALING_KEY_REFRESH: Setting<Duration> =
    Setting::new("SEALING_KEY_REFRESH", "1s to 24h: a whole number with its unit (s, m or h), such as 60s", |text| {
        let allowed = Duration::from_secs(1)..=Duration::from_secs(24 * 3600);
        parse_duration(text).filter(|every| allowed.contains(every))
    });
const SUBJECT_LIFETIME_MAX: Setting<Duration> = Setting::new(
    "SUBJECT_LIFETIME_MAX",
    "1s to 30d: a whole number with its unit (s, m, h or d), such as 24h",
    |text| {
        let allowed = Duration::from_secs(1)..=Duration::from_secs(30 * 24 * 3600);
        parse_duration(text).filter(|lifetime| allowed.contains(lifetime))
    },
);

/// With what is encrypted what goes to the cache's store, and how long it may be there.
#[derive(Clone)]
pub struct SealingSettings {
    /// `SEALING_ENABLED`: by default yes. Without it, whatever is sensitive or about somebody stays in each node's memory.
    pub is_enabled: bool,
    /// `SEALING_KEY`, `SEALING_KEY_FILE` or `SEALING_KEY_COMMAND`: where the master keys are; by default, a key is derived
    /// from the installation's secret, which all its nodes have.
    pub source: Option<KeySource>,
    /// `SEALING_MEMORY`: `clear` (the default) or `sealed`: whether sensitive values stay out of a node's memory, but for the
    /// moment in which one is read.
    pub is_memory_sealed: bool,
    /// `SEALING_KEY_REFRESH`: how often a file or a program is asked again; by default every minute.
    pub refresh_every: Duration,
    /// `SUBJECT_LIFETIME_MAX`: the longest time that a value about a person is kept in the cache; by default 24 hours.
    pub subject_lifetime_max: Duration,
}

impl SealingSettings {
    /// Reads them; faults stay with the reader.
    pub fn read(reader: &mut Reader) -> Self {
        let is_enabled = reader.read_or(&SEALING_ENABLED, true);
        let key = reader.read(&SEALING_KEY).map(KeySource::Fixed);
        let file = reader.read(&SEALING_KEY_FILE).map(KeySource::File);
        let command =
            reader.read(&SEALING_KEY_COMMAND).map(|words| KeySource::Service(Arc::new(KeyCommand::new(words))));
        let twice = "the keys are set in another way too; leave one of SEALING_KEY, SEALING_KEY_FILE and \
                     SEALING_KEY_COMMAND";
        if file.is_some() && key.is_some() {
            reader.refuse(&SEALING_KEY_FILE, twice);
        }
        if command.is_some() && (key.is_some() || file.is_some()) {
            reader.refuse(&SEALING_KEY_COMMAND, twice);
        }
        Self {
            is_enabled,
            is_memory_sealed: is_enabled && reader.read_or(&SEALING_MEMORY, false),
            source: key.or(file).or(command),
            refresh_every: reader.read_or(&SEALING_KEY_REFRESH, Duration::from_secs(60)),
            subject_lifetime_max: reader.read_or(&SUBJECT_LIFETIME_MAX, Duration::from_secs(24 * 3600)),
        }
    }
}

impl fmt::Debug for SealingSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { is_enabled, is_memory_sealed, source, refresh_every, subject_lifetime_max } = self;
        write!(
            f,
            "SealingSettings({is_enabled}, memory {is_memory_sealed}, {source:?}, {refresh_every:?}, {subject_lifetime_max:?})"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Sources;

    const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

    fn read(env: &[(&'static str, &'static str)]) -> Result<SealingSettings, String> {
        let mut reader = Reader::new(Sources::default().with_env(env.iter().copied()));
        let settings = SealingSettings::read(&mut reader);
        reader.finish().map_err(|error| error.to_string())?;
        Ok(settings)
    }

    #[test]
    fn is_on_by_default_with_the_installations_own_key() {
        let settings = read(&[]).unwrap();
        assert!(settings.is_enabled && settings.source.is_none() && !settings.is_memory_sealed);
        assert!(read(&[("SEALING_MEMORY", "sealed")]).unwrap().is_memory_sealed);
        assert_eq!(settings.subject_lifetime_max, Duration::from_secs(86_400));
        assert!(!read(&[("SEALING_ENABLED", "false")]).unwrap().is_enabled);
    }

    #[test]
    fn keys_have_one_source_and_are_never_shown() {
        let settings = read(&[("SEALING_KEY", KEY)]).unwrap();
        assert!(matches!(settings.source, Some(KeySource::Fixed(_))));
        assert!(!format!("{settings:?}").contains("0001"));
        let told = read(&[("SEALING_KEY", "0011223344556677")]).unwrap_err();
        assert!(told.contains("64 hexadecimal digits") && !told.contains("0011"), "{told}");
        let told = read(&[("SEALING_KEY", KEY), ("SEALING_KEY_FILE", "/k")]).unwrap_err();
        assert!(told.contains("SEALING_KEY_FILE") && told.contains("leave one of"), "{told}");
        let told = read(&[("SEALING_KEY_COMMAND", "a b"), ("SEALING_KEY_FILE", "/k")]).unwrap_err();
        assert!(told.contains("SEALING_KEY_COMMAND") && told.contains("leave one of"), "{told}");
        assert!(read(&[("SUBJECT_LIFETIME_MAX", "31d")]).unwrap_err().contains("1s to 30d"));
    }
}
