//! Loading: running the caller's loader, recording what it reads, and keeping the value if the rule allows it.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::FutureExt as _;

use super::{
    Shared,
    accept::Accept,
    fetched::FetchError,
    held_lease::HeldLease,
    turn::{Errand, Start, Turn},
};
use crate::{
    clocks::Validity,
    codec::Cacheable,
    entry::{Entry, NewEntry},
    flight::{Lead, Outcome},
    key::{Key, RawKey},
    observe::Event,
    policy::Policy,
    position::{Position, PositionSet},
    resilience::pending::WaitsFor,
    sabotage::Sabotage,
    scope::{Recorder, Seen},
    sensitive::notices,
    store::{Filled, Seal, StoredEntry},
    tag::{Tag, TagId},
    time::Timestamp,
    verdict::NotStored,
};

/// What a loader brings: a value or its absence, and what it knows about it.
#[derive(Debug)]
pub struct Loaded<V> {
    pub(super) value: Option<V>,
    tags: Vec<Tag>,
    ttl: Option<Duration>,
    read_since: Option<PositionSet>,
    declined: bool,
}

impl<V> Loaded<V> {
    /// A value.
    pub fn value(value: V) -> Self {
        Self { value: Some(value), tags: Vec::new(), ttl: None, read_since: None, declined: false }
    }

    /// There is none, which may be remembered too ([`Policy::negative_ttl`]).
    pub fn absent() -> Self {
        Self { value: None, tags: Vec::new(), ttl: None, read_since: None, declined: false }
    }

    /// Adds tags to those that were recorded.
    #[must_use]
    pub fn tags(mut self, tags: impl IntoIterator<Item = Tag>) -> Self {
        self.tags.extend(tags);
        self
    }

    /// Shortens (or lengthens) the policy's time to live for this value.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// Says that some of the facts were read before the load began, after `positions` were captured
    /// ([`Cache::frontier`](crate::Cache::frontier)): whatever was invalidated since then makes the value out of date,
    /// as if the load had begun there. Without a position in the key's partition nothing can be shown, and the value
    /// is not kept. What is out of date already goes to the caller alone ([`NotStored::ReadBefore`]).
    #[must_use]
    pub fn read_since(mut self, positions: PositionSet) -> Self {
        self.read_since = Some(positions);
        self
    }

    /// Says that the value is not to be kept; it goes to the caller alone, never to others who wait.
    #[must_use]
    pub fn declined(mut self) -> Self {
        self.declined = true;
        self
    }
}

impl<V> From<Option<V>> for Loaded<V> {
    fn from(value: Option<V>) -> Self {
        match value {
            Some(value) => Self::value(value),
            None => Self::absent(),
        }
    }
}

/// A value with the entry that would hold it.
pub(super) struct Landed {
    pub(super) entry: Arc<Entry>,
    pub(super) not_stored: Option<NotStored>,
    /// Bytes of the encoded value.
    pub(super) value_bytes: usize,
}

impl Shared {
    /// Runs `load` for `key` when it is its turn, keeps the value if it may be kept, and lands the flight; or lands it
    /// with what another node has loaded meanwhile, and says so.
    pub(super) async fn fly<V, E, A, F>(
        self: &Arc<Self>,
        key: &Key<V>,
        (policy, accept): (&Policy, &A),
        mut lead: Lead,
        required: PositionSet,
        errand: &Errand,
        load: F,
    ) -> (Outcome, bool)
    where
        V: Cacheable,
        E: Clone + Send + Sync + 'static,
        A: Accept<V>,
        F: Future<Output = Result<Loaded<V>, E>>,
    {
        lead.follow().await;
        if errand.is_next() {
            lead.rebase(self.frontier_of(key.raw()));
        }
        let start = match self.turn(key, (policy, accept), &lead, &required, errand).await {
            Turn::Load(start) => start,
            Turn::Found(entry) => {
                let outcome = Outcome::Loaded(entry, None);
                lead.land(outcome.clone());
                return (outcome, true);
            }
            // Dropping the lead tells those who have joined meanwhile: they lead a flight of their own.
            Turn::Leave => return (Outcome::Aborted, true),
        };
        let recorder = errand.recorder(key.raw().tenant().clone(), required, policy);
        let outcome = self.fly_now(key, policy, &lead, recorder, start, load).await;
        lead.land(outcome.clone());
        (outcome, false)
    }

