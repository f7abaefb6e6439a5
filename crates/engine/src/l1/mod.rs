//! L1: the entries in this node's memory, bounded by bytes, with a quota for each tenant.
//!
//! Eviction over all tenants is `quick_cache`'s (S3-FIFO; see `docs/adr/0002`). Around it, [`quota`] sees to it that
//! one tenant cannot evict the others: a tenant beyond its share evicts its own entries.

mod quota;

use std::{
    hash::{Hash, Hasher},
    sync::Arc,
};

use parking_lot::Mutex;
use quick_cache::{Equivalent, Lifecycle, Weighter, sync::Cache};

use self::quota::{Candidate, Ledger};
use crate::{
    entry::Entry,
    hash_map::IdBuildHasher,
    key::RawKey,
    observe::{Event, Observers},
    tenant::Tenant,
};

/// What an entry takes beside its key's text and its encoded value, in bytes: the structs, their allocations and the
/// places in the tables.
const ENTRY_OVERHEAD_BYTES: usize = 256;

/// How much L1 may hold.
#[derive(Clone, Copy, Debug)]
pub struct L1Limits {
    /// Bytes of all entries together.
    pub bytes_max: u64,
    /// Bytes of one tenant's entries.
    pub tenant_bytes_max: u64,
    /// Bytes of one encoded value; a larger one is not kept.
    pub value_bytes_max: usize,
}

impl Default for L1Limits {
    /// 256 MiB, half of it for one tenant, 4 MiB for one value.
    fn default() -> Self {
        Self { bytes_max: 256 << 20, tenant_bytes_max: 128 << 20, value_bytes_max: 4 << 20 }
    }
}

pub(crate) struct L1 {
    entries: Cache<Place, Arc<Entry>, EntryWeight, IdBuildHasher, Accounts>,
    accounts: Accounts,
    observers: Observers,
}

/// A key as the table holds it: what a look-up compares and nothing else, so that tables stay dense.
#[derive(Clone)]
struct Place {
    hash: u64,
    text: Arc<str>,
}

impl PartialEq for Place {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && self.text == other.text
    }
}

impl Eq for Place {}

impl Hash for Place {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl Equivalent<Place> for RawKey {
    fn equivalent(&self, place: &Place) -> bool {
        self.stable_hash() == place.hash && *self.text() == place.text
    }
}

#[derive(Clone)]
struct EntryWeight;

impl Weighter<Place, Arc<Entry>> for EntryWeight {
    fn weight(&self, place: &Place, entry: &Arc<Entry>) -> u64 {
        weight(&place.text, entry)
    }
}

fn weight(key: &str, entry: &Entry) -> u64 {
    (key.len() + entry.value_bytes + ENTRY_OVERHEAD_BYTES) as u64
}

/// Keeps the ledger true to what `quick_cache` evicts and replaces.
#[derive(Clone)]
struct Accounts(Arc<Mutex<Ledger>>);

impl Lifecycle<Place, Arc<Entry>> for Accounts {
    type RequestState = ();

    fn on_evict(&self, (): &mut (), place: Place, entry: Arc<Entry>) {
        self.forget(&place, &entry);
    }
}

impl Accounts {
    fn forget(&self, place: &Place, entry: &Entry) {
        self.0.lock().debit(&entry.tenant, entry.age(), weight(&place.text, entry));
    }
}

impl L1 {
    pub(crate) fn new(limits: L1Limits, observers: Observers) -> Self {
        let items = usize::try_from(limits.bytes_max / 1024).unwrap_or(usize::MAX).clamp(64, 1 << 22);
        let accounts = Accounts(Arc::new(Mutex::new(Ledger::new(limits.tenant_bytes_max))));
        let entries = Cache::with(items, limits.bytes_max, EntryWeight, IdBuildHasher, accounts.clone());
        Self { entries, accounts, observers }
    }

    pub(crate) fn get(&self, key: &RawKey) -> Option<Arc<Entry>> {
        self.entries.get(key)
    }

    pub(crate) fn insert(&self, key: &RawKey, entry: Arc<Entry>) {
        // Credited before it is there: an eviction may follow at once, and a debit must find its credit.
        entry.set_age(self.accounts.0.lock().credit(key, weight(key.as_str(), &entry)));
        self.entries.insert(Place { hash: key.stable_hash(), text: key.text().clone() }, entry);
        self.evict_own(key.tenant());
    }

    pub(crate) fn remove(&self, key: &RawKey) {
        if let Some((place, entry)) = self.entries.remove(key) {
            self.accounts.forget(&place, &entry);
        }
    }

