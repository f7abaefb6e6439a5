//! Sealed entries on a real Redis that somebody else reads and writes, and people who are erased.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use parking_lot::Mutex;
use unstale::{
    Bytes, Cache, CacheLimits, CacheVersion, Event, Invalidation, KeyRing, Loaded, MissReason, NotStored, Observer,
    Policy, ReadOptions, RedisStore, SUBJECTS_MAX, Sealing, SealingLimits, Sensitive, SubjectCopy, Tag, TagIds, Tenant,
    Timestamp, Verdict, record, record_subject,
    sealing::MemorySubjectKeys,
    store::{Filled, Seal, Store as _, StoredEntry},
    testing::redis_server::{RedisServer, settings},
    time::ManualTime,
};

use crate::reports::wait_for_nodes;

unstale::catalogue! {
    /// Of these tests.
    const PATTERNS;
    /// Somebody's card.
    fn card(number) -> Card = "card";
    /// A page about nobody.
    fn leaflet(number) -> Leaflet = "leaflet";
    /// Many people.
    fn list(number) -> Leaflet = "list";
}

#[derive(serde::Serialize, serde::Deserialize, Debug, PartialEq)]
struct Card {
    email: Sensitive<String>,
}
unstale::cacheable!(Card, "Card v1");

#[derive(serde::Serialize, serde::Deserialize, Debug, PartialEq)]
struct Leaflet {
    text: String,
}
unstale::cacheable!(Leaflet, "Leaflet v1");

const POLICY: Policy = Policy::ttl(Duration::from_secs(3600)).mode(unstale::Mode::Strict);
/// Their names in Redis.
const ENTRIES: &str = "*}:v1:acme*";
const EMAIL: &str = "ada.lovelace@example.com";
/// For what happens at once unless something is broken.
const PATIENCE: Duration = Duration::from_secs(20);

fn acme() -> Tenant {
    Tenant::new("acme").unwrap()
}

fn user(id: u32) -> Tag {
    Tag::shared("user", id)
}

fn ring(first: u8) -> KeyRing {
    KeyRing::new([std::array::from_fn(|at| if at == 0 { first } else { 7 })]).unwrap()
}

/// What nodes of one application have in common.
struct Fleet {
    server: RedisServer,
    subjects: Arc<MemorySubjectKeys>,
    told: Arc<Told>,
    loads: Arc<AtomicUsize>,
}

/// What was not shared, and why.
#[derive(Default)]
struct Told(Mutex<Vec<NotStored>>);

impl Observer for Told {
    fn on_event(&self, event: &Event<'_>) {
        if let Event::NotShared { reason, .. } = event {
            self.0.lock().push(*reason);
        }
    }
}

impl Fleet {
    fn start() -> Self {
        assert_eq!(PATTERNS.len(), 3);
        let (subjects, told, loads) = Default::default();
        Self { server: RedisServer::start(), subjects, told, loads }
    }

    fn raw(&self) -> Arc<RedisStore> {
        Arc::new(RedisStore::new(settings(&self.server, "test")).unwrap())
    }

    fn sealing(&self, ring: KeyRing) -> Sealing {
        Sealing::new(ring, self.subjects.clone(), CacheVersion::default(), SealingLimits::default())
    }

    async fn node(&self) -> Cache {
        let builder = Cache::builder(self.raw()).observer(self.told.clone());
        builder.sealing(self.sealing(ring(1))).build().await.unwrap()
    }

    async fn read(&self, node: &Cache, id: u32) -> Verdict {
        let loads = self.loads.clone();
        let load = move || async move {
            loads.fetch_add(1, SeqCst);
            record_subject(&user(id));
            Ok::<_, String>(Loaded::value(Card { email: format!("{id}.{EMAIL}").into() }))
        };
        let fetched = node.fetch(&card(&acme(), id), &POLICY, &ReadOptions::default(), load).await.unwrap();
        assert_eq!(*fetched.value().unwrap().email, format!("{id}.{EMAIL}"), "another value than was loaded");
        fetched.verdict
    }

    async fn read_leaflet(&self, node: &Cache, number: u32) -> Verdict {
        let load = move || async move {
            record(&Tag::of(&acme(), "leaflet", number));
            Ok::<_, String>(Loaded::value(Leaflet { text: "nobody".repeat(9) }))
        };
        node.fetch(&leaflet(&acme(), number), &POLICY, &ReadOptions::default(), load).await.unwrap().verdict
    }

