//! A hasher for keys that are hashes already.

use std::hash::{BuildHasher, Hasher};

/// Passes a 64-bit hash through.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct IdBuildHasher;

#[derive(Debug, Default)]
pub(crate) struct IdHasher(u64);

impl BuildHasher for IdBuildHasher {
    type Hasher = IdHasher;

    fn build_hasher(&self) -> IdHasher {
        IdHasher(0)
    }
}

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("only types that write one u64 use this hasher");
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}
