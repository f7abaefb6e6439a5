//! Shipping: from the spool's segments to the database, beside the requests. *Does*.
//!
//! # Invariants
//! - A segment is deleted when all of it is in the database, and not before.
//! - An intent whose end is not known when its process is over is recorded as unknown.
//! - Nothing is taken for shipped because the database says so without our seal: then each record is looked for there.
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
    marks::{self, Mark},
    metrics::AuditMetrics,
    now_ms,
    record::{Operation, Outcome, Record},
    spool::{
        Leftover, SpoolReader,
        frame::{End, Frame},
    },
    table::{self, Appended, Known, OWN, Part, ShipError},
};

/// How often the spool is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The wait after the database has failed; it doubles with each further time.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// The longest wait.
const WAIT_MAX: Duration = Duration::from_secs(5);
/// Up to where a spool is shipped of which nothing is left.
const ALL: u64 = i64::MAX as u64;

/// What a record is about that says that a spool's mark was altered.
pub(super) const SPOOL: &str = "audit_spool";

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
    /// What the database says of that.
    mark: Mark,
    /// Whether more may be in the database than `shipped` says, so that records are looked for before they are sent.
    is_doubtful: bool,
    /// Whether it is to be recorded that what the database said was altered.
    was_altered: bool,
    /// Intents whose end was not read yet, each with its segment.
    pending: BTreeMap<u64, (u64, Box<Record>)>,
    /// Segments that were read and are not deleted.
    segments: BTreeSet<u64>,
}

impl Passage {
    /// Of which nothing is in the database.
    fn new(spool: &str, folder: &Path) -> Self {
        Self {
            spool: spool.to_owned(),
            reader: SpoolReader::new(folder),
            shipped: 0,
            mark: Mark::Missing,
            is_doubtful: false,
            was_altered: false,
            pending: BTreeMap::new(),
            segments: BTreeSet::new(),
        }
    }

    /// Of a former run, of which the database says this. What its process sent last may be there without that.
    fn left(spool: &str, folder: &Path, mark: Mark) -> Self {
        let shipped = if let Mark::At(shipped) = mark { shipped } else { 0 };
        Self { shipped, mark, is_doubtful: true, was_altered: mark == Mark::Altered, ..Self::new(spool, folder) }
    }

    /// The database says something else than was thought.
    fn is_told(&mut self, mark: Mark) {
        let spool = self.spool.as_str();
        match mark {
            // What a process sent before it was killed was carried out after this one had asked how far it came; or the
            // answer to a commit was lost.
            Mark::At(actual) if actual > self.shipped => self.shipped = actual,
            Mark::At(actual) => tracing::error!(
                spool,
                actual,
                expected = self.shipped,
                "the database knows another state of this node's audit spool than was left there: it was put back; what \
                 was recorded since then is missing in it"
            ),
            Mark::Missing | Mark::Unsealed | Mark::Altered => {
                tracing::error!(spool, ?mark, "how far this node's audit spool is shipped was altered in the database");
                (self.is_doubtful, self.was_altered) = (true, true);
            }
        }
        self.mark = mark;
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

fn altered(at_ms: u64, spool: &str) -> Record {
    Record {
        at_ms,
        operation: Operation::ALTERED.as_str().to_owned(),
        outcome: Outcome::Done.as_str().to_owned(),
        entity: SPOOL.to_owned(),
        key: spool.to_owned(),
        detail: "how far this spool is shipped was altered; its records were looked for one by one".to_owned(),
        times: 1,
        ..Record::default()
    }
}

/// What is to be shipped of a piece of a spool: its records, and what is to be told besides.
#[derive(Clone, Copy)]
struct Piece<'a> {
    records: &'a [(u64, Spooled)],
    reads: &'a Reads,
    besides: &'a [Numbered],
}

impl Piece<'_> {
    /// The rest of it.
    fn after(&self, shipped: u64) -> Vec<Numbered> {
        let mut rest = folded(self.records, self.reads, shipped);
        rest.extend_from_slice(self.besides);
        rest
    }
}

impl Shipper {
    pub(super) fn new(pool: DatabaseConnection, keys: AuditKeys, metrics: AuditMetrics) -> Self {
        Self { pool, keys, metrics, known: Known::default() }
    }

