//! Failing.

use super::{
    action::{Action, Fault},
    explore::Notes,
    protocol::{Protocol, each, places},
    state::{FACTS, KEYS_MAX, LOADS_MAX, Load, Node, Stage, State, Waits},
    variant::Variant,
};

impl Protocol {
    pub(super) fn fail(&self, state: &mut State, fault: Fault, notes: &mut Notes) {
        notes.add(fault.name());
        state.faults_left -= 1;
        match fault {
            Fault::LoseLog => state.store.log.clear(),
            Fault::LoseClocks => {
                state.store.head.as_mut().expect("only where there is one").clocks = [0; FACTS];
            }
            Fault::LoseEntry(key) => state.store.entries[usize::from(key)] = None,
            Fault::LoseLease(key) => Self::expire(state, key),
            Fault::LoseEverything => {
                state.store.head = None;
                state.store.log.clear();
                state.store.entries = [None; KEYS_MAX];
                (0..KEYS_MAX).for_each(|key| Self::expire(state, u8::try_from(key).expect("there are few")));
            }
            Fault::FailOver if self.variant == Variant::FailoverUnnoticed => state.store.forget_newest(),
            // State that was begun in the run of another server is taken for lost, however much of it is there.
            Fault::LoseState | Fault::FailOver => state.store.head = None,
            Fault::Crash(node) => self.crash(state, node),
            Fault::LoseAppendAnswer(writer) => {
                self.append(state, writer);
            }
            Fault::LoseFill(load) => {
                let Some(Load { stage: Stage::Fills(entry), .. }) = state.loads[usize::from(load)] else {
                    unreachable!("only fills are lost")
                };
                self.land(state, load, Some(entry), notes);
            }
            Fault::LoadFails(load) => {
                self.release(state, load);
                self.land(state, load, None, notes);
            }
            Fault::RoundFails(node) => self.round_fails(state, node, notes),
            Fault::StoreSilent => self.store_silent(state, notes),
        }
    }

    /// The node dies; another with its name reads the log's head and begins with an empty memory. Writes that were not
    /// acknowledged stand in the outbox, from which they are said again.
    pub(super) fn crash(&self, state: &mut State, at: u8) {
        if state.reader.is_some_and(|reader| reader.node == at) {
            state.reader = None;
        }
        for load in 0..LOADS_MAX {
            if state.loads[load].is_some_and(|load| load.node == at) {
                let place = u8::try_from(load).expect("there are few loads");
                self.land(state, place, None, &mut Notes::default());
            }
        }
        for writer in state.writers.iter_mut().flatten().filter(|writer| writer.node == at) {
            writer.recorded = None;
            writer.reached = false;
        }
        let view = self.rule.begin(state.store.head(self.variant).at);
        state.nodes[usize::from(at)] = Node { view, ..Node::default() };
    }

    pub(super) fn faults(&self, state: &State, actions: &mut Vec<Action>) {
        if state.faults_left == 0 {
            return;
        }
        let mut faults = Vec::new();
        let everywhere = self.scenario.faults_of;
        if everywhere.store {
            if state.store.head.is_some() {
                faults.extend([Fault::LoseState, Fault::FailOver, Fault::LoseEverything]);
                if self.variant == Variant::ClocksEvictedAlone {
                    faults.push(Fault::LoseClocks);
                }
            }
            if !state.store.log.is_empty() {
                faults.push(Fault::LoseLog);
            }
            for key in places(self.scenario.keys.len()) {
                if state.store.entries[usize::from(key)].is_some() {
                    faults.push(Fault::LoseEntry(key));
                }
                if state.store.leases[usize::from(key)].is_some() {
                    faults.push(Fault::LoseLease(key));
                }
            }
        }
        if everywhere.nodes {
            faults.extend(places(self.scenario.nodes).map(Fault::Crash));
            for (at, load) in each(&state.loads) {
                match load.stage {
                    Stage::Reads(_) => faults.push(Fault::LoadFails(at)),
                    Stage::Fills(_) => faults.push(Fault::LoseFill(at)),
                    Stage::WaitsForLease => {}
                }
            }
        }
        if everywhere.network {
            let waits = each(&state.writers).filter(|(_, writer)| writer.recorded.is_none());
            faults.extend(waits.map(|(at, _)| Fault::LoseAppendAnswer(at)));
            let rounds = places(self.scenario.nodes).filter(|node| {
                let round = state.nodes[usize::from(*node)].round.is_some();
                round || !self.scenario.rounds_take_time && Self::is_waited_for(state, *node)
            });
            faults.extend(rounds.map(Fault::RoundFails));
            if state.reader.is_some_and(|reader| matches!(reader.waits, Waits::ForJudgement | Waits::ForEntry { .. })) {
                faults.push(Fault::StoreSilent);
            }
        }
        actions.extend(faults.into_iter().map(Action::Fault));
    }
}
