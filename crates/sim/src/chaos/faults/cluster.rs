//! Faults of a cluster. They meet the slots in which there is something.

use std::{ops::RangeInclusive, thread, time::Duration};

use rand::RngExt as _;
use unstale::testing::redis_server::RedisCluster;

use super::{
    BEYOND_TIMEOUT_MS, BRIEFLY_MS, demand_skips, faults,
    sentinels::{leave_behind, offset},
};
use crate::chaos::{
    failure::{Step, demand_effect},
    node::{NAMESPACE, PARTITIONS},
    proxy::Manner,
    redis::Cluster,
    stage::Stage,
    world::{TENANTS, tenant},
};

faults! {
    Cluster;
    cluster_killed: "a master of a cluster killed (-9), every other time with its newest writes lost; it comes back as a replica",
    cluster_moved: "a range of slots moved to another master, key by key",
    cluster_cut_off: "one master of a cluster out of one node's reach: stalled, refused, answers held back",
}

/// Slots that move together, of which one is in use.
const RANGE: u16 = 16;
/// Between two keys that move: time for every kind of operation to meet a slot of which a part is here and a part there.
const BETWEEN: Duration = Duration::from_millis(15);

async fn cluster_killed(stage: &mut Stage<Cluster>) -> Step {
    let slot = some_slot(stage).await?;
    let (master, replica) = stage
        .redis
        .with(move |cluster| {
            cluster.wait_until_whole();
            let master = cluster.owner(slot).expect("every slot is owned");
            (master, cluster.replica_of(master))
        })
        .await?;
    let skipped = stage.stats().await.skipped;
    let forgets = stage.round.is_multiple_of(2);
    if forgets {
        stage.redis.with(move |cluster| leave_behind(&cluster.servers[master])).await?;
        stage.go_on(300..=500).await;
    }
    let (written, held) = stage
        .redis
        .with(move |cluster| {
            let offsets = [master, replica].map(|at| offset(&cluster.servers[at]));
            cluster.servers[master].kill();
            cluster.wait_for_another_than(master, slot);
            (offsets[0], offsets[1])
        })
        .await?;
    stage.go_on(BRIEFLY_MS).await;
    stage.redis.with(move |cluster| cluster.servers[master].start_again()).await?;
    stage.go_on(BRIEFLY_MS).await;
    demand_effect(!forgets || held < written, || format!("the replica lacks nothing: {held} of {written}"))?;
    demand_skips(stage, skipped).await
}

async fn cluster_moved(stage: &mut Stage<Cluster>) -> Step {
    let slot = some_slot(stage).await?;
    let skipped = stage.stats().await.skipped;
    let other = stage.random.random_range(0..2);
    let keys = stage.redis.with(move |cluster| move_range(cluster, slot, other)).await?;
    stage.go_on(BRIEFLY_MS).await;
    demand_effect(keys > 0, || "no key was moved".into())?;
    demand_skips(stage, skipped).await
}

/// Moves a range with `slot` in it to one of the two other masters; returns how many keys went.
fn move_range(cluster: &RedisCluster, slot: u16, other: usize) -> usize {
    cluster.wait_until_whole();
    let from = cluster.owner(slot).expect("every slot is owned");
    let is_master = |at: &usize| cluster.servers[*at].info("role") == "master";
    let others: Vec<usize> = (0..cluster.servers.len()).filter(|at| *at != from && is_master(at)).collect();
    let mut keys = 0;
    let range: RangeInclusive<u16> = slot - slot % RANGE..=slot - slot % RANGE + (RANGE - 1);
    for slot in range.filter(|slot| cluster.owner(*slot) == Some(from)) {
        let mut steps = 0;
        cluster.migrate(slot, others[other], || {
            steps += 1;
            thread::sleep(BETWEEN);
        });
        // The first step is before the first key.
        keys += steps - 1;
    }
    keys
}

async fn cluster_cut_off(stage: &mut Stage<Cluster>) -> Step {
    let slot = some_slot(stage).await?;
    let master = stage.redis.with(move |cluster| cluster.owner(slot).expect("every slot is owned")).await?;
    let manners = [Manner::Stall, Manner::Refuse, Manner::StallAnswers];
    let manner = manners[stage.random.random_range(0..manners.len())];
    let member = stage.member();
    let failures = member.stats().await.store_failures;
    let way = &member.proxies()[master];
    way.set(manner);
    if manner == Manner::Refuse {
        way.reset();
    }
    stage.go_on(BEYOND_TIMEOUT_MS).await;
    way.set(Manner::Pass);
    stage.go_on(BRIEFLY_MS).await;
    let since = member.stats().await.store_failures;
    demand_effect(since > failures, || format!("{manner:?} was not noticed by the node"))
}

/// The slot of a tenant's partition.
async fn some_slot(stage: &mut Stage<Cluster>) -> Step<u16> {
    let partition = PARTITIONS.of(&tenant(stage.random.random_range(0..TENANTS))).index();
    stage.redis.with(move |cluster| cluster.slot(&format!("{{{NAMESPACE}:{partition}}}:state"))).await
}
