//! One secret file, and the keys that are derived from it, one per purpose.
//!
//! # Invariants
//! - The file holds exactly 32 random bytes, is created with mode 0600 and appears complete or not at all: two
//!   processes that start at once end with the same secret.
//! - A file that others may read is refused, not repaired: whoever could read it may have.
//! - Keys of different purposes say nothing of each other (BLAKE3 key derivation).

use std::{
    fmt, fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use unstale::GroupKey;

const SECRET_BYTES: usize = 32;
const FILE_NAME: &str = "secret.key";

/// What a key is for. The text of a purpose must never change: everything derived from it would.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Signing access tokens.
    Tokens,
    /// Entity tags that must not be guessable.
    Etags,
    /// The audit trail's chains and subjects.
    Audit,
    /// What is concealed in records about the cache.
    Records,
    /// Something of the application's own; name it so that no other application means the same.
    Application(&'static str),
}

/// The secret of this installation.
#[derive(Clone)]
pub struct Secret([u8; SECRET_BYTES]);

/// Why there is no secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file could not be read or made.
    #[error("the secret file {path} cannot be {action}: {source}", path = path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others may read the file.
    #[error(
        "the secret file {path} has mode {mode:04o}, so others may have read it: delete it to have a new one made \
         (all sessions end), or run `chmod 600` if nobody has", path = path.display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The file holds something else.
    #[error(
        "the secret file {path} holds {bytes} bytes instead of {SECRET_BYTES}: restore it from a backup, or delete it \
         to have a new one made (all sessions end)", path = path.display()
    )]
    WrongLength {
        /// The file.
        path: PathBuf,
        /// How many bytes it holds.
        bytes: usize,
    },
}

impl Secret {
    /// Reads the secret of `data_dir`, or makes one. Blocks: call it at the start.
    pub fn load_or_create(data_dir: &Path) -> Result<Self, SecretError> {
        let path = data_dir.join(FILE_NAME);
        match Self::read(&path) {
            Err(SecretError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Self::create(data_dir, &path)?;
                // Whoever was first: this process or another one.
                Self::read(&path)
            }
            read => read,
        }
    }

    /// Reads the secret of a file. Blocks.
    pub fn of_file(path: &Path) -> Result<Self, SecretError> {
        Self::read(path)
    }

    /// A secret that lives as long as the process, for tests and demonstrations.
    pub fn random() -> Self {
        Self(rand::random())
    }

    /// The key for one purpose.
    pub fn key(&self, purpose: Purpose) -> [u8; 32] {
        match purpose {
            Purpose::Tokens => blake3::derive_key("unstale-server 2026 access tokens", &self.0),
            Purpose::Etags => blake3::derive_key("unstale-server 2026 entity tags", &self.0),
            Purpose::Audit => blake3::derive_key("unstale-server 2026 audit trail", &self.0),
            Purpose::Records => blake3::derive_key("unstale-server 2026 records", &self.0),
            Purpose::Application(name) => {
                let context = format!("unstale-server 2026 application: {name}");
                blake3::derive_key(&context, &self.0)
            }
        }
    }

    /// The key of the groups on the wire.
    pub fn group_key(&self) -> GroupKey {
        GroupKey::derive(&self.0)
    }

    fn read(path: &Path) -> Result<Self, SecretError> {
        let io = |source| SecretError::Io { action: "read", path: path.to_owned(), source };
        let file = fs::File::open(path).map_err(io)?;
        refuse_exposed(path, &file.metadata().map_err(io)?)?;
        let bytes = fs::read(path).map_err(io)?;
        let secret = <[u8; SECRET_BYTES]>::try_from(bytes.as_slice())
            .map_err(|_| SecretError::WrongLength { path: path.to_owned(), bytes: bytes.len() })?;
        Ok(Self(secret))
    }

    /// Writes the file under another name, flushes it and links it to its own, which fails if somebody was faster.
    fn create(data_dir: &Path, path: &Path) -> Result<(), SecretError> {
        let io = |source| SecretError::Io { action: "made", path: path.to_owned(), source };
        fs::create_dir_all(data_dir).map_err(io)?;
        let draft = data_dir.join(format!(".{FILE_NAME}.{:016x}", rand::random::<u64>()));
        let written = Self::write_new(&draft).and_then(|()| match fs::hard_link(&draft, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            linked => linked,
        });
        let removed = fs::remove_file(&draft);
        written.and(removed).map_err(io)
    }

    fn write_new(path: &Path) -> io::Result<()> {
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path)?;
        file.write_all(&rand::random::<[u8; SECRET_BYTES]>())?;
        file.sync_all()
    }
}

#[cfg(unix)]
fn refuse_exposed(path: &Path, metadata: &fs::Metadata) -> Result<(), SecretError> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = metadata.permissions().mode() & 0o7777;
    let rights_of_others = mode & 0o077;
    if rights_of_others > 0 { Err(SecretError::Exposed { path: path.to_owned(), mode }) } else { Ok(()) }
}

/// Elsewhere the directory's own rights decide.
#[cfg(not(unix))]
fn refuse_exposed(_: &Path, _: &fs::Metadata) -> Result<(), SecretError> {
    Ok(())
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use unstale::testing::Folder;

    use super::*;

    #[test]
    fn is_made_once_and_read_again() {
        let dir = Folder::new();
        let data_dir = dir.path().join("data");
        let first = Secret::load_or_create(&data_dir).unwrap();
        assert_eq!(first.0, Secret::load_or_create(&data_dir).unwrap().0);
        assert_ne!(first.0, Secret::random().0);
        assert_eq!(fs::read_dir(&data_dir).unwrap().count(), 1, "a draft was left behind");
    }

    #[test]
    fn processes_that_start_at_once_agree() {
        let dir = Folder::new();
        let secrets: Vec<[u8; 32]> = std::thread::scope(|scope| {
            let starts: Vec<_> =
                (0..8).map(|_| scope.spawn(|| Secret::load_or_create(dir.path()).unwrap().0)).collect();
            starts.into_iter().map(|start| start.join().unwrap()).collect()
        });
        assert!(secrets.iter().all(|secret| *secret == secrets[0]));
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_may_read_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = Folder::new();
        Secret::load_or_create(dir.path()).unwrap();
        let path = dir.path().join(FILE_NAME);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let error = Secret::load_or_create(dir.path()).unwrap_err();
        assert!(matches!(error, SecretError::Exposed { mode: 0o644, .. }), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn a_damaged_file_is_refused_not_replaced() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = Folder::new();
        let path = dir.path().join(FILE_NAME);
        fs::write(&path, b"short").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(matches!(Secret::load_or_create(dir.path()), Err(SecretError::WrongLength { bytes: 5, .. })));
        assert_eq!(fs::read(&path).unwrap(), b"short");
    }

    #[test]
    fn purposes_keep_their_keys_apart_and_debug_tells_nothing() {
        let secret = Secret([7; 32]);
        let keys = [
            secret.key(Purpose::Tokens),
            secret.key(Purpose::Etags),
            secret.key(Purpose::Audit),
            secret.key(Purpose::Application("a")),
            secret.key(Purpose::Application("b")),
        ];
        for (at, key) in keys.iter().enumerate() {
            assert!(!keys[..at].contains(key));
        }
        assert_eq!(format!("{secret:?}"), "Secret(…)");
    }
}
