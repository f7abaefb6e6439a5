//! What code forgot to invalidate: counted, told in the log, and the newest remembered.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use parking_lot::Mutex;
use unstale::Timestamp;

use super::compare::Omission;
use crate::telemetry::OutboxMetrics;

/// An omission that was seen once or more often.
#[derive(Clone, Debug)]
pub struct SeenOmission {
    /// What was forgotten, as it was seen last.
    pub omission: Omission,
    /// How often a tag of this kind was forgotten for this kind of statement on this table.
    pub count: u64,
    /// When it was seen last, by the cache's clock.
    pub last_seen: Timestamp,
}

#[derive(Debug)]
pub(super) struct Omissions {
    /// By table, kind of statement and kind of tag; the one seen longest ago first.
    seen: Mutex<VecDeque<SeenOmission>>,
    kept_max: usize,
    total: AtomicU64,
    metrics: OutboxMetrics,
}

impl Omissions {
    pub(super) fn new(kept_max: usize, metrics: OutboxMetrics) -> Self {
        Self { seen: Mutex::default(), kept_max, total: AtomicU64::new(0), metrics }
    }

    pub(super) fn note(&self, omission: Omission, now: Timestamp) {
        tracing::warn!(
            table = omission.table,
            statement = omission.statement.as_str(),
            tag = omission.tag_text(),
            "a write forgot to invalidate; the table's trigger did it instead. Let the code declare this tag"
        );
        self.total.fetch_add(1, Relaxed);
        self.metrics.omission(&omission.table);
        let mut seen = self.seen.lock();
        let is_it = |held: &SeenOmission| {
            let held = &held.omission;
            held.table == omission.table
                && held.statement == omission.statement
                && held.tag.kind() == omission.tag.kind()
        };
        let before = seen.iter().position(is_it).and_then(|at| seen.remove(at)).map_or(0, |held| held.count);
        if seen.len() >= self.kept_max {
            seen.pop_front();
        }
        if self.kept_max > 0 {
            seen.push_back(SeenOmission { omission, count: before + 1, last_seen: now });
        }
    }

    pub(super) fn newest(&self) -> Vec<SeenOmission> {
        self.seen.lock().iter().rev().cloned().collect()
    }

    pub(super) fn total(&self) -> u64 {
        self.total.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use unstale::Tag;

    use super::*;
    use crate::outbox::StatementKind;

    #[test]
    fn equal_omissions_are_one_and_the_oldest_give_way() {
        let omissions = Omissions::new(2, OutboxMetrics::default());
        let note = |table: &str, id: u32, at| {
            let tag = Tag::shared("flow", id);
            let omission = Omission { table: table.to_owned(), statement: StatementKind::Update, tag, is_named: false };
            omissions.note(omission, Timestamp::from_millis(at));
        };
        note("a", 1, 1);
        note("b", 2, 2);
        note("a", 3, 3);
        let newest = omissions.newest();
        assert_eq!(
            newest.iter().map(|seen| (seen.omission.table.as_str(), seen.count)).collect::<Vec<_>>(),
            [("a", 2), ("b", 1)]
        );
        assert_eq!(newest[0].omission.tag, Tag::shared("flow", 3));
        note("c", 4, 4);
        assert_eq!(omissions.newest().len(), 2);
        assert_eq!(omissions.newest()[1].omission.table, "a");
        assert_eq!(omissions.total(), 4);
    }
}
