//! The refill budget: after a broad invalidation, so many loads at once and no more, the most wanted first.
//!
//! A tag of many entries, a new epoch or a raised floor makes many hot entries invalid in the same moment. Flights and
//! leases load each of them once; the [`Gate`] sees to it that not all of them load together.
//!
//! # Invariants
//! - At most [`RefillLimits::loads_max`] permits are out; a permit that is dropped, wherever it is, goes to the next.
//! - A free permit is kept back only from a tenant that holds many, for others that may come: see [`Shares`]. So is a place
//!   in the queue.
//! - Waiting is bounded: after [`RefillLimits::wait_max`] at the latest, or without a place in the queue, a load goes on
//!   without a permit. A cache must slow a reader down rather than refuse it.
//! - Those who came at once and whose turn does not come do not go on at once.
//! - Who is waited for by a load that may hold a permit does not wait for one: see [`Gate::look_again`].

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::{shares::Shares, tenant::Tenant};

/// How many loads may refill at once, and how long others wait for their turn.
#[derive(Clone, Copy, Debug)]
pub struct RefillLimits {
    /// Loads at once of values that were invalidated, lost their epoch or fell below the floor. A tenant alone has about
    /// three quarters of them, the others less.
    pub loads_max: usize,
    /// Loads that wait for their turn; more go on at once. A tenant alone has about three quarters of the places, the others
    /// less, so that what became invalid for one does not let the others' loads go on at once.
    pub queue_max: usize,
    /// Longest wait for a turn; after that, or after half of it at the earliest, a load goes on without.
    pub wait_max: Duration,
}

impl Default for RefillLimits {
    fn default() -> Self {
        Self { loads_max: 64, queue_max: 4096, wait_max: Duration::from_secs(2) }
    }
}

/// How much a load is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Demand {
    /// So many readers wait for it; and whether its old value was read again after it was loaded.
    Readers(usize, bool),
    /// Another load waits for it.
    Load,
}

/// Tells the present demand; it grows while a load waits for its turn.
type DemandOf = Box<dyn Fn() -> Demand + Send>;

/// Lets loads through.
pub(crate) struct Gate {
    limits: RefillLimits,
    state: Mutex<State>,
}

struct State {
    shares: Shares,
    next_ticket: u64,
    queue: Vec<Queued>,
    /// Whose the places in the queue are.
    places: Shares,
}

struct Queued {
    ticket: u64,
    tenant: Tenant,
    demand: DemandOf,
    turn: oneshot::Sender<Permit>,
}

/// The right to load. Dropping it lets the next one in.
pub(crate) struct Permit {
    /// None: it was not counted.
    of: Option<(Arc<Gate>, Tenant)>,
}

/// A place in the queue, given up when it is dropped.
struct Place<'a> {
    gate: &'a Gate,
    ticket: u64,
}

impl Gate {
    pub(crate) fn new(limits: RefillLimits) -> Arc<Self> {
        // None at all would make every load wait for nothing.
        Self::of(RefillLimits { loads_max: limits.loads_max.max(1), ..limits })
    }

    /// A gate at which nobody waits; of no permits, nobody passes it.
    pub(crate) fn without_queue(permits: usize) -> Arc<Self> {
        Self::of(RefillLimits { loads_max: permits, queue_max: 0, wait_max: Duration::ZERO })
    }

    fn of(limits: RefillLimits) -> Arc<Self> {
        let (shares, places) = (Shares::new(limits.loads_max), Shares::new(limits.queue_max));
        Arc::new(Self { limits, state: Mutex::new(State { shares, next_ticket: 0, queue: Vec::new(), places }) })
    }

    /// A permit for a tenant, if one is free that it may have.
    pub(crate) fn try_enter(self: &Arc<Self>, tenant: &Tenant) -> Option<Permit> {
        self.state.lock().shares.take(tenant).then(|| self.permit(tenant))
    }

    fn permit(self: &Arc<Self>, tenant: &Tenant) -> Permit {
        Permit { of: Some((self.clone(), tenant.clone())) }
    }

