//! Faults of one server, and of the nodes on it.

use std::time::Duration;

use rand::{RngExt as _, seq::IndexedRandom as _};

use super::{BEYOND_TIMEOUT_MS, BRIEFLY_MS, LOOK_AGAIN, LOOKS_MAX, demand_failures, faults};
use crate::chaos::{
    failure::{Failure, Step, demand_effect},
    node::NAMESPACE,
    proxy::{Manner, Proxy},
    server::{Data, Server},
    stage::Stage,
};

const STALL: Duration = Duration::from_secs(30);

faults! {
    Server;
    killed: "Redis killed (-9); restarted empty, from a snapshot that has forgotten the newest, from its append-only file",
    paused: "Redis stopped (SIGSTOP) for less and for more than an operation is waited for; by hand also 30 s",
    flushed: "FLUSHALL",
    failed_over: "the primary killed, a replica that lacks the newest writes promoted",
    keys_lost: "states, logs and entries deleted one by one",
    full: "maxmemory reached: writes refused, or keys evicted, by several policies",
    nodes_killed: "nodes killed (-9) in the middle of loads and invalidations, and restarted",
    cut_off: "one node's network: refused, stalled, answers held back, slow, answers cut in the middle",
    clients_killed: "CLIENT KILL, SCRIPT FLUSH",
    slept: "DEBUG SLEEP, CLIENT PAUSE",
    put_back: "an older snapshot loaded into the running server (DEBUG RELOAD)",
    hung: "Redis hangs and another server takes over its address: old connections stay open and silent",
}

async fn killed(stage: &mut Stage<Server>) -> Step {
    let data = [Data::Nothing, Data::Snapshot, Data::AppendOnlyFile][stage.round % 3];
    until_keys(stage).await?;
    match data {
        Data::Nothing => {}
        Data::Snapshot => stage.redis.run::<()>(&["SAVE"]).await?,
        Data::AppendOnlyFile => {
            stage.redis.config("appendonly", "yes").await?;
            until(&stage.redis, "aof_rewrite_in_progress", |running| running == 0).await?;
        }
    }
    let written = stage.written();
    stage.go_on(200..=400).await;
    let written_since = stage.written();
    stage.redis.kill().await?;
    stage.go_on(BRIEFLY_MS).await;
    stage.redis.start_again(data).await?;
    // Nobody else can reach it yet.
    let keys: u64 = stage.redis.run(&["DBSIZE"]).await?;
    stage.lead_to_server();
    demand_effect((keys > 0) == (data != Data::Nothing), || format!("{keys} keys after a restart from {data:?}"))?;
    demand_effect(written_since > written, || "nothing was written before it was killed".into())
}

async fn paused(stage: &mut Stage<Server>) -> Step {
    stage.redis.pause()?;
    stage.go_on(BRIEFLY_MS).await;
    stage.redis.resume()?;
    stage.go_on(BRIEFLY_MS).await;
    let failures = stage.stats().await.store_failures;
    stage.redis.pause()?;
    if stage.long && stage.round == 0 {
        tokio::time::sleep(STALL).await;
    } else {
        stage.go_on(BEYOND_TIMEOUT_MS).await;
    }
    stage.redis.resume()?;
    demand_failures(stage, failures).await
}

async fn flushed(stage: &mut Stage<Server>) -> Step {
    for how in ["SYNC", "ASYNC"] {
        until_keys(stage).await?;
        let skipped = stage.stats().await.skipped;
        stage.redis.run::<()>(&["FLUSHALL", how]).await?;
        stage.go_on(400..=900).await;
        let skipped_since = stage.stats().await.skipped;
        demand_effect(skipped_since > skipped, || "no node noticed that the server was flushed".into())?;
    }
    Ok(())
}

