//! What former runs have left: spools whose folders nobody holds.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
};

use super::{LOCK, path_of, segments_in};

/// A spool that a former run has left, held.
#[derive(Debug)]
pub(in crate::audit) struct Leftover {
    pub(in crate::audit) name: String,
    pub(in crate::audit) folder: PathBuf,
    _lock: File,
}

impl Leftover {
    /// Those whose runs are over, in the order of their names. One that cannot be looked at is told and left. Blocks.
    pub(in crate::audit) fn all_in(directory: &Path) -> io::Result<Vec<Self>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_spool = name.len() == 16 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
            if !is_spool {
                continue;
            }
            match Self::of(&name, entry.path()) {
                Ok(leftover) => found.extend(leftover),
                Err(error) => tracing::error!(
                    spool = name,
                    %error,
                    "what a former run has left of the audit trail cannot be looked at; it stays until a next start can"
                ),
            }
        }
        found.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        Ok(found)
    }

    /// None if its run lives, or ends it at this moment.
    fn of(name: &str, folder: PathBuf) -> io::Result<Option<Self>> {
        let lock = match File::open(folder.join(LOCK)) {
            Ok(lock) => lock,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        match lock.try_lock() {
            Ok(()) => Ok(Some(Self { name: name.to_owned(), folder, _lock: lock })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Bytes of its segments.
    pub(in crate::audit) fn bytes(&self) -> u64 {
        let segments = segments_in(&self.folder).unwrap_or_default();
        segments
            .iter()
            .filter_map(|segment| fs::metadata(path_of(&self.folder, *segment)).ok())
            .map(|it| it.len())
            .sum()
    }

    /// Deletes it.
    pub(in crate::audit) fn remove(self) -> io::Result<()> {
        fs::remove_dir_all(&self.folder)
    }
}
