//! What a file or an environment variable holds and must never be shown.

use std::fmt;

/// A secret's bytes. `Debug` shows nothing of them.
#[derive(Clone, PartialEq, Eq)]
pub struct Material(Vec<u8>);

impl Material {
    /// Of these bytes, without the line break with which an editor ends a file.
    pub(crate) fn new(bytes: &[u8]) -> Self {
        let trimmed = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        Self(trimmed.strip_suffix(b"\r").unwrap_or(trimmed).to_vec())
    }

    /// The bytes: for deriving keys and for connections only.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The bytes as text, if they are one.
    pub(crate) fn expose_text(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }
}

impl fmt::Debug for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Material(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_it_is_shown() {
        let material = Material::new(b"planted-secret\r\n");
        assert_eq!(material.expose(), b"planted-secret");
        let told = format!("{material:?} {material:#?} {:?}", Some(&material));
        assert!(!told.contains("planted") && !told.contains("112"), "{told}");
    }
}
