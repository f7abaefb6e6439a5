//! Where master keys come from.

use std::{
    fmt,
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use futures_util::future::BoxFuture;
use unstale::{KeyRing, sealing::InvalidKeyRing};
use zeroize::Zeroizing;

/// Largest file of keys.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// A service outside of this process that has the master keys. [`KeyCommand`](super::KeyCommand) asks one by its own client's
/// program; an application may bring another.
pub trait KeyService: Send + Sync + 'static {
    /// What it is called in errors and in the log: no secret.
    fn name(&self) -> String;

    /// The keys as they are now, as [`KeyRing::parse`] reads them; or what went wrong, without any of them. Asked again and
    /// again; must end within seconds.
    fn fetch(&self) -> BoxFuture<'_, Result<Zeroizing<String>, String>>;
}

/// Where master keys come from.
#[derive(Clone)]
pub enum KeySource {
    /// They do not change while the process runs.
    Fixed(KeyRing),
    /// A file that only its owner may read.
    File(PathBuf),
    /// A key service.
    Service(Arc<dyn KeyService>),
}

/// Why there are no master keys. Never holds any of them.
#[derive(Debug, thiserror::Error)]
pub enum KeySourceError {
    /// The file cannot be read.
    #[error("SEALING_KEY_FILE {path} cannot be read ({source}); name a file that this process may read", path = path.display())]
    File {
        /// Its path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others may read the file.
    #[error(
        "SEALING_KEY_FILE {path} has mode {mode:04o}, so others may have read it: run `chmod 600` if nobody has, else \
         put a new key before the one that is in it", path = path.display()
    )]
    Exposed {
        /// Its path.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The service did not give any.
    #[error("{service} gives no keys: {reason}")]
    Service {
        /// Its name.
        service: String,
        /// What became of it.
        reason: String,
    },
    /// What was given is no ring.
    #[error("what {from} holds cannot be used: {source}")]
    Invalid {
        /// The setting, or the service.
        from: String,
        /// Why.
        source: InvalidKeyRing,
    },
}

impl KeySource {
    /// The keys as they are now.
    pub async fn fetch(&self) -> Result<KeyRing, KeySourceError> {
        match self {
            Self::Fixed(ring) => Ok(ring.clone()),
            Self::File(path) => {
                let asked = path.clone();
                let read = tokio::task::spawn_blocking(move || read_file(&asked)).await;
                let text = read.unwrap_or_else(|error| {
                    Err(KeySourceError::File { path: path.clone(), source: io::Error::other(error) })
                })?;
                let from = || "SEALING_KEY_FILE".to_owned();
                KeyRing::parse(&text).map_err(|source| KeySourceError::Invalid { from: from(), source })
            }
            Self::Service(service) => {
                let told = service.fetch().await;
                let text = told.map_err(|reason| KeySourceError::Service { service: service.name(), reason })?;
                KeyRing::parse(&text).map_err(|source| KeySourceError::Invalid { from: service.name(), source })
            }
        }
    }

    /// Whether it may give other keys later.
    pub fn may_change(&self) -> bool {
        !matches!(self, Self::Fixed(_))
    }
}

fn read_file(path: &Path) -> Result<Zeroizing<String>, KeySourceError> {
    let failed = |source| KeySourceError::File { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = metadata.permissions().mode() & 0o7777;
        if mode & 0o077 > 0 {
            return Err(KeySourceError::Exposed { path: path.to_owned(), mode });
        }
    }
    if metadata.len() > FILE_BYTES_MAX {
        return Err(failed(io::Error::other(format!("it has more than {FILE_BYTES_MAX} bytes"))));
    }
    let mut text = Zeroizing::new(String::new());
    file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(failed)?;
    Ok(text)
}

impl fmt::Debug for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(_) => f.write_str("KeySource(fixed)"),
            Self::File(path) => write!(f, "KeySource({})", path.display()),
            Self::Service(service) => write!(f, "KeySource({} …)", service.name()),
        }
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use futures_util::FutureExt as _;
    use unstale::testing::Folder;

    use super::*;
    use crate::sealing::KeyCommand;

    const ONE: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    const TWO: &str = "100102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

    fn file(text: &str, mode: u32) -> (Folder, KeySource) {
        let dir = Folder::new();
        let path = dir.path().join("keys");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        (dir, KeySource::File(path))
    }

    fn command(words: &[&str]) -> KeySource {
        KeySource::Service(Arc::new(KeyCommand::new(words.iter().map(|word| (*word).to_owned()).collect())))
    }

    /// A service of an application's own.
    struct Vault;

    impl KeyService for Vault {
        fn name(&self) -> String {
            "the vault".to_owned()
        }

        fn fetch(&self) -> BoxFuture<'_, Result<Zeroizing<String>, String>> {
            async { Ok(Zeroizing::new(ONE.to_owned())) }.boxed()
        }
    }

    #[tokio::test]
    async fn an_application_may_bring_a_service_of_its_own() {
        let source = KeySource::Service(Arc::new(Vault));
        assert_eq!(source.fetch().await.unwrap().current_id(), KeyRing::parse(ONE).unwrap().current_id());
        assert!(source.may_change());
        assert_eq!(format!("{source:?}"), "KeySource(the vault …)");
    }

    #[tokio::test]
    async fn a_file_and_a_program_give_the_same_keys() {
        let (_dir, source) = file(&format!("{TWO}\n{ONE}\n"), 0o600);
        let of_file = source.fetch().await.unwrap();
        assert_eq!(of_file.ids().count(), 2);
        let KeySource::File(path) = &source else { unreachable!() };
        let of_command = command(&["cat", path.to_str().unwrap()]).fetch().await.unwrap();
        assert!(of_file.ids().eq(of_command.ids()));
        assert_eq!(of_file.current_id(), KeyRing::parse(TWO).unwrap().current_id());
    }

    #[tokio::test]
    async fn what_is_wrong_is_told_and_no_key_is() {
        let told = |source: KeySource| async move { source.fetch().await.unwrap_err().to_string() };
        let (_dir, exposed) = file(ONE, 0o644);
        assert!(told(exposed).await.contains("mode 0644"));
        let (_dir, broken) = file(&ONE[1..], 0o600);
        let text = told(broken).await;
        assert!(
            text.contains("SEALING_KEY_FILE") && text.contains("64 hexadecimal") && !text.contains("0102"),
            "{text}"
        );
        assert!(told(KeySource::File("/nowhere/keys".into())).await.contains("cannot be read"));
        let printed = command(&["printf", &ONE[2..]]);
        assert!(!format!("{printed:?}").contains("0102"));
        let text = told(printed).await;
        assert!(text.contains("SEALING_KEY_COMMAND") && !text.contains("0102"), "{text}");
        assert!(told(command(&["false"])).await.contains("ends with exit status: 1"));
    }
}
