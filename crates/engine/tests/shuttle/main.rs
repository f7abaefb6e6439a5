//! Flights and memory under thousands of schedules of several threads: who leads, who joins, that nobody waits for
//! ever, and that what is reckoned is there.
//!
//! The modules are the engine's own files, compiled here with shuttle's atomics and locks (see `src/sync.rs`). Shuttle and
//! not loom, because there is too much to schedule for all of it, and a lock orders everything that matters. Nothing is
//! scheduled within what holds the outcome and what wakes its readers, which is right as neither ever blocks.

#![allow(dead_code, unreachable_pub, unused_imports, unused_macros, reason = "the engine uses the rest")]

#[path = "../../src/clocks/mod.rs"]
mod clocks;
#[path = "../../src/codec.rs"]
mod codec;
#[path = "../../src/entry.rs"]
mod entry;
#[path = "../../src/flight.rs"]
mod flight;
#[path = "../../src/footprint.rs"]
mod footprint;
#[path = "../../src/hash.rs"]
mod hash;
#[path = "../../src/hash_map.rs"]
mod hash_map;
#[path = "../../src/key.rs"]
mod key;
#[path = "../../src/l1/mod.rs"]
mod l1;
mod memory;
#[path = "../../src/observe.rs"]
mod observe;
#[path = "../../src/position.rs"]
mod position;
/// Events name it.
mod resilience {
    #[derive(Clone, Copy, Debug)]
    pub(crate) enum BreakerState {}
}
mod sync;
#[path = "../../src/tag.rs"]
mod tag;
#[path = "../../src/tenant.rs"]
mod tenant;
#[path = "../../src/time.rs"]
mod time;
#[path = "../../src/verdict.rs"]
mod verdict;

/// As much of the store as observers are told of.
mod store {
    #[derive(Debug)]
    pub(crate) struct Record;
}

use std::{
    panic::{self, AssertUnwindSafe},
    process::ExitCode,
    sync::Arc,
};

use bytes::Bytes;
use codec::{Cacheable, CodecError, Fingerprint};
use entry::TagIds;
use flight::{Flights, Lead, Outcome, Seat};
use key::{Key, KeyPattern, RawKey};
use position::{Epoch, Partition, Position, Sequence};
use shuttle::{
    scheduler::{PctScheduler, RandomScheduler, Scheduler},
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    thread,
};
use sync::{Bug, plant, planted};
use tenant::Tenant;

/// Schedules of each kind, per check.
const SCHEDULES: usize = 1_000;
/// Changes of priority that the second kind looks for at most.
const PCT_DEPTH: usize = 3;

catalogue! {
    /// Of these checks.
    const _PATTERNS;
    /// A page.
    fn page(number) -> u8 = "page";
}

fn a_key() -> RawKey {
    page(&Tenant::new("acme").expect("a good name"), 1).raw().clone()
}

fn base(sequence: u64) -> Position {
    Position { partition: Partition(0), epoch: Epoch(0), sequence: Sequence(sequence) }
}

/// What is counted while readers read.
#[derive(Default)]
struct Seen {
    loads: AtomicUsize,
    answered: AtomicUsize,
}

/// One reader, who needs what was written up to `needs`: as the cache does it, without a cache.
fn read(flights: &Arc<Flights>, seen: &Seen, key: &RawKey, needs: u64, fails: bool) {
    loop {
        let enough = |sequence: Sequence| sequence >= Sequence(needs) || planted() == Bug::NeedsIgnored;
        match flights.board(key, base(needs), TagIds::new(), |flight| enough(flight.base().sequence)) {
            Seat::Lead(lead) => {
                load(seen, lead, needs, fails);
                break;
            }
            Seat::Full => {
                load(seen, flights.alone(key, base(needs)), needs, false);
                break;
            }
            Seat::Join(join) => {
                if let Outcome::Failed(brought) = shuttle::future::block_on(join.outcome()) {
                    let brought: Sequence = *brought.downcast_ref().expect("what loads bring here");
                    assert!(brought >= Sequence(needs), "joined a load from {brought:?}, needs {needs}");
                    break;
                }
                // Its leader went away: once more.
            }
        }
    }
    seen.answered.fetch_add(1, SeqCst);
}

fn load(seen: &Seen, lead: Lead, needs: u64, fails: bool) {
    assert!(lead.base().sequence >= Sequence(needs), "an older load than the reader needs");
    seen.loads.fetch_add(1, SeqCst);
    thread::yield_now();
    if planted() == Bug::LandingForgotten {
        std::mem::forget(lead);
    } else if fails {
        drop(lead);
    } else {
        // Of the outcomes one that needs no entry, to say where the load stood.
        let base = lead.base().sequence;
        lead.land(Outcome::Failed(Arc::new(base)));
    }
}

