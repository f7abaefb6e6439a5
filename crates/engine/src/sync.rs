//! What threads meet at: atomics and locks.
//!
//! Modules whose interleavings are checked take them from here. A check compiles the same source files once more, as
//! part of a test of its own, and brings a module of this name that takes them from the checker instead
//! (`tests/loom`, `tests/shuttle`). So there is no feature that could be on by accident, and nothing here costs
//! anything.

pub(crate) use std::{
    hint::spin_loop,
    sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
};

pub(crate) use parking_lot::{Mutex, RwLock};
