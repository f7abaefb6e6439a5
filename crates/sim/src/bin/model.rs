//! Checks the protocol exhaustively, and that every way of breaking it is found.
//!
//! ```text
//! model                       the small scenarios and every breach
//! model --large               the large ones, too: minutes, and gigabytes of memory
//! model --breach NAME         one breach, with its counterexample step by step
//! model --nodes 3 --faults 1  one scenario; also --loads, --writers, --writes, --leases 1, --slow 1
//! model --states-max N        stops each search there and says so; a small scenario that was not finished has failed
//! ```

use std::{process::ExitCode, time::Instant};

use anyhow::{Context as _, bail};
use unstale_sim::model::{Notes, Report, Scenario, Variant, check_broken, check_sound, is_caught, missing};

/// What was asked for.
#[derive(Default)]
struct Wanted {
    large: bool,
    breach: Option<Variant>,
    scenario: Option<Scenario>,
    states_max: Option<usize>,
}

#[derive(Default)]
struct Outcome {
    passed: u32,
    failed: u32,
    notes: Notes,
}

fn main() -> anyhow::Result<ExitCode> {
    let wanted = wanted(std::env::args().skip(1))?;
    let states_max = wanted.states_max.unwrap_or(usize::MAX);
    let mut outcome = Outcome::default();
    match (wanted.breach, wanted.scenario) {
        (Some(variant), _) => outcome.broken(variant, true),
        (None, Some(scenario)) => outcome.sound(scenario, states_max, false),
        (None, None) => {
            Scenario::SMALL.into_iter().for_each(|scenario| outcome.sound(scenario, states_max, true));
            let missing = missing(&outcome.notes);
            outcome.count(missing.is_empty(), &format!("everything has happened, but for {missing:?}"));
            Variant::BROKEN.into_iter().for_each(|variant| outcome.broken(variant, false));
            if wanted.large {
                Scenario::LARGE.into_iter().for_each(|scenario| outcome.sound(scenario, states_max, false));
            }
            outcome.notes.sorted().into_iter().for_each(|(what, count)| println!("{count:>10} × {what}"));
        }
    }
    println!("{} passed, {} failed", outcome.passed, outcome.failed);
    Ok(if outcome.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn wanted(mut arguments: impl Iterator<Item = String>) -> anyhow::Result<Wanted> {
    let mut wanted = Wanted::default();
    while let Some(name) = arguments.next() {
        if name == "--large" {
            wanted.large = true;
            continue;
        }
        let value = arguments.next().with_context(|| format!("{name} needs a value"))?;
        if name == "--breach" {
            let found = Variant::BROKEN.into_iter().find(|variant| format!("{variant:?}") == value);
            wanted.breach = Some(found.with_context(|| format!("no breach {value}; there are {:?}", Variant::BROKEN))?);
            continue;
        }
        let number: usize = value.parse().with_context(|| format!("{name} needs a number, not {value}"))?;
        if name == "--states-max" {
            wanted.states_max = Some(number);
            continue;
        }
        let scenario = wanted.scenario.get_or_insert(Scenario::FAULTS);
        match name.as_str() {
            "--nodes" => scenario.nodes = number,
            "--loads" => scenario.loads = number,
            "--writers" => scenario.writers = number,
            "--writes" => scenario.writes = u8::try_from(number)?,
            "--faults" => scenario.faults = u8::try_from(number)?,
            "--leases" => scenario.leases = number > 0,
            "--slow" => scenario.rounds_take_time = number > 0,
            _ => bail!("{name} is not known; see the first lines of the program's source"),
        }
    }
    if let Some(refused) = wanted.scenario.and_then(|scenario| scenario.refused()) {
        bail!("{refused}");
    }
    Ok(wanted)
}

impl Outcome {
    /// Checks a scenario; `to_the_end`: it has failed unless all its states were visited.
    fn sound(&mut self, scenario: Scenario, states_max: usize, to_the_end: bool) {
        let began = Instant::now();
        let report = check_sound(scenario, states_max);
        self.notes.extend(&report.notes);
        let held = report.counterexample.is_none() && (report.complete || !to_the_end);
        self.count(held, &format!("{}: {}, {:.1?}", scenario.name, size(&report), began.elapsed()));
        explain(&report);
    }

    fn broken(&mut self, variant: Variant, explained: bool) {
        let report = check_broken(variant);
        let found =
            report.counterexample.as_ref().map(|found| format!("{} steps: {}", found.steps.len(), found.breach));
        let caught = is_caught(variant, &report);
        let found = found.unwrap_or_else(|| "not caught".into());
        let by_accident = if caught { "" } else { ", which does not show it" };
        self.count(caught, &format!("{variant:?}: {found}{by_accident}"));
        if explained {
            explain(&report);
        }
    }

    fn count(&mut self, passed: bool, what: &str) {
        *(if passed { &mut self.passed } else { &mut self.failed }) += 1;
        println!("{} {what}", if passed { "ok    " } else { "FAILED" });
    }
}

fn size(report: &Report) -> String {
    let Report { states, steps, depth, complete, .. } = report;
    let all = if *complete { "" } else { " (not all)" };
    format!("{states} states{all}, {steps} steps, depth {depth}")
}

fn explain(report: &Report) {
    if let Some(found) = &report.counterexample {
        found.steps.iter().enumerate().for_each(|(at, step)| println!("{:>4}. {step}", at + 1));
        println!("      → {}\n{}", found.breach, found.last);
    }
}
