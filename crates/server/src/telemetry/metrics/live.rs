//! What the live events count.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use super::registered;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LiveEvent {
    kind: &'static str,
}

/// What the live events count. The default counts for nobody.
#[derive(Clone, Debug, Default)]
pub struct LiveMetrics {
    sockets: Gauge,
    events: Family<LiveEvent, Counter>,
}

impl LiveMetrics {
    pub(super) fn registered(r: &mut Registry) -> Self {
        Self {
            sockets: registered(r, "live_sockets", "Open sockets for live events", Gauge::default()),
            events: registered(r, "live_events", "Live events, by what became of them", Family::default()),
        }
    }

    pub(crate) fn sockets(&self, count: usize) {
        self.sockets.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    pub(crate) fn event(&self, kind: &'static str) {
        self.events.get_or_create(&LiveEvent { kind }).inc();
    }
}
