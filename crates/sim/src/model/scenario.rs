//! Bounds within which every state is visited.

use super::state::{Facts, Kind, LOADS_MAX, NODES_MAX, WRITERS_MAX};

/// A small system: how much of everything there is.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// What it is about.
    pub name: &'static str,
    /// Nodes, at most 3.
    pub nodes: usize,
    /// Loads that run at once, on all nodes together; at most 3.
    pub loads: usize,
    /// Writes on their way at once, at most 2.
    pub writers: usize,
    /// Writes altogether.
    pub writes: u8,
    /// Faults altogether.
    pub faults: u8,
    /// Whether loads need a lease, or patience.
    pub leases: bool,
    /// Whether something may happen between a question to the log and its answer.
    pub rounds_take_time: bool,
    /// Records that the log keeps.
    pub log_records_max: usize,
    /// Clocks that the store and the nodes keep.
    pub clocks_max: usize,
    /// Whether some of the writes are purges. Then no clock is forgotten (see [`View`](super::view::View)).
    pub(super) purges: bool,
    pub(super) facts: usize,
    /// What each key is loaded from.
    pub(super) keys: &'static [Facts],
    pub(super) faults_of: FaultsOf,
    pub(super) reads: &'static [Kind],
}

/// Where faults happen.
#[derive(Clone, Copy, Debug)]
pub(super) struct FaultsOf {
    pub(super) store: bool,
    pub(super) nodes: bool,
    pub(super) network: bool,
}

const EVERYWHERE: FaultsOf = FaultsOf { store: true, nodes: true, network: true };
const EVERY_KIND: &[Kind] = &[Kind::Bounded, Kind::Carrying, Kind::Strict, Kind::Judged];

impl Scenario {
    /// Two nodes and one key of one fact, one load, one write, one fault.
    pub const FAULTS: Self = Self {
        name: "every fault",
        nodes: 2,
        loads: 1,
        writers: 1,
        writes: 1,
        faults: 1,
        leases: false,
        rounds_take_time: false,
        log_records_max: 2,
        clocks_max: 2,
        purges: false,
        facts: 1,
        keys: &[Facts::FIRST],
        faults_of: EVERYWHERE,
        reads: EVERY_KIND,
    };

    const SLOW: Self = Self { name: "slow rounds", faults: 0, rounds_take_time: true, ..Self::FAULTS };
    const SLOW_FAULTS: Self =
        Self { name: "slow rounds and faults, one node", nodes: 1, rounds_take_time: true, ..Self::FAULTS };
    const JOINS: Self = Self { name: "two loads", loads: 2, faults: 0, ..Self::FAULTS };
    const JOINS_FAULTS: Self = Self { name: "two loads and faults, one node", nodes: 1, loads: 2, ..Self::FAULTS };
    const LEASES: Self =
        Self { name: "leases", loads: 2, faults: 0, leases: true, reads: &[Kind::Strict], ..Self::FAULTS };
    const LEASES_FAULTS: Self =
        Self { name: "leases and faults, one node", nodes: 1, loads: 2, leases: true, ..Self::FAULTS };
    const GAPS: Self = Self {
        name: "a log of one record and one clock",
        faults: 0,
        writes: 2,
        facts: 2,
        log_records_max: 1,
        clocks_max: 1,
        reads: &[Kind::Bounded],
        ..Self::FAULTS
    };
    const WRITERS: Self = Self {
        name: "two writers and faults on the way, one node",
        nodes: 1,
        writers: 2,
        writes: 2,
        faults_of: FaultsOf { store: false, nodes: false, network: true },
        ..Self::FAULTS
    };
    const NODES: Self = Self {
        name: "three nodes",
        nodes: 3,
        faults: 0,
        reads: &[Kind::Bounded, Kind::Carrying, Kind::Strict],
        ..Self::FAULTS
    };
    const TOLD: Self = Self {
        name: "two writes and a store that forgets, one node",
        nodes: 1,
        writes: 2,
        faults_of: FaultsOf { store: true, nodes: false, network: false },
        reads: &[Kind::Bounded],
        ..Self::FAULTS
    };
    const PURGES: Self = Self {
        name: "a purge, faults, and reads that do not mind staleness",
        clocks_max: 8,
        purges: true,
        faults_of: FaultsOf { store: true, nodes: true, network: false },
        reads: &[Kind::StaleOk],
        ..Self::FAULTS
    };
    const PURGES_HIDDEN: Self =
        Self { name: "a purge and another write, one node", nodes: 1, writes: 2, ..Self::PURGES };
    const KEYS: Self = Self {
        name: "two keys of two facts, one node",
        nodes: 1,
        writes: 2,
        faults: 0,
        facts: 2,
        keys: &[Facts::BOTH, Facts::SECOND],
        reads: &[Kind::Bounded, Kind::Strict],
        ..Self::FAULTS
    };

    /// Those that are checked by every test run.
    pub const SMALL: [Self; 13] = [
        Self::FAULTS,
        Self::SLOW,
        Self::SLOW_FAULTS,
        Self::JOINS,
        Self::JOINS_FAULTS,
        Self::LEASES,
        Self::LEASES_FAULTS,
        Self::GAPS,
        Self::WRITERS,
        Self::NODES,
        Self::TOLD,
        Self::PURGES,
        Self::PURGES_HIDDEN,
    ];

    /// Those that take minutes.
    pub const LARGE: [Self; 7] = [
        Self::KEYS,
        Self { name: "two nodes, two faults", faults: 2, reads: &[Kind::Bounded, Kind::Strict], ..Self::FAULTS },
        Self {
            name: "two nodes, two writes, a fault",
            writes: 2,
            reads: &[Kind::Carrying, Kind::Judged],
            ..Self::FAULTS
        },
        Self { name: "slow rounds and faults, two nodes", reads: &[Kind::Strict], ..Self { faults: 1, ..Self::SLOW } },
        Self { name: "leases and faults, two nodes", faults: 1, ..Self::LEASES },
        Self { name: "two loads and faults, two nodes", faults: 1, reads: &[Kind::Bounded], ..Self::JOINS },
        Self { name: "three nodes and a fault", faults: 1, reads: &[Kind::Strict], ..Self::NODES },
    ];

    /// Why it cannot be checked, if it cannot.
    pub fn refused(&self) -> Option<String> {
        let limits = [
            ("nodes", self.nodes, NODES_MAX),
            ("loads", self.loads, LOADS_MAX),
            ("writers", self.writers, WRITERS_MAX),
            ("writes", self.writes.into(), 8),
            ("faults", self.faults.into(), 8),
        ];
        let beyond = limits.into_iter().find(|(_, wanted, most)| wanted > most);
        beyond.map(|(what, wanted, most)| format!("{wanted} {what} are too many; take at most {most}"))
    }
}