    /// Waits for a turn; never for ever.
    pub(crate) async fn enter(
        self: &Arc<Self>,
        tenant: &Tenant,
        demand: impl Fn() -> Demand + Send + 'static,
    ) -> Permit {
        let (place, turn) = {
            let mut state = self.state.lock();
            if state.shares.take(tenant) {
                return self.permit(tenant);
            }
            if demand() == Demand::Load || !state.places.take(tenant) {
                return Permit { of: None };
            }
            let (sender, turn) = oneshot::channel();
            let ticket = state.next_ticket;
            state.next_ticket += 1;
            state.queue.push(Queued { ticket, tenant: tenant.clone(), demand: Box::new(demand), turn: sender });
            (Place { gate: self, ticket }, turn)
        };
        let turn = tokio::time::timeout(self.patience_of(place.ticket), turn).await;
        drop(place);
        match turn {
            Ok(Ok(permit)) => permit,
            _ => Permit { of: None },
        }
    }

    /// How long a ticket waits: between half of the limit and all of it, so that those who came together do not go on
    /// together. By the golden ratio, tickets that follow each other are spread evenly, however many they are.
    fn patience_of(&self, ticket: u64) -> Duration {
        const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
        #[allow(clippy::cast_precision_loss, reason = "a share of a wait need not be exact")]
        let share = ticket.wrapping_mul(GOLDEN) as f64 / 2_f64.powi(64);
        self.limits.wait_max.mul_f64(f64::midpoint(1.0, share))
    }

    /// Lets through whom other loads have begun to wait for. Such a load may hold a permit: to queue behind it would
    /// be to wait for oneself.
    pub(crate) fn look_again(&self) {
        let let_through = self.state.lock().take_out(|queued| (queued.demand)() == Demand::Load);
        for queued in let_through {
            let _ = queued.turn.send(Permit { of: None });
        }
    }

    /// Hands a tenant's permit on to the most wanted of those who may have it; of equals, to the one who waits longest.
    fn hand_on(self: &Arc<Self>, mut tenant: Tenant) {
        loop {
            let mut state = self.state.lock();
            state.shares.give_back(&tenant);
            let State { shares, queue, places, .. } = &mut *state;
            let may_enter = queue.iter().enumerate().filter(|(_, queued)| shares.may_take(&queued.tenant));
            let most = may_enter.max_by_key(|(_, queued)| {
                let age = u64::MAX - queued.ticket;
                ((queued.demand)(), age)
            });
            // One that has come back lets one in: nobody else waited who could have taken a permit before.
            let Some((at, _)) = most else { return };
            let next = queue.swap_remove(at);
            places.give_back(&next.tenant);
            shares.take(&next.tenant);
            drop(state);
            match next.turn.send(self.permit(&next.tenant)) {
                Ok(()) => return,
                // Went away meanwhile. The permit comes back and must not hand itself on.
                Err(mut back) => back.of = None,
            }
            tenant = next.tenant;
        }
    }
}

impl State {
    /// Takes some out of the queue.
    fn take_out(&mut self, mut is_meant: impl FnMut(&Queued) -> bool) -> Vec<Queued> {
        let out: Vec<Queued> = self.queue.extract_if(.., |queued| is_meant(queued)).collect();
        out.iter().for_each(|queued| self.places.give_back(&queued.tenant));
        out
    }
}

