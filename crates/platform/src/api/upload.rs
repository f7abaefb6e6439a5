//! Taking an uploaded file: streamed to disk, never held in memory, gone again unless somebody keeps it.

use std::path::{Path, PathBuf};

use axum::{
    extract::multipart::{Field, Multipart, MultipartError},
    http::StatusCode,
};
use tokio::io::AsyncWriteExt as _;
use unstale_server::problem::{FieldError, Problem};
use uuid::Uuid;

/// Longest file name that is kept, in characters.
const NAME_CHARS_MAX: usize = 200;
/// The part of the form that holds the file.
const FIELD: &str = "file";

/// A file on disk that is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct TemporaryFile(PathBuf);

impl TemporaryFile {
    /// Of a path that nobody else uses.
    pub(crate) fn at(path: PathBuf) -> Self {
        Self(path)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Gives it another path that nobody else uses, on the same file system.
    pub(crate) fn rename(&mut self, path: PathBuf) -> std::io::Result<()> {
        std::fs::rename(&self.0, &path)?;
        self.0 = path;
        Ok(())
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        match std::fs::remove_file(&self.0) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!(path = %self.0.display(), %error, "an uploaded file could not be removed");
            }
            _ => {}
        }
    }
}

/// An uploaded file.
#[derive(Debug)]
pub(crate) struct Upload {
    pub(crate) file: TemporaryFile,
    /// As the caller named it, without any path.
    pub(crate) name: String,
    pub(crate) size_bytes: u64,
}

/// Writes the form's file to `dir`, at most `bytes_max` of it.
pub(crate) async fn receive(mut form: Multipart, dir: &Path, bytes_max: u64) -> Result<Upload, Problem> {
    while let Some(field) = form.next_field().await.map_err(|error| broken(&error))? {
        if field.name() == Some(FIELD) {
            return write(field, dir, bytes_max).await;
        }
    }
    Err(Problem::unprocessable([FieldError::new(FIELD, "is missing: send the CSV file in a form field of this name")]))
}

async fn write(mut field: Field<'_>, dir: &Path, bytes_max: u64) -> Result<Upload, Problem> {
    let name = base_name(field.file_name().unwrap_or_default());
    let file = TemporaryFile::at(dir.join(format!("{}.upload", Uuid::now_v7())));
    let failed = |error: std::io::Error| Problem::internal(&error);
    let mut written = tokio::fs::File::create_new(file.path()).await.map_err(failed)?;
    let mut size_bytes = 0;
    while let Some(chunk) = field.chunk().await.map_err(|error| broken(&error))? {
        size_bytes += chunk.len() as u64;
        if size_bytes > bytes_max {
            return Err(Problem::too_large().detail(format!(
                "The file is larger than {} MB. Split it into several files, each with the header line.",
                bytes_max / 1_000_000
            )));
        }
        written.write_all(&chunk).await.map_err(failed)?;
    }
    written.flush().await.map_err(failed)?;
    Ok(Upload { file, name, size_bytes })
}

fn broken(error: &MultipartError) -> Problem {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return Problem::too_large();
    }
    Problem::bad_request(format!("The form cannot be read: {}. Send it again.", error.body_text()))
}

/// The last part of a name, whatever system it is from, without control characters.
fn base_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let clean: String = last.chars().filter(|c| !c.is_control()).take(NAME_CHARS_MAX).collect();
    if clean.trim().is_empty() { "upload.csv".to_owned() } else { clean }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_their_path() {
        for (name, expected) in [
            ("servers.csv", "servers.csv"),
            ("../../etc/passwd", "passwd"),
            ("C:\\Users\\ada\\servers.csv", "servers.csv"),
            ("a\u{0}b\n.csv", "ab.csv"),
            ("", "upload.csv"),
            ("dir/", "upload.csv"),
        ] {
            assert_eq!(base_name(name), expected, "{name:?}");
        }
    }

    #[test]
    fn a_temporary_file_goes_with_its_owner() {
        let path = std::env::temp_dir().join(format!("{}.upload", Uuid::now_v7()));
        std::fs::write(&path, b"x").unwrap();
        drop(TemporaryFile::at(path.clone()));
        assert!(!path.exists());
    }
}
