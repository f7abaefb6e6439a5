//! What the outbox counts.

use std::time::Duration;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use super::registered;
use crate::outbox::OutboxStatus;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PublishedBy {
    by: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OmissionIn {
    table: String,
}

/// What the outbox counts. The default counts for nobody.
#[derive(Clone, Debug, Default)]
pub struct OutboxMetrics {
    pending: Gauge,
    oldest_pending_seconds: Gauge<f64, std::sync::atomic::AtomicU64>,
    published: Family<PublishedBy, Counter>,
    omissions: Family<OmissionIn, Counter>,
}

impl OutboxMetrics {
    pub(super) fn registered(r: &mut Registry) -> Self {
        Self {
            pending: registered(r, "cache_outbox_pending", "Rows of the outbox not published yet", Gauge::default()),
            oldest_pending_seconds: registered(
                r,
                "cache_outbox_oldest_pending_seconds",
                "How old the oldest row of the outbox is that is not published yet",
                Gauge::default(),
            ),
            published: registered(
                r,
                "cache_outbox_published",
                "Rows of the outbox published, by whom: the writer, the relay, or again after the store lost them",
                Family::default(),
            ),
            omissions: registered(
                r,
                "cache_outbox_omissions",
                "Tags that a write forgot to invalidate and a trigger did, by table",
                Family::default(),
            ),
        }
    }

    pub(crate) fn status(&self, status: &OutboxStatus) {
        self.pending.set(i64::try_from(status.pending).unwrap_or(i64::MAX));
        self.oldest_pending_seconds.set(Duration::from_millis(status.oldest_pending_ms).as_secs_f64());
    }

    pub(crate) fn published(&self, by: &'static str, rows: u64) {
        if rows > 0 {
            self.published.get_or_create(&PublishedBy { by }).inc_by(rows);
        }
    }

    /// Tables come from declarations: they are few.
    pub(crate) fn omission(&self, table: &str) {
        self.omissions.get_or_create(&OmissionIn { table: table.to_owned() }).inc();
    }
}
