//! What the database is asked for: statements, and how long they take together. What a cache spares is seen here.

use std::{sync::atomic::AtomicU64, time::Duration};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
}

/// Counts statements. Cheap to clone; the default counts for nobody until it is registered.
#[derive(Clone, Debug)]
pub struct DatabaseMetrics {
    reads: Counter,
    writes: Counter,
    failed: Counter,
    busy: Counter<f64, AtomicU64>,
    statements: Family<Kind, Counter>,
}

impl Default for DatabaseMetrics {
    fn default() -> Self {
        let statements = Family::<Kind, Counter>::default();
        // Resolved: every statement is counted.
        let of = |kind| statements.get_or_create_owned(&Kind { kind });
        Self {
            reads: of("read"),
            writes: of("write"),
            failed: Counter::default(),
            busy: Counter::default(),
            statements,
        }
    }
}

impl DatabaseMetrics {
    /// Registers everything.
    pub fn register(&self, registry: &mut Registry) {
        let statements = "Statements run, by whether they read only; not those that begin, commit or configure";
        registry.register("database_statements", statements, self.statements.clone());
        registry.register("database_statements_failed", "Statements that failed", self.failed.clone());
        registry.register("database_busy_seconds", "How long all statements took together", self.busy.clone());
    }

    /// Statements so far that read only.
    pub fn reads_total(&self) -> u64 {
        self.reads.get()
    }

    /// Notes a statement.
    pub fn ran(&self, sql: &str, took: Duration, has_failed: bool) {
        let first = sql.trim_start().get(..6).unwrap_or_default();
        if first.eq_ignore_ascii_case("select") { &self.reads } else { &self.writes }.inc();
        self.failed.inc_by(u64::from(has_failed));
        self.busy.inc_by(took.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;

    use super::*;

    #[test]
    fn reads_are_told_from_writes() {
        let metrics = DatabaseMetrics::default();
        for sql in ["SELECT 1", "\n select 2", "INSERT INTO a SELECT 1", "", "ä"] {
            metrics.ran(sql, Duration::from_millis(250), sql.is_empty());
        }
        let mut registry = Registry::default();
        metrics.register(&mut registry);
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        for line in [
            "database_statements_total{kind=\"read\"} 2",
            "database_statements_total{kind=\"write\"} 3",
            "database_statements_failed_total 1",
            "database_busy_seconds_total 1.25",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
