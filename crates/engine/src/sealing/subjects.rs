//! Where subjects' keys are kept: outside of the cache's store, because that store writes to disk what was in it.

use std::{collections::HashMap, fmt};

use futures_util::future::{self, BoxFuture, FutureExt as _};
use parking_lot::Mutex;

use super::{keys::WrappedKey, master::KeyId};
use crate::{tag::TagId, tenant::Tenant};

/// The place that keeps subjects' keys did not do what it was asked to. Values that depend on them are misses.
#[derive(Clone, Debug, thiserror::Error)]
#[error("subjects' keys are not at hand: {0}")]
pub struct SubjectKeyError(pub String);

/// A key with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubjectKeyRow {
    /// The tenant whose entries it is for.
    pub tenant: Tenant,
    /// Whose it is: the id of the subject's tag.
    pub subject: TagId,
    /// The key.
    pub key: WrappedKey,
}

/// Keeps the wrapped keys of subjects, one for each tenant that has entries about them.
///
/// # What an implementation guarantees
/// - Of two callers that create a key for one subject at once, both get the same one.
/// - After `destroy`, what was there cannot be had again.
/// - It is not the store that keeps the entries.
pub trait SubjectKeys: Send + Sync + fmt::Debug + 'static {
    /// The keys of `subjects`, in their order.
    fn find<'a>(
        &'a self,
        tenant: &'a Tenant,
        subjects: &'a [TagId],
    ) -> BoxFuture<'a, Result<Vec<Option<WrappedKey>>, SubjectKeyError>>;

    /// Keeps a key unless the subject has one; returns the one that is kept.
    fn create<'a>(&'a self, row: &'a SubjectKeyRow) -> BoxFuture<'a, Result<WrappedKey, SubjectKeyError>>;

    /// Destroys all keys of a subject, whatever the tenant; returns how many those were.
    fn destroy(&self, subject: TagId) -> BoxFuture<'_, Result<u64, SubjectKeyError>>;

    /// At most `rows_max` keys that are wrapped by another master key than `current`.
    fn wrapped_by_others(
        &self,
        current: KeyId,
        rows_max: usize,
    ) -> BoxFuture<'_, Result<Vec<SubjectKeyRow>, SubjectKeyError>>;

    /// Puts the same key, wrapped anew, in place of `old`; does nothing if another stands there or none.
    fn rewrap<'a>(&'a self, old: &'a SubjectKeyRow, new: WrappedKey) -> BoxFuture<'a, Result<(), SubjectKeyError>>;
}

/// Keeps subjects' keys in this process: entries about people open until it ends. For one process, and for tests.
#[derive(Default)]
pub struct MemorySubjectKeys(Mutex<HashMap<(TagId, Tenant), WrappedKey>>);

impl MemorySubjectKeys {
    /// How many keys it holds.
    pub fn len(&self) -> usize {
        self.0.lock().len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl SubjectKeys for MemorySubjectKeys {
    fn find<'a>(
        &'a self,
        tenant: &'a Tenant,
        subjects: &'a [TagId],
    ) -> BoxFuture<'a, Result<Vec<Option<WrappedKey>>, SubjectKeyError>> {
        let keys = self.0.lock();
        let found = subjects.iter().map(|subject| keys.get(&(*subject, tenant.clone())).cloned()).collect();
        future::ready(Ok(found)).boxed()
    }

    fn create<'a>(&'a self, row: &'a SubjectKeyRow) -> BoxFuture<'a, Result<WrappedKey, SubjectKeyError>> {
        let mut keys = self.0.lock();
        let kept = keys.entry((row.subject, row.tenant.clone())).or_insert_with(|| row.key.clone()).clone();
        future::ready(Ok(kept)).boxed()
    }

    fn destroy(&self, subject: TagId) -> BoxFuture<'_, Result<u64, SubjectKeyError>> {
        let mut keys = self.0.lock();
        let before = keys.len();
        keys.retain(|(other, _), _| *other != subject);
        future::ready(Ok((before - keys.len()) as u64)).boxed()
    }

    fn wrapped_by_others(
        &self,
        current: KeyId,
        rows_max: usize,
    ) -> BoxFuture<'_, Result<Vec<SubjectKeyRow>, SubjectKeyError>> {
        let keys = self.0.lock();
        let others = keys.iter().filter(|(_, key)| key.master != current).take(rows_max);
        let rows = others.map(|((subject, tenant), key)| SubjectKeyRow {
            tenant: tenant.clone(),
            subject: *subject,
            key: key.clone(),
        });
        future::ready(Ok(rows.collect())).boxed()
    }

    fn rewrap<'a>(&'a self, old: &'a SubjectKeyRow, new: WrappedKey) -> BoxFuture<'a, Result<(), SubjectKeyError>> {
        if let Some(key) = self.0.lock().get_mut(&(old.subject, old.tenant.clone()))
            && *key == old.key
        {
            *key = new;
        }
        future::ready(Ok(())).boxed()
    }
}

impl fmt::Debug for MemorySubjectKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemorySubjectKeys({})", self.len())
    }
}
