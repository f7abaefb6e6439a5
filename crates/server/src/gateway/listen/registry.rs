//! The open connections of a listener, and the task that looks at all of them.
//!
//! # Invariants
//! - A connection is open as long as anyone holds its state: who serves it, or a tunnel that it became.
//! - There are never more than the limit: a place is taken before a connection is accepted.

use std::{
    collections::HashMap,
    sync::{
        Arc, Weak,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::{MissedTickBehavior, interval},
};

use super::{
    settings::ListenSettings,
    state::{Command, ConnectionState, TickLimits, due},
};

/// A tick is a quarter of the shortest time-out, but between these.
const TICK_MIN: Duration = Duration::from_millis(5);
const TICK_MAX: Duration = Duration::from_secs(1);
/// Ticks after which an unused connection gives memory back.
const REST_TICKS: u32 = 2;

/// The open connections of a listener.
#[derive(Debug)]
pub(crate) struct Registry {
    places: Arc<Semaphore>,
    open: Mutex<HashMap<u64, Weak<ConnectionState>>>,
    next: AtomicU64,
    emptied: Notify,
    ticks: Arc<AtomicU32>,
    tick: Duration,
    limits: TickLimits,
}

/// A connection's place among the open ones.
#[derive(Debug)]
pub(crate) struct Place {
    number: u64,
    registry: Arc<Registry>,
    _permit: OwnedSemaphorePermit,
}

impl Registry {
    pub(crate) fn new(settings: &ListenSettings) -> Arc<Self> {
        let ListenSettings { head_timeout, idle_timeout, write_timeout, .. } = settings;
        let shortest = (*head_timeout).min(*idle_timeout).min(*write_timeout);
        let tick = (shortest / 4).clamp(TICK_MIN, TICK_MAX);
        let ticks =
            |timeout: &Duration| u32::try_from(timeout.as_nanos().div_ceil(tick.as_nanos())).unwrap_or(u32::MAX / 2);
        let limits = TickLimits {
            head: ticks(head_timeout),
            idle: ticks(idle_timeout),
            write: ticks(write_timeout),
            rest: REST_TICKS,
        };
        Arc::new(Self {
            places: Arc::new(Semaphore::new(settings.connections_max.clamp(1, Semaphore::MAX_PERMITS))),
            open: Mutex::default(),
            next: AtomicU64::new(0),
            emptied: Notify::new(),
            ticks: Arc::default(),
            tick,
            limits,
        })
    }

    /// Waits for room for one more connection.
    pub(crate) async fn place(self: &Arc<Self>) -> Place {
        let permit = self.places.clone().acquire_owned().await.expect("the places are never closed");
        Place { number: self.next.fetch_add(1, Relaxed), registry: self.clone(), _permit: permit }
    }

    /// Opens a connection in its place.
    pub(crate) fn open(&self, place: Place, tls: bool) -> Arc<ConnectionState> {
        let number = place.number;
        let state = Arc::new(ConnectionState::new(self.ticks.clone(), tls, Some(place)));
        self.open.lock().insert(number, Arc::downgrade(&state));
        state
    }

    pub(crate) fn count(&self) -> usize {
        self.open.lock().len()
    }

    pub(crate) fn tell_all(&self, command: Command) {
        self.all().iter().for_each(|state| state.tell(command));
    }

    /// Not told under the lock: whoever is told may end at once, and then takes the lock.
    fn all(&self) -> Vec<Arc<ConnectionState>> {
        self.open.lock().values().filter_map(Weak::upgrade).collect()
    }

    /// Is over when no connection is open.
    pub(crate) async fn empty(&self) {
        loop {
            let emptied = self.emptied.notified();
            if self.count() == 0 {
                return;
            }
            emptied.await;
        }
    }

    /// Counts time, and tells each connection what is due; without end.
    pub(crate) async fn watch(&self) {
        let mut ticks = interval(self.tick);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let now = self.ticks.fetch_add(1, Relaxed).wrapping_add(1);
            for state in self.all() {
                match due(&state.view(), now, &self.limits) {
                    Command::Go => {}
                    command => state.tell(command),
                }
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.registry.open.lock();
        open.remove(&self.number);
        if open.is_empty() {
            self.registry.emptied.notify_waiters();
        }
    }
}
