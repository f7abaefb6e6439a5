use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;

use super::{table::Table, *};
use crate::{
    codec::{Cacheable, CodecError, Fingerprint, from_msgpack, to_msgpack},
    entry::{NewEntry, TagIds},
    key::Key,
    observe::Observer,
    position::{Epoch, Partition, Position, Sequence},
};

crate::catalogue! {
    /// Of these tests.
    const _PATTERNS;
    /// A page.
    fn page(number) -> u8 = "page";
}

const NOW: Timestamp = Timestamp::from_millis(1_000_000);

fn entry_until(key: &Key<u8>, value_bytes: usize, expires_at: Timestamp) -> Arc<Entry> {
    entry_of(key.raw(), value_bytes, expires_at)
}

fn entry_of(key: &RawKey, value_bytes: usize, expires_at: Timestamp) -> Arc<Entry> {
    entry_with(key, None::<u8>, value_bytes, expires_at)
}

fn entry_with<V: Cacheable>(key: &RawKey, value: Option<V>, value_bytes: usize, expires_at: Timestamp) -> Arc<Entry> {
    let new = NewEntry {
        key,
        tags: TagIds::new(),
        base: Position { partition: Partition(0), epoch: Epoch(0), sequence: Sequence(0) },
        loaded_at: Timestamp::default(),
        expires_at,
        value_bytes,
        has_tenant_tags: false,
        load_ms: 0,
        subjects: 0,
        is_sensitive: false,
    };
    Entry::new(value, &new)
}

/// A value that takes 5,000 bytes more than its encoding.
#[derive(serde::Serialize, serde::Deserialize)]
struct Roomy;

impl Cacheable for Roomy {
    fn fingerprint() -> Fingerprint {
        Fingerprint::of("Roomy")
    }

    fn encode(&self, out: &mut Vec<u8>) -> Result<(), CodecError> {
        to_msgpack(self, Self::fingerprint(), out)
    }

    fn decode(bytes: &Bytes) -> Result<Self, CodecError> {
        from_msgpack(bytes, Self::fingerprint())
    }

    fn memory_bytes(&self, encoded: usize) -> usize {
        encoded + 5000
    }
}

#[test]
fn what_a_value_takes_in_memory_counts() {
    let key = page(&tenant("t"), 1);
    let of = |value: Option<Roomy>| entry_with(key.raw(), value, 100, NOW);
    assert_eq!(weight(&of(Some(Roomy))), weight(&of(None)) + 5000);
    let l1 = l1(1 << 20);
    l1.insert(key.raw(), of(Some(Roomy)), NOW);
    assert_eq!(l1.tenant_bytes(&tenant("t")), weight(&of(Some(Roomy))));
    l1.insert(key.raw(), of(None), NOW);
    assert_eq!(l1.tenant_bytes(&tenant("t")), weight(&of(None)));
}

#[test]
fn keys_of_one_hash_are_told_apart() {
    let l1 = l1(1 << 20);
    let keys: Vec<Key<u8>> = (0..4).map(|number| page(&tenant("t"), number)).collect();
    let alike: Vec<RawKey> = keys.iter().map(|key| key.raw().hashed_as(keys[0].raw())).collect();
    for key in &alike[..3] {
        l1.insert(key, entry_of(key, 1, Timestamp::NEVER), NOW);
    }
    for key in &alike[..3] {
        assert_eq!(l1.get(key).map(|entry| entry.text()), Some(key.as_str().to_owned()));
    }
    assert!(l1.get(&alike[3]).is_none(), "a key that is not there is not taken for one that is");
}

fn put(l1: &L1, key: &Key<u8>, value_bytes: usize) {
    l1.insert(key.raw(), entry_until(key, value_bytes, Timestamp::NEVER), NOW);
}

#[test]
fn a_table_with_nothing_in_it_has_no_sample() {
    let (table, key) = (Table::new(), page(&tenant("t"), 1));
    // The high bits say which shard, the low ones which place.
    let places = || (0..64).map(|place| key.raw().stable_hash() >> 6 << 6 | place);
    assert!(places().all(|random| table.sample(random, |_| true).is_none()));
    table.insert(key.raw(), entry_until(&key, 1, Timestamp::NEVER));
    assert!(places().all(|random| table.sample(random, |_| false).is_none()), "nobody wants it");
    assert_eq!(places().filter_map(|random| table.sample(random, |_| true)).count(), 1, "it is taken out once");
}

/// A read: whether it is there, and the use noted.
fn get(l1: &L1, key: &Key<u8>) -> bool {
    l1.get(key.raw()).inspect(|entry| entry.touch()).is_some()
}

fn tenant(name: &str) -> Tenant {
    Tenant::new(name).unwrap()
}

