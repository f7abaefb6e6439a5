//! One listener, whatever carries it: in its session from [`Subscription::open`] until it is dropped.

use std::sync::Arc;

use super::{LiveIdentity, Shared, directory::Seat, outbox::Outbox, session::Since, standing::Standing};

/// A listener that hears what its session holds. Dropping it ends it, however its task ends.
pub(super) struct Subscription {
    shared: Arc<Shared>,
    who: LiveIdentity,
    seat: Seat,
    outbox: Arc<Outbox>,
}

impl Subscription {
    /// Opens it: hello and what was missed since wait in its outbox. None before the hub runs.
    pub(super) fn open(shared: Arc<Shared>, standing: Standing, seat: Seat, since: &Since) -> Option<Self> {
        let cache = shared.cache.get()?;
        let who = standing.who.clone();
        let outbox = Arc::new(Outbox::new(shared.limits.queue_max));
        seat.open(&outbox);
        let frontier = || cache.frontier(&who.tenant);
        shared.partition_of(&who.tenant).lock().connect(&who, seat.id, &outbox, since, frontier, &shared.encoder);
        let subscription = Self { shared, who, seat, outbox };
        subscription.shared.stand(subscription.seat.id, standing, &subscription.outbox);
        Some(subscription)
    }

    /// What waits for it.
    pub(super) fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// It has everything that was sent before this receipt was asked for.
    pub(super) fn received(&self, receipt: u64) {
        self.shared.partition_of(&self.who.tenant).lock().received(&self.who, receipt);
    }

    /// It was closed as the outbox said.
    pub(super) fn closed(&self) {
        self.shared.metrics.event("closed");
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.shared.standings.lock().leave(self.seat.id);
        self.shared.partition_of(&self.who.tenant).lock().disconnect(&self.who, self.seat.id);
    }
}
