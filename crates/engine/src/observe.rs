//! What the cache tells those who watch it: metrics, traces, audit, live events.

use std::{sync::Arc, time::Duration};

use crate::{
    key::RawKey,
    position::{Partition, Position},
    resilience::BreakerState,
    store::Record,
    tenant::Tenant,
    time::Timestamp,
    verdict::{NotStored, Verdict},
};

/// Something that happened. New kinds may be added.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A read was answered.
    Read {
        /// What was read.
        key: &'a RawKey,
        /// How it was answered.
        verdict: Verdict,
    },
    /// A load ended well.
    Loaded {
        /// What was loaded.
        key: &'a RawKey,
        /// How long it took.
        took: Duration,
        /// Why the value was not kept, if it was not.
        not_stored: Option<NotStored>,
        /// Until when the value is fresh.
        expires_at: Timestamp,
        /// Bytes of the encoded value.
        bytes: usize,
    },
    /// A value was kept in this node's memory, but not offered to the store.
    NotShared {
        /// What was loaded.
        key: &'a RawKey,
        /// Why.
        reason: NotStored,
    },
    /// A load failed, timed out or panicked.
    LoadFailed {
        /// What was to be loaded.
        key: &'a RawKey,
        /// How long it took.
        took: Duration,
    },
    /// A reader waited for a load that was under way.
    Joined {
        /// What was read.
        key: &'a RawKey,
    },
    /// A load had to wait before it could begin, or was spared.
    Waited {
        /// What was to be loaded.
        key: &'a RawKey,
        /// For what.
        waited_for: WaitedFor,
        /// How long.
        took: Duration,
    },
    /// A refresh in the background was due and did not begin: as many as the limit were running.
    RefreshSkipped {
        /// What was to be loaded anew.
        key: &'a RawKey,
    },
    /// A record of the log was applied to this node's view. In the order of the log, each once.
    Applied {
        /// The record.
        record: &'a Arc<Record>,
    },
    /// Records of a partition were missed and cannot be known: everything before `head` may be out of date.
    Skipped {
        /// Where the view goes on.
        head: Position,
    },
    /// The store did not answer.
    StoreFailed {
        /// The partition concerned, if one is.
        partition: Option<Partition>,
    },
    /// The breaker before the store, or before one partition of it, changed.
    BreakerChanged {
        /// The partition, if each has a breaker of its own.
        partition: Option<Partition>,
        /// What it does now.
        state: BreakerState,
    },
    /// The number of invalidations that wait for the store changed.
    InvalidationsPending {
        /// Whose log they are for.
        partition: Partition,
        /// How many wait; zero: all are recorded.
        waiting: usize,
    },
    /// An entry was evicted from this node's memory.
    Evicted {
        /// Whose it was.
        tenant: &'a Tenant,
        /// The text of its key.
        key: &'a str,
        /// Why.
        cause: EvictionCause,
    },
    /// A tenant had to give up an entry because of its quota. Told once until it was well below it again.
    QuotaReached {
        /// The tenant.
        tenant: &'a Tenant,
        /// The bytes of its entries.
        bytes: u64,
        /// What it is sure to keep: its share by weight, at most its limit.
        quota: u64,
    },
    /// This node's memory crossed a threshold. Told once per crossing; a little below it is not below.
    MemoryThreshold {
        /// The threshold, in percent of `bytes_max`.
        percent: u8,
        /// Whether memory is above it now.
        above: bool,
        /// The bytes of all entries.
        bytes: u64,
        /// How many are allowed.
        bytes_max: u64,
    },
}

/// Why an entry was evicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EvictionCause {
    /// Memory was short, and its time was over.
    Expired,
    /// Memory was short, and its tenant was the furthest above its share.
    Memory,
    /// Its tenant had more than its own limit.
    Quota,
}

/// What a load waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitedFor {
    /// Another node's load, which brought the value: this node need not load.
    Fill,
    /// Another node's load, in vain: this node loads after all, or lets a refresh be.
    FillInVain,
    /// Its turn, in the budget of refills.
    Turn,
}

/// Watches a cache.
pub trait Observer: Send + Sync + 'static {
    /// Called where it happens: must not block and must be quick (a counter, a bounded channel).
    fn on_event(&self, event: &Event<'_>);
}

/// All observers of a cache.
#[derive(Clone, Default)]
pub(crate) struct Observers(Arc<[Arc<dyn Observer>]>);

impl Observers {
    pub(crate) fn new(observers: Vec<Arc<dyn Observer>>) -> Self {
        Self(observers.into())
    }

    /// Whether nobody watches: then what is only made to be told need not be made.
    pub(crate) fn are_none(&self) -> bool {
        self.0.is_empty()
    }

    #[inline]
    pub(crate) fn tell(&self, event: &Event<'_>) {
        if !self.are_none() {
            self.0.iter().for_each(|observer| observer.on_event(event));
        }
    }
}
