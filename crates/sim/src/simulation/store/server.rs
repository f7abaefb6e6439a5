//! The simulated server: a primary with a replica that follows at a distance, snapshots, and what may go wrong.

use std::{
    collections::VecDeque,
    sync::{Arc, Weak},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;
use unstale::{
    Record, StoreError,
    position::{Epoch, Partition, PartitionCount},
};

use super::{
    dataset::{Answer, Circumstances, Dataset, Op, StoreBreach, StoreLimits, Victim},
    link::Link,
};
use crate::simulation::{dice::Dice, trace::Trace};

/// Of a hundred records, how many are not told of, only that there is one.
const UNTOLD_PERCENT: u32 = 10;

/// How the server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    /// As it should.
    Well,
    /// Refuses what may write: out of memory, or a replica.
    ReadOnly,
    /// Refuses everything: loading, authentication, not there.
    Refusing,
}

/// The server that all nodes share.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) partitions: PartitionCount,
    limits: StoreLimits,
    breach: StoreBreach,
    started: Instant,
    dice: Dice,
    trace: Arc<Trace>,
    inner: Mutex<Inner>,
    /// Who is told of every append.
    listeners: Mutex<Vec<Weak<Link>>>,
}

#[derive(Debug)]
struct Inner {
    run: u64,
    primary: Dataset,
    replica: Dataset,
    /// On its way to the replica: when it arrives, and under which circumstances it was run.
    stream: VecDeque<(Duration, Circumstances, Op)>,
    lag_ms_max: u64,
    snapshot: Dataset,
    health: Health,
    stalled_until: Instant,
    executed: u64,
    appended: u64,
    log_pages: u64,
    records_read: u64,
}

/// What a server did.
#[derive(Clone, Debug, Default)]
pub(crate) struct Work {
    pub(crate) executed: u64,
    pub(crate) appended: u64,
    pub(crate) log_pages: u64,
    pub(crate) records_read: u64,
    pub(crate) sequences: Vec<u64>,
}

impl Server {
    pub(crate) fn new(
        partitions: PartitionCount,
        limits: StoreLimits,
        breach: StoreBreach,
        lag_ms_max: u64,
        dice: Dice,
        trace: Arc<Trace>,
    ) -> Self {
        let inner = Inner {
            run: 1,
            primary: Dataset::default(),
            replica: Dataset::default(),
            stream: VecDeque::new(),
            lag_ms_max,
            snapshot: Dataset::default(),
            health: Health::Well,
            stalled_until: Instant::now(),
            executed: 0,
            appended: 0,
            log_pages: 0,
            records_read: 0,
        };
        let (inner, listeners) = (Mutex::new(inner), Mutex::default());
        Self { partitions, limits, breach, started: Instant::now(), dice, trace, inner, listeners }
    }

    pub(super) fn listen(&self, link: &Arc<Link>) {
        self.listeners.lock().push(Arc::downgrade(link));
    }

    /// A request arrives. It is served when the server gets to it.
    pub(super) async fn serve(&self, op: Op) -> Result<Answer, StoreError> {
        loop {
            let until = self.inner.lock().stalled_until;
            if until <= Instant::now() {
                break;
            }
            tokio::time::sleep_until(until).await;
        }
        self.serve_now(op)
    }

    fn serve_now(&self, op: Op) -> Result<Answer, StoreError> {
        let mut inner = self.inner.lock();
        let refused = match inner.health {
            Health::Well => false,
            Health::ReadOnly => op.writes() && !matches!(op, Op::Read { .. }),
            Health::Refusing => true,
        };
        if refused {
            return Err(StoreError::Unavailable(format!("refused: {:?}", inner.health)));
        }
        let moved = match &op {
            Op::Append { partition, tags, note } => Some((*partition, Some((tags.clone(), note.clone())))),
            Op::StartAnew { partition } => Some((*partition, None)),
            _ => None,
        };
        let answer = self.execute(&mut inner, op);
        drop(inner);
        if let Some((partition, content)) = moved {
            let record = match (&answer, content) {
                // As if some were too large for a message.
                (_, Some(_)) if self.dice.percent(UNTOLD_PERCENT) => None,
                (Answer::Position(position), Some((tags, note))) => {
                    Some(Arc::new(Record { position: *position, tags, note }))
                }
                _ => None,
            };
            let mut listeners = self.listeners.lock();
            listeners.retain(|link| link.upgrade().is_some_and(|link| link.is_alive()));
            listeners.iter().filter_map(Weak::upgrade).for_each(|link| link.hear(partition, record.as_ref()));
        }
        Ok(answer)
    }

