//! Where master keys come from.

use std::{
    fmt,
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use unstale::{KeyRing, sealing::InvalidKeyRing};
use zeroize::Zeroizing;

use super::command;

/// Largest file of keys.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// Where master keys come from.
#[derive(Clone)]
pub enum KeySource {
    /// They do not change while the process runs.
    Fixed(KeyRing),
    /// A file that only its owner may read.
    File(PathBuf),
    /// A program that writes them: the client of a key service.
    Command(Vec<String>),
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
    /// The program did not give any.
    #[error("SEALING_KEY_COMMAND {program:?} gives no keys: {reason}; it has to write them and end with 0")]
    Command {
        /// Its first word.
        program: String,
        /// What became of it.
        reason: String,
    },
    /// What was given is no ring.
    #[error("what {from} holds cannot be used: {source}")]
    Invalid {
        /// The setting.
        from: &'static str,
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
                KeyRing::parse(&text).map_err(|source| KeySourceError::Invalid { from: "SEALING_KEY_FILE", source })
            }
            Self::Command(words) => {
                let program = || words.first().cloned().unwrap_or_default();
                let told = command::output(words).await;
                let text = told.map_err(|reason| KeySourceError::Command { program: program(), reason })?;
                KeyRing::parse(&text).map_err(|source| KeySourceError::Invalid { from: "SEALING_KEY_COMMAND", source })
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
            // Its arguments may be a login.
            Self::Command(words) => write!(f, "KeySource({} …)", words.first().map_or("", String::as_str)),
        }
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use unstale::testing::Folder;

    use super::*;

    const ONE: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    const TWO: &str = "100102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

    fn file(text: &str, mode: u32) -> (Folder, KeySource) {
        let dir = Folder::new();
        let path = dir.path().join("keys");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        (dir, KeySource::File(path))
    }

    #[tokio::test]
    async fn a_file_and_a_program_give_the_same_keys() {
        let (_dir, source) = file(&format!("{TWO}\n{ONE}\n"), 0o600);
        let of_file = source.fetch().await.unwrap();
        assert_eq!(of_file.ids().count(), 2);
        let KeySource::File(path) = &source else { unreachable!() };
        let of_command = KeySource::Command(vec!["cat".into(), path.display().to_string()]).fetch().await.unwrap();
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
        let command = KeySource::Command(vec!["printf".into(), ONE[2..].into()]);
        assert!(!format!("{command:?}").contains("0102"));
        let text = told(command).await;
        assert!(text.contains("SEALING_KEY_COMMAND") && !text.contains("0102"), "{text}");
        assert!(told(KeySource::Command(vec!["false".into()])).await.contains("ends with exit status: 1"));
    }
}
