//! Invalidations that the store did not take: kept in their order, and said again until it does.
//!
//! While some wait in a partition, no read of this node is answered with what they declare wrong, and readers share
//! only loads that began after they asked. A task replays them; it runs while there are any. What waits is lost if
//! the process ends before: an application that must not lose it keeps an outbox.
//!
//! # Invariants
//! - An invalidation leaves the queue only when it is in the log *and* in this node's view: at no moment is it in
//!   neither.
//! - In a partition with waiting invalidations no other is appended before them.
//! - No partition waits for another: each may have a server of its own.

use std::{
    sync::{
        Arc,
        atomic::Ordering::{AcqRel, Acquire, Release},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use tokio::{runtime::Handle, sync::MutexGuard};

use super::{Cache, Shared, View};
use crate::{
    observe::Event,
    position::{Partition, Position},
    resilience::{
        pending::{Pending, Waiting, WaitsFor},
        retry,
    },
    sabotage::Sabotage,
    store::StoreError,
    tag::TagId,
};

/// The longest wait before the first replay, and before any: the breaker, not this, spares a store that is away.
const WAIT_FIRST: Duration = Duration::from_millis(50);
const WAIT_MAX: Duration = Duration::from_secs(1);
/// Partitions that are replayed at once.
const REPLAYING_MAX: usize = 64;

impl Cache {
    /// How many invalidations wait for the store. They are recorded by themselves when it is back.
    pub fn pending_invalidations(&self) -> usize {
        self.shared.views.iter().map(|view| view.pending.lock().len()).sum()
    }

    /// Tries now to record all invalidations that wait, in every partition whatever becomes of the others. Of use before
    /// the process stops. The error is the first one that was met; what it is about goes on waiting.
    pub async fn record_all_pending(&self) -> Result<(), StoreError> {
        self.shared.replay_all().await
    }
}

impl Shared {
    /// Whether invalidations of the partition wait.
    #[inline]
    pub(super) fn has_pending(&self, partition: Partition) -> bool {
        self.waits(self.view(partition))
    }

    /// The same, for who has the partition's view at hand.
    #[inline]
    pub(super) fn waits(&self, view: &View) -> bool {
        view.has_pending.load(Acquire) && !self.sabotage.is(Sabotage::ServePending)
    }

    /// Whether an invalidation of one of `tags` waits.
    pub(super) fn is_pending(&self, partition: Partition, tags: &[TagId]) -> bool {
        self.waits_for(partition, tags).is_some()
    }

    /// What a value with `tags` waits for, if for anything.
    pub(super) fn waits_for(&self, partition: Partition, tags: &[TagId]) -> Option<WaitsFor> {
        if self.has_pending(partition) { self.view(partition).pending.lock().holds(tags) } else { None }
    }

    /// Whether invalidations that cannot be recorded are kept at all.
    pub(super) fn keeps_pending(&self) -> bool {
        self.limits.pending.records_max > 0
    }

    /// Keeps an invalidation that the store did not take, or that it took and this node's view does not hold.
    pub(super) fn keep_pending(
        self: &Arc<Self>,
        partition: Partition,
        tags: Vec<TagId>,
        note: Bytes,
        recorded: Option<Position>,
    ) {
        self.change_pending(partition, |pending| pending.push(tags, note, recorded));
        self.replay_in_background();
    }

    /// Records what waits in a partition, in its order, for as long as the store takes it.
    pub(super) async fn replay(self: &Arc<Self>, partition: Partition) -> Result<(), StoreError> {
        let turn = self.view(partition).replaying.lock().await;
        self.replay_in_turn(partition, turn).await
    }

    async fn replay_in_turn(
        self: &Arc<Self>,
        partition: Partition,
        _turn: MutexGuard<'_, ()>,
    ) -> Result<(), StoreError> {
        let view = self.view(partition);
        loop {
            let first = view.pending.lock().begin();
            let Some(first) = first else { return Ok(()) };
            // Should this be dropped midway, the next one begins with the same.
            let done = self.replay_one(partition, first).await;
            self.change_pending(partition, |pending| if done.is_ok() { pending.done() } else { pending.failed() });
            done?;
        }
    }

    /// The same, unless another does it at this moment; then the store is taken for not back.
    pub(super) async fn try_replay(self: &Arc<Self>, partition: Partition) -> Result<(), StoreError> {
        match self.view(partition).replaying.try_lock() {
            Ok(turn) => self.replay_in_turn(partition, turn).await,
            Err(_) => Err(StoreError::Unavailable("earlier invalidations are still being recorded".into())),
        }
    }

    async fn replay_one(self: &Arc<Self>, partition: Partition, waiting: Waiting) -> Result<(), StoreError> {
        let position = match waiting {
            Waiting::Record { recorded: Some(position), .. } => position,
            Waiting::Record { tags, note, recorded: None } => {
                let position = self.store.append(partition, tags, note).await?;
                // Not again, should the view not get as far.
                self.view(partition).pending.lock().recorded(position);
                position
            }
            // Nobody can tell any more what it was, so the new epoch is as good as a purge anyway.
            Waiting::Everything { .. } => self.store.start_anew(partition).await?,
        };
        if self.has_reached_by_told(&position) { Ok(()) } else { self.catch_up(partition).await }
    }

    async fn replay_all(self: &Arc<Self>) -> Result<(), StoreError> {
        let waiting = self.partitions.all().filter(|partition| !self.view(*partition).pending.lock().is_empty());
        let mut outcomes =
            stream::iter(waiting).map(|partition| self.replay(partition)).buffer_unordered(REPLAYING_MAX);
        let mut failed = Ok(());
        while let Some(outcome) = outcomes.next().await {
            failed = failed.and(outcome);
        }
        failed
    }

    fn change_pending(&self, partition: Partition, change: impl FnOnce(&mut Pending)) {
        let view = self.view(partition);
        let waiting = {
            let mut pending = view.pending.lock();
            let before = pending.len();
            change(&mut pending);
            // Under the lock, so that the two never disagree for long.
            view.has_pending.store(!pending.is_empty(), Release);
            (pending.len() != before).then_some(pending.len())
        };
        if let Some(waiting) = waiting {
            self.observers.tell(&Event::InvalidationsPending { partition, waiting });
        }
    }

    /// Begins to replay, unless that is under way. Ends when nothing waits, or with the cache.
    fn replay_in_background(self: &Arc<Self>) {
        // Where an invalidation is dropped outside a runtime there is nobody to do it: the next one that is kept begins.
        let Ok(runtime) = Handle::try_current() else { return };
        if self.replays.swap(true, AcqRel) {
            return;
        }
        let cache = Arc::downgrade(self);
        let mut chance = self.chance(0);
        runtime.spawn(async move {
            for failed in 1.. {
                tokio::time::sleep(retry::wait(WAIT_FIRST, WAIT_MAX, failed, chance)).await;
                let Some(shared) = cache.upgrade() else { return };
                chance = shared.chance(failed);
                if shared.replay_all().await.is_err() {
                    continue;
                }
                shared.replays.store(false, Release);
                // One that came in between saw the task still running.
                let more = shared.views.iter().any(|view| view.has_pending.load(Acquire));
                if !more || shared.replays.swap(true, AcqRel) {
                    return;
                }
            }
        });
    }

    fn chance(&self, failed: u32) -> f64 {
        self.random.unit(u64::from(failed), self.now().as_millis())
    }
}
