//! Who owns an entry: the tenant, without which no key and no tag can be made.

use std::{fmt, sync::Arc};

use crate::hash;

/// Longest tenant name, in bytes.
pub const TENANT_BYTES_MAX: usize = 64;

/// A tenant: the unit of isolation. Cheap to clone.
///
/// Names are 1 to [`TENANT_BYTES_MAX`] bytes of `A–Z a–z 0–9 - _ .`, so that they stand in a key without escaping.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tenant {
    name: Arc<str>,
    hash: u64,
}

/// Why a text is no tenant name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is not a tenant name: use 1 to {TENANT_BYTES_MAX} letters, digits, '-', '_' or '.'")]
pub struct InvalidTenant {
    name: String,
}

impl Tenant {
    /// Makes a tenant of its name.
    pub fn new(name: impl Into<Arc<str>>) -> Result<Self, InvalidTenant> {
        let name = name.into();
        let well_formed = (1..=TENANT_BYTES_MAX).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
        if !well_formed {
            return Err(InvalidTenant { name: name.chars().take(TENANT_BYTES_MAX).collect() });
        }
        let hash = hash::fields(&[name.as_bytes()]);
        Ok(Self { name, hash })
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// The stable hash from which the tenant's partition follows.
    pub(crate) fn stable_hash(&self) -> u64 {
        self.hash
    }
}

impl std::hash::Hash for Tenant {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl fmt::Debug for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tenant({})", self.name)
    }
}

impl fmt::Display for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_names_that_could_leave_their_place_in_a_key() {
        for name in ["", "a/b", "a:b", "a b", "ä", "a%", "a\n"] {
            assert!(Tenant::new(name).is_err(), "{name:?} was accepted");
        }
        assert!(Tenant::new("x".repeat(TENANT_BYTES_MAX + 1)).is_err());
        assert!(Tenant::new("x".repeat(TENANT_BYTES_MAX)).is_ok());
        assert!(Tenant::new("0190a1b2-1111-7000-8000-000000000000").is_ok());
    }

    #[test]
    fn it_prints_its_name() {
        let tenant = Tenant::new("acme").unwrap();
        assert_eq!((format!("{tenant:?}"), format!("{tenant}")), ("Tenant(acme)".to_owned(), "acme".to_owned()));
    }
}
