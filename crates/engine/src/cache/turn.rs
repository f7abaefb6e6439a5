//! A load's turn: when it may begin, and whether it has to.
//!
//! Who leads a flight passes two stations before its loader runs: the refill budget, if what it replaces was made
//! invalid (see [`refill`](crate::refill)), and the lease of its key, if nodes share a store (see
//! [`lease`](crate::lease)). Behind the second one, another node may have brought the value.
//!
//! # Invariants
//! - Neither station refuses a reader: every wait is bounded, and then the load runs.
//! - Whoever waits for another node holds no permit: it loads nothing.
//! - A base captured before a wait is captured again after it, as long as the load has not begun.
//! - A lease ends with its load, however that ends.
//!
//! Batches ask for all their leases at once; see [`batch_turn`](super::batch_turn). A load of many keys has one place in
//! the budget.

use std::sync::Arc;

use tokio::time::Instant;

use super::{
    Shared,
    accept::Accept,
    find::{Found, Lack, Share, Sight, UNSUITABLE},
    held_lease::HeldLease,
};
use crate::{
    clocks::Validity,
    codec::Cacheable,
    entry::Entry,
    flight::{Flight, Lead},
    key::{Key, RawKey},
    lease::{Next, next},
    observe::{Event, WaitedFor},
    policy::{Mode, Policy},
    position::{Position, PositionSet},
    refill::{Demand, Permit},
    sabotage::Sabotage,
    scope::{self, Recorder},
    store::{Lease, LeaseRequest, StoredEntry},
    tag::TagId,
    tenant::Tenant,
    verdict::{BypassReason, MissReason, NotStored, Verdict},
};

/// Leases that one load takes over: each from a holder with an older base, and newer ones may come without end.
const TAKEOVERS_MAX: usize = 3;

/// What a load is for, as far as its turn depends on it.
pub(super) struct Errand {
    /// What was found instead of an answer.
    verdict: Verdict,
    /// Whether the value that is to be replaced was read again after it was loaded.
    was_used: bool,
    /// Whose load will do: unless this node's view held, when the read began, what its policy demands, it cannot judge
    /// what others bring.
    share: Share,
    /// Whether the store, should it have kept the read waiting for too long, is busy rather than away.
    store_is_busy: bool,
    kind: Kind,
}

enum Kind {
    /// A reader waits.
    Read,
    /// A reader waits that is a load itself, and may hold a permit.
    Nested,
    /// Nobody waits: this value is to be replaced by one that lives longer.
    Refresh(Arc<Entry>),
    /// Without a turn: the reader has waited enough, or its value is for nobody else.
    Alone,
}

impl Errand {
    /// For the reader at hand, who found `old`.
    pub(super) fn read(lack: &Lack, store_is_busy: bool) -> Self {
        let kind = if scope::is_recording() { Kind::Nested } else { Kind::Read };
        let was_used = lack.old.as_ref().is_some_and(|old| old.entry.is_used());
        Self { verdict: lack.verdict, was_used, share: lack.share, store_is_busy, kind }
    }

    /// To replace `old`, which is served meanwhile.
    pub(super) fn refresh(old: Arc<Entry>, share: Share) -> Self {
        let verdict = Verdict::Miss(MissReason::Expired);
        Self { verdict, was_used: true, share, store_is_busy: false, kind: Kind::Refresh(old) }
    }

    /// For a load that begins at once.
    pub(super) fn alone(share: Share) -> Self {
        let verdict = Verdict::Miss(MissReason::Absent);
        Self { verdict, was_used: false, share, store_is_busy: false, kind: Kind::Alone }
    }

    pub(super) fn verdict(&self) -> Verdict {
        self.verdict
    }

    pub(super) fn share(&self) -> Share {
        self.share
    }

    /// Whether nothing may be used but what begins from now on.
    pub(super) fn is_next(&self) -> bool {
        self.share != Share::ByRule
    }

