//! What was acknowledged and read, and from when on each read promised to see everything.
//!
//! Every moment is taken in the driver: before a question is sent, and after its answer arrived. So the order of
//! moments is sound whatever the processes do in between.

use std::{collections::VecDeque, time::Instant};

use parking_lot::Mutex;
use unstale::{
    Position, PositionSet,
    testing::{
        History, Violation,
        history::{Fact, Moment, Version},
    },
};

use super::node::BOUND;

/// Clocks that the bound is measured with tick every 4 ms (`CLOCK_MONOTONIC_COARSE`), in both processes' readings.
const TICKS: std::time::Duration = std::time::Duration::from_millis(20);
/// Samples of which moment was when: one each 5 ms, for more than the bound and any pause of the driver.
const SAMPLES_MAX: usize = 10_000;

/// Purges that some node is not known to have followed the log to: beyond it, the oldest are not waited for any more.
const PURGES_MAX: usize = 1_000;

/// The histories of a scenario.
pub(super) struct Books {
    /// Of everything.
    all: History,
    /// For each node, of what was acknowledged by it: it must see that at once.
    own: Vec<History>,
    /// For each writer, of its own writes: its reads carry their position.
    writers: Vec<History>,
    /// For each node, of what it knows to be purged: who does not mind staleness must see that.
    purged: Vec<History>,
    purges: Mutex<VecDeque<Purge>>,
    samples: Mutex<VecDeque<(Instant, Moment)>>,
}

/// A purge that was acknowledged.
struct Purge {
    positions: PositionSet,
    written: Vec<(Fact, Version)>,
    /// Which nodes are known to have followed the log to it.
    known_to: Vec<bool>,
}

/// The moments before a read was sent.
#[derive(Clone, Copy)]
pub(super) struct Began {
    at: Instant,
    in_all: Moment,
    in_own: Moment,
    in_purged: Moment,
}

/// From when on a read promises to see every acknowledged write.
#[derive(Clone, Copy, Debug)]
pub(super) enum Promise {
    /// From its own beginning.
    Strict,
    /// From the bound before its beginning.
    Bounded,
    /// Only those that are purges, and known to its node when it began.
    StaleOk,
}

impl Books {
    pub(super) fn new(nodes: usize, writers: usize) -> Self {
        let histories = |count| (0..count).map(|_| History::default()).collect();
        Self {
            all: History::default(),
            own: histories(nodes),
            writers: histories(writers),
            purged: histories(nodes),
            purges: Mutex::default(),
            samples: Mutex::default(),
        }
    }

    /// Notes which moment it is. Called every few milliseconds.
    pub(super) fn sample(&self) {
        // The moment first: what was acknowledged before it, was acknowledged before the instant too.
        let moment = self.all.now();
        let mut samples = self.samples.lock();
        samples.push_back((Instant::now(), moment));
        if samples.len() > SAMPLES_MAX {
            samples.pop_front();
        }
    }

    /// The latest moment that is known to lie at least the bound before `at`; none at the very beginning.
    fn bound_before(&self, at: Instant) -> Option<Moment> {
        let latest = at.checked_sub(BOUND + TICKS)?;
        let samples = self.samples.lock();
        let before = samples.partition_point(|(instant, _)| *instant <= latest);
        before.checked_sub(1).map(|last| samples[last].1)
    }

    pub(super) fn now(&self) -> Moment {
        self.all.now()
    }

    /// Before a read is sent to a node.
    pub(super) fn begin(&self, node: usize) -> Began {
        Began {
            in_own: self.own[node].now(),
            in_purged: self.purged[node].now(),
            in_all: self.all.now(),
            at: Instant::now(),
        }
    }

    /// After a node has acknowledged.
    pub(super) fn acknowledged(&self, node: usize, written: &[(Fact, Version)]) {
        for (fact, version) in written {
            self.all.acknowledged(*fact, *version);
            self.own[node].acknowledged(*fact, *version);
        }
    }

    /// The same, and it was a purge, which is in the log at `positions`.
    pub(super) fn purged(&self, node: usize, written: &[(Fact, Version)], positions: PositionSet) {
        let mut known_to = vec![false; self.purged.len()];
        known_to[node] = true;
        self.knows_purged(node, written);
        let mut purges = self.purges.lock();
        purges.push_back(Purge { positions, written: written.to_vec(), known_to });
        if purges.len() > PURGES_MAX {
            purges.pop_front();
        }
    }

    /// After a node has said how far it has followed the log.
    pub(super) fn has_followed(&self, node: usize, frontiers: &PositionSet) {
        let mut purges = self.purges.lock();
        for purge in purges.iter_mut().filter(|purge| !purge.known_to[node]) {
            if purge.positions.iter().all(|position| is_reached(frontiers, position)) {
                purge.known_to[node] = true;
                self.knows_purged(node, &purge.written);
            }
        }
        purges.retain(|purge| purge.known_to.contains(&false));
    }

    fn knows_purged(&self, node: usize, written: &[(Fact, Version)]) {
        written.iter().for_each(|(fact, version)| self.purged[node].acknowledged(*fact, *version));
    }

