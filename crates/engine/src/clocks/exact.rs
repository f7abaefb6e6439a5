//! What a view knows exactly: the clocks of single tags, and which invalidations were purges.

use std::collections::{HashMap, VecDeque};

use crate::{hash_map::IdBuildHasher, position::Sequence, tag::TagId};

/// What is known exactly.
pub(super) struct Known {
    pub(super) clocks: Exact,
    /// Of each tag, its last record that was a purge.
    pub(super) purges: Exact,
    /// Below it, which records were purges is not known.
    pub(super) purges_floor: Sequence,
}

/// Clocks of single tags, of which the oldest are forgotten.
#[derive(Default)]
pub(super) struct Exact {
    pub(super) clocks: HashMap<TagId, Sequence, IdBuildHasher>,
    /// Every clock in the order in which it was set; those set again since are *superseded*.
    pub(super) by_age: VecDeque<(Sequence, TagId)>,
}

impl Known {
    /// Nothing yet, and nothing of what was before `floor`.
    pub(super) fn nothing_before(floor: Sequence) -> Self {
        Self { clocks: Exact::default(), purges: Exact::default(), purges_floor: floor }
    }
}

impl Exact {
    /// Whether one of `tags` is known to have moved past `base`.
    pub(super) fn has_moved(&self, tags: &[TagId], base: Sequence) -> bool {
        tags.iter().any(|tag| self.clocks.get(tag).is_some_and(|clock| *clock > base))
    }

    /// Those of `tags` that are known, each with its clock.
    pub(super) fn of(&self, tags: &[TagId]) -> Vec<(TagId, Sequence)> {
        tags.iter().filter_map(|tag| Some((*tag, *self.clocks.get(tag)?))).collect()
    }

    pub(super) fn set(&mut self, sequence: Sequence, tags: &[TagId]) {
        for tag in tags {
            self.clocks.insert(*tag, sequence);
            self.by_age.push_back((sequence, *tag));
        }
    }

    /// Forgets the oldest beyond `clocks_max`. Returns the last one's sequence if there were any: whatever is not here is at
    /// or below it.
    pub(super) fn trim(&mut self, clocks_max: usize) -> Option<Sequence> {
        let Self { clocks, by_age } = self;
        // A tag that is invalidated again leaves its older place behind. These go first, and together: seldom enough to cost
        // little for each record, and often enough to take no more than what stands may take.
        if by_age.len() > 2 * clocks_max {
            by_age.retain(|(sequence, tag)| clocks.get(tag) == Some(sequence));
        }
        let mut trimmed = None;
        while clocks.len() > clocks_max || by_age.len() > 2 * clocks_max {
            let Some((sequence, tag)) = by_age.pop_front() else { break };
            if clocks.get(&tag) == Some(&sequence) {
                clocks.remove(&tag);
                trimmed = Some(sequence);
            }
        }
        trimmed
    }
}