    /// Removes every entry; linear in their number.
    pub(crate) fn clear(&self) {
        let places: Vec<Place> = self.entries.iter().map(|(place, _)| place).collect();
        for place in places {
            if let Some((place, entry)) = self.entries.remove(&place) {
                self.accounts.forget(&place, &entry);
            }
        }
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.entries.weight()
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn tenant_bytes(&self, tenant: &Tenant) -> u64 {
        self.accounts.0.lock().bytes(tenant)
    }

    /// Evicts a tenant's own entries, oldest first, until it is within its quota; an entry that was used since it was
    /// last looked at gets a second chance (CLOCK; Corbató 1968).
    fn evict_own(&self, tenant: &Tenant) {
        loop {
            // Not held over `remove_if`, inside which the cache's own lock is held: its evictions take this one.
            let Some(Candidate { age, key, second_chance }) = self.accounts.0.lock().next_victim(tenant) else {
                return;
            };
            let mut spared = None;
            let removed = self.entries.remove_if(&key, |entry| {
                if entry.age() != age {
                    return false;
                }
                if second_chance && entry.take_touched() {
                    spared = Some(entry.clone());
                }
                spared.is_none()
            });
            match (removed, spared) {
                (Some((place, entry)), _) => {
                    self.accounts.forget(&place, &entry);
                    self.observers.tell(&Event::EvictedByQuota { key: &key });
                }
                (None, Some(entry)) => self.accounts.0.lock().give_second_chance(tenant, &entry),
                // Its insertion is under way in another thread, which will come here after it.
                (None, None) => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        entry::{NewEntry, TagIds},
        key::Key,
        position::{Epoch, Partition, Position, Sequence},
        time::Timestamp,
    };

    crate::catalogue! {
        /// Of these tests.
        const _PATTERNS;
        /// A page.
        fn page(number) -> u8 = "page";
    }

    fn entry(tenant: &Tenant, value_bytes: usize) -> Arc<Entry> {
        let new = NewEntry {
            tenant: tenant.clone(),
            tags: TagIds::new(),
            base: Position { partition: Partition(0), epoch: Epoch(0), sequence: Sequence(0) },
            loaded_at: Timestamp::default(),
            expires_at: Timestamp::NEVER,
            value_bytes,
            has_tenant_tags: false,
            load_ms: 0,
        };
        Entry::new(None::<u8>, new)
    }

    fn tenant(name: &str) -> Tenant {
        Tenant::new(name).unwrap()
    }

    fn l1(bytes_max: u64, tenant_bytes_max: u64) -> L1 {
        L1::new(L1Limits { bytes_max, tenant_bytes_max, value_bytes_max: 1 << 20 }, Observers::default())
    }

    fn counted(l1: &L1, name: &str) -> u64 {
        l1.entries
            .iter()
            .filter(|(_, entry)| entry.tenant.as_str() == name)
            .map(|(place, entry)| weight(&place.text, &entry))
            .sum()
    }

    #[test]
    fn a_flooding_tenant_evicts_only_itself() {
        let l1 = l1(1 << 20, 1 << 18);
        let (small, large) = (tenant("small"), tenant("large"));
        let keys: Vec<Key<u8>> = (0..50).map(|number| page(&small, number)).collect();
        keys.iter().for_each(|key| l1.insert(key.raw(), entry(&small, 1000)));
        for number in 0..10_000 {
            l1.insert(page(&large, number).raw(), entry(&large, 1000));
            assert!(l1.tenant_bytes(&large) <= 1 << 18);
        }
        assert!(keys.iter().all(|key| l1.get(key.raw()).is_some()));
        assert!(l1.tenant_bytes(&large) > (1 << 18) - 4096, "the quota is not used");
    }

    #[test]
    fn within_its_quota_a_tenant_keeps_what_it_uses() {
        let l1 = l1(1 << 20, 20_000);
        let acme = tenant("acme");
        let hot = page(&acme, "hot");
        l1.insert(hot.raw(), entry(&acme, 1000));
        for number in 0..1000 {
            l1.get(hot.raw()).expect("a used entry was evicted").touch();
            l1.insert(page(&acme, number).raw(), entry(&acme, 1000));
        }
    }

    #[test]
    fn accounts_stay_true_through_replacement_eviction_and_removal() {
        let l1 = l1(100_000, 60_000);
        for round in 0..5000u32 {
            let name = ["a", "b", "c"][round as usize % 3];
            let tenant = tenant(name);
            let key = page(&tenant, round * 7919 % 101);
            if round % 11 == 0 {
                l1.remove(key.raw());
            } else {
                l1.insert(key.raw(), entry(&tenant, (round as usize * 31) % 3000));
            }
        }
        for name in ["a", "b", "c"] {
            assert_eq!(l1.tenant_bytes(&tenant(name)), counted(&l1, name), "the account of {name} is wrong");
        }
        l1.clear();
        assert_eq!((l1.len(), l1.tenant_bytes(&tenant("a"))), (0, 0));
    }

    #[test]
    fn an_entry_larger_than_the_cache_leaves_no_debt() {
        let l1 = l1(10_000, 10_000);
        l1.insert(page(&tenant("a"), 1).raw(), entry(&tenant("a"), 50_000));
        assert_eq!((l1.len(), l1.tenant_bytes(&tenant("a"))), (0, 0));
    }
}
