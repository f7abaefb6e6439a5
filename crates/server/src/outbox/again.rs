//! What the log does not hold any more. Pure.
//!
//! A store that lost its newest writes, or all, begins a new epoch. Entries of the old one are refused then; what was
//! said in it is said once more, so that nothing depends on how a store was brought back.

use std::str::FromStr as _;

use unstale::PositionSet;

/// The epochs that were looked at.
#[derive(Clone, Debug, Default)]
pub struct Epochs(Option<Vec<(usize, u64)>>);

impl Epochs {
    fn of(frontiers: &PositionSet) -> Vec<(usize, u64)> {
        frontiers.iter().map(|position| (position.partition.index(), position.epoch.as_u64())).collect()
    }

    pub(super) fn are(&self, frontiers: &PositionSet) -> bool {
        self.0.as_ref().is_some_and(|epochs| *epochs == Self::of(frontiers))
    }

    pub(super) fn note(&mut self, frontiers: &PositionSet) {
        self.0 = Some(Self::of(frontiers));
    }
}

/// Whether the log still holds what was published at this position.
pub(super) fn holds(frontiers: &PositionSet, position: Option<&str>) -> bool {
    let Some(Ok(positions)) = position.map(PositionSet::from_str) else { return false };
    positions.iter().all(|held| {
        frontiers
            .in_partition(held.partition)
            .is_some_and(|frontier| frontier.epoch == held.epoch && frontier.sequence >= held.sequence)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> PositionSet {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_ahead_or_of_another_epoch_is_lost() {
        let frontiers = at("0.a.5~1.b.7");
        for (position, expected) in [
            (Some("0.a.5"), true),
            (Some("0.a.6"), false),
            (Some("0.c.1"), false),
            (Some("0.a.1~1.b.7"), true),
            (Some("0.a.1~1.c.7"), false),
            (Some("2.a.1"), false),
            (Some(""), true),
            (Some("?"), false),
            (None, false),
        ] {
            assert_eq!(holds(&frontiers, position), expected, "{position:?}");
        }
    }

    #[test]
    fn only_another_epoch_is_a_reason_to_look() {
        let mut epochs = Epochs::default();
        assert!(!epochs.are(&at("0.a.5")), "never looked at");
        epochs.note(&at("0.a.5"));
        assert!(epochs.are(&at("0.a.9")));
        assert!(!epochs.are(&at("0.b.9")));
    }
}
