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
    config::{self, Faults, Plan},
    start::weights,
};

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Follows the file for as long as it is polled.
pub(super) async fn follow(shared: Arc<Shared>, source: PathBuf) {
    let mut hangup = hangup();
    let mut seen = fingerprint(shared.current.load().plan.files.clone()).await;
    loop {
        let asked = tokio::select! {
            () = hangup.recv() => true,
            () = tokio::time::sleep(LOOK_EVERY) => false,
        };
        let files = fingerprint(shared.current.load().plan.files.clone()).await;
        if asked || files != seen {
            reload(&shared, &source).await;
            // Those of the new configuration, if it counts. One that is refused is not read again until it changes.
            seen = fingerprint(shared.current.load().plan.files.clone()).await;
        }
    }
}

/// Reads the file, and lets it count if nothing is wrong with it.
async fn reload(shared: &Shared, source: &Path) {
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
            return metrics.reloaded("refused");
        }
        Err(error) => {
            tracing::error!(%error, "the configuration could not be read; the old one goes on");
            return metrics.reloaded("refused");
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
    match shared.exchange(plan).await {
        Err(error) => {
            tracing::error!(%error, "the new configuration is refused; the old one goes on");
            metrics.reloaded("refused");
        }
        Ok(()) if kept.is_empty() => {
            tracing::info!("the new configuration counts from now on");
            metrics.reloaded("applied");
        }
        Ok(()) => {
            let settings = kept.join(", ");
            tracing::warn!(settings, "the new configuration counts, but for these settings: they need a restart");
            metrics.reloaded("restart_needed");
        }
    }
}

/// What differs and cannot change while the gateway runs.
fn unchangeable(old: &Plan, new: &Plan) -> Vec<&'static str> {
    let (was, is) = (&old.file, &new.file);
    let mut listen = is.listen.clone();
    listen.request_body_max = was.listen.request_body_max;
    let address = |file: &config::File| file.control.as_ref().map(|control| control.address.clone());
    let memory = |file: &config::File| (file.cache.memory_max, file.cache.tenant_memory_max);
    let store = |plan: &Plan| {
        let file = &plan.file.cache;
        (plan.redis_url.clone(), file.namespace.clone(), file.version.clone())
    };
    let differing = [
        ("[listen]", listen != was.listen),
        ("control.address", address(was) != address(is)),
        ("cache.memory_max, cache.tenant_memory_max", memory(was) != memory(is)),
        ("cache.redis_url, cache.namespace, cache.version", store(old) != store(new)),
        ("cache.secret", old.secret != new.secret),
        ("[log]", was.log != is.log),
    ];
    differing.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
}

/// A hash over files; none if one cannot be read, as when it is being replaced.
async fn fingerprint(files: Vec<PathBuf>) -> Option<blake3::Hash> {
    let hashed = tokio::task::spawn_blocking(move || {
        let mut hasher = blake3::Hasher::new();
        for file in files {
            hasher.update(blake3::hash(&std::fs::read(file).ok()?).as_bytes());
        }
        Some(hasher.finalize())
    });
    hashed.await.ok().flatten()
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
        std::future::pending().await
    }
}
