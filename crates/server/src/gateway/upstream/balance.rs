//! Which server gets a request: of those that are well, the one with the fewest requests running.
//!
//! *Decides*, does no IO. All servers are looked at, from another one each time, so that equals take turns. An
//! upstream has a handful of servers; looking at two chosen at random would only pay with hundreds.

use std::time::Instant;

use super::health::Standing;

/// A server as the choice sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    pub(crate) standing: Standing,
    /// Requests running on it.
    pub(crate) running: usize,
    /// This request failed there before.
    pub(crate) tried: bool,
}

/// The place of the server to ask, or none if all are down.
///
/// One that is well and was not tried comes first, then one that is well, then, of those that are ejected, the one whose
/// time is over soonest.
pub(crate) fn pick(servers: impl ExactSizeIterator<Item = Candidate> + Clone, start: usize) -> Option<usize> {
    let count = servers.len();
    let mut best: Option<(usize, Rank)> = None;
    for (place, candidate) in servers.enumerate() {
        // Equals take turns: the first from `start` on comes first.
        let turn = (place + count - start % count) % count;
        let Some(rank) = Rank::of(candidate, turn) else { continue };
        if best.as_ref().is_none_or(|(_, best)| rank < *best) {
            best = Some((place, rank));
        }
    }
    best.map(|(place, _)| place)
}

/// Smaller is better.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    ejected_until: Option<Instant>,
    tried: bool,
    running: usize,
    turn: usize,
}

impl Rank {
    fn of(candidate: Candidate, turn: usize) -> Option<Self> {
        let ejected_until = match candidate.standing {
            Standing::Down => return None,
            Standing::Well => None,
            Standing::Ejected(until) => Some(until),
        };
        Some(Self { ejected_until, tried: candidate.tried, running: candidate.running, turn })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn well(running: usize) -> Candidate {
        Candidate { standing: Standing::Well, running, tried: false }
    }

    fn check(servers: &[Candidate], start: usize, expected: Option<usize>) {
        assert_eq!(pick(servers.iter().copied(), start), expected, "{servers:?} from {start}");
    }

    #[test]
    fn the_one_with_the_fewest_requests_is_chosen_and_equals_take_turns() {
        check(&[well(2), well(1), well(3)], 0, Some(1));
        for start in 0..7 {
            check(&[well(1), well(1), well(1)], start, Some(start % 3));
        }
    }

    #[test]
    fn one_that_was_tried_comes_after_the_others_but_before_none() {
        let tried = Candidate { tried: true, ..well(0) };
        check(&[tried, well(9)], 0, Some(1));
        check(&[tried], 0, Some(0));
    }

    #[test]
    fn the_ejected_are_tried_when_nothing_else_is_left_and_the_down_never() {
        let now = Instant::now();
        let ejected =
            |seconds| Candidate { standing: Standing::Ejected(now + Duration::from_secs(seconds)), ..well(0) };
        let down = Candidate { standing: Standing::Down, ..well(0) };
        check(&[ejected(1), well(99)], 0, Some(1));
        check(&[ejected(9), ejected(3), down], 0, Some(1));
        check(&[down, down], 1, None);
        check(&[], 1, None);
    }
}
