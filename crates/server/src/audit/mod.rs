//! The audit trail: who did what, in which tenant, to what, when, and how it ended; tamper-evident and searchable.
//!
//! ```text
//! request ─▶ spool (a file of this node) ─▶ answer
//!                   └─▶ shipper ─▶ database: a chain of records per tenant, each MAC over the one before
//! ```
//!
//! A record is in the [spool](spool) before the answer goes out. What changes something is noted twice: as an intent
//! before it is done, and with its end; so a process that is killed in between leaves "unknown" and not nothing.
//!
//! # Invariants
//! - No database on a request's way, and every wait and size has a limit ([`AuditSettings`]).
//! - What must be recorded and cannot be is refused before it is done. Reads that cannot be recorded are answered,
//!   counted, and named in the trail as a gap.
//! - The trail holds no personal data in clear but what ids and paths are themselves: subjects are keyed hashes.
//!
//! # What it must not know
//! What an application's operations mean, and who may read the trail.

mod actor;
mod chain;
pub mod cli;
mod export;
mod fold;
mod heads;
mod layer;
mod marks;
mod metrics;
mod record;
mod retention;
mod search;
mod settings;
mod ship;
mod spool;
mod sql;
mod table;
mod verify;

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use sea_orm::DatabaseConnection;
use tokio::sync::{Notify, watch};

pub use self::{
    actor::{Actor, agent_of},
    chain::{AuditKeys, Fault, Head},
    export::{AuditRecord, ExportFormat, export},
    layer::{AuditFuture, AuditLayer, AuditService, Reading, Writes},
    metrics::AuditMetrics,
    record::{Class, Entry, Level, Operation, Outcome, Record, Subject, TEXT_BYTES_MAX},
    retention::RetentionError,
    search::{Cursor, Filter, Found, InvalidCursor, PAGE_MAX, Page},
    settings::AuditSettings,
    spool::AuditRefused,
    verify::{Expected, Report},
};
use self::{
    ship::Shipper,
    spool::{Room, Spool},
};

/// The trail of this process. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Audit(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    spool: Spool,
    level: AtomicU8,
    metrics: AuditMetrics,
    trail: AuditTrail,
    /// Reads that were not recorded, and are not yet told as a gap.
    missed: AtomicU64,
    wake: Arc<Notify>,
    /// Up to which number the spool is in the database.
    shipped: watch::Sender<u64>,
}

/// The trail in the database: for who reads it.
#[derive(Clone, Debug)]
pub struct AuditTrail {
    pool: DatabaseConnection,
    keys: AuditKeys,
}

impl AuditTrail {
    /// In a database that has this crate's tables.
    pub fn new(pool: DatabaseConnection, keys: AuditKeys) -> Self {
        Self { pool, keys }
    }

    /// A subject by its name.
    pub fn subject(&self, name: &str) -> Subject {
        self.keys.subject(name)
    }
}

impl Audit {
    /// Begins a trail, and ships it from then on, with what former runs have left in the directory. Blocks for the time
    /// that it takes to make a folder.
    pub fn start(settings: &AuditSettings, trail: AuditTrail, metrics: AuditMetrics) -> io::Result<Self> {
        let spool = Spool::begin(&settings.directory, settings.spool_bytes_max, settings.syncs)?;
        // What was shipped is deleted here: it has to be as safe there.
        let pool = if settings.syncs { sql::synced(&trail.pool) } else { trail.pool.clone() };
        let shipper = Shipper::new(pool, trail.keys.clone(), metrics.clone());
        let shared = Arc::new(Shared {
            spool,
            level: AtomicU8::new(settings.level as u8),
            metrics,
            trail,
            missed: AtomicU64::new(0),
            wake: Arc::default(),
            shipped: watch::Sender::new(0),
        });
        tokio::spawn(shipper.run(Arc::downgrade(&shared), settings.directory.clone()));
        if let Some(kept) = settings.retention {
            tokio::spawn(retention::enforce(Arc::downgrade(&shared), kept));
        }
        Ok(Self(shared))
    }

