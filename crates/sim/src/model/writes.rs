//! Writing and following the log.

use super::{
    action::Action,
    explore::Notes,
    protocol::{Protocol, each, places, waits_for_round},
    state::{Facts, Node, Page, Place, Purge, Receipt, Record, Round, State, Writer},
    store::StoreLimits,
    variant::Variant,
    view::Move,
};

/// Answers that a round takes at once: a new epoch, a gap, the records; and one more.
const ANSWERS_MAX: usize = 4;

impl Protocol {
    pub(super) fn writing(&self, state: &State, actions: &mut Vec<Action>) {
        if state.writes_left > 0 && state.writers[..self.scenario.writers].iter().any(Option::is_none) {
            for node in places(self.scenario.nodes) {
                for fact in places(self.scenario.facts) {
                    actions.push(Action::Commit { node, fact, is_purge: false });
                    if self.scenario.purges {
                        actions.push(Action::Commit { node, fact, is_purge: true });
                    }
                }
            }
        }
        for (at, writer) in each(&state.writers) {
            if writer.recorded.is_none() {
                actions.push(Action::Append(at));
                if self.variant == Variant::FormerMasterAnswers && state.store.epochs_begun > 1 {
                    actions.push(Action::AppendAtFormerMaster(at));
                }
            }
            if self.may_acknowledge(state, *writer) {
                actions.push(Action::Acknowledge(at));
            }
        }
    }

    pub(super) fn following(&self, state: &State, actions: &mut Vec<Action>) {
        for at in places(self.scenario.nodes) {
            let node = &state.nodes[usize::from(at)];
            if self.heard_next(state, at).is_some() {
                actions.push(Action::Hear(at));
            }
            match &node.round {
                Some(Round { page: Some(_), .. }) => actions.push(Action::Apply(at)),
                Some(Round { page: None, .. }) => actions.push(Action::Ask(at)),
                None => {
                    let frontier = Place { epoch: node.view.epoch, sequence: node.view.frontier };
                    let at_head = state.store.head.is_some_and(|head| head.at == frontier);
                    // A view that is complete and known to be has nothing to ask.
                    if !(at_head && node.confirmed) || Self::is_waited_for(state, at) {
                        actions.push(Action::Ask(at));
                    }
                }
            }
        }
    }

    pub(super) fn commit(state: &mut State, node: u8, fact: u8, is_purge: bool) {
        let version = &mut state.database[usize::from(fact)];
        *version += 1;
        let writer = Writer { node, fact, version: *version, is_purge, recorded: None, reached: false };
        *state.writers.iter_mut().find(|writer| writer.is_none()).expect("there is room") = Some(writer);
        state.writes_left -= 1;
    }

    pub(super) fn append(&self, state: &mut State, writer: u8) -> Place {
        let Writer { fact, version, is_purge, .. } = state.writers[usize::from(writer)].expect("it is on its way");
        let facts = Facts::one(usize::from(fact));
        let facts = if is_purge { facts.purging() } else { facts };
        let at = state.store.append(facts, self.limits(), self.variant);
        if is_purge {
            state.purges.push(Purge { at, fact, version });
        }
        state.told.push(Record { at, facts });
        at
    }

    /// The record that a node may be told of and would apply. While a round is under way it applies none.
    fn heard_next(&self, state: &State, node: u8) -> Option<Record> {
        let Node { view, round, .. } = &state.nodes[usize::from(node)];
        let next = |record: &&Record| {
            let of_epoch = record.at.epoch == view.epoch || self.variant == Variant::ToldOfAnyEpoch;
            let over_gap = self.variant == Variant::ToldOverGap && record.at.sequence > view.frontier;
            of_epoch && (record.at.sequence == view.frontier + 1 || over_gap)
        };
        // Over a gap, the one furthest ahead.
        state.told.iter().rev().find(next).copied().filter(|_| round.is_none())
    }

    pub(super) fn hear(&self, state: &mut State, at: u8, notes: &mut Notes) {
        let record = self.heard_next(state, at).expect("it was told");
        notes.add("a record that was told moved a view on");
        let node = &mut state.nodes[usize::from(at)];
        while node.view.frontier + 1 < record.at.sequence {
            node.view = self.rule.moved(node.view, Move::Apply(Facts::NONE));
        }
        self.apply_record(node, record.facts);
        node.confirmed |= self.variant == Variant::ConfirmedByTold;
    }

    /// Leaves out what no node will apply any more: its view is past it, or in another epoch and on no way into this.
    pub(super) fn forget_told(&self, state: &mut State) {
        if self.variant == Variant::ToldOfAnyEpoch {
            return;
        }
        let State { told, nodes, .. } = state;
        told.retain(|record| {
            nodes[..self.scenario.nodes].iter().any(|node| {
                let view = Place { epoch: node.view.epoch, sequence: node.view.frontier };
                let begins = match &node.round {
                    Some(Round { page: Some(Page::NewEpoch(head)), .. }) => Some(*head),
                    _ => None,
                };
                let before = |at: Place| at.epoch == record.at.epoch && at.sequence < record.at.sequence;
                before(view) || begins.is_some_and(before)
            })
        });
    }

