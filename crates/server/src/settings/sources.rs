//! Where settings come from: the command line's file and the environment, as text with its origin.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fmt,
    path::{Path, PathBuf},
};

use toml::de::{DeTable, DeValue};

use super::error::{Fault, Origin, SettingsError};

/// The variable that names the file.
pub(super) const CONFIG_FILE: &str = "CONFIG_FILE";
const CONFIG_FLAG: &str = "--config";

/// The texts of all settings that somebody wrote, before they are understood.
#[derive(Clone, Default)]
pub struct Sources {
    pub(super) env: BTreeMap<String, String>,
    pub(super) file: BTreeMap<String, FileValue>,
    pub(super) file_path: Option<PathBuf>,
    pub(super) faults: Vec<Fault>,
}

/// A value of the file.
#[derive(Clone, Debug)]
pub(super) struct FileValue {
    pub(super) line: usize,
    /// `Err` names the kind of a value that no setting has, such as a table.
    pub(super) text: Result<String, &'static str>,
}

impl Sources {
    /// The process's own: its arguments, its environment and the file that one of them names.
    pub fn of_process() -> Result<Self, SettingsError> {
        Self::of(std::env::args_os().skip(1), std::env::vars_os(), |path| std::fs::read_to_string(path))
    }

    /// From these arguments and variables; `read` reads the file.
    ///
    /// Only `--config FILE` is looked at among the arguments; the others are the application's.
    pub fn of(
        args: impl IntoIterator<Item = OsString>,
        env: impl IntoIterator<Item = (OsString, OsString)>,
        read: impl FnOnce(&Path) -> std::io::Result<String>,
    ) -> Result<Self, SettingsError> {
        let mut sources = Self::default();
        for (name, value) in env {
            let Ok(name) = name.into_string() else { continue };
            // What is not UTF-8 matters only if it is a setting; then it is told as malformed.
            let value = value.into_string().unwrap_or_else(|raw| raw.to_string_lossy().into_owned());
            sources.env.insert(name, value);
        }
        let of_args = config_of(args).map_err(|fault| SettingsError { faults: vec![fault] })?;
        let of_env = sources.env.get(CONFIG_FILE).filter(|path| !path.is_empty());
        let (path, origin) = match (of_args, of_env) {
            (Some(path), _) => (path, Origin::CommandLine),
            (None, Some(path)) => (path.into(), Origin::Environment),
            (None, None) => return Ok(sources),
        };
        match read(&path) {
            Ok(text) => Ok(sources.with_file(&path, &text)),
            Err(error) => {
                let name = if origin == Origin::CommandLine { CONFIG_FLAG } else { CONFIG_FILE }.to_owned();
                let message = format!("names {}, which cannot be read: {error}", path.display());
                Err(SettingsError { faults: vec![Fault { name, origin, message }] })
            }
        }
    }

    /// Adds environment variables.
    #[must_use]
    pub fn with_env<'a>(mut self, env: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        self.env.extend(env.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())));
        self
    }

    /// Adds a file with this text.
    #[must_use]
    pub fn with_file(mut self, path: &Path, text: &str) -> Self {
        self.file_path = Some(path.to_owned());
        let (table, errors) = DeTable::parse_recoverable(text);
        let mut last = 0;
        for error in errors {
            let line = line_at(text, error.span().map_or(0, |span| span.start));
            // What follows on the same line is a consequence of the first.
            if std::mem::replace(&mut last, line) == line {
                continue;
            }
            let origin = Origin::File { path: path.to_owned(), line };
            let message = format!("is no valid TOML: {}", error.message());
            self.faults.push(Fault { name: "the file".to_owned(), origin, message });
        }
        if self.faults.is_empty() {
            for (key, value) in table.get_ref() {
                let line = line_at(text, key.span().start);
                self.file.insert(key.get_ref().to_string(), FileValue { line, text: text_of(value.get_ref()) });
            }
        }
        self
    }
}

