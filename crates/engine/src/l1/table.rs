//! The table of entries: found by their keys, from all cores at once.
//!
//! A bucket is one pointer to an entry; what is compared stands in the entry, so a look-up reads the bucket, the
//! entry's first line, which the hit reads anyway, and the text. Shards are many and each has a cache line pair of its
//! own: readers of different keys hardly ever write to one line.
//!
//! It knows nothing of tenants, bytes and order: only [`accounts`](super::accounts) changes it, one change at a time.

use std::{mem, sync::Arc};

use hashbrown::{HashTable, hash_table};

use crate::{
    entry::Entry,
    key::{RawKey, table_hash},
    sync::RwLock,
};

const SHARDS: usize = 64;

pub(super) struct Table {
    shards: Box<[Shard]>,
}

/// Two cache lines: processors fetch them in pairs.
#[derive(Default)]
#[repr(align(128))]
struct Shard(RwLock<HashTable<Arc<Entry>>>);

/// What became of a place that was looked at.
pub(super) enum Visit {
    /// Nothing is there that was meant.
    Absent,
    /// It stays; what it weighs is for the one who asked to know.
    Kept(Arc<Entry>),
    /// It was taken out.
    Taken(Arc<Entry>),
}

impl Table {
    pub(super) fn new() -> Self {
        Self { shards: (0..SHARDS).map(|_| Shard::default()).collect() }
    }

    #[inline]
    pub(super) fn get(&self, key: &RawKey) -> Option<Arc<Entry>> {
        let shard = self.shard(key.stable_hash()).0.read();
        let (hash, place) = (key.table_hash(), place(key.table_hash()));
        // The text is compared once the place is found, not on the way: a call there keeps the search out of registers.
        let found = shard.find(place, |entry| entry.table_hash() == hash)?;
        if found.is_of(key) { Some(found.clone()) } else { Self::find_by_text(&shard, place, key) }
    }

    /// For one key in four billion, which has the short hash of another.
    #[cold]
    fn find_by_text(shard: &HashTable<Arc<Entry>>, place: u64, key: &RawKey) -> Option<Arc<Entry>> {
        shard.find(place, |entry| entry.is_of(key)).cloned()
    }

    /// Puts an entry in; returns the one that it replaces.
    pub(super) fn insert(&self, key: &RawKey, entry: Arc<Entry>) -> Option<Arc<Entry>> {
        let mut shard = self.shard(key.stable_hash()).0.write();
        match shard.entry(place(key.table_hash()), |held| held.is_of(key), |held| place(held.table_hash())) {
            hash_table::Entry::Occupied(mut held) => Some(mem::replace(held.get_mut(), entry)),
            hash_table::Entry::Vacant(free) => {
                free.insert(entry);
                None
            }
        }
    }

    pub(super) fn remove(&self, key: &RawKey) -> Option<Arc<Entry>> {
        let mut shard = self.shard(key.stable_hash()).0.write();
        let found = shard.find_entry(place(key.table_hash()), |entry| entry.is_of(key)).ok()?;
        Some(found.remove().0)
    }

    /// Looks at an entry by its hash alone, and takes it out if `goes` says so.
    ///
    /// Hashes are shortened, so it may be another entry that `is_meant` accepts; then that one goes first.
    pub(super) fn visit(
        &self,
        stable_hash: u64,
        is_meant: impl Fn(&Entry) -> bool,
        goes: impl FnOnce(&Entry) -> bool,
    ) -> Visit {
        let hash = table_hash(stable_hash);
        let mut shard = self.shard(stable_hash).0.write();
        match shard.find_entry(place(hash), |entry| entry.table_hash() == hash && is_meant(entry)) {
            Err(_) => Visit::Absent,
            Ok(found) if goes(found.get()) => Visit::Taken(found.remove().0),
            Ok(found) => Visit::Kept(found.get().clone()),
        }
    }

    /// Takes out the entry at an arbitrary place, if one is there and `goes` says so.
    pub(super) fn sample(&self, random: u64, goes: impl FnOnce(&Entry) -> bool) -> Option<Arc<Entry>> {
        let mut shard = self.shard(random).0.write();
        // At least one, also of an empty table.
        let places = shard.num_buckets() as u64;
        #[allow(clippy::cast_possible_truncation, reason = "the low bits are all that is wanted")]
        let at = (random % places) as usize;
        shard.get_bucket(at).filter(|entry| goes(entry))?;
        Some(shard.get_bucket_entry(at).ok()?.remove().0)
    }

    /// Takes out everything, shard by shard.
    pub(super) fn clear(&self) {
        for shard in &self.shards {
            // Dropped after the lock: a value may take its time.
            let _dropped = mem::take(&mut *shard.0.write());
        }
    }

    /// Looks at one entry after the other until `look` says no; true if it never did. Readers are not held up; whoever
    /// changes a shard waits until it was looked through.
    pub(super) fn look_through(&self, mut look: impl FnMut(&Arc<Entry>) -> bool) -> bool {
        self.shards.iter().all(|shard| shard.0.read().iter().all(&mut look))
    }

    #[cfg(test)]
    pub(super) fn all(&self) -> Vec<Arc<Entry>> {
        self.shards.iter().flat_map(|shard| shard.0.read().iter().cloned().collect::<Vec<_>>()).collect()
    }

    #[inline]
    fn shard(&self, stable_hash: u64) -> &Shard {
        // From other bits than those that find the place within the shard.
        #[allow(clippy::cast_possible_truncation, reason = "six bits are left")]
        let at = (stable_hash >> 58) as usize;
        &self.shards[at % SHARDS]
    }
}

/// Spreads a short hash so that both its users find bits: hashbrown takes the place from the low ones and what tells
/// neighbours apart from the high ones.
fn place(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash)
}
