//! The store of record: what its scripts do, each in one step.

use super::{
    state::{Entry, FACTS, Facts, Head, Page, Place, Record, Store},
    variant::Variant,
};

/// What the store keeps.
#[derive(Clone, Copy, Debug)]
pub(super) struct StoreLimits {
    pub(super) log_records_max: usize,
    pub(super) clocks_max: usize,
}

/// What became of a fill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Filled {
    Stored,
    Overtaken,
    NewerStored,
}

impl Store {
    /// The head; begins a new epoch if the state was lost.
    pub(super) fn head(&mut self, variant: Variant) -> Head {
        match self.head {
            Some(head) => head,
            None => self.begin_epoch(variant),
        }
    }

    fn begin_epoch(&mut self, variant: Variant) -> Head {
        self.epochs_begun += 1;
        let epoch = if variant == Variant::PositionWithoutEpoch { 1 } else { self.epochs_begun };
        let head = Head { at: Place { epoch, sequence: 0 }, floor: 0, clocks: [0; FACTS] };
        self.head = Some(head);
        self.log.clear();
        head
    }

    /// Appends a record.
    pub(super) fn append(&mut self, facts: Facts, limits: StoreLimits, variant: Variant) -> Place {
        let mut head = self.head(variant);
        head.at.sequence += 1;
        facts.iter().for_each(|fact| head.clocks[fact] = head.at.sequence);
        while head.clocks.iter().filter(|clock| **clock > 0).count() > limits.clocks_max {
            let oldest = head.clocks.iter_mut().filter(|clock| **clock > 0).min().expect("there are too many");
            if variant != Variant::ClocksPrunedWithoutFloor {
                head.floor = *oldest;
            }
            *oldest = 0;
        }
        self.head = Some(head);
        self.log.push(Record { at: head.at, facts });
        if self.log.len() > limits.log_records_max {
            self.log.remove(0);
        }
        head.at
    }

    /// What follows `after`, a view's frontier.
    pub(super) fn read(&mut self, after: Place, variant: Variant) -> Page {
        let mut head = self.head(variant).at;
        if head.epoch == after.epoch && after.sequence > head.sequence {
            // The reader has seen what the store has forgotten.
            head = self.begin_epoch(variant).at;
        }
        if head.epoch != after.epoch {
            return Page::NewEpoch(head);
        }
        let behind = usize::from(head.sequence.saturating_sub(after.sequence));
        let found = &self.log[self.log.len().saturating_sub(behind)..];
        let follows = |(index, record): (usize, &Record)| {
            record.at.epoch == after.epoch && usize::from(record.at.sequence - after.sequence) == index + 1
        };
        if found.len() == behind && found.iter().enumerate().all(follows) && head.sequence >= after.sequence {
            return Page::Records(found.iter().map(|record| record.facts).collect());
        }
        match variant {
            // As if the records that are missing had named nothing.
            Variant::GapIgnored if !found.is_empty() => {
                let missing = behind - found.len();
                let none = std::iter::repeat_n(Facts::NONE, missing);
                Page::Records(none.chain(found.iter().map(|record| record.facts)).collect())
            }
            Variant::TrimmedWithoutFloor => Page::Records(std::iter::repeat_n(Facts::NONE, behind).collect()),
            _ => Page::Trimmed(head.sequence),
        }
    }

    /// The rule, as the store's own clocks have it.
    pub(super) fn is_valid(&self, entry: Entry) -> bool {
        self.head.is_some_and(|head| {
            let base = entry.base;
            head.at.epoch == base.epoch
                && (head.floor..=head.at.sequence).contains(&base.sequence)
                && entry.tags.iter().all(|fact| head.clocks[fact] <= base.sequence)
        })
    }

    /// Stores an entry unless the rule refuses it.
    pub(super) fn fill(&mut self, key: usize, entry: Entry) -> Filled {
        if !self.is_valid(entry) {
            return Filled::Overtaken;
        }
        let newer = |held: Entry| held.base.epoch == entry.base.epoch && held.base.sequence > entry.base.sequence;
        if self.entries[key].is_some_and(newer) {
            return Filled::NewerStored;
        }
        self.entries[key] = Some(entry);
        Filled::Stored
    }

    /// Forgets the newest record, as a replica that had not heard of it yet.
    pub(super) fn forget_newest(&mut self) {
        let Some(head) = &mut self.head else { return };
        if head.at.sequence == 0 {
            return;
        }
        if self.log.last().is_some_and(|record| record.at == head.at) {
            self.log.pop();
        }
        head.at.sequence -= 1;
        let log = &self.log;
        for (fact, clock) in head.clocks.iter_mut().enumerate() {
            if *clock > head.at.sequence {
                let earlier = log.iter().rev().find(|record| record.facts.iter().any(|other| other == fact));
                *clock = earlier.map_or(0, |record| record.at.sequence);
            }
        }
    }
}
