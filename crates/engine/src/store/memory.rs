//! The embedded store: the log and the entries of one process, complete.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use futures_util::future::{self, BoxFuture, FutureExt as _};
use parking_lot::{Mutex, RwLock};
use quick_cache::{
    Weighter,
    sync::{Cache, DefaultLifecycle},
};

use super::{
    AfterLease, Filled, LeaseRequest, LeaseToken, Leased, LocalHeads, LogPage, Moves, MovesWatcher, Record, Store,
    StoreError, StoredEntry, TaggedKeys, leases::LocalLeases,
};
use crate::{
    clocks::{ClockLimits, Clocks, Validity},
    hash_map::IdBuildHasher,
    key::RawKey,
    position::{Epoch, Partition, PartitionCount, Position, Sequence},
    tag::TagId,
};

/// How much a [`MemoryStore`] may hold.
#[derive(Clone, Copy, Debug)]
pub struct MemoryLimits {
    /// Partitions of the log.
    pub partitions: PartitionCount,
    /// Records kept per partition; a node further behind flushes its view.
    pub log_records_max: usize,
    /// Clocks per partition.
    pub clocks: ClockLimits,
    /// Bytes of entries; zero keeps none, which is right for a single process whose L1 holds them anyway.
    pub entry_bytes_max: u64,
}

impl Default for MemoryLimits {
    fn default() -> Self {
        Self {
            partitions: PartitionCount::DEFAULT,
            log_records_max: 4096,
            clocks: ClockLimits::default(),
            entry_bytes_max: 0,
        }
    }
}

/// The log, the clocks and the entries in this process's memory.
///
/// Several caches may share one (several nodes of a test, say); each then has its own view.
#[derive(Debug)]
pub struct MemoryStore {
    limits: MemoryLimits,
    partitions: Box<[RwLock<PartitionState>]>,
    entries: Option<Cache<RawKey, StoredEntry, EntryWeight, IdBuildHasher>>,
    /// Judging and storing an entry is one step; sharing it with `append` would order unrelated partitions.
    filling: Mutex<()>,
    leases: LocalLeases,
    /// The heads once more, to be read without a lock.
    heads: Arc<LocalHeads>,
    moves: Arc<Moves>,
}

#[derive(Debug)]
struct PartitionState {
    head: Position,
    log: VecDeque<Arc<Record>>,
    clocks: ClocksOf,
}

/// Clocks have no useful `Debug` form: thousands of slots.
struct ClocksOf(Clocks);

impl std::fmt::Debug for ClocksOf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Clocks(floor {:?})", self.0.floor())
    }
}

#[derive(Clone, Debug)]
struct EntryWeight;

impl Weighter<RawKey, StoredEntry> for EntryWeight {
    fn weight(&self, key: &RawKey, entry: &StoredEntry) -> u64 {
        (key.as_str().len() + entry.value.as_ref().map_or(0, Bytes::len) + 160) as u64
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new(MemoryLimits::default())
    }
}

impl MemoryStore {
    /// An empty store, each partition in a new epoch.
    pub fn new(limits: MemoryLimits) -> Self {
        let partitions =
            limits.partitions.all().map(|partition| RwLock::new(PartitionState::new(partition, limits.clocks)));
        let entries = (limits.entry_bytes_max > 0).then(|| {
            let items = usize::try_from(limits.entry_bytes_max / 1024).unwrap_or(usize::MAX).clamp(64, 1 << 20);
            Cache::with(items, limits.entry_bytes_max, EntryWeight, IdBuildHasher, DefaultLifecycle::default())
        });
        let partitions: Box<[_]> = partitions.collect();
        let heads = Arc::new(LocalHeads::new(partitions.iter().map(|partition| partition.read().head)));
        let (filling, leases, moves) = (Mutex::new(()), LocalLeases::default(), Moves::new(limits.partitions));
        Self { limits, partitions, entries, filling, leases, heads, moves }
    }

    /// Loses everything of a partition, as a store that restarted empty: its entries, clocks and log go together and
    /// a new epoch begins.
    pub fn lose(&self, partition: Partition) {
        let _no_fill = self.filling.lock();
        {
            let mut state = self.partition(partition).write();
            *state = PartitionState::new(partition, self.limits.clocks);
            self.heads.set(state.head);
        }
        if let Some(entries) = &self.entries {
            entries.retain(|_, entry| entry.base.partition != partition);
        }
        self.leases.lose(partition);
        self.moves.note(partition);
    }

    /// Forgets a partition's log, but not its clocks: nodes that are behind can no longer catch up record by record.
    pub fn trim_log(&self, partition: Partition) {
        self.partition(partition).write().log.clear();
    }

    fn partition(&self, partition: Partition) -> &RwLock<PartitionState> {
        &self.partitions[partition.index()]
    }

    fn append_now(&self, partition: Partition, tags: Vec<TagId>, note: Bytes) -> Position {
        let record = {
            let mut state = self.partition(partition).write();
            state.head.sequence = state.head.sequence.next();
            let position = state.head;
            state.clocks.0.apply(position.sequence, &tags);
            self.heads.set(position);
            let record = Arc::new(Record { position, tags, note });
            state.log.push_back(record.clone());
            if state.log.len() > self.limits.log_records_max {
                state.log.pop_front();
            }
            record
        };
        let position = record.position;
        self.moves.tell(record);
        position
    }

