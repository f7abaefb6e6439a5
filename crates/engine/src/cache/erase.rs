//! Erasing a person from every tier.
//!
//! A copy is made unreadable by destroying the person's key, unservable by the rule (the erasure is an invalidation like
//! any other), and then its bytes are removed where they are known. Only the first two matter for being right, and both
//! cost the same whatever is cached.
//!
//! A record that has the erasure's tag tells every node what it is: a purge, so that no policy serves what is older, after
//! which the node forgets the keys that it holds and looks through its memory, in the background, for values about people
//! that the rule refuses.
//!
//! # What it does not do
//! Erase the person from the database: do that first, or the next load caches them again.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::SeqCst},
};

use futures_util::{StreamExt as _, stream};
use parking_lot::Mutex;

use super::{Cache, InvalidateError, Invalidation, Shared};
use crate::{
    entry::Entry,
    key::RawKey,
    position::PositionSet,
    scope::erasure,
    sealing::SubjectKeyError,
    store::Record,
    tag::{Tag, TagId},
    time::Timestamp,
};

/// Removals from the store that are on their way at once.
const REMOVALS_AT_ONCE: usize = 64;

/// Proof that a person was erased from the cache. Holds nothing personal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Erasure {
    /// Who: a hash under a key that is derived from the master key, preceded by that key's id; none without sealing. Whoever
    /// knows the person and has the key can tell that it is them, and nobody else can.
    pub subject: Option<String>,
    /// When, by this node's clock.
    pub at: Timestamp,
    /// Keys that were destroyed, one for each tenant that had entries about the person; and those that loads had made anew
    /// before they heard of it.
    pub keys_destroyed: u64,
    /// Copies that were in this node's memory; none is left.
    pub memory_removed: usize,
    /// Of those, copies that were removed from the store too. What else is there cannot be read any more, and expires.
    pub store_removed: usize,
    /// Where the log holds it: a node that has followed it to here has forgotten the keys and serves no copy.
    pub positions: PositionSet,
}

