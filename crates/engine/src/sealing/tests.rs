use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt as _};

use super::*;
use crate::{
    Fingerprint,
    position::{Epoch, Partition, Position, Sequence},
    store::{Filled, Lease, LeaseRequest, LeaseToken, Store as _},
    time::Timestamp,
};

crate::catalogue! {
    /// Of these tests.
    const PATTERNS;
    /// A page.
    fn page(name) -> u8 = "page";
}

fn key(tenant: &str) -> RawKey {
    assert_eq!(PATTERNS.len(), 1);
    page(&Tenant::new(tenant).unwrap(), 1).raw().clone()
}

fn ring(keys: &[u8]) -> KeyRing {
    KeyRing::new(keys.iter().map(|first| std::array::from_fn(|at| if at == 0 { *first } else { 7 }))).unwrap()
}

fn sealing(keys: &[u8], subjects: &Arc<MemorySubjectKeys>) -> Sealing {
    Sealing::new(ring(keys), subjects.clone(), CacheVersion::default(), SealingLimits::default())
}

/// An entry about the subjects 1 to `subjects`.
fn entry(subjects: u8) -> StoredEntry {
    StoredEntry {
        base: Position { partition: Partition(3), epoch: Epoch(1), sequence: Sequence(2) },
        tags: (1..=u64::from(subjects)).chain([99]).map(TagId).collect(),
        has_tenant_tags: true,
        loaded_at: Timestamp::from_millis(10),
        load_ms: 4,
        expires_at: Timestamp::from_millis(20),
        dead_at: Timestamp::from_millis(30),
        schema: Fingerprint(4),
        value: Some(Bytes::from_static(b"ada@example.com")),
        subjects,
        is_sensitive: true,
        seal: Seal::None,
    }
}

/// What the store gives back: no more than it was told.
async fn sealed(sealing: &Sealing, entry: StoredEntry) -> StoredEntry {
    let sealed = sealing.seal(&key("acme"), entry).await.unwrap();
    assert!(!sealed.value.as_ref().unwrap().windows(3).any(|bytes| bytes == b"ada"), "it is in clear");
    StoredEntry { subjects: 0, is_sensitive: false, ..sealed }
}

#[tokio::test]
async fn nodes_with_the_same_keys_open_what_each_other_sealed() {
    let subjects = Arc::new(MemorySubjectKeys::default());
    let (one, two) = (sealing(&[1], &subjects), sealing(&[1], &subjects));
    for count in [0, 1, 3] {
        for _ in 0..2 {
            let opened = two.open(&key("acme"), sealed(&one, entry(count)).await).await.unwrap();
            assert_eq!(format!("{opened:?}"), format!("{:?}", entry(count)));
        }
    }
    assert_eq!(subjects.len(), 3);
}

#[tokio::test]
async fn the_same_entry_is_never_sealed_alike() {
    let subjects = Arc::default();
    let (one, two) = (sealing(&[1], &subjects), sealing(&[1], &subjects));
    let bytes = [sealed(&one, entry(1)).await, sealed(&one, entry(1)).await, sealed(&two, entry(1)).await];
    let bytes = bytes.map(|entry| entry.value.unwrap());
    assert!(bytes[0] != bytes[1] && bytes[0] != bytes[2]);
    let heads: Vec<Head> = bytes.iter().map(|bytes| Head::of(bytes).unwrap()).collect();
    assert_eq!((heads[0].salt, heads[0].counter, heads[1].counter), (heads[1].salt, 0, 1));
    assert_ne!(heads[0].salt, heads[2].salt);
}

#[tokio::test]
async fn every_flipped_bit_is_a_miss() {
    let one = sealing(&[1, 2], &Arc::default());
    let whole = sealed(&one, entry(1)).await;
    let bytes = whole.value.clone().unwrap();
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let flipped = StoredEntry { value: Some(flipped.into()), ..whole.clone() };
        assert!(one.open(&key("acme"), flipped).await.is_err(), "bit {bit}");
    }
    assert!(one.open(&key("acme"), whole).await.is_ok());
}