    fn read_log_now(&self, after: Position, records_max: usize) -> LogPage {
        let state = self.partition(after.partition).read();
        if after.epoch != state.head.epoch {
            return LogPage::NewEpoch { head: state.head };
        }
        let behind = state.head.sequence.0.saturating_sub(after.sequence.0);
        let behind = usize::try_from(behind).unwrap_or(usize::MAX);
        if behind > state.log.len() {
            return LogPage::Trimmed { head: state.head.sequence };
        }
        let first = state.log.len() - behind;
        LogPage::Records(state.log.range(first..).take(records_max).cloned().collect())
    }

    fn fill_now(&self, key: &RawKey, entry: StoredEntry) -> Filled {
        let Some(entries) = &self.entries else { return Filled::NotKept };
        let _one_at_a_time = self.filling.lock();
        {
            let state = self.partition(entry.base.partition).read();
            let validity = state.clocks.0.judge(entry.base.epoch, entry.base.sequence, &entry.tags);
            if !matches!(validity, Validity::Valid { .. }) {
                return Filled::Overtaken;
            }
        }
        let newer =
            |held: &StoredEntry| held.base.epoch == entry.base.epoch && held.base.sequence > entry.base.sequence;
        if entries.peek(key).is_some_and(|held| newer(&held)) {
            return Filled::NewerStored;
        }
        entries.insert(key.clone(), entry);
        Filled::Stored
    }
}

impl PartitionState {
    fn new(partition: Partition, limits: ClockLimits) -> Self {
        let head = Position { partition, epoch: Epoch::random(), sequence: Sequence(0) };
        Self { head, log: VecDeque::new(), clocks: ClocksOf(Clocks::new(head, limits)) }
    }
}

impl Store for MemoryStore {
    fn partitions(&self) -> PartitionCount {
        self.limits.partitions
    }

    fn local_heads(&self) -> Option<Arc<LocalHeads>> {
        Some(self.heads.clone())
    }

    fn head(&self, partition: Partition) -> BoxFuture<'_, Result<Position, StoreError>> {
        future::ready(Ok(self.partition(partition).read().head)).boxed()
    }

    fn append(
        &self,
        partition: Partition,
        tags: Vec<TagId>,
        note: Bytes,
    ) -> BoxFuture<'_, Result<Position, StoreError>> {
        async move { Ok(self.append_now(partition, tags, note)) }.boxed()
    }

    fn read_log(&self, after: Position, records_max: usize) -> BoxFuture<'_, Result<LogPage, StoreError>> {
        async move { Ok(self.read_log_now(after, records_max)) }.boxed()
    }

    fn start_anew(&self, partition: Partition) -> BoxFuture<'_, Result<Position, StoreError>> {
        async move {
            self.lose(partition);
            Ok(self.partition(partition).read().head)
        }
        .boxed()
    }

    fn moves(&self) -> MovesWatcher {
        self.moves.watch()
    }

    fn get<'a>(&'a self, keys: &'a [RawKey]) -> BoxFuture<'a, Result<Vec<Option<StoredEntry>>, StoreError>> {
        let found = match &self.entries {
            Some(entries) => keys.iter().map(|key| entries.get(key)).collect(),
            None => vec![None; keys.len()],
        };
        future::ready(Ok(found)).boxed()
    }

    fn fill<'a>(&'a self, key: &'a RawKey, entry: StoredEntry) -> BoxFuture<'a, Result<Filled, StoreError>> {
        async move { Ok(self.fill_now(key, entry)) }.boxed()
    }

    fn remove<'a>(&'a self, key: &'a RawKey) -> BoxFuture<'a, Result<(), StoreError>> {
        if let Some(entries) = &self.entries {
            entries.remove(key);
        }
        future::ready(Ok(())).boxed()
    }

    fn shares_entries(&self) -> bool {
        self.entries.is_some()
    }

    fn keys_tagged(&self, tag: TagId, looks_max: usize) -> BoxFuture<'_, Result<TaggedKeys, StoreError>> {
        let mut found = TaggedKeys { is_complete: true, ..TaggedKeys::default() };
        if let Some(entries) = &self.entries {
            for (key, entry) in entries.iter().take(looks_max) {
                found.looked_at += 1;
                if entry.tags.contains(&tag) {
                    found.keys.push(key);
                }
            }
            found.is_complete = entries.len() <= looks_max;
        }
        future::ready(Ok(found)).boxed()
    }

    fn lease<'a>(&'a self, key: &'a RawKey, request: &'a LeaseRequest) -> BoxFuture<'a, Result<Leased, StoreError>> {
        async move {
            let held_by = self.leases.ask(key, request);
            Ok(Leased { held_by, entry: self.entries.as_ref().and_then(|entries| entries.get(key)) })
        }
        .boxed()
    }

    fn release<'a>(
        &'a self,
        key: &'a RawKey,
        owner: LeaseToken,
        after: AfterLease,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        async move {
            self.leases.release(key, owner, after);
            Ok(())
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the store of a single process does, whose L1 holds the entries.
    #[test]
    fn a_store_that_keeps_no_entries_loses_its_log_all_the_same() {
        let store = MemoryStore::default();
        let [lost, other] = store.partitions().all().take(2).collect::<Vec<_>>()[..] else { panic!("two partitions") };
        let told = [lost, other].map(|partition| store.append_now(partition, Vec::new(), Bytes::new()));
        let head = store.start_anew(lost).now_or_never().expect("nothing waits here").unwrap();
        assert!(head.epoch != told[0].epoch && head.sequence == Sequence(0), "{head:?}");
        let page = |after| store.read_log_now(after, 9);
        assert!(matches!(page(told[0]), LogPage::NewEpoch { head: told } if told == head));
        assert!(matches!(page(told[1]), LogPage::Records(records) if records.is_empty()), "another partition's stays");
    }
}