/// Names only: a value may be a secret.
impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources")
            .field("env", &self.env.keys())
            .field("file", &self.file.keys())
            .field("file_path", &self.file_path)
            .finish_non_exhaustive()
    }
}

fn config_of(args: impl IntoIterator<Item = OsString>) -> Result<Option<PathBuf>, Fault> {
    let mut args = args.into_iter();
    let mut path: Option<OsString> = None;
    let fault = |message: &str| Fault {
        name: CONFIG_FLAG.to_owned(),
        origin: Origin::CommandLine,
        message: message.to_owned(),
    };
    while let Some(arg) = args.next() {
        let value = if arg == CONFIG_FLAG {
            args.next().ok_or_else(|| fault("names no file: write --config FILE"))?
        } else if let Some(value) = arg.to_str().and_then(|arg| arg.strip_prefix("--config=")) {
            value.into()
        } else {
            continue;
        };
        if value.is_empty() {
            return Err(fault("names no file: write --config FILE"));
        }
        if path.replace(value).is_some() {
            return Err(fault("is given twice: name one file"));
        }
    }
    Ok(path.map(PathBuf::from))
}

fn text_of(value: &DeValue<'_>) -> Result<String, &'static str> {
    match value {
        DeValue::String(text) => Ok(text.to_string()),
        DeValue::Boolean(value) => Ok(value.to_string()),
        DeValue::Integer(value) => Ok(value.to_string()),
        DeValue::Float(value) => Ok(value.to_string()),
        DeValue::Datetime(value) => Ok(value.to_string()),
        DeValue::Array(_) => Err("a list"),
        DeValue::Table(_) => Err("a table"),
    }
}

fn line_at(text: &str, offset: usize) -> usize {
    text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn os(texts: &[&str]) -> Vec<OsString> {
        texts.iter().map(OsString::from).collect()
    }

    fn file_of(args: &[&str], env: &[(&str, &str)]) -> Result<Option<PathBuf>, String> {
        let env = env.iter().map(|(name, value)| (name.into(), value.into()));
        let sources = Sources::of(os(args), env, |path| {
            if path == Path::new("gone.toml") { Err(std::io::ErrorKind::NotFound.into()) } else { Ok(String::new()) }
        });
        sources.map(|sources| sources.file_path).map_err(|error| error.to_string())
    }

    #[test]
    fn the_file_is_named_by_the_argument_or_else_by_the_variable() {
        assert_eq!(file_of(&["serve"], &[]), Ok(None));
        assert_eq!(file_of(&[], &[("CONFIG_FILE", "env.toml")]), Ok(Some("env.toml".into())));
        assert_eq!(file_of(&["--config", "a.toml"], &[("CONFIG_FILE", "env.toml")]), Ok(Some("a.toml".into())));
        assert_eq!(file_of(&["--config=b.toml"], &[]), Ok(Some("b.toml".into())));
    }

    #[test]
    fn a_file_that_is_not_there_or_not_named_is_a_fault() {
        assert!(file_of(&["--config", "gone.toml"], &[]).unwrap_err().contains("--config (command line) names gone"));
        assert!(file_of(&[], &[("CONFIG_FILE", "gone.toml")]).unwrap_err().contains("CONFIG_FILE (environment)"));
        assert!(file_of(&["--config"], &[]).unwrap_err().contains("names no file"));
        assert!(file_of(&["--config=a", "--config=b"], &[]).unwrap_err().contains("given twice"));
    }

    #[test]
    fn values_keep_their_lines_and_broken_toml_names_its_own() {
        let sources = Sources::default().with_file(Path::new("a.toml"), "a = 1\n\nb = true\nc = [1]\n");
        assert_eq!(sources.file["b"].line, 3);
        assert_eq!(sources.file["a"].text, Ok("1".to_owned()));
        assert_eq!(sources.file["c"].text, Err("a list"));
        let sources = Sources::default().with_file(Path::new("a.toml"), "a = 1\nb = = 2\n");
        assert!(sources.faults[0].to_string().starts_with("the file (a.toml:2) is no valid TOML"));
    }
}
