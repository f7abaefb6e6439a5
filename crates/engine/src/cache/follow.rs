//! Following the log: the node's view moves on, record by record, without gaps.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::Ordering::{AcqRel, Acquire},
    },
    time::Duration,
};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use tokio::{sync::OwnedMutexGuard, time::Instant};

use super::{
    Cache, Shared,
    patience::{Patience, outage},
};
use crate::{
    observe::Event,
    position::{Partition, PartitionCount, Position, PositionSet, Sequence},
    sabotage::Sabotage,
    store::{LogPage, Record, StoreError},
    verdict::BypassReason,
};

/// Records read from the log at once.
pub(super) const RECORDS_PER_PAGE: usize = 512;

impl Cache {
    /// Follows the log for as long as it is polled: run it as a task when other nodes share the store, or when the
    /// observers must hear of records without anybody reading. `confirm_every` bounds how long the view stays
    /// unconfirmed; a third of the shortest [`Mode::Bounded`](crate::Mode::Bounded) is right.
    ///
    /// Meanwhile it answers what other nodes [report](Self::report) about people.
    ///
    /// A partition whose log does not answer keeps nobody from hearing of the others.
    pub async fn follow(&self, confirm_every: Duration) {
        match self.shared.store.nodes() {
            Some(nodes) => _ = tokio::join!(self.follow_log(confirm_every), self.answer_others(nodes)),
            None => self.follow_log(confirm_every).await,
        }
    }

    async fn follow_log(&self, confirm_every: Duration) {
        let partitions = self.shared.partitions;
        let mut moves = self.shared.store.moves();
        let mut rounds = Rounds::of(partitions);
        let mut running = FuturesUnordered::new();
        let mut all = pin!(tokio::time::sleep(confirm_every));
        let mut wanted: Vec<(Partition, bool)> = partitions.all().map(|partition| (partition, true)).collect();
        loop {
            for (partition, must_ask) in wanted.drain(..) {
                rounds.want(partition, must_ask);
                running.extend(rounds.begin(partition).map(|must_ask| self.hear(partition, must_ask)));
            }
            tokio::select! {
                // The confirmation before what is told: where one partition moves all the time, the others are still
                // confirmed.
                biased;
                Some(partition) = running.next() => {
                    rounds.ended(partition);
                    running.extend(rounds.begin(partition).map(|must_ask| self.hear(partition, must_ask)));
                }
                () = &mut all => {
                    all.as_mut().reset(Instant::now() + confirm_every);
                    wanted.extend(partitions.all().map(|partition| (partition, true)));
                }
                moved = moves.next() => {
                    wanted.extend(moved.into_iter().map(|partition| (partition, moves.must_ask(partition))));
                }
            }
        }
    }

    async fn hear(&self, partition: Partition, must_ask: bool) -> Partition {
        // A store that does not answer is told to the observers; the next round tries again.
        let _ = self.shared.hear(partition, must_ask).await;
        partition
    }
}

/// Rounds of hearing of partitions: of each one at a time, whatever becomes of the others'.
struct Rounds(Box<[Round]>);

#[derive(Clone, Copy, Default)]
struct Round {
    is_running: bool,
    /// Whether another one is wanted, and then whether what is told is not enough for it.
    wanted: Option<bool>,
}

impl Rounds {
    fn of(partitions: PartitionCount) -> Self {
        Self(partitions.all().map(|_| Round::default()).collect())
    }

    /// A round of a partition is wanted that begins from now on.
    fn want(&mut self, partition: Partition, must_ask: bool) {
        let wanted = &mut self.0[partition.index()].wanted;
        *wanted = Some(must_ask || wanted.unwrap_or_default());
    }

    /// Begins the one that is wanted, if the one before has ended; says whether it must ask.
    fn begin(&mut self, partition: Partition) -> Option<bool> {
        let round = &mut self.0[partition.index()];
        let begun = if round.is_running { None } else { round.wanted.take() };
        round.is_running |= begun.is_some();
        begun
    }

    fn ended(&mut self, partition: Partition) {
        self.0[partition.index()].is_running = false;
    }
}

impl Shared {
    /// Applies what was told of a partition's log, and asks the log if that is not all.
    async fn hear(self: &Arc<Self>, partition: Partition, must_ask: bool) -> Result<(), StoreError> {
        let view = self.view(partition);
        {
            let _moving = view.moving.lock().await;
            self.apply_told_in_turn(partition);
        }
        let frontier = view.clocks.frontier();
        let holds = |told: Position| told.epoch == frontier.epoch && told.sequence <= frontier.sequence;
        if must_ask || !self.told.newest_told(partition).is_some_and(holds) {
            self.catch_up(partition).await?;
        }
        Ok(())
    }

    /// Applies what was told of a partition's log, without waiting for anybody.
    pub(super) fn apply_told(self: &Arc<Self>, partition: Partition) {
        // Who has the right at this moment asks the log.
        if let Ok(_moving) = self.view(partition).moving.try_lock() {
            self.apply_told_in_turn(partition);
        }
    }

    /// Moves the view on by what was told and comes next. It stays confirmed as of when the log was last asked: what
    /// was told is not all that there is, and may have come late.
    fn apply_told_in_turn(self: &Arc<Self>, partition: Partition) {
        let clocks = &self.view(partition).clocks;
        let frontier = clocks.frontier();
        if self.sabotage.is(Sabotage::ApplyToldOverGap)
            && let Some(newest) = self.told.newest_told(partition).filter(|newest| newest.epoch == frontier.epoch)
        {
            let missed = frontier.sequence.as_u64() + 1..newest.sequence.as_u64();
            missed.for_each(|sequence| clocks.apply(Sequence::from_u64(sequence), &[]));
        }
        for record in self.told.told_after(clocks.frontier()) {
            self.apply(&record);
            if self.sabotage.is(Sabotage::ConfirmByTold) {
                clocks.confirm(self.now());
            }
        }
    }