#[tokio::test]
async fn what_is_not_sealed_or_sealed_for_another_tenant_does_not_open() {
    let one = sealing(&[1], &Arc::default());
    let unauthentic = MissReason::Unauthentic;
    assert_eq!(one.open(&key("acme"), entry(0)).await.unwrap_err(), unauthentic);
    let moved = sealed(&one, entry(0)).await;
    assert_eq!(one.open(&key("globex"), moved.clone()).await.unwrap_err(), unauthentic);
    let other_version = CacheVersion::new("v2").unwrap();
    let other = Sealing::new(ring(&[1]), Arc::<MemorySubjectKeys>::default(), other_version, SealingLimits::default());
    assert_eq!(other.open(&key("acme"), moved.clone()).await.unwrap_err(), unauthentic);
    let lying = StoredEntry { tags: smallvec::smallvec![], ..moved };
    assert_eq!(one.open(&key("acme"), lying).await.unwrap_err(), unauthentic);
}

#[tokio::test]
async fn destroying_one_subject_makes_everything_about_them_unreadable_and_nothing_else() {
    let subjects = Arc::default();
    let (one, two) = (sealing(&[1], &subjects), sealing(&[1], &subjects));
    let about = [sealed(&one, entry(0)).await, sealed(&one, entry(1)).await, sealed(&one, entry(3)).await];
    for entry in &about {
        two.open(&key("acme"), entry.clone()).await.unwrap();
    }
    assert_eq!(one.destroy(TagId(3)).await.unwrap(), 1);
    // Two holds the key until the log tells it.
    two.forget(&[TagId(3)]);
    for node in [&one, &two] {
        let acme = key("acme");
        let opens = |at: usize| node.open(&acme, about[at].clone());
        assert!(opens(0).await.is_ok() && opens(1).await.is_ok());
        assert_eq!(opens(2).await.unwrap_err(), MissReason::NoKey);
    }
    // A new key for who comes back opens nothing of before.
    let again = sealed(&two, entry(3)).await;
    assert!(one.open(&key("acme"), again).await.is_ok());
    assert_eq!(one.open(&key("acme"), about[2].clone()).await.unwrap_err(), MissReason::Unauthentic);
}

#[tokio::test]
async fn keys_are_rotated_without_a_gap_and_a_key_that_is_dropped_opens_nothing() {
    let subjects = Arc::default();
    let node = sealing(&[1], &subjects);
    let (old, about) = (sealed(&node, entry(0)).await, sealed(&node, entry(2)).await);
    node.rotate(ring(&[2, 1]));
    let new = sealed(&node, entry(0)).await;
    for entry in [&old, &about, &new] {
        assert!(node.open(&key("acme"), entry.clone()).await.is_ok());
    }
    assert_eq!((node.rewrap().await.unwrap(), node.rewrap().await.unwrap()), (2, 0));
    node.rotate(ring(&[2]));
    assert_eq!(node.open(&key("acme"), old).await.unwrap_err(), MissReason::NoKey);
    assert_eq!(node.open(&key("acme"), about).await.unwrap_err(), MissReason::NoKey);
    assert!(node.open(&key("acme"), new).await.is_ok());
    // The subjects' keys were wrapped anew: they are not lost with the master key.
    let about = sealed(&node, entry(2)).await;
    assert!(node.open(&key("acme"), about).await.is_ok());
    assert_eq!(subjects.len(), 2);
}

#[tokio::test]
async fn a_subject_key_that_cannot_be_unwrapped_is_left_alone() {
    let subjects = Arc::default();
    sealed(&sealing(&[1], &subjects), entry(1)).await;
    let other = sealing(&[2], &subjects);
    assert_eq!(other.seal(&key("acme"), entry(1)).await.unwrap_err(), NotStored::NoKey);
    assert_eq!(other.rewrap().await.unwrap(), 0);
    assert!(sealing(&[1], &subjects).seal(&key("acme"), entry(1)).await.is_ok());
}

/// Keys that are never at hand: it fails, or does not answer.
#[derive(Debug)]
struct Away {
    answers: bool,
    asked: AtomicU64,
}

