//! Sealing against the bare cipher, and how long it takes until an erased person is gone from every node.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::FutureExt as _;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use tokio::runtime::Runtime;
use unstale::{
    Bytes, Cache, CacheLimits, CacheVersion, Fingerprint, KeyRing, L1Limits, Loaded, MemoryLimits, MemoryStore, Policy,
    ReadOptions, Sealing, SealingLimits, Tag, Timestamp, catalogue, record_subject,
    sealing::MemorySubjectKeys,
    store::{Seal, Store as _, StoredEntry},
};

use super::{acme, report};

catalogue! {
    /// Every key of these rows.
    const PATTERNS;
    /// A number.
    fn number_of(number) -> Number = "number";
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Number(u64);
unstale::cacheable!(Number, "Number v1");

const VALUE_LENGTH: usize = 2048;
/// As much as an entry with four tags has.
const BESIDE_BYTES: usize = 120;
const ROUNDS: usize = 101;
const OPERATIONS: u64 = 2_000;
/// Operations of one that runs alone.
const ALONE: u64 = 100_000;
const NODES: usize = 3;
const ENTRIES: u64 = 1_000_000;
/// One entry in so many is about the person who is erased.
const ONE_IN: u64 = 1_000;

pub(super) fn rows(runtime: &Runtime) {
    assert_eq!(PATTERNS.len(), 1);
    against_the_cipher(runtime);
    if std::env::var_os("ONLY").is_none() {
        erasure();
    }
}

fn sealing() -> Sealing {
    let ring = KeyRing::new([std::array::from_fn(|at| u8::try_from(at).unwrap())]).unwrap();
    // What compressing costs is another question, and the same with and without sealing.
    let limits = SealingLimits { compress_bytes_min: usize::MAX, ..SealingLimits::default() };
    Sealing::new(ring, Arc::<MemorySubjectKeys>::default(), CacheVersion::default(), limits)
}

fn against_the_cipher(runtime: &Runtime) {
    let sealing = sealing();
    let key = number_of(&acme(), 123_456).raw().clone();
    let store = MemoryStore::default();
    let base = store.head(store.partitions().of(&acme())).now_or_never().unwrap().unwrap();
    let value = Bytes::from((0..VALUE_LENGTH).map(|at| u8::try_from(at * 7919 % 251).unwrap()).collect::<Vec<_>>());
    let entry = |subjects: u8| StoredEntry {
        base,
        tags: ["flow", "flows", "user", "client"].map(|kind| Tag::shared(kind, 7).id()).into_iter().collect(),
        has_tenant_tags: true,
        loaded_at: Timestamp::from_millis(1_000),
        load_ms: 3,
        expires_at: Timestamp::NEVER,
        dead_at: Timestamp::NEVER,
        schema: Fingerprint::of("bytes"),
        value: Some(value.clone()),
        subjects,
        is_sensitive: false,
        seal: Seal::None,
    };
    let cipher = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &[7; 32]).unwrap());
    let nonce = |counter: u64| {
        let mut nonce = [0; 12];
        nonce[4..].copy_from_slice(&counter.to_be_bytes());
        Nonce::assume_unique_for_key(nonce)
    };
    let seal_beside = |counter, beside: &[u8]| {
        let mut out = Vec::with_capacity(VALUE_LENGTH + 16);
        out.extend_from_slice(&value);
        let tag = cipher.seal_in_place_separate_tag(nonce(counter), Aad::from(beside), &mut out).unwrap();
        out.extend_from_slice(tag.as_ref());
        out
    };
    let bare_seal = |counter| seal_beside(counter, &[]);
    let bare_sealed = bare_seal(0);
    let bare_open = || {
        let mut bytes = bare_sealed.clone();
        cipher.open_in_place(nonce(0), Aad::empty(), &mut bytes).unwrap().len()
    };
    // What authenticating an entry's key, tags and times costs the cipher alone.
    let (beside, mut counter) = ([7; BESIDE_BYTES], 1);
    compare(
        "beside",
        &format!("the cipher, {BESIDE_BYTES} bytes beside | none"),
        || {
            counter += 2;
            drop(seal_beside(counter, &beside));
        },
        || drop(bare_seal(0)),
    );
    for subjects in [0, 1] {
        let about = if subjects == 0 { "" } else { " about a person" };
        let entry = entry(subjects);
        // What is asked for once.
        let sealed = runtime.block_on(async {
            let sealed = sealing.seal(&key, entry.clone()).await.unwrap();
            sealing.open(&key, sealed.clone()).await.unwrap();
            sealed
        });
        // One entry goes round: what else it consists of is there already when a cache seals or opens.
        let mut counter = 1;
        let mut at_hand = Some(entry);
        compare(
            if subjects == 0 { "seal" } else { "seal-person" },
            &format!("seal 2 KB{about} | the bare cipher, aim ≤ 1.3×"),
            || {
                let plain = StoredEntry { value: Some(value.clone()), seal: Seal::None, ..at_hand.take().unwrap() };
                at_hand = Some(sealing.seal(&key, plain).now_or_never().unwrap().unwrap());
            },
            || {
                counter += 1;
                drop(bare_seal(counter));
            },
        );
        let bytes = sealed.value.clone().unwrap();
        let mut at_hand = Some(sealed);
        compare(
            if subjects == 0 { "open" } else { "open-person" },
            &format!("open 2 KB{about} | the bare cipher, aim ≤ 1.3×"),
            || {
                // As it comes from the network: in memory of its own.
                let value = Some(Bytes::from(bytes.to_vec()));
                let sealed = StoredEntry { value, seal: Seal::Sealed, ..at_hand.take().unwrap() };
                at_hand = Some(sealing.open(&key, sealed).now_or_never().unwrap().unwrap());
            },
            || assert_eq!(bare_open(), VALUE_LENGTH),
        );
    }
}

