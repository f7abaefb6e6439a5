//! Faults of a primary that sentinels watch.
//!
//! Each round leaves a server behind that takes itself for the primary until the sentinels get to it, some ten seconds
//! later. The load goes on meanwhile.

use unstale::testing::redis_server::{RedisSentinels, RedisServer};

use super::{BRIEFLY_MS, demand_failures, demand_skips, faults};
use crate::chaos::{
    failure::{Step, demand_effect},
    redis::Sentinels,
    stage::Stage,
};

faults! {
    Sentinels;
    sentinels_killed: "the primary of sentinels killed (-9), every other time with its newest writes lost; it comes back empty",
    sentinels_paused: "the primary of sentinels stopped (SIGSTOP) until it is replaced; it goes on as if it were not",
    sentinels_asked: "sentinels asked to replace a primary that is well",
}

/// How long two servers take themselves for the primary under load, at least.
const TWO_MS: std::ops::RangeInclusive<u64> = 1_000..=2_000;

async fn sentinels_killed(stage: &mut Stage<Sentinels>) -> Step {
    let primary = settled(stage).await?;
    let skipped = stage.stats().await.skipped;
    let forgets = stage.round.is_multiple_of(2);
    if forgets {
        stage.redis.with(move |group| leave_behind(&group.servers[primary])).await?;
        stage.go_on(300..=500).await;
    }
    let offsets = |group: &RedisSentinels| group.servers.iter().map(offset).collect::<Vec<_>>();
    let offsets = stage.redis.with(move |group| offsets(group)).await?;
    stage
        .redis
        .with(move |group| {
            group.servers[primary].kill();
            group.wait_for_another_than(primary);
        })
        .await?;
    stage.go_on(BRIEFLY_MS).await;
    stage.redis.with(move |group| group.servers[primary].start_again()).await?;
    stage.go_on(TWO_MS).await;
    let others_lack = offsets.iter().enumerate().all(|(at, offset)| at == primary || *offset < offsets[primary]);
    demand_effect(!forgets || others_lack, || format!("the replicas lack nothing: {offsets:?}"))?;
    demand_skips(stage, skipped).await
}

async fn sentinels_paused(stage: &mut Stage<Sentinels>) -> Step {
    let primary = settled(stage).await?;
    let stats = stage.stats().await;
    stage
        .redis
        .with(move |group| {
            group.servers[primary].pause();
            group.wait_for_another_than(primary);
        })
        .await?;
    stage.go_on(BRIEFLY_MS).await;
    stage.redis.with(move |group| group.servers[primary].resume()).await?;
    stage.go_on(TWO_MS).await;
    demand_failures(stage, stats.store_failures).await?;
    demand_skips(stage, stats.skipped).await
}

async fn sentinels_asked(stage: &mut Stage<Sentinels>) -> Step {
    settled(stage).await?;
    let skipped = stage.stats().await.skipped;
    stage.redis.with(|group| group.fail_over()).await?;
    stage.go_on(TWO_MS).await;
    demand_skips(stage, skipped).await
}

/// The primary, once all others follow it.
async fn settled(stage: &Stage<Sentinels>) -> Step<usize> {
    let settled = |group: &mut RedisSentinels| {
        group.wait_until_followed();
        group.primary()
    };
    stage.redis.with(settled).await
}

/// Lets no replica hear anything any more, while clients are served as before.
pub(super) fn leave_behind(primary: &RedisServer) {
    primary.run::<()>(&["ACL", "SETUSER", "default", "-psync", "-sync"]);
    primary.run::<()>(&["CLIENT", "KILL", "TYPE", "replica"]);
}

/// How far a server has come in what is replicated.
pub(super) fn offset(server: &RedisServer) -> u64 {
    server.info("master_repl_offset").trim().parse().expect("an offset is a number")
}
