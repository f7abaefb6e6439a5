//! The clocks, under every interleaving of two threads and every order in which the memory model lets one see what the
//! other wrote.
//!
//! The module is the engine's own file, compiled here with loom's atomics and locks (see `src/sync.rs`). Loom and not
//! shuttle, because what there is to get wrong here is the order in which plain atomics become visible, and loom alone
//! models it.

#![allow(dead_code, unreachable_pub, unused_imports, reason = "the engine uses the rest, and its unit tests")]

#[path = "../../src/clocks/mod.rs"]
mod clocks;
#[path = "../../src/hash.rs"]
mod hash;
#[path = "../../src/hash_map.rs"]
mod hash_map;
#[path = "../../src/position.rs"]
mod position;
mod sync;
#[path = "../../src/tag.rs"]
mod tag;
#[path = "../../src/tenant.rs"]
mod tenant;
#[path = "../../src/time.rs"]
mod time;

use std::{
    cell::Cell,
    panic::{self, AssertUnwindSafe},
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use clocks::{ClockLimits, Clocks, Validity};
use position::{Epoch, Partition, Position, Sequence};
use sync::{Bug, plant};
use tag::TagId;

const OLD: Epoch = Epoch(7);
const NEW: Epoch = Epoch(8);
/// Two tags in one slot, so that the exact map is asked too.
const TAG: TagId = TagId(2);
const NEIGHBOUR: TagId = TagId(4);

fn head(epoch: Epoch, sequence: u64) -> Position {
    Position { partition: Partition(0), epoch, sequence: Sequence(sequence) }
}

fn clocks(exact_clocks_max: usize) -> Clocks {
    Clocks::new(head(OLD, 0), ClockLimits { filter_slots: 2, exact_clocks_max })
}

std::thread_local! {
    static MOVER_FIRST: Cell<bool> = const { Cell::new(false) };
}

/// Runs `mover` and `reader` side by side.
///
/// Loom begins with the thread that is there and finds the other orders from the last access to each atomic; an access
/// that hides another one may hide an order. So every check runs both ways.
fn beside(clocks: Clocks, mover: impl FnOnce(&Clocks) + 'static, reader: impl FnOnce(&Clocks) + 'static) {
    let clocks = Arc::new(clocks);
    let beside = clocks.clone();
    let other = if MOVER_FIRST.get() {
        let other = loom::thread::spawn(move || reader(&beside));
        mover(&clocks);
        other
    } else {
        let other = loom::thread::spawn(move || mover(&beside));
        reader(&clocks);
        other
    };
    other.join().expect("the other thread found nothing wrong");
}

/// A reader who sees a frontier sees every clock up to it.
fn a_frontier_seen_is_a_clock_seen() {
    let apply = |clocks: &Clocks| clocks.apply(Sequence(1), &[TAG]);
    beside(clocks(8), apply, |clocks| {
        let reached = clocks.frontier().sequence >= Sequence(1);
        let validity = clocks.judge(OLD, Sequence(0), &[TAG]);
        assert!(!reached || validity == Validity::Invalidated, "reached, and {validity:?}");
        match clocks.judge(OLD, Sequence(0), &[NEIGHBOUR]) {
            Validity::Valid { through } => assert!(through <= clocks.frontier().sequence),
            other => panic!("never invalidated, and {other:?}"),
        }
    });
}

/// A clock that is trimmed leaves the floor above it behind.
fn a_trimmed_clock_is_below_the_floor() {
    let clocks = clocks(1);
    clocks.apply(Sequence(1), &[TAG]);
    let apply = |clocks: &Clocks| clocks.apply(Sequence(2), &[NEIGHBOUR]);
    beside(clocks, apply, |clocks| {
        let validity = clocks.judge(OLD, Sequence(0), &[TAG]);
        assert!(matches!(validity, Validity::Invalidated | Validity::BelowFloor), "{validity:?}");
    });
}

/// A log trimmed too far refuses what is older, and nothing of what is newer.
fn a_skip_refuses_what_is_below_it() {
    let clocks = clocks(8);
    let skip = |clocks: &Clocks| clocks.skip_to(Sequence(5));
    beside(clocks, skip, |clocks| {
        let reached = clocks.frontier().sequence >= Sequence(5);
        let validity = clocks.judge(OLD, Sequence(0), &[TAG]);
        assert!(!reached || validity == Validity::BelowFloor, "reached, and {validity:?}");
    });
}

/// A position is never made of two epochs.
fn a_frontier_is_of_one_epoch() {
    let clocks = clocks(8);
    clocks.apply(Sequence(1), &[TAG]);
    clocks.apply(Sequence(2), &[TAG]);
    let start = |clocks: &Clocks| clocks.start_anew(head(NEW, 1));
    beside(clocks, start, |clocks| {
        let frontier = clocks.frontier();
        assert!(frontier == head(OLD, 2) || frontier == head(NEW, 1), "{frontier:?}");
    });
}

/// An entry of the old epoch that was refused stays refused while the view starts anew.
fn an_old_epochs_entry_is_not_revived() {
    let clocks = clocks(8);
    clocks.apply(Sequence(1), &[TAG]);
    let start = |clocks: &Clocks| clocks.start_anew(head(NEW, 0));
    beside(clocks, start, |clocks| {
        let validity = clocks.judge(OLD, Sequence(0), &[TAG]);
        assert!(matches!(validity, Validity::Invalidated | Validity::EpochChanged), "{validity:?}");
    });
}

/// An entry of the new epoch, which another node has stored, is judged by nothing that was known of the old one.
fn a_new_epochs_entry_is_not_judged_by_the_old_one() {
    let clocks = clocks(8);
    for sequence in 1..=3 {
        clocks.apply(Sequence(sequence), &[NEIGHBOUR]);
    }
    let start = |clocks: &Clocks| clocks.start_anew(head(NEW, 2));
    beside(clocks, start, |clocks| {
        // The log of the new epoch is known from its second record on: nothing older can be judged, and nothing has
        // been shown of what is newer.
        let validity = clocks.judge(NEW, Sequence(1), &[TAG]);
        assert!(matches!(validity, Validity::EpochChanged | Validity::BelowFloor), "base 1: {validity:?}");
        match clocks.judge(NEW, Sequence(2), &[TAG]) {
            Validity::Valid { through } => assert_eq!(through, Sequence(2), "raised to the old epoch's frontier"),
            other => assert_eq!(other, Validity::EpochChanged),
        }
    });
}

/// Nor taken for one since which nothing has happened.
fn a_new_epoch_has_something_since() {
    let start = |clocks: &Clocks| clocks.start_anew(head(NEW, 2));
    beside(clocks(8), start, |clocks| assert!(!clocks.has_nothing_since(NEW, Sequence(1)), "two records since"));
}

/// What each check is called, and the bugs that it alone can be expected to find.
type Check = (&'static str, fn(), &'static [Bug]);

const CHECKS: [Check; 7] = [
    ("a_new_epoch_has_something_since", a_new_epoch_has_something_since, &[Bug::Relaxed]),
    ("a_frontier_seen_is_a_clock_seen", a_frontier_seen_is_a_clock_seen, &[Bug::StoresSwapped, Bug::Relaxed]),
    ("a_trimmed_clock_is_below_the_floor", a_trimmed_clock_is_below_the_floor, &[Bug::MaximaLost]),
    ("a_skip_refuses_what_is_below_it", a_skip_refuses_what_is_below_it, &[Bug::Relaxed]),
    ("a_frontier_is_of_one_epoch", a_frontier_is_of_one_epoch, &[Bug::StoresSwapped, Bug::Relaxed]),
    ("an_old_epochs_entry_is_not_revived", an_old_epochs_entry_is_not_revived, &[Bug::StoresSwapped, Bug::Relaxed]),
    (
        "a_new_epochs_entry_is_not_judged_by_the_old_one",
        a_new_epochs_entry_is_not_judged_by_the_old_one,
        &[Bug::Relaxed],
    ),
];

/// Runs a check under every interleaving; how many there were, or what was found.
fn explore(check: fn(), bug: Bug) -> Result<usize, String> {
    let mut interleavings = 0;
    for mover_first in [false, true] {
        plant(bug);
        MOVER_FIRST.set(mover_first);
        let runs = Arc::new(AtomicUsize::new(0));
        let counted = runs.clone();
        let found = panic::catch_unwind(AssertUnwindSafe(move || {
            let mut model = loom::model::Builder::new();
            // Two threads need no more to get into each other's way.
            model.preemption_bound = Some(3);
            model.check(move || {
                counted.fetch_add(1, Relaxed);
                check();
            });
        }));
        plant(Bug::None);
        interleavings += runs.load(Relaxed);
        found.map_err(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
        })?;
    }
    Ok(interleavings)
}

fn main() -> ExitCode {
    // Of `cargo test`'s arguments, only a filter.
    let filter = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    panic::set_hook(Box::new(|_| {}));
    let mut failed = 0;
    for (name, check, bugs) in CHECKS {
        if filter.as_ref().is_some_and(|filter| !name.contains(filter.as_str())) {
            continue;
        }
        match explore(check, Bug::None) {
            Ok(runs) => println!("ok     {name}: {runs} interleavings"),
            Err(found) => {
                failed += 1;
                println!("FAILED {name}: {found}");
            }
        }
        for bug in bugs {
            match explore(check, *bug) {
                Err(found) => println!("ok     {name} catches {bug:?}: {found}"),
                Ok(runs) => {
                    failed += 1;
                    println!("FAILED {name} does not catch {bug:?} in {runs} interleavings");
                }
            }
        }
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
