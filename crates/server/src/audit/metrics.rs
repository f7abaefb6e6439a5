//! What is counted of the trail.

use std::{sync::atomic::AtomicU64, time::Duration};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use super::record::Class;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfClass {
    class: &'static str,
}

/// What is counted of the trail. Clones count together; the default counts for nobody until it is registered.
#[derive(Clone, Debug)]
pub struct AuditMetrics {
    spooled: [Counter; 3],
    refused: [Counter; 3],
    shipped: Counter,
    rows: Counter,
    ship_failures: Counter,
    chain_breaks: Counter,
    spool_bytes: Gauge,
    lag_seconds: Gauge<f64, AtomicU64>,
    families: [Family<OfClass, Counter>; 2],
}

impl Default for AuditMetrics {
    fn default() -> Self {
        let families: [Family<OfClass, Counter>; 2] = Default::default();
        let of = |family: &Family<OfClass, Counter>| {
            [Class::Mutation, Class::Sensitive, Class::Read]
                .map(|class| family.get_or_create_owned(&OfClass { class: class.as_str() }))
        };
        Self {
            spooled: of(&families[0]),
            refused: of(&families[1]),
            shipped: Counter::default(),
            rows: Counter::default(),
            ship_failures: Counter::default(),
            chain_breaks: Counter::default(),
            spool_bytes: Gauge::default(),
            lag_seconds: Gauge::default(),
            families,
        }
    }
}

impl AuditMetrics {
    /// Registers everything.
    pub fn register(&self, registry: &mut Registry) {
        let [spooled, refused] = self.families.clone();
        registry.register("audit_records_spooled", "Records taken into the audit trail's spool", spooled);
        registry.register("audit_records_refused", "Records that the audit trail's spool had no room for", refused);
        registry.register("audit_records_shipped", "Records that are in the database", self.shipped.clone());
        registry.register("audit_rows_written", "Rows that stand for them", self.rows.clone());
        registry.register("audit_ship_failures", "Times that the database took no records", self.ship_failures.clone());
        registry.register(
            "audit_chain_breaks",
            "Chains found altered when they were extended",
            self.chain_breaks.clone(),
        );
        registry.register("audit_spool_bytes", "Bytes of the spool", self.spool_bytes.clone());
        registry.register("audit_lag_seconds", "How long the oldest record waits", self.lag_seconds.clone());
    }

    /// Records that were taken, of a class.
    pub fn spooled_count(&self, class: Class) -> u64 {
        self.spooled[place(class)].get()
    }

    /// Records that were refused, of a class.
    pub fn refused_count(&self, class: Class) -> u64 {
        self.refused[place(class)].get()
    }

    pub(super) fn spooled(&self, class: Class) {
        self.spooled[place(class)].inc();
    }

    pub(super) fn refused(&self, class: Class) {
        self.refused[place(class)].inc();
    }

    pub(super) fn shipped(&self, records: u64, rows: usize, breaks: usize) {
        self.shipped.inc_by(records);
        self.rows.inc_by(rows as u64);
        self.chain_breaks.inc_by(breaks as u64);
    }

    pub(super) fn ship_failed(&self) {
        self.ship_failures.inc();
    }

    pub(super) fn spool_bytes(&self, bytes: u64) {
        self.spool_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    pub(super) fn lag(&self, lag: Duration) {
        self.lag_seconds.set(lag.as_secs_f64());
    }
}

fn place(class: Class) -> usize {
    class as usize - 1
}
