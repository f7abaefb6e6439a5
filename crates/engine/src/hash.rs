//! One stable hash for keys, tags and tenants.
//!
//! The same bytes must hash alike on every node and in every build, because tag ids and partition numbers travel
//! between them: XXH3-64 (xxHash specification, 0.8). Collisions are harmless by construction: two tags with one id
//! only invalidate each other too often, and keys are compared in full.

use xxhash_rust::xxh3::Xxh3;

/// Hashes `fields` so that no two different lists of fields meet by concatenation: each is preceded by its length.
pub(crate) fn fields(fields: &[&[u8]]) -> u64 {
    let mut hasher = Xxh3::new();
    for field in fields {
        hasher.update(&(field.len() as u64).to_le_bytes());
        hasher.update(field);
    }
    hasher.digest()
}

#[cfg(test)]
mod tests {
    use super::fields;

    #[test]
    fn boundaries_between_fields_count() {
        assert_ne!(fields(&[b"ab", b"c"]), fields(&[b"a", b"bc"]));
        assert_ne!(fields(&[b"ab"]), fields(&[b"ab", b""]));
    }

    #[test]
    fn is_the_same_in_every_build() {
        // Changing this value splits a cluster in the middle of a rolling deploy.
        assert_eq!(fields(&[b"acme", b"flow", b"7"]), fields(&[b"acme", b"flow", b"7"]));
        assert_eq!(fields(&[]), 0x2d06_8005_38d3_94c2);
    }
}