fn beside(
    readers: usize,
    waiters_max: usize,
    read: impl Fn(usize, &Arc<Flights>, &Seen) + Send + Sync + 'static,
) -> Arc<Seen> {
    let flights = Arc::new(Flights::new(waiters_max));
    let seen = Arc::new(Seen::default());
    let read = Arc::new(read);
    let running: Vec<_> = (0..readers)
        .map(|reader| {
            let (flights, seen, read) = (flights.clone(), seen.clone(), read.clone());
            thread::spawn(move || read(reader, &flights, &seen))
        })
        .collect();
    running.into_iter().for_each(|reader| reader.join().expect("no reader found anything wrong"));
    assert_eq!(flights.len(), 0, "a flight was left behind");
    assert_eq!(seen.answered.load(SeqCst), readers);
    seen
}

/// Everybody is answered, whoever leads.
fn everybody_is_answered() {
    let key = a_key();
    let seen = beside(4, 8, move |_, flights, seen| read(flights, seen, &key, 1, false));
    assert!((1..=4).contains(&seen.loads.load(SeqCst)));
}

/// Who needs more than a running load can bring does not join it, and the older load does not end the newer one.
fn nobody_joins_an_older_load() {
    let key = a_key();
    beside(4, 8, move |reader, flights, seen| read(flights, seen, &key, reader as u64 % 2 + 1, false));
}

/// A leader who goes away wakes those who wait, and one of them leads.
fn a_leader_who_goes_away_is_followed() {
    let key = a_key();
    beside(4, 8, move |reader, flights, seen| read(flights, seen, &key, 1, reader == 0));
}

/// The places that readers take in a flight are given back: later, as many find one again.
fn places_are_given_back() {
    let key = a_key();
    let flights = Arc::new(Flights::new(2));
    let Seat::Lead(lead) = flights.board(&key, base(1), TagIds::new(), |_| true) else { panic!("nobody leads yet") };
    let joining: Vec<_> = (0..2)
        .map(|_| {
            let (flights, key) = (flights.clone(), key.clone());
            thread::spawn(move || match flights.board(&key, base(1), TagIds::new(), |_| true) {
                Seat::Join(join) => drop(join),
                _ => panic!("there are two places"),
            })
        })
        .collect();
    joining.into_iter().for_each(|reader| reader.join().expect("found a place"));
    let one = flights.board(&key, base(1), TagIds::new(), |_| true);
    let two = flights.board(&key, base(1), TagIds::new(), |_| true);
    let three = flights.board(&key, base(1), TagIds::new(), |_| true);
    assert!(matches!((one, two, three), (Seat::Join(_), Seat::Join(_), Seat::Full)), "places were lost or made");
    lead.land(Outcome::TimedOut);
}

/// What each check is called, and the bugs that it must find.
type Check = (&'static str, fn(), &'static [Bug]);

const CHECKS: [Check; 5] = [
    ("everybody_is_answered", everybody_is_answered, &[Bug::LandingForgotten]),
    ("nobody_joins_an_older_load", nobody_joins_an_older_load, &[Bug::NeedsIgnored]),
    ("a_leader_who_goes_away_is_followed", a_leader_who_goes_away_is_followed, &[Bug::LandingForgotten]),
    ("places_are_given_back", places_are_given_back, &[Bug::CountTorn]),
    ("accounts_and_entries_agree", memory::accounts_and_entries_agree, &[Bug::EntryInTwoPlaces]),
];

/// Runs a check under random schedules, and under those that a bug of few ordered steps cannot escape (PCT).
fn explore(check: fn(), bug: Bug) -> Result<(), String> {
    plant(bug);
    let mut config = shuttle::Config::new();
    config.failure_persistence = shuttle::FailurePersistence::None;
    config.silence_warnings = true;
    // By seed, so that every run is the same.
    let random = RandomScheduler::new_from_seed(1, SCHEDULES);
    let few_steps = PctScheduler::new_from_seed(1, PCT_DEPTH, SCHEDULES);
    let found = run(random, config.clone(), check).and_then(|()| run(few_steps, config, check));
    plant(Bug::None);
    found
}

fn run(scheduler: impl Scheduler + 'static, config: shuttle::Config, check: fn()) -> Result<(), String> {
    let runner = shuttle::Runner::new(scheduler, config);
    let found = panic::catch_unwind(AssertUnwindSafe(|| runner.run(check)));
    found.map(|_| ()).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
    })
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
            Ok(()) => println!("ok     {name}: {} schedules", 2 * SCHEDULES),
            Err(found) => {
                failed += 1;
                println!("FAILED {name}: {found}");
            }
        }
        for bug in bugs {
            if let Err(found) = explore(check, *bug) {
                println!("ok     {name} catches {bug:?}: {}", found.lines().next().unwrap_or_default());
            } else {
                failed += 1;
                println!("FAILED {name} does not catch {bug:?} in {} schedules", 2 * SCHEDULES);
            }
        }
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
