//! The contract of [`Store`], run over every implementation.

use std::{sync::Arc, time::Duration};

use unstale::{
    Bytes, Cache, ClockLimits, Invalidation, Loaded, MemoryLimits, MemoryStore, MissReason, Mode, Policy, ReadOptions,
    StaleReason, Tag, Tenant, Timestamp, Verdict,
    codec::Fingerprint,
    position::{Partition, PartitionCount, Position, Sequence},
    store::{AfterLease, Filled, Lease, LeaseRequest, LeaseToken, Leased, LogPage, Seal, Store, StoredEntry},
};

use crate::world::{Page, acme, page};

/// A store under test, and how to hurt it.
struct Subject {
    store: Arc<dyn Store>,
    lose: Box<dyn Fn(Partition)>,
    /// Records its log keeps.
    log_records_max: u64,
}

const PARTITIONS: PartitionCount = PartitionCount::new(4).unwrap();
const LOG_RECORDS_MAX: usize = 16;
const CLOCKS_MAX: usize = 8;
/// Longer than any test.
const PATIENT: Duration = Duration::from_secs(600);

/// One of each kind, empty; with the feature `redis`, also on one server, on a primary with sentinels, and on a
/// cluster. The servers are shared by all tests of this binary, each of which has a namespace of its own.
fn subjects() -> Vec<Subject> {
    vec![
        in_memory(),
        #[cfg(feature = "redis")]
        on_redis::one_server(),
        #[cfg(feature = "redis")]
        on_redis::sentinels(),
        #[cfg(feature = "redis")]
        on_redis::cluster(),
    ]
}

fn in_memory() -> Subject {
    let limits = MemoryLimits {
        partitions: PARTITIONS,
        log_records_max: LOG_RECORDS_MAX,
        clocks: ClockLimits { filter_slots: 64, exact_clocks_max: CLOCKS_MAX },
        entry_bytes_max: 1 << 20,
    };
    let store = Arc::new(MemoryStore::new(limits));
    let lost = store.clone();
    let lose = Box::new(move |partition| lost.lose(partition));
    Subject { store, lose, log_records_max: LOG_RECORDS_MAX as u64 }
}

#[cfg(feature = "redis")]
mod on_redis {
    use std::{
        sync::{
            Arc, LazyLock,
            atomic::{AtomicUsize, Ordering::Relaxed},
        },
        time::Duration,
    };

    use unstale::{
        RedisSettings, RedisStore,
        position::Partition,
        testing::redis_server::{RedisCluster, RedisSentinels, RedisServer, settings},
    };

    use super::{CLOCKS_MAX, LOG_RECORDS_MAX, PARTITIONS, Subject};

    const PATIENCE: Duration = Duration::from_secs(30);

    static ONE: LazyLock<RedisServer> = LazyLock::new(RedisServer::start);
    static SENTINELS: LazyLock<RedisSentinels> = LazyLock::new(RedisSentinels::start);
    static CLUSTER: LazyLock<RedisCluster> = LazyLock::new(RedisCluster::start);
    static NAMESPACES: AtomicUsize = AtomicUsize::new(0);

    pub(super) fn one_server() -> Subject {
        subject(|namespace| settings(&ONE, namespace), |pattern| ONE.delete(pattern))
    }

    pub(super) fn sentinels() -> Subject {
        let delete = |pattern: &str| SENTINELS.servers[SENTINELS.primary()].delete(pattern);
        subject(|namespace| SENTINELS.settings(namespace), delete)
    }

    pub(super) fn cluster() -> Subject {
        subject(|namespace| CLUSTER.settings(namespace), |pattern| CLUSTER.delete(pattern))
    }

