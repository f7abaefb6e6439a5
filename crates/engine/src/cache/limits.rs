//! What a cache may take: memory, waiting, loads, time.

use std::time::Duration;

use crate::{clocks::ClockLimits, l1::L1Limits, lease::LeaseLimits, refill::RefillLimits, resilience::PendingLimits};

/// The limits of a cache, each with its default.
#[derive(Clone, Copy, Debug)]
pub struct CacheLimits {
    /// Memory.
    pub l1: L1Limits,
    /// Clocks per partition.
    pub clocks: ClockLimits,
    /// Readers that wait for one load, or for one look-up in the store; more load, or look, by themselves.
    pub waiters_max: usize,
    /// Keys of one batch.
    pub batch_keys_max: usize,
    /// Waiting for other nodes' loads.
    pub lease: LeaseLimits,
    /// Loads after a broad invalidation.
    pub refill: RefillLimits,
    /// Refreshes that run in the background at once, shared between tenants as those of [`RefillLimits::loads_max`] are;
    /// those due beyond it are left to a later read.
    pub refreshes_max: usize,
    /// Invalidations that wait for a store which does not take them.
    pub pending: PendingLimits,
    /// Longest time that a value about somebody ([`record_subject`](crate::record_subject)) is kept, in any tier, whatever
    /// its policy says.
    pub subject_lifetime_max: Duration,
}

impl Default for CacheLimits {
    fn default() -> Self {
        Self {
            l1: L1Limits::default(),
            clocks: ClockLimits::default(),
            waiters_max: 16_384,
            batch_keys_max: 1024,
            lease: LeaseLimits::default(),
            refill: RefillLimits::default(),
            refreshes_max: 32,
            pending: PendingLimits::default(),
            subject_lifetime_max: Duration::from_secs(24 * 3600),
        }
    }
}
