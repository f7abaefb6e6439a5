//! What a comparison means. *Decides*.

use unstale::{Explanation, Position, Timestamp};

/// What became of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// What was given is true.
    Correct,
    /// It is not, and the cache takes it for valid.
    Incorrect,
    /// It was invalidated since: whatever is true now says nothing of then.
    Changed,
    /// Its time is over.
    Expired,
    /// It could not be loaded.
    Failed,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 5] = [Self::Correct, Self::Incorrect, Self::Changed, Self::Expired, Self::Failed];

    /// As metrics name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Correct => "correct",
            Self::Incorrect => "incorrect",
            Self::Changed => "changed",
            Self::Expired => "expired",
            Self::Failed => "failed",
        }
    }
}

/// Why nothing can be said of a value any more, if that is so: what the cache does not take for valid cannot be wrong.
pub(super) fn is_moot(base: Position, expires_at: Timestamp, known: &Explanation, now: Timestamp) -> Option<Outcome> {
    if !known.holds_for(base) {
        Some(Outcome::Changed)
    } else if expires_at <= now {
        Some(Outcome::Expired)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use unstale::{
        Tag,
        position::{Epoch, PartitionCount, Sequence},
    };

    use super::*;

    fn at(sequence: u64) -> Position {
        let partition = PartitionCount::new(1).unwrap().all().next().unwrap();
        Position { partition, epoch: Epoch::from_u64(1), sequence: Sequence::from_u64(sequence) }
    }

    fn check(base: u64, clock: u64, expires_at: u64, expected: Option<Outcome>) {
        let clocks = vec![(Tag::shared("fact", 1).id(), Sequence::from_u64(clock))];
        let floor = Sequence::from_u64(0);
        let known = Explanation {
            frontier: at(9),
            floor,
            clocks,
            purges_floor: floor,
            purges: Vec::new(),
            is_pending: false,
            is_purge_pending: false,
        };
        let (expires_at, now) = (Timestamp::from_millis(expires_at), Timestamp::from_millis(100));
        assert_eq!(is_moot(at(base), expires_at, &known, now), expected);
    }

    #[test]
    fn only_what_is_taken_for_valid_can_be_wrong() {
        check(5, 5, 101, None);
        check(5, 6, 101, Some(Outcome::Changed));
        check(5, 5, 100, Some(Outcome::Expired));
        check(5, 6, 100, Some(Outcome::Changed));
    }
}
