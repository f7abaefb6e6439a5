//! The engine's atomics and locks, as shuttle knows them; and a way to break them.

use std::cell::Cell;

pub(crate) use shuttle::{
    hint::spin_loop,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

/// What is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    /// Nothing.
    None,
    /// Counting is reading and then writing.
    CountTorn,
    /// A reader joins whatever runs.
    NeedsIgnored,
    /// One entry is put into memory under two keys.
    EntryInTwoPlaces,
    /// A leader goes away without landing.
    LandingForgotten,
}

std::thread_local! {
    /// Shuttle runs all its threads on one of the system's.
    static BUG: Cell<Bug> = const { Cell::new(Bug::None) };
}

/// Breaks the primitives from now on.
pub(crate) fn plant(bug: Bug) {
    BUG.set(bug);
}

/// What is planted.
pub(crate) fn planted() -> Bug {
    BUG.get()
}

#[derive(Debug)]
pub(crate) struct AtomicUsize(shuttle::sync::atomic::AtomicUsize);

impl AtomicUsize {
    pub(crate) fn new(value: usize) -> Self {
        Self(shuttle::sync::atomic::AtomicUsize::new(value))
    }

    pub(crate) fn load(&self, ordering: Ordering) -> usize {
        self.0.load(ordering)
    }

    pub(crate) fn fetch_add(&self, by: usize, ordering: Ordering) -> usize {
        if planted() == Bug::CountTorn {
            let was = self.0.load(ordering);
            self.0.store(was.wrapping_add(by), ordering);
            return was;
        }
        self.0.fetch_add(by, ordering)
    }

    pub(crate) fn fetch_sub(&self, by: usize, ordering: Ordering) -> usize {
        self.fetch_add(by.wrapping_neg(), ordering)
    }
}

/// With the signature of the lock that the engine uses.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(shuttle::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(shuttle::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> shuttle::sync::MutexGuard<'_, T> {
        self.0.lock().expect("no thread panicked while it held the lock")
    }
}

/// With the signatures of the lock that the engine uses.
#[derive(Debug, Default)]
pub(crate) struct RwLock<T>(shuttle::sync::RwLock<T>);

impl<T> RwLock<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(shuttle::sync::RwLock::new(value))
    }

    pub(crate) fn read(&self) -> shuttle::sync::RwLockReadGuard<'_, T> {
        self.0.read().expect("no thread panicked while it held the lock")
    }

    pub(crate) fn write(&self) -> shuttle::sync::RwLockWriteGuard<'_, T> {
        self.0.write().expect("no thread panicked while it held the lock")
    }
}
