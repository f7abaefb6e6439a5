//! Recording what a load reads, so that a cascade cannot be forgotten.
//!
//! While a loader runs, a task-local [`Recorder`] listens: repositories call [`record`] for every row and list they
//! read, and the entry gets exactly those tags. Outside a load, `record` does nothing. A load within a load (an
//! entry built from other entries) passes its tags, and its shorter life, on to the outer one.
//!
//! A task that a loader spawns is outside its scope: await in the loader, or give the tags explicitly
//! ([`Loaded::tags`](crate::Loaded::tags)).

use std::sync::{Arc, LazyLock};

use parking_lot::Mutex;
use smallvec::SmallVec;

use crate::{
    entry::TagIds,
    position::PositionSet,
    tag::{Home, Tag, TagId},
    tenant::Tenant,
    time::Timestamp,
    verdict::NotStored,
};

/// Most tags an entry may carry; a load that records more is not kept. Tag the list instead of its rows.
pub const TAGS_MAX: usize = 64;

/// Most subjects of an entry; one about more is kept in memory only, and goes whenever anybody is erased.
pub const SUBJECTS_MAX: usize = 16;

tokio::task_local! {
    static CURRENT: Arc<Recorder>;
}

/// Notes that the running load has read the fact `tag`. Does nothing outside a load.
pub fn record(tag: &Tag) {
    let _ = CURRENT.try_with(|recorder| recorder.tag(tag));
}

/// Notes that the running load has read something about the person that the tag `subject` stands for, also as a fact: the
/// value is sealed with a key of that person's, and [`Cache::erase`](crate::Cache::erase) makes it unreadable wherever it
/// is. Does nothing outside a load.
///
/// Use the tag of the person's own row. It should say nothing by itself: an id, not an address.
pub fn record_subject(subject: &Tag) {
    let _ = CURRENT.try_with(|recorder| recorder.subject(subject));
}

/// Notes that the value of the running load must not leave the process in clear. What holds a
/// [`Sensitive`](crate::Sensitive) value does so by itself.
pub fn record_sensitive() {
    let _ = CURRENT.try_with(|recorder| recorder.seen.lock().is_sensitive = true);
}

/// Notes that the value of the running load must not be kept.
pub fn decline() {
    let _ = CURRENT.try_with(|recorder| recorder.refuse(NotStored::Declined));
}

/// Whether a load runs here.
pub(crate) fn is_recording() -> bool {
    CURRENT.try_with(|_| ()).is_ok()
}

/// What the reader of the running load must see; empty outside a load.
pub fn required() -> PositionSet {
    CURRENT.try_with(|recorder| recorder.required.clone()).unwrap_or_default()
}

/// Whether a load runs here whose reader could not ask the store how new this node's view is.
pub(crate) fn is_unconfirmed() -> bool {
    CURRENT.try_with(|recorder| recorder.unconfirmed).unwrap_or(false)
}

/// Whether a load runs here whose reader is strict, so that nothing it reads may be older than that reader.
pub(crate) fn is_strict() -> bool {
    CURRENT.try_with(|recorder| recorder.strict).unwrap_or(false)
}

/// Whether a load runs here whose reader is strict, and has asked the log of a partition: that of a tenant of which
/// `is_its` says so.
pub(crate) fn has_asked(is_its: impl FnOnce(&Tenant) -> bool) -> bool {
    let has_asked = |recorder: &Arc<Recorder>| recorder.strict && !recorder.unconfirmed && is_its(&recorder.tenant);
    CURRENT.try_with(has_asked).unwrap_or(false)
}

/// The tag that moves with every erasure: by it a record of the log says what it is, and values about too many people go
/// whoever it is that is erased.
pub(crate) fn erasure() -> &'static Tag {
    static ERASURE: LazyLock<Tag> = LazyLock::new(|| Tag::shared("unstale:erasure", ""));
    &ERASURE
}

/// What a load was seen to read.
pub(crate) struct Recorder {
    tenant: Tenant,
    required: PositionSet,
    strict: bool,
    unconfirmed: bool,
    seen: Mutex<Seen>,
}

#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) tags: TagIds,
    /// Of those tags, the ones that stand for people.
    pub(crate) subjects: SmallVec<[TagId; 2]>,
    pub(crate) is_sensitive: bool,
    pub(crate) has_tenant_tags: bool,
    pub(crate) refused: Option<NotStored>,
    pub(crate) expires_no_later: Timestamp,
}

/// An entry that a load was given, as the outer load must take it into account.
pub(crate) struct Nested<'a> {
    pub(crate) tenant: &'a Tenant,
    pub(crate) tags: &'a [TagId],
    /// How many of the tags, the first ones, stand for people.
    pub(crate) subjects: u8,
    pub(crate) is_sensitive: bool,
    pub(crate) has_tenant_tags: bool,
    /// Whether it was loaded for this load, not found or joined: then it is no older.
    pub(crate) loaded_within: bool,
    pub(crate) expires_at: Timestamp,
    /// Why the inner value can be no part of a kept one, if so.
    pub(crate) refused: Option<NotStored>,
}

