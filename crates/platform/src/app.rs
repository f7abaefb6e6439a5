//! The application, put together: the same for the server and for tests.
//!
//! ```text
//! request ─▶ telemetry ─▶ authentication ─▶ cache ─▶ handler ─▶ views ─▶ cache ─▶ repository ─▶ database
//! ```

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use axum::{
    Router,
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::get,
};
use chrono::Utc;
use tower::{ServiceBuilder, util::BoxCloneSyncService};
use unstale::{CacheBuilder, CacheLimits};
use unstale_http::{CacheLayer, CompressionLayer};
use unstale_server::{
    audit::{Audit, AuditKeys, AuditLayer, AuditMetrics, Writes},
    flags::Flags,
    live::{LiveHub, LiveLimits},
    problem::Problem,
    run::Readiness,
    sealing,
    secret::{Purpose, Secret},
    settings::CommonSettings,
    shared::{RECORD_LIMIT, SharedStore, record_pending},
    telemetry::{BuildInfo, DatabaseMetrics, HttpTelemetry, Metrics, VitalsMetrics},
};

use crate::{
    api::{self, Platform, import_job, import_job::ImportQueue, policies, state::Shared},
    auth::{
        admissions::Admissions, middleware::AuthLayer, passwords::Passwords, seen::Seen, sign_in::SignInAttempts,
        tokens::Tokens,
    },
    coherence::{Views, tags},
    experience::Experience,
    flags::{FLAGS, FlagLayer},
    live::Live,
    records::Records,
    settings::Settings,
    store::{PoolLimits, Store, StoreMetrics},
    warming::Warmer,
    web,
};

const BUILD: BuildInfo = BuildInfo {
    version: env!("CARGO_PKG_VERSION"),
    commit: match option_env!("GIT_COMMIT") {
        Some(commit) => commit,
        None => "unknown",
    },
};
/// How long the database may take to say that it is there.
const READY_WITHIN: Duration = Duration::from_secs(2);

/// The running application.
pub struct App {
    /// Answers requests.
    pub router: Router,
    platform: Platform,
}

impl App {
    /// Opens the database, brings it up to date, and starts everything that runs beside requests.
    pub async fn build(settings: Settings) -> anyhow::Result<Self> {
        let data_dir = settings.common.data_dir.clone();
        std::fs::create_dir_all(&data_dir)
            .with_context(|| format!("DATA_DIR {} cannot be made; name a directory that can", data_dir.display()))?;
        let secret = Secret::load_or_create(&data_dir)?;
        let (audit_metrics, vitals) = (AuditMetrics::default(), VitalsMetrics::default());
        let database = DatabaseMetrics::default();
        let metrics = Arc::new(Metrics::with_application(&BUILD, |registry| {
            audit_metrics.register(registry);
            vitals.register(registry);
            database.register(registry);
        }));
        let (url, limits) = (settings.common.database_url.expose(), PoolLimits::default());
        let experience = Experience::new(database.clone(), Utc::now());
        let counted = StoreMetrics { outbox: metrics.outbox(), database };
        let store = Store::connect_with(url, &limits, settings.outbox, counted);
        let store = store.await.context("the database cannot be opened")?;
        store.migrate_up().await.context("the database cannot be brought up to date")?;

        let trail = store.audit_trail(AuditKeys::derive(&secret.key(Purpose::Audit)));
        let audit = Audit::start(&settings.audit, trail, audit_metrics)
            .context("the audit trail's spool in DATA_DIR cannot be made")?;
        let store = store.audited(audit.clone());
        let shared =
            SharedStore::open(&settings.common).context("REDIS_URL and the settings beside it cannot be used")?;
        let hub = LiveHub::new(secret.group_key(), shared.store().partitions(), LiveLimits::default(), metrics.live());
        let (warmer, occasions) = Warmer::new(metrics.warm());
        let (records, writer) = Records::open(settings.common.database_url.expose(), &store, &secret, &metrics).await?;
        let breaker = settings.common.redis.as_ref().map(|redis| redis.breaker).unwrap_or_default();
        let cache = shared.cache(breaker).observer(metrics.observer()).observer(hub.observer());
        let cache = with_sealing(cache, &settings, &secret, &store).await?;
        let flags = Flags::new(&FLAGS, store.pool().clone(), tags::flags().id());
        let cache = cache.observer(flags.observer());
        let cache = records.observe(cache.observer(Arc::new(warmer.clone()))).build().await?;
        flags.read(cache.frontiers()).await.context("the feature flags cannot be read")?;
        tokio::spawn(flags.run(&cache));
        records.start(&cache, writer);
        metrics.watch(&cache);
        let (live, listening) = (Live::new(hub.clone()), cache.clone());
        tokio::spawn(async move { hub.run(&listening).await });
        if let SharedStore::Redis(store) = &shared {
            metrics.watch_redis(store);
        }
        tokio::spawn(shared.keep_up(cache.clone()));
        let relay = store.outbox().relay(cache.clone());
        tokio::spawn(async move { relay.run().await });

        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let platform = Platform(Arc::new(Shared {
            views: Views::new(store.clone(), cache.clone()).governed(&records.configuration, &records.watch),
            passwords: Passwords::new(settings.password_cost, cores),
            tokens: Tokens::new(&secret.key(Purpose::Tokens)),
            admissions: Admissions::default(),
            sign_ins: SignInAttempts::default(),
            seen: Seen::start(store.clone(), cache.clone()),
            imports: ImportQueue::default(),
            inner: std::sync::OnceLock::new(),
            warmer,
            records,
            flags,
            vitals,
            experience,
            settings,
            store,
            cache,
            live,
            audit,
        }));
        import_job::clean_up(&platform).await?;
        ImportQueue::start(&platform).await;
        platform.warmer.start(occasions, &platform.store, &platform.views, &platform.flags);
        let router = assemble(&platform, &secret, &metrics)?;
        Ok(Self { router, platform })
    }