    /// Applies the next record of its partition's log.
    fn apply(self: &Arc<Self>, record: &Arc<Record>) {
        let Position { partition, sequence, .. } = record.position;
        let clocks = &self.view(partition).clocks;
        if self.sabotage.is(Sabotage::ForgetPurges) {
            let facts: Vec<_> = record.tags.iter().copied().filter(|tag| !tag.makes_a_purge()).collect();
            clocks.apply(sequence, &facts);
        } else {
            clocks.apply(sequence, &record.tags);
        }
        self.note_erasure(record);
        self.observers.tell(&Event::Applied { record });
    }

    /// Moves the views on until they have reached `required`. Positions of epochs that are over demand nothing: when
    /// an epoch ends, everything loaded in it is refused anyway.
    pub(super) async fn reach(
        self: &Arc<Self>,
        required: &PositionSet,
        patience: Patience,
    ) -> Result<(), BypassReason> {
        for position in required.iter() {
            if !self.has_reached_by_told(position) {
                self.catch_up_within(position.partition, patience).await?;
            }
        }
        Ok(())
    }

    /// Whether the view holds everything up to `position`. A partition that does not exist demands nothing: clients
    /// bring positions.
    pub(super) fn has_reached(&self, position: &Position) -> bool {
        self.views.get(position.partition.index()).is_none_or(|view| {
            let frontier = view.clocks.frontier();
            let of_epoch = frontier.epoch == position.epoch || self.sabotage.is(Sabotage::PositionWithoutEpoch);
            of_epoch && frontier.sequence >= position.sequence
        })
    }

    /// The same, with what was told and not yet applied.
    pub(super) fn has_reached_by_told(self: &Arc<Self>, position: &Position) -> bool {
        self.has_reached(position) || {
            self.apply_told(position.partition);
            self.has_reached(position)
        }
    }

    /// Applies everything that the log holds of a partition. One caller at a time; the others find it done.
    pub(super) async fn catch_up(self: &Arc<Self>, partition: Partition) -> Result<(), StoreError> {
        let view = self.view(partition);
        let asked_after = view.rounds.load(Acquire);
        let last_complete = view.moving.clone().lock_owned().await;
        if *last_complete > asked_after {
            // A round that began after this call has ended well while it waited.
            return Ok(());
        }
        self.clone().round(partition, last_complete).await
    }

    /// The same for a read, which does not wait for ever: the round goes on without it.
    pub(super) async fn catch_up_within(
        self: &Arc<Self>,
        partition: Partition,
        patience: Patience,
    ) -> Result<(), BypassReason> {
        let view = self.view(partition);
        let asked_after = view.rounds.load(Acquire);
        let moving = patience.wait_for(view.moving.clone().lock_owned()).await;
        let last_complete = moving.ok_or(BypassReason::StoreSlow)?;
        if *last_complete > asked_after {
            return Ok(());
        }
        match patience.within(self.clone().round(partition, last_complete)).await {
            Ok(done) => done.map_err(|error| outage(&error)),
            Err(late) => {
                self.go_on(async move {
                    let _ = late.await;
                });
                Err(BypassReason::StoreSlow)
            }
        }
    }

    /// Applies records until none is left.
    async fn round(
        self: Arc<Self>,
        partition: Partition,
        mut last_complete: OwnedMutexGuard<u64>,
    ) -> Result<(), StoreError> {
        let view = self.view(partition);
        let round = view.rounds.fetch_add(1, AcqRel) + 1;
        loop {
            let asked_at = self.now();
            if view.clocks.confirmed_at().is_some_and(|at| at > asked_at) {
                // The clock was set back. When it comes to that moment again, the confirmation must not count again.
                view.clocks.unconfirm();
            }
            let frontier = view.clocks.frontier();
            let page = self.store.read_log(frontier, RECORDS_PER_PAGE).await;
            match page.inspect_err(|error| self.tell_failed(partition, error))? {
                LogPage::Records(records) => {
                    for record in &records {
                        self.apply(record);
                    }
                    if records.len() < RECORDS_PER_PAGE {
                        // Confirmed as of when it was asked: what came after that may be missing.
                        let late = self.sabotage.is(Sabotage::ConfirmLate);
                        view.clocks.confirm(if late { self.now() } else { asked_at });
                        *last_complete = round;
                        return Ok(());
                    }
                }
                LogPage::Trimmed { head } if self.sabotage.is(Sabotage::IgnoreGap) => {
                    let missed = frontier.sequence.as_u64() + 1..=head.as_u64();
                    missed.for_each(|sequence| view.clocks.apply(Sequence::from_u64(sequence), &[]));
                }
                LogPage::Trimmed { head } => {
                    view.clocks.skip_to(head);
                    self.note_missed_erasures();
                    let head = Position { sequence: head, ..frontier };
                    self.observers.tell(&Event::Skipped { head });
                }
                LogPage::NewEpoch { .. } if self.sabotage.is(Sabotage::IgnoreEpoch) => return Ok(()),
                LogPage::NewEpoch { head } => {
                    view.clocks.start_anew(head);
                    self.note_missed_erasures();
                    self.observers.tell(&Event::Skipped { head });
                }
            }
        }
    }

    /// Tells the observers that the store failed. Not asking it is no failure of its own.
    pub(super) fn tell_failed(&self, partition: Partition, error: &StoreError) {
        if !matches!(error, StoreError::Open) {
            self.observers.tell(&Event::StoreFailed { partition: Some(partition) });
        }
    }
}
