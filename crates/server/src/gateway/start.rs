//! Starting a gateway from a configuration, and running it to its end.

use std::{
    net::SocketAddr,
    num::NonZeroU32,
    path::PathBuf,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use tokio::{sync::watch, task::JoinHandle};
use unstale::{
    BreakerLimits, Cache, CacheLimits, CacheVersion, InvalidRedisSettings, KeyRing, L1Limits, MemoryStore,
    RedisSettings, RedisStore, Sealing, SealingLimits, StoreError, sealing::MemorySubjectKeys,
};

use super::{
    assembly::{Build, GatewayService, Shared, StateError, control_settings, known, listen_settings},
    config::Plan,
    control,
    identity::tenancy,
    listen::{ListenError, ListenHandle, Listener, Mounted},
    metrics::GatewayMetrics,
    proxy::{Forward, ForwardSettings},
    reload,
};
use crate::{
    audit::{Audit, AuditKeys, AuditMetrics, AuditSettings, AuditTrail},
    database::{PoolLimits, connect, migrate_up},
    records::{self, Records},
    run::Answers,
    shared::{RECORD_LIMIT, SharedStore},
    statistics::{Limits, Writer},
    telemetry::{BuildInfo, HttpTelemetry, Metrics},
};

/// What an entry's encoding may take beside its body and headers, in bytes.
const ENCODING_BYTES: usize = 64 << 10;

/// Why a gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An upstream or a route cannot be made.
    #[error(transparent)]
    Configuration(Box<dyn std::error::Error + Send + Sync>),
    /// The listener cannot be used.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The API for backends cannot be listened on.
    #[error("[control] {0}")]
    Control(#[source] ListenError),
    /// The URL of Redis is none.
    #[error("the URL of Redis cannot be used: {0}")]
    Redis(#[from] InvalidRedisSettings),
    /// The audit trail's database cannot be used.
    #[error("the audit trail's database cannot be used: {0}")]
    AuditDatabase(#[from] sea_orm::DbErr),
    /// Nor its spool.
    #[error("the audit trail's spool {directory} cannot be made: {source}", directory = directory.display())]
    AuditSpool {
        /// Where it was to be.
        directory: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The records' database cannot be used.
    #[error("[records] the database cannot be used: {0}")]
    RecordsDatabase(#[source] sea_orm::DbErr),
    /// The store refuses this node.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<StateError> for StartError {
    fn from(error: StateError) -> Self {
        Self::Configuration(Box::new(error))
    }
}

/// A gateway that listens and does not answer yet.
pub struct Gateway {
    shared: Arc<Shared>,
    service: GatewayService,
    listener: Listener,
    control: Option<(Listener, Answers)>,
    keeps_up: SharedStore,
    keeping: Vec<JoinHandle<()>>,
    source: Option<PathBuf>,
}

impl Gateway {
    /// Starts what a configuration says. With its file, `source`, it follows what changes there.
    pub async fn start(plan: Plan, source: Option<PathBuf>, build: &BuildInfo) -> Result<Self, StartError> {
        // Before anything else is touched: another gateway may be running here.
        let listener = Listener::bind(listen_settings(&plan)).await?;
        let control = match &plan.file.control {
            None => None,
            Some(control) => Some(Listener::bind(control_settings(&plan, control)).await.map_err(StartError::Control)?),
        };
        let gateway_metrics = Arc::new(GatewayMetrics::default());
        let audit_metrics = AuditMetrics::default();
        let metrics = Arc::new(Metrics::with_application(build, |registry| {
            gateway_metrics.register(registry);
            audit_metrics.register(registry);
        }));
        let audit = open_audit(&plan, audit_metrics).await?;
        let store = open_store(&plan)?;
        let (records, writer) = open_records(&plan, &metrics).await.map_err(StartError::RecordsDatabase)?.unzip();
        let cache = build_cache(&plan, &store, records.as_ref(), &metrics).await?;
        metrics.watch(&cache);
        if let SharedStore::Redis(redis) = &store {
            metrics.watch_redis(redis);
        }
        let secret = plan.secret.as_ref().map_or_else(
            || {
                tracing::info!("no secret is given: one is made for as long as this process runs");
                rand::random::<[u8; 32]>().to_vec()
            },
            |secret| secret.expose().to_vec(),
        );
        // What is not to be believed was taken out before the cache; what is left was said by a proxy that is trusted.
        let anybody = ["0.0.0.0/0", "::/0"].map(|all| all.parse().expect("these are networks"));
        let forward = Forward::new(ForwardSettings { trusted: anybody.to_vec(), ..ForwardSettings::default() });
        let build = Build { cache, forward, metrics: gateway_metrics.clone(), secret, audit, records };
        let first = build.state(plan, None)?;
        let shared = Shared::new(build, first);
        gateway_metrics.watch(&shared);
        let keeping = writer.map_or_else(Vec::new, |writer| shared.keep_records(writer));
        let service = GatewayService::new(&shared, &HttpTelemetry::new(metrics.clone()));
        let control = control.map(|control| {
            let app = control::router(&shared, &service, &metrics, listener.handle());
            (control, control::readiness(&shared).around(app))
        });
        Ok(Self { shared, service, listener, control, keeps_up: store, keeping, source })
    }

    /// Where it listens; the port is known even if 0 was asked for.
    pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Where the API for backends is.
    pub fn control_addr(&self) -> Option<SocketAddr> {
        self.control.as_ref().and_then(|(listener, _)| listener.local_addr().ok())
    }

    /// A hold on the listener.
    pub fn listening(&self) -> ListenHandle {
        self.listener.handle()
    }

    /// Answers until `stop` is over and what runs has ended.
    pub async fn run(self, stop: impl Future<Output = ()> + Send + 'static) {
        let Self { shared, service, listener, control, keeps_up, keeping, source } = self;
        let (tell, told) = watch::channel(false);
        let stopping = move || {
            let mut told = told.clone();
            async move { drop(told.wait_for(|stopping| *stopping).await) }
        };
        let keeping_up = tokio::spawn(keeps_up.keep_up(shared.build.cache.clone()));
        let following = source.map(|source| tokio::spawn(reload::follow(shared.clone(), source)));
        let stopped = async move {
            stop.await;
            let _ = tell.send(true);
        };
        let answering = listener.run(service, stopping());
        let controlled = async {
            match control {
                None => {}
                Some((listener, answers)) => {
                    let stop = stopping();
                    let stopping = answers.stopping;
                    let stop = async move {
                        stop.await;
                        stopping.store(true, Relaxed);
                    };
                    listener.run(Mounted(answers.app), stop).await;
                }
            }
        };
        tokio::join!(stopped, answering, controlled);
        keeping_up.abort();
        following.iter().for_each(JoinHandle::abort);
        if let Some(records) = &shared.build.records {
            records.finish().await;
        }
        keeping.iter().for_each(JoinHandle::abort);
        if let Some(audit) = &shared.build.audit {
            audit.close(RECORD_LIMIT).await;
        }
    }
}

async fn open_audit(plan: &Plan, metrics: AuditMetrics) -> Result<Option<Audit>, StartError> {
    let (Some(file), Some(url), Some(secret)) = (&plan.file.audit, &plan.audit_url, &plan.secret) else {
        return Ok(None);
    };
    let url = url.expose_text().expect("the file was checked");
    let pool = connect(url, "unstale gateway", &PoolLimits { connections_max: 4, ..PoolLimits::default() }).await?;
    migrate_up(&pool).await?;
    let settings = AuditSettings {
        directory: plan.path(&file.directory),
        level: file.level.into(),
        spool_bytes_max: file.spool_max.0,
        syncs: file.sync,
        retention: file.retention.map(|kept| kept.0),
    };
    let trail = AuditTrail::new(pool, AuditKeys::derive(secret.expose()));
    let audit = Audit::start(&settings, trail, metrics);
    audit.map(Some).map_err(|source| StartError::AuditSpool { directory: settings.directory, source })
}

fn open_store(plan: &Plan) -> Result<SharedStore, StartError> {
    let Some(url) = plan.redis_url.as_ref().and_then(|url| url.expose_text()) else {
        return Ok(SharedStore::Embedded(Arc::new(MemoryStore::default())));
    };
    let file = &plan.file.cache;
    let version = CacheVersion::new(&file.version).expect("the file was checked");
    let settings = RedisSettings { version, ..RedisSettings::new(url, &file.namespace) };
    Ok(SharedStore::Redis(Arc::new(RedisStore::new(settings)?)))
}

async fn open_records(plan: &Plan, metrics: &Metrics) -> Result<Option<(Records, Writer)>, sea_orm::DbErr> {
    let (Some(file), Some(url)) = (&plan.file.records, &plan.records_url) else { return Ok(None) };
    let url = url.expose_text().expect("the file was checked");
    let pool = connect(url, "unstale gateway records", &records::pool_limits()).await?;
    migrate_up(&pool).await?;
    let limits = Limits { write_every: file.write_every.0, ..Limits::default() };
    Records::open(pool, known(plan), limits, metrics).await.map(Some)
}

async fn build_cache(
    plan: &Plan,
    store: &SharedStore,
    records: Option<&Records>,
    metrics: &Metrics,
) -> Result<Cache, StartError> {
    let file = &plan.file.cache;
    let usual = L1Limits::default();
    let value = file.response_body_max.as_usize() + file.response_headers_max.as_usize() + ENCODING_BYTES;
    let l1 = L1Limits {
        bytes_max: file.memory_max.0,
        tenant_bytes_max: file.tenant_memory_max.map_or(usual.tenant_bytes_max, |bytes| bytes.0),
        value_bytes_max: value.max(usual.value_bytes_max),
        ..usual
    };
    let limits = CacheLimits { l1, ..CacheLimits::default() };
    let breaker = BreakerLimits {
        failures_max: file.redis_breaker_failures,
        open_for: file.redis_breaker_open.0,
        ..BreakerLimits::default()
    };
    let mut builder = store.cache(breaker).limits(limits).observer(metrics.observer());
    for (tenant, weight) in weights(file) {
        builder = builder.tenant_weight(tenant, weight);
    }
    if let Some(records) = records {
        builder = records.observe(builder);
    }
    if let Some(sealing) = sealing(plan) {
        builder = builder.sealing(sealing);
    }
    Ok(builder.build().await?)
}

/// Seals what goes to Redis, with a key that follows from the secret, which all nodes have. Whom a response is about is not
/// known here, so there are no keys of people.
fn sealing(plan: &Plan) -> Option<Sealing> {
    let secret = plan.secret.as_ref()?.expose();
    let key = blake3::derive_key("unstale-server 2026 gateway: sealing of cached responses", secret);
    let ring = KeyRing::new([key]).expect("a derived key is random");
    let version = CacheVersion::new(&plan.file.cache.version).expect("the file was checked");
    Some(Sealing::new(ring, Arc::<MemorySubjectKeys>::default(), version, SealingLimits::default()))
}

/// The weights of tenants, as a file gives them.
pub(super) fn weights(file: &super::config::file::Cache) -> impl Iterator<Item = (unstale::Tenant, NonZeroU32)> + '_ {
    file.tenant_weights.iter().filter_map(|(name, weight)| Some((tenancy::tenant(name)?, *weight)))
}