    /// What listens to the load, which is for a reader of this policy in this tenant who must see `required`.
    pub(super) fn recorder(&self, tenant: Tenant, required: PositionSet, policy: &Policy) -> Recorder {
        Recorder::new(tenant, required).strict(policy.mode == Mode::Strict).unconfirmed(self.is_next())
    }

    /// Whether another node's load is asked about. What the store could not be asked, it cannot be asked for a lease
    /// either; unless it is only busy: then one of the many who wait for it asks.
    pub(super) fn may_lease(&self, policy: &Policy) -> bool {
        let is_only_busy = || self.verdict == Verdict::Bypass(BypassReason::StoreSlow) && self.store_is_busy;
        let may_ask = policy.lease && policy.uses_store && !matches!(self.kind, Kind::Alone) && !self.is_next();
        may_ask && (!self.lacks_store() || is_only_busy())
    }

    /// Whether what another load has brought meanwhile will do: the view is known to hold what the reader must see, and
    /// nothing was refused that is right by the rule.
    fn takes_news(&self) -> bool {
        let may_take = matches!(self.kind, Kind::Read | Kind::Nested) && !self.is_next();
        may_take && self.verdict != UNSUITABLE
    }

    /// Whether it comes of something that made many values unusable at once, perhaps.
    pub(super) fn is_refill(&self) -> bool {
        let many = matches!(
            self.verdict,
            Verdict::Miss(MissReason::Invalidated | MissReason::EpochChanged | MissReason::BelowFloor)
        );
        (many || self.lacks_store()) && matches!(self.kind, Kind::Read)
    }

    /// Whether the store could not be asked.
    fn lacks_store(&self) -> bool {
        matches!(
            self.verdict,
            Verdict::Bypass(BypassReason::StoreOpen | BypassReason::StoreFailed | BypassReason::StoreSlow)
        )
    }
}

/// What comes of waiting for one's turn.
pub(super) enum Turn {
    /// Load.
    Load(Start),
    /// Another node has loaded: this is what it brought.
    Found(Arc<Entry>),
    /// Another node is still at it, and nobody waits here.
    Leave,
}

/// What a load holds while it runs.
#[derive(Default)]
pub(super) struct Start {
    pub(super) lease: Option<Box<HeldLease>>,
    pub(super) permit: Option<Permit>,
}

impl Shared {
    /// Waits until `lead` may load or need not.
    pub(super) async fn turn<V: Cacheable, A: Accept<V>>(
        self: &Arc<Self>,
        key: &Key<V>,
        (policy, accept): (&Policy, &A),
        lead: &Lead,
        required: &PositionSet,
        errand: &Errand,
    ) -> Turn {
        if matches!(errand.kind, Kind::Alone) {
            return Turn::Load(Start::default());
        }
        // The one who loaded it may have landed since this reader looked: many who miss one key at once do not come here
        // at once.
        if errand.takes_news()
            && let Some(entry) = self.l1.get(key.raw())
            && let Some(entry) = hit(self.found(key.raw(), entry, (policy, accept), Sight::CLEAR, self.now()))
        {
            return Turn::Found(entry);
        }
        let permit = self.admit(&[lead], errand).await;
        if !errand.may_lease(policy) || !self.store.shares_entries() {
            return Turn::Load(Start { lease: None, permit });
        }
        let waiting = Waiting { shared: self, key, policy, accept, lead, required, errand };
        waiting.turn(permit).await
    }

    /// Waits for a permit, if the errand needs one, for one load that lands all of `leads`.
    pub(super) async fn admit(&self, leads: &[&Lead], errand: &Errand) -> Option<Permit> {
        if !errand.is_refill() {
            return None;
        }
        let tenant = leads.first()?.key().tenant();
        if let Some(permit) = self.refills.try_enter(tenant) {
            return Some(permit);
        }
        let began = Instant::now();
        let flights: Vec<Arc<Flight>> = leads.iter().map(|lead| lead.flight().clone()).collect();
        let was_used = errand.was_used;
        let demand = move || {
            let readers = flights.iter().map(|flight| flight.waiters()).sum();
            let urgent = flights.iter().any(|flight| flight.is_urgent());
            if urgent { Demand::Load } else { Demand::Readers(readers, was_used) }
        };
        let permit = self.refills.enter(tenant, demand).await;
        for lead in leads {
            self.observers.tell(&Event::Waited { key: lead.key(), waited_for: WaitedFor::Turn, took: began.elapsed() });
            lead.rebase(self.frontier_of(lead.key()));
        }
        Some(permit)
    }