impl Permit {
    /// Whether it counts against the budget.
    #[cfg(test)]
    fn is_counted(&self) -> bool {
        self.of.is_some()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some((gate, tenant)) = self.of.take() {
            gate.hand_on(tenant);
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.gate.state.lock().take_out(|queued| queued.ticket == self.ticket);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

    use futures_util::FutureExt as _;
    use tokio::task::{JoinHandle, yield_now};

    use super::*;

    fn gate(loads_max: usize, queue_max: usize) -> Arc<Gate> {
        Gate::new(RefillLimits { loads_max, queue_max, wait_max: Duration::from_secs(2) })
    }

    fn readers(count: usize) -> impl Fn() -> Demand + Send + 'static {
        move || Demand::Readers(count, false)
    }

    fn acme() -> Tenant {
        Tenant::new("acme").unwrap()
    }

    /// Enters in a task, and says when it has.
    async fn queue(gate: &Arc<Gate>, demand: impl Fn() -> Demand + Send + 'static) -> JoinHandle<Permit> {
        let gate = gate.clone();
        let entering = tokio::spawn(async move { gate.enter(&acme(), demand).await });
        yield_now().await;
        entering
    }

    #[tokio::test(start_paused = true)]
    async fn the_most_wanted_goes_first_and_of_equals_the_first() {
        let gate = gate(1, 8);
        let first = gate.enter(&acme(), readers(0)).await;
        let grown = Arc::new(AtomicUsize::new(0));
        let growing = grown.clone();
        let waiting = [
            queue(&gate, readers(1)).await,
            queue(&gate, readers(5)).await,
            queue(&gate, readers(5)).await,
            queue(&gate, move || Demand::Readers(growing.load(SeqCst), false)).await,
            queue(&gate, || Demand::Readers(1, true)).await,
        ];
        // More readers came while it waited.
        grown.store(9, SeqCst);
        let mut waiting = waiting.map(Some);
        let mut permit = first;
        for next in [3, 1, 2, 4, 0] {
            drop(permit);
            yield_now().await;
            let through = waiting.iter().flatten().filter(|one| one.is_finished()).count();
            assert_eq!(through, 1, "one permit lets one through");
            permit = waiting[next].take().expect("each goes once").await.expect("no task fails");
            assert!(permit.is_counted());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_is_bounded_and_so_is_the_queue() {
        let gate = gate(1, 1);
        let _held = gate.enter(&acme(), readers(0)).await;
        let waiting = queue(&gate, readers(0)).await;
        let not_queued = gate.enter(&acme(), readers(0)).now_or_never().expect("the queue is full: it goes on at once");
        assert!(!not_queued.is_counted());
        assert!(!waiting.await.unwrap().is_counted(), "it waited long enough");
        assert!(gate.state.lock().queue.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_for_one_tenant_leaves_places_for_others_and_gives_them_back() {
        let (gate, globex) = (gate(1, 8), Tenant::new("globex").unwrap());
        let held = gate.try_enter(&acme()).unwrap();
        let mut waiting = Vec::new();
        for _ in 0..7 {
            waiting.push(queue(&gate, readers(5)).await);
        }
        let beyond = gate.enter(&acme(), readers(5)).now_or_never().expect("one tenant has not all places");
        assert!(!beyond.is_counted());
        let its = gate.clone();
        let others = globex.clone();
        let other = tokio::spawn(async move { its.enter(&others, readers(0)).await });
        yield_now().await;
        assert!(!other.is_finished(), "the other waits for its turn, as it would have without the first");
        drop(held);
        for one in waiting {
            drop(one.await.unwrap());
        }
        assert!(other.await.unwrap().is_counted());
        let places = &gate.state.lock().places;
        assert!(places.may_take(&acme()) && places.is_whole(), "all are free again");
    }

    #[test]
    fn who_does_not_wait_enters_only_where_a_permit_is_free() {
        let two = gate(2, 8);
        let (one, other) = (two.try_enter(&acme()).unwrap(), two.try_enter(&acme()).unwrap());
        assert!(one.is_counted() && two.try_enter(&acme()).is_none());
        drop(other);
        assert!(two.try_enter(&acme()).is_some());
        assert!(gate(0, 8).try_enter(&acme()).is_some(), "a limit of none is one of one");
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_goes_away_gives_up_place_and_permit() {
        let gate = gate(1, 8);
        let held = gate.enter(&acme(), readers(0)).await;
        let (gone, stays) = (queue(&gate, readers(5)).await, queue(&gate, readers(0)).await);
        gone.abort();
        assert!(gone.await.is_err());
        drop(held);
        // Aborted in the same moment as it was its turn: the permit lies in its channel.
        stays.abort();
        assert!(stays.await.is_err());
        assert!(gate.enter(&acme(), readers(0)).await.is_counted());
        assert!(gate.try_enter(&acme()).is_some(), "it is free again");
    }

    #[tokio::test(start_paused = true)]
    async fn whom_another_load_waits_for_passes() {
        let gate = gate(1, 8);
        let _held = gate.enter(&acme(), readers(0)).await;
        let wanted = Arc::new(AtomicBool::new(false));
        let seen = wanted.clone();
        let demand = move || if seen.load(SeqCst) { Demand::Load } else { Demand::Readers(0, false) };
        let waiting = queue(&gate, demand.clone()).await;
        gate.look_again();
        yield_now().await;
        assert!(!waiting.is_finished());
        wanted.store(true, SeqCst);
        gate.look_again();
        yield_now().await;
        assert!(waiting.is_finished(), "at once, not when it has waited long enough");
        assert!(!waiting.await.unwrap().is_counted());
        assert!(!gate.enter(&acme(), demand).await.is_counted(), "it was wanted before it came");
    }

    /// What two threads can meet: its turn comes between its end and its leaving the queue.
    #[test]
    fn a_permit_that_comes_too_late_for_one_goes_to_the_next() {
        let gate = gate(1, 8);
        let held = gate.try_enter(&acme()).unwrap();
        let (gone, _) = oneshot::channel();
        let (stays, mut turn) = oneshot::channel();
        for (ticket, turn, readers_now) in [(0, gone, 5), (1, stays, 1)] {
            let demand: DemandOf = Box::new(readers(readers_now));
            let mut state = gate.state.lock();
            state.places.take(&acme());
            state.queue.push(Queued { ticket, tenant: acme(), demand, turn });
        }
        drop(held);
        assert!(turn.try_recv().unwrap().is_counted());
        assert!(gate.try_enter(&acme()).is_some() && gate.state.lock().shares.may_take(&acme()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_tenant_whose_loads_take_long_leaves_some_for_others() {
        let (gate, globex) = (gate(8, 8), Tenant::new("globex").unwrap());
        let slow: Vec<Permit> = std::iter::from_fn(|| gate.try_enter(&acme())).collect();
        assert_eq!(slow.len(), 7);
        let wanted = queue(&gate, readers(100)).await;
        let other = gate.enter(&globex, readers(0)).now_or_never().expect("it need not wait");
        assert!(other.is_counted() && !wanted.is_finished());
        // Of those who wait, the one goes whose tenant may have more.
        let its = gate.clone();
        let waiting = tokio::spawn(async move { its.enter(&globex, readers(0)).await });
        yield_now().await;
        let mut slow = slow.into_iter();
        slow.next();
        yield_now().await;
        assert!(waiting.is_finished() && !wanted.is_finished());
        slow.next();
        slow.next();
        yield_now().await;
        assert!(wanted.await.unwrap().is_counted(), "and then the other, too");
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_came_together_and_wait_in_vain_do_not_go_on_together() {
        let gate = gate(1, 200);
        let _held = gate.enter(&acme(), readers(0)).await;
        let began = tokio::time::Instant::now();
        let enter = || async {
            assert!(!gate.enter(&acme(), readers(0)).await.is_counted());
            began.elapsed().as_millis()
        };
        let waited = futures_util::future::join_all((0..100).map(|_| enter())).await;
        assert!(waited.iter().all(|waited| (1000..=2001).contains(waited)), "{waited:?}");
        for tenth in 0..10 {
            let within = 1000 + 100 * tenth..1100 + 100 * tenth;
            let count = waited.iter().filter(|waited| within.contains(*waited)).count();
            assert!((8..=12).contains(&count), "{count} in {within:?}");
        }
    }

    #[test]
    fn at_a_gate_without_a_queue_who_finds_no_permit_goes_away() {
        let gate = Gate::without_queue(1);
        let permit = gate.try_enter(&acme()).unwrap();
        assert!(gate.try_enter(&acme()).is_none());
        drop(permit);
        assert!(gate.try_enter(&acme()).is_some());
        assert!(Gate::without_queue(0).try_enter(&acme()).is_none(), "none is none");
    }
}