async fn failed_over(stage: &mut Stage<Server>) -> Step {
    let replica = Server::start().await?;
    let link = Proxy::start(stage.redis.port()).await.map_err(Failure::of("starting a proxy"))?;
    replica.run::<()>(&["REPLICAOF", "127.0.0.1", &link.port().to_string()]).await?;
    until_text(&replica, "master_link_status:up").await?;
    stage.go_on(BRIEFLY_MS).await;
    // From now on the replica hears nothing any more.
    link.set(Manner::Stall);
    stage.go_on(300..=500).await;
    let written = stage.redis.info("master_repl_offset").await?;
    let held = replica.info("master_repl_offset").await?;
    stage.redis.kill().await?;
    drop(link);
    stage.go_on(0..=300).await;
    if stage.random.random() {
        // Sooner or later than it is promoted: clients may meet a server that refuses writes.
        stage.load.members.iter().for_each(|member| member.proxy().lead_to(replica.port()));
        stage.go_on(BRIEFLY_MS).await;
    }
    replica.run::<()>(&["REPLICAOF", "NO", "ONE"]).await?;
    stage.redis = replica;
    stage.lead_to_server();
    demand_effect(held < written, || format!("the replica lacks nothing: {held} of {written}"))
}

async fn keys_lost(stage: &mut Stage<Server>) -> Step {
    const LOSSES: usize = 60;
    let patterns = [format!("{{{NAMESPACE}:*}}:state"), format!("{{{NAMESPACE}:*}}:log"), "*".into()];
    let mut lost = [0; 3];
    for _ in 0..LOSSES {
        let kind = stage.random.random_range(0..patterns.len());
        let keys: Vec<String> = stage.redis.run(&["KEYS", &patterns[kind]]).await?;
        if let Some(key) = keys.choose(&mut stage.random) {
            let how = if stage.random.random() { "DEL" } else { "UNLINK" };
            lost[kind] += stage.redis.run::<usize>(&[how, key]).await?;
        }
        stage.go_on(0..=40).await;
    }
    demand_effect(lost.iter().all(|lost| *lost > 0), || format!("states, logs, any keys lost: {lost:?}"))
}

async fn full(stage: &mut Stage<Server>) -> Step {
    let refused = refused_as_full(&stage.redis).await?;
    stage.redis.config("maxmemory-policy", "noeviction").await?;
    stage.redis.config("maxmemory", "1").await?;
    stage.go_on(500..=900).await;
    let refused_since = refused_as_full(&stage.redis).await?;
    stage.redis.config("maxmemory", "0").await?;
    stage.go_on(BRIEFLY_MS).await;
    demand_effect(refused_since > refused, || "nothing was refused by a full server".into())?;

    let policies = ["allkeys-random", "allkeys-lru", "allkeys-lfu", "volatile-random", "volatile-ttl"];
    let policy = policies[stage.round % policies.len()];
    let evicted = stage.redis.info("evicted_keys").await?;
    stage.redis.config("maxmemory-policy", policy).await?;
    for _ in 0..3 {
        let used = stage.redis.info("used_memory").await?;
        // A little less than it takes: some keys must go.
        stage.redis.config("maxmemory", &(used - 4_000).to_string()).await?;
        stage.go_on(BRIEFLY_MS).await;
        stage.redis.config("maxmemory", "0").await?;
        stage.go_on(0..=100).await;
    }
    let evicted_since = stage.redis.info("evicted_keys").await?;
    demand_effect(evicted_since > evicted, || format!("{policy} evicted nothing"))
}

async fn refused_as_full(server: &Server) -> Step<u64> {
    let errors: String = server.run(&["INFO", "errorstats"]).await?;
    let count = errors.lines().find_map(|line| line.strip_prefix("errorstat_OOM:count=")?.trim().parse().ok());
    Ok(count.unwrap_or_default())
}

async fn nodes_killed(stage: &mut Stage<Server>) -> Step {
    for _ in 0..3 {
        stage.member().kill_and_start_again().await?;
        stage.go_on(200..=600).await;
    }
    Ok(())
}

async fn cut_off(stage: &mut Stage<Server>) -> Step {
    let manners = [
        Manner::Stall,
        Manner::CutAnswers,
        Manner::StallAnswers,
        Manner::Refuse,
        Manner::Slow(Duration::from_millis(stage.random.random_range(5..60))),
    ];
    let manner = manners[stage.round % manners.len()];
    let member = stage.member();
    let failures = member.stats().await.store_failures;
    let accepted = member.proxy().accepted();
    member.proxy().set(manner);
    if manner == Manner::Refuse {
        member.proxy().reset();
    }
    stage.go_on(BEYOND_TIMEOUT_MS).await;
    member.proxy().set(Manner::Pass);
    if stage.random.random() {
        member.proxy().reset();
    }
    match manner {
        Manner::Slow(_) => Ok(()),
        Manner::CutAnswers => demand_effect(member.proxy().accepted() > accepted, || {
            "no connection was cut in the middle of an answer".into()
        }),
        _ => {
            let since = member.stats().await.store_failures;
            demand_effect(since > failures, || format!("{manner:?} was not noticed by the node"))
        }
    }
}