impl SubjectKeys for Away {
    fn find<'a>(
        &'a self,
        _: &'a Tenant,
        _: &'a [TagId],
    ) -> BoxFuture<'a, Result<Vec<Option<WrappedKey>>, SubjectKeyError>> {
        self.asked.fetch_add(1, SeqCst);
        let answers = self.answers;
        async move {
            if !answers {
                std::future::pending::<()>().await;
            }
            Err(SubjectKeyError("it is away".to_owned()))
        }
        .boxed()
    }

    fn create<'a>(&'a self, _: &'a SubjectKeyRow) -> BoxFuture<'a, Result<WrappedKey, SubjectKeyError>> {
        unreachable!("it was not found")
    }

    fn destroy(&self, _: TagId) -> BoxFuture<'_, Result<u64, SubjectKeyError>> {
        std::future::ready(Err(SubjectKeyError("it is away".to_owned()))).boxed()
    }

    fn wrapped_by_others(&self, _: KeyId, _: usize) -> BoxFuture<'_, Result<Vec<SubjectKeyRow>, SubjectKeyError>> {
        std::future::ready(Ok(Vec::new())).boxed()
    }

    fn rewrap<'a>(&'a self, _: &'a SubjectKeyRow, _: WrappedKey) -> BoxFuture<'a, Result<(), SubjectKeyError>> {
        std::future::ready(Ok(())).boxed()
    }
}

#[tokio::test(start_paused = true)]
async fn keys_that_are_away_make_misses_within_a_bounded_time() {
    let about = sealed(&sealing(&[1], &Arc::default()), entry(1)).await;
    for answers in [true, false] {
        let away = Arc::new(Away { answers, asked: AtomicU64::new(0) });
        let limits = SealingLimits::default();
        let node = Sealing::new(ring(&[1]), away.clone(), CacheVersion::default(), limits);
        let began = tokio::time::Instant::now();
        assert_eq!(node.open(&key("acme"), about.clone()).await.unwrap_err(), MissReason::NoKey);
        assert_eq!(node.seal(&key("acme"), entry(1)).await.unwrap_err(), NotStored::NoKey);
        assert!(began.elapsed() <= limits.lookup_timeout * 2);
        assert_eq!(away.asked.load(SeqCst), 2);
        // What is about nobody goes on.
        let nobody = sealed(&node, entry(0)).await;
        assert!(node.open(&key("acme"), nobody).await.is_ok());
    }
}

#[tokio::test]
async fn a_large_value_is_sealed_elsewhere_and_compressed() {
    let node = sealing(&[1], &Arc::default());
    let large = StoredEntry { value: Some(vec![b'a'; 1 << 20].into()), ..entry(1) };
    let sealed = sealed(&node, large.clone()).await;
    assert!(sealed.value.as_ref().unwrap().len() < 10_000);
    assert_eq!(node.open(&key("acme"), sealed).await.unwrap().value, large.value);
}

#[test]
fn pseudonyms_say_nothing_without_the_key() {
    let node = |first| sealing(&[first], &Arc::default());
    let name = |node: &Sealing, id: u32| node.pseudonym(&Tag::shared("user", id));
    assert_eq!(name(&node(1), 7), name(&node(1), 7));
    assert_ne!(name(&node(1), 7), name(&node(1), 8));
    assert_ne!(name(&node(1), 7), name(&node(2), 7));
}

#[test]
fn debug_tells_no_key() {
    let node = sealing(&[1], &Arc::default());
    assert_eq!(format!("{node:?}"), format!("Sealing(current key {})", ring(&[1]).current_id()));
}

/// Keys at hand, with something that happens whenever they are asked for.
struct Meddling {
    keys: MemorySubjectKeys,
    meddle: parking_lot::Mutex<Box<dyn Fn() + Send>>,
}

impl fmt::Debug for Meddling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Meddling")
    }
}

