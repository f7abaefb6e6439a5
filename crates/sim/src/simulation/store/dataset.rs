//! What stands in the simulated store, and its operations. *Decides*: time and chance are arguments.
//!
//! The semantics are those of the store on Redis (ADR 0007): the state of a partition (epoch, sequence, floor, clocks)
//! is one key and lost as one; its log is another; each entry is one, and each lease. A state that was begun in another run of the
//! server is taken for lost. Operations are whole: nothing comes between the steps of one.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use unstale::{
    Position, Record, TagId,
    position::{Epoch, Partition, Sequence},
    store::{AfterLease, Filled, Lease, LeaseRequest, LeaseToken, Leased, LogPage, StoredEntry},
};

/// How much the store may hold, per partition.
#[derive(Clone, Copy, Debug)]
pub struct StoreLimits {
    /// Records of the log.
    pub log_records_max: usize,
    /// Clocks; beyond it the oldest are pruned and the floor rises.
    pub clocks_max: usize,
}

/// A mistake a store could make. It is not the store's protocol that is simulated then, but one without the part that
/// the mistake leaves out; the checker must notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreBreach {
    /// None.
    None,
    /// State that an earlier run of the server left is gone on with: a restart from a snapshot and a failover lose
    /// records silently.
    RunIgnored,
    /// A log that was lost answers as if there were no records.
    LostLogIsEmpty,
    /// A new epoch has the number of the old one: a state that was lost begins again at zero.
    EpochReused,
    /// Every fill is accepted. Harmless: whoever reads an entry judges it.
    FillsNotRefused,
}

impl StoreBreach {
    /// Every one that does harm.
    pub const HARMFUL: [Self; 3] = [Self::RunIgnored, Self::LostLogIsEmpty, Self::EpochReused];
}

/// Everything that is lost when the server is emptied, copied when it writes a snapshot, and sent to its replica.
#[derive(Clone, Debug, Default)]
pub(super) struct Dataset {
    partitions: BTreeMap<Partition, PartitionKeys>,
    entries: BTreeMap<String, Held>,
    /// Who may fill which key, until when.
    leases: BTreeMap<String, (Lease, Duration)>,
}

#[derive(Clone, Debug, Default)]
struct PartitionKeys {
    state: Option<State>,
    log: VecDeque<Arc<Record>>,
}

#[derive(Clone, Debug)]
struct State {
    run: u64,
    epoch: Epoch,
    sequence: u64,
    floor: u64,
    clocks: BTreeMap<TagId, u64>,
}

#[derive(Clone, Debug)]
struct Held {
    entry: StoredEntry,
    gone_at: Duration,
}

/// One operation.
#[derive(Clone, Debug)]
pub(super) enum Op {
    /// The head, and what follows `after`.
    Read {
        partition: Partition,
        after: Option<Position>,
        records_max: usize,
    },
    Append {
        partition: Partition,
        tags: Vec<TagId>,
        note: Bytes,
    },
    Fill {
        key: String,
        entry: StoredEntry,
        lifetime: Duration,
    },
    Get {
        keys: Vec<String>,
    },
    Remove {
        key: String,
    },
    /// The lease of a key, and then the entry.
    Lease {
        key: String,
        request: LeaseRequest,
    },
    Release {
        key: String,
        owner: LeaseToken,
        after: AfterLease,
    },
    /// A new epoch, because somebody says so.
    StartAnew {
        partition: Partition,
    },
    /// Of the server itself, for want of memory.
    Evict(Victim),
}

/// A key that goes alone.
#[derive(Clone, Copy, Debug)]
pub(super) enum Victim {
    State(Partition),
    Log(Partition),
    /// The entry at this place, modulo their number.
    Entry(usize),
}

/// What an operation answers.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    Position(Position),
    Page { head: Position, page: LogPage },
    Entries(Vec<Option<StoredEntry>>),
    Filled(Filled),
    Leased(Leased),
    Done,
}

/// What an operation works with beside the data.
#[derive(Clone, Copy, Debug)]
pub(super) struct Circumstances {
    pub(super) limits: StoreLimits,
    pub(super) breach: StoreBreach,
    /// Time since the start.
    pub(super) now: Duration,
    /// The server's run.
    pub(super) run: u64,
    /// Should an epoch begin: its number.
    pub(super) fresh: Epoch,
}