    async fn fly_now<V, E, F>(
        self: &Arc<Self>,
        key: &Key<V>,
        policy: &Policy,
        lead: &Lead,
        recorder: Recorder,
        start: Start,
        load: F,
    ) -> Outcome
    where
        V: Cacheable,
        E: Clone + Send + Sync + 'static,
        F: Future<Output = Result<Loaded<V>, E>>,
    {
        let Start { lease, permit } = start;
        let recorder = Arc::new(recorder);
        let base = lead.base();
        let began = tokio::time::Instant::now();
        lead.begin(self.now());
        let loaded = HeldLease::keep_while(lease.as_deref(), self.run::<V, E, _>(policy, &recorder, load)).await;
        let took = began.elapsed();
        drop(permit);
        match loaded {
            Ok(loaded) => {
                let late = self.sabotage.is(Sabotage::StampAfterLoad);
                let base = if late { self.view(base.partition).clocks.frontier() } else { base };
                let landed = self.keep(key, policy, base, loaded, took, &recorder, lease).await;
                self.observers.tell(&Event::Loaded {
                    key: key.raw(),
                    took,
                    not_stored: landed.not_stored,
                    expires_at: landed.entry.expires_at,
                    bytes: landed.value_bytes,
                });
                Outcome::Loaded(landed.entry, landed.not_stored)
            }
            Err(failed) => {
                self.observers.tell(&Event::LoadFailed { key: key.raw(), took });
                failed
            }
        }
    }

    /// Runs a load within its time and catches what it throws.
    pub(super) async fn run<T, E, F>(
        &self,
        policy: &Policy,
        recorder: &Arc<Recorder>,
        load: F,
    ) -> Result<Loaded<T>, Outcome>
    where
        E: Clone + Send + Sync + 'static,
        F: Future<Output = Result<Loaded<T>, E>>,
    {
        let load = AssertUnwindSafe(recorder.listen(load)).catch_unwind();
        match tokio::time::timeout(policy.load_timeout, load).await {
            Ok(Ok(Ok(loaded))) => Ok(loaded),
            Ok(Ok(Err(error))) => Err(Outcome::Failed(Arc::new(error))),
            Ok(Err(_panic)) => Err(Outcome::Aborted),
            Err(_elapsed) => Err(Outcome::TimedOut),
        }
    }