    fn apply_record(&self, node: &mut Node, facts: Facts) {
        let facts = if self.variant == Variant::PurgeForgotten { facts.invalidating() } else { facts };
        node.view = self.rule.moved(node.view, Move::Apply(facts));
        if self.variant == Variant::ClocksPrunedWithoutFloor {
            let clocks = &mut node.view.clocks;
            while clocks.iter().filter(|clock| **clock > 0).count() > self.scenario.clocks_max {
                *clocks.iter_mut().filter(|clock| **clock > 0).min().expect("there are too many") = 0;
            }
        }
    }

    pub(super) fn may_acknowledge(&self, state: &State, writer: Writer) -> bool {
        writer.recorded.is_some_and(|at| {
            let view = state.nodes[usize::from(writer.node)].view;
            let holds = view.epoch == at.epoch && view.frontier >= at.sequence;
            holds || writer.reached || self.variant == Variant::AcknowledgeEarly
        })
    }

    pub(super) fn acknowledge(state: &mut State, writer: u8) {
        let Writer { node, fact, version, recorded, .. } =
            state.writers[usize::from(writer)].take().expect("it is on its way");
        let at = recorded.expect("only what is recorded is acknowledged");
        for known in [&mut state.acknowledged, &mut state.acknowledged_by[usize::from(node)]] {
            let known = &mut known[usize::from(fact)];
            *known = version.max(*known);
        }
        state.receipt = Some(Receipt { at, fact, version });
    }

    /// Asks the log. Where rounds take no time, the answers are applied at once: an answer that nobody waits for and
    /// that comes late is the same as a question asked late.
    pub(super) fn follow(&self, state: &mut State, at: u8, notes: &mut Notes) {
        self.ask(state, at);
        for _ in 0..ANSWERS_MAX {
            if self.scenario.rounds_take_time || state.nodes[usize::from(at)].round.is_none() {
                return;
            }
            self.apply(state, at, notes);
            if state.nodes[usize::from(at)].round.is_some() {
                self.ask(state, at);
            }
        }
    }

    /// A round that begins now, and for whom.
    pub(super) fn round(state: &State, node: u8) -> Round {
        let for_reader = state.reader.is_some_and(|reader| reader.node == node && waits_for_round(&reader));
        let for_writers = state.writers.map(|writer| writer.is_some_and(|w| w.node == node && w.recorded.is_some()));
        Round { page: None, recent: true, for_reader, for_writers }
    }

    pub(super) fn ask(&self, state: &mut State, node: u8) {
        let begun = Self::round(state, node);
        let this = &mut state.nodes[usize::from(node)];
        let frontier = Place { epoch: this.view.epoch, sequence: this.view.frontier };
        let page = state.store.read(frontier, self.variant);
        // The same round goes on for those whom it was begun for.
        let round = this.round.get_or_insert(begun);
        round.page = Some(page);
        round.recent = true;
    }

    pub(super) fn apply(&self, state: &mut State, at: u8, notes: &mut Notes) {
        let node = &mut state.nodes[usize::from(at)];
        let mut round = node.round.take().expect("it was asked");
        match round.page.take().expect("it was answered") {
            Page::Records(records) => {
                let floor = node.view.floor;
                for facts in records {
                    self.apply_record(node, facts);
                }
                if node.view.floor > floor {
                    notes.add("a node's floor raised by its own clocks' limit");
                }
                node.confirmed |= round.recent || self.variant == Variant::ConfirmedWhenAnswered;
                self.round_ends(state, at, &round, notes);
            }
            Page::Trimmed(head) => {
                notes.add("log found trimmed");
                node.view = self.rule.moved(node.view, Move::SkipTo(head));
                node.round = Some(round);
            }
            Page::NewEpoch(head) => {
                notes.add("new epoch noticed");
                if self.variant != Variant::EpochNotFollowed {
                    node.view = self.rule.moved(node.view, Move::StartAnew(head));
                }
                node.round = Some(round);
            }
        }
    }

    pub(super) fn is_waited_for(state: &State, node: u8) -> bool {
        let round = Self::round(state, node);
        round.for_reader || round.for_writers.contains(&true)
    }

    pub(super) fn round_ends(&self, state: &mut State, at: u8, round: &Round, notes: &mut Notes) {
        for (writer, waited) in state.writers.iter_mut().zip(round.for_writers) {
            if let Some(writer) = writer.as_mut().filter(|_| waited) {
                writer.reached = true;
            }
        }
        let waits = state.reader.filter(|reader| {
            let taken = round.for_reader || self.variant == Variant::RoundOfOthers;
            taken && reader.node == at && waits_for_round(reader)
        });
        if let Some(reader) = waits {
            self.reader_caught_up(state, reader, notes);
        }
    }

    pub(super) fn round_fails(&self, state: &mut State, at: u8, notes: &mut Notes) {
        let round = state.nodes[usize::from(at)].round.take().unwrap_or_else(|| Self::round(state, at));
        for (writer, waited) in state.writers.iter_mut().zip(round.for_writers) {
            // The writer hears an error, and repeats the invalidation.
            if let Some(writer) = writer.as_mut().filter(|writer| waited && !writer.reached) {
                writer.recorded = None;
            }
        }
        if let Some(reader) = state.reader.filter(|reader| round.for_reader && reader.node == at) {
            self.reader_out_of_reach(state, reader, notes);
        }
    }

    fn limits(&self) -> StoreLimits {
        StoreLimits { log_records_max: self.scenario.log_records_max, clocks_max: self.scenario.clocks_max }
    }
}
