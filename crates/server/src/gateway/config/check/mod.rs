//! What a well-formed file means: references, contradictions, and what it names outside of itself.
//!
//! Each part of the file has a module. All of them note what is wrong with the same [`Checker`], so that everything is
//! told at once.

mod access;
mod identity;
mod routes;
mod upstreams;

use std::{
    io,
    path::{Path as FilePath, PathBuf},
};

use super::{
    document::Document,
    fault::{Fault, Path},
    file::File,
    secret::Material,
    structure::{Judged, quoted},
};
use crate::settings::nearest;

pub use self::identity::KeySource;

/// Shortest secret, in bytes.
pub(crate) const SECRET_BYTES_MIN: usize = 32;

/// What a file's meaning depends on besides its text.
pub struct Surroundings<'a> {
    /// The directory that relative paths begin at.
    pub directory: &'a FilePath,
    /// An environment variable.
    pub env: &'a dyn Fn(&str) -> Option<String>,
}

/// A file that was read, and what was in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadFile {
    /// Where it is.
    pub path: PathBuf,
    /// A hash of its bytes; none if it could not be read.
    pub hash: Option<blake3::Hash>,
}

impl ReadFile {
    /// A file with these bytes.
    pub fn new(path: &FilePath, bytes: Option<&[u8]>) -> Self {
        Self { path: path.to_owned(), hash: bytes.map(blake3::hash) }
    }

    /// The same file as it is now.
    pub(crate) fn again(&self) -> Self {
        Self::new(&self.path, std::fs::read(&self.path).ok().as_deref())
    }
}

/// A file that means something, with everything that it names read.
#[derive(Debug)]
pub struct Plan {
    /// The file.
    pub file: File,
    /// The URL of the Redis that nodes share.
    pub redis_url: Option<Material>,
    /// The secret of validators and groups.
    pub secret: Option<Material>,
    /// The URL of the audit trail's database.
    pub audit_url: Option<Material>,
    /// The URL of the records' database.
    pub records_url: Option<Material>,
    /// Where the keys of each `[[identity]]`'s tokens are; none for other kinds.
    pub keys: Vec<Option<KeySource>>,
    /// The hashes of the tokens of each `[[control.credentials]]`.
    pub tokens: Vec<blake3::Hash>,
    /// Every file that was read, as it was found.
    pub files: Vec<ReadFile>,
    /// Where relative paths begin.
    pub directory: PathBuf,
}

impl Plan {
    /// A path of the file, from where the process runs.
    pub fn path(&self, path: &FilePath) -> PathBuf {
        self.directory.join(path)
    }
}

/// Checks what a file means.
pub(crate) fn check(
    file: File,
    document: &Document<'_>,
    judged: &Judged,
    surroundings: &Surroundings<'_>,
) -> (Plan, Vec<Fault>) {
    let mut checker = Checker { document, judged, surroundings, faults: Vec::new(), files: Vec::new() };
    checker.listen(&file);
    let (redis_url, secret) = checker.cache(&file);
    checker.upstreams(&file);
    let keys = checker.identities(&file);
    checker.routes(&file);
    let tokens = checker.control(&file);
    let audit_url = checker.audit(&file);
    let records_url = checker.records(&file);
    let Checker { faults, files, .. } = checker;
    let directory = surroundings.directory.to_owned();
    (Plan { file, redis_url, secret, audit_url, records_url, keys, tokens, files, directory }, faults)
}

struct Checker<'a, 't> {
    document: &'a Document<'t>,
    judged: &'a Judged,
    surroundings: &'a Surroundings<'a>,
    faults: Vec<Fault>,
    files: Vec<ReadFile>,
}

impl Checker<'_, '_> {
    fn fault(&mut self, path: &Path, found: impl Into<String>, expected: impl Into<String>) {
        self.advise(path, found, expected, None);
    }

    fn advise(&mut self, path: &Path, found: impl Into<String>, expected: impl Into<String>, advice: Option<String>) {
        let path = self.judged.original(path);
        let (place, found, expected) = (self.document.place(&path), found.into(), expected.into());
        self.faults.push(Fault { place, path: path.to_string(), found, expected, advice });
    }

    /// A file's bytes; notes why there are none.
    fn read(&mut self, path: &Path, file: &FilePath) -> Option<Vec<u8>> {
        let file = self.surroundings.directory.join(file);
        let read = std::fs::read(&file);
        self.files.push(ReadFile::new(&file, read.as_deref().ok()));
        match read {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                let reason = match error.kind() {
                    io::ErrorKind::NotFound => "there is no such file".to_owned(),
                    io::ErrorKind::PermissionDenied => "this user may not read it".to_owned(),
                    _ => error.to_string(),
                };
                let found = format!("names {}, but {reason}", quoted(&file.display().to_string()));
                self.fault(path, found, "a file that can be read");
                None
            }
        }
    }

    /// A secret from the one of several places that is given; `at` is the table of the keys.
    fn secret(
        &mut self,
        at: &Path,
        (env_key, env): (&str, Option<&String>),
        (file_key, file): (&str, Option<&PathBuf>),
    ) -> Option<(Material, Path)> {
        if env.is_some() && file.is_some() {
            let expected = format!("one of {env_key} and {file_key}");
            self.fault(&at.key(file_key), "stands beside the other", expected);
            return None;
        }
        if let Some(name) = env {
            let path = at.key(env_key);
            let Some(value) = (self.surroundings.env)(name).filter(|value| !value.is_empty()) else {
                let found = format!("names {}, which is not set", quoted(name));
                self.fault(&path, found, "an environment variable with the value");
                return None;
            };
            return Some((Material::new(value.as_bytes()), path));
        }
        let path = at.key(file_key);
        let bytes = self.read(&path, file?)?;
        Some((Material::new(&bytes), path))
    }

    /// The same, of which at least [`SECRET_BYTES_MIN`] bytes are wanted.
    fn long_secret(
        &mut self,
        at: &Path,
        env: (&str, Option<&String>),
        file: (&str, Option<&PathBuf>),
    ) -> Option<Material> {
        let (secret, path) = self.secret(at, env, file)?;
        let bytes = secret.expose().len();
        if bytes < SECRET_BYTES_MIN {
            let found = format!("leads to a secret of {bytes} bytes");
            let advice = Some("`openssl rand -base64 32` makes one".to_owned());
            self.advise(&path, found, format!("at least {SECRET_BYTES_MIN} bytes"), advice);
            return None;
        }
        Some(secret)
    }

    /// Whether an upstream is there, also one that has faults of its own.
    fn upstream(&mut self, path: &Path, name: &str) {
        let table = self.document.top().iter().find(|(key, _)| key.get_ref() == "upstreams");
        let table = table.and_then(|(_, value)| value.get_ref().as_table());
        let names: Vec<&str> = table.into_iter().flatten().map(|(key, _)| &**key.get_ref()).collect();
        if names.contains(&name) {
            return;
        }
        let advice = match nearest(name, names.iter().copied()) {
            Some(meant) => format!("did you mean {meant:?}?"),
            None => format!("add [upstreams.{name}]"),
        };
        let known = names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
        self.advise(path, format!("is {}", quoted(name)), format!("the name of an upstream ({known})"), Some(advice));
    }
}