    /// Makes an entry of a loaded value and stores it in L1 and L2, unless something speaks against it. The lease is
    /// given back once the store has taken the value or refused it, which this waits for only a little: whoever asks for
    /// the lease next must find the value. It is left open if loading again would be in vain for other nodes too.
    #[allow(clippy::too_many_arguments, reason = "what is known of a load when it has ended")]
    pub(super) async fn keep<V: Cacheable>(
        self: &Arc<Self>,
        key: &Key<V>,
        policy: &Policy,
        base: Position,
        loaded: Loaded<V>,
        took: Duration,
        recorder: &Recorder,
        mut lease: Option<Box<HeldLease>>,
    ) -> Landed {
        if self.sabotage.is(Sabotage::ForgetRecordedTags) {
            recorder.forget_tags();
        }
        loaded.tags.iter().for_each(|tag| recorder.tag(tag));
        if loaded.declined {
            recorder.refuse(NotStored::Declined);
        }
        let mut seen = recorder.seen();
        let base = loaded.read_since.as_ref().map_or(base, |since| self.read_since(since, base, &mut seen));
        let loaded_at = self.now();
        let lifetime = lifetime(policy, &loaded);
        let (tags, subjects) = seen.ordered_tags();
        let is_about_people = subjects > 0 || seen.has_too_many_subjects();
        let retained_until =
            if is_about_people { loaded_at + self.limits.subject_lifetime_max } else { Timestamp::NEVER };
        let expires_at = (loaded_at + lifetime).min(seen.expires_no_later).min(retained_until);
        let mut encoded = Vec::new();
        let (encoding, wrote_sensitive) =
            notices(|| loaded.value.as_ref().map(|value| value.encode(&mut encoded)).transpose());
        let is_sensitive = seen.is_sensitive || wrote_sensitive;
        let value_bytes = encoded.len();
        let refused = refused(&seen, loaded.value.is_some(), expires_at <= loaded_at, policy)
            .or_else(|| (encoding.is_err() || key.raw().is_too_long()).then_some(NotStored::Declined))
            .or_else(|| (value_bytes > self.limits.l1.value_bytes_max).then_some(NotStored::TooLarge))
            .or_else(|| self.overtaken(base, &seen));
        let has_value = loaded.value.is_some();
        let new = NewEntry {
            key: key.raw(),
            tags: tags.clone(),
            base,
            loaded_at,
            expires_at,
            value_bytes,
            has_tenant_tags: seen.has_tenant_tags,
            load_ms: u16::try_from(took.as_millis()).unwrap_or(u16::MAX),
            subjects,
            is_sensitive,
        };
        let entry = Entry::new(loaded.value, &new);
        // Its store has it not, and never will.
        let mut is_unkeepable = refused.is_some_and(|reason| !is_overtaken(reason));
        if refused.is_none() {
            self.offer(key.raw(), entry.clone(), self.now());
            let stored = StoredEntry {
                base,
                tags,
                has_tenant_tags: seen.has_tenant_tags,
                loaded_at,
                load_ms: new.load_ms,
                expires_at,
                dead_at: (expires_at + policy.grace.max(policy.fail_safe)).min(retained_until),
                schema: V::fingerprint(),
                value: has_value.then(|| Bytes::from(encoded)),
                subjects,
                is_sensitive,
                seal: Seal::None,
            };
            if !policy.uses_store {
                is_unkeepable = false;
            } else if let Some(reason) = self.unshared(&stored, &seen) {
                self.observers.tell(&Event::NotShared { key: key.raw(), reason });
                is_unkeepable = true;
            } else {
                self.fill(key.raw().clone(), stored, lease.take()).await;
            }
        }
        if is_unkeepable && let Some(lease) = &mut lease {
            lease.open();
        }
        Landed { entry, not_stored: refused, value_bytes }
    }

    /// The base of a value of which some facts were read since `positions`, before its load began at `base`. What has
    /// changed in between is kept by nobody and no part of anything: to whoever began after the change, neither the
    /// load's base nor their own tells that it is wrong.
    fn read_since(&self, positions: &PositionSet, base: Position, seen: &mut Seen) -> Position {
        let since = positions.in_partition(base.partition).map(|since| earlier(since, base));
        if since.is_none_or(|since| since != base && !self.stands(since, &seen.tags)) {
            seen.refuse(NotStored::ReadBefore);
        }
        since.unwrap_or(base)
    }

    /// Why an entry must not go to the store, if so. A store that shares nothing takes it into this process's memory at
    /// most.
    fn unshared(&self, stored: &StoredEntry, seen: &Seen) -> Option<NotStored> {
        if !self.store.shares_entries() {
            None
        } else if seen.has_too_many_subjects() {
            Some(NotStored::TooManySubjects)
        } else if self.sealing.is_none() && (stored.is_sensitive || stored.subjects > 0) {
            Some(NotStored::Unsealed)
        } else {
            None
        }
    }

    /// Gives an entry to the store, and then the lease back; waits only a little for that.
    async fn fill(self: &Arc<Self>, key: RawKey, stored: StoredEntry, mut lease: Option<Box<HeldLease>>) {
        let this = self.clone();
        let filling = async move {
            let partition = stored.base.partition;
            let filled = HeldLease::keep_while(lease.as_deref(), this.store.fill(&key, stored)).await;
            let filled = filled.inspect_err(|error| this.tell_failed(partition, error));
            if let (Ok(Filled::NotKept), Some(lease)) = (filled, &mut lease) {
                lease.open();
            }
        };
        if let Err(late) = self.patience_to_fill().within(filling).await {
            self.go_on(late);
        }
    }

