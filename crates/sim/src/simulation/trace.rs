//! What happened, in order: a hash of all of it, the lines themselves if somebody reads them, and how often what.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
    hash::{DefaultHasher, Hasher as _},
};

use parking_lot::Mutex;
use tokio::time::Instant;

/// How often what happened: faults, verdicts, reasons.
pub type Counts = BTreeMap<String, u64>;

/// The trace of one run. Two runs are the same run if their traces have the same hash.
#[derive(Debug)]
pub(crate) struct Trace {
    started: Instant,
    printing: bool,
    written: Mutex<Written>,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Written {
    hasher: DefaultHasher,
    line: String,
}

impl Trace {
    pub(crate) fn new(printing: bool) -> Self {
        Self { started: Instant::now(), printing, written: Mutex::default(), counts: Mutex::default() }
    }

    /// Adds a line.
    pub(crate) fn note(&self, what: fmt::Arguments<'_>) {
        let mut written = self.written.lock();
        let Written { hasher, line } = &mut *written;
        line.clear();
        let _ = write!(line, "{:>9.3} {what}", self.started.elapsed().as_secs_f64());
        hasher.write(line.as_bytes());
        if self.printing {
            println!("{line}");
        }
    }

    pub(crate) fn count(&self, what: &str) {
        let mut counts = self.counts.lock();
        match counts.get_mut(what) {
            Some(count) => *count += 1,
            None => {
                counts.insert(what.to_owned(), 1);
            }
        }
    }

    pub(crate) fn hash(&self) -> u64 {
        self.written.lock().hasher.finish()
    }

    pub(crate) fn counts(&self) -> Counts {
        self.counts.lock().clone()
    }
}
