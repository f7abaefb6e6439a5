//! What is checked: scenarios in which the protocol must hold, and breaches that must be found.

use super::{
    explore::{Notes, Report, explore},
    protocol::Protocol,
    reason,
    scenario::Scenario,
    variant::Variant,
};

/// States beyond which a search of a breach has failed.
const BREACH_STATES_MAX: usize = 1_000_000;

/// What must have happened in the sound scenarios together: a model in which it cannot happen would prove nothing.
const MUST_HAPPEN: [&str; 34] = [
    "fault: state lost",
    "fault: log lost alone",
    "fault: entry lost",
    "fault: lease lost",
    "fault: everything lost",
    "fault: failover without the newest record",
    "fault: node crashed and restarted",
    "fault: answer to an append lost",
    "fault: fill lost",
    "fault: load failed",
    "fault: log out of reach",
    "fault: store silent to a reader",
    "lease expired under its owner",
    "lease of a dead owner expired",
    "waiter outwaited a dead owner",
    "waiter took another's fill",
    "fill by a former owner while another has the lease",
    "fill refused: overtaken",
    "fill refused: a newer one is stored",
    "value overtaken before it was kept",
    "joined a load",
    "joined load's value shared",
    "joined load's value refused",
    "own load's value",
    "hit in memory",
    "hit in the store",
    "hit judged by the store",
    "log found trimmed",
    "new epoch noticed",
    "a record that was told moved a view on",
    "known to be invalid, and given",
    "purged, and given to nobody",
    "a node's floor raised by its own clocks' limit",
    "read on a node that has not heard of the newest record",
];

/// Visits every state of a sound scenario.
pub fn check_sound(scenario: Scenario, states_max: usize) -> Report {
    explore(&Protocol::new(scenario, Variant::Sound), states_max)
}

/// Looks for a counterexample where the protocol is broken.
pub fn check_broken(variant: Variant) -> Report {
    explore(&Protocol::new(scenario_of(variant), variant), BREACH_STATES_MAX)
}

/// Whether the search of a breach has found it: not any counterexample, but one that shows what is missing.
pub fn is_caught(variant: Variant, report: &Report) -> bool {
    report.counterexample.as_ref().is_some_and(|found| reason::shows(variant, found))
}

/// What never happened of what must.
pub fn missing(notes: &Notes) -> Vec<&'static str> {
    MUST_HAPPEN.into_iter().filter(|what| notes.count(what) == 0).collect()
}

/// The small system in which a breach shows.
fn scenario_of(variant: Variant) -> Scenario {
    let named = |name| {
        let found = Scenario::SMALL.into_iter().find(|scenario| scenario.name == name);
        found.expect("there is a scenario of this name")
    };
    match variant {
        Variant::LeaseWithoutOwner | Variant::LeaseOwnedByNode | Variant::LeaseForEver => {
            named("leases and faults, one node")
        }
        Variant::GapIgnored | Variant::ClocksPrunedWithoutFloor | Variant::ConfirmedByTold | Variant::ToldOverGap => {
            named("a log of one record and one clock")
        }
        Variant::ConfirmedWhenAnswered | Variant::RoundOfOthers => named("slow rounds"),
        Variant::PurgeForgotten | Variant::PurgeMissed => {
            named("a purge, faults, and reads that do not mind staleness")
        }
        Variant::ToldOfAnyEpoch => named("two writes and a store that forgets, one node"),
        Variant::EpochNotFollowed => named("slow rounds and faults, one node"),
        _ => Scenario::FAULTS,
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn the_protocol_holds_and_everything_happens() {
        let check = |scenario: Scenario| move || (scenario.name, check_sound(scenario, usize::MAX));
        let reports: Vec<_> = thread::scope(|scope| {
            let running: Vec<_> = Scenario::SMALL.map(|scenario| scope.spawn(check(scenario))).into();
            running.into_iter().map(|search| search.join().unwrap()).collect()
        });
        let mut notes = Notes::default();
        for (name, report) in &reports {
            assert!(report.counterexample.is_none(), "{name}: {:#?}", report.counterexample);
            assert!(report.complete, "{name}");
            notes.extend(&report.notes);
        }
        assert_eq!(missing(&notes), Vec::<&str>::new());
    }

    #[test]
    fn every_breach_is_caught_for_its_own_reason() {
        for variant in Variant::BROKEN {
            let report = check_broken(variant);
            assert!(is_caught(variant, &report), "{variant:?} was not caught, or by accident: {report:#?}");
        }
    }
}
