//! A cached value with all that is needed to judge it.

use std::{
    any::Any,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

use smallvec::SmallVec;

use crate::{
    position::{Epoch, Partition, Position, Sequence},
    tag::TagId,
    tenant::Tenant,
    time::Timestamp,
};

/// The tags of an entry; four fit without an allocation.
pub type TagIds = SmallVec<[TagId; 4]>;

/// The place of an entry in the order of insertion, over all tenants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Age(pub(crate) u64);

/// What is in L1: a value, its tags, its base and its times.
///
/// In this order in memory: with the counters of the `Arc` around it, all that a hit reads of it when nothing was
/// invalidated since is one cache line, and the value (an `Option<V>`, of which `None` is a remembered absence) stands
/// in the same allocation.
#[repr(C)]
pub(crate) struct Entry<T: ?Sized = dyn Any + Send + Sync> {
    /// Only rises, when the rule has shown the entry valid beyond it.
    base: AtomicU64,
    pub(crate) epoch: Epoch,
    pub(crate) expires_at: Timestamp,
    partition: Partition,
    touched: AtomicBool,
    refreshing: AtomicBool,
    /// Whether one of the tags belongs to the tenant (and not all are shared).
    pub(crate) has_tenant_tags: bool,
    /// How long its load took, in ms up to a minute; 0 if another node loaded it.
    pub(crate) load_ms: u16,
    pub(crate) tags: TagIds,
    pub(crate) loaded_at: Timestamp,
    /// Bytes of the encoded value.
    pub(crate) value_bytes: usize,
    pub(crate) tenant: Tenant,
    age: AtomicU64,
    value: T,
}

/// The parts of a new [`Entry`].
pub(crate) struct NewEntry {
    pub(crate) tenant: Tenant,
    pub(crate) tags: TagIds,
    pub(crate) base: Position,
    pub(crate) loaded_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    pub(crate) value_bytes: usize,
    pub(crate) has_tenant_tags: bool,
    pub(crate) load_ms: u16,
}

impl Entry {
    /// An entry that holds `value`; `None` is a remembered absence.
    pub(crate) fn new<V: Send + Sync + 'static>(value: Option<V>, new: NewEntry) -> Arc<Self> {
        let NewEntry { tenant, tags, base, loaded_at, expires_at, value_bytes, has_tenant_tags, load_ms } = new;
        Arc::new(Entry {
            tenant,
            tags,
            partition: base.partition,
            epoch: base.epoch,
            base: AtomicU64::new(base.sequence.0),
            loaded_at,
            expires_at,
            value_bytes,
            has_tenant_tags,
            load_ms,
            touched: AtomicBool::new(false),
            refreshing: AtomicBool::new(false),
            age: AtomicU64::new(0),
            value,
        })
    }

    /// The value, or its absence; none if the entry is of another type.
    pub(crate) fn value<V: 'static>(&self) -> Option<&Option<V>> {
        self.value.downcast_ref()
    }

    pub(crate) fn base(&self) -> Sequence {
        Sequence(self.base.load(Relaxed))
    }

    /// The partition whose clocks judge it.
    pub(crate) fn partition(&self) -> Partition {
        self.partition
    }

    /// Raises the base: the entry was shown to be valid through `sequence`, so later checks start there.
    pub(crate) fn raise_base(&self, sequence: Sequence) {
        self.base.fetch_max(sequence.0, Relaxed);
    }

    /// The place in the order of insertion that L1's ledger gave it.
    pub(crate) fn age(&self) -> Age {
        Age(self.age.load(Relaxed))
    }

    pub(crate) fn set_age(&self, age: Age) {
        self.age.store(age.0, Relaxed);
    }

    /// Notes a use. Written only once, so that a hot entry's cache line stays shared between cores.
    pub(crate) fn touch(&self) {
        if !self.touched.load(Relaxed) {
            self.touched.store(true, Relaxed);
        }
    }

    /// Whether it was used since the last call.
    pub(crate) fn take_touched(&self) -> bool {
        self.touched.swap(false, Relaxed)
    }

    /// The same, without forgetting it.
    pub(crate) fn was_touched(&self) -> bool {
        self.touched.load(Relaxed)
    }

    /// Whether its one refresh is claimed.
    pub(crate) fn is_refreshing(&self) -> bool {
        self.refreshing.load(Relaxed)
    }

    /// Claims the one refresh of a value, early or in its grace; false if it was claimed before.
    pub(crate) fn claim_refresh(&self) -> bool {
        !self.refreshing.swap(true, Relaxed)
    }

    /// Gives the claim back, after a refresh that failed.
    pub(crate) fn release_refresh(&self) {
        self.refreshing.store(false, Relaxed);
    }
}