impl Op {
    /// Whether it may change something, so that the replica must hear of it and a full server refuses it.
    pub(super) fn writes(&self) -> bool {
        !matches!(self, Self::Get { .. })
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Read { .. } => "read",
            Self::Append { .. } => "append",
            Self::Fill { .. } => "fill",
            Self::Get { .. } => "get",
            Self::Remove { .. } => "remove",
            Self::Lease { .. } => "lease",
            Self::Release { .. } => "release",
            Self::StartAnew { .. } => "start anew",
            Self::Evict(_) => "evict",
        }
    }
}

impl Dataset {
    pub(super) fn run(&mut self, op: Op, with: &Circumstances) -> Answer {
        match op {
            Op::Read { partition, after, records_max } => self.read(partition, after, records_max, with),
            Op::Append { partition, tags, note } => Answer::Position(self.append(partition, tags, note, with)),
            Op::Fill { key, entry, lifetime } => Answer::Filled(self.fill(key, entry, lifetime, with)),
            Op::Get { keys } => {
                let held = |key| self.entries.get(key).filter(|held| with.now < held.gone_at);
                Answer::Entries(keys.iter().map(|key| held(key).map(|held| held.entry.clone())).collect())
            }
            Op::Remove { key } => {
                self.entries.remove(&key);
                Answer::Done
            }
            Op::Lease { key, request } => Answer::Leased(self.lease(key, &request, with)),
            Op::Release { key, owner, after } => {
                self.release(&key, owner, after, with);
                Answer::Done
            }
            Op::StartAnew { partition } => {
                let keys = self.partitions.entry(partition).or_default();
                keys.begin_epoch(with);
                Answer::Position(keys.state(with).expect("begun just now").head(partition))
            }
            Op::Evict(victim) => {
                self.evict(victim);
                Answer::Done
            }
        }
    }

    fn lease(&mut self, key: String, request: &LeaseRequest, with: &Circumstances) -> Leased {
        let held = self.leases.get(&key).filter(|(_, until)| with.now < *until).map(|(lease, _)| *lease);
        let held_by = held.filter(|held| request.over != Some(held.token));
        // In this order: who is granted the lease sees the fill of everyone who gave it back before.
        let entry = self.entries.get(&key).filter(|held| with.now < held.gone_at).map(|held| held.entry.clone());
        if held_by.is_none() {
            self.leases.insert(key, (request.lease, with.now + request.ttl));
        }
        Leased { held_by, entry }
    }

    fn release(&mut self, key: &str, owner: LeaseToken, after: AfterLease, with: &Circumstances) {
        let Some((lease, until)) = self.leases.get_mut(key).filter(|(lease, _)| lease.token == owner) else { return };
        match after {
            AfterLease::Free => drop(self.leases.remove(key)),
            AfterLease::Open(time) => (lease.token, *until) = (LeaseToken::NOBODY, with.now + time),
        }
    }

    /// The most records and clocks that any partition holds.
    pub(super) fn largest(&self) -> (usize, usize) {
        let log = self.partitions.values().map(|keys| keys.log.len()).max();
        let clocks = self.partitions.values().filter_map(|keys| keys.state.as_ref()).map(|state| state.clocks.len());
        (log.unwrap_or(0), clocks.max().unwrap_or(0))
    }

    /// The records that each partition's log has seen in its epoch.
    pub(super) fn sequences(&self) -> Vec<u64> {
        self.partitions.values().filter_map(|keys| keys.state.as_ref()).map(|state| state.sequence).collect()
    }

    fn read(
        &mut self,
        partition: Partition,
        after: Option<Position>,
        records_max: usize,
        with: &Circumstances,
    ) -> Answer {
        let keys = self.partitions.entry(partition).or_default();
        let known = keys.state(with).map(|state| (state.epoch, state.sequence));
        // A reader ahead of the log has seen what the server has forgotten.
        let ahead = known
            .zip(after)
            .is_some_and(|((epoch, sequence), after)| epoch == after.epoch && after.sequence.as_u64() > sequence);
        if (known.is_none() || ahead) && !(ahead && with.breach == StoreBreach::RunIgnored) {
            keys.begin_epoch(with);
        }
        let head = keys.state(with).expect("begun if there was none").head(partition);
        let page = match after {
            None => LogPage::Records(Vec::new()),
            Some(after) => keys.page(after, head, records_max, with),
        };
        Answer::Page { head, page }
    }