impl SubjectKeys for Meddling {
    fn find<'a>(
        &'a self,
        tenant: &'a Tenant,
        subjects: &'a [TagId],
    ) -> BoxFuture<'a, Result<Vec<Option<WrappedKey>>, SubjectKeyError>> {
        (self.meddle.lock())();
        self.keys.find(tenant, subjects)
    }

    fn create<'a>(&'a self, row: &'a SubjectKeyRow) -> BoxFuture<'a, Result<WrappedKey, SubjectKeyError>> {
        self.keys.create(row)
    }

    fn destroy(&self, subject: TagId) -> BoxFuture<'_, Result<u64, SubjectKeyError>> {
        self.keys.destroy(subject)
    }

    fn wrapped_by_others(&self, id: KeyId, max: usize) -> BoxFuture<'_, Result<Vec<SubjectKeyRow>, SubjectKeyError>> {
        self.keys.wrapped_by_others(id, max)
    }

    fn rewrap<'a>(&'a self, old: &'a SubjectKeyRow, new: WrappedKey) -> BoxFuture<'a, Result<(), SubjectKeyError>> {
        self.keys.rewrap(old, new)
    }
}

type Happens = fn(&Sealing);

/// A node, and how to say what happens to it whenever it asks for subjects' keys.
fn meddled() -> (Sealing, impl Fn(Happens)) {
    let keys = MemorySubjectKeys::default();
    let subjects = Arc::new(Meddling { keys, meddle: parking_lot::Mutex::new(Box::new(|| {})) });
    let node = Sealing::new(ring(&[1]), subjects.clone(), CacheVersion::default(), SealingLimits::default());
    // Weak: else the keys would hold what holds them.
    let weak = Arc::downgrade(&node.0);
    let meddle = move |happens: Happens| {
        let weak = weak.clone();
        *subjects.meddle.lock() = Box::new(move || happens(&Sealing(weak.upgrade().expect("it asks"))));
    };
    (node, meddle)
}

#[tokio::test]
async fn keys_that_are_forgotten_while_they_are_asked_for_open_nothing_and_seal_nothing() {
    let (node, meddle) = meddled();
    let about = sealed(&node, entry(1)).await;
    node.forget_all();
    meddle(Sealing::forget_all);
    assert_eq!(node.open(&key("acme"), about.clone()).await.unwrap_err(), MissReason::NoKey);
    assert_eq!(node.seal(&key("acme"), entry(1)).await.unwrap_err(), NotStored::NoKey);
    meddle(|_| {});
    assert!(node.open(&key("acme"), about).await.is_ok());
}

#[tokio::test]
async fn a_master_key_that_is_dropped_while_subjects_keys_are_asked_for_seals_nothing() {
    let (node, meddle) = meddled();
    meddle(|node| node.rotate(ring(&[2])));
    assert_eq!(node.seal(&key("acme"), entry(1)).await.unwrap_err(), NotStored::NoKey);
    meddle(|_| {});
    assert!(node.seal(&key("acme"), entry(1)).await.is_ok(), "the new one does");
}

#[tokio::test]
async fn a_cipher_that_has_sealed_enough_gives_way_to_a_new_one() {
    let node = sealing(&[1], &Arc::default());
    let salt = |entry: &StoredEntry| Head::of(entry.value.as_ref().unwrap()).unwrap().salt;
    let first = sealed(&node, entry(0)).await;
    let about = key("acme");
    node.0.held.session(&of(ring(&[1]).current_id(), about.tenant(), &[TagId(99)], 0).unwrap()).unwrap().exhaust();
    let second = sealed(&node, entry(0)).await;
    assert_ne!(salt(&first), salt(&second));
    assert!(node.open(&about, first).await.is_ok() && node.open(&about, second).await.is_ok());
}

#[tokio::test]
async fn what_is_broken_stays_so_for_the_reason_it_has() {
    let broken = StoredEntry { seal: Seal::Broken(MissReason::NoKey), ..entry(0) };
    assert_eq!(sealing(&[1], &Arc::default()).open(&key("acme"), broken).await.unwrap_err(), MissReason::NoKey);
}

#[tokio::test]
async fn it_names_the_keys_in_force_and_counts_the_subjects() {
    let subjects = Arc::new(MemorySubjectKeys::default());
    let node = sealing(&[2, 1], &subjects);
    assert_eq!(node.key_ids(), [ring(&[2]).current_id(), ring(&[1]).current_id()]);
    assert!(subjects.is_empty());
    sealed(&node, entry(1)).await;
    assert!(!subjects.is_empty());
    assert_eq!(format!("{subjects:?}"), "MemorySubjectKeys(1)");
}

