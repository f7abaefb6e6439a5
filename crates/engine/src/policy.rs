//! How long and how strictly a kind of entry may be used.

use std::time::Duration;

/// How fresh a read must be with respect to invalidations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Every read asks the store of record; nothing is served from this node's view alone. Neither is anything that its load
    /// reads: within a load for a strict reader every read is strict, whatever its own policy says.
    Strict,
    /// This node's view is used while it was confirmed within the bound; after that the store is asked.
    Bounded(Duration),
    /// A value may be served although it was invalidated or the view is unconfirmed, while it is no older than this;
    /// a refresh runs. Only for data where an old value does no harm. Who brings a position of the entry's partition
    /// reads as with `Bounded(1 s)`: nothing that is known to be invalidated. What is known to be purged, or may have been
    /// ([`Invalidation::purging`](crate::Invalidation::purging)), nobody is given.
    StaleOk(Duration),
}

/// The policy of a kind of entry.
///
/// ```
/// use std::time::Duration;
/// use unstale::Policy;
///
/// let context = Policy::ttl(Duration::from_secs(3600)).grace(Duration::from_secs(30));
/// # assert_eq!(context.ttl, Duration::from_secs(3600));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How long a value is fresh after its load.
    pub ttl: Duration,
    /// How long an absence is fresh; zero: absences are not kept.
    pub negative_ttl: Duration,
    /// How long after its time a value may still be served while a refresh runs.
    pub grace: Duration,
    /// How long after its time a value may still be served when loading fails.
    pub fail_safe: Duration,
    /// How long a load that failed is not tried again, while a value is served in its place (grace, fail-safe): an
    /// origin that is down is not asked by every read.
    pub fail_safe_retry: Duration,
    /// How strictly invalidations bind.
    pub mode: Mode,
    /// How long a load may take before its readers are told so.
    pub load_timeout: Duration,
    /// Whether one node loads for all, where nodes share a store.
    pub lease: bool,
    /// How eagerly a value is loaded anew before its time is over, in hundredths of `XFetch`'s β; zero: not at all.
    pub early_refresh_percent: u32,
    /// How old a value may be at most to be fresh, whatever was said when it was loaded; none: what was said then. For
    /// lifetimes that are shortened while values live.
    pub age_max: Option<Duration>,
    /// Whether the cache takes part at all. If not, every read loads for itself and nothing is kept.
    pub is_on: bool,
    /// Whether values are read from and given to the shared store. The log is followed in either case.
    pub uses_store: bool,
}

impl Policy {
    /// A policy with this time to live; no grace, no fail-safe, no negative caching, no early refresh, staleness bounded
    /// to one second, one load for all nodes.
    pub const fn ttl(ttl: Duration) -> Self {
        Self {
            ttl,
            negative_ttl: Duration::ZERO,
            grace: Duration::ZERO,
            fail_safe: Duration::ZERO,
            fail_safe_retry: Duration::from_secs(2),
            mode: Mode::Bounded(Duration::from_secs(1)),
            load_timeout: Duration::from_secs(30),
            lease: true,
            early_refresh_percent: 0,
            age_max: None,
            is_on: true,
            uses_store: true,
        }
    }

    /// Sets how long an absence is kept.
    #[must_use]
    pub const fn negative_ttl(self, negative_ttl: Duration) -> Self {
        Self { negative_ttl, ..self }
    }

    /// Sets the grace.
    #[must_use]
    pub const fn grace(self, grace: Duration) -> Self {
        Self { grace, ..self }
    }

    /// Sets the fail-safe.
    #[must_use]
    pub const fn fail_safe(self, fail_safe: Duration) -> Self {
        Self { fail_safe, ..self }
    }

    /// Sets how long a load that failed is not tried again.
    #[must_use]
    pub const fn fail_safe_retry(self, fail_safe_retry: Duration) -> Self {
        Self { fail_safe_retry, ..self }
    }

    /// Sets the mode.
    #[must_use]
    pub const fn mode(self, mode: Mode) -> Self {
        Self { mode, ..self }
    }

    /// Sets the load's time-out.
    #[must_use]
    pub const fn load_timeout(self, load_timeout: Duration) -> Self {
        Self { load_timeout, ..self }
    }

    /// Sets whether one node loads for all. Without, each node that misses loads; right where a load is cheaper than
    /// asking the store.
    #[must_use]
    pub const fn lease(self, lease: bool) -> Self {
        Self { lease, ..self }
    }

    /// Loads a hot value anew shortly before its time is over, so that nobody has to wait: the sooner, the longer its
    /// load took and the more it is read. 100 is β = 1, the optimum of `XFetch` for most loads; more is earlier.
    #[must_use]
    pub const fn early_refresh(self, percent: u32) -> Self {
        Self { early_refresh_percent: percent, ..self }
    }

    /// Sets how old a value may be at most, also one that was loaded before this was said.
    #[must_use]
    pub const fn age_max(self, age_max: Duration) -> Self {
        Self { age_max: Some(age_max), ..self }
    }

    /// Sets whether the cache takes part at all.
    #[must_use]
    pub const fn on(self, is_on: bool) -> Self {
        Self { is_on, ..self }
    }

    /// Sets whether values are read from and given to the shared store.
    #[must_use]
    pub const fn uses_store(self, uses_store: bool) -> Self {
        Self { uses_store, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each setter alone, beside the same written as a field: it sets what it is named after, and nothing else.
    #[test]
    fn each_setter_sets_its_own_field_and_no_other() {
        let set = Policy::ttl(Duration::from_secs(60));
        let (one, two) = (Duration::from_millis(1), Mode::StaleOk(Duration::from_millis(2)));
        let pairs = [
            (set.negative_ttl(one), Policy { negative_ttl: one, ..set }),
            (set.grace(one), Policy { grace: one, ..set }),
            (set.fail_safe(one), Policy { fail_safe: one, ..set }),
            (set.fail_safe_retry(one), Policy { fail_safe_retry: one, ..set }),
            (set.mode(two), Policy { mode: two, ..set }),
            (set.load_timeout(one), Policy { load_timeout: one, ..set }),
            (set.lease(false), Policy { lease: false, ..set }),
            (set.early_refresh(150), Policy { early_refresh_percent: 150, ..set }),
            (set.age_max(one), Policy { age_max: Some(one), ..set }),
            (set.on(false), Policy { is_on: false, ..set }),
            (set.uses_store(false), Policy { uses_store: false, ..set }),
        ];
        for (at, (by_setter, by_field)) in pairs.iter().enumerate() {
            assert_eq!(by_setter, by_field, "setter {at}");
            assert_ne!(*by_setter, set, "setter {at} does nothing");
        }
        let off = set.lease(false).on(false).uses_store(false);
        assert_eq!(off.lease(true).on(true).uses_store(true), set, "what was taken away can be given back");
    }
}
