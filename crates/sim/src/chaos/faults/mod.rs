//! What is done to Redis, to the nodes, and to what lies between. Each fault is one round; it shows that it happened.
//!
//! - [`alone`]: to one server, and to nodes on it.
//! - [`sentinels`]: to a primary that sentinels replace.
//! - [`cluster`]: to masters that their replicas replace, and to slots that move.

mod alone;
mod cluster;
mod sentinels;

use std::time::Duration;

use futures_util::future::BoxFuture;

pub(super) use self::{alone::FAULTS as OF_ONE, cluster::FAULTS as OF_CLUSTER, sentinels::FAULTS as OF_SENTINELS};
use super::{
    failure::{Step, demand_effect},
    redis::Redis,
    stage::Stage,
};

/// Longer than an operation of the store is waited for.
const BEYOND_TIMEOUT_MS: std::ops::RangeInclusive<u64> = 1_300..=2_200;
const BRIEFLY_MS: std::ops::RangeInclusive<u64> = 100..=500;
/// Waits for something that a server does by itself.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
const LOOKS_MAX: usize = 500;

/// A fault: what it is called, what it is, and one round of it. Whether it had an effect is asked last: the round ends
/// in good order either way.
pub(super) struct Fault<R: 'static> {
    pub(super) name: &'static str,
    pub(super) what: &'static str,
    pub(super) act: for<'a> fn(&'a mut Stage<R>) -> BoxFuture<'a, Step>,
}

/// Those of one arrangement of servers, each by its function.
macro_rules! faults {
    ($redis:ty; $($act:ident: $what:literal),* $(,)?) => {
        /// All of them.
        pub(in crate::chaos) const FAULTS: &[super::Fault<$redis>] = &[
            $(super::Fault { name: stringify!($act), what: $what, act: |stage| futures_util::FutureExt::boxed($act(stage)) }),*
        ];
    };
}
use faults;

async fn demand_failures<R: Redis>(stage: &Stage<R>, before: u64) -> Step {
    let since = stage.stats().await.store_failures;
    demand_effect(since > before, || "no node noticed that the server did not answer".into())
}

/// Records that were lost, or that may have been, are noticed by an epoch that is over.
async fn demand_skips<R: Redis>(stage: &Stage<R>, before: u64) -> Step {
    let since = stage.stats().await.skipped;
    demand_effect(since > before, || "no node noticed that another server had taken over".into())
}
