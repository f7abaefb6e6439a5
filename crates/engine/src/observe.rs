//! What the cache tells those who watch it: metrics, traces, audit, live events.

use std::{fmt, sync::Arc, time::Duration};

use crate::{
    key::RawKey,
    position::{Partition, Position},
    store::Record,
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
    /// A tenant beyond its quota gave up an entry.
    EvictedByQuota {
        /// The entry's key.
        key: &'a RawKey,
    },
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

    #[inline]
    pub(crate) fn tell(&self, event: &Event<'_>) {
        self.0.iter().for_each(|observer| observer.on_event(event));
    }
}

impl fmt::Debug for Observers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Observers({})", self.0.len())
    }
}
