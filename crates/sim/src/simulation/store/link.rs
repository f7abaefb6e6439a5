//! A node's way to the server and back: requests and answers travel on their own, and may be lost, doubled, late or
//! out of order.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::{self, BoxFuture, FutureExt as _};
use parking_lot::Mutex;
use tokio::{sync::mpsc, task::yield_now, time::sleep};
use unstale::{
    Position, RawKey, Record, StoreError, TagId,
    position::{Partition, PartitionCount},
    store::{
        AfterLease, Filled, LeaseRequest, LeaseToken, Leased, LocalHeads, LogPage, Moves, MovesWatcher, Store,
        StoredEntry, TaggedKeys,
    },
    time::TimeSource as _,
};

use super::{
    dataset::{Answer, Op},
    server::Server,
};
use crate::simulation::{clock::NodeClock, dice::Dice, trace::Trace};

/// How long a node waits for an answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// What goes wrong on the way.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Weather {
    /// Nothing passes, either way.
    pub(crate) cut: bool,
    /// Nothing of these partitions passes, either way.
    pub(crate) cut_partitions: Places,
    pub(crate) lost_requests_percent: u32,
    pub(crate) lost_answers_percent: u32,
    pub(crate) lost_wakes_percent: u32,
    /// Requests that arrive twice, the second time later.
    pub(crate) doubled_percent: u32,
    /// Ways that take up to two seconds.
    pub(crate) slow_percent: u32,
    /// Answers of the log that take up to half a second; everything else is as fast as it is otherwise.
    pub(crate) late_pages_percent: u32,
    /// Questions to the log that are refused at once; everything else is answered.
    pub(crate) refused_pages_percent: u32,
    /// How much longer messages take, all alike: what they tell is old by then.
    pub(crate) wakes_lag_ms: u64,
}

/// Some partitions. A run has at most 64.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Places(u64);

impl Places {
    pub(crate) const NONE: Self = Self(0);

    pub(crate) fn of(partition: Partition) -> Self {
        Self(1_u64.checked_shl(u32::try_from(partition.index()).expect("few partitions")).expect("at most 64"))
    }

    fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl Weather {
    fn cuts(&self, places: Places) -> bool {
        self.cut || self.cut_partitions.meets(places)
    }
}

/// The store as one node sees it.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) node: usize,
    server: Arc<Server>,
    dice: Dice,
    clock: Arc<NodeClock>,
    trace: Arc<Trace>,
    weather: Mutex<Weather>,
    alive: AtomicBool,
    moves: Arc<Moves>,
    wakes: AtomicU64,
}

impl Link {
    pub(crate) fn new(
        node: usize,
        server: Arc<Server>,
        clock: Arc<NodeClock>,
        dice: Dice,
        trace: Arc<Trace>,
        weather: Weather,
    ) -> Arc<Self> {
        let moves = Moves::new(server.partitions);
        let link = Arc::new(Self {
            node,
            server,
            moves,
            dice,
            clock,
            trace,
            weather: Mutex::new(weather),
            alive: AtomicBool::new(true),
            wakes: AtomicU64::new(0),
        });
        link.server.listen(&link);
        link
    }

    pub(crate) fn set_weather(&self, change: impl FnOnce(&mut Weather)) {
        change(&mut self.weather.lock());
    }

    pub(crate) fn weather(&self) -> Weather {
        *self.weather.lock()
    }

    /// The node is gone: nothing leaves it any more, and nothing arrives. What had left it arrives.
    pub(crate) fn die(&self) {
        self.alive.store(false, Relaxed);
    }

    pub(super) fn is_alive(&self) -> bool {
        self.alive.load(Relaxed)
    }

    pub(crate) fn wakes(&self) -> u64 {
        self.wakes.load(Relaxed)
    }

    /// A message that there is more in a partition's log sets out, with the record or without it.
    pub(super) fn hear(self: &Arc<Self>, partition: Partition, record: Option<&Arc<Record>>) {
        let weather = self.weather();
        let place = Places::of(partition);
        if weather.cuts(place) || self.dice.percent(weather.lost_wakes_percent) {
            self.trace.count("fault: wake-up lost");
            return;
        }
        let copies = if self.dice.percent(weather.doubled_percent) { 2 } else { 1 };
        for _ in 0..copies {
            let (link, mut way, record) = (self.clone(), self.way(weather), record.cloned());
            if weather.wakes_lag_ms > 0 {
                self.trace.count("fault: wake-up late");
                way.time += Duration::from_millis(weather.wakes_lag_ms);
            }
            tokio::spawn(async move {
                way.travel().await;
                if !link.weather().cuts(place) {
                    link.wakes.fetch_add(1, Relaxed);
                    match record {
                        Some(record) => _ = link.moves.tell(record),
                        None => link.moves.note(partition),
                    }
                }
            });
        }
    }