/// An erasure that is not complete. What could be done was done.
#[derive(Debug, thiserror::Error)]
pub enum EraseError {
    /// The person's keys could not be destroyed.
    #[error("the person's keys may still exist; erase again ({0})")]
    Keys(#[from] SubjectKeyError),
    /// The keys are destroyed, but other nodes were not told.
    #[error("the keys are destroyed, but not every node was told to forget them; erase again ({0})")]
    Untold(#[from] InvalidateError),
}

/// Whether this node's memory has to be looked through for people who were erased.
#[derive(Default)]
pub(super) struct Erasures {
    /// Memory may hold a value about somebody: never before the first was put there.
    has_people: AtomicBool,
    sweep: Mutex<Sweep>,
}

#[derive(Default)]
struct Sweep {
    is_wanted: bool,
    runs: bool,
}

impl Cache {
    /// Erases the person that the tag `subject` stands for ([`record_subject`](crate::record_subject)): destroys their
    /// keys, so that nothing sealed about them can be read again, wherever it was written; declares wrong what was loaded
    /// about them, on every node; and removes what this node knows of from memory and store.
    ///
    /// It is a purge ([`Invalidation::purging`]). Other nodes forget the keys and serve no copy from the moment they hear
    /// of it, and remove their copies right after. Erasing twice does no harm.
    pub async fn erase(&self, subject: &Tag) -> Result<Erasure, EraseError> {
        let shared = &self.shared;
        let id = subject.id();
        let before = shared.keys_where(move |entry| entry.tags().contains(&id)).await;
        let said = Invalidation::of([subject.clone(), erasure().clone()]);
        let destroyed = shared.destroy_keys(id).await;
        // Also if the keys are still there: then at least nothing is served.
        let mut told = self.invalidate(&said).await;
        // A load that did not know of it yet may have had a key made anew, and others may have taken that up since.
        let anew = shared.destroy_keys(id).await;
        if matches!(anew, Ok(1..)) {
            told = match (told, self.invalidate(&said).await) {
                (Ok(mut positions), Ok(again)) => {
                    positions.extend(&again);
                    Ok(positions)
                }
                (Err(error), _) | (_, Err(error)) => Err(error),
            };
        }
        before.iter().for_each(|key| shared.l1.remove(key));
        let store_removed = shared.remove_from_store(&before).await;
        shared.sweep().await;
        let (keys_destroyed, positions) = (destroyed? + anew?, told?);
        let subject = shared.sealing.as_ref().map(|sealing| sealing.pseudonym(subject));
        let (at, memory_removed) = (self.now(), before.len());
        tracing::info!(
            subject = subject.as_deref().unwrap_or("(no key)"),
            keys_destroyed,
            memory_removed,
            store_removed,
            "a person was erased from the cache"
        );
        Ok(Erasure { subject, at, keys_destroyed, memory_removed, store_removed, positions })
    }
}

impl Shared {
    async fn destroy_keys(&self, subject: TagId) -> Result<u64, SubjectKeyError> {
        match &self.sealing {
            Some(sealing) => sealing.destroy(subject).await,
            None => Ok(0),
        }
    }

    /// Notes that memory is about to hold a value, and says whether it is about somebody.
    pub(super) fn note_people(&self, entry: &Entry) -> bool {
        let is_about_people = is_about_people(entry);
        // Looked at first, so that cores do not write to what they share.
        if is_about_people && !self.erasures.has_people.load(SeqCst) {
            self.erasures.has_people.store(true, SeqCst);
        }
        is_about_people
    }

    /// Does what a record demands that erases somebody.
    pub(super) fn note_erasure(self: &Arc<Self>, record: &Record) {
        if record.tags.contains(&erasure().id()) {
            if let Some(sealing) = &self.sealing {
                sealing.forget(&record.tags);
            }
            self.want_sweep();
        }
    }

    /// Records were missed, and one of them may have erased somebody.
    pub(super) fn note_missed_erasures(self: &Arc<Self>) {
        if let Some(sealing) = &self.sealing {
            sealing.forget_all();
        }
        self.want_sweep();
    }

    /// Looks through memory in the background, once for all that is asked for meanwhile.
    fn want_sweep(self: &Arc<Self>) {
        if !self.erasures.has_people.load(SeqCst) {
            return;
        }
        let mut sweep = self.erasures.sweep.lock();
        sweep.is_wanted = true;
        if !std::mem::replace(&mut sweep.runs, true) {
            let this = self.clone();
            tokio::spawn(async move {
                while this.next_sweep() {
                    let removed = this.sweep().await;
                    this.remove_from_store(&removed).await;
                }
            });
        }
    }

    fn next_sweep(&self) -> bool {
        let mut sweep = self.erasures.sweep.lock();
        sweep.runs = std::mem::take(&mut sweep.is_wanted);
        sweep.runs
    }

    /// Removes values about people that the rule refuses from memory.
    async fn sweep(self: &Arc<Self>) -> Vec<RawKey> {
        let this = self.clone();
        let found = self.keys_where(move |entry| is_about_people(entry) && !this.is_valid(entry)).await;
        found.iter().for_each(|key| self.l1.remove(key));
        found
    }

    /// The keys of entries in memory. Looks at each of them, where that holds nobody up.
    async fn keys_where(self: &Arc<Self>, is_meant: impl Fn(&Entry) -> bool + Send + 'static) -> Vec<RawKey> {
        let this = self.clone();
        let looking = tokio::task::spawn_blocking(move || {
            let mut found = Vec::new();
            this.l1.look_through(|entry| {
                if is_meant(entry) {
                    found.extend(RawKey::of_text(&entry.text()));
                }
                true
            });
            found
        });
        // Not joined only if the runtime ends.
        looking.await.unwrap_or_default()
    }

    /// Removes entries from the store; returns how many of them the store has taken.
    async fn remove_from_store(&self, keys: &[RawKey]) -> usize {
        if !self.store.shares_entries() {
            return 0;
        }
        let removals = keys.iter().map(|key| self.store.remove(key)).collect::<Vec<_>>();
        let mut removals = stream::iter(removals).buffer_unordered(REMOVALS_AT_ONCE);
        let mut removed = 0;
        while let Some(one) = removals.next().await {
            removed += usize::from(one.is_ok());
        }
        removed
    }
}

fn is_about_people(entry: &Entry) -> bool {
    entry.subjects() > 0 || entry.tags().contains(&erasure().id())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MemoryStore, Tenant, Timestamp, entry::NewEntry};

    crate::catalogue! {
        /// Of these tests.
        const PATTERNS;
        /// A page.
        fn page(number) -> u8 = "page";
    }

    /// As when a store's answer was judged before the record came, and kept after the sweep had gone by.
    #[tokio::test]
    async fn what_comes_into_memory_after_its_person_was_erased_does_not_stay() {
        assert_eq!(PATTERNS.len(), 1);
        let cache = Cache::builder(Arc::new(MemoryStore::default())).build().await.unwrap();
        let acme = Tenant::new("acme").unwrap();
        let (key, ada) = (page(&acme, 1).raw().clone(), Tag::of(&acme, "user", 1));
        let base = cache.frontier(&acme);
        let keep = |subjects| {
            let new = NewEntry {
                key: &key,
                tags: [ada.id()].into_iter().collect(),
                base,
                loaded_at: cache.now(),
                expires_at: Timestamp::NEVER,
                value_bytes: 1,
                has_tenant_tags: true,
                load_ms: 0,
                subjects,
                is_sensitive: false,
            };
            cache.shared.offer(&key, Entry::new(Some(7_u8), &new), cache.now());
            cache.shared.l1.get(&key).is_some()
        };
        assert!(keep(1));
        cache.erase(&ada).await.unwrap();
        assert!(!keep(1));
        assert!(keep(0), "what is about nobody is refused when it is looked for, and may stand in for a failed load");
    }
}
