//! Leases: one node loads a key, the others wait for what it fills.
//!
//! *Decides*, does no IO: whether a holder is worth waiting for, and for how long to look away between two looks.
//!
//! # Invariants
//! - Whatever is decided here, the rule judges every value: a lease saves loads and guards nothing.
//! - Waiting is bounded; after that a reader loads, lease or not.
//! - A token names one fill and is never used again.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use crate::{
    sabotage::Sabotage,
    store::{Lease, LeaseToken},
};

/// How long leases stand and are waited for.
#[derive(Clone, Copy, Debug)]
pub struct LeaseLimits {
    /// How long a lease stands after it was last confirmed by its owner, who does so three times in this time while it
    /// loads: so long a node that has died keeps others waiting.
    pub ttl: Duration,
    /// Longest wait for another node's load; after that a reader loads by itself.
    pub wait_max: Duration,
    /// The first pause before looking again. Each is half as long again as the one before, and between half and all of
    /// it is waited.
    pub poll_min: Duration,
    /// The longest pause.
    pub poll_max: Duration,
    /// How long nobody waits for a key whose value turned out to be none that is kept.
    pub open_for: Duration,
}

impl Default for LeaseLimits {
    fn default() -> Self {
        Self {
            ttl: Duration::from_secs(1),
            wait_max: Duration::from_secs(5),
            poll_min: Duration::from_millis(2),
            poll_max: Duration::from_millis(25),
            open_for: Duration::from_secs(10),
        }
    }
}

impl LeaseLimits {
    /// How often an owner confirms its lease.
    pub(crate) fn renew_every(&self) -> Duration {
        (self.ttl / 3).max(Duration::from_millis(1))
    }

    /// The pause after `looks` looks; `draw` is above 0 and at most 1.
    pub(crate) fn pause(&self, looks: u32, draw: f64) -> Duration {
        let growth = 1.5_f64.powi(i32::try_from(looks).unwrap_or(i32::MAX).min(64));
        let whole = self.poll_min.mul_f64(growth).min(self.poll_max);
        whole.mul_f64(0.5 + 0.5 * draw)
    }
}

/// What a reader does that asked for a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Load, with the lease.
    Load,
    /// Load without one: the key's values are not kept, waiting brings nothing.
    LoadUnleased,
    /// Wait for the holder.
    Wait,
    /// The holder's load is too old for this reader: take the lease from it.
    TakeOver(LeaseToken),
}

/// What follows from who holds the lease. `serves`: whether a value loaded from that base may serve this reader.
pub(crate) fn next(held_by: Option<&Lease>, serves: impl FnOnce(&Lease) -> bool) -> Next {
    match held_by {
        None => Next::Load,
        Some(lease) if lease.token == LeaseToken::NOBODY => Next::LoadUnleased,
        Some(lease) if serves(lease) => Next::Wait,
        Some(lease) => Next::TakeOver(lease.token),
    }
}

/// Tokens, each once: a random number of the node, and a count.
pub(crate) struct Tokens {
    node: u64,
    count: AtomicU64,
}

impl Tokens {
    /// Never by seed: two nodes with the same seed would take each other's leases for their own.
    pub(crate) fn new() -> Self {
        Self { node: rand::random(), count: AtomicU64::new(1) }
    }

    pub(crate) fn next(&self, sabotage: Sabotage) -> LeaseToken {
        if sabotage.is(Sabotage::LeaseWithoutOwner) {
            return LeaseToken::from_u128(1);
        }
        let count = self.count.fetch_add(1, Relaxed);
        LeaseToken::from_u128((u128::from(self.node) << 64) | u128::from(count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::position::{Epoch, Partition, Position, Sequence};

    #[test]
    fn a_holder_is_waited_for_only_if_its_load_will_do() {
        let base = Position { partition: Partition(0), epoch: Epoch(1), sequence: Sequence(5) };
        let lease = |token| Lease { token: LeaseToken::from_u128(token), base };
        assert_eq!(next(None, |_| false), Next::Load);
        assert_eq!(next(Some(&lease(7)), |lease| lease.base.sequence == Sequence(5)), Next::Wait);
        assert_eq!(next(Some(&lease(7)), |_| false), Next::TakeOver(LeaseToken::from_u128(7)));
        assert_eq!(next(Some(&lease(0)), |_| true), Next::LoadUnleased);
    }

    #[test]
    fn pauses_grow_up_to_their_limit_and_are_spread() {
        let limits = LeaseLimits { poll_min: Duration::from_millis(4), ..LeaseLimits::default() };
        let millis = |looks, draw| limits.pause(looks, draw).as_millis();
        assert_eq!([0, 1, 2, 3, 9, u32::MAX].map(|looks| millis(looks, 1.0)), [4, 6, 9, 13, 25, 25]);
        assert_eq!(millis(2, 0.5), 6);
    }

    #[test]
    fn an_owner_confirms_three_times_while_its_lease_stands() {
        let every = |ttl_ms| {
            let limits = LeaseLimits { ttl: Duration::from_millis(ttl_ms), ..LeaseLimits::default() };
            limits.renew_every().as_millis()
        };
        assert_eq!([3_000, 900, 3].map(every), [1_000, 300, 1]);
        assert_eq!([0, 2].map(every), [1, 1], "never without a pause");
    }

    #[test]
    fn tokens_of_a_node_and_of_two_nodes_differ() {
        let (one, two) = (Tokens::new(), Tokens::new());
        let tokens = [&one, &one, &two, &two].map(|tokens| tokens.next(Sabotage::None));
        for (at, token) in tokens.iter().enumerate() {
            assert!(*token != LeaseToken::NOBODY && !tokens[at + 1..].contains(token));
        }
    }
}
