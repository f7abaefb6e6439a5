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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        position::{Epoch, Sequence},
        tenant::Tenant,
    };

    crate::catalogue! {
        /// Of these tests.
        const _PATTERNS;
        /// A page.
        fn page(number) -> u8 = "page";
    }

    const TTL: Duration = Duration::from_secs(1);

    fn key(number: usize) -> RawKey {
        page(&Tenant::new("acme").unwrap(), number).raw().clone()
    }

    fn request(token: u128) -> LeaseRequest {
        let base = Position { partition: Partition(0), epoch: Epoch(1), sequence: Sequence(5) };
        LeaseRequest { lease: Lease { token: LeaseToken::from_u128(token), base }, ttl: TTL, over: None }
    }

    #[tokio::test(start_paused = true)]
    async fn beyond_the_limit_nobody_waits_and_what_has_run_out_makes_room() {
        let leases = LocalLeases::default();
        for number in 0..LEASES_MAX {
            assert_eq!(leases.ask(&key(number), &request(1)), None);
        }
        let refused = leases.ask(&key(LEASES_MAX), &request(2)).unwrap();
        assert_eq!((refused.token, refused.base), (LeaseToken::NOBODY, request(2).lease.base));
        assert_eq!(leases.0.lock().len(), LEASES_MAX);
        assert_eq!(leases.ask(&key(0), &request(2)), Some(request(1).lease), "one that is there is asked as ever");
        tokio::time::advance(TTL).await;
        assert_eq!(leases.ask(&key(LEASES_MAX), &request(2)), None);
        assert_eq!(leases.0.lock().len(), 1);
    }
}
