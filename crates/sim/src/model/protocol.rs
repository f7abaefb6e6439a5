//! The protocol as a [`Model`]: which steps there are, and what each does.
//!
//! A step is what the code does between two awaits, or what one script does in the store. Where two such steps are one
//! here, nothing can come between them that would matter: views only move on, and whoever judges later judges by more.

use smallvec::SmallVec;

use super::{
    action::{Action, ReadKind},
    explore::{Model, Notes},
    scenario::Scenario,
    state::{
        Entry, FACTS, Facts, Kind, LOADS_MAX, Lease, NODES_MAX, Node, Owner, Place, Reader, Stage, State, Store,
        WRITERS_MAX, Waits,
    },
    variant::Variant,
    view::Rule,
};

/// The system of a scenario, sound or broken.
pub struct Protocol {
    pub(super) scenario: Scenario,
    pub(super) variant: Variant,
    pub(super) rule: Rule,
}

impl Protocol {
    /// The system of `scenario`; unless `variant` is [`Variant::Sound`], with that breach.
    pub fn new(scenario: Scenario, variant: Variant) -> Self {
        // The engine's clocks do not forget without raising the floor; what drops them here needs some that hold all.
        let clocks_max = if variant == Variant::ClocksPrunedWithoutFloor { FACTS } else { scenario.clocks_max };
        Self { scenario, variant, rule: Rule::new(clocks_max) }
    }

    /// What a key's value is made of, in the order in which its load reads it.
    pub(super) fn facts_of(&self, key: u8) -> Facts {
        self.scenario.keys[usize::from(key)]
    }

    pub(super) fn is_valid(&self, node: &Node, entry: Entry) -> bool {
        self.rule.is_valid(node.view, entry.base, entry.tags)
    }

    /// Whether who does not mind staleness may be given an entry.
    pub(super) fn is_given_stale(&self, node: &Node, entry: Entry) -> bool {
        let purged = match self.variant {
            // As if nothing were known of purges but what a node has heard of.
            Variant::PurgeMissed => entry
                .tags
                .iter()
                .any(|fact| node.view.epoch == entry.base.epoch && node.view.purges[fact] > entry.base.sequence),
            _ => self.rule.is_purged(node.view, entry.base, entry.tags),
        };
        self.is_valid(node, entry) || (self.reads_stale() && !purged)
    }

    fn reads_stale(&self) -> bool {
        self.scenario.reads.contains(&Kind::StaleOk)
    }

    fn passing(&self, state: &State, actions: &mut Vec<Action>) {
        let confirmed = |node: &Node| node.confirmed || node.round.as_ref().is_some_and(|round| round.recent);
        if state.acknowledged_long_ago != state.acknowledged || state.nodes.iter().any(confirmed) {
            actions.push(Action::Tick);
        }
        if self.variant != Variant::LeaseForEver {
            let held = |key: &u8| state.store.leases[usize::from(*key)].is_some();
            actions.extend(places(self.scenario.keys.len()).filter(held).map(Action::LeaseExpires));
        }
    }

