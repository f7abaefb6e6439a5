//! Why a broken protocol fails: what its counterexample must show.
//!
//! Any counterexample says that something is wrong. That the *breach* was caught, and not an accident of how it was written
//! down, is shown by the steps that lead there: the ones that the part which is missing would have made harmless.

use super::{explore::Counterexample, variant::Variant};

const STALE: &str = "was promised versions";
const TWO_OWNERS: &str = "has two live owners";
const NEVER_AGAIN: &str = "it is never possible again";

/// What is wrong in the end, and the steps that have led there, in this order and perhaps with others between.
struct Reason {
    breach: &'static str,
    steps: &'static [&'static str],
    /// Steps without which it must go.
    without: &'static [&'static str],
}

const fn stale(steps: &'static [&'static str]) -> Reason {
    Reason { breach: STALE, steps, without: &[] }
}

/// With nothing that fails.
const fn in_peace(steps: &'static [&'static str]) -> Reason {
    Reason { without: &["fault"], ..stale(steps) }
}

/// Whether a counterexample shows what is missing in this variant.
pub(super) fn shows(variant: Variant, found: &Counterexample) -> bool {
    let Some(Reason { breach, steps, without }) = of(variant) else { return false };
    let mut taken = found.steps.iter();
    found.breach.contains(breach)
        && steps.iter().all(|step| taken.any(|taken| taken.contains(step)))
        && !found.steps.iter().any(|taken| without.iter().any(|step| taken.contains(step)))
}

/// None of the sound protocol, which has no counterexample.
fn of(variant: Variant) -> Option<Reason> {
    Some(match variant {
        Variant::Sound => return None,
        // The node knows of the write before the load that began before it ends.
        Variant::StampAfterLoad | Variant::TagForgotten => {
            in_peace(&["reads its next fact", "is appended", "asks the log", "judged and kept", "Bounded read"])
        }
        Variant::PositionWithoutEpoch => {
            stale(&["judged and kept", "fault: state lost", "asks the log", "read of key"])
        }
        Variant::ClocksEvictedAlone => stale(&["fault: clocks lost alone", "offers its entry", "Judged read"]),
        // The second write drops the clock of the first.
        Variant::ClocksPrunedWithoutFloor => {
            in_peace(&["reads its next fact", "of fact 0", "of fact 1", "is appended", "asks the log", "Bounded read"])
        }
        Variant::LeaseWithoutOwner | Variant::LeaseOwnedByNode => Reason {
            breach: TWO_OWNERS,
            steps: &["granted the lease", "expires", "granted the lease", "granted the lease"],
            without: &[],
        },
        // It lands after the reader has come.
        Variant::JoinUnjudged => stale(&["told that the write is done", "read of key", "judged and kept", "goes on"]),
        Variant::JoinUnconfirmed => {
            stale(&["told that the write is done", "Strict read", "fault: log out of reach", "goes on"])
        }
        Variant::OutOfReachIgnored => stale(&["Carrying read", "fault: log out of reach"]),
        Variant::AcknowledgeEarly => Reason {
            without: &["fault", "is told of the next record"],
            ..stale(&["asks the log", "is appended", "told that the write is done", "Bounded read"])
        },
        Variant::GapIgnored => in_peace(&["of fact 0", "of fact 1", "is appended", "asks the log", "Bounded read"]),
        Variant::TrimmedWithoutFloor => stale(&["fault: log lost alone", "asks the log", "Bounded read"]),
        // Asked before the write, answered when the bound has passed after it.
        Variant::ConfirmedWhenAnswered => in_peace(&[
            "asks the log",
            "told that the write is done",
            "the bound passes",
            "applies the log's answer",
            "Bounded read",
        ]),
        Variant::RoundOfOthers => {
            in_peace(&["asks the log", "told that the write is done", "Carrying read", "applies the log's answer"])
        }
        Variant::FailoverUnnoticed => stale(&["fault: failover", "asks the log", "Bounded read"]),
        Variant::FormerMasterAnswers => {
            stale(&["goes to the former master", "told that the write is done", "read of key"])
        }
        Variant::LeaseForEver => {
            Reason { breach: NEVER_AGAIN, steps: &["granted the lease", "crashed", "begins a load"], without: &[] }
        }
        Variant::EpochNotFollowed => Reason { breach: NEVER_AGAIN, steps: &["fault: state lost"], without: &[] },
        // Of the older record, when the bound has passed after the newer.
        Variant::ConfirmedByTold => in_peace(&[
            "told that the write is done",
            "told that the write is done",
            "the bound passes",
            "is told of the next record",
            "Bounded read",
        ]),
        // Of the second record, by who has not heard of the first.
        Variant::ToldOverGap => {
            in_peace(&["of fact 0", "of fact 1", "is told of the next record", "asks the log", "Bounded read"])
        }
        Variant::PurgeForgotten => in_peace(&["reads its next fact", "a purge of", "is appended", "StaleOk read"]),
        // The part of the log that it was in, or what a node knew of it.
        Variant::PurgeMissed => stale(&["reads its next fact", "a purge of", "is appended", "fault: ", "StaleOk read"]),
        Variant::ToldOfAnyEpoch => {
            stale(&["is appended", "fault: state lost", "asks the log", "is told of the next record", "Bounded read"])
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counterexample_shows_a_breach_by_its_end_and_by_the_order_of_its_steps() {
        let check = |breach: &str, steps: &[&str], expected: bool| {
            let steps = steps.iter().map(ToString::to_string).collect();
            let found = Counterexample { breach: breach.to_owned(), steps, last: String::new() };
            assert_eq!(shows(Variant::FailoverUnnoticed, &found), expected, "{found:?}");
        };
        let stale = "a read of key 0 on node 0 was promised versions [1, 0] and got [0, 0]";
        let [fails, asks, reads] =
            ["fault: failover without the newest record (FailOver)", "node 0 asks the log", "a Bounded read of key 0"];
        check(stale, &[fails, asks, reads], true);
        check(stale, &["the bound passes", fails, "the bound passes", asks, reads], true);
        check(stale, &[asks, fails, reads], false);
        check(stale, &[asks, reads], false);
        check("the lease of key 0 has two live owners", &[fails, asks, reads], false);
    }

    #[test]
    fn what_must_not_be_needed_is_not_there() {
        let steps = ["reads its next fact", "is appended", "asks the log", "judged and kept", "a Bounded read"];
        let mut steps: Vec<_> = steps.map(str::to_owned).into();
        let found =
            |steps: &[String]| Counterexample { breach: STALE.into(), steps: steps.into(), last: String::new() };
        assert!(shows(Variant::StampAfterLoad, &found(&steps)));
        steps.insert(0, "fault: state lost".into());
        assert!(!shows(Variant::StampAfterLoad, &found(&steps)));
    }
}
