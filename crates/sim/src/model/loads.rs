//! Loading: the lease, the facts, memory, the store.

use super::{
    action::Action,
    explore::Notes,
    protocol::{Protocol, each, places},
    state::{Entry, FACTS, Lease, Load, Owner, Place, Stage, State},
    store::Filled,
    variant::Variant,
};

impl Protocol {
    pub(super) fn loading(&self, state: &State, actions: &mut Vec<Action>) {
        for node in places(self.scenario.nodes) {
            for key in places(self.scenario.keys.len()) {
                if self.may_begin_load(state, node, key) {
                    actions.push(Action::BeginLoad { node, key });
                }
                let here = &state.nodes[usize::from(node)];
                if state.store.entries[usize::from(key)].is_some_and(|entry| self.is_valid(here, entry)) {
                    actions.push(Action::Copy { node, key });
                }
            }
        }
        for (at, load) in each(&state.loads) {
            match load.stage {
                Stage::WaitsForLease => {
                    if state.store.leases[usize::from(load.key)].is_none() {
                        actions.push(Action::Acquire(at));
                    }
                    if self.may_take_filled(state, load).is_some() {
                        actions.push(Action::TakeFilled(at));
                    }
                    if self.variant != Variant::LeaseForEver {
                        actions.push(Action::LoadUnleased(at));
                    }
                }
                Stage::Reads(read) if usize::from(read) < self.facts_of(load.key).iter().count() => {
                    actions.push(Action::ReadFact(at));
                }
                Stage::Reads(_) => actions.push(Action::Keep(at)),
                Stage::Fills(_) => actions.push(Action::Fill(at)),
            }
        }
    }

    /// Begins a load that readers may join from now on instead of an older one.
    pub(super) fn begin_load(&self, state: &mut State, node: u8, key: u8, confirmed: bool) -> Option<u8> {
        let free = state.loads[..self.scenario.loads].iter().position(Option::is_none)?;
        for other in state.loads.iter_mut().flatten().filter(|load| (load.node, load.key) == (node, key)) {
            other.open = false;
        }
        let view = state.nodes[usize::from(node)].view;
        let base = Place { epoch: view.epoch, sequence: view.frontier };
        let stage = if self.scenario.leases { Stage::WaitsForLease } else { Stage::Reads(0) };
        let saw = [0; FACTS];
        state.loads[free] = Some(Load { node, key, base, open: true, confirmed, lease: Lease::None, stage, saw });
        Some(u8::try_from(free).expect("there are few loads"))
    }

    pub(super) fn may_begin_load(&self, state: &State, node: u8, key: u8) -> bool {
        let view = state.nodes[usize::from(node)].view;
        let frontier = Place { epoch: view.epoch, sequence: view.frontier };
        let mut here = state.loads.iter().flatten().filter(|load| (load.node, load.key) == (node, key));
        state.loads[..self.scenario.loads].iter().any(Option::is_none)
            && !here.any(|load| load.open && load.base == frontier)
    }

    pub(super) fn may_take_filled(&self, state: &State, load: &Load) -> Option<Entry> {
        let entry = state.store.entries[usize::from(load.key)]?;
        let trusted = load.confirmed || self.variant == Variant::JoinUnconfirmed;
        (trusted && self.is_valid(&state.nodes[usize::from(load.node)], entry)).then_some(entry)
    }

    pub(super) fn take_filled(&self, state: &mut State, at: u8, notes: &mut Notes) {
        let load = state.loads[usize::from(at)].expect("it runs");
        let entry = self.may_take_filled(state, &load).expect("it was there");
        self.offer(state, load.node, load.key, entry);
        self.land(state, at, Some(entry), notes);
    }

    pub(super) fn read_fact(&self, state: &mut State, at: u8) {
        let load = state.loads[usize::from(at)].as_mut().expect("it runs");
        let Stage::Reads(read) = load.stage else { unreachable!("only loads that read, read") };
        let fact = self.facts_of(load.key).iter().nth(usize::from(read)).expect("there is one more");
        load.saw[fact] = state.database[fact];
        load.stage = Stage::Reads(read + 1);
    }

    pub(super) fn keep(&self, state: &mut State, at: u8, notes: &mut Notes) {
        let load = state.loads[usize::from(at)].expect("it runs");
        let node = &state.nodes[usize::from(load.node)];
        let mut entry = Entry { base: load.base, tags: self.facts_of(load.key), saw: load.saw };
        if self.variant == Variant::StampAfterLoad {
            entry.base = Place { epoch: node.view.epoch, sequence: node.view.frontier };
        }
        if self.variant == Variant::TagForgotten {
            let last = entry.tags.iter().last();
            entry.tags = entry.tags.filter(|fact| Some(fact) != last);
        }
        if self.is_valid(node, entry) {
            self.offer(state, load.node, load.key, entry);
            state.loads[usize::from(at)].as_mut().expect("it runs").stage = Stage::Fills(entry);
        } else {
            notes.add("value overtaken before it was kept");
            self.release(state, at);
            self.land(state, at, Some(entry), notes);
        }
    }

    pub(super) fn fill(&self, state: &mut State, at: u8, notes: &mut Notes) {
        let load = state.loads[usize::from(at)].expect("it runs");
        let Stage::Fills(entry) = load.stage else { unreachable!("only loads that fill, fill") };
        match state.store.fill(usize::from(load.key), entry) {
            Filled::Stored => {}
            Filled::Overtaken => notes.add("fill refused: overtaken"),
            Filled::NewerStored => notes.add("fill refused: a newer one is stored"),
        }
        if load.lease == Lease::Former && state.store.leases[usize::from(load.key)].is_some() {
            notes.add("fill by a former owner while another has the lease");
        }
        self.release(state, at);
        self.land(state, at, Some(entry), notes);
    }

    pub(super) fn release(&self, state: &mut State, at: u8) {
        let load = state.loads[usize::from(at)].expect("it runs");
        let held = &mut state.store.leases[usize::from(load.key)];
        let mine = match (self.variant, *held) {
            (_, Some(Owner::Load(owner))) if owner == at => true,
            (Variant::LeaseWithoutOwner, Some(_)) => load.lease != Lease::None,
            (Variant::LeaseOwnedByNode, Some(Owner::Load(owner))) => {
                let owner = state.loads[usize::from(owner)];
                load.lease != Lease::None && owner.is_some_and(|owner| owner.node == load.node)
            }
            _ => false,
        };
        if mine {
            *held = None;
        }
    }

    /// Ends a load and tells the reader who waits for it.
    pub(super) fn land(&self, state: &mut State, at: u8, outcome: Option<Entry>, notes: &mut Notes) {
        let load = state.loads[usize::from(at)].take().expect("it runs");
        let held = &mut state.store.leases[usize::from(load.key)];
        if *held == Some(Owner::Load(at)) {
            *held = Some(Owner::Gone);
        }
        self.load_landed(state, at, outcome, notes);
    }

    pub(super) fn offer(&self, state: &mut State, node: u8, key: u8, entry: Entry) {
        let node = &mut state.nodes[usize::from(node)];
        let better = node.memory[usize::from(key)].is_some_and(|held| {
            held.base.epoch == entry.base.epoch && held.base.sequence > entry.base.sequence && self.is_valid(node, held)
        });
        if !better {
            node.memory[usize::from(key)] = Some(entry);
        }
    }

    pub(super) fn expire(state: &mut State, key: u8) {
        if let Some(Owner::Load(owner)) = state.store.leases[usize::from(key)].take()
            && let Some(load) = &mut state.loads[usize::from(owner)]
        {
            load.lease = Lease::Former;
        }
    }
}
