//! The leases of a store in this process.

use std::{collections::HashMap, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::lease::{AfterLease, Lease, LeaseRequest, LeaseToken};
use crate::{
    hash_map::IdBuildHasher,
    key::RawKey,
    position::{Partition, Position},
};

/// Leases held at once, those that have run out and were not yet removed included. Beyond it, misses do not wait.
const LEASES_MAX: usize = 65_536;

/// Who may fill which key, until when.
#[derive(Debug, Default)]
pub(super) struct LocalLeases(Mutex<HashMap<RawKey, (Lease, Instant), IdBuildHasher>>);

impl LocalLeases {
    /// None: granted. Else who holds it.
    pub(super) fn ask(&self, key: &RawKey, request: &LeaseRequest) -> Option<Lease> {
        let now = Instant::now();
        let mut held = self.0.lock();
        if let Some((lease, until)) = held.get(key)
            && *until > now
            && request.over != Some(lease.token)
        {
            return Some(*lease);
        }
        if held.len() >= LEASES_MAX && !held.contains_key(key) {
            held.retain(|_, (_, until)| *until > now);
            if held.len() >= LEASES_MAX {
                return Some(open(request.lease.base));
            }
        }
        held.insert(key.clone(), (request.lease, now + request.ttl));
        None
    }

    pub(super) fn release(&self, key: &RawKey, token: LeaseToken, after: AfterLease) {
        let mut held = self.0.lock();
        let Some((lease, until)) = held.get_mut(key).filter(|(lease, _)| lease.token == token) else { return };
        match after {
            AfterLease::Free => drop(held.remove(key)),
            AfterLease::Open(time) => (*lease, *until) = (open(lease.base), later(time)),
        }
    }

    pub(super) fn lose(&self, partition: Partition) {
        self.0.lock().retain(|_, (lease, _)| lease.base.partition != partition);
    }
}

fn open(base: Position) -> Lease {
    Lease { token: LeaseToken::NOBODY, base }
}

fn later(time: Duration) -> Instant {
    Instant::now() + time
}