    /// Puts an entry in L1 unless a better one is there.
    pub(super) fn offer(&self, key: &RawKey, entry: Arc<Entry>, now: Timestamp) {
        if entry.is_sensitive() && !self.holds_sensitive {
            return;
        }
        let better = self.l1.get(key).is_some_and(|held| {
            held.epoch == entry.epoch
                && held.base() > entry.base()
                && held.expires_at > now
                && self.is_valid(&held)
                // Its base may have been raised while this one was loaded to replace it. If both stand, the younger is
                // the better one: whoever refused the other would refuse it again.
                && !(held.loaded_at() < entry.loaded_at() && self.is_valid(&entry))
        });
        if !better {
            let about_people = self.note_people(&entry).then(|| entry.clone());
            self.l1.insert(key, entry, now);
            // A sweep that ran before this line did not see it; one that comes after it does.
            if about_people.is_some_and(|entry| self.is_purged(&entry)) {
                self.l1.remove(key);
            }
        }
    }

    /// Whether the rule holds for an entry, and nothing waits that says otherwise.
    pub(super) fn is_valid(&self, entry: &Entry) -> bool {
        self.stands(entry.position(), entry.tags())
    }

    /// Whether an entry is invalid and may have been purged: then nobody is to have it.
    pub(super) fn is_purged(&self, entry: &Entry) -> bool {
        let (partition, tags) = (entry.partition(), entry.tags());
        // What waits is looked at first, as for the rule.
        self.waits_for(partition, tags) == Some(WaitsFor::Purge)
            || (!self.is_valid(entry) && self.view(partition).clocks.is_purged(entry.epoch, entry.base(), tags))
    }

    fn overtaken(&self, base: Position, seen: &Seen) -> Option<NotStored> {
        (!self.stands(base, &seen.tags)).then_some(NotStored::Overtaken)
    }

    pub(super) fn stands(&self, base: Position, tags: &[TagId]) -> bool {
        let clocks = &self.view(base.partition).clocks;
        // What waits is looked at first: it goes only after the clocks have it.
        !self.is_pending(base.partition, tags)
            && matches!(clocks.judge(base.epoch, base.sequence, tags), Validity::Valid { .. })
    }
}

/// Whether a value was not kept for what has changed: loaded again, it may be.
pub(super) fn is_overtaken(reason: NotStored) -> bool {
    matches!(reason, NotStored::Overtaken | NotStored::ReadBefore)
}

/// The earlier of two positions in one partition. Of two epochs it is the first argument's, whose entries the rule
/// refuses unless it is the running one.
fn earlier(since: Position, base: Position) -> Position {
    if since.epoch == base.epoch && since.sequence >= base.sequence { base } else { since }
}

fn lifetime<V>(policy: &Policy, loaded: &Loaded<V>) -> Duration {
    let usual = if loaded.value.is_some() { policy.ttl } else { policy.negative_ttl };
    loaded.ttl.unwrap_or(usual)
}

fn refused(seen: &Seen, has_value: bool, no_lifetime: bool, policy: &Policy) -> Option<NotStored> {
    if let Some(reason) = seen.refused {
        Some(reason)
    } else if !policy.is_on {
        Some(NotStored::Off)
    } else if !has_value && policy.negative_ttl.is_zero() {
        Some(NotStored::AbsenceNotKept)
    } else if no_lifetime && policy.grace.is_zero() {
        Some(NotStored::NoLifetime)
    } else {
        None
    }
}

/// Turns what is not a value into the caller's error.
pub(super) fn error_of<E: Clone + 'static>(outcome: &Outcome) -> FetchError<E> {
    match outcome {
        Outcome::Failed(error) => match error.downcast_ref::<E>() {
            Some(error) => FetchError::Load(error.clone()),
            // Joined a load whose loader has another type of error: a bug of the caller's catalogue.
            None => FetchError::Aborted,
        },
        Outcome::TimedOut => FetchError::TimedOut,
        Outcome::Aborted | Outcome::Loaded(..) => FetchError::Aborted,
    }
}
