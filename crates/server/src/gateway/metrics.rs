//! What is counted of the gateway, besides requests and the cache.

use std::sync::{Arc, OnceLock, Weak};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _},
    metrics::{
        counter::{ConstCounter, Counter},
        family::Family,
        gauge::ConstGauge,
    },
    registry::{Registry, Unit},
};

use super::{assembly::Shared, identity::KNOWN};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

/// What is counted of the gateway.
#[derive(Debug, Default)]
pub(crate) struct GatewayMetrics {
    reloads: Family<Outcome, Counter>,
    identities: Family<Outcome, Counter>,
    /// The one of those that nearly every request counts, resolved.
    known: OnceLock<Counter>,
    refusals: Family<Reason, Counter>,
    writes_untold: Counter,
    upstreams: Upstreams,
}

/// Tells of the upstreams of the state that counts when it is asked.
#[derive(Clone, Debug, Default)]
struct Upstreams(Arc<OnceLock<WeakShared>>);

struct WeakShared(Weak<Shared>);

impl std::fmt::Debug for WeakShared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WeakShared")
    }
}

impl GatewayMetrics {
    /// Registers everything.
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register(
            "gateway_config_reloads",
            "Times that the configuration was read again, by what became of it",
            self.reloads.clone(),
        );
        registry.register("gateway_identities", "Requests by what is known of who sent them", self.identities.clone());
        registry.register("gateway_refusals", "Requests that the gateway refused, and why", self.refusals.clone());
        registry.register(
            "gateway_writes_untold",
            "Writes of unknown senders whose groups could not be declared wrong for want of a tenant",
            self.writes_untold.clone(),
        );
        registry.register_collector(Box::new(self.upstreams.clone()));
    }

    /// Says whose upstreams are told. Only the first call counts.
    pub(crate) fn watch(&self, shared: &Arc<Shared>) {
        let _ = self.upstreams.0.set(WeakShared(Arc::downgrade(shared)));
    }

    pub(crate) fn reloaded(&self, outcome: &'static str) {
        self.reloads.get_or_create(&Outcome { outcome }).inc();
    }

    pub(crate) fn identified(&self, outcome: &'static str) {
        let counter = || self.identities.get_or_create_owned(&Outcome { outcome });
        if outcome == KNOWN {
            self.known.get_or_init(counter).inc()
        } else {
            counter().inc()
        };
    }

    pub(crate) fn refused(&self, reason: &'static str) {
        self.refusals.get_or_create(&Reason { reason }).inc();
    }

    pub(crate) fn write_untold(&self) {
        self.writes_untold.inc();
    }
}

impl Collector for Upstreams {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let Some(shared) = self.0.get().and_then(|shared| shared.0.upgrade()) else { return Ok(()) };
        let state = shared.current.load();
        let reports: Vec<_> =
            state.upstreams.iter().map(|(name, (_, upstream))| (name.as_str(), upstream.report())).collect();
        let no_unit: Option<&Unit> = None;
        let kinds = ["requests", "retries", "failures"];
        for (at, kind) in kinds.into_iter().enumerate() {
            let name = format!("gateway_upstream_{kind}");
            let help = ["Requests to the upstream", "Requests sent once more", "Requests that no server answered"][at];
            let mut family =
                encoder.encode_descriptor(&name, help, no_unit, prometheus_client::metrics::MetricType::Counter)?;
            for (name, report) in &reports {
                let count = [report.requests, report.retries, report.failures][at];
                ConstCounter::new(count).encode(family.encode_family(&[("upstream", *name)])?)?;
            }
        }
        let mut family = encoder.encode_descriptor(
            "gateway_upstream_servers_well",
            "Servers of the upstream that get requests",
            no_unit,
            prometheus_client::metrics::MetricType::Gauge,
        )?;
        for (name, report) in &reports {
            let well = report.servers.iter().filter(|server| server.well).count();
            let well = i64::try_from(well).unwrap_or(i64::MAX);
            ConstGauge::new(well).encode(family.encode_family(&[("upstream", *name)])?)?;
        }
        Ok(())
    }
}