    /// Everything that Redis holds.
    fn dump(&self) -> Vec<u8> {
        let mut dump = Vec::new();
        for key in self.server.keys("*") {
            dump.extend_from_slice(key.as_bytes());
            dump.extend(self.server.run::<Vec<u8>>(&["DUMP", &key]));
        }
        dump
    }
}

fn holds(dump: &[u8], text: &str) -> bool {
    dump.windows(text.len()).any(|bytes| bytes == text.as_bytes())
}

const MISS: fn(MissReason) -> Verdict = Verdict::Miss;

#[tokio::test]
async fn nodes_share_what_redis_cannot_read() {
    let fleet = Fleet::start();
    let (one, two) = (fleet.node().await, fleet.node().await);
    assert_eq!(fleet.read(&one, 1).await, MISS(MissReason::Absent));
    assert_eq!(fleet.read(&two, 1).await, Verdict::Hit);
    assert_eq!(fleet.read_leaflet(&one, 1).await, MISS(MissReason::Absent));
    assert_eq!(fleet.read_leaflet(&two, 1).await, Verdict::Hit);
    assert_eq!(fleet.server.keys(ENTRIES).len(), 2);
    let dump = fleet.dump();
    assert!(!holds(&dump, "ada.love") && !holds(&dump, "nobody"), "it is in clear");
    assert_eq!(*fleet.told.0.lock(), []);

    // A node with another key, and one without any: misses with a reason, and no error.
    let stranger = Cache::builder(fleet.raw()).sealing(fleet.sealing(ring(2))).build().await.unwrap();
    assert_eq!(fleet.read_leaflet(&stranger, 1).await, MISS(MissReason::NoKey));
    let without = Cache::builder(fleet.raw()).build().await.unwrap();
    assert_eq!(fleet.read_leaflet(&without, 1).await, MISS(MissReason::NoKey));
}

#[tokio::test]
async fn without_keys_what_is_sensitive_or_about_somebody_stays_out_of_redis() {
    let fleet = Fleet::start();
    let node = Cache::builder(fleet.raw()).observer(fleet.told.clone()).build().await.unwrap();
    assert_eq!(fleet.read(&node, 1).await, MISS(MissReason::Absent));
    assert_eq!(fleet.read(&node, 1).await, Verdict::Hit, "memory keeps it all the same");
    assert_eq!(*fleet.told.0.lock(), [NotStored::Unsealed]);
    assert_eq!(fleet.server.keys(ENTRIES), Vec::<String>::new());
    // A load that writes something sensitive makes its value sensitive, whatever the value's type; and so does one
    // that was given such a value.
    for within in [false, true] {
        let outer = node.clone();
        let load = move || async move {
            let text = if within {
                let inner = || async { Err::<Loaded<Card>, _>("it is in memory".to_owned()) };
                let found = outer.fetch(&card(&acme(), 1), &POLICY, &ReadOptions::default(), inner).await.unwrap();
                found.value().unwrap().email.len().to_string()
            } else {
                String::from_utf8_lossy(&rmp_serde::to_vec(&Sensitive::new(EMAIL)).unwrap()).into_owned()
            };
            Ok::<_, String>(Loaded::value(Leaflet { text }))
        };
        let key = leaflet(&acme(), format!("within-{within}"));
        node.fetch(&key, &POLICY, &ReadOptions::default(), load).await.unwrap();
    }
    assert_eq!(*fleet.told.0.lock(), [NotStored::Unsealed; 3]);
    assert_eq!(fleet.read_leaflet(&node, 1).await, MISS(MissReason::Absent));
    assert_eq!(fleet.server.keys(ENTRIES).len(), 1, "what is about nobody goes there");
}

#[tokio::test]
async fn what_is_sensitive_is_kept_out_of_memory_where_that_is_wanted() {
    let fleet = Fleet::start();
    let builder = Cache::builder(fleet.raw()).sealing(fleet.sealing(ring(1))).sensitive_in_memory(false);
    let node = builder.build().await.unwrap();
    assert_eq!(fleet.read(&node, 1).await, MISS(MissReason::Absent));
    for _ in 0..2 {
        assert_eq!(fleet.read(&node, 1).await, Verdict::Hit, "from Redis, opened anew");
        assert_eq!(node.size().entries, 0);
    }
    assert_eq!(fleet.loads.load(SeqCst), 1);
    fleet.read_leaflet(&node, 1).await;
    assert_eq!(node.size().entries, 1, "what is no secret is kept");
}

