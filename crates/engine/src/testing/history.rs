//! The history checker: what the protocol promises, checked over everything that was seen.
//!
//! It knows nothing of caches. A history is a list of acknowledged writes and of reads, in the order of their
//! moments. Each *fact* has versions that only grow; a read reports which version of which facts its value was
//! computed from. The promise:
//!
//! > No read that began after an acknowledged write may be answered from an older version of a fact it wrote.
//!
//! A read that did not promise this (another node, within its bound, without the writer's position) says from which
//! moment on it promises something: [`History::read`] takes that moment.
//!
//! A purge binds also those who do not mind staleness otherwise. So purges are noted in a history of their own as well,
//! by which all reads are checked: of a node, when it has acknowledged one or followed the log to it.
//!
//! A second promise is about time: a value is not served for longer than it was to live ([`History::aged`]).
//!
//! The same checker judges property tests, the simulation, real processes and browsers, so a history is plain data.

use std::{collections::BTreeMap, fmt, time::Duration};

use parking_lot::Mutex;

/// A moment in a history: later moments are larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(u64);

/// Something that is read and written, by number.
pub type Fact = u32;
/// How often a fact was written; 0 is before the first write.
pub type Version = u64;

/// A read that broke a promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// What it was answered was older than it had promised.
    Stale {
        /// Who read, as it called itself.
        reader: String,
        /// What was read.
        fact: Fact,
        /// The version the answer was computed from.
        saw: Version,
        /// The version whose write was acknowledged before the read began.
        acknowledged: Version,
        /// When that was.
        acknowledged_at: Moment,
        /// From when on the read promised to see everything.
        promised_from: Moment,
    },
    /// Its time was over.
    Overdue {
        /// Who read, as it called itself.
        reader: String,
        /// How long ago the value was made, by the reader's clock.
        age: Duration,
        /// The longest that it was promised to be served.
        age_max: Duration,
    },
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stale { reader, fact, saw, acknowledged, acknowledged_at, promised_from } => write!(
                f,
                "{reader} promised from {} to see fact {fact} at version {acknowledged} (acknowledged at {}), saw {saw}",
                promised_from.0, acknowledged_at.0
            ),
            Self::Overdue { reader, age, age_max } => {
                write!(f, "{reader} promised to be no older than {age_max:?} by its own clock, was {age:?}")
            }
        }
    }
}

/// A history under construction. Can be shared between threads; the order of its calls is the order of its moments.
#[derive(Debug, Default)]
pub struct History {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    now: u64,
    /// For each fact, its acknowledged versions in the order of the acknowledgements.
    acknowledged: BTreeMap<Fact, Vec<(Moment, Version)>>,
    reads: usize,
    violations: Vec<Violation>,
}

impl History {
    /// The present moment. Take it before a read begins.
    pub fn now(&self) -> Moment {
        let mut state = self.state.lock();
        state.now += 1;
        Moment(state.now)
    }

    /// Notes that a write of `fact` was acknowledged to its writer.
    pub fn acknowledged(&self, fact: Fact, version: Version) {
        let mut state = self.state.lock();
        state.now += 1;
        let now = Moment(state.now);
        state.acknowledged.entry(fact).or_default().push((now, version));
    }

    /// Notes a read and checks it: `reader` promised to see everything acknowledged before `promised_from`, and its
    /// value was computed from `saw`. Returns what it broke.
    pub fn read(
        &self,
        reader: &str,
        promised_from: Moment,
        saw: impl IntoIterator<Item = (Fact, Version)>,
    ) -> Vec<Violation> {
        let mut state = self.state.lock();
        state.reads += 1;
        let mut broken = Vec::new();
        for (fact, saw) in saw {
            let newest = state.acknowledged.get(&fact).and_then(|versions| newest_before(versions, promised_from));
            if let Some((acknowledged_at, acknowledged)) = newest.filter(|(_, acknowledged)| *acknowledged > saw) {
                let reader = reader.to_owned();
                broken.push(Violation::Stale { reader, fact, saw, acknowledged, acknowledged_at, promised_from });
            }
        }
        state.violations.extend(broken.iter().cloned());
        broken
    }

    /// Notes a read and checks it: `reader` was answered with a value that had been made `age` before, by its own clock, and
    /// was promised none older than `age_max`. Returns what it broke.
    pub fn aged(&self, reader: &str, age: Duration, age_max: Duration) -> Option<Violation> {
        let mut state = self.state.lock();
        state.reads += 1;
        let broken = (age > age_max).then(|| Violation::Overdue { reader: reader.to_owned(), age, age_max });
        state.violations.extend(broken.clone());
        broken
    }

    /// How many reads were checked.
    pub fn reads(&self) -> usize {
        self.state.lock().reads
    }

    /// The reads that broke the promise.
    pub fn violations(&self) -> Vec<Violation> {
        self.state.lock().violations.clone()
    }
}

/// The highest version that was acknowledged before `moment`. Acknowledgements may come out of order, so the highest
/// is not always the last.
fn newest_before(versions: &[(Moment, Version)], moment: Moment) -> Option<(Moment, Version)> {
    let before = versions.partition_point(|(at, _)| *at < moment);
    versions[..before].iter().copied().max_by_key(|(_, version)| *version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_version_than_acknowledged_is_a_violation() {
        let history = History::default();
        history.acknowledged(1, 5);
        let began = history.now();
        history.read("a", began, [(1, 5), (2, 0)]);
        assert!(history.violations().is_empty());
        history.read("b", began, [(1, 4)]);
        let violations = history.violations();
        assert_eq!(violations.len(), 1);
        assert!(matches!(violations[0], Violation::Stale { acknowledged: 5, saw: 4, .. }));
        assert!(violations[0].to_string().contains("saw 4"));
    }

    #[test]
    fn a_value_whose_time_is_over_is_a_violation() {
        let history = History::default();
        let [limit, beyond] = [100, 101].map(Duration::from_millis);
        assert_eq!(history.aged("a", limit, limit), None);
        assert!(history.violations().is_empty());
        let broken = history.aged("b", beyond, limit).unwrap();
        assert_eq!((history.violations(), history.reads()), (vec![broken.clone()], 2));
        assert!(broken.to_string().contains("no older than 100ms"), "{broken}");
    }

    #[test]
    fn a_write_acknowledged_after_the_read_began_need_not_be_seen() {
        let history = History::default();
        let began = history.now();
        history.acknowledged(1, 5);
        history.read("a", began, [(1, 4)]);
        assert!(history.violations().is_empty());
        assert_eq!(history.reads(), 1);
    }

    #[test]
    fn acknowledgements_out_of_order_demand_the_highest() {
        let history = History::default();
        history.acknowledged(1, 5);
        history.acknowledged(1, 4);
        history.read("a", history.now(), [(1, 4)]);
        assert_eq!(history.violations().len(), 1);
    }
}
