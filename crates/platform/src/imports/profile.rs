//! What the columns of a file hold, gathered while it streams past.
//!
//! Memory per column is fixed (about 32 KiB): counters, hashes for the distinct count, five samples.

use super::{
    distinct::Distinct,
    value::{ValueKind, classify},
};

const SAMPLES_MAX: usize = 5;
const SAMPLE_CHARS_MAX: usize = 120;

/// What one column holds. Values are trimmed; blank ones are no values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ColumnProfile {
    /// Cells that are not blank.
    pub(crate) values: u64,
    /// How many different ones; exact up to 1,000.
    pub(crate) distinct: u64,
    /// The first few different values, shortened.
    pub(crate) samples: Vec<String>,
    tallies: [u64; ValueKind::COUNT],
}

impl ColumnProfile {
    /// Values that could be of `kind`.
    pub(crate) fn count(&self, kind: ValueKind) -> u64 {
        self.tallies[kind as usize]
    }

    /// The share of values that could be of `kind`; 0 if there are none.
    #[expect(clippy::cast_precision_loss, reason = "row counts are far below 2^52")]
    pub(crate) fn share(&self, kind: ValueKind) -> f64 {
        if self.values == 0 {
            return 0.0;
        }
        self.count(kind) as f64 / self.values as f64
    }
}

/// Gathers the profiles of all columns.
pub(super) struct Profiler {
    columns: Vec<Gathering>,
}

impl Profiler {
    pub(super) fn new(columns: usize) -> Self {
        Self { columns: (0..columns).map(|_| Gathering::default()).collect() }
    }

    /// Takes one record, in the order of the columns.
    pub(super) fn observe<'a>(&mut self, fields: impl Iterator<Item = &'a str>) {
        for (column, field) in self.columns.iter_mut().zip(fields) {
            column.observe(field.trim());
        }
    }

    pub(super) fn finish(self) -> Vec<ColumnProfile> {
        self.columns.into_iter().map(Gathering::finish).collect()
    }
}

#[derive(Default)]
struct Gathering {
    values: u64,
    tallies: [u64; ValueKind::COUNT],
    distinct: Distinct,
    samples: Vec<String>,
}

impl Gathering {
    fn observe(&mut self, value: &str) {
        if value.is_empty() {
            return;
        }
        self.values += 1;
        self.distinct.observe(value);
        let kinds = classify(value);
        for kind in ValueKind::ALL {
            self.tallies[kind as usize] += u64::from(kinds.contains(kind));
        }
        if self.samples.len() < SAMPLES_MAX {
            let sample = shortened(value);
            if !self.samples.contains(&sample) {
                self.samples.push(sample);
            }
        }
    }

    fn finish(self) -> ColumnProfile {
        ColumnProfile {
            values: self.values,
            distinct: self.distinct.estimate(),
            samples: self.samples,
            tallies: self.tallies,
        }
    }
}

fn shortened(value: &str) -> String {
    match value.char_indices().nth(SAMPLE_CHARS_MAX - 1) {
        Some((at, last)) if at + last.len_utf8() < value.len() => format!("{}…", &value[..at]),
        _ => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(values: &[&str]) -> ColumnProfile {
        let mut profiler = Profiler::new(1);
        for &value in values {
            profiler.observe(std::iter::once(value));
        }
        profiler.finish().remove(0)
    }

    #[test]
    fn blanks_are_no_values() {
        let profile = profile(&["10.0.0.1", " ", "", " 10.0.0.2 ", "unknown"]);
        assert_eq!((profile.values, profile.distinct, profile.count(ValueKind::Ip)), (3, 3, 2));
        assert_eq!(profile.samples, ["10.0.0.1", "10.0.0.2", "unknown"]);
    }

    #[test]
    fn samples_are_few_distinct_and_short() {
        let long = "ü".repeat(300);
        let profile = profile(&["a", "a", &long, "b", "c", "d", "e"]);
        assert_eq!(profile.samples.len(), 5);
        assert_eq!(profile.samples[1].chars().count(), 120);
        assert!(profile.samples[1].ends_with('…'));
    }
}
