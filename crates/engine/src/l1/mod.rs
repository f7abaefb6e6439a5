//! L1: the entries in this node's memory, bounded by bytes, with a quota for each tenant.
//!
//! Eviction over all tenants is `quick_cache`'s (S3-FIFO; see `docs/adr/0002`). Around it, [`quota`] sees to it that
//! one tenant cannot evict the others: a tenant beyond its share evicts its own entries.

mod quota;

use std::sync::Arc;

use parking_lot::Mutex;
use quick_cache::{Lifecycle, Weighter, sync::Cache};

pub(crate) use self::quota::Age;
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
    entries: Cache<RawKey, Arc<Entry>, EntryWeight, IdBuildHasher, Accounts>,
    accounts: Accounts,
    observers: Observers,
}

#[derive(Clone)]
struct EntryWeight;

impl Weighter<RawKey, Arc<Entry>> for EntryWeight {
    fn weight(&self, key: &RawKey, entry: &Arc<Entry>) -> u64 {
        weight(key, entry)
    }
}

fn weight(key: &RawKey, entry: &Entry) -> u64 {
    (key.as_str().len() + entry.value_bytes + ENTRY_OVERHEAD_BYTES) as u64
}

/// Keeps the ledger true to what `quick_cache` evicts and replaces.
#[derive(Clone)]
struct Accounts(Arc<Mutex<Ledger>>);

impl Lifecycle<RawKey, Arc<Entry>> for Accounts {
    type RequestState = ();

    fn on_evict(&self, (): &mut (), key: RawKey, entry: Arc<Entry>) {
        self.forget(&key, &entry);
    }
}

impl Accounts {
    fn forget(&self, key: &RawKey, entry: &Entry) {
        self.0.lock().debit(key.tenant(), entry.age(), weight(key, entry));
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
        entry.set_age(self.accounts.0.lock().credit(key, weight(key, &entry)));
        self.entries.insert(key.clone(), entry);
        self.evict_own(key.tenant());
    }

    pub(crate) fn remove(&self, key: &RawKey) {
        if let Some((key, entry)) = self.entries.remove(key) {
            self.accounts.forget(&key, &entry);
        }
    }

    /// Removes every entry for which `keep` is false; linear in the number of entries.
    pub(crate) fn retain(&self, keep: impl Fn(&RawKey, &Entry) -> bool) {
        let doomed: Vec<RawKey> =
            self.entries.iter().filter(|(key, entry)| !keep(key, entry)).map(|(key, _)| key).collect();
        doomed.iter().for_each(|key| self.remove(key));
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
                (Some((key, entry)), _) => {
                    self.accounts.forget(&key, &entry);
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
        position::{Epoch, Sequence},
        time::Timestamp,
    };

    crate::catalogue! {
        /// Of these tests.
        const _PATTERNS;
        /// A page.
        fn page(number) -> u8 = "page";
    }

    fn entry(value_bytes: usize) -> Arc<Entry> {
        Arc::new(Entry::new(NewEntry {
            value: None,
            tags: TagIds::new(),
            epoch: Epoch(0),
            base: Sequence(0),
            loaded_at: Timestamp::default(),
            expires_at: Timestamp::NEVER,
            value_bytes,
            has_tenant_tags: false,
        }))
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
            .filter(|(key, _)| key.tenant().as_str() == name)
            .map(|(key, entry)| weight(&key, &entry))
            .sum()
    }

    #[test]
    fn a_flooding_tenant_evicts_only_itself() {
        let l1 = l1(1 << 20, 1 << 18);
        let (small, large) = (tenant("small"), tenant("large"));
        let keys: Vec<Key<u8>> = (0..50).map(|number| page(&small, number)).collect();
        keys.iter().for_each(|key| l1.insert(key.raw(), entry(1000)));
        for number in 0..10_000 {
            l1.insert(page(&large, number).raw(), entry(1000));
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
        l1.insert(hot.raw(), entry(1000));
        for number in 0..1000 {
            l1.get(hot.raw()).expect("a used entry was evicted").touch();
            l1.insert(page(&acme, number).raw(), entry(1000));
        }
    }

    #[test]
    fn accounts_stay_true_through_replacement_eviction_and_removal() {
        let l1 = l1(100_000, 60_000);
        for round in 0..5000u64 {
            let name = ["a", "b", "c"][(round % 3) as usize];
            let key = page(&tenant(name), round * 7919 % 101);
            if round % 11 == 0 {
                l1.remove(key.raw());
            } else {
                l1.insert(key.raw(), entry((round * 31 % 3000) as usize));
            }
        }
        for name in ["a", "b", "c"] {
            assert_eq!(l1.tenant_bytes(&tenant(name)), counted(&l1, name), "the account of {name} is wrong");
        }
        l1.retain(|_, _| false);
        assert_eq!((l1.len(), l1.tenant_bytes(&tenant("a"))), (0, 0));
    }

    #[test]
    fn an_entry_larger_than_the_cache_leaves_no_debt() {
        let l1 = l1(10_000, 10_000);
        l1.insert(page(&tenant("a"), 1).raw(), entry(50_000));
        assert_eq!((l1.len(), l1.tenant_bytes(&tenant("a"))), (0, 0));
    }
}