    /// The platform within.
    pub fn platform(&self) -> &Platform {
        &self.platform
    }

    /// What must be well for requests to be sent here.
    pub fn readiness(&self) -> Readiness {
        let store = self.platform.store.clone();
        Readiness::new().check("database", READY_WITHIN, move || {
            let store = store.clone();
            async move { store.ping().await.map_err(|_| "the database does not answer".to_owned()) }
        })
    }

    /// What is to be done when no request is answered any more: to record what the cache's store has not taken yet, and
    /// to note what it has.
    pub fn on_stopped(&self) -> impl Future<Output = ()> + use<> {
        let platform = self.platform.clone();
        async move {
            _ = record_pending(&platform.cache, RECORD_LIMIT).await;
            platform.cache.leave().await;
            platform.records.finish().await;
            platform.audit.close(RECORD_LIMIT).await;
            platform.store.outbox().flush().await;
        }
    }

    /// What is to be done when the server stops.
    pub fn on_stop(&self) -> impl FnOnce() + Send + use<> {
        let live = self.platform.live.clone();
        move || live.hub().close_all()
    }
}

/// Seals what goes to a shared store, and bounds how long anything about people is kept.
async fn with_sealing(
    cache: CacheBuilder,
    settings: &Settings,
    secret: &Secret,
    store: &Store,
) -> anyhow::Result<CacheBuilder> {
    let CommonSettings { sealing, cache_version, redis, .. } = &settings.common;
    let limits = CacheLimits { subject_lifetime_max: sealing.subject_lifetime_max, ..CacheLimits::default() };
    let keys = Arc::new(store.subject_keys());
    let (cache, is_memory_sealed) = (cache.limits(limits), sealing.is_memory_sealed);
    if let Some((sealing, keeper)) = sealing::open(sealing, secret, keys, cache_version.clone()).await? {
        tokio::spawn(keeper.keep_up());
        return Ok(cache.sealing(sealing).sensitive_in_memory(!is_memory_sealed));
    }
    if redis.is_some() {
        tracing::warn!("SEALING_ENABLED=false: values about people stay in each node's memory, others go in clear");
    }
    Ok(cache)
}

fn assemble(platform: &Platform, secret: &Secret, metrics: &Arc<Metrics>) -> anyhow::Result<Router> {
    let cache = CacheLayer::new(platform.cache.clone(), policies::table()?, &secret.key(Purpose::Etags))
        .group_key(secret.group_key())
        .observer(platform.live.observer());
    let cache = platform.records.response_observers().into_iter().fold(cache, CacheLayer::observer);
    platform.records.tune(&cache);
    let (public, private) = api::routers(platform);
    let audit = AuditLayer::new(platform.audit.clone(), Writes::ByApplication)
        .sensitive(policies::is_sensitive)
        .subject_parameter("user_id");
    let switched = FlagLayer::new(platform.clone());
    let compression = CompressionLayer::default();
    // Within a batch nothing is encoded by itself; but browsers name there what they were given alone.
    let recorded = ServiceBuilder::new()
        .layer(compression.clone())
        .layer(audit.clone())
        .layer(switched.clone())
        .layer(cache.clone());
    let inner = private.clone().layer(recorded).fallback(nothing_here);
    platform.0.inner.set(BoxCloneSyncService::new(inner)).map_err(drop).expect("the application is assembled once");
    let document = api::document().to_json().context("the OpenAPI document cannot be written")?;
    let scraped = metrics.clone();
    let telemetry = HttpTelemetry::new(metrics.clone());
    // All layers of a route in one go: each `Router::layer` is a box that every request clones and fills.
    let private = private.method_not_allowed_fallback(wrong_method).layer(
        ServiceBuilder::new()
            .layer(telemetry.clone())
            .layer(compression.clone())
            .layer(AuthLayer::new(platform.clone()))
            .layer(audit)
            .layer(switched)
            .layer(platform.records.watch_layer(platform))
            .layer(cache.clone()),
    );
    let public = public
        .method_not_allowed_fallback(wrong_method)
        .layer(ServiceBuilder::new().layer(telemetry.clone()).layer(compression).layer(cache));
    let router = Router::new()
        .route(&format!("{}/openapi.json", api::BASE), get(move || std::future::ready(openapi(document.clone()))))
        .route("/metrics", get(move || async move { scraped.respond() }))
        .fallback_service(web::assets().service())
        .method_not_allowed_fallback(wrong_method)
        .layer(telemetry)
        .merge(public)
        .merge(private);
    Ok(router)
}

fn openapi(document: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-cache")], document).into_response()
}

async fn nothing_here() -> Problem {
    Problem::not_found()
}

async fn wrong_method() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed")
        .detail("This address does not take this method. The Allow header names those it takes.")
}
