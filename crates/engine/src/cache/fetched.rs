//! What a reader asks for and is given.

use std::{fmt, marker::PhantomData, ops::Deref, sync::Arc};

use crate::{
    codec::Cacheable,
    entry::Entry,
    position::{Position, PositionSet},
    tag::TagId,
    time::Timestamp,
    verdict::{NotStored, Verdict},
};

/// What a reader demands beyond the policy.
#[derive(Clone, Debug, Default)]
pub struct ReadOptions {
    /// Positions that the value must have seen: those that the reader's own writes returned.
    pub at_least: PositionSet,
}

/// The answer to a read.
pub struct Fetched<V> {
    /// How it came about.
    pub verdict: Verdict,
    /// Whether it came from a load that another reader had begun.
    pub collapsed: bool,
    /// Why the entry was not kept, if it was loaded and not kept.
    pub not_stored: Option<NotStored>,
    /// Holds the value: cloning it out only where it is wanted saves every hit two writes to a shared counter.
    entry: Arc<Entry>,
    value: PhantomData<fn() -> V>,
}

impl<V> Fetched<V> {
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "copying the answer from frame to frame costs more than making it")]
    pub(super) fn new(entry: Arc<Entry>, verdict: Verdict, not_stored: Option<NotStored>, collapsed: bool) -> Self {
        Self { verdict, collapsed, not_stored, entry, value: PhantomData }
    }

    #[inline]
    pub(super) fn entry(&self) -> &Entry {
        &self.entry
    }
}

impl<V: Cacheable> Fetched<V> {
    /// The value; none if there is none.
    pub fn value(&self) -> Option<&V> {
        self.entry.value().expect("a key's type is its value's").as_ref()
    }

    /// The value, to be held on to beside the answer.
    pub fn cached(&self) -> Option<Cached<V>> {
        Cached::of(self.entry.clone())
    }

    /// The value, to be held on to.
    pub fn into_value(self) -> Option<Cached<V>> {
        Cached::of(self.entry)
    }
}

impl<V> Fetched<V> {
    /// The facts that it was loaded from.
    pub fn tags(&self) -> &[TagId] {
        self.entry.tags()
    }

    /// The position that the value is known to reflect: every record of the log that concerns it and is newer makes
    /// it out of date. Captured before its load, and since raised where the rule has shown it valid beyond that.
    pub fn base(&self) -> Position {
        self.entry.position()
    }

    /// When it was loaded.
    pub fn loaded_at(&self) -> Timestamp {
        self.entry.loaded_at()
    }

    /// Until when it is fresh.
    pub fn expires_at(&self) -> Timestamp {
        self.entry.expires_at
    }
}

impl<V: Cacheable + fmt::Debug> fmt::Debug for Fetched<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { verdict, collapsed, not_stored, .. } = self;
        write!(f, "Fetched({verdict}, {:?}, collapsed: {collapsed}, not stored: {not_stored:?})", self.value())
    }
}

/// A value shared with the cache. Cheap to clone; it stays as it is, whatever becomes of its entry.
pub struct Cached<V> {
    entry: Arc<Entry>,
    is_outdated: bool,
    value: PhantomData<fn() -> V>,
}

impl<V: Cacheable> Cached<V> {
    /// The value of an entry, if it is one of this type and not an absence.
    pub(super) fn of(entry: Arc<Entry>) -> Option<Self> {
        Self::found(entry, false)
    }

    /// The same, for a load that begins now.
    pub(super) fn found(entry: Arc<Entry>, is_outdated: bool) -> Option<Self> {
        let present = entry.value::<V>().is_some_and(Option::is_some);
        present.then_some(Self { entry, is_outdated, value: PhantomData })
    }
}

impl<V> Cached<V> {
    /// Of what a load is given: whether something that it was made of had changed, or may have, when the load began. What the
    /// load brings counts as of its beginning: it may bring this value again only if its source says that it is the same,
    /// and not because nothing speaks against it.
    pub fn is_outdated(&self) -> bool {
        self.is_outdated
    }

    /// Whether both are the value of one load.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.entry, &other.entry)
    }
}

impl<V: Cacheable> Deref for Cached<V> {
    type Target = V;

    fn deref(&self) -> &V {
        self.entry.value().and_then(Option::as_ref).expect("looked at when it was made")
    }
}

impl<V> Clone for Cached<V> {
    fn clone(&self) -> Self {
        Self { entry: self.entry.clone(), is_outdated: self.is_outdated, value: PhantomData }
    }
}

impl<V: Cacheable + fmt::Debug> fmt::Debug for Cached<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.deref().fmt(f)
    }
}

/// Why a read has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError<E> {
    /// The loader's own error.
    #[error(transparent)]
    Load(E),
    /// The load took longer than its policy allows.
    #[error("the load took longer than its policy allows; try again")]
    TimedOut,
    /// The loader panicked, or the process is stopping.
    #[error("the load ended without an answer; try again")]
    Aborted,
}