async fn clients_killed(stage: &mut Stage<Server>) -> Step {
    for _ in 0..4 {
        let kind = if stage.random.random_ratio(2, 3) { "normal" } else { "pubsub" };
        let killed: usize = stage.redis.run(&["CLIENT", "KILL", "TYPE", kind]).await?;
        demand_effect(killed > 0 || kind == "pubsub", || "there was no client to kill".into())?;
        stage.go_on(BRIEFLY_MS).await;
        stage.redis.run::<()>(&["SCRIPT", "FLUSH"]).await?;
        stage.go_on(BRIEFLY_MS).await;
    }
    Ok(())
}

async fn slept(stage: &mut Stage<Server>) -> Step {
    let failures = stage.stats().await.store_failures;
    let seconds = f64::from(stage.random.random_range(13..20)) / 10.0;
    stage.redis.run::<()>(&["DEBUG", "SLEEP", &seconds.to_string()]).await?;
    stage.go_on(BRIEFLY_MS).await;
    demand_failures(stage, failures).await?;
    let what = if stage.random.random() { "ALL" } else { "WRITE" };
    stage.redis.run::<()>(&["CLIENT", "PAUSE", "400", what]).await?;
    stage.go_on(400..=600).await;
    Ok(())
}

async fn put_back(stage: &mut Stage<Server>) -> Step {
    stage.redis.run::<()>(&["SAVE"]).await?;
    let saved = sequences(&stage.redis).await?;
    // Long enough that every node has seen more than the snapshot holds: it is they who notice.
    stage.go_on(700..=1_500).await;
    let forgotten = sequences(&stage.redis).await?;
    stage.redis.run::<()>(&["DEBUG", "RELOAD", "NOSAVE"]).await?;
    stage.go_on(BRIEFLY_MS).await;
    demand_effect(forgotten > saved, || "nothing was written that could be forgotten".into())
}

/// Over all partitions together.
async fn sequences(server: &Server) -> Step<u64> {
    let mut sum = 0;
    for state in server.run::<Vec<String>>(&["KEYS", &format!("{{{NAMESPACE}:*}}:state")]).await? {
        let score: Option<f64> = server.run(&["ZSCORE", &state, "s"]).await?;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a sequence is a small number")]
        let sequence = score.map_or(0, |score| -score as u64);
        sum += sequence;
    }
    Ok(sum)
}

async fn hung(stage: &mut Stage<Server>) -> Step {
    let other = Server::start().await?;
    let failures = stage.stats().await.store_failures;
    stage.redis.pause()?;
    stage.go_on(BRIEFLY_MS).await;
    stage.load.members.iter().for_each(|member| member.proxy().abandon_and_lead_to(other.port()));
    stage.hung.push(std::mem::replace(&mut stage.redis, other));
    stage.go_on(BEYOND_TIMEOUT_MS).await;
    demand_failures(stage, failures).await
}

async fn until(server: &Server, field: &str, holds: impl Fn(u64) -> bool) -> Step {
    for _ in 0..LOOKS_MAX {
        if holds(server.info(field).await?) {
            return Ok(());
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    Err(Failure::Failed(format!("{field} did not become what was waited for")))
}

/// Until nodes have found the server, wherever it is.
async fn until_keys(stage: &Stage<Server>) -> Step {
    for _ in 0..LOOKS_MAX {
        if stage.redis.run::<u64>(&["DBSIZE"]).await? > 0 {
            return Ok(());
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    Err(Failure::Failed(format!("nodes write nothing to Redis; {}", stage.troubles().await)))
}

async fn until_text(server: &Server, text: &str) -> Step {
    for _ in 0..LOOKS_MAX {
        let info: String = server.run(&["INFO", "replication"]).await?;
        if info.contains(text) {
            return Ok(());
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    Err(Failure::Failed(format!("the replica did not say {text}")))
}
