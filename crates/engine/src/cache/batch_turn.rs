//! A batch's turn: the leases of its missing keys, asked for in one question.
//!
//! # Invariants
//! - *No two batches wait for each other's keys with leases in hand*: what a batch has the lease of it loads at once,
//!   and only then waits for what others load.
//! - Waiting is bounded, by the same limit as a single read's; then the batch loads what is still missing.
//! - Whoever waits holds no permit of the refill budget: one was for the load before, another is for the load after.
//! - A lease ends with the fill of its key, however that ends.

use std::{sync::Arc, time::Duration};

use futures_util::future::{BoxFuture, FutureExt as _, join_all};
use tokio::time::Instant;

use super::{
    Shared,
    accept::Anything,
    find::Old,
    held_lease::HeldLease,
    load::Loaded,
    turn::{Errand, news},
};
use crate::{
    codec::Cacheable,
    entry::Entry,
    flight::{Lead, Outcome},
    key::{Key, RawKey},
    lease::{Next, next},
    observe::{Event, WaitedFor},
    policy::Policy,
    position::PositionSet,
    refill::Permit,
    scope::Recorder,
    store::{Lease, LeaseRequest, LeaseToken, Leased},
    verdict::Verdict,
};

/// A place of the batch whose flight this reader leads.
pub(super) struct Led<V> {
    place: usize,
    verdict: Verdict,
    old: Option<Old>,
    key: Key<V>,
    lead: Lead,
    /// Whether it may wait for another node's load.
    may_wait: bool,
    lease: Option<Box<HeldLease>>,
}

impl<V> Led<V> {
    /// One that may wait for another node's load.
    pub(super) fn new(place: usize, (verdict, old): (Verdict, Option<Old>), key: Key<V>, lead: Lead) -> Self {
        Self { place, verdict, old, key, lead, may_wait: true, lease: None }
    }

    /// One that may not.
    pub(super) fn alone(place: usize, lack: (Verdict, Option<Old>), key: Key<V>, lead: Lead) -> Self {
        Self { may_wait: false, ..Self::new(place, lack, key, lead) }
    }
}

/// A place that has landed: with what outcome, and whether another node spared this one the load.
pub(super) struct Landing {
    pub(super) place: usize,
    /// Why it was missing.
    pub(super) verdict: Verdict,
    /// What was there.
    pub(super) old: Option<Old>,
    pub(super) outcome: Outcome,
    pub(super) spared: bool,
}

/// What stays the same while a batch's flights are led.
pub(super) struct BatchTurn<F> {
    pub(super) shared: Arc<Shared>,
    pub(super) policy: Policy,
    pub(super) required: PositionSet,
    pub(super) errand: Errand,
    /// Brings the values of places.
    pub(super) load: Arc<F>,
}

impl<F: Send + Sync> BatchTurn<F> {
    /// Lands all of `leads`, whatever becomes of their loads.
    pub(super) async fn fly<V, E, L>(&self, mut leads: Vec<Led<V>>) -> Vec<Landing>
    where
        V: Cacheable,
        E: Clone + Send + Sync + 'static,
        F: Fn(Vec<usize>) -> L + Send + Sync,
        L: Future<Output = Result<Vec<Loaded<V>>, E>> + Send,
    {
        let Self { shared, policy, errand, .. } = self;
        for led in &mut leads {
            led.lead.follow().await;
            if errand.is_next() {
                led.lead.rebase(shared.frontier_of(led.key.raw()));
            }
        }
        let mut permit = self.admit(&leads).await;
        if !errand.may_lease(policy) || !shared.store.shares_entries() {
            return self.load_now(leads, permit).boxed().await;
        }
        let limits = &shared.limits.lease;
        let patience = limits.wait_max.min(policy.load_timeout);
        let (mut landings, mut looks, mut waited) = (Vec::new(), 0, Duration::ZERO);
        loop {
            let began = Instant::now();
            let (mine, theirs) = self.ask_leases(leads, looks, waited, &mut landings).boxed().await;
            leads = theirs;
            waited += began.elapsed();
            if !mine.is_empty() {
                if looks > 0 {
                    permit = self.prepare_again(&mine).boxed().await;
                }
                landings.extend(self.load_now(mine, permit.take()).boxed().await);
            }
            permit = None;
            if leads.is_empty() {
                return landings;
            }
            let key = leads[0].key.raw();
            let pause = limits.pause(looks, shared.random.unit(key.stable_hash(), u64::from(looks)));
            looks += 1;
            if waited + pause > patience {
                leads.iter().for_each(|led| self.tell(led, looks, WaitedFor::FillInVain, waited));
                permit = self.prepare_again(&leads).boxed().await;
                landings.extend(self.load_now(leads, permit).boxed().await);
                return landings;
            }
            tokio::time::sleep(pause).await;
            waited += pause;
            for led in &leads {
                led.lead.rebase(shared.frontier_of(led.key.raw()));
            }
        }
    }

