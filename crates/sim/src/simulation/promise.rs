//! What a read promises, and whether it kept it.
//!
//! - To see everything that *this node* acknowledged before it began; a read that does not mind staleness does not.
//! - To see everything that this *process* has kept for a store that did not take it; the same exception.
//! - To see everything that was *purged*, as far as this node has followed the log or has kept it; without exception.
//! - To see everything whose *position* it carries, also where it does not mind staleness otherwise; but for a page that
//!   was made of others which do not.
//! - To see everything that *any node* acknowledged before it began, if it is strict; before its bound, if it is
//!   bounded. The bound is the node's, by its clock: a view is good for that long after the store was *asked*. A clock
//!   that is set back may let a view seem younger than it is, by as much as it was set back, for some seconds.
//! - A page that was made of others promises no more than the weakest read among them; a strict read is weakened by none.
//! - *Time*: not to be answered from a page that has outlived its time, by the reading node's clock, by more than the clock of
//!   the node that loaded it was ahead of that one; nor, however far ahead it was, by more than the page may be in the store
//!   (not checked where clocks jump, because the store's does not). What a clock is set back, it counts twice.

use std::{fmt, sync::Arc, time::Duration};

use tokio::time::Instant;
use unstale::{
    Mode, Policy, StaleReason, Timestamp, Verdict,
    testing::{
        History, Violation,
        history::{Fact, Moment, Version},
    },
    time::TimeSource as _,
};

use super::{
    node::{Node, Process},
    pages::Kind,
    plan::{Fault, JUMP_MS_MAX, LOAD_TIMEOUT},
    world::World,
};

/// The most that a clock is set forward or back at once.
const JUMP: Duration = Duration::from_millis(JUMP_MS_MAX.unsigned_abs());

/// What was promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promised {
    /// To see what any node had acknowledged: at once, or when the bound had passed.
    InTime,
    /// To see what this node had acknowledged.
    WhereWritten,
    /// To see what this process has kept for the store.
    WhereKept,
    /// To see what was purged, as far as this node knows, however stale the answer may be otherwise.
    Purged,
    /// To see that whose positions it carried.
    Carried,
    /// Not to outlive its time.
    Life,
    /// That all becomes well again when nothing is broken any more, and nobody waits for ever.
    Recovery,
    /// Limits of what is kept.
    Limits,
}

/// A promise that was not kept.
#[derive(Clone, Debug)]
pub struct Broken {
    /// Which.
    pub promise: Promised,
    /// By which read, if by one.
    pub by: Option<ReadKind>,
    /// What happened.
    pub text: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What a read was like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadKind {
    /// Of what kind of page.
    pub(crate) page: Kind,
    /// How old its answer might be.
    pub mode: Mode,
    /// How it was answered.
    pub verdict: Verdict,
    /// Whether another reader's load answered it.
    pub collapsed: bool,
}

/// A read's answer.
pub(crate) struct Answer<'a> {
    pub(crate) reader: &'a str,
    pub(crate) kind: ReadKind,
    /// What it was asked for with.
    pub(crate) policy: Policy,
    /// The load that made the page.
    pub(crate) load: u64,
    pub(crate) saw: &'a [(Fact, Version)],
}

/// A read's promise, taken when it begins.
#[derive(Clone, Debug)]
pub(crate) struct Promise {
    any: Moment,
    node: Option<Moment>,
    /// Of what the process has kept.
    kept: Option<(Arc<History>, Moment)>,
    /// Of what this node knows to be purged.
    purged: Moment,
    /// Of what the process has kept of it.
    kept_purges: (Arc<History>, Moment),
    carried: Option<Moment>,
    began: Instant,
    /// The same, by the node's clock.
    began_by_clock: Timestamp,
    staleness: Duration,
}

impl Promise {
    pub(crate) fn of(
        world: &World,
        (node, process): (&Node, &Process),
        kind: Kind,
        mode: Mode,
        carried: Option<&History>,
    ) -> Self {
        let inner = match kind {
            Kind::Nested | Kind::NestedShared | Kind::NestedStale if mode != Mode::Strict => {
                Some(world.inner_mode(kind))
            }
            _ => None,
        };
        let staleness = [Some(mode), inner].into_iter().flatten().map(|mode| staleness(world, mode)).max();
        let is_stale_ok = |mode: &Mode| matches!(mode, Mode::StaleOk(_));
        let exempt = [Some(mode), inner].iter().flatten().any(is_stale_ok);
        let is_made_of_stale = inner.as_ref().is_some_and(is_stale_ok);
        let (began, staleness) = (Instant::now(), staleness.unwrap_or_default());
        let any = match staleness {
            Duration::ZERO => world.history.now(),
            staleness => world.moment_of(Instant::now().checked_sub(staleness)),
        };
        node.hears(world, process);
        Self {
            any,
            node: (!exempt).then(|| node.history.now()),
            kept: (!exempt).then(|| (process.kept.clone(), process.kept.now())),
            purged: node.purged.now(),
            kept_purges: (process.kept_purges.clone(), process.kept_purges.now()),
            carried: carried.filter(|_| !is_made_of_stale).map(History::now),
            began,
            began_by_clock: node.clock.now(),
            staleness,
        }
    }