/// Tells the running load, if any, that it was given another entry.
pub(crate) fn record_nested(nested: &Nested<'_>) {
    let _ = CURRENT.try_with(|recorder| recorder.nested(nested));
}

impl Recorder {
    pub(crate) fn new(tenant: Tenant, required: PositionSet) -> Self {
        let seen = Seen {
            tags: TagIds::new(),
            subjects: SmallVec::new(),
            is_sensitive: false,
            has_tenant_tags: false,
            refused: None,
            expires_no_later: Timestamp::NEVER,
        };
        Self { tenant, required, strict: false, unconfirmed: false, seen: Mutex::new(seen) }
    }

    /// Says whether the load's reader is strict.
    pub(crate) fn strict(self, strict: bool) -> Self {
        Self { strict, ..self }
    }

    /// Says whether the load's reader could not ask the store.
    pub(crate) fn unconfirmed(self, unconfirmed: bool) -> Self {
        Self { unconfirmed, ..self }
    }

    /// A recorder that has seen what `other` has: for one value of a load that brings many.
    pub(crate) fn beside(other: &Self) -> Self {
        let Self { tenant, required, strict, unconfirmed, .. } = other;
        let seen = Mutex::new(other.seen());
        Self { tenant: tenant.clone(), required: required.clone(), strict: *strict, unconfirmed: *unconfirmed, seen }
    }

    /// Runs a load under this recorder.
    pub(crate) async fn listen<F: Future>(self: &Arc<Self>, load: F) -> F::Output {
        CURRENT.scope(self.clone(), load).await
    }

    pub(crate) fn tag(&self, tag: &Tag) {
        let mut seen = self.seen.lock();
        match tag.home() {
            Home::Shared => {}
            Home::Tenant(tenant) if *tenant == self.tenant => seen.has_tenant_tags = true,
            Home::Tenant(_) => seen.refuse(NotStored::ForeignTag),
        }
        seen.add(tag.id());
    }

    fn subject(&self, subject: &Tag) {
        // First as a fact: the tag of another tenant makes the value unkeepable.
        self.tag(subject);
        self.seen.lock().add_subject(subject.id());
    }

    pub(crate) fn refuse(&self, reason: NotStored) {
        self.seen.lock().refuse(reason);
    }

    pub(crate) fn forget_tags(&self) {
        let mut seen = self.seen.lock();
        seen.tags.clear();
        seen.subjects.clear();
    }

    pub(crate) fn seen(&self) -> Seen {
        self.seen.lock().clone()
    }

    fn nested(&self, nested: &Nested<'_>) {
        let mut seen = self.seen.lock();
        if let Some(reason) = nested.refused {
            seen.refuse(reason);
        }
        if *nested.tenant == self.tenant {
            seen.has_tenant_tags |= nested.has_tenant_tags;
        } else if nested.has_tenant_tags || !nested.loaded_within {
            // It was judged by another partition's clocks. A shared tag has a record in every partition, but they are
            // not made at one moment: this partition's may be below the base already while the other's is still to
            // come, and then nothing would ever tell that the inner value was an old one.
            seen.refuse(NotStored::ForeignTag);
        }
        seen.expires_no_later = seen.expires_no_later.min(nested.expires_at);
        seen.is_sensitive |= nested.is_sensitive;
        nested.tags.iter().for_each(|tag| seen.add(*tag));
        nested.tags.iter().take(nested.subjects.into()).for_each(|tag| seen.add_subject(*tag));
    }
}

impl Seen {
    fn add(&mut self, tag: TagId) {
        if self.tags.contains(&tag) {
            return;
        }
        if self.tags.len() == TAGS_MAX {
            self.refuse(NotStored::TooManyTags);
        } else {
            self.tags.push(tag);
        }
    }

    fn add_subject(&mut self, subject: TagId) {
        if self.subjects.contains(&subject) {
            return;
        }
        if self.subjects.len() == SUBJECTS_MAX {
            // One more is as good as all: it goes with whoever is erased.
            self.add(erasure().id());
        } else {
            self.subjects.push(subject);
        }
    }

    /// Whether it is about more subjects than can be named.
    pub(crate) fn has_too_many_subjects(&self) -> bool {
        self.tags.contains(&erasure().id())
    }

    /// The tags, those that stand for people first, and how many these are.
    pub(crate) fn ordered_tags(&self) -> (TagIds, u8) {
        if self.subjects.is_empty() {
            return (self.tags.clone(), 0);
        }
        let is_subject = |tag: &&TagId| self.subjects.contains(tag);
        let subjects: TagIds = self.tags.iter().filter(is_subject).copied().collect();
        let count = u8::try_from(subjects.len()).expect("there are few subjects");
        let others = self.tags.iter().filter(|tag| !self.subjects.contains(tag)).copied();
        (subjects.into_iter().chain(others).collect(), count)
    }