    /// Asks for the leases of all that may wait; lands what other nodes have brought. Returns what is to be loaded now,
    /// with its leases, and what others load.
    async fn ask_leases<V: Cacheable>(
        &self,
        leads: Vec<Led<V>>,
        looks: u32,
        waited: Duration,
        landings: &mut Vec<Landing>,
    ) -> (Vec<Led<V>>, Vec<Led<V>>) {
        let (leads, mut mine): (Vec<_>, Vec<_>) = leads.into_iter().partition(|led| led.may_wait);
        let requests: Vec<(RawKey, LeaseRequest)> = leads.iter().map(|led| self.request(led, None)).collect();
        let Some(answers) = self.ask(&requests).await else {
            // What the store could not be asked, it is not asked again: a lease granted too late ends by its time.
            mine.extend(leads);
            return (mine, Vec::new());
        };
        let (mut theirs, mut too_old) = (Vec::new(), Vec::new());
        for ((mut led, (_, request)), Leased { held_by, entry }) in leads.into_iter().zip(&requests).zip(answers) {
            led.lease = held_by.is_none().then(|| HeldLease::new(&self.shared, led.key.raw(), request.lease));
            if let Some(entry) =
                entry.and_then(|stored| news(&self.shared, &led.key, (&self.policy, &Anything), stored))
            {
                self.tell(&led, looks, WaitedFor::Fill, waited);
                landings.push(found(led, entry));
                continue;
            }
            match next(held_by.as_ref(), |held| self.serves(&led, held)) {
                Next::Load | Next::LoadUnleased => mine.push(led),
                Next::Wait => theirs.push(led),
                Next::TakeOver(holder) => too_old.push((led, holder)),
            }
        }
        if !too_old.is_empty() {
            let (taken, lost) = self.take_over(too_old).boxed().await;
            mine.extend(taken);
            theirs.extend(lost);
        }
        if looks > 0 {
            mine.iter().for_each(|led| self.tell(led, looks, WaitedFor::FillInVain, waited));
        }
        (mine, theirs)
    }

    /// Takes leases whose holders load from too old a base; each once. Of two epochs it may be the holder's that runs:
    /// so the view is caught up with first.
    async fn take_over<V: Cacheable>(&self, too_old: Vec<(Led<V>, LeaseToken)>) -> (Vec<Led<V>>, Vec<Led<V>>) {
        self.capture_newest_bases(too_old.iter().map(|(led, _)| led).collect()).await;
        // Boxed, because of what the compiler cannot prove of futures that closures make.
        let asking: Vec<BoxFuture<'_, _>> =
            too_old.into_iter().map(|(led, holder)| self.take_over_one(led, holder).boxed()).collect();
        let (taken, lost): (Vec<_>, Vec<_>) = join_all(asking).await.into_iter().partition(|(_, taken)| *taken);
        let leads = |all: Vec<(Led<V>, bool)>| all.into_iter().map(|(led, _)| led).collect();
        (leads(taken), leads(lost))
    }

    /// Whether it is to be loaded now.
    async fn take_over_one<V: Cacheable>(&self, mut led: Led<V>, holder: LeaseToken) -> (Led<V>, bool) {
        let (key, request) = self.request(&led, Some(holder));
        match self.shared.wait_while_busy(self.shared.store.lease(&key, &request)).await {
            Some(Ok(Leased { held_by: None, .. })) => {
                led.lease = Some(HeldLease::new(&self.shared, &key, request.lease));
                (led, true)
            }
            // Somebody else was faster: worth a wait if it began late enough.
            Some(Ok(Leased { held_by: Some(held), .. })) => {
                let serves = held.token != LeaseToken::NOBODY && self.serves(&led, &held);
                (led, !serves)
            }
            _ => (led, true),
        }
    }

    fn request<V>(&self, led: &Led<V>, over: Option<LeaseToken>) -> (RawKey, LeaseRequest) {
        let token = self.shared.tokens.next(self.shared.sabotage);
        let lease = Lease { token, base: led.lead.base() };
        (led.key.raw().clone(), LeaseRequest { lease, ttl: self.shared.limits.lease.ttl, over })
    }

    /// None if the store has not answered. There are some requests: at least one of those who lead may wait. Boxed, as all
    /// futures here that the compiler would otherwise lose sight of.
    fn ask<'b>(&'b self, requests: &'b [(RawKey, LeaseRequest)]) -> BoxFuture<'b, Option<Vec<Leased>>> {
        async move {
            match self.shared.wait_while_busy(self.shared.store.lease_many(requests)).await? {
                Ok(answers) if answers.len() == requests.len() => Some(answers),
                Ok(_) => None,
                Err(error) => {
                    self.shared.tell_failed(requests[0].1.lease.base.partition, &error);
                    None
                }
            }
        }
        .boxed()
    }

    /// Whether the holder's load may bring what this reader needs.
    fn serves<V>(&self, led: &Led<V>, held: &Lease) -> bool {
        let needed = self.required.in_partition(held.base.partition);
        self.shared.may_serve(held.base, needed, &led.lead.flight().known_tags)
    }

