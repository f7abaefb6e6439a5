//! Shipping: from the spool's segments to the database, beside the requests. *Does*.
//!
//! # Invariants
//! - A segment is deleted when all of it is in the database, and not before.
//! - An intent whose end is not known when its process is over is recorded as unknown.
//! - The database may be away for as long as the spool has room: nothing is given up.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
    time::Duration,
};

use sea_orm::DatabaseConnection;

use super::{
    Shared,
    chain::AuditKeys,
    fold::{Reads, Spooled, folded},
    metrics::AuditMetrics,
    now_ms,
    record::{Operation, Outcome, Record},
    spool::{
        Leftover, SpoolReader,
        frame::{End, Frame},
    },
    table::{self, Known, OWN, Part, ShipError},
};

/// How often the spool is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The wait after the database has failed; it doubles with each further time.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// The longest wait.
const WAIT_MAX: Duration = Duration::from_secs(5);
/// Up to where a spool is shipped of which nothing is left.
const ALL: u64 = i64::MAX as u64;

/// Ships a spool.
pub(super) struct Shipper {
    pool: DatabaseConnection,
    keys: AuditKeys,
    metrics: AuditMetrics,
    known: Known,
}

/// A record, and its number in the spool.
type Numbered = (u64, Record);

/// A spool on its way.
struct Passage {
    spool: String,
    reader: SpoolReader,
    /// The last number that is in the database.
    shipped: u64,
    /// Intents whose end was not read yet, each with its segment.
    pending: BTreeMap<u64, (u64, Box<Record>)>,
    /// Segments that were read and are not deleted.
    segments: BTreeSet<u64>,
}

impl Passage {
    fn new(spool: &str, folder: &Path, shipped: u64) -> Self {
        let (pending, segments) = (BTreeMap::new(), BTreeSet::new());
        Self { spool: spool.to_owned(), reader: SpoolReader::new(folder), shipped, pending, segments }
    }

    /// Takes in frames; what is to be recorded comes out.
    fn take(&mut self, frames: Vec<(u64, u64, Frame)>) -> Vec<(u64, Spooled)> {
        let mut records = Vec::with_capacity(frames.len());
        for (number, segment, frame) in frames {
            let is_new = number > self.shipped;
            match frame {
                Frame::Record(record) if is_new => records.push((number, record)),
                Frame::Record(_) => {}
                Frame::Intent(record) => {
                    self.pending.insert(number, (segment, record));
                }
                Frame::End { intent, end } => {
                    if let Some((_, record)) = self.pending.remove(&intent).filter(|_| is_new) {
                        records.push((number, Spooled::Other(Box::new(ended(*record, end)))));
                    }
                }
            }
        }
        records
    }

    /// What was begun and not seen to end.
    fn unknown(&mut self) -> Vec<Numbered> {
        let unknown = std::mem::take(&mut self.pending).into_iter();
        let outcome = || Outcome::Unknown.as_str().to_owned();
        unknown.map(|(number, (_, record))| (number, Record { outcome: outcome(), ..*record })).collect()
    }

    /// Segments before `current` of which all is in the database.
    fn done(&mut self, current: u64) -> Vec<u64> {
        let is_open = |segment: u64| self.pending.values().any(|(own, _)| *own == segment);
        let done: Vec<u64> = self.segments.iter().copied().filter(|one| *one < current && !is_open(*one)).collect();
        done.iter().for_each(|segment| {
            self.segments.remove(segment);
        });
        done
    }
}

fn ended(record: Record, end: End) -> Record {
    let End { outcome, status, position } = end;
    Record { outcome, status, position, ..record }
}

fn gap(at_ms: u64, detail: String) -> Record {
    Record {
        at_ms,
        operation: Operation::GAP.as_str().to_owned(),
        outcome: Outcome::Done.as_str().to_owned(),
        detail,
        times: 1,
        ..Record::default()
    }
}

impl Shipper {
    pub(super) fn new(pool: DatabaseConnection, keys: AuditKeys, metrics: AuditMetrics) -> Self {
        Self { pool, keys, metrics, known: Known::default() }
    }