    /// The first reason stays: it is the one to look into.
    pub(crate) fn refuse(&mut self, reason: NotStored) {
        self.refused.get_or_insert(reason);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorder() -> Arc<Recorder> {
        Arc::new(Recorder::new(acme(), PositionSet::default()))
    }

    fn acme() -> Tenant {
        Tenant::new("acme").unwrap()
    }

    fn globex() -> Tenant {
        Tenant::new("globex").unwrap()
    }

    #[tokio::test]
    async fn hears_what_a_load_records_once_each() {
        let recorder = recorder();
        recorder
            .listen(async {
                record(&Tag::of(&acme(), "flow", 1));
                tokio::task::yield_now().await;
                record(&Tag::of(&acme(), "flow", 1));
                record(&Tag::shared("client", "acme"));
            })
            .await;
        let seen = recorder.seen();
        assert_eq!(seen.tags.as_slice(), [Tag::of(&acme(), "flow", 1).id(), Tag::shared("client", "acme").id()]);
        assert!(seen.has_tenant_tags && seen.refused.is_none());
    }

    #[tokio::test]
    async fn outside_a_load_nothing_is_heard() {
        record(&Tag::shared("client", "acme"));
        decline();
        assert!(required().is_empty());
    }

    #[tokio::test]
    async fn a_fact_of_another_tenant_makes_the_value_unkeepable() {
        let recorder = recorder();
        recorder.listen(async { record(&Tag::of(&globex(), "flow", 1)) }).await;
        assert_eq!(recorder.seen().refused, Some(NotStored::ForeignTag));
    }

    #[tokio::test]
    async fn one_tag_too_many_makes_the_value_unkeepable() {
        let recorder = recorder();
        let record_rows = |count| async move {
            for row in 0..count {
                record(&Tag::of(&acme(), "row", row));
            }
        };
        recorder.listen(record_rows(TAGS_MAX)).await;
        assert_eq!(recorder.seen().refused, None);
        recorder.listen(record_rows(TAGS_MAX + 1)).await;
        assert_eq!(recorder.seen().refused, Some(NotStored::TooManyTags));
    }

    #[tokio::test]
    async fn an_inner_entry_passes_on_its_tags_its_life_and_its_faults() {
        let recorder = recorder();
        let tags = [TagId(1)];
        let inner = |tenant: Tenant, has_tenant_tags, refused| {
            let expires_at = Timestamp::from_millis(9);
            let nested = Nested {
                tenant: &tenant,
                tags: &tags,
                subjects: 1,
                is_sensitive: true,
                has_tenant_tags,
                loaded_within: true,
                expires_at,
                refused,
            };
            record_nested(&nested);
        };
        recorder.listen(async { inner(acme(), true, None) }).await;
        recorder.listen(async { inner(globex(), false, None) }).await;
        let seen = recorder.seen();
        assert_eq!((seen.tags.as_slice(), seen.expires_no_later), (&tags[..], Timestamp::from_millis(9)));
        assert_eq!(seen.refused, None);
        assert!(seen.is_sensitive && seen.subjects.as_slice() == tags);
        recorder.listen(async { inner(globex(), true, None) }).await;
        assert_eq!(recorder.seen().refused, Some(NotStored::ForeignTag));

        let recorder = self::recorder();
        recorder.listen(async { inner(acme(), true, Some(NotStored::FromStale)) }).await;
        assert_eq!(recorder.seen().refused, Some(NotStored::FromStale));
    }

    #[tokio::test]
    async fn subjects_are_facts_and_come_first() {
        let user = |id: usize| Tag::shared("user", id);
        let recorder = recorder();
        recorder
            .listen(async {
                record(&Tag::of(&acme(), "flow", 1));
                record_subject(&user(1));
                record_subject(&user(1));
                record(&user(2));
                record_sensitive();
            })
            .await;
        let seen = recorder.seen();
        let wanted = [user(1).id(), Tag::of(&acme(), "flow", 1).id(), user(2).id()];
        assert_eq!(seen.ordered_tags(), (TagIds::from_slice(&wanted), 1));
        assert!(seen.is_sensitive && !seen.has_too_many_subjects());
    }

    #[tokio::test]
    async fn one_subject_too_many_is_said_by_one_tag() {
        let recorder = recorder();
        let record_users =
            |count| async move { (0..count).for_each(|user| record_subject(&Tag::shared("user", user))) };
        recorder.listen(record_users(SUBJECTS_MAX)).await;
        assert!(!recorder.seen().has_too_many_subjects());
        recorder.listen(record_users(SUBJECTS_MAX + 1)).await;
        let seen = recorder.seen();
        assert!(seen.has_too_many_subjects() && seen.refused.is_none());
        assert_eq!(usize::from(seen.ordered_tags().1), SUBJECTS_MAX);
    }
}