    /// After a node has answered.
    pub(super) fn read(&self, node: usize, began: Began, promise: Promise, saw: &[(Fact, Version)]) {
        let (name, promised_from) = match promise {
            Promise::Strict => ("a strict read", Some(began.in_all)),
            Promise::Bounded => ("a bounded read", self.bound_before(began.at)),
            Promise::StaleOk => {
                let name = format!("a read on node {node} of what it knows to be purged");
                self.purged[node].read(&name, began.in_purged, saw.iter().copied());
                return;
            }
        };
        if let Some(promised_from) = promised_from {
            self.all.read(&format!("{name} on node {node}"), promised_from, saw.iter().copied());
        }
        self.own[node].read(&format!("{name} of what node {node} acknowledged"), began.in_own, saw.iter().copied());
    }

    /// Notes that `writer` heard of its write.
    pub(super) fn written(&self, writer: usize, written: &[(Fact, Version)]) {
        written.iter().for_each(|(fact, version)| self.writers[writer].acknowledged(*fact, *version));
    }

    /// After a node has answered a read that carried the position of the writer's last write: it promised to see that
    /// write, and everything of the same tenant that was acknowledged before the write was sent (`sent`).
    pub(super) fn read_at(&self, writer: usize, node: usize, sent: Moment, saw: &[(Fact, Version)]) {
        let name = format!("a read on node {node} with a position");
        self.all.read(&name, sent, saw.iter().copied());
        let mine = &self.writers[writer];
        mine.read(&format!("{name} of one's own"), mine.now(), saw.iter().copied());
    }

    /// How many promises were checked.
    pub(super) fn checks(&self) -> usize {
        self.histories().map(History::reads).sum()
    }

    pub(super) fn violations(&self) -> Vec<Violation> {
        self.histories().flat_map(History::violations).collect()
    }

    fn histories(&self) -> impl Iterator<Item = &History> {
        std::iter::once(&self.all).chain(&self.own).chain(&self.writers).chain(&self.purged)
    }
}

fn is_reached(frontiers: &PositionSet, position: &Position) -> bool {
    let frontier = frontiers.in_partition(position.partition);
    frontier.is_some_and(|frontier| frontier.epoch == position.epoch && frontier.sequence >= position.sequence)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_bounded_read_promises_what_is_older_than_the_bound_and_nothing_younger() {
        let books = Books::new(2, 1);
        books.acknowledged(0, &[(1, 1)]);
        books.sample();
        books.acknowledged(0, &[(1, 2)]);
        books.sample();
        let mut began = books.begin(1);
        books.read(1, began, Promise::Bounded, &[(1, 0)]);
        assert_eq!(books.violations(), vec![]);
        // As if the read had begun the bound after the first sample, and before the second.
        books.samples.lock()[1].0 += Duration::from_secs(60);
        began.at += BOUND + TICKS;
        books.read(1, began, Promise::Bounded, &[(1, 1)]);
        assert_eq!(books.violations(), vec![]);
        books.read(1, began, Promise::Bounded, &[(1, 0)]);
        assert_eq!(books.violations().len(), 1);
    }

    #[test]
    fn a_node_sees_at_once_what_it_acknowledged_itself_and_a_strict_read_everything() {
        let books = Books::new(2, 1);
        books.acknowledged(0, &[(1, 1)]);
        for (node, promise, violations) in
            [(1, Promise::Bounded, 0), (0, Promise::Bounded, 1), (1, Promise::Strict, 2), (0, Promise::Strict, 4)]
        {
            books.read(node, books.begin(node), promise, &[(1, 0)]);
            assert_eq!(books.violations().len(), violations, "{promise:?} on {node}");
        }
        assert_eq!(books.checks(), 6);
    }

    #[test]
    fn a_purge_binds_who_does_not_mind_staleness_where_it_is_known() {
        let books = Books::new(2, 1);
        let at = |text: &str| text.parse::<PositionSet>().unwrap();
        books.acknowledged(0, &[(1, 1)]);
        books.purged(0, &[(1, 2)], at("0.1.7~1.1.3"));
        let check = |node, saw, violations| {
            books.read(node, books.begin(node), Promise::StaleOk, &[(1, saw)]);
            assert_eq!(books.violations().len(), violations, "node {node}");
        };
        check(0, 2, 0);
        check(0, 1, 1);
        for frontiers in ["0.1.6~1.1.9", "0.1.9", "0.2.9~1.1.9"] {
            books.has_followed(1, &at(frontiers));
            check(1, 0, 1);
        }
        let began = books.begin(1);
        books.has_followed(1, &at("0.1.7~1.1.9"));
        books.read(1, began, Promise::StaleOk, &[(1, 0)]);
        assert_eq!(books.violations().len(), 1, "heard of after the read began");
        check(1, 0, 2);
    }

    #[test]
    fn a_position_promises_ones_own_write_and_those_acknowledged_before_it_was_sent() {
        let books = Books::new(2, 1);
        books.acknowledged(0, &[(1, 1)]);
        let sent = books.now();
        books.acknowledged(0, &[(1, 2)]);
        books.acknowledged(0, &[(2, 7)]);
        books.written(0, &[(2, 7)]);
        books.read_at(0, 1, sent, &[(1, 1), (2, 7)]);
        assert_eq!(books.violations(), vec![]);
        books.read_at(0, 1, sent, &[(1, 0), (2, 6)]);
        assert_eq!(books.violations().len(), 2);
    }
}
