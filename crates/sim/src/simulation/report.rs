//! Many runs, summed up.

use std::fmt::{self, Write as _};

use super::{
    promise::Broken,
    reason::noticed,
    run::{Breach, Outcome, run},
    trace::Counts,
};

/// The outcome of many runs.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// Runs without a violation.
    pub passed: u64,
    /// Runs with one.
    pub failed: u64,
    /// How often what happened in all of them.
    pub counts: Counts,
}

impl Totals {
    /// Adds a run.
    pub fn add(&mut self, outcome: &Outcome) {
        if outcome.violations.is_empty() {
            self.passed += 1;
        } else {
            self.failed += 1;
        }
        for (what, count) in &outcome.counts {
            match self.counts.get_mut(what) {
                Some(total) => *total += count,
                None => {
                    self.counts.insert(what.clone(), *count);
                }
            }
        }
    }

    /// How often `what` happened.
    pub fn count(&self, what: &str) -> u64 {
        self.counts.get(what).copied().unwrap_or(0)
    }

    fn line(&self, f: &mut fmt::Formatter<'_>, label: &str, prefix: &str) -> fmt::Result {
        let mut text = String::new();
        for (what, count) in &self.counts {
            if let Some(what) = what.strip_prefix(prefix) {
                write!(text, "{}{what} {count}", if text.is_empty() { "" } else { " · " })?;
            }
        }
        writeln!(f, "{label:<12} {text}")
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (reads, writes) = (self.count("reads"), self.count("writes"));
        writeln!(f, "{:<12} {}", "seeds", self.passed + self.failed)?;
        writeln!(f, "{:<12} {} ({reads} reads, {writes} writes)", "operations", reads + writes)?;
        let hits = self.count("verdict: HIT");
        writeln!(f, "{:<12} {hits}", "hits")?;
        self.line(f, "verdicts", "verdict: ")?;
        self.line(f, "not stored", "not stored: ")?;
        self.line(f, "faults", "fault: ")?;
        self.line(f, "errors", "error: ")
    }
}

/// The first of `seeds` whose run notices the breach, for the breach's own reason, and what shows it.
pub fn first_to_notice(breach: Breach, mut seeds: impl Iterator<Item = u64>) -> Option<(u64, Broken)> {
    seeds.find_map(|seed| noticed(breach, &run(seed, breach, false)).cloned().map(|broken| (seed, broken)))
}
