//! Memory: whatever is put in, read, removed and evicted at once, the accounts are those of the entries that are there.

use std::{collections::HashMap, sync::Arc};

use shuttle::thread;

use crate::{
    entry::{Entry, NewEntry, TagIds},
    key::{Key, RawKey},
    l1::{L1, L1Limits},
    observe::Observers,
    page,
    position::{Epoch, Partition, Position, Sequence},
    sync::{Bug, planted},
    tenant::Tenant,
    time::Timestamp,
};

const KEYS: usize = 3;
/// Room for about three of the entries below: every insertion may evict.
const BYTES_MAX: u64 = 800;

fn entry(key: &RawKey, value_bytes: usize) -> Arc<Entry> {
    let new = NewEntry {
        key,
        tags: TagIds::new(),
        base: Position { partition: Partition(0), epoch: Epoch(0), sequence: Sequence(0) },
        loaded_at: Timestamp::default(),
        expires_at: Timestamp::NEVER,
        value_bytes,
        has_tenant_tags: false,
        load_ms: 0,
        subjects: 0,
        is_sensitive: false,
    };
    Entry::new(None::<u8>, &new)
}

/// Three threads on the same few keys of two tenants, one of which clears everything in the middle.
pub(crate) fn accounts_and_entries_agree() {
    let limits = L1Limits { bytes_max: BYTES_MAX, tenant_bytes_max: BYTES_MAX, ..L1Limits::default() };
    let l1 = Arc::new(L1::new(limits, HashMap::new(), Observers::default()));
    let tenants = ["one", "two"].map(|name| Tenant::new(name).expect("a good name"));
    let keys: Vec<Key<u8>> = tenants.iter().flat_map(|tenant| (0..KEYS).map(|key| page(tenant, key))).collect();
    let keys = Arc::new(keys);
    let running: Vec<_> = (0..3)
        .map(|thread| {
            let (l1, keys) = (l1.clone(), keys.clone());
            thread::spawn(move || {
                for step in 0..4 {
                    let key = keys[(thread * 2 + step) % keys.len()].raw();
                    let new = entry(key, 40 + 60 * ((thread + step) % 3));
                    l1.insert(key, new.clone(), Timestamp::default());
                    if planted() == Bug::EntryInTwoPlaces {
                        l1.insert(keys[(step + 1) % keys.len()].raw(), new, Timestamp::default());
                    }
                    assert!(l1.size().bytes <= BYTES_MAX, "more than memory may hold");
                    if let Some(held) = l1.get(keys[step % keys.len()].raw()) {
                        held.touch();
                    }
                    match (thread, step) {
                        (0, 2) => l1.clear(),
                        (1, _) => l1.remove(key),
                        _ => {}
                    }
                }
            })
        })
        .collect();
    running.into_iter().for_each(|thread| thread.join().expect("no thread found anything wrong"));

    let there = keys.iter().filter(|key| l1.get(key.raw()).is_some()).count();
    assert_eq!(l1.size().entries, there, "entries are reckoned that are not there, or the other way round");
    let of_tenants: u64 = tenants.iter().map(|tenant| l1.tenant_bytes(tenant)).sum();
    assert_eq!(l1.size().bytes, of_tenants, "the tenants' bytes are not all bytes");
    keys.iter().for_each(|key| l1.remove(key.raw()));
    let size = l1.size();
    assert_eq!((size.entries, size.bytes, size.tenants), (0, 0, 0), "something is reckoned of which nothing is left");
}