#[tokio::test]
async fn what_is_about_too_many_people_stays_in_memory_and_goes_with_each_of_them() {
    let fleet = Fleet::start();
    let node = fleet.node().await;
    let many = u32::try_from(SUBJECTS_MAX).unwrap() + 1;
    let read = || async {
        let load = move || async move {
            (0..many).for_each(|id| record_subject(&user(id)));
            Ok::<_, String>(Loaded::value(Leaflet { text: String::new() }))
        };
        node.fetch(&list(&acme(), 1), &POLICY, &ReadOptions::default(), load).await.unwrap().verdict
    };
    assert_eq!((read().await, read().await), (MISS(MissReason::Absent), Verdict::Hit));
    assert_eq!(*fleet.told.0.lock(), [NotStored::TooManySubjects]);
    assert_eq!(fleet.server.keys(ENTRIES), Vec::<String>::new());
    // Also the one who found no place.
    node.erase(&user(many - 1)).await.unwrap();
    assert_eq!((node.size().entries, read().await), (0, MISS(MissReason::Absent)));
}

/// Everything that somebody can do who writes to Redis and knows the format, checksums included.
#[tokio::test]
async fn an_attacker_who_writes_to_redis_causes_misses_only() {
    let fleet = Fleet::start();
    let (writer, attacker) = (fleet.node().await, fleet.raw());
    fleet.read(&writer, 1).await;
    fleet.read(&writer, 2).await;
    let globex = Tenant::new("globex").unwrap();
    let [own, other, foreign] = [card(&acme(), 1), card(&acme(), 2), card(&globex, 1)].map(|key| key.raw().clone());
    let taken = attacker.get(&[own.clone(), other.clone()]).await.unwrap();
    let (mine, others) = (taken[0].clone().unwrap(), taken[1].clone().unwrap());
    assert_eq!(mine.seal, Seal::Sealed);
    let sealed = mine.value.clone().unwrap();
    let flipped = |at: usize| {
        let mut bytes = sealed.to_vec();
        bytes[at] ^= 1;
        Some(Bytes::from(bytes))
    };
    let with = |value: Option<Bytes>| StoredEntry { value, ..mine.clone() };
    let mut attacks: Vec<(String, StoredEntry)> = vec![
        ("another key's entry".into(), others.clone()),
        ("another key's value".into(), with(others.value.clone())),
        ("cut by a byte".into(), with(Some(sealed.slice(..sealed.len() - 1)))),
        ("cut to its head".into(), with(Some(sealed.slice(..39)))),
        ("empty".into(), with(Some(Bytes::new()))),
        ("no value".into(), with(None)),
        ("in clear".into(), StoredEntry { seal: Seal::None, value: Some(clear()), ..mine.clone() }),
        ("in clear and said to be sealed".into(), with(Some(clear()))),
        ("lives longer".into(), StoredEntry { expires_at: Timestamp::NEVER, ..mine.clone() }),
        ("loaded later".into(), StoredEntry { loaded_at: mine.loaded_at + Duration::from_secs(60), ..mine.clone() }),
        ("depends on nothing".into(), StoredEntry { tags: TagIds::new(), ..mine.clone() }),
        ("of another schema".into(), StoredEntry { schema: others.schema, load_ms: 9, ..mine.clone() }),
    ];
    attacks.extend((0..sealed.len()).map(|at| (format!("byte {at} flipped"), with(flipped(at)))));
    for (name, entry) in attacks {
        attacker.remove(&own).await.unwrap();
        assert_eq!(attacker.fill(&own, entry).await.unwrap(), Filled::Stored, "{name}");
        let verdict = fleet.read(&fleet.node().await, 1).await;
        let refused = matches!(verdict, Verdict::Miss(MissReason::Unauthentic | MissReason::NoKey));
        assert!(refused, "{name}: {verdict}");
    }
    // Moved to another tenant, in whose partition it does not even belong.
    let head = attacker.head(attacker.partitions().of(&globex)).await.unwrap();
    attacker.fill(&foreign, StoredEntry { base: head, ..mine.clone() }).await.unwrap();
    let found = fleet.node().await;
    let load = || async { Ok::<_, String>(Loaded::value(Card { email: "own".into() })) };
    let fetched = found.fetch(&card(&globex, 1), &POLICY, &ReadOptions::default(), load).await.unwrap();
    assert_eq!(fetched.verdict, MISS(MissReason::NoKey), "globex has no key of this person");
    // As it was, it opens: nothing but the attacks was refused.
    attacker.remove(&own).await.unwrap();
    attacker.fill(&own, mine).await.unwrap();
    assert_eq!(fleet.read(&fleet.node().await, 1).await, Verdict::Hit);
}