    /// Whether a value that a joined flight brought may be used by a reader who came later: only if the rule can say
    /// so, or if the load began after the reader had joined.
    pub(super) fn may_share(
        &self,
        flight: &Flight,
        (entry, not_stored): (&Entry, Option<NotStored>),
        share: Share,
    ) -> bool {
        let is_new = || match share {
            Share::ByRule => self.is_valid(entry),
            // Such a reader joins only what begins after it asked.
            Share::Next(_) => flight.began_at().is_some(),
        };
        not_stored.is_none_or(NotStored::is_judgeable) && (self.sabotage.is(Sabotage::JoinUnjudged) || is_new())
    }

    /// Whether a load from `base` may bring what a reader needs who requires `needed` and knows of `known_tags`.
    pub(super) fn may_serve(&self, base: Position, needed: Option<Position>, known_tags: &[TagId]) -> bool {
        let clocks = &self.view(base.partition).clocks;
        // The reader's view has reached all that was acknowledged before. Positions beyond that are made up, by clients,
        // who would otherwise have a load each.
        let head = clocks.frontier().sequence;
        let has_seen = |needed: Position| needed.epoch != base.epoch || base.sequence >= needed.sequence.min(head);
        let reached = needed.is_none_or(has_seen);
        reached && matches!(clocks.judge(base.epoch, base.sequence, known_tags), Validity::Valid { .. })
    }

    pub(super) fn frontier_of(&self, key: &RawKey) -> Position {
        self.view(self.partition(key.tenant())).clocks.frontier()
    }
}

/// A load that asks for the lease of its key.
struct Waiting<'a, V, A> {
    shared: &'a Arc<Shared>,
    key: &'a Key<V>,
    policy: &'a Policy,
    accept: &'a A,
    lead: &'a Lead,
    required: &'a PositionSet,
    errand: &'a Errand,
}

