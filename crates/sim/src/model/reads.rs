//! The read that is watched.
//!
//! One is enough: what other readers do to the system (loads begun, entries copied into memory, the log asked) is there
//! as steps of its own, and a read is promised nothing about other reads.

use super::{
    explore::Notes,
    protocol::Protocol,
    state::{Entry, FACTS, Facts, Kind, Place, Purge, Reader, Receipt, Stale, State, Versions, Waits},
    variant::Variant,
};

impl Protocol {
    /// Begins a read: what it is promised is settled, and whatever needs no wait is done.
    pub(super) fn begin_read(&self, state: &mut State, node: u8, key: u8, kind: Kind, notes: &mut Notes) {
        let here = &state.nodes[usize::from(node)];
        if state
            .store
            .head
            .is_some_and(|head| head.at.epoch != here.view.epoch || head.at.sequence > here.view.frontier)
        {
            notes.add("read on a node that has not heard of the newest record");
        }
        let needs = state.receipt.filter(|_| kind == Kind::Carrying).map(|receipt| receipt.at);
        let promised = self.promised(state, node, key, kind);
        let reached = needs.is_none_or(|at| here.view.epoch == at.epoch && here.view.frontier >= at.sequence);
        let waits = if reached { Waits::ToConfirm } else { Waits::ToReach };
        let reader = Reader { node, key, kind, needs, promised, waits };
        state.reader = Some(reader);
        match kind {
            Kind::Judged => wait(state, reader, Waits::ForJudgement),
            _ if reached => self.find(state, reader, notes),
            _ => {}
        }
    }

    /// The versions that a read that begins now must see.
    pub(super) fn promised(&self, state: &State, node: u8, key: u8, kind: Kind) -> Versions {
        let mut promised = match kind {
            Kind::Strict | Kind::Judged => state.acknowledged,
            Kind::StaleOk => known_purges(state, node),
            Kind::Bounded | Kind::Carrying => {
                later(state.acknowledged_by[usize::from(node)], state.acknowledged_long_ago)
            }
        };
        if let (Kind::Carrying, Some(Receipt { fact, version, .. })) = (kind, state.receipt) {
            let known = &mut promised[usize::from(fact)];
            *known = version.max(*known);
        }
        let mut of_key = [0; FACTS];
        self.facts_of(key).iter().for_each(|fact| of_key[fact] = promised[fact]);
        of_key
    }

    /// Whether the reader waits for nothing but its turn.
    pub(super) fn reader_goes_on(reader: &Reader) -> bool {
        matches!(
            reader.waits,
            Waits::ForJudgement | Waits::ForEntry { .. } | Waits::ToBoard { .. } | Waits::ToShare { .. }
        )
    }

    pub(super) fn reader_steps(&self, state: &mut State, notes: &mut Notes) {
        let reader = state.reader.expect("somebody reads");
        let (at, key) = (usize::from(reader.node), usize::from(reader.key));
        match reader.waits {
            Waits::ForJudgement => match state.store.entries[key].filter(|entry| state.store.is_valid(*entry)) {
                Some(entry) => {
                    notes.add("hit judged by the store");
                    self.answer(state, reader, entry);
                }
                None => wait(state, reader, Waits::ToConfirm),
            },
            Waits::ForEntry { confirmed } => {
                match state.store.entries[key].filter(|entry| self.suits(state, reader, confirmed, *entry, notes)) {
                    Some(entry) => {
                        notes.add("hit in the store");
                        self.offer(state, reader.node, reader.key, entry);
                        self.answer(state, reader, entry);
                    }
                    None => self.board(state, reader, confirmed, notes),
                }
            }
            Waits::ToBoard { confirmed } => self.board(state, reader, confirmed, notes),
            Waits::ToShare { entry, confirmed } => {
                if self.is_valid(&state.nodes[at], entry) || self.variant == Variant::JoinUnjudged {
                    notes.add("joined load's value shared");
                    self.answer(state, reader, entry);
                } else {
                    notes.add("joined load's value refused");
                    self.board(state, reader, confirmed, notes);
                }
            }
            Waits::ToReach | Waits::ToConfirm | Waits::ForOwnLoad { .. } | Waits::ForOthersLoad { .. } => {
                unreachable!("others end these waits")
            }
        }
    }

    /// A round that began after the reader came has ended well.
    pub(super) fn reader_caught_up(&self, state: &mut State, reader: Reader, notes: &mut Notes) {
        match reader.waits {
            Waits::ToReach => self.find(state, reader, notes),
            _ => self.look(state, reader, true, notes),
        }
    }

    /// It has ended badly.
    pub(super) fn reader_out_of_reach(&self, state: &mut State, reader: Reader, notes: &mut Notes) {
        match reader.waits {
            Waits::ToReach if self.variant == Variant::OutOfReachIgnored => self.find(state, reader, notes),
            Waits::ToReach => {
                // It loads for itself and shares nothing: what is read from now on has seen the write.
                notes.add("position out of reach: loaded uncached");
                state.reader = None;
            }
            _ => self.look(state, reader, false, notes),
        }
    }

    /// The store does not answer.
    pub(super) fn store_silent(&self, state: &mut State, notes: &mut Notes) {
        let reader = state.reader.expect("somebody reads");
        match reader.waits {
            Waits::ForEntry { confirmed } => self.board(state, reader, confirmed, notes),
            _ => wait(state, reader, Waits::ForEntry { confirmed: false }),
        }
    }

