//! `make sim SEEDS=n [FIRST=s]`: runs the simulation for `n` seeds from `s` on; a single one prints its trace.
//!
//! `--scale <seed>` says what many nodes and partitions cost, and
//! `--breaches <most seeds>` says instead which seed is the first to notice each breach of the protocol.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use unstale::testing::Sabotage;
use unstale_sim::simulation::{Breach, Scene, StoreBreach, Totals, apply_rates, first_to_notice, measure, run};

const USAGE: &str = "usage: sim [--seeds <how many>] [--first <seed>] [--breaches <most seeds>] [--scale <seed>]";
/// Violations of one seed that are printed.
const VIOLATIONS_PRINTED: usize = 5;
/// Progress lines of a whole run.
const PROGRESS_LINES: u64 = 10;

struct Arguments {
    seeds: u64,
    first: u64,
    breaches: Option<u64>,
    scale: Option<u64>,
}

fn arguments() -> anyhow::Result<Arguments> {
    let mut arguments = Arguments { seeds: 1000, first: 0, breaches: None, scale: None };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words.next().with_context(|| format!("{word} needs a number; {USAGE}"))?;
        let value = value.parse().with_context(|| format!("{word} {value}: not a number; {USAGE}"))?;
        match word.as_str() {
            "--seeds" => arguments.seeds = value,
            "--first" => arguments.first = value,
            "--scale" => arguments.scale = Some(value),
            "--breaches" => arguments.breaches = Some(value),
            _ => bail!("{word} is not known; {USAGE}"),
        }
    }
    Ok(arguments)
}

fn main() -> anyhow::Result<ExitCode> {
    let Arguments { seeds, first, breaches, scale } = arguments()?;
    if let Some(seed) = scale {
        measure_scale(seed);
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(seeds) = breaches {
        return Ok(notice_breaches(first..first + seeds));
    }
    let began = Instant::now();
    let mut totals = Totals::default();
    for seed in first..first + seeds {
        let outcome = run(seed, Breach::NONE, seeds == 1);
        totals.add(&outcome);
        if !outcome.violations.is_empty() {
            println!("seed {seed}: {} violations; replay: make sim SEEDS=1 FIRST={seed}", outcome.violations.len());
            outcome.violations.iter().take(VIOLATIONS_PRINTED).for_each(|violation| println!("  {violation}"));
        }
        let done = seed - first + 1;
        if seeds > PROGRESS_LINES && done.is_multiple_of((seeds / PROGRESS_LINES).max(1)) {
            let seconds = began.elapsed().as_secs();
            println!("{done} of {seeds} seeds in {seconds} s, {} failed", totals.failed);
        }
        if seeds == 1 {
            println!("trace {:016x}", outcome.trace_hash);
        }
    }
    print!("{totals}");
    println!("{} passed, {} failed", totals.passed, totals.failed);
    Ok(if totals.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs every breach until a seed notices it.
fn notice_breaches(seeds: std::ops::Range<u64>) -> ExitCode {
    let engine = Sabotage::ALL
        .into_iter()
        .chain([Sabotage::ServePending, Sabotage::ForgetPurges])
        .chain(Sabotage::WITHIN)
        .chain(Sabotage::SKEWED)
        .map(|engine| Breach { engine, ..Breach::NONE });
    let store = StoreBreach::HARMFUL.map(|store| Breach { store, ..Breach::NONE });
    let (mut passed, mut failed) = (0, 0);
    for breach in engine.chain(store) {
        if let Some((seed, broken)) = first_to_notice(breach, seeds.clone()) {
            println!("{breach:?}: seed {seed}: {broken}");
            passed += 1;
        } else {
            println!("{breach:?}: not noticed by any of {} seeds", seeds.end - seeds.start);
            failed += 1;
        }
    }
    println!("{passed} passed, {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Prints what scenes of several sizes take.
fn measure_scale(seed: u64) {
    let (applied, judged) = apply_rates();
    println!("one thread applies {applied:.0} records of 3 tags a second, or judges {judged:.0} entries");
    for (nodes, partitions, writes) in [(10, 16, 1000), (100, 16, 0), (100, 16, 1000), (100, 64, 0), (100, 64, 1000)] {
        let time = Duration::from_secs(10);
        let scene = Scene { nodes, tenants: 1000, partitions, time, reads: 20_000, writes };
        println!("{}", measure(seed, scene));
    }
}