    /// Leaves out of a state what cannot matter any more, so that states that differ only in it are one.
    fn simplify(&self, state: &mut State) {
        self.forget_told(state);
        if self.variant.revives() {
            return;
        }
        let nodes = &mut state.nodes[..self.scenario.nodes];
        for node in nodes.iter_mut() {
            for key in 0..self.scenario.keys.len() {
                // What was refused once is refused for ever. What is valid may have its base raised to the frontier at
                // any time: taking it for raised at once lets more live than the code does, never less.
                if let Some(entry) = node.memory[key] {
                    let base = Place { epoch: node.view.epoch, sequence: node.view.frontier };
                    let given = self.is_given_stale(node, entry).then_some(entry);
                    node.memory[key] = if self.is_valid(node, entry) { Some(Entry { base, ..entry }) } else { given };
                }
            }
        }
        let refused = |store: &Store, nodes: &[Node], entry: Entry| {
            !store.is_valid(entry) && !nodes.iter().any(|node| self.is_valid(node, entry))
        };
        for key in 0..self.scenario.keys.len() {
            let of_use = |entry: Entry| nodes.iter().any(|node| self.is_given_stale(node, entry));
            if state.store.entries[key].is_some_and(|entry| refused(&state.store, nodes, entry) && !of_use(entry)) {
                state.store.entries[key] = None;
            }
        }
        for load in state.loads.iter_mut().flatten() {
            if let Stage::Fills(entry) = &mut load.stage
                && refused(&state.store, nodes, *entry)
            {
                entry.base = Place::default();
            }
            let view = nodes[usize::from(load.node)].view;
            if !self.rule.is_valid(view, load.base, Facts::NONE) || matches!(load.stage, Stage::Fills(_)) && !load.open
            {
                load.base = Place::default();
            }
        }
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn initial(&self) -> State {
        let Scenario { writes, faults, .. } = self.scenario;
        let mut store =
            Store { epochs_begun: 0, head: None, log: SmallVec::new(), entries: [None; 2], leases: [None; 2] };
        let view = self.rule.begin(store.head(self.variant).at);
        State {
            database: [0; FACTS],
            acknowledged: [0; FACTS],
            acknowledged_by: [[0; FACTS]; NODES_MAX],
            acknowledged_long_ago: [0; FACTS],
            receipt: None,
            purges: SmallVec::new(),
            store,
            told: SmallVec::new(),
            nodes: std::array::from_fn(|_| Node { view, ..Node::default() }),
            loads: [None; LOADS_MAX],
            writers: [None; WRITERS_MAX],
            reader: None,
            writes_left: writes,
            faults_left: faults,
            stale: None,
        }
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.writing(state, actions);
        self.following(state, actions);
        self.loading(state, actions);
        self.passing(state, actions);
        self.faults(state, actions);
        match state.reader {
            Some(reader) => {
                if Self::reader_goes_on(&reader) {
                    actions.push(Action::GoOn);
                }
            }
            None => {
                for node in places(self.scenario.nodes) {
                    for key in places(self.scenario.keys.len()) {
                        let kinds = self.scenario.reads.iter().copied();
                        // A read that is promised nothing cannot be wrong.
                        let kinds = kinds.filter(|kind| self.promised(state, node, key, *kind) != [0; FACTS]);
                        actions.extend(kinds.map(|kind| Action::Read { node, key, kind: ReadKind(kind) }));
                    }
                }
            }
        }
    }

    fn next(&self, state: &State, action: Action, notes: &mut Notes) -> State {
        let mut next = state.clone();
        let state = &mut next;
        match action {
            Action::Commit { node, fact, is_purge } => Self::commit(state, node, fact, is_purge),
            Action::Append(writer) => {
                let at = self.append(state, writer);
                state.writers[usize::from(writer)].as_mut().expect("it is on its way").recorded = Some(at);
            }
            Action::AppendAtFormerMaster(writer) => {
                let at = Place { epoch: state.store.epochs_begun - 1, sequence: u8::MAX };
                state.writers[usize::from(writer)].as_mut().expect("it is on its way").recorded = Some(at);
            }
            Action::Acknowledge(writer) => Self::acknowledge(state, writer),
            Action::Ask(node) => self.follow(state, node, notes),
            Action::Apply(node) => self.apply(state, node, notes),
            Action::Hear(node) => self.hear(state, node, notes),
            Action::BeginLoad { node, key } => {
                self.begin_load(state, node, key, true).expect("there is room");
            }
            Action::Copy { node, key } => {
                let entry = state.store.entries[usize::from(key)].expect("it is there");
                self.offer(state, node, key, entry);
            }
            Action::Acquire(at) => {
                let load = state.loads[usize::from(at)].as_mut().expect("it runs");
                state.store.leases[usize::from(load.key)] = Some(Owner::Load(at));
                load.lease = Lease::Live;
                load.stage = Stage::Reads(0);
            }
            Action::TakeFilled(load) => {
                notes.add("waiter took another's fill");
                self.take_filled(state, load, notes);
            }
            Action::LoadUnleased(load) => {
                if state.store.leases[usize::from(state.loads[usize::from(load)].expect("it runs").key)]
                    == Some(Owner::Gone)
                {
                    notes.add("waiter outwaited a dead owner");
                }
                state.loads[usize::from(load)].as_mut().expect("it runs").stage = Stage::Reads(0);
            }
            Action::ReadFact(load) => self.read_fact(state, load),
            Action::Keep(load) => self.keep(state, load, notes),
            Action::Fill(load) => self.fill(state, load, notes),
            Action::Tick => {
                state.acknowledged_long_ago = state.acknowledged;
                for node in &mut state.nodes {
                    node.confirmed = false;
                    node.round.iter_mut().for_each(|round| round.recent = false);
                }
            }
            Action::LeaseExpires(key) => {
                let dead = state.store.leases[usize::from(key)] == Some(Owner::Gone);
                notes.add(if dead { "lease of a dead owner expired" } else { "lease expired under its owner" });
                Self::expire(state, key);
            }
            Action::Read { node, key, kind } => self.begin_read(state, node, key, kind.0, notes),
            Action::GoOn => self.reader_steps(state, notes),
            Action::Fault(fault) => self.fail(state, fault, notes),
        }
        self.simplify(state);
        next
    }

    fn breach(&self, state: &State) -> Option<String> {
        if let Some(stale) = state.stale {
            return Some(format!(
                "a read of key {} on node {} was promised versions {:?} and got {:?}",
                stale.reader.key, stale.reader.node, stale.reader.promised, stale.saw
            ));
        }
        let live =
            |key: u8| each(&state.loads).filter(|(_, load)| load.key == key && load.lease == Lease::Live).count();
        let key = places(self.scenario.keys.len()).find(|key| live(*key) > 1)?;
        Some(format!("the lease of key {key} has two live owners"))
    }

    fn is_progress(&self, action: Action) -> bool {
        !matches!(action, Action::Fault(_) | Action::Commit { .. })
    }

    fn fingerprint(&self, state: &State) -> u64 {
        self.nameless(state)
    }

    fn goals(&self) -> Vec<String> {
        let mut goals = vec!["nobody waits and nothing is under way".to_owned()];
        goals
            .extend((0..self.scenario.keys.len()).map(|key| format!("a hit of key {key} in the memory of every node")));
        goals
    }

    fn holds(&self, goal: usize, state: &State) -> bool {
        if goal == 0 {
            return state.reader.is_none()
                && each(&state.loads).next().is_none()
                && each(&state.writers).next().is_none();
        }
        let Some(head) = state.store.head else { return false };
        state.nodes[..self.scenario.nodes].iter().all(|node| {
            let at_head = head.at == Place { epoch: node.view.epoch, sequence: node.view.frontier };
            at_head && node.confirmed && node.memory[goal - 1].is_some_and(|entry| self.is_valid(node, entry))
        })
    }
}

pub(super) fn places(count: usize) -> impl Iterator<Item = u8> {
    (0..count).map(|place| u8::try_from(place).expect("models are small"))
}

pub(super) fn waits_for_round(reader: &Reader) -> bool {
    matches!(reader.waits, Waits::ToReach | Waits::ToConfirm)
}

/// Those that are there, with their places.
pub(super) fn each<T>(all: &[Option<T>]) -> impl Iterator<Item = (u8, &T)> {
    places(all.len()).zip(all).filter_map(|(at, one)| one.as_ref().map(|one| (at, one)))
}