    /// A load has ended.
    pub(super) fn load_landed(&self, state: &mut State, at: u8, outcome: Option<Entry>, notes: &mut Notes) {
        let Some(reader) = state.reader else { return };
        match (reader.waits, outcome) {
            (Waits::ForOwnLoad { load }, Some(entry)) if load == at => {
                notes.add("own load's value");
                self.answer(state, reader, entry);
            }
            (Waits::ForOwnLoad { load }, None) if load == at => state.reader = None,
            (Waits::ForOthersLoad { load, confirmed }, Some(entry)) if load == at => {
                wait(state, reader, Waits::ToShare { entry, confirmed });
            }
            (Waits::ForOthersLoad { load, confirmed }, None) if load == at => {
                wait(state, reader, Waits::ToBoard { confirmed });
            }
            _ => {}
        }
    }

    /// Makes sure that the view is as complete as the kind of read demands, and looks.
    fn find(&self, state: &mut State, reader: Reader, notes: &mut Notes) {
        let recent = state.nodes[usize::from(reader.node)].confirmed;
        match reader.kind {
            Kind::Bounded | Kind::Carrying | Kind::StaleOk if recent => self.look(state, reader, true, notes),
            _ => wait(state, reader, Waits::ToConfirm),
        }
    }

    fn look(&self, state: &mut State, reader: Reader, confirmed: bool, notes: &mut Notes) {
        let held = state.nodes[usize::from(reader.node)].memory[usize::from(reader.key)];
        match held.filter(|entry| self.suits(state, reader, confirmed, *entry, notes)) {
            Some(entry) => {
                notes.add("hit in memory");
                self.answer(state, reader, entry);
            }
            None => wait(state, reader, Waits::ForEntry { confirmed }),
        }
    }

    /// Whether what was found may be given to the reader.
    fn suits(&self, state: &State, reader: Reader, confirmed: bool, entry: Entry, notes: &mut Notes) -> bool {
        let node = &state.nodes[usize::from(reader.node)];
        match (reader.kind, self.is_valid(node, entry)) {
            (Kind::StaleOk, true) => true,
            (Kind::StaleOk, false) => {
                let given = self.is_given_stale(node, entry);
                notes.add(if given { "known to be invalid, and given" } else { "purged, and given to nobody" });
                given
            }
            (_, valid) => confirmed && valid,
        }
    }

    /// Joins a load that is young enough, or begins one.
    fn board(&self, state: &mut State, reader: Reader, confirmed: bool, notes: &mut Notes) {
        let view = state.nodes[usize::from(reader.node)].view;
        let reached =
            |base: Place| reader.needs.is_none_or(|needs| needs.epoch != base.epoch || base.sequence >= needs.sequence);
        let trusted = confirmed || self.variant == Variant::JoinUnconfirmed;
        let running = state.loads.iter().position(|load| {
            load.is_some_and(|load| {
                let may_join = trusted && reached(load.base) && self.rule.is_valid(view, load.base, Facts::NONE);
                let here = load.open && (load.node, load.key) == (reader.node, reader.key);
                here && (may_join || self.variant == Variant::JoinUnjudged)
            })
        });
        if let Some(load) = running {
            notes.add("joined a load");
            let load = u8::try_from(load).expect("there are few loads");
            return wait(state, reader, Waits::ForOthersLoad { load, confirmed });
        }
        match self.begin_load(state, reader.node, reader.key, confirmed) {
            Some(load) => wait(state, reader, Waits::ForOwnLoad { load }),
            None => wait(state, reader, Waits::ToBoard { confirmed }),
        }
    }

    fn answer(&self, state: &mut State, reader: Reader, entry: Entry) {
        state.reader = None;
        let too_old = |fact: usize| entry.saw[fact] < reader.promised[fact];
        if self.facts_of(reader.key).iter().any(too_old) {
            state.stale = Some(Stale { reader, saw: entry.saw });
        }
    }
}

fn wait(state: &mut State, reader: Reader, waits: Waits) {
    let mut reader = Reader { waits, ..reader };
    let is_looking = matches!(waits, Waits::ForJudgement | Waits::ToReach | Waits::ToConfirm);
    if !(is_looking || reader.kind == Kind::StaleOk && matches!(waits, Waits::ForEntry { .. })) {
        // The view is now as complete as it will be made for this read: how strict it is matters no more.
        reader.kind = Kind::Bounded;
    }
    if matches!(waits, Waits::ForOwnLoad { .. }) {
        reader.needs = None;
    }
    state.reader = Some(reader);
}

/// The versions below which a node knows that nothing is to be given: its view has reached the purge, or whatever came in
/// the place of that part of the log.
fn known_purges(state: &State, node: u8) -> Versions {
    let view = state.nodes[usize::from(node)].view;
    let is_reached = |at: Place| view.epoch > at.epoch || (view.epoch == at.epoch && view.frontier >= at.sequence);
    let mut known = [0; FACTS];
    for Purge { fact, version, .. } in state.purges.iter().filter(|purge| is_reached(purge.at)) {
        let known = &mut known[usize::from(*fact)];
        *known = (*version).max(*known);
    }
    known
}

fn later(one: Versions, other: Versions) -> Versions {
    std::array::from_fn::<_, FACTS, _>(|fact| one[fact].max(other[fact]))
}