    /// Ships what former runs have left, then what this one spools, until everybody has let go of the trail.
    pub(super) async fn run(mut self, shared: std::sync::Weak<Shared>, directory: std::path::PathBuf) {
        if let Err(error) = self.leftovers(&directory).await {
            tracing::error!(%error, "what former runs have left of the audit trail cannot be looked for; it stays");
        }
        let Some(mut passage) = shared.upgrade().map(|it| Passage::new(it.spool.name(), it.spool.folder())) else {
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
        self.ship(passage, through, Piece { records: &records, reads: &chunk.reads, besides: &besides }).await;
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
    async fn ship(&mut self, passage: &mut Passage, through: u64, piece: Piece<'_>) {
        let mut wait = FIRST_WAIT;
        let mut is_told = false;
        while !matches!(passage.mark, Mark::At(shipped) if shipped >= through) {
            match self.append(passage, through, piece).await {
                Ok((records, appended)) => {
                    if is_told {
                        tracing::info!("the database takes the audit trail again");
                    }
                    self.metrics.shipped(records, appended.rows, appended.broken);
                    (passage.mark, passage.was_altered) = (Mark::At(through), false);
                }
                Err(ShipError::Elsewhere(mark)) => passage.is_told(mark),
                Err(ShipError::Database(error)) => {
                    if !is_told {
                        tracing::warn!(%error, "the audit trail waits in its spool: the database does not take it");
                        is_told = true;
                    }
                    self.metrics.ship_failed();
                    let rest = piece.after(passage.shipped);
                    let oldest = rest.first().map_or(0, |(_, record)| now_ms().saturating_sub(record.at_ms));
                    self.metrics.lag(Duration::from_millis(oldest));
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(WAIT_MAX);
                }
            }
        }
        passage.shipped = passage.shipped.max(through);
    }

    /// Tries it once. Returns how many records were sent, and what became of them.
    async fn append(
        &mut self,
        passage: &mut Passage,
        through: u64,
        piece: Piece<'_>,
    ) -> Result<(u64, Appended), ShipError> {
        let mut batch = piece.after(passage.shipped);
        if passage.is_doubtful && !batch.is_empty() {
            let found = table::recorded(&self.pool, &self.keys, &passage.spool, &batch).await?;
            // A batch is there whole, so all before one that is there are there. Of equal reads the first stands for all.
            let reached = found.iter().map(|(number, _)| *number).max().unwrap_or_default();
            let is_missing = |number: u64, record: &Record| !found.contains(&(number, record.operation.clone()));
            batch = folded(piece.records, piece.reads, passage.shipped.max(reached));
            batch.extend(piece.besides.iter().filter(|(number, record)| is_missing(*number, record)).cloned());
            passage.is_doubtful = !found.is_empty();
        }
        if passage.was_altered {
            batch.push((through, altered(now_ms(), &passage.spool)));
        }
        let part = Part { spool: &passage.spool, before: passage.mark, through, now_ms: now_ms() };
        let mut appended = table::append(&self.pool, &self.keys, part, &batch, &mut self.known).await?;
        appended.broken += usize::from(passage.was_altered);
        Ok((batch.iter().map(|(_, record)| u64::from(record.times)).sum(), appended))
    }

    async fn leftovers(&mut self, directory: &Path) -> std::io::Result<()> {
        let directory = directory.to_owned();
        let found = tokio::task::spawn_blocking(move || Leftover::all_in(&directory));
        for leftover in found.await.map_err(std::io::Error::other)?? {
            let spool = leftover.name.clone();
            if let Err(error) = self.leftover(leftover).await {
                tracing::error!(
                    spool,
                    %error,
                    "what a former run has left of the audit trail cannot be read; it is set aside until a next start can"
                );
            }
        }
        Ok(())
    }

    async fn leftover(&mut self, leftover: Leftover) -> std::io::Result<()> {
        let mut wait = FIRST_WAIT;
        let mark = loop {
            match marks::mark(&self.pool, &self.keys, &leftover.name).await {
                Ok(mark) => break mark,
                Err(_) => tokio::time::sleep(wait).await,
            }
            wait = (wait * 2).min(WAIT_MAX);
        };
        if mark == Mark::Altered {
            tracing::error!(
                spool = leftover.name,
                "how far this spool is shipped was altered in the database; its records are looked for one by one"
            );
        }
        tracing::info!(
            spool = leftover.name,
            bytes = leftover.bytes(),
            "shipping what a former run left of the audit trail"
        );
        let mut passage = Passage::left(&leftover.name, &leftover.folder, mark);
        let mut damaged = 0;
        // Else it is all there, and only its folder stayed.
        let mut is_more = passage.shipped < ALL;
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
                let piece = Piece { records: &records, reads: &chunk.reads, besides: &besides };
                self.ship(&mut passage, ALL, piece).await;
            } else if through > passage.shipped {
                let piece = Piece { records: &records, reads: &chunk.reads, besides: &[] };
                self.ship(&mut passage, through, piece).await;
            }
        }
        let spool = leftover.name.clone();
        tokio::task::spawn_blocking(move || leftover.remove()).await.map_err(std::io::Error::other)??;
        // A row that stays says nothing of any spool that is there.
        if let Err(error) = marks::forget_spool(&self.pool, &spool).await {
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
        let mut passage = Passage::new("s", Path::new(""));
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
        let mut passage = Passage::left("s", Path::new(""), Mark::At(3));
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