fn watched(bytes_max: u64, tenant_bytes_max: u64, weights: &[(&str, u32)]) -> (L1, Arc<Told>) {
    let told = Arc::new(Told::default());
    let limits = L1Limits { bytes_max, tenant_bytes_max, ..L1Limits::default() };
    let weights = weights.iter().map(|(name, weight)| (tenant(name), NonZeroU32::new(*weight).unwrap())).collect();
    (L1::new(limits, weights, Observers::new(vec![told.clone()])), told)
}

fn l1(bytes_max: u64) -> L1 {
    watched(bytes_max, bytes_max, &[]).0
}

/// What was told, in words.
#[derive(Default)]
struct Told(Mutex<Vec<String>>);

impl Told {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock())
    }
}

impl Observer for Told {
    fn on_event(&self, event: &Event<'_>) {
        self.0.lock().push(match event {
            Event::Evicted { tenant, cause, .. } => format!("{tenant} lost one: {cause:?}"),
            Event::QuotaReached { tenant, bytes, quota } => format!("{tenant} reached its quota: {bytes} of {quota}"),
            Event::MemoryThreshold { percent, above, .. } => format!("{percent} percent: {above}"),
            other => panic!("{other:?} is not L1's to tell"),
        });
    }
}

/// The invariants, by counting everything.
#[track_caller]
fn check_books(l1: &L1) {
    let mut by_account: BTreeMap<u32, (u64, usize)> = BTreeMap::new();
    for entry in l1.table.all() {
        let counted = by_account.entry(entry.account()).or_default();
        counted.0 += weight(&entry);
        counted.1 += 1;
    }
    let mut books = l1.books.lock();
    let bytes: u64 = by_account.values().map(|(bytes, _)| bytes).sum();
    assert_eq!((books.accounts.bytes(), books.accounts.tenants()), (bytes, by_account.len()));
    for (at, (bytes, entries)) in by_account {
        let tenant = books.accounts.tenant(at).clone();
        assert_eq!(books.accounts.tenant_bytes(&tenant), bytes, "the account of {tenant} is wrong");
        // Each entry has its turn: taking them all by turns leaves none.
        let mut gone = 0;
        while let Some(turn) = books.accounts.next(at) {
            gone += usize::from(matches!(l1.table.visit(turn.hash, is_meant(at, turn), |_| true), Visit::Taken(_)));
        }
        assert_eq!(gone, entries, "entries of {tenant} have no place in its queues");
    }
    assert_eq!(l1.table.all().len(), 0);
}

#[test]
fn a_flooding_tenant_evicts_only_itself_and_uses_all_that_is_left() {
    let l1 = l1(1 << 20);
    let (small, large) = (tenant("small"), tenant("large"));
    let keys: Vec<Key<u8>> = (0..50).map(|number| page(&small, number)).collect();
    keys.iter().for_each(|key| put(&l1, key, 1000));
    for number in 0..10_000 {
        put(&l1, &page(&large, number), 1000);
        assert!(l1.size().bytes <= 1 << 20);
    }
    assert!(keys.iter().all(|key| get(&l1, key)));
    assert!(l1.size().bytes > (1 << 20) - 4096, "memory is left unused");
    assert!(l1.tenant_bytes(&large) > 9 * (1 << 20) / 10, "what the other does not use is not to be had");
    check_books(&l1);
}

#[test]
fn what_is_used_stays_and_what_is_not_goes_first() {
    let l1 = l1(100_000);
    let acme = tenant("acme");
    let hot: Vec<Key<u8>> = (0..20).map(|number| page(&acme, format!("hot{number}"))).collect();
    hot.iter().for_each(|key| put(&l1, key, 1000));
    for number in 0..5000 {
        assert!(hot.iter().all(|key| get(&l1, key)), "a used entry was evicted before insertion {number}");
        put(&l1, &page(&acme, number), 1000);
    }
}

#[test]
fn what_comes_back_soon_after_its_eviction_is_kept_longer() {
    let l1 = l1(100_000);
    let acme = tenant("acme");
    put(&l1, &page(&acme, "again"), 1000);
    (0..100).for_each(|number| put(&l1, &page(&acme, number), 1000));
    assert!(!get(&l1, &page(&acme, "again")));
    put(&l1, &page(&acme, "again"), 1000);
    assert!(l1.get(page(&acme, "again").raw()).unwrap().is_in_main());
    put(&l1, &page(&acme, "new"), 1000);
    assert!(!l1.get(page(&acme, "new").raw()).unwrap().is_in_main());
}

#[test]
fn a_tenant_keeps_to_its_own_limit_even_while_there_is_room() {
    let (l1, told) = watched(1 << 20, 20_000, &[]);
    (0..1000).for_each(|number| put(&l1, &page(&tenant("acme"), number), 1000));
    assert!((15_000..=20_000).contains(&l1.tenant_bytes(&tenant("acme"))));
    let told = told.take();
    assert_eq!(told.iter().filter(|line| line.contains("reached its quota")).count(), 1);
    assert!(told.contains(&"acme lost one: Quota".to_owned()));
}