/// Reports ours beside the yardstick. With `ONLY=name` or `ONLY=bare-name` that one alone runs, without a table: for
/// callgrind and perf.
fn compare(name: &str, what: &str, mut ours: impl FnMut(), mut yardstick: impl FnMut()) {
    match std::env::var("ONLY") {
        Err(_) => report(what, &paired(ours, yardstick), "ns"),
        Ok(only) if only == name => (0..ALONE).for_each(|_| ours()),
        Ok(only) if only.strip_prefix("bare-") == Some(name) => (0..ALONE).for_each(|_| yardstick()),
        Ok(_) => {}
    }
}

fn paired(mut ours: impl FnMut(), mut yardstick: impl FnMut()) -> Vec<(f64, f64)> {
    let time = |what: &mut dyn FnMut()| {
        let began = Instant::now();
        (0..OPERATIONS).for_each(|_| what());
        began.elapsed().as_nanos() as f64 / OPERATIONS as f64
    };
    (0..ROUNDS).map(|_| (time(&mut ours), time(&mut yardstick))).collect()
}

/// From the call until no node has a copy in memory.
fn erasure() {
    const POLICY: Policy = Policy::ttl(Duration::from_secs(3600));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
    runtime.block_on(async {
        // The store is in memory, and shared: what a log and keys at a distance add is two round trips.
        let store = Arc::new(MemoryStore::new(MemoryLimits { entry_bytes_max: 64 << 20, ..MemoryLimits::default() }));
        let sealing = sealing();
        let l1 = L1Limits { bytes_max: 4 << 30, tenant_bytes_max: 4 << 30, ..L1Limits::default() };
        let limits = CacheLimits { l1, subject_lifetime_max: Duration::MAX, ..CacheLimits::default() };
        let mut nodes: Vec<Cache> = Vec::new();
        for _ in 0..NODES {
            let node = Cache::builder(store.clone()).limits(limits).sealing(sealing.clone()).build().await.unwrap();
            for number in 0..ENTRIES {
                let load = move || async move {
                    record_subject(&Tag::shared("user", if number % ONE_IN == 0 { 0 } else { number % 64 + 1 }));
                    Ok::<_, String>(Loaded::value(Number(number)))
                };
                node.fetch(&number_of(&acme(), number), &POLICY, &ReadOptions::default(), load).await.unwrap();
            }
            assert_eq!(node.size().entries as u64, ENTRIES, "all are in memory");
            let following = node.clone();
            tokio::spawn(async move { following.follow(Duration::from_millis(300)).await });
            nodes.push(node);
        }
        let began = Instant::now();
        let proof = nodes[0].erase(&Tag::shared("user", 0)).await.unwrap();
        let acknowledged = began.elapsed();
        let left = usize::try_from(ENTRIES - ENTRIES / ONE_IN).unwrap();
        while !nodes.iter().all(|node| node.size().entries == left) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let complete = began.elapsed();
        assert_eq!((proof.memory_removed as u64, proof.keys_destroyed), (ENTRIES / ONE_IN, 1));
        println!(
            "erase a person, {NODES} nodes with {ENTRIES} entries each: acknowledged in {acknowledged:?}, complete in \
             {complete:?}"
        );
    });
}
