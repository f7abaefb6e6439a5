//! What is wrong with a configuration file, and where.

use std::fmt;

/// A place in the file's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
}

impl Place {
    /// The place of a byte.
    pub(crate) fn of(text: &str, offset: usize) -> Self {
        let before = text.get(..offset.min(text.len())).unwrap_or(text);
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |rest| rest.chars().count()) + 1;
        Self { line, column }
    }
}

/// The way from the top of the file to a value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Path(Vec<Step>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Key(String),
    Item(usize),
}

impl Path {
    /// The table or list of this name at the top.
    pub(crate) fn of(name: &str) -> Self {
        Self::default().key(name)
    }

    /// A key of it.
    #[must_use]
    pub(crate) fn key(&self, name: &str) -> Self {
        self.with(Step::Key(name.to_owned()))
    }

    /// An item of it, from 0.
    #[must_use]
    pub(crate) fn item(&self, at: usize) -> Self {
        self.with(Step::Item(at))
    }

    pub(crate) fn steps(&self) -> &[Step] {
        &self.0
    }

    fn with(&self, step: Step) -> Self {
        Self(self.0.iter().cloned().chain([step]).collect())
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.0.iter().enumerate() {
            match step {
                Step::Item(item) => write!(f, "[{item}]")?,
                Step::Key(key) => {
                    let is_bare = key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
                    f.write_str(if at == 0 { "" } else { "." })?;
                    if is_bare { f.write_str(key)? } else { write!(f, "{key:?}")? }
                }
            }
        }
        if self.0.is_empty() { f.write_str("the file") } else { Ok(()) }
    }
}

/// One thing that is wrong. Holds no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where.
    pub place: Place,
    /// Of which value, from the top: `routes[2].upstream`.
    pub path: String,
    /// What was found.
    pub found: String,
    /// What was expected.
    pub expected: String,
    /// What to do, where that does not follow.
    pub advice: Option<String>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, path, found, expected, advice } = self;
        write!(f, "{}:{}: {path} {found}: expected {expected}", place.line, place.column)?;
        advice.iter().try_for_each(|advice| write!(f, "; {advice}"))
    }
}

/// Everything that is wrong with a file.
#[derive(Clone, Debug, thiserror::Error)]
pub struct Faults {
    /// The file, as it was named.
    pub file: String,
    /// In the order of the text.
    pub faults: Vec<Fault>,
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for fault in &self.faults {
            writeln!(f, "{}:{fault}", self.file)?;
        }
        let count = self.faults.len();
        write!(f, "{count} {} in {}", if count == 1 { "problem" } else { "problems" }, self.file)
    }
}