    /// Checks what the read saw.
    pub(crate) fn check(&self, world: &World, node: &Node, carried: &History, answer: &Answer<'_>) {
        let Answer { reader, saw, .. } = answer;
        // Set back shortly before the read or during it: in rounds of asking, each out of patience, in each of four
        // partitions, the node notices.
        let set_back = node.clock.jumped_back(self.began.elapsed() + Duration::from_secs(10));
        let any = if set_back && !self.staleness.is_zero() {
            world.moment_of(self.began.checked_sub(self.staleness + JUMP))
        } else {
            self.any
        };
        let read = |history: &History, promise, how: &str, moment| {
            let broken = history.read(&format!("{reader}, {how},"), moment, saw.iter().copied());
            broken.into_iter().for_each(|violation| world.note_broken(promise, answer.kind, &violation));
        };
        read(&world.history, Promised::InTime, "in its time", any);
        if let Some(moment) = self.node {
            read(&node.history, Promised::WhereWritten, "where it was written", moment);
        }
        if let Some((kept, moment)) = &self.kept {
            read(kept, Promised::WhereKept, "where it was kept", *moment);
        }
        read(&node.purged, Promised::Purged, "where it is known to be purged", self.purged);
        let (kept, moment) = &self.kept_purges;
        read(kept, Promised::Purged, "where its purge was kept", *moment);
        if let Some(moment) = self.carried {
            read(carried, Promised::Carried, "with positions", moment);
        }
        // Judged when it was looked for: a fallback is given only when a load has failed.
        let lived = lived(world, node.index, self.began_by_clock, answer);
        // Set back since it began, the clock shows a time that is over once more.
        let again = if node.clock.jumped_back(self.began.elapsed()) { JUMP } else { Duration::ZERO };
        if let Some((age, age_max)) = lived.map(|(age, age_max)| (age, age_max + again))
            && let Some(violation) = world.history.aged(&format!("{reader}, by its age,"), age, age_max)
        {
            world.note_broken(Promised::Life, answer.kind, &violation);
        }
    }
}

impl World {
    fn note_broken(&self, promise: Promised, by: ReadKind, violation: &Violation) {
        self.broken.lock().push(Broken { promise, by: Some(by), text: violation.to_string() });
    }
}

/// How old an answer was by its reader's clock, which showed `now`, and how old it may have been; none if time does not
/// limit it.
fn lived(world: &World, node: usize, now: Timestamp, answer: &Answer<'_>) -> Option<(Duration, Duration)> {
    let load = world.load(answer.load);
    let granted = match answer.kind.verdict {
        Verdict::Hit => Duration::ZERO,
        Verdict::Stale(StaleReason::Grace) => answer.policy.grace,
        Verdict::Stale(StaleReason::FailSafe) => answer.policy.fail_safe,
        _ => return None,
    };
    let ahead = load.shown[load.node].since(load.shown[node]);
    // In memory nothing lives longer than it was to, so what is older has been in the store. Where ways are short, it was
    // there as soon as it was loaded.
    let in_store = load.policy.ttl + load.policy.grace.max(load.policy.fail_safe) + Duration::from_millis(200);
    let is_bounded = world.plan.far_ahead && !world.plan.faults.contains(&Fault::ClockJump);
    let skew = if is_bounded { ahead.min(in_store) } else { ahead };
    // Time stamps are whole milliseconds, and clocks drift while a page is in the store.
    let rounding = Duration::from_millis(2) + skew / 100;
    Some((now.since(load.shown[node]), load.policy.ttl + granted + skew + rounding))
}

/// How old an answer may be, in simulated time.
fn staleness(world: &World, mode: Mode) -> Duration {
    match mode {
        Mode::Strict => Duration::ZERO,
        Mode::Bounded(bound) => {
            // Drift is at most 0.5 %, and time stamps are whole milliseconds.
            bound + bound / 100 + Duration::from_millis(4)
        }
        Mode::StaleOk(age) => {
            // Of the age, the loader's clock and the reader's have different ideas; and it counts from the load's end.
            let skew = Duration::from_millis(world.plan.skew_ms_max.unsigned_abs() * 2 + 1000);
            // The one may have been set forward before, the other back since, and once more while it is read.
            let jumps =
                world.jumped() + if world.plan.faults.contains(&Fault::ClockJump) { JUMP } else { Duration::ZERO };
            age.max(Duration::from_secs(1)) + LOAD_TIMEOUT + skew + jumps
        }
    }
}
