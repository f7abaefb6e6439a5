//! Understanding what the sources say, setting by setting, and collecting every fault.

use std::collections::BTreeSet;

use super::{
    Setting,
    distance::nearest,
    error::{Fault, Origin, SettingsError},
    sources::{CONFIG_FILE, Sources},
};

/// Longest part of a value that a fault repeats.
const QUOTED_CHARS_MAX: usize = 120;

/// Reads settings one by one. Call [`finish`](Self::finish) when all are read: only then are the faults told.
#[derive(Debug)]
pub struct Reader {
    sources: Sources,
    names: BTreeSet<&'static str>,
    prefixes: Vec<&'static str>,
    faults: Vec<Fault>,
}

impl Reader {
    /// A reader of these sources.
    pub fn new(mut sources: Sources) -> Self {
        let faults = std::mem::take(&mut sources.faults);
        Self { sources, names: BTreeSet::from([CONFIG_FILE]), prefixes: Vec::new(), faults }
    }

    /// Says that every environment variable with this prefix is meant for this application.
    pub fn own_prefix(&mut self, prefix: &'static str) {
        self.prefixes.push(prefix);
    }

    /// The setting's value; none if nobody set it, or if it is malformed (which is noted).
    pub fn read<T>(&mut self, setting: &Setting<T>) -> Option<T> {
        self.names.insert(setting.name);
        let (text, origin) = self.text(setting.name)?;
        let Setting { expected, is_secret, .. } = setting;
        let message = match text {
            Ok(text) => match (setting.parse)(&text) {
                Some(value) => return Some(value),
                None => format!("is {}: expected {expected}", shown(&text, *is_secret)),
            },
            Err(kind) => format!("is {kind}: expected {expected}"),
        };
        self.faults.push(Fault { name: setting.name.to_owned(), origin, message });
        None
    }

    /// The setting's value, else this one.
    pub fn read_or<T>(&mut self, setting: &Setting<T>, default: T) -> T {
        self.read(setting).unwrap_or(default)
    }

    /// Notes that a setting's value, though well-formed, cannot be used.
    pub fn refuse<T>(&mut self, setting: &Setting<T>, reason: &str) {
        let (value, origin) = match self.text(setting.name) {
            Some((Ok(text), origin)) => (format!("is {}", shown(&text, setting.is_secret)), origin),
            Some((Err(kind), origin)) => (format!("is {kind}"), origin),
            None => ("is not set".to_owned(), Origin::Default),
        };
        self.faults.push(Fault { name: setting.name.to_owned(), origin, message: format!("{value}: {reason}") });
    }

    /// Ends the reading: every fault, and everything that was written but is no setting.
    pub fn finish(mut self) -> Result<(), SettingsError> {
        let names = self.names.clone();
        for name in self.sources.env.keys() {
            let owned = self.prefixes.iter().any(|prefix| name.starts_with(prefix));
            let meant = nearest(name, names.iter().copied());
            if !names.contains(name.as_str()) && (owned || meant.is_some()) {
                self.faults.push(unknown(name, Origin::Environment, meant));
            }
        }
        for (name, value) in &self.sources.file {
            let upper = name.to_ascii_uppercase();
            if !names.contains(upper.as_str()) || upper == CONFIG_FILE || *name != name.to_ascii_lowercase() {
                let meant = nearest(name, names.iter().copied()).map(str::to_ascii_lowercase);
                let path = self.sources.file_path.clone().unwrap_or_default();
                self.faults.push(unknown(name, Origin::File { path, line: value.line }, meant.as_deref()));
            }
        }
        if self.faults.is_empty() { Ok(()) } else { Err(SettingsError { faults: self.faults }) }
    }

    fn text(&self, name: &str) -> Option<(Result<String, &'static str>, Origin)> {
        if let Some(text) = self.sources.env.get(name).filter(|text| !text.is_empty()) {
            return Some((Ok(text.clone()), Origin::Environment));
        }
        let value = self.sources.file.get(&name.to_ascii_lowercase())?;
        let path = self.sources.file_path.clone().unwrap_or_default();
        Some((value.text.clone(), Origin::File { path, line: value.line }))
    }
}