    /// Ships what former runs have left, then what this one spools, until everybody has let go of the trail.
    pub(super) async fn run(mut self, shared: std::sync::Weak<Shared>, directory: std::path::PathBuf) {
        if let Err(error) = self.leftovers(&directory).await {
            tracing::error!(%error, "what a former run has left of the audit trail cannot be read; it stays");
        }
        let Some(mut passage) = shared.upgrade().map(|it| Passage::new(it.spool.name(), it.spool.folder(), 0)) else {
            return;
        };
        loop {
            let Some(held) = shared.upgrade() else { return };
            let is_more = match self.ship_live(&held, &mut passage).await {
                Ok(is_more) => is_more,
                Err(error) => {
                    tracing::error!(%error, "the audit trail's spool cannot be read");
                    false
                }
            };
            if is_more {
                continue;
            }
            held.shipped.send_replace(passage.shipped);
            let (wake, wait) = (held.wake.clone(), tokio::time::sleep(LOOK_EVERY));
            drop(held);
            tokio::select! {
                () = wake.notified() => {}
                () = wait => {}
            }
        }
    }

    /// Ships one piece; says whether there is more.
    async fn ship_live(&mut self, shared: &Arc<Shared>, passage: &mut Passage) -> std::io::Result<bool> {
        shared.tell_gap();
        let (segment, bytes, last) = shared.spool.end();
        self.metrics.spool_bytes(shared.spool.bytes());
        if last <= passage.shipped {
            self.metrics.lag(Duration::ZERO);
            return Ok(false);
        }
        let chunk = self.read(passage, Some((segment, bytes))).await?;
        let Some(through) = chunk.frames.last().map(|(number, ..)| *number) else { return Ok(false) };
        passage.segments.extend(chunk.begun);
        let damaged = chunk.damaged;
        let records = passage.take(chunk.frames);
        let gap = (damaged > 0).then(|| gap(now_ms(), format!("{damaged} bytes of the spool were damaged")));
        let besides: Vec<_> = gap.map(|gap| (through, gap)).into_iter().collect();
        self.ship(passage, through, (&records, &chunk.reads, &besides), &now_ms).await;
        for segment in passage.done(chunk.segment) {
            shared.spool.remove(segment)?;
        }
        Ok(!chunk.is_last)
    }

    async fn read(&self, passage: &mut Passage, end: Option<(u64, u64)>) -> std::io::Result<super::spool::Chunk> {
        let mut reader = std::mem::replace(&mut passage.reader, SpoolReader::new(Path::new("")));
        let read = tokio::task::spawn_blocking(move || {
            let read = reader.read(end);
            (reader, read)
        });
        let (reader, read) = read.await.map_err(std::io::Error::other)?;
        passage.reader = reader;
        read
    }

    /// Appends the records of one piece, and what is to be told besides, in one transaction, as often as it takes; with
    /// it, the spool counts as shipped up to `through`.
    async fn ship(
        &mut self,
        passage: &mut Passage,
        through: u64,
        (records, reads, besides): (&[(u64, Spooled)], &Reads, &[Numbered]),
        now_ms: &impl Fn() -> u64,
    ) {
        let left = |shipped| {
            let mut left = folded(records, reads, shipped);
            left.extend_from_slice(besides);
            left
        };
        let mut batch = left(passage.shipped);
        let mut wait = FIRST_WAIT;
        let mut is_told = false;
        loop {
            let part = Part { spool: &passage.spool, after: passage.shipped, through, now_ms: now_ms() };
            match table::append(&self.pool, &self.keys, part, &batch, &mut self.known).await {
                Ok(appended) => {
                    if is_told {
                        tracing::info!("the database takes the audit trail again");
                    }
                    let records: u64 = batch.iter().map(|(_, record)| u64::from(record.times)).sum();
                    self.metrics.shipped(records, appended.rows, appended.broken);
                    passage.shipped = through;
                    return;
                }
                // The answer to a commit was lost, and it was carried out.
                Err(ShipError::Elsewhere { actual }) if actual >= through => {
                    passage.shipped = through;
                    return;
                }
                // What a process sent before it was killed was carried out after this one had asked how far it came.
                Err(ShipError::Elsewhere { actual }) if actual > passage.shipped => {
                    passage.shipped = actual;
                    batch = left(actual);
                }
                Err(ShipError::Elsewhere { actual }) => {
                    tracing::error!(
                        spool = passage.spool,
                        actual,
                        expected = passage.shipped,
                        "the database knows another state of this node's audit spool than was left there: it was put \
                         back; what was recorded since then is missing in it"
                    );
                    passage.shipped = actual;
                }
                Err(ShipError::Database(error)) => {
                    if !is_told {
                        tracing::warn!(%error, "the audit trail waits in its spool: the database does not take it");
                        is_told = true;
                    }
                    self.metrics.ship_failed();
                    let oldest = batch.first().map_or(0, |(_, record)| now_ms().saturating_sub(record.at_ms));
                    self.metrics.lag(Duration::from_millis(oldest));
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(WAIT_MAX);
                }
            }
        }
    }

