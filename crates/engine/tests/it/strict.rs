//! A strict read is strict whatever it is made of.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use unstale::{
    Cache, Invalidation, Loaded, MemoryStore, Mode, Policy, ReadOptions, Tag, Tenant, Verdict, record, store::Store,
    testing::DistantStore,
};

use crate::world::{Page, acme, page};

const HOUR: Duration = Duration::from_secs(3600);
const STRICT: Policy = Policy::ttl(HOUR).mode(Mode::Strict);
const PATIENT: Policy = Policy::ttl(HOUR).mode(Mode::Bounded(HOUR));
const CARELESS: Policy = Policy::ttl(HOUR).mode(Mode::StaleOk(HOUR));

/// Two nodes on one store, and a fact of one tenant.
struct Pair {
    far: Arc<DistantStore>,
    reads: Cache,
    writes: Cache,
    home: Tenant,
    version: Arc<AtomicU64>,
}

impl Pair {
    async fn new(home: Tenant) -> Self {
        let store = Arc::new(MemoryStore::default());
        let far = Arc::new(DistantStore::new(store.clone(), 1));
        let reads = Cache::builder(far.clone()).build().await.unwrap();
        let writes = Cache::builder(Arc::new(DistantStore::new(store, 2))).build().await.unwrap();
        Self { far, reads, writes, home, version: Arc::default() }
    }

    fn tag(&self) -> Tag {
        Tag::of(&self.home, "fact", 1)
    }

    /// Reads the page of the fact's tenant. Its version, and how it was answered.
    fn part(&self, policy: Policy) -> impl Future<Output = (u64, Verdict)> + Send + use<> {
        let (cache, version, home, tag) = (self.reads.clone(), self.version.clone(), self.home.clone(), self.tag());
        async move {
            let load = move || async move {
                record(&tag);
                Ok::<_, String>(Loaded::value(Page { saw: vec![(1, version.load(SeqCst))] }))
            };
            let fetched = cache.fetch(&page(&home, 1), &policy, &ReadOptions::default(), load).await.unwrap();
            (fetched.value().unwrap().saw[0].1, fetched.verdict)
        }
    }

    /// Reads a page of acme that is made of what `part` reads. Its version, and how the part was answered.
    async fn whole(
        &self,
        number: u32,
        policy: Policy,
        part: impl Future<Output = (u64, Verdict)> + Send + 'static,
    ) -> (u64, Verdict) {
        let (tell, told) = tokio::sync::oneshot::channel();
        let load = || async move {
            let (version, verdict) = part.await;
            tell.send(verdict).unwrap();
            Ok::<_, String>(Loaded::value(Page { saw: vec![(1, version)] }))
        };
        let fetched = self.reads.fetch(&page(&acme(), number), &policy, &ReadOptions::default(), load).await.unwrap();
        (fetched.value().unwrap().saw[0].1, told.await.unwrap())
    }

    /// Writes, and is acknowledged, on the other node.
    async fn write(&self) {
        self.version.fetch_add(1, SeqCst);
        self.writes.invalidate(&Invalidation::of([self.tag()])).await.unwrap();
    }
}

/// A tenant whose log is another one than acme's.
fn stranger() -> Tenant {
    let partitions = MemoryStore::default().partitions();
    let tenants = (0..).map(|number| Tenant::new(format!("tenant-{number}")).unwrap());
    let mut others = tenants.filter(|tenant| partitions.of(tenant) != partitions.of(&acme()));
    others.next().expect("there are several partitions")
}

/// The strict reader has asked his own tenant's log, which says nothing of the other's.
#[tokio::test]
async fn a_strict_read_sees_what_was_written_in_the_other_tenants_that_it_reads() {
    for patience in [PATIENT, CARELESS] {
        let pair = Pair::new(stranger()).await;
        assert_eq!(pair.part(patience).await.0, 0);
        pair.write().await;
        assert_eq!(pair.part(patience).await, (0, Verdict::Hit), "by itself it is as patient as it says");
        assert_eq!(pair.whole(1, PATIENT, pair.part(patience)).await, (0, Verdict::Hit), "and for a patient reader");
        assert_eq!(pair.whole(2, STRICT, pair.part(patience)).await.0, 1, "{patience:?}");
    }
}

#[tokio::test]
async fn a_strict_read_sees_it_however_deep_it_lies() {
    let pair = Arc::new(Pair::new(stranger()).await);
    assert_eq!(pair.part(PATIENT).await.0, 0);
    pair.write().await;
    let below = {
        let pair = pair.clone();
        async move { pair.whole(1, PATIENT, pair.part(PATIENT)).await }
    };
    assert_eq!(pair.whole(2, STRICT, Box::pin(below)).await.0, 1);
}

/// Known to be invalid by the reader's own log, and given where staleness is allowed.
#[tokio::test]
async fn a_strict_read_is_made_of_nothing_that_is_known_to_be_wrong() {
    let pair = Pair::new(acme()).await;
    assert_eq!(pair.part(CARELESS).await.0, 0);
    pair.write().await;
    assert_eq!(pair.whole(2, STRICT, pair.part(CARELESS)).await.0, 1);
}

/// What the strict reader has learned of a log holds for all that is read in that log's tenants.
#[tokio::test]
async fn a_strict_read_asks_once_for_all_that_it_reads_of_its_own_tenant() {
    let pair = Pair::new(acme()).await;
    assert_eq!(pair.part(PATIENT).await.0, 0);
    let before = pair.far.requests();
    assert_eq!(pair.whole(2, STRICT, pair.part(STRICT)).await, (0, Verdict::Hit));
    let with_part = pair.far.requests() - before;
    let before = pair.far.requests();
    pair.whole(3, STRICT, async { (0, Verdict::Hit) }).await;
    assert_eq!(with_part, pair.far.requests() - before);
}
