//! What the log does not hold any more. Pure; time is an argument.
//!
//! A store that lost its newest writes, or all, begins a new epoch. Entries of the old one are refused then; what was
//! said in it is said once more, so that nothing depends on how a store was brought back.

use std::{collections::HashSet, str::FromStr as _, time::Duration};

use tokio::time::Instant;
use unstale::{PositionSet, position::Position};

/// For how long after a change of epoch it is looked at what is marked late: by a writer that was held up, or that heard
/// of the change later. Who hears of it later still looks by itself; and what is not marked by then, a relay publishes.
const LATE_MAX: Duration = Duration::from_secs(120);
/// How far a look goes back behind the last one: a mark counts from before it can be seen.
const OVERLAP: Duration = Duration::from_secs(10);

/// The epochs that were looked at.
#[derive(Clone, Debug, Default)]
pub struct Epochs {
    known: Option<Vec<(usize, u64)>>,
    /// When the first look at these began, and the last.
    first: Option<Instant>,
    last: Option<Instant>,
    /// Rows that were published again and whose new place is not known: once is enough.
    unplaced: HashSet<i64>,
}

/// What is to be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Look {
    /// Rows that were marked so long ago at most.
    pub(super) back: Duration,
    /// Only those of another epoch: what is ahead of this node is so because this one is behind.
    pub(super) is_late: bool,
}

impl Epochs {
    fn of(frontiers: &PositionSet) -> Vec<(usize, u64)> {
        frontiers.iter().map(|position| (position.partition.index(), position.epoch.as_u64())).collect()
    }

    fn are(&self, frontiers: &PositionSet) -> bool {
        self.known.as_ref().is_some_and(|epochs| *epochs == Self::of(frontiers))
    }

    /// What is to be looked at now; all of the window if an epoch has changed, or was never looked at.
    pub(super) fn due(&self, frontiers: &PositionSet, now: Instant, window: Duration) -> Option<Look> {
        let (Some(first), Some(last), true) = (self.first, self.last, self.are(frontiers)) else {
            return Some(Look { back: window, is_late: false });
        };
        let end = first + LATE_MAX;
        if last >= end {
            return None;
        }
        // The last time once more all since the change.
        let since = if now >= end { first } else { last };
        Some(Look { back: window.min(now.saturating_duration_since(since) + OVERLAP), is_late: true })
    }

    /// A look that began at `now` has seen everything; the new places of these rows are not known.
    pub(super) fn note(&mut self, frontiers: &PositionSet, now: Instant, unplaced: impl IntoIterator<Item = i64>) {
        if !self.are(frontiers) {
            *self = Self { known: Some(Self::of(frontiers)), first: Some(now), ..Self::default() };
        }
        self.last = Some(now);
        self.unplaced.extend(unplaced);
    }

    /// Whether a row is to be published again.
    pub(super) fn has_lost(&self, look: Look, frontiers: &PositionSet, id: i64, position: Option<&str>) -> bool {
        if look.is_late {
            !self.unplaced.contains(&id) && !is_of(frontiers, position)
        } else {
            !holds(frontiers, position)
        }
    }
}

/// Whether what was published at this position is of the log as it is.
fn is_of(frontiers: &PositionSet, position: Option<&str>) -> bool {
    stands(frontiers, position, |_, _| true)
}

/// Whether the log still holds what was published at this position.
fn holds(frontiers: &PositionSet, position: Option<&str>) -> bool {
    stands(frontiers, position, |frontier, held| frontier.sequence >= held.sequence)
}

/// Whether a position is of the epochs that run, and `reached` in each partition.
fn stands(frontiers: &PositionSet, position: Option<&str>, reached: impl Fn(Position, Position) -> bool) -> bool {
    let Some(Ok(positions)) = position.map(PositionSet::from_str) else { return false };
    positions.iter().all(|held| {
        let frontier = frontiers.in_partition(held.partition);
        frontier.is_some_and(|frontier| frontier.epoch == held.epoch && reached(frontier, *held))
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
    fn only_another_epoch_is_a_reason_to_look_and_for_some_time_after_it() {
        const WINDOW: Duration = Duration::from_secs(900);
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let mut epochs = Epochs::default();
        let all = Some(Look { back: WINDOW, is_late: false });
        let late = |back| Some(Look { back, is_late: true });
        assert_eq!(epochs.due(&at("0.a.5"), start, WINDOW), all, "never looked at");
        epochs.note(&at("0.a.5"), start, []);
        assert_eq!(epochs.due(&at("0.a.9"), start + second, WINDOW), late(second + OVERLAP));
        assert_eq!(epochs.due(&at("0.b.9"), start + second, WINDOW), all);
        epochs.note(&at("0.a.9"), start + 60 * second, []);
        assert_eq!(epochs.due(&at("0.a.9"), start + 61 * second, WINDOW), late(second + OVERLAP));
        let end = start + LATE_MAX;
        assert_eq!(epochs.due(&at("0.a.9"), end, WINDOW), late(LATE_MAX + OVERLAP), "once more all since then");
        assert_eq!(epochs.due(&at("0.a.9"), end, second), late(second), "no more than is kept");
        epochs.note(&at("0.a.9"), end, []);
        assert_eq!(epochs.due(&at("0.a.9"), end + second, WINDOW), None);
        assert_eq!(epochs.due(&at("0.b.9"), end + second, WINDOW), all);
    }

    #[test]
    fn late_is_what_is_of_another_epoch_and_was_not_published_again() {
        let frontiers = at("0.a.5");
        let (mut epochs, look) = (Epochs::default(), Look { back: Duration::ZERO, is_late: true });
        epochs.note(&frontiers, Instant::now(), [7]);
        for (id, position, expected) in [
            (1, Some("0.a.5"), false),
            (1, Some("0.a.6"), false),
            (1, Some("0.b.1"), true),
            (1, None, true),
            (7, None, false),
        ] {
            assert_eq!(epochs.has_lost(look, &frontiers, id, position), expected, "{id} {position:?}");
        }
        epochs.note(&at("0.b.1"), Instant::now(), []);
        assert!(epochs.has_lost(look, &at("0.b.1"), 7, None), "with another epoch it counts anew");
    }
}
