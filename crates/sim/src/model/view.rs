//! What a node knows of the log: the engine's own [`Clocks`], as a value that can be compared.
//!
//! Nothing of the rule is written down here. A [`View`] is what the real clocks hold; to judge an entry or to move on,
//! real clocks are made that hold the same, asked, and read back. Each different question is asked once.

use std::{cell::RefCell, collections::HashMap};

use unstale::{
    ClockLimits, Invalidation, Position, PositionSet, Tag, TagId, Tenant,
    clocks::{Clocks, Validity},
    position::Sequence,
};

use super::state::{FACTS, Facts, Place};

/// A node's clocks, purges, floor and frontier. Clocks and purges at or below the floor are not told apart: zero. The floor of
/// purges is the same one, where there are purges: they are looked at in systems that forget no clock.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct View {
    pub(super) epoch: u8,
    pub(super) frontier: u8,
    pub(super) floor: u8,
    pub(super) clocks: [u8; FACTS],
    pub(super) purges: [u8; FACTS],
}

/// How a view moves on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Move {
    /// The next record.
    Apply(Facts),
    /// The log was trimmed past the frontier; this is its head.
    SkipTo(u8),
    /// Another epoch.
    StartAnew(Place),
}

/// The rule, as the engine has it.
pub(super) struct Rule {
    limits: ClockLimits,
    tags: [TagId; FACTS],
    /// The tag that makes a record a purge.
    purge: TagId,
    judged: RefCell<HashMap<(View, Place, Facts), bool>>,
    purged: RefCell<HashMap<(View, Place, Facts), bool>>,
    moved: RefCell<HashMap<(View, Move), View>>,
}

impl Rule {
    /// Clocks that hold `clocks_max` tags exactly. Two slots, so that facts may share one.
    pub(super) fn new(clocks_max: usize) -> Self {
        let tenant = Tenant::new("model").expect("a good name");
        let tags = std::array::from_fn(|fact| Tag::of(&tenant, "fact", fact).id());
        let limits = ClockLimits { filter_slots: 2, exact_clocks_max: clocks_max };
        let purge = Invalidation::new().purging().tags()[0].id();
        Self { limits, tags, purge, judged: RefCell::default(), purged: RefCell::default(), moved: RefCell::default() }
    }

    /// A view that begins at the log's head.
    pub(super) fn begin(&self, head: Place) -> View {
        let clocks = Clocks::new(position(head), self.limits);
        self.read_back(&clocks, head.epoch, [0; FACTS])
    }

    /// Whether an entry with this base, loaded from these facts, is valid.
    pub(super) fn is_valid(&self, view: View, base: Place, facts: Facts) -> bool {
        *self.judged.borrow_mut().entry((view, base, facts)).or_insert_with(|| {
            let Position { epoch, sequence, .. } = position(base);
            match self.clocks(view).judge(epoch, sequence, &self.tags_of(facts)) {
                Validity::Valid { through } => {
                    let frontier = u64::from(view.frontier.max(base.sequence));
                    assert!(through >= sequence && through.as_u64() <= frontier, "a base is raised too far");
                    true
                }
                Validity::Invalidated | Validity::BelowFloor | Validity::EpochChanged => false,
            }
        })
    }

    /// Whether an entry that is not valid may have been purged.
    pub(super) fn is_purged(&self, view: View, base: Place, facts: Facts) -> bool {
        *self.purged.borrow_mut().entry((view, base, facts)).or_insert_with(|| {
            let Position { epoch, sequence, .. } = position(base);
            self.clocks(view).is_purged(epoch, sequence, &self.tags_of(facts))
        })
    }

    /// The view after `by`.
    pub(super) fn moved(&self, view: View, by: Move) -> View {
        *self.moved.borrow_mut().entry((view, by)).or_insert_with(|| {
            let clocks = self.clocks(view);
            let mut known = view.clocks;
            let mut epoch = view.epoch;
            match by {
                Move::Apply(facts) => {
                    clocks.apply(sequence(view.frontier + 1), &self.tags_of(facts));
                    facts.iter().for_each(|fact| known[fact] = view.frontier + 1);
                }
                Move::SkipTo(head) => clocks.skip_to(sequence(head)),
                Move::StartAnew(head) => {
                    clocks.start_anew(position(head));
                    known = [0; FACTS];
                    epoch = head.epoch;
                }
            }
            self.read_back(&clocks, epoch, known)
        })
    }

    /// Real clocks that hold what `view` holds.
    fn clocks(&self, view: View) -> Clocks {
        let clocks = Clocks::new(position(Place { epoch: view.epoch, sequence: view.floor }), self.limits);
        for next in view.floor + 1..=view.frontier {
            let facts = Facts::BOTH.filter(|fact| view.clocks[fact] == next || view.purges[fact] == next);
            let is_purge = facts.iter().any(|fact| view.purges[fact] == next);
            clocks.apply(sequence(next), &self.tags_of(if is_purge { facts.purging() } else { facts }));
        }
        clocks
    }

    fn tags_of(&self, facts: Facts) -> Vec<TagId> {
        facts.iter().map(|fact| self.tags[fact]).chain(facts.is_purge().then_some(self.purge)).collect()
    }

    fn read_back(&self, clocks: &Clocks, epoch: u8, known: [u8; FACTS]) -> View {
        let floor = small(clocks.floor());
        let known = known.map(|clock| if clock > floor { clock } else { 0 });
        let (purged, purges_floor) = clocks.purges(&self.tags);
        assert!(purged.is_empty() || purges_floor == clocks.floor(), "clocks are forgotten where there are purges");
        let purge_of = |tag| purged.iter().find(|(of, _)| *of == tag).map_or(0, |(_, purge)| small(*purge));
        View {
            epoch,
            frontier: small(clocks.frontier().sequence),
            floor,
            clocks: known,
            purges: self.tags.map(purge_of),
        }
    }
}

fn small(sequence: Sequence) -> u8 {
    u8::try_from(sequence.as_u64()).expect("models are small")
}

fn sequence(number: u8) -> Sequence {
    (0..number).fold(Sequence::default(), |sequence, _| sequence.next())
}

fn position(place: Place) -> Position {
    let text = format!("0.{:x}.{:x}", place.epoch, place.sequence);
    let positions: PositionSet = text.parse().expect("written as positions are");
    *positions.iter().next().expect("one was written")
}
