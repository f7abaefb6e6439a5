//! The engine's atomics and locks, as loom knows them; and ways to break them.
//!
//! A checker that has never failed proves nothing. The sources that are checked hold no planted bugs: those are here.
//! [`Bug::StoresSwapped`] lets each store of a thread take effect after its next one, which is what writing the two in
//! the wrong order would do. [`Bug::Relaxed`] takes the ordering from every store and load.

use std::cell::{Cell, RefCell};

pub(crate) use loom::{hint::spin_loop, sync::atomic::Ordering};

/// What is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    /// Nothing.
    None,
    /// Stores take effect in pairs, the second first.
    StoresSwapped,
    /// All memory orderings are relaxed.
    Relaxed,
    /// What should only rise does not: a floor is never raised.
    MaximaLost,
}

std::thread_local! {
    /// Loom runs all its threads on one of the system's.
    static BUG: Cell<Bug> = const { Cell::new(Bug::None) };
}

loom::thread_local! {
    static HELD_BACK: RefCell<Option<Box<dyn FnOnce()>>> = RefCell::new(None);
}

/// Breaks the primitives from now on.
pub(crate) fn plant(bug: Bug) {
    BUG.set(bug);
}

fn order(order: Ordering) -> Ordering {
    if BUG.get() == Bug::Relaxed { Ordering::Relaxed } else { order }
}

/// Lets a store that is held back take effect.
fn let_go() {
    if let Some(store) = HELD_BACK.with(RefCell::take) {
        store();
    }
}

pub(crate) struct AtomicU64(std::sync::Arc<loom::sync::atomic::AtomicU64>);

impl AtomicU64 {
    pub(crate) fn new(value: u64) -> Self {
        Self(std::sync::Arc::new(loom::sync::atomic::AtomicU64::new(value)))
    }

    pub(crate) fn load(&self, ordering: Ordering) -> u64 {
        self.0.load(order(ordering))
    }

    pub(crate) fn store(&self, value: u64, ordering: Ordering) {
        if BUG.get() == Bug::StoresSwapped {
            let earlier = HELD_BACK.with(RefCell::take);
            match earlier {
                None => {
                    let this = self.0.clone();
                    HELD_BACK.with(|held| *held.borrow_mut() = Some(Box::new(move || this.store(value, ordering))));
                }
                Some(earlier) => {
                    self.0.store(value, ordering);
                    earlier();
                }
            }
            return;
        }
        self.0.store(value, order(ordering));
    }

    pub(crate) fn fetch_add(&self, value: u64, ordering: Ordering) -> u64 {
        let_go();
        self.0.fetch_add(value, order(ordering))
    }

    pub(crate) fn fetch_max(&self, value: u64, ordering: Ordering) -> u64 {
        let_go();
        if BUG.get() == Bug::MaximaLost {
            return self.load(ordering);
        }
        self.0.fetch_max(value, order(ordering))
    }
}

/// With the signatures of the lock that the engine uses.
pub(crate) struct RwLock<T>(loom::sync::RwLock<T>);

impl<T> RwLock<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(loom::sync::RwLock::new(value))
    }

    pub(crate) fn read(&self) -> loom::sync::RwLockReadGuard<'_, T> {
        self.0.read().expect("no thread panicked while it held the lock")
    }

    pub(crate) fn write(&self) -> loom::sync::RwLockWriteGuard<'_, T> {
        self.0.write().expect("no thread panicked while it held the lock")
    }
}