fn unknown(name: &str, origin: Origin, meant: Option<&str>) -> Fault {
    let message = match meant {
        Some(meant) => format!("is no setting: did you mean {meant}?"),
        None => "is no setting: remove it".to_owned(),
    };
    Fault { name: name.to_owned(), origin, message }
}

fn shown(text: &str, is_secret: bool) -> String {
    if is_secret {
        "(not shown)".to_owned()
    } else {
        format!("{:?}", text.chars().take(QUOTED_CHARS_MAX).collect::<String>())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::settings::parse_bool;

    const PORT: Setting<u16> = Setting::new("PORT", "a port from 0 to 65535", |text| text.parse().ok());
    const DEBUG_MODE: Setting<bool> = Setting::new("DEBUG_MODE", "true or false", parse_bool);
    const API_KEY: Setting<u64> = Setting::new("API_KEY", "16 digits", |text| text.parse().ok()).secret();

    fn faults(sources: Sources) -> Vec<String> {
        let mut reader = Reader::new(sources);
        reader.own_prefix("DEMO_");
        let _ = (reader.read(&PORT), reader.read(&DEBUG_MODE), reader.read(&API_KEY));
        match reader.finish() {
            Ok(()) => Vec::new(),
            Err(error) => error.faults.iter().map(ToString::to_string).collect(),
        }
    }

    fn file(text: &str) -> Sources {
        Sources::default().with_file(Path::new("app.toml"), text)
    }

    #[test]
    fn the_environment_wins_over_the_file_and_the_file_over_the_default() {
        let mut reader =
            Reader::new(file("port = 81\ndebug_mode = true").with_env([("PORT", "82"), ("DEBUG_MODE", "")]));
        assert_eq!((reader.read_or(&PORT, 80), reader.read_or(&DEBUG_MODE, false)), (82, true));
        assert_eq!(reader.read_or(&API_KEY, 3), 3);
        reader.finish().unwrap();
    }

    #[test]
    fn every_fault_is_told_at_once_with_its_origin_and_its_value() {
        let sources = file("port = \"many\"\n\nflavour = 3\n[debug_mode]\n").with_env([("API_KEY", "hunter2")]);
        assert_eq!(
            faults(sources),
            [
                "PORT (app.toml:1) is \"many\": expected a port from 0 to 65535",
                "DEBUG_MODE (app.toml:4) is a table: expected true or false",
                "API_KEY (environment) is (not shown): expected 16 digits",
                "flavour (app.toml:3) is no setting: remove it",
            ]
        );
    }

    #[test]
    fn misspelt_names_and_names_with_our_prefix_are_faults_and_others_are_not() {
        let sources = file("prot = 1\n").with_env([("API_KYE", "x"), ("DEMO_THING", "1"), ("HOME", "/root")]);
        assert_eq!(
            faults(sources),
            [
                "API_KYE (environment) is no setting: did you mean API_KEY?",
                "DEMO_THING (environment) is no setting: remove it",
                "prot (app.toml:1) is no setting: did you mean port?",
            ]
        );
    }

    #[test]
    fn a_broken_file_is_a_fault_beside_the_others() {
        let told = faults(file("port = = 1").with_env([("PORT", "x")]));
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].starts_with("the file (app.toml:1) is no valid TOML"), "{told:?}");
    }

    #[test]
    fn what_cannot_be_used_is_refused_with_its_origin() {
        let mut reader = Reader::new(Sources::default().with_env([("PORT", "1")]));
        reader.read(&PORT);
        reader.refuse(&PORT, "ports below 1024 need root");
        let told = reader.finish().unwrap_err().to_string();
        assert!(told.ends_with("PORT (environment) is \"1\": ports below 1024 need root"), "{told}");
    }
}
