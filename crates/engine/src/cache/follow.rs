//! Following the log: the node's view moves on, record by record, without gaps.

use std::{
    sync::atomic::Ordering::{AcqRel, Acquire},
    time::Duration,
};

use super::{Cache, Shared};
use crate::{
    observe::Event,
    position::{Partition, Position, PositionSet, Sequence},
    sabotage::Sabotage,
    store::{LogPage, StoreError},
    time::Timestamp,
};

/// Records read from the log at once.
const RECORDS_PER_PAGE: usize = 512;

impl Cache {
    /// Follows the log for as long as it is polled: run it as a task when other nodes share the store, or when the
    /// observers must hear of records without anybody reading. `confirm_every` bounds how long the view stays
    /// unconfirmed; a third of the shortest [`Mode::Bounded`](crate::Mode::Bounded) is right.
    pub async fn follow(&self, confirm_every: Duration) {
        let mut moved = self.shared.store.moved();
        loop {
            moved.mark_unchanged();
            for partition in self.shared.partitions.all() {
                // A store that does not answer is told to the observers; the next round tries again.
                let _ = self.shared.catch_up(partition).await;
            }
            // In this order, not a random one, so that a simulated run can be run again.
            tokio::select! {
                biased;
                changed = moved.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(confirm_every) => {}
            }
        }
    }
}

impl Shared {
    /// Moves the views on until they have reached `required`. Positions of epochs that are over demand nothing: when
    /// an epoch ends, everything loaded in it is refused anyway.
    pub(super) async fn reach(&self, required: &PositionSet) -> Result<(), StoreError> {
        for position in required.iter() {
            if !self.has_reached(position) {
                self.catch_up(position.partition).await?;
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

    /// Applies everything that the log holds of a partition. One caller at a time; the others find it done.
    pub(super) async fn catch_up(&self, partition: Partition) -> Result<(), StoreError> {
        let view = self.view(partition);
        let asked_after = view.rounds.load(Acquire);
        let mut last_complete = view.moving.lock().await;
        if *last_complete > asked_after {
            // A round that began after this call has ended well while it waited.
            return Ok(());
        }
        let round = view.rounds.fetch_add(1, AcqRel) + 1;
        loop {
            let asked_at = self.now();
            if view.clocks.confirmed_at() > asked_at {
                // The clock was set back. When it comes to that moment again, the confirmation must not count again.
                view.clocks.confirm(Timestamp::default());
            }
            let frontier = view.clocks.frontier();
            let page = self.store.read_log(frontier, RECORDS_PER_PAGE).await;
            match page.inspect_err(|_| self.observers.tell(&Event::StoreFailed { partition: Some(partition) }))? {
                LogPage::Records(records) => {
                    for record in &records {
                        view.clocks.apply(record.position.sequence, &record.tags);
                        self.observers.tell(&Event::Applied { record });
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
                    let head = Position { sequence: head, ..frontier };
                    self.observers.tell(&Event::Skipped { head });
                }
                LogPage::NewEpoch { .. } if self.sabotage.is(Sabotage::IgnoreEpoch) => return Ok(()),
                LogPage::NewEpoch { head } => {
                    view.clocks.start_anew(head);
                    self.observers.tell(&Event::Skipped { head });
                }
            }
        }
    }
}