fn clear() -> Bytes {
    rmp_serde::to_vec_named(&Card { email: "mallory@example.com".into() }).unwrap().into()
}

#[tokio::test]
async fn an_older_entry_that_is_put_back_is_refused_by_the_rule_or_by_time() {
    let fleet = Fleet::start();
    let time = Arc::new(ManualTime::default());
    let node = || async {
        let builder = Cache::builder(fleet.raw()).time(time.clone()).sealing(fleet.sealing(ring(1)));
        builder.build().await.unwrap()
    };
    let one = node().await;
    fleet.read(&one, 1).await;
    let name = name(&fleet, "card/1");
    fleet.server.run::<()>(&["COPY", &name, "old"]);
    one.invalidate(&Invalidation::of([user(1)])).await.unwrap();
    fleet.read(&one, 1).await;
    fleet.server.run::<()>(&["COPY", &name, "new"]);
    fleet.server.run::<()>(&["COPY", "old", &name, "REPLACE"]);
    one.clear_memory();
    assert_eq!(fleet.read(&one, 1).await, MISS(MissReason::Invalidated));
    fleet.server.run::<()>(&["COPY", "old", &name, "REPLACE"]);
    // A node that has just begun knows what came shortly before it.
    assert_eq!(fleet.read(&node().await, 1).await, MISS(MissReason::Invalidated));

    time.advance(Duration::from_secs(3601));
    fleet.server.run::<()>(&["COPY", "new", &name, "REPLACE"]);
    assert_eq!(fleet.read(&node().await, 1).await, MISS(MissReason::Expired));
}

#[tokio::test]
async fn an_erased_person_is_gone_from_every_node_and_unreadable_wherever_it_was_written() {
    let fleet = Fleet::start();
    let nodes = [fleet.node().await, fleet.node().await, fleet.node().await];
    let following: Vec<_> = nodes.iter().cloned().map(follow).collect();
    for node in &nodes {
        for id in 1..=2 {
            fleet.read(node, id).await;
        }
        fleet.read_leaflet(node, 1).await;
    }
    let place = name(&fleet, "card/1");
    fleet.server.run::<()>(&["COPY", &place, "a backup"]);
    assert_eq!(fleet.subjects.len(), 2);
    wait_for_nodes(&fleet.server, 3).await;
    let report = nodes[1].report(&user(1), usize::MAX).await;
    assert!(report.is_complete && report.looked_at == 12, "three in each memory and in the store: {report:?}");
    assert_eq!((report.copies.len(), &report.copies[0].key[..]), (1, "acme:card/1"));
    let copy = &report.copies[0];
    assert!(copy.in_memory && copy.other_nodes == 2 && copy.in_store == Some(true) && copy.is_valid);
    // What no node has in memory any more is told all the same, by any.
    nodes.iter().for_each(Cache::clear_memory);
    let report = nodes[1].report(&user(1), usize::MAX).await;
    let of_store = SubjectCopy { in_memory: false, other_nodes: 0, bytes: report.copies[0].bytes, ..copy.clone() };
    assert!(report.is_complete && of_store.bytes > 0);
    assert_eq!(report.copies, [of_store]);
    for node in &nodes {
        for id in 1..=2 {
            fleet.read(node, id).await;
        }
        fleet.read_leaflet(node, 1).await;
    }

    let proof = nodes[0].erase(&user(1)).await.unwrap();
    assert_eq!((proof.keys_destroyed, proof.memory_removed, proof.store_removed), (1, 1, 1));
    assert!(!format!("{proof:?}").contains("user"), "{proof:?}");
    assert_eq!(fleet.subjects.len(), 1);
    wait_until(|| nodes.iter().all(|node| node.size().entries == 2)).await;
    assert_eq!(nodes[1].report(&user(1), usize::MAX).await.copies, []);
    assert_eq!(fleet.server.keys("*card/1*"), Vec::<String>::new());

    // From a backup, with the log of that time: nobody has the key any more, not even who held it in memory.
    for node in &nodes {
        fleet.server.run::<()>(&["COPY", "a backup", &place, "REPLACE"]);
        let verdict = fleet.read(node, 1).await;
        assert!(matches!(verdict, Verdict::Miss(MissReason::NoKey | MissReason::Unauthentic)), "{verdict}");
        node.erase(&user(1)).await.unwrap();
    }
    // The others are as they were.
    assert_eq!(fleet.read(&nodes[2], 2).await, Verdict::Hit);
    assert!(!holds(&fleet.dump(), "ada.love"));
    following.iter().for_each(tokio::task::JoinHandle::abort);
}