    async fn ask(&self, places: Places, op: Op) -> Result<Answer, StoreError> {
        if !self.is_alive() {
            return future::pending().await;
        }
        let name = op.name();
        let weather = self.weather();
        let (answer, mut answers) = mpsc::unbounded_channel();
        let copies = if self.dice.percent(weather.doubled_percent) { 2 } else { 1 };
        if copies == 2 {
            self.trace.count("fault: request doubled");
        }
        for copy in 0..copies {
            let (there, mut back) = (self.way(weather), self.way(weather));
            if matches!(op, Op::Read { .. }) && self.dice.percent(weather.late_pages_percent) {
                self.trace.count("fault: late page of the log");
                back.time += self.dice.millis(50..500);
            }
            let lost_there = self.dice.percent(weather.lost_requests_percent);
            let refused = matches!(op, Op::Read { .. }) && self.dice.percent(weather.refused_pages_percent);
            if refused {
                self.trace.count("fault: page of the log refused");
            }
            let lost_back = self.dice.percent(weather.lost_answers_percent);
            if lost_there {
                self.trace.count("fault: request lost");
            }
            if lost_back {
                self.trace.count("fault: answer lost");
            }
            // How long it takes the node to notice a loss: at once, when the connection breaks, or never.
            let noticed = self.dice.millis(0..2000).saturating_sub(Duration::from_millis(800));
            let noticed = if refused { Duration::ZERO } else { noticed };
            let later = if copy == 0 { Duration::ZERO } else { self.dice.millis(1..3000) };
            // Of a node that is cut off nothing arrives, and nothing comes back to it.
            let (server, op, answer, trace) = (self.server.clone(), op.clone(), answer.clone(), self.trace.clone());
            let (node, cut) = (self.node, weather.cuts(places));
            tokio::spawn(async move {
                if cut || lost_there || refused {
                    if cut {
                        let whole = if weather.cut {
                            "fault: request into a cut"
                        } else {
                            "fault: request into a cut partition"
                        };
                        trace.count(whole);
                    }
                    sleep(noticed).await;
                    drop(answer);
                    return;
                }
                if !later.is_zero() {
                    sleep(later).await;
                }
                there.travel().await;
                let served = server.serve(op).await;
                trace.note(format_args!("node {node}: {name} served: {}", Told(&served)));
                back.travel().await;
                if lost_back {
                    sleep(noticed).await;
                } else {
                    let _ = answer.send(served);
                }
            });
        }
        drop(answer);
        let answered = tokio::time::timeout(PATIENCE, answers.recv()).await;
        if !self.is_alive() {
            return future::pending().await;
        }
        if self.weather().cuts(places) {
            return Err(StoreError::Unavailable("the node is cut off".into()));
        }
        match answered {
            Ok(Some(answer)) => answer,
            Ok(None) => Err(StoreError::Unavailable("the connection was lost".into())),
            Err(_elapsed) => {
                self.trace.count("fault: out of patience");
                Err(StoreError::Unavailable("no answer in time".into()))
            }
        }
    }

    fn place(&self, key: &RawKey) -> Places {
        Places::of(self.server.partitions.of(key.tenant()))
    }

    fn way(&self, weather: Weather) -> Way {
        let slow = self.dice.percent(weather.slow_percent);
        if slow {
            self.trace.count("fault: slow way");
        }
        let time = match self.dice.pick(0..100) {
            _ if slow => self.dice.millis(50..2000),
            0..70 => Duration::ZERO,
            70..97 => self.dice.millis(1..4),
            _ => self.dice.millis(4..40),
        };
        Way { time, switches: self.dice.pick(0..6) }
    }
}

/// How long a message is under way. Below a millisecond only the order counts: the others' turns that pass.
struct Way {
    time: Duration,
    switches: u32,
}

impl Way {
    async fn travel(self) {
        if !self.time.is_zero() {
            sleep(self.time).await;
        }
        for _ in 0..self.switches {
            yield_now().await;
        }
    }
}

/// An answer, in a few words.
struct Told<'a>(&'a Result<Answer, StoreError>);

impl std::fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Err(error) => write!(f, "{error}"),
            Ok(Answer::Position(at)) => write!(f, "{}", Place(at)),
            Ok(Answer::Page { head, page: LogPage::Records(records) }) => {
                write!(f, "{} records to {}", records.len(), Place(head))
            }
            Ok(Answer::Page { head, page: LogPage::Trimmed { .. } }) => write!(f, "trimmed, {}", Place(head)),
            Ok(Answer::Page { head, page: LogPage::NewEpoch { .. } }) => write!(f, "new epoch, {}", Place(head)),
            Ok(Answer::Entries(entries)) => {
                write!(f, "{} of {} entries", entries.iter().flatten().count(), entries.len())
            }
            Ok(Answer::Filled(filled)) => write!(f, "{filled:?}"),
            Ok(Answer::Leased(leased)) if leased.held_by.is_none() => f.write_str("granted"),
            Ok(Answer::Leased(_)) => f.write_str("held"),
            Ok(Answer::Done) => f.write_str("done"),
        }
    }
}