    /// The trail in the database.
    pub fn trail(&self) -> &AuditTrail {
        &self.0.trail
    }

    /// What is counted of it.
    pub fn metrics(&self) -> &AuditMetrics {
        &self.0.metrics
    }

    /// What is recorded.
    pub fn level(&self) -> Level {
        let level = self.0.level.load(Relaxed);
        Level::ALL.into_iter().find(|one| *one as u8 == level).unwrap_or_default()
    }

    /// Changes what is recorded from now on, which is itself recorded, at either level.
    pub async fn set_level(&self, level: Level, by: &Actor) -> Result<(), AuditRefused> {
        let before = self.level();
        let detail = format!("audit level {} → {}", before.as_str(), level.as_str());
        let entry = Entry {
            entity: "audit",
            key: "level",
            detail: &detail,
            ..by.entry("", Operation::CONFIGURE, Outcome::Done)
        };
        let number = self.put(Class::Mutation, &entry, false)?;
        self.0.spool.write_through(number)?;
        self.0.level.store(level as u8, Relaxed);
        self.0.sync(number).await
    }

    /// Whether something of this class is recorded.
    pub fn records(&self, class: Class) -> bool {
        self.0.level.load(Relaxed) >= class as u8
    }

    /// A subject by its name, such as a user's id.
    pub fn subject(&self, name: &str) -> Subject {
        self.0.trail.subject(name)
    }

    /// Records what has happened; it outlives this process when this is over.
    pub async fn record(&self, class: Class, entry: &Entry<'_>) -> Result<(), AuditRefused> {
        if !self.records(class) {
            return Ok(());
        }
        let number = self.put(class, entry, false)?;
        self.0.spool.write_through(number)?;
        if class == Class::Mutation { self.0.sync(number).await } else { Ok(()) }
    }

    /// Notes what is about to be done. Do it only if this succeeds, and say then how it [ended](Intents::end): an intent
    /// that is dropped is recorded as unknown.
    pub async fn begin(&self, class: Class, entries: &[Entry<'_>]) -> Result<Intents, AuditRefused> {
        let mut intents = Intents { shared: None, numbers: Vec::new() };
        if entries.is_empty() || !self.records(class) {
            return Ok(intents);
        }
        intents.shared = Some(self.0.clone());
        let taken = entries.iter().try_for_each(|entry| {
            intents.numbers.push(self.put(class, entry, true)?);
            Ok(())
        });
        let last = intents.numbers.last().copied().unwrap_or_default();
        let written = match taken.and_then(|()| Ok(self.0.spool.write_through(last)?)) {
            Ok(()) => self.0.sync(last).await,
            Err(refused) => Err(refused),
        };
        if let Err(refused) = written {
            intents.end(Outcome::Failed, 0, "");
            return Err(refused);
        }
        Ok(intents)
    }

    /// Takes in that something was read. The answer may go out when it is [written](Self::written).
    pub fn read(&self, class: Class, entry: &Entry<'_>) -> Option<Ticket> {
        let taken = self.put(class, entry, false).ok();
        if taken.is_none() {
            self.0.missed.fetch_add(1, Relaxed);
        }
        taken.map(Ticket)
    }

    /// Sees to it that a read's record is written, with all others that wait.
    pub fn written(&self, ticket: Ticket) {
        if let Err(error) = self.0.spool.write_through(ticket.0) {
            tracing::error!(%error, "the audit trail's spool cannot be written; records wait in memory");
        }
    }

    /// Waits until everything that was recorded before is in the database; says whether it came to that in time.
    pub async fn flush(&self, limit: Duration) -> bool {
        self.0.tell_gap();
        let (_, _, last) = self.0.spool.end();
        let mut shipped = self.0.shipped.subscribe();
        self.0.wake.notify_one();
        tokio::time::timeout(limit, shipped.wait_for(|shipped| *shipped >= last)).await.is_ok()
    }

    /// Ends the run: what it spooled goes to the database within `limit`, and its folder goes; else it stays for the next
    /// run. Nothing must be recorded after it.
    pub async fn close(&self, limit: Duration) {
        if !self.flush(limit).await {
            tracing::warn!("the database did not take the audit trail in time; the next start ships what waits");
            return;
        }
        if let Err(error) = self.0.spool.close() {
            tracing::warn!(%error, "the audit trail's spool could not be removed; the next start does it");
        }
        if let Err(error) = marks::forget_spool(&self.0.trail.pool, self.0.spool.name()).await {
            tracing::debug!(%error, "the audit trail's spool stays noted in the database");
        }
    }

    fn put(&self, class: Class, entry: &Entry<'_>, is_intent: bool) -> Result<u64, AuditRefused> {
        let trace = if entry.trace == 0 { crate::telemetry::current_trace().unwrap_or_default() } else { entry.trace };
        let at_ms = if entry.at_ms == 0 { now_ms() } else { entry.at_ms };
        let room = if class == Class::Mutation { Room::Writes } else { Room::Reads };
        let taken = self.0.spool.put(&Entry { at_ms, trace, ..*entry }, is_intent, room);
        match &taken {
            Ok(_) => self.0.metrics.spooled(class),
            Err(_) => self.0.metrics.refused(class),
        }
        taken
    }
}

impl Shared {
    async fn sync(self: &Arc<Self>, number: u64) -> Result<(), AuditRefused> {
        if !self.spool.syncs() {
            return Ok(());
        }
        let this = self.clone();
        let synced = tokio::task::spawn_blocking(move || this.spool.sync_through(number)).await;
        Ok(synced.unwrap_or_else(|error| Err(io::Error::other(error)))?)
    }