#[test]
fn weights_divide_what_everybody_wants() {
    let (l1, _) = watched(1 << 20, 1 << 20, &[("gold", 3)]);
    let bytes = || {
        for number in 0..3000 {
            put(&l1, &page(&tenant("gold"), number), 1000);
            put(&l1, &page(&tenant("plain"), number), 1000);
        }
        (l1.tenant_bytes(&tenant("gold")) >> 10, l1.tenant_bytes(&tenant("plain")) >> 10)
    };
    let (gold, plain) = bytes();
    assert!((765..=770).contains(&gold) && (253..=258).contains(&plain), "{gold} KiB and {plain} KiB");
    l1.set_tenant_weight(&tenant("plain"), NonZeroU32::new(3).unwrap());
    let (gold, plain) = bytes();
    assert!((509..=514).contains(&gold) && (509..=514).contains(&plain), "{gold} KiB and {plain} KiB");
    assert_eq!(l1.tenant_quota(&tenant("gold")), 1 << 19);
    assert_eq!(l1.tenant_quota(&tenant("newcomer")), (1 << 20) / 7);
}

#[test]
fn entries_whose_time_is_over_go_before_others_whosever_they_are() {
    let (l1, told) = watched(1 << 20, 1 << 20, &[]);
    let (idle, busy) = (tenant("idle"), tenant("busy"));
    for number in 0..400 {
        let key = page(&idle, number);
        l1.insert(key.raw(), entry_until(&key, 1000, Timestamp::from_millis(NOW.as_millis() - 1)), NOW);
    }
    (0..3000).for_each(|number| put(&l1, &page(&busy, number), 1000));
    let told = told.take();
    assert!(told.contains(&"idle lost one: Expired".to_owned()) && !told.contains(&"idle lost one: Memory".to_owned()));
    assert!(l1.tenant_bytes(&idle) < 40 * 1200, "{} bytes are held by the idle tenant", l1.tenant_bytes(&idle));
    check_books(&l1);
}

#[test]
fn thresholds_and_quotas_are_told_once_until_they_are_left() {
    let (l1, told) = watched(100_000, 100_000, &[]);
    let acme = tenant("acme");
    (0..200).for_each(|number| put(&l1, &page(&acme, number), 1000));
    let news: Vec<String> = told.take().into_iter().filter(|line| !line.contains("lost one")).collect();
    assert_eq!(news.len(), 3, "{news:?}");
    assert_eq!((&news[0][..], &news[1][..]), ("80 percent: true", "95 percent: true"));
    assert!(news[2].starts_with("acme reached its quota: ") && news[2].ends_with(" of 100000"));
    l1.clear();
    assert_eq!(told.take(), ["80 percent: false", "95 percent: false"]);
    assert_eq!(l1.size(), L1Size { entries: 0, bytes: 0, tenants: 0 });
}

#[test]
fn an_entry_larger_than_memory_is_not_kept_and_ends_its_predecessor() {
    let l1 = l1(10_000);
    let key = page(&tenant("a"), 1);
    put(&l1, &key, 100);
    put(&l1, &key, 50_000);
    assert_eq!(l1.size(), L1Size { entries: 0, bytes: 0, tenants: 0 });
    // Too large beside another's share: it is the one furthest above its own.
    put(&l1, &page(&tenant("b"), 1), 2000);
    put(&l1, &key, 9000);
    assert!(get(&l1, &page(&tenant("b"), 1)) && !get(&l1, &key));
    check_books(&l1);
}

#[test]
fn removing_and_putting_back_leaves_no_clutter() {
    let l1 = l1(1 << 20);
    let acme = tenant("acme");
    for round in 0..20_000 {
        let key = page(&acme, round % 7);
        put(&l1, &key, 100);
        l1.remove(key.raw());
        put(&l1, &key, 100);
    }
    let mut turns = 0;
    while l1.books.lock().accounts.next(l1.table.all()[0].account()).is_some() {
        turns += 1;
    }
    assert!(turns < 200, "{turns} hashes are held for 7 entries");
}

#[derive(Clone, Debug)]
enum Step {
    Put { tenant: usize, page: u32, bytes: usize },
    Get { tenant: usize, page: u32 },
    Remove { tenant: usize, page: u32 },
    Clear,
}

const TENANTS: [(&str, u32); 4] = [("a", 1), ("b", 2), ("c", 5), ("d", 1)];