/// Policies that serve what was invalidated do not serve the erased: not from memory, not from the store.
#[tokio::test]
async fn no_policy_serves_an_erased_person() {
    let fleet = Fleet::start();
    let (one, two) = (fleet.node().await, fleet.node().await);
    let policy = Policy::ttl(Duration::from_secs(3600)).mode(unstale::Mode::StaleOk(Duration::from_secs(600)));
    let read = |node: Cache| async move {
        let load = || async {
            record_subject(&user(1));
            Ok::<_, String>(Loaded::value(Card { email: EMAIL.into() }))
        };
        node.fetch(&card(&acme(), 1), &policy, &ReadOptions::default(), load).await.unwrap().verdict
    };
    read(one.clone()).await;
    assert_eq!(read(two.clone()).await, Verdict::Hit);
    // Of one fact that changed, it is served.
    one.invalidate(&Invalidation::of([user(1)])).await.unwrap();
    assert!(matches!(read(one.clone()).await, Verdict::Stale(_)));
    wait_until(|| one.size().flights == 0).await;
    let held = two.peek(&card(&acme(), 1)).is_some();
    assert!(held, "the other node has its copy");
    let proof = one.erase(&user(1)).await.unwrap();
    for node in [&one, &two] {
        let options = ReadOptions { at_least: proof.positions.clone() };
        let load = || async { Err::<Loaded<Card>, _>("there is nobody".to_owned()) };
        let read = node.fetch(&card(&acme(), 1), &policy, &options, load).await;
        assert!(read.is_err(), "{read:?}");
    }
}

#[tokio::test]
async fn a_node_that_missed_the_erasure_forgets_all_keys_and_copies_once_it_hears_of_anything() {
    let fleet = Fleet::start();
    let (one, two) = (fleet.node().await, fleet.node().await);
    fleet.read(&two, 1).await;
    let place = name(&fleet, "card/1");
    fleet.server.run::<()>(&["COPY", &place, "a backup"]);
    one.erase(&user(1)).await.unwrap();
    for log in fleet.server.keys("*:log") {
        fleet.server.run::<()>(&["DEL", &log]);
    }
    fleet.read_leaflet(&two, 1).await;
    wait_until(|| two.size().entries == 1).await;
    fleet.server.run::<()>(&["COPY", "a backup", &place, "REPLACE"]);
    assert_eq!(fleet.read(&two, 1).await, MISS(MissReason::NoKey));
}

#[tokio::test]
async fn what_is_about_somebody_is_not_kept_beyond_the_limit() {
    let fleet = Fleet::start();
    let time = Arc::new(ManualTime::default());
    let limits = CacheLimits { subject_lifetime_max: Duration::from_secs(60), ..CacheLimits::default() };
    let builder = Cache::builder(fleet.raw()).limits(limits).time(time.clone()).sealing(fleet.sealing(ring(1)));
    let node = builder.build().await.unwrap();
    fleet.read(&node, 1).await;
    fleet.read_leaflet(&node, 1).await;
    let lifetime = |of: &str| fleet.server.run::<u64>(&["PTTL", &name(&fleet, of)]);
    assert!(lifetime("card/1") <= 60_000 && lifetime("leaflet/1") > 3_000_000);
    time.advance(Duration::from_secs(61));
    assert_eq!(fleet.read(&node, 1).await, MISS(MissReason::Expired));
    assert_eq!(fleet.read_leaflet(&node, 1).await, Verdict::Hit);
}

/// What an entry is called in Redis.
fn name(fleet: &Fleet, of: &str) -> String {
    let names = fleet.server.keys(ENTRIES);
    names.into_iter().find(|name| name.ends_with(of)).expect("it is there")
}

fn follow(node: Cache) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move { node.follow(Duration::from_millis(300)).await })
}

async fn wait_until(is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("it comes to be so");
}