    /// Records how many reads were not recorded, once there is room.
    fn tell_gap(&self) {
        let missed = self.missed.swap(0, Relaxed);
        if missed == 0 {
            return;
        }
        let detail = format!("{missed} reads were answered and not recorded: the spool was full");
        let entry = Entry { at_ms: now_ms(), detail: &detail, ..Entry::new("", Operation::GAP, Outcome::Done) };
        if self.spool.put(&entry, false, Room::Reads).is_err() {
            self.missed.fetch_add(missed, Relaxed);
        }
    }
}

/// A read's record on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket(u64);

/// What is about to be done.
#[derive(Debug)]
#[must_use = "an intent that is dropped is recorded as unknown"]
pub struct Intents {
    /// None where nothing is recorded.
    shared: Option<Arc<Shared>>,
    numbers: Vec<u64>,
}

impl Intents {
    /// Of nothing that is recorded.
    pub fn none() -> Self {
        Self { shared: None, numbers: Vec::new() }
    }

    /// Records how it ended; it outlives this process when this returns.
    pub fn end(mut self, outcome: Outcome, status: u16, position: &str) {
        self.write(outcome, status, position);
    }

    /// As [`end`](Self::end), and on disk where that is wanted.
    pub async fn end_synced(mut self, outcome: Outcome, status: u16, position: &str) {
        let shared = self.shared.clone();
        let last = self.write(outcome, status, position);
        if let Some(shared) = shared
            && let Err(error) = shared.sync(last).await
        {
            tracing::error!(%error, "how something ended is in the audit trail's spool, and may not outlive the machine");
        }
    }

    /// Returns the number of the last end.
    fn write(&mut self, outcome: Outcome, status: u16, position: &str) -> u64 {
        let Some(shared) = self.shared.take() else { return 0 };
        let (mut written, mut last) = (Ok(()), 0);
        for intent in std::mem::take(&mut self.numbers) {
            let end = shared.spool.put_end(intent, outcome, status, position);
            written = written.and(end.and_then(|number| {
                last = number;
                Ok(shared.spool.write_through(number)?)
            }));
        }
        if let Err(error) = written {
            tracing::error!(%error, "how something ended could not be written to the audit trail");
        }
        last
    }
}

impl Drop for Intents {
    fn drop(&mut self) {
        self.write(Outcome::Unknown, 0, "");
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or_default()
}