/// A position as people read it.
pub(crate) struct Place<'a>(pub(crate) &'a Position);

impl std::fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Position { partition, epoch, sequence } = self.0;
        write!(f, "{}.{:05x}.{}", partition.index(), epoch.as_u64() & 0xf_ffff, sequence.as_u64())
    }
}

impl Store for Link {
    fn partitions(&self) -> PartitionCount {
        self.server.partitions
    }

    fn local_heads(&self) -> Option<Arc<LocalHeads>> {
        None
    }

    fn head(&self, partition: Partition) -> BoxFuture<'_, Result<Position, StoreError>> {
        let ask = self.ask(Places::of(partition), Op::Read { partition, after: None, records_max: 0 });
        ask.map(|answer| answer.map(|answer| answer.page().0)).boxed()
    }

    fn append(
        &self,
        partition: Partition,
        tags: Vec<TagId>,
        note: Bytes,
    ) -> BoxFuture<'_, Result<Position, StoreError>> {
        let ask = self.ask(Places::of(partition), Op::Append { partition, tags: tags.clone(), note: note.clone() });
        let told = |answer: Answer| {
            let position = answer.position();
            // Who appended it need not wait for the message.
            self.moves.tell(Arc::new(Record { position, tags, note }));
            position
        };
        ask.map(|answer| answer.map(told)).boxed()
    }

    fn read_log(&self, after: Position, records_max: usize) -> BoxFuture<'_, Result<LogPage, StoreError>> {
        let ask = self
            .ask(Places::of(after.partition), Op::Read { partition: after.partition, after: Some(after), records_max });
        ask.map(|answer| answer.map(|answer| answer.page().1)).boxed()
    }

    fn start_anew(&self, partition: Partition) -> BoxFuture<'_, Result<Position, StoreError>> {
        let ask = self.ask(Places::of(partition), Op::StartAnew { partition });
        ask.map(|answer| answer.map(Answer::position)).boxed()
    }

    fn moves(&self) -> MovesWatcher {
        self.moves.watch()
    }

    fn shares_entries(&self) -> bool {
        true
    }

    fn keys_tagged(&self, _: TagId, _: usize) -> BoxFuture<'_, Result<TaggedKeys, StoreError>> {
        let told = "reports about people are not simulated".to_owned();
        future::ready(Err(StoreError::Refused(told))).boxed()
    }

    fn lease<'a>(&'a self, key: &'a RawKey, request: &'a LeaseRequest) -> BoxFuture<'a, Result<Leased, StoreError>> {
        let ask = self.ask(self.place(key), Op::Lease { key: key.as_str().to_owned(), request: *request });
        ask.map(|answer| {
            answer.map(|answer| match answer {
                Answer::Leased(leased) => leased,
                other => unreachable!("a lease answers who holds it, not {other:?}"),
            })
        })
        .boxed()
    }

    fn release<'a>(
        &'a self,
        key: &'a RawKey,
        owner: LeaseToken,
        after: AfterLease,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        let ask = self.ask(self.place(key), Op::Release { key: key.as_str().to_owned(), owner, after });
        ask.map(|answer| answer.map(|_| ())).boxed()
    }

    fn get<'a>(&'a self, keys: &'a [RawKey]) -> BoxFuture<'a, Result<Vec<Option<StoredEntry>>, StoreError>> {
        let places = keys.iter().fold(Places::NONE, |all, key| Places(all.0 | self.place(key).0));
        let ask = self.ask(places, Op::Get { keys: keys.iter().map(|key| key.as_str().to_owned()).collect() });
        ask.map(|answer| {
            answer.map(|answer| match answer {
                Answer::Entries(entries) => entries,
                other => unreachable!("a get answers with entries, not {other:?}"),
            })
        })
        .boxed()
    }

    fn fill<'a>(&'a self, key: &'a RawKey, entry: StoredEntry) -> BoxFuture<'a, Result<Filled, StoreError>> {
        let lifetime = entry.dead_at.since(self.clock.now());
        let ask = self.ask(self.place(key), Op::Fill { key: key.as_str().to_owned(), entry, lifetime });
        ask.map(|answer| {
            answer.map(|answer| match answer {
                Answer::Filled(filled) => filled,
                other => unreachable!("a fill answers what became of it, not {other:?}"),
            })
        })
        .boxed()
    }

    fn remove<'a>(&'a self, key: &'a RawKey) -> BoxFuture<'a, Result<(), StoreError>> {
        self.ask(self.place(key), Op::Remove { key: key.as_str().to_owned() }).map(|answer| answer.map(|_| ())).boxed()
    }
}

impl Answer {
    fn position(self) -> Position {
        match self {
            Self::Position(position) => position,
            other => unreachable!("what moves the log answers with its head, not {other:?}"),
        }
    }

    fn page(self) -> (Position, LogPage) {
        match self {
            Self::Page { head, page } => (head, page),
            other => unreachable!("the log answers with a page, not {other:?}"),
        }
    }
}