    fn append(&mut self, partition: Partition, tags: Vec<TagId>, note: Bytes, with: &Circumstances) -> Position {
        let keys = self.partitions.entry(partition).or_default();
        if keys.state(with).is_none() {
            keys.begin_epoch(with);
        }
        let state = keys.state(with).expect("begun if there was none");
        state.sequence += 1;
        for tag in &tags {
            state.clocks.insert(*tag, state.sequence);
        }
        state.prune(with.limits.clocks_max);
        let position = state.head(partition);
        keys.log.push_back(Arc::new(Record { position, tags, note }));
        while keys.log.len() > with.limits.log_records_max {
            keys.log.pop_front();
        }
        position
    }

    fn fill(&mut self, key: String, entry: StoredEntry, lifetime: Duration, with: &Circumstances) -> Filled {
        let base = entry.base;
        let Some(state) = self.partitions.entry(base.partition).or_default().state(with) else {
            return Filled::Overtaken;
        };
        let sequence = base.sequence.as_u64();
        let moved = entry.tags.iter().any(|tag| state.clocks.get(tag).is_some_and(|clock| *clock > sequence));
        let judges = with.breach != StoreBreach::FillsNotRefused;
        let overtaken = state.epoch != base.epoch || sequence > state.sequence || sequence < state.floor || moved;
        if judges && overtaken {
            return Filled::Overtaken;
        }
        let newer = self
            .entries
            .get(&key)
            .filter(|held| with.now < held.gone_at)
            .is_some_and(|held| held.entry.base.epoch == base.epoch && held.entry.base.sequence > base.sequence);
        if newer {
            return Filled::NewerStored;
        }
        self.entries.insert(key, Held { entry, gone_at: with.now + lifetime });
        Filled::Stored
    }

    fn evict(&mut self, victim: Victim) {
        match victim {
            Victim::State(partition) => self.partitions.entry(partition).or_default().state = None,
            Victim::Log(partition) => self.partitions.entry(partition).or_default().log.clear(),
            Victim::Entry(place) => {
                let key = self.entries.keys().nth(place % self.entries.len().max(1)).cloned();
                key.into_iter().for_each(|key| {
                    self.entries.remove(&key);
                });
            }
        }
    }
}

impl PartitionKeys {
    /// The state, if it is of this run of the server.
    fn state(&mut self, with: &Circumstances) -> Option<&mut State> {
        let any_run = with.breach == StoreBreach::RunIgnored;
        self.state.as_mut().filter(|state| any_run || state.run == with.run)
    }

    fn begin_epoch(&mut self, with: &Circumstances) {
        let epoch = if with.breach == StoreBreach::EpochReused { Epoch::from_u64(1) } else { with.fresh };
        self.log.clear();
        self.state = Some(State { run: with.run, epoch, sequence: 0, floor: 0, clocks: BTreeMap::new() });
    }

    /// What follows `after`: only records that begin right after it and have no gap, or word that some are gone.
    fn page(&self, after: Position, head: Position, records_max: usize, with: &Circumstances) -> LogPage {
        if after.epoch != head.epoch {
            return LogPage::NewEpoch { head };
        }
        let behind = head.sequence.as_u64().saturating_sub(after.sequence.as_u64());
        let behind = usize::try_from(behind).unwrap_or(usize::MAX);
        // From the end, as the list is read: a log that was lost and begun again still ends at the sequence.
        let first = self.log.len().saturating_sub(behind);
        let records: Vec<Arc<Record>> = self.log.range(first..).take(records_max).cloned().collect();
        let complete = match records.first() {
            Some(first) => first.position == Position { sequence: after.sequence.next(), ..after },
            None => behind == 0 || with.breach == StoreBreach::LostLogIsEmpty,
        };
        if complete { LogPage::Records(records) } else { LogPage::Trimmed { head: head.sequence } }
    }
}

impl State {
    fn head(&self, partition: Partition) -> Position {
        Position { partition, epoch: self.epoch, sequence: Sequence::from_u64(self.sequence) }
    }

    /// The oldest clocks go, some more than needed; the floor rises to the last of them.
    fn prune(&mut self, clocks_max: usize) {
        if self.clocks.len() <= clocks_max {
            return;
        }
        let excess = self.clocks.len() - clocks_max + clocks_max / 16;
        let mut by_age: Vec<(u64, TagId)> = self.clocks.iter().map(|(tag, clock)| (*clock, *tag)).collect();
        by_age.sort_unstable();
        for (clock, tag) in by_age.into_iter().take(excess) {
            self.clocks.remove(&tag);
            self.floor = clock;
        }
    }
}