    fn subject(settings: impl Fn(&str) -> RedisSettings, delete: impl Fn(&str) + 'static) -> Subject {
        let namespace = format!("contract{}", NAMESPACES.fetch_add(1, Relaxed));
        let mut settings = settings(&namespace);
        settings.limits.partitions = PARTITIONS;
        settings.limits.log_records_max = LOG_RECORDS_MAX;
        settings.limits.clocks_max = CLOCKS_MAX;
        // A machine busy with all topologies at once is none of the contract's business.
        settings.limits.connect_timeout = PATIENCE;
        settings.limits.operation_timeout = PATIENCE;
        let store = Arc::new(RedisStore::new(settings).unwrap());
        let lose = Box::new(move |partition: Partition| delete(&format!("{{{namespace}:{}}}:*", partition.index())));
        Subject { store, lose, log_records_max: LOG_RECORDS_MAX as u64 }
    }
}

fn tag(id: u64) -> Tag {
    Tag::of(&acme(), "fact", id)
}

fn entry(base: Position, id: u64, value: &'static [u8]) -> StoredEntry {
    StoredEntry {
        base,
        tags: [tag(id).id()].into_iter().collect(),
        has_tenant_tags: true,
        loaded_at: Timestamp::from_millis(1),
        load_ms: 3,
        expires_at: Timestamp::NEVER,
        dead_at: Timestamp::NEVER + Duration::ZERO,
        schema: Fingerprint::of("bytes"),
        value: Some(Bytes::from_static(value)),
        subjects: 0,
        is_sensitive: false,
        seal: Seal::None,
    }
}

impl Subject {
    fn partition(&self) -> Partition {
        self.store.partitions().of(&acme())
    }

    async fn head(&self) -> Position {
        self.store.head(self.partition()).await.unwrap()
    }

    /// The position of `records` records ago.
    async fn before(&self, records: u64) -> Position {
        let head = self.head().await;
        Position { sequence: Sequence::from_u64(head.sequence.as_u64() - records), ..head }
    }

    async fn node(&self) -> Cache {
        Cache::builder(self.store.clone()).build().await.unwrap()
    }

    async fn append(&self, id: u64) -> Position {
        self.store.append(self.partition(), vec![tag(id).id()], Bytes::from_static(b"note")).await.unwrap()
    }

    async fn fill(&self, base: Position, id: u64, value: &'static [u8]) -> Filled {
        self.store.fill(page(&acme(), 1).raw(), entry(base, id, value)).await.unwrap()
    }

    async fn lease(&self, token: u128, over: Option<u128>, ttl: Duration) -> Leased {
        let lease = Lease { token: LeaseToken::from_u128(token), base: self.head().await };
        let request = LeaseRequest { lease, ttl, over: over.map(LeaseToken::from_u128) };
        self.store.lease(page(&acme(), 1).raw(), &request).await.unwrap()
    }

    /// Who holds the lease instead, if somebody does.
    async fn holder(&self, token: u128, over: Option<u128>) -> Option<u128> {
        self.lease(token, over, PATIENT).await.held_by.map(|lease| lease.token.as_u128())
    }

    async fn release(&self, token: u128, after: AfterLease) {
        self.store.release(page(&acme(), 1).raw(), LeaseToken::from_u128(token), after).await.unwrap();
    }

    async fn value(&self) -> Option<Bytes> {
        let keys = [page(&acme(), 1).raw().clone(), page(&acme(), 2).raw().clone()];
        let mut found = self.store.get(&keys).await.unwrap();
        assert_eq!(found.len(), 2, "one answer per key, in their order");
        assert!(found.pop().unwrap().is_none());
        found.pop().unwrap().and_then(|entry| entry.value)
    }
}

#[tokio::test]
async fn records_follow_each_other_without_gaps_and_are_read_from_anywhere() {
    for subject in subjects() {
        let start = subject.head().await;
        let positions = [subject.append(1).await, subject.append(2).await, subject.append(3).await];
        assert_eq!(positions.map(|position| position.sequence.as_u64() - start.sequence.as_u64()), [1, 2, 3]);
        assert_eq!(subject.head().await, positions[2]);

        let LogPage::Records(records) = subject.store.read_log(start, 2).await.unwrap() else { panic!("records") };
        assert_eq!(records.iter().map(|record| record.position).collect::<Vec<_>>(), positions[..2]);
        assert_eq!((records[0].tags[0], &records[0].note[..]), (tag(1).id(), &b"note"[..]));
        let LogPage::Records(rest) = subject.store.read_log(positions[2], 2).await.unwrap() else { panic!("records") };
        assert!(rest.is_empty());
    }
}