    /// Before a load that follows a wait: a permit again, and the newest base that can be had, because what was waited
    /// for was overtaken, most likely.
    async fn prepare_again<V: Cacheable>(&self, leads: &[Led<V>]) -> Option<Permit> {
        let ready = async {
            let permit = self.admit(leads).await;
            self.capture_newest_bases(leads.iter().collect()).await;
            permit
        };
        keep_all_while(leads, ready).await
    }

    async fn capture_newest_bases<V>(&self, leads: Vec<&Led<V>>) {
        let Some(first) = leads.first() else { return };
        // Without an answer, the bases stay older than they could be.
        let _ = self.shared.catch_up_within(first.lead.base().partition, self.shared.patience()).await;
        leads.into_iter().for_each(|led| led.lead.rebase(self.shared.frontier_of(led.key.raw())));
    }

    fn admit<'b, V: Cacheable>(&'b self, leads: &'b [Led<V>]) -> BoxFuture<'b, Option<Permit>> {
        async move { self.shared.admit(&leads.iter().map(|led| &led.lead).collect::<Vec<_>>(), &self.errand).await }
            .boxed()
    }

    /// One load for all of `leads`.
    async fn load_now<V, E, L>(&self, mut leads: Vec<Led<V>>, permit: Option<Permit>) -> Vec<Landing>
    where
        V: Cacheable,
        E: Clone + Send + Sync + 'static,
        F: Fn(Vec<usize>) -> L + Send + Sync,
        L: Future<Output = Result<Vec<Loaded<V>>, E>> + Send,
    {
        let Some(first) = leads.first() else { return Vec::new() };
        let (shared, policy) = (&self.shared, &self.policy);
        let tenant = first.key.raw().tenant().clone();
        let recorder = Arc::new(self.errand.recorder(tenant, self.required.clone(), policy));
        for led in &mut leads {
            if let Some(lease) = &mut led.lease {
                lease.rebase(led.lead.base());
            }
        }
        let began = Instant::now();
        leads.iter().for_each(|led| led.lead.begin(shared.now()));
        let places = leads.iter().map(|led| led.place).collect();
        let all = async { (self.load)(places).await.map(Loaded::value) };
        let loaded = keep_all_while(&leads, shared.run::<Vec<Loaded<V>>, E, _>(policy, &recorder, all)).await;
        let took = began.elapsed();
        drop(permit);
        let loaded = match loaded.map(|loaded| loaded.value.expect("it was wrapped as a value")) {
            Ok(loaded) if loaded.len() == leads.len() => loaded,
            other => {
                let failed = other.err().unwrap_or(Outcome::Aborted);
                let land = |led: Led<V>| {
                    shared.observers.tell(&Event::LoadFailed { key: led.key.raw(), took });
                    landed(led, failed.clone(), false)
                };
                return leads.into_iter().map(land).collect();
            }
        };
        // Together, so that a store that takes several fills at once is given them at once.
        let keep = |(led, loaded)| self.keep(led, loaded, took, Recorder::beside(&recorder)).boxed();
        let keeping: Vec<BoxFuture<'_, Landing>> = leads.into_iter().zip(loaded).map(keep).collect();
        join_all(keeping).await
    }

    async fn keep<V: Cacheable>(
        &self,
        mut led: Led<V>,
        loaded: Loaded<V>,
        took: Duration,
        recorder: Recorder,
    ) -> Landing {
        let (lease, base) = (led.lease.take(), led.lead.base());
        let kept = self.shared.keep(&led.key, &self.policy, base, loaded, took, &recorder, lease).await;
        self.shared.observers.tell(&Event::Loaded {
            key: led.key.raw(),
            took,
            not_stored: kept.not_stored,
            expires_at: kept.entry.expires_at,
            bytes: kept.value_bytes,
        });
        landed(led, Outcome::Loaded(kept.entry, kept.not_stored), false)
    }

    fn tell<V>(&self, led: &Led<V>, looks: u32, waited_for: WaitedFor, took: Duration) {
        if looks > 0 {
            self.shared.observers.tell(&Event::Waited { key: led.key.raw(), waited_for, took });
        }
    }
}

fn found<V>(led: Led<V>, entry: Arc<Entry>) -> Landing {
    landed(led, Outcome::Loaded(entry, None), true)
}

fn landed<V>(led: Led<V>, outcome: Outcome, spared: bool) -> Landing {
    let Led { place, verdict, old, lead, lease, .. } = led;
    // If it has not been given back with the fill: before anybody here can miss again.
    drop(lease);
    lead.land(outcome.clone());
    Landing { place, verdict, old, outcome, spared }
}

/// Runs `work`, and keeps the leases of `leads` for as long as that takes.
async fn keep_all_while<V, T>(leads: &[Led<V>], work: impl Future<Output = T>) -> T {
    let leases = leads.iter().filter_map(|led| led.lease.as_deref());
    let keeping: Vec<BoxFuture<'_, ()>> = leases.map(|lease| lease.keep().boxed()).collect();
    let keeping = join_all(keeping);
    let never = async {
        keeping.await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        biased;
        done = work => done,
        () = never => unreachable!("leases are kept until the work is done"),
    }
}