fn step() -> impl Strategy<Value = Step> {
    let (tenant, page) = (0..TENANTS.len(), 0..40u32);
    prop_oneof![
        60 => (tenant.clone(), page.clone(), 0..4000usize)
            .prop_map(|(tenant, page, bytes)| Step::Put { tenant, page, bytes }),
        60 => (tenant.clone(), page.clone()).prop_map(|(tenant, page)| Step::Get { tenant, page }),
        10 => (tenant, page).prop_map(|(tenant, page)| Step::Remove { tenant, page }),
        1 => Just(Step::Clear),
    ]
}

proptest! {
    /// Whatever happens: limits hold, accounts agree with entries, every entry has its turn, and a tenant loses an
    /// entry for memory's sake only if it was above its share.
    #[test]
    fn accounts_stay_true_and_nobody_within_its_share_gives_way(
        steps in proptest::collection::vec(step(), 1..400),
        bytes_max in 5_000..60_000u64,
    ) {
        let told = Arc::new(Told::default());
        let limits = L1Limits { bytes_max, tenant_bytes_max: bytes_max * 3 / 4, ..L1Limits::default() };
        let weights = TENANTS.map(|(name, weight)| (tenant(name), NonZeroU32::new(weight).unwrap()));
        let l1 = L1::new(limits, HashMap::from(weights), Observers::new(vec![told.clone()]));
        for step in steps {
            let key = |at: usize, number: u32| page(&tenant(TENANTS[at].0), number);
            match step {
                Step::Put { tenant: at, page: number, bytes } => {
                    let before = TENANTS.map(|(name, _)| l1.tenant_bytes(&tenant(name)));
                    let key = key(at, number);
                    let entry = entry_until(&key, bytes, Timestamp::NEVER);
                    let announced = weight(&entry);
                    l1.insert(key.raw(), entry, NOW);
                    let losers = told.take();
                    // Of all tenants that were there, with the newcomer: as it was when somebody had to give way.
                    let present = |other: usize| other == at || before[other] > 0;
                    let weight_sum: u64 = (0..4).filter(|other| present(*other)).map(|other| u64::from(TENANTS[other].1)).sum();
                    for (other, (name, weight)) in TENANTS.iter().enumerate() {
                        if losers.contains(&format!("{name} lost one: Memory")) {
                            let bytes = before[other] + if other == at { announced } else { 0 };
                            let share = bytes_max * u64::from(*weight) / weight_sum;
                            prop_assert!(bytes >= share, "{name} had {bytes} of its share {share} and gave way");
                        }
                    }
                }
                Step::Get { tenant, page } => drop(get(&l1, &key(tenant, page))),
                Step::Remove { tenant, page } => l1.remove(key(tenant, page).raw()),
                Step::Clear => l1.clear(),
            }
            prop_assert!(l1.size().bytes <= bytes_max);
            for (name, _) in TENANTS {
                prop_assert!(l1.tenant_bytes(&tenant(name)) <= bytes_max * 3 / 4);
            }
        }
        check_books(&l1);
    }

    /// One tenant holds what is within its share; whatever another then does, it keeps every entry.
    #[test]
    fn within_its_share_a_tenant_loses_nothing_to_a_flood(
        weights in (1..10u32, 1..10u32),
        sizes in proptest::collection::vec(1..2000usize, 1..30),
        flood in proptest::collection::vec((0..200u32, 0..5000usize), 1..300),
    ) {
        let (l1, _) = watched(100_000, 100_000, &[("quiet", weights.0), ("flood", weights.1)]);
        let share = 100_000 * u64::from(weights.0) / u64::from(weights.0 + weights.1);
        let mut kept = Vec::new();
        for (number, bytes) in sizes.into_iter().enumerate() {
            let key = page(&tenant("quiet"), number);
            if l1.tenant_bytes(&tenant("quiet")) + weight(&entry_until(&key, bytes, NOW)) <= share {
                put(&l1, &key, bytes);
                kept.push(key);
            }
        }
        for (number, bytes) in flood {
            put(&l1, &page(&tenant("flood"), number), bytes);
        }
        prop_assert!(kept.iter().all(|key| get(&l1, key)));
    }
}

#[test]
fn readers_and_writers_at_once_leave_true_books() {
    let l1 = Arc::new(l1(200_000));
    let workers: Vec<_> = (0..4u32)
        .map(|worker| {
            let l1 = l1.clone();
            std::thread::spawn(move || {
                for round in 0..4000u32 {
                    let number = (round.wrapping_mul(2_654_435_761) >> 8) % 300;
                    let key = page(&tenant(["a", "b"][(worker % 2) as usize]), number);
                    match round % 16 {
                        0 => l1.remove(key.raw()),
                        1..6 => put(&l1, &key, number as usize * 7),
                        _ => drop(get(&l1, &key)),
                    }
                }
            })
        })
        .collect();
    workers.into_iter().for_each(|worker| worker.join().unwrap());
    assert!(l1.size().bytes <= 200_000);
    check_books(&l1);
}