impl<V: Cacheable, A: Accept<V>> Waiting<'_, V, A> {
    async fn turn(&self, mut permit: Option<Permit>) -> Turn {
        let Self { shared, lead, .. } = self;
        let limits = &shared.limits.lease;
        let token = shared.tokens.next(shared.sabotage);
        let patience = limits.wait_max.min(self.policy.load_timeout);
        let began = Instant::now();
        let (mut looks, mut takeovers, mut over) = (0, 0, None);
        loop {
            let lease = Lease { token, base: lead.base() };
            // A lease that is granted too late ends by its time.
            let request = LeaseRequest { lease, ttl: limits.ttl, over };
            let leased = match shared.wait_while_busy(shared.store.lease(self.raw(), &request)).await {
                Some(Ok(leased)) => leased,
                failed => {
                    if let Some(Err(error)) = failed {
                        shared.tell_failed(lease.base.partition, &error);
                    }
                    return Turn::Load(Start { lease: None, permit });
                }
            };
            let held = leased.held_by.is_none().then(|| HeldLease::new(shared, self.raw(), lease));
            if let Some(entry) = leased.entry.and_then(|stored| self.news(stored)) {
                self.tell(looks, WaitedFor::Fill, began);
                return Turn::Found(entry);
            }
            over = None;
            match next(leased.held_by.as_ref(), |held| self.serves(held)) {
                Next::Load if looks == 0 => return Turn::Load(Start { lease: held, permit }),
                Next::Load => {
                    self.tell(looks, WaitedFor::FillInVain, began);
                    return self.load_after_all(held).await;
                }
                Next::LoadUnleased => return Turn::Load(Start { lease: None, permit }),
                Next::TakeOver(holder) if takeovers < TAKEOVERS_MAX => {
                    takeovers += 1;
                    // Of two epochs it may be the holder's that runs: then its lease is not the one that is too old.
                    if leased.held_by.is_some_and(|held| held.base.epoch != lease.base.epoch) && takeovers == 1 {
                        self.capture_newest_base().await;
                    } else {
                        over = Some(holder);
                    }
                    continue;
                }
                Next::TakeOver(_) | Next::Wait => permit = None,
            }
            let pause = limits.pause(looks, shared.random.unit(self.raw().stable_hash(), u64::from(looks)));
            if began.elapsed() + pause > patience {
                self.tell(looks, WaitedFor::FillInVain, began);
                let nobody_waits = matches!(self.errand.kind, Kind::Refresh(_));
                return if nobody_waits { Turn::Leave } else { self.load_after_all(None).await };
            }
            tokio::time::sleep(pause).await;
            looks += 1;
            lead.rebase(shared.frontier_of(self.raw()));
        }
    }

    /// Loads after a wait: with a permit again, and from the newest base that can be had, because what was waited for
    /// was overtaken, most likely.
    async fn load_after_all(&self, mut lease: Option<Box<HeldLease>>) -> Turn {
        let ready = async {
            // Whoever waits holds none.
            let permit = self.shared.admit(&[self.lead], self.errand).await;
            self.capture_newest_base().await;
            permit
        };
        let permit = HeldLease::keep_while(lease.as_deref(), ready).await;
        if let Some(lease) = &mut lease {
            lease.rebase(self.lead.base());
        }
        Turn::Load(Start { lease, permit })
    }

    async fn capture_newest_base(&self) {
        // Without an answer, the base stays older than it could be.
        let _ = self.shared.catch_up_within(self.lead.base().partition, self.shared.patience()).await;
        self.lead.rebase(self.shared.frontier_of(self.raw()));
    }

    fn raw(&self) -> &RawKey {
        self.key.raw()
    }

    /// Whether the holder's load may bring what this reader needs.
    fn serves(&self, held: &Lease) -> bool {
        let needed = self.required.in_partition(held.base.partition);
        self.shared.may_serve(held.base, needed, &self.lead.flight().known_tags)
    }

    /// What the store holds, if it is an answer that the reader takes, and not the one that is to be replaced.
    fn news(&self, stored: StoredEntry) -> Option<Arc<Entry>> {
        if matches!(&self.errand.kind, Kind::Refresh(old) if stored.expires_at <= old.expires_at) {
            return None;
        }
        news(self.shared, self.key, (self.policy, self.accept), stored)
    }

    fn tell(&self, looks: u32, waited_for: WaitedFor, began: Instant) {
        if looks > 0 {
            self.shared.observers.tell(&Event::Waited { key: self.raw(), waited_for, took: began.elapsed() });
        }
    }
}

/// What the store holds, if it is an answer that the one who has just missed takes.
pub(super) fn news<V: Cacheable>(
    shared: &Shared,
    key: &Key<V>,
    wanted: (&Policy, &impl Accept<V>),
    stored: StoredEntry,
) -> Option<Arc<Entry>> {
    let lack = Lack { verdict: Verdict::Miss(MissReason::Absent), old: None, share: Share::ByRule };
    hit(shared.found_in_store(key, wanted, true, stored, lack))
}

/// What was found, if it need not be loaded.
fn hit(found: Found) -> Option<Arc<Entry>> {
    match found {
        Found::Answer(entry, verdict) => (verdict == Verdict::Hit).then_some(entry),
        Found::Refresh(entry, verdict, mine) => {
            if mine {
                entry.release_refresh();
            }
            (verdict == Verdict::Hit).then_some(entry)
        }
        Found::Nothing(..) => None,
    }
}
