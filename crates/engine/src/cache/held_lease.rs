//! A lease while its owner loads: kept up as long as the load runs, given back however it ends.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use tokio::runtime::Handle;

use super::Shared;
use crate::{
    key::RawKey,
    position::Position,
    store::{AfterLease, Lease, LeaseRequest},
};

/// A lease that is given back when this is dropped. Should nobody live to do that, it ends by its time.
pub(super) struct HeldLease {
    shared: Arc<Shared>,
    key: RawKey,
    lease: Lease,
    /// Whether others have not heard of a newer base yet.
    is_newer: AtomicBool,
    after: AfterLease,
}

impl HeldLease {
    /// Boxed: it goes from hand to hand, through futures that are large enough without it.
    pub(super) fn new(shared: &Arc<Shared>, key: &RawKey, lease: Lease) -> Box<Self> {
        let (shared, key) = (shared.clone(), key.clone());
        Box::new(Self { shared, key, lease, is_newer: AtomicBool::new(false), after: AfterLease::Free })
    }

    /// Says that the load begins from here.
    pub(super) fn rebase(&mut self, base: Position) {
        *self.is_newer.get_mut() |= self.lease.base != base;
        self.lease.base = base;
    }

    /// Says that the value is not kept: nobody need wait for the next load of this key.
    pub(super) fn open(&mut self) {
        self.after = AfterLease::Open(self.shared.limits.lease.open_for);
    }

    /// Runs `work`, and keeps the lease, if there is one, for as long as that takes.
    pub(super) async fn keep_while<T>(held: Option<&Self>, work: impl Future<Output = T>) -> T {
        let keep = async {
            match held {
                Some(held) => held.keep().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            done = work => done,
            () = keep => unreachable!("a lease is kept until the work is done"),
        }
    }

    /// Keeps it up; does not end.
    pub(super) async fn keep(&self) {
        let limits = &self.shared.limits.lease;
        let request = LeaseRequest { lease: self.lease, ttl: limits.ttl, over: Some(self.lease.token) };
        let mut at_once = self.is_newer.swap(false, Relaxed);
        loop {
            if !at_once {
                tokio::time::sleep(limits.renew_every()).await;
            }
            at_once = false;
            let kept = self.shared.store.lease(&self.key, &request).await;
            if kept.is_ok_and(|kept| kept.held_by.is_some()) {
                // It ran out, or was taken over by a newer base: the load goes on, the lease is the other's.
                return std::future::pending().await;
            }
        }
    }
}

impl Drop for HeldLease {
    fn drop(&mut self) {
        // Not waited for: the one who read has the answer already. Outside a runtime there is nobody to do it.
        let Ok(runtime) = Handle::try_current() else { return };
        let (shared, key, lease, after) = (self.shared.clone(), self.key.clone(), self.lease, self.after);
        runtime.spawn(async move {
            let _ = shared.store.release(&key, lease.token, after).await;
        });
    }
}
