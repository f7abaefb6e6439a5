//! Following the configuration file: at SIGHUP, and when the file or a file that it names changes.
//!
//! # Invariants
//! - A file with faults changes nothing: its faults are logged, and what counted goes on counting.
//! - What cannot change while the gateway runs is named in the log; everything else counts at once.

use std::{
    num::NonZeroU32,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use super::{
    assembly::Shared,
    config::{self, Faults, Plan, ReadFile},
    start::weights,
};

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Follows the file for as long as it is polled.
pub(super) async fn follow(shared: Arc<Shared>, source: PathBuf) {
    let mut hangup = hangup();
    // As they were when they were read, not as they are now: they may have changed in between.
    let mut seen = shared.current.load().plan.files.clone();
    loop {
        let asked = tokio::select! {
            () = hangup.recv() => true,
            () = tokio::time::sleep(LOOK_EVERY) => false,
        };
        let now = look(seen.clone()).await;
        if !asked && now == seen {
            continue;
        }
        seen = if reload(&shared, &source).await {
            shared.current.load().plan.files.clone()
        } else {
            // What was refused is not read again until it changes.
            now
        };
    }
}

/// Reads the file, and lets it count if nothing is wrong with it.
async fn reload(shared: &Shared, source: &Path) -> bool {
    let metrics = &shared.build.metrics;
    let path = source.to_owned();
    let read = tokio::task::spawn_blocking(move || config::read(&path)).await;
    let plan = match read {
        Ok(Ok(plan)) => plan,
        Ok(Err(Faults { file, faults })) => {
            for fault in &faults {
                tracing::error!("{file}:{fault}");
            }
            tracing::error!(problems = faults.len(), "the new configuration is refused; the old one goes on");
            metrics.reloaded("refused");
            return false;
        }
        Err(error) => {
            tracing::error!(%error, "the configuration could not be read; the old one goes on");
            metrics.reloaded("refused");
            return false;
        }
    };
    let kept = {
        let current = shared.current.load();
        let old = weights(&current.plan.file.cache).map(|(tenant, _)| (tenant, NonZeroU32::MIN));
        for (tenant, weight) in old.chain(weights(&plan.file.cache)) {
            shared.build.cache.set_tenant_weight(&tenant, weight);
        }
        unchangeable(&current.plan, &plan)
    };
    if let Err(error) = shared.exchange(plan).await {
        tracing::error!(%error, "the new configuration is refused; the old one goes on");
        metrics.reloaded("refused");
        return false;
    }
    if kept.is_empty() {
        tracing::info!("the new configuration counts from now on");
        metrics.reloaded("applied");
    } else {
        let settings = kept.join(", ");
        tracing::warn!(settings, "the new configuration counts, but for these settings: they need a restart");
        metrics.reloaded("restart_needed");
    }
    true
}

/// What differs and cannot change while the gateway runs.
fn unchangeable(old: &Plan, new: &Plan) -> Vec<&'static str> {
    let (was, is) = (&old.file, &new.file);
    let mut listen = is.listen.clone();
    listen.request_body_max = was.listen.request_body_max;
    listen.trusted_proxies.clone_from(&was.listen.trusted_proxies);
    let control = |file: &config::File| file.control.as_ref().map(|it| (it.address.clone(), it.tls.clone()));
    let memory = |file: &config::File| (file.cache.memory_max, file.cache.tenant_memory_max);
    let store = |plan: &Plan| {
        let file = &plan.file.cache;
        let breaker = (file.redis_breaker_failures, file.redis_breaker_open);
        (plan.redis_url.clone(), breaker, file.namespace.clone(), file.version.clone())
    };
    let audit = |plan: &Plan| {
        let fixed = plan.file.audit.clone().map(|audit| config::file::Audit {
            level: config::file::AuditLevel::Off,
            sensitive: Vec::new(),
            ..audit
        });
        (fixed, plan.audit_url.clone())
    };
    let differing = [
        ("[listen]", listen != was.listen),
        ("control.address, control.tls", control(was) != control(is)),
        ("cache.memory_max, cache.tenant_memory_max", memory(was) != memory(is)),
        ("cache.redis_…, cache.namespace, cache.version", store(old) != store(new)),
        ("cache.secret", old.secret != new.secret),
        ("[audit], but for level and sensitive", audit(old) != audit(new)),
        ("[records]", was.records != is.records || old.records_url != new.records_url),
        ("[log]", was.log != is.log),
    ];
    differing.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
}

/// The files as they are now.
async fn look(files: Vec<ReadFile>) -> Vec<ReadFile> {
    let looked = tokio::task::spawn_blocking(move || files.iter().map(ReadFile::again).collect());
    looked.await.unwrap_or_default()
}

/// Comes at each SIGHUP, where there are signals.
struct Hangup(#[cfg(unix)] Option<tokio::signal::unix::Signal>);

fn hangup() -> Hangup {
    #[cfg(unix)]
    return Hangup(tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()).ok());
    #[cfg(not(unix))]
    Hangup()
}

impl Hangup {
    async fn recv(&mut self) {
        #[cfg(unix)]
        if let Some(signal) = &mut self.0
            && signal.recv().await.is_some()
        {
            return;
        }
        std::future::pending::<()>().await;
    }
}