/// In one question for many keys: each answer is its key's own, and shows the entry that is there.
#[tokio::test]
async fn leases_of_many_keys_are_granted_each_by_itself() {
    for subject in subjects() {
        let base = subject.head().await;
        assert_eq!(subject.fill(base, 1, b"there").await, Filled::Stored);
        subject.lease(7, None, PATIENT).await;
        // More than any store asks for at a time.
        let request = |number: u32| {
            let lease = Lease { token: LeaseToken::from_u128(100 + u128::from(number)), base };
            (page(&acme(), number).raw().clone(), LeaseRequest { lease, ttl: PATIENT, over: None })
        };
        let requests: Vec<_> = (0..150).map(request).collect();
        let leased = subject.store.lease_many(&requests).await.unwrap();
        let holders: Vec<_> = leased.iter().map(|leased| leased.held_by.map(|lease| lease.token.as_u128())).collect();
        assert_eq!(holders, (0..150).map(|number| (number == 1).then_some(7)).collect::<Vec<_>>());
        let found: Vec<_> = leased.into_iter().map(|leased| leased.entry.and_then(|entry| entry.value)).collect();
        assert_eq!(found[1].as_deref(), Some(&b"there"[..]));
        assert_eq!(found.iter().flatten().count(), 1);
        let again = subject.store.lease_many(&requests[2..4]).await.unwrap();
        assert_eq!(again.iter().map(|leased| leased.held_by.unwrap().token.as_u128()).collect::<Vec<_>>(), [102, 103]);
        assert!(subject.store.lease_many(&[]).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn how_long_a_load_took_comes_back_with_its_entry() {
    for subject in subjects() {
        let base = subject.head().await;
        subject.fill(base, 1, b"x").await;
        let found = subject.store.get(&[page(&acme(), 1).raw().clone()]).await.unwrap().pop().unwrap();
        assert_eq!(found.unwrap().load_ms, 3);
    }
}

/// A purge ends on every node what is only stale after an invalidation: in memory, in the store, and for a node that starts
/// after it.
#[tokio::test]
async fn a_purge_is_one_for_every_node_of_the_store() {
    let policy = Policy::ttl(PATIENT).mode(Mode::StaleOk(PATIENT));
    let read = async |cache: &Cache, version: Option<u64>| {
        let load = move || async move {
            unstale::record(&tag(1));
            version.map(|version| Loaded::value(Page { saw: vec![(1, version)] })).ok_or("away".to_owned())
        };
        let answer = cache.fetch(&page(&acme(), 1), &policy, &ReadOptions::default(), load).await;
        answer.map(|answer| answer.verdict)
    };
    for subject in subjects() {
        let (one, two) = (subject.node().await, subject.node().await);
        read(&one, Some(1)).await.unwrap();
        assert_eq!(read(&two, None).await, Ok(Verdict::Hit), "from the store");
        one.invalidate(&Invalidation::of([tag(1)])).await.unwrap();
        assert!(two.catch_up(&acme()).await);
        assert_eq!(read(&two, None).await, Ok(Verdict::Stale(StaleReason::Invalidated)));
        one.invalidate(&Invalidation::of([tag(1)]).purging()).await.unwrap();
        assert!(two.catch_up(&acme()).await);
        assert!(read(&one, None).await.is_err() && read(&two, None).await.is_err());
        let begun_since = subject.node().await;
        assert_eq!(read(&begun_since, Some(2)).await, Ok(Verdict::Miss(MissReason::Invalidated)), "what the store has");
        let LogPage::Records(records) = subject.store.read_log(subject.before(1).await, 1).await.unwrap() else {
            panic!("a record")
        };
        assert!(records[0].is_purge() && records[0].tags.contains(&tag(1).id()));
    }
}

#[tokio::test]
async fn appending_moves_the_watchers() {
    for subject in subjects() {
        let mut moves = subject.store.moves();
        moves.take();
        subject.append(1).await;
        assert!(moves.next().await.contains(&subject.partition()));
    }
}

#[tokio::test]
async fn a_reader_too_far_behind_is_told_so() {
    for subject in subjects() {
        let start = subject.head().await;
        for id in 0..=subject.log_records_max {
            subject.append(id).await;
        }
        let LogPage::Trimmed { head } = subject.store.read_log(start, 100).await.unwrap() else { panic!("trimmed") };
        assert_eq!(head, subject.head().await.sequence);
    }
}

#[tokio::test]
async fn a_fill_is_refused_once_a_tag_has_moved_past_its_base() {
    for subject in subjects() {
        let base = subject.head().await;
        assert_eq!(subject.fill(base, 1, b"old").await, Filled::Stored);
        assert_eq!(subject.value().await.as_deref(), Some(&b"old"[..]));
        let moved = subject.append(1).await;
        assert_eq!(subject.fill(base, 1, b"late").await, Filled::Overtaken);
        assert_eq!(subject.fill(moved, 1, b"new").await, Filled::Stored);
        assert_eq!(subject.fill(base, 2, b"another tag, older base").await, Filled::NewerStored);
        assert_eq!(subject.value().await.as_deref(), Some(&b"new"[..]));
    }
}

#[tokio::test]
async fn clocks_are_bounded_and_what_was_trimmed_refuses_fills() {
    for subject in subjects() {
        let base = subject.head().await;
        for id in 10..30 {
            subject.append(id).await;
        }
        assert_eq!(subject.fill(base, 1, b"x").await, Filled::Overtaken, "the floor has risen past the base");
    }
}

#[tokio::test]
async fn state_is_lost_together_under_a_new_epoch() {
    for subject in subjects() {
        let base = subject.head().await;
        subject.fill(base, 1, b"x").await;
        let reached = subject.append(2).await;
        (subject.lose)(subject.partition());
        let head = subject.head().await;
        assert_ne!(head.epoch, reached.epoch);
        assert_eq!(subject.value().await, None);
        assert_eq!(subject.fill(base, 1, b"x").await, Filled::Overtaken);
        let LogPage::NewEpoch { head: told } = subject.store.read_log(reached, 1).await.unwrap() else {
            panic!("epoch")
        };
        assert_eq!(told, head);
    }
}

#[tokio::test]
async fn partitions_do_not_touch_each_other() {
    for subject in subjects() {
        let other = (0..).map(|n| Tenant::new(format!("t{n}")).unwrap());
        let other = other.map(|tenant| subject.store.partitions().of(&tenant));
        let other = other.into_iter().find(|partition| *partition != subject.partition()).unwrap();
        let before = subject.store.head(other).await.unwrap();
        subject.append(1).await;
        (subject.lose)(subject.partition());
        assert_eq!(subject.store.head(other).await.unwrap(), before);
    }
}

#[tokio::test]
async fn the_keys_of_a_tag_are_found_however_many_tags_their_entries_have() {
    for subject in subjects() {
        let base = subject.head().await;
        let fill = async |number: u64, tags: std::ops::Range<u64>| {
            let tags = tags.map(|id| tag(id).id()).collect();
            let entry = StoredEntry { tags, ..entry(base, number, b"value") };
            assert_eq!(subject.store.fill(page(&acme(), number).raw(), entry).await.unwrap(), Filled::Stored);
        };
        let found = async |id| {
            let mut found = subject.store.keys_tagged(tag(id).id(), usize::MAX).await.unwrap();
            found.keys.sort_by(|one, other| one.as_str().cmp(other.as_str()));
            assert!(found.is_complete && found.looked_at == 4, "{found:?}");
            found.keys
        };
        let keys =
            |numbers: &[u64]| numbers.iter().map(|number| page(&acme(), number).raw().clone()).collect::<Vec<_>>();
        fill(1, 1..4).await;
        fill(2, 3..5).await;
        fill(3, 100..200).await;
        fill(4, 4..36).await;
        assert_eq!(found(3).await, keys(&[1, 2]));
        assert_eq!(found(199).await, keys(&[3]));
        assert_eq!(found(35).await, keys(&[4]));
        assert_eq!(found(200).await, []);
        // Be they valid or not: they are there.
        subject.append(3).await;
        assert_eq!(found(3).await, keys(&[1, 2]));
    }
}

#[tokio::test]
async fn a_removed_entry_is_gone() {
    for subject in subjects() {
        subject.fill(subject.head().await, 1, b"x").await;
        subject.store.remove(page(&acme(), 1).raw()).await.unwrap();
        assert_eq!(subject.value().await, None);
    }
}

#[tokio::test]
async fn a_lease_is_one_owners_until_that_owner_gives_it_back() {
    for subject in subjects() {
        assert!(subject.store.shares_entries());
        let base = subject.head().await;
        let owner = u128::MAX - 1;
        assert_eq!(subject.holder(owner, None).await, None);
        let moved = subject.append(1).await;
        let held = subject.lease(2, None, PATIENT).await.held_by.unwrap();
        assert_eq!(held, Lease { token: LeaseToken::from_u128(owner), base }, "and not {moved:?}");
        subject.release(2, AfterLease::Free).await;
        subject.release(2, AfterLease::Open(PATIENT)).await;
        assert_eq!(subject.holder(3, None).await, Some(owner), "who does not own it cannot give it back");
        subject.release(owner, AfterLease::Free).await;
        assert_eq!(subject.holder(3, None).await, None);
        let other = Lease { token: LeaseToken::from_u128(4), base };
        let request = LeaseRequest { lease: other, ttl: PATIENT, over: None };
        assert_eq!(subject.store.lease(page(&acme(), 2).raw(), &request).await.unwrap().held_by, None, "another key");
    }
}

#[tokio::test]
async fn a_lease_is_kept_or_taken_over_by_who_names_its_owner() {
    for subject in subjects() {
        assert_eq!(subject.holder(1, Some(9)).await, None, "it was free");
        assert_eq!(subject.holder(2, Some(9)).await, Some(1));
        let moved = subject.append(1).await;
        assert_eq!(subject.holder(1, Some(1)).await, None, "kept");
        assert_eq!(subject.lease(2, None, PATIENT).await.held_by.unwrap().base, moved, "from where it now loads");
        assert_eq!(subject.holder(2, Some(1)).await, None, "taken over");
        assert_eq!(subject.holder(1, Some(1)).await, Some(2));
    }
}

#[tokio::test]
async fn a_lease_runs_out() {
    for subject in subjects() {
        assert!(subject.lease(1, None, Duration::from_millis(1)).await.held_by.is_none());
        while subject.holder(2, None).await.is_some() {
            tokio::task::yield_now().await;
        }
        subject.release(1, AfterLease::Free).await;
        assert_eq!(subject.holder(3, None).await, Some(2), "an earlier owner does not end it");
    }
}

#[tokio::test]
async fn a_lease_that_is_open_is_nobodys_until_its_time_is_over() {
    for subject in subjects() {
        subject.holder(1, None).await;
        subject.release(1, AfterLease::Open(PATIENT)).await;
        assert_eq!(subject.holder(2, None).await, Some(0));
        assert_eq!(subject.holder(2, Some(0)).await, None);
        subject.release(2, AfterLease::Open(Duration::from_millis(1))).await;
        while subject.holder(3, None).await.is_some() {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn whoever_asks_for_a_lease_is_shown_what_was_filled_before() {
    for subject in subjects() {
        assert!(subject.lease(1, None, PATIENT).await.entry.is_none());
        subject.fill(subject.head().await, 1, b"x").await;
        let shown = async |token| subject.lease(token, None, PATIENT).await.entry.unwrap().value.unwrap();
        assert_eq!(shown(2).await, &b"x"[..], "who is refused");
        subject.release(1, AfterLease::Free).await;
        assert_eq!(shown(2).await, &b"x"[..], "who is granted it");
    }
}

#[tokio::test]
async fn leases_are_lost_with_everything_else() {
    for subject in subjects() {
        subject.holder(1, None).await;
        (subject.lose)(subject.partition());
        assert_eq!(subject.holder(2, None).await, None);
    }
}