    fn execute(&self, inner: &mut Inner, op: Op) -> Answer {
        let now = self.started.elapsed();
        inner.executed += 1;
        // Never zero, and never the number of an earlier epoch.
        let fresh = Epoch::from_u64(((self.dice.number() >> 32) << 20) | inner.executed);
        let with = Circumstances { limits: self.limits, breach: self.breach, now, run: inner.run, fresh };
        if op.writes() {
            let arrives = now + self.dice.millis(0..inner.lag_ms_max + 1);
            let arrives = inner.stream.back().map_or(arrives, |(before, ..)| arrives.max(*before));
            inner.stream.push_back((arrives, with, op.clone()));
        }
        inner.replicate(now);
        let answer = inner.primary.run(op, &with);
        match &answer {
            Answer::Position(_) => inner.appended += 1,
            Answer::Page { page, .. } => {
                inner.log_pages += 1;
                if let unstale::store::LogPage::Records(records) = page {
                    inner.records_read += records.len() as u64;
                }
            }
            _ => {}
        }
        answer
    }

    /// Takes a key away, as a server does that needs its memory.
    pub(crate) fn evict(&self, what: usize, partition: Partition) {
        let victim = match what % 3 {
            0 => Victim::State(partition),
            1 => Victim::Log(partition),
            _ => Victim::Entry(what / 3),
        };
        self.trace.note(format_args!("store: {victim:?} is evicted"));
        self.execute(&mut self.inner.lock(), Op::Evict(victim));
    }

    /// The replica takes over; what it had not heard of is lost.
    pub(crate) fn fail_over(&self) {
        let mut inner = self.inner.lock();
        inner.replicate(self.started.elapsed());
        self.trace.note(format_args!("store: failover, {} operations lost", inner.stream.len()));
        let replica = inner.replica.clone();
        inner.begin_run(replica);
    }

    /// The server restarts, with nothing or with its last snapshot.
    pub(crate) fn restart(&self, empty: bool) {
        let mut inner = self.inner.lock();
        self.trace.note(format_args!("store: restart, {}", if empty { "empty" } else { "from its snapshot" }));
        let data = if empty { Dataset::default() } else { inner.snapshot.clone() };
        inner.begin_run(data);
    }

    pub(crate) fn take_snapshot(&self) {
        let mut inner = self.inner.lock();
        inner.snapshot = inner.primary.clone();
    }

    pub(crate) fn set_health(&self, health: Health) {
        self.trace.note(format_args!("store: {health:?}"));
        self.inner.lock().health = health;
    }

    /// Serves nothing for a while; what arrives meanwhile is served then.
    pub(crate) fn stall(&self, time: Duration) {
        self.trace.note(format_args!("store: stalls for {time:?}"));
        self.inner.lock().stalled_until = Instant::now() + time;
    }

    /// Whether log and clocks are within their limits.
    pub(crate) fn is_bounded(&self) -> bool {
        let (log, clocks) = self.inner.lock().primary.largest();
        log <= self.limits.log_records_max && clocks <= self.limits.clocks_max
    }

    pub(crate) fn work(&self) -> Work {
        let inner = self.inner.lock();
        Work {
            executed: inner.executed,
            appended: inner.appended,
            log_pages: inner.log_pages,
            records_read: inner.records_read,
            sequences: inner.primary.sequences(),
        }
    }
}

impl Inner {
    /// What has arrived at the replica by now is run there, as it was run on the primary.
    fn replicate(&mut self, now: Duration) {
        while self.stream.front().is_some_and(|(arrives, ..)| *arrives <= now) {
            let Some((_, with, op)) = self.stream.pop_front() else { return };
            self.replica.run(op, &with);
        }
    }

    fn begin_run(&mut self, data: Dataset) {
        self.run += 1;
        self.replica = data.clone();
        self.primary = data;
        self.stream.clear();
    }
}
