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
//! - A page that was made of others promises no more than the weakest read among them.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use unstale::{
    Mode,
    testing::{History, history::Moment},
};

use super::{
    node::{Node, Process},
    pages::{Kind, Saw},
    plan::{Fault, JUMP_MS_MAX, LOAD_TIMEOUT, SKEW_MS_MAX},
    world::World,
};

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
            Kind::Nested | Kind::NestedShared | Kind::NestedStale => Some(world.inner_mode(kind)),
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
            staleness,
        }
    }

    /// Checks what the read saw.
    pub(crate) fn check(&self, world: &World, node: &Node, carried: &History, reader: &str, saw: &Saw) {
        // Set back shortly before the read or during it: in rounds of asking, each out of patience, in each of four
        // partitions, the node notices.
        let set_back = node.clock.jumped_back(self.began.elapsed() + Duration::from_secs(10));
        let any = if set_back && !self.staleness.is_zero() {
            let back = Duration::from_millis(JUMP_MS_MAX.unsigned_abs());
            world.moment_of(self.began.checked_sub(self.staleness + back))
        } else {
            self.any
        };
        world.history.read(&format!("{reader}, in its time,"), any, saw.iter().copied());
        if let Some(moment) = self.node {
            node.history.read(&format!("{reader}, where it was written,"), moment, saw.iter().copied());
        }
        if let Some((kept, moment)) = &self.kept {
            kept.read(&format!("{reader}, where it was kept,"), *moment, saw.iter().copied());
        }
        node.purged.read(&format!("{reader}, where it is known to be purged,"), self.purged, saw.iter().copied());
        let (kept, moment) = &self.kept_purges;
        kept.read(&format!("{reader}, where its purge was kept,"), *moment, saw.iter().copied());
        if let Some(moment) = self.carried {
            carried.read(&format!("{reader}, with positions,"), moment, saw.iter().copied());
        }
    }
}

/// How old an answer may be, in simulated time.
fn staleness(world: &World, mode: Mode) -> Duration {
    match mode {
        Mode::Strict => Duration::ZERO,
        Mode::Bounded(bound) => {
            // Drift is at most 0.5 %, and time stamps are whole milliseconds.
            bound + bound / 100 + Duration::from_millis(4)
        }
        Mode::StaleOk(_) if world.plan.faults.contains(&Fault::ClockJump) => Duration::from_secs(1 << 20),
        Mode::StaleOk(age) => {
            // Of the age, the loader's clock and the reader's have different ideas; and it counts from the load's end.
            let skew = Duration::from_millis(SKEW_MS_MAX.unsigned_abs() * 2 + 1000);
            age.max(Duration::from_secs(1)) + LOAD_TIMEOUT + skew
        }
    }
}