    async fn leftovers(&mut self, directory: &Path) -> std::io::Result<()> {
        let directory = directory.to_owned();
        let found = tokio::task::spawn_blocking(move || Leftover::all_in(&directory));
        for leftover in found.await.map_err(std::io::Error::other)?? {
            self.leftover(leftover).await?;
        }
        Ok(())
    }

    async fn leftover(&mut self, leftover: Leftover) -> std::io::Result<()> {
        let mut wait = FIRST_WAIT;
        let shipped = loop {
            match table::shipped(&self.pool, &leftover.name).await {
                Ok(shipped) => break shipped.unwrap_or_default(),
                Err(_) => tokio::time::sleep(wait).await,
            }
            wait = (wait * 2).min(WAIT_MAX);
        };
        tracing::info!(
            spool = leftover.name,
            bytes = leftover.bytes(),
            "shipping what a former run left of the audit trail"
        );
        let mut passage = Passage::new(&leftover.name, &leftover.folder, shipped);
        let mut damaged = 0;
        // Else it is all there, and only its folder stayed.
        let mut is_more = shipped < ALL;
        while is_more {
            let chunk = self.read(&mut passage, None).await?;
            damaged += chunk.damaged;
            let through = chunk.frames.last().map_or(passage.shipped, |(number, ..)| *number).max(passage.shipped);
            let records = passage.take(chunk.frames);
            is_more = !chunk.is_last;
            if chunk.is_last {
                let mut besides = passage.unknown();
                if damaged > 0 {
                    let gap = gap(now_ms(), format!("{damaged} bytes of a former run's spool were damaged"));
                    besides.push((through, gap));
                }
                self.ship(&mut passage, ALL, (&records, &chunk.reads, &besides), &now_ms).await;
            } else if through > passage.shipped {
                self.ship(&mut passage, through, (&records, &chunk.reads, &[]), &now_ms).await;
            }
        }
        let spool = leftover.name.clone();
        tokio::task::spawn_blocking(move || leftover.remove()).await.map_err(std::io::Error::other)??;
        // A row that stays says nothing of any spool that is there.
        if let Err(error) = table::forget_spool(&self.pool, &spool).await {
            tracing::debug!(%error, spool, "a spool that is gone stays noted in the database");
        }
        Ok(())
    }
}

/// What belongs to no tenant is in the installation's own chain.
const _: () = assert!(OWN.is_empty());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intents_come_out_with_their_ends_and_keep_their_segment() {
        let mut passage = Passage::new("s", Path::new(""), 0);
        passage.segments = BTreeSet::from([1, 2]);
        let end = |outcome: &str| End { outcome: outcome.into(), status: 200, position: "1.2.3".into() };
        let intent = |key: &str| Frame::Intent(Box::new(Record { key: key.into(), ..Record::default() }));
        let out = passage.take(vec![(1, 1, intent("a")), (2, 1, intent("b"))]);
        assert!(out.is_empty() && passage.done(2).is_empty(), "both are open");
        let out = passage.take(vec![(3, 2, Frame::End { intent: 2, end: end("done") })]);
        let (3, Spooled::Other(done)) = &out[0] else { panic!("{out:?}") };
        assert_eq!((done.key.as_str(), done.outcome.as_str()), ("b", "done"));
        assert!(passage.done(3) == [2], "the first segment holds an intent that is open");
        let unknown = passage.unknown();
        assert_eq!((unknown[0].1.key.as_str(), unknown[0].1.outcome.as_str()), ("a", "unknown"));
        assert_eq!(passage.done(3), [1]);
    }

    #[test]
    fn what_was_shipped_before_a_crash_does_not_come_again_but_its_intents_are_known() {
        let mut passage = Passage::new("s", Path::new(""), 3);
        let record = |key: &str| Box::new(Record { key: key.into(), ..Record::default() });
        let frames = vec![
            (1, 1, Frame::Intent(record("a"))),
            (2, 1, Frame::Intent(record("b"))),
            (3, 1, Frame::End { intent: 1, end: End { outcome: "done".into(), status: 0, position: String::new() } }),
            (4, 1, Frame::Record(Spooled::Other(record("c")))),
        ];
        let out = passage.take(frames);
        assert_eq!(out, [(4, Spooled::Other(record("c")))]);
        assert_eq!(passage.unknown()[0].1.key, "b");
    }
}