/// A sealed store over one in this process, and what it told of.
fn store(sealing: Sealing) -> (SealedStore, Arc<crate::MemoryStore>, Arc<Told>) {
    let limits = crate::MemoryLimits { entry_bytes_max: 1 << 20, ..crate::MemoryLimits::default() };
    let (inner, told) = (Arc::new(crate::MemoryStore::new(limits)), Arc::new(Told::default()));
    let observers = crate::observe::Observers::new(vec![told.clone()]);
    (SealedStore::new(inner.clone(), sealing, observers), inner, told)
}

#[derive(Default)]
struct Told(parking_lot::Mutex<Vec<NotStored>>);

impl crate::Observer for Told {
    fn on_event(&self, event: &crate::Event<'_>) {
        if let crate::Event::NotShared { reason, .. } = event {
            self.0.lock().push(*reason);
        }
    }
}

#[tokio::test]
async fn what_cannot_be_sealed_is_told_and_not_kept() {
    let away = Arc::new(Away { answers: true, asked: AtomicU64::new(0) });
    let (store, inner, told) = store(Sealing::new(ring(&[1]), away, CacheVersion::default(), SealingLimits::default()));
    let base = store.head(inner.partitions().of(key("acme").tenant())).await.unwrap();
    let about = StoredEntry { base, ..entry(1) };
    assert_eq!(store.fill(&key("acme"), about).await.unwrap(), Filled::NotKept);
    assert_eq!(*told.0.lock(), [NotStored::NoKey]);
    assert!(inner.get(&[key("acme")]).await.unwrap()[0].is_none());
    let nobody = StoredEntry { base, ..entry(0) };
    assert_eq!(store.fill(&key("acme"), nobody).await.unwrap(), Filled::Stored);
}

#[tokio::test]
async fn what_comes_with_leases_is_opened() {
    let (store, inner, _) = store(sealing(&[1], &Arc::default()));
    let base = store.head(inner.partitions().of(key("acme").tenant())).await.unwrap();
    store.fill(&key("acme"), StoredEntry { base, ..entry(1) }).await.unwrap();
    let lease = Lease { token: LeaseToken::from_u128(7), base };
    let request = LeaseRequest { lease, ttl: Duration::from_secs(1), over: None };
    let leased = store.lease_many(&[(key("acme"), request), (key("globex"), request)]).await.unwrap();
    let opened = leased[0].entry.as_ref().unwrap();
    assert_eq!((opened.seal, &opened.value), (Seal::None, &entry(1).value));
    assert!(leased[1].entry.is_none() && leased.iter().all(|leased| leased.held_by.is_none()));
    let sealed = inner.lease_many(&[(key("acme"), request)]).await.unwrap();
    assert_eq!(sealed[0].entry.as_ref().unwrap().seal, Seal::Sealed, "within, it is not");
}

#[tokio::test]
async fn a_new_epoch_is_the_inner_stores() {
    let (store, inner, _) = store(sealing(&[1], &Arc::default()));
    let before = store.head(Partition(3)).await.unwrap();
    let anew = store.start_anew(Partition(3)).await.unwrap();
    assert_ne!(anew.epoch, before.epoch);
    assert_eq!(inner.head(Partition(3)).await.unwrap(), anew);
    let shown = format!("{store:?}");
    assert!(shown.starts_with("SealedStore(MemoryStore") && shown.contains("Sealing(current key"), "{shown}");
}

#[tokio::test]
async fn what_is_sealed_while_its_master_key_is_dropped_is_not_kept_and_no_key_is_made_for_it() {
    let away = Arc::new(Away { answers: true, asked: AtomicU64::new(0) });
    let node = Sealing::new(ring(&[1]), away.clone(), CacheVersion::default(), SealingLimits::default());
    // As if which key is current was asked before a rotation, and the key itself after it.
    node.0.current.store(ring(&[2]).current_id().as_u64(), SeqCst);
    for subjects in [0, 1] {
        assert_eq!(node.seal(&key("acme"), entry(subjects)).await.unwrap_err(), NotStored::NoKey);
    }
    assert_eq!(away.asked.load(SeqCst), 0);
}
