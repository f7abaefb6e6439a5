//! Tests of the whole exposition.

use std::{sync::Arc, time::Duration};

use http::header;
use unstale::{Cache, RedisStats, Warmed, store::LATENCY_BOUNDS};

use super::{Answered, BuildInfo, Metrics, OPENMETRICS};

/// Every name that requirement O2 and the dashboards rely on, as it stands in the exposition.
const NAMES: [&str; 37] = [
    "cache_hit_rate",
    "cache_miss_rate",
    "cache_latency_seconds",
    "cache_size_bytes",
    "redis_cache_hits_total",
    "redis_cache_misses_total",
    "redis_cache_not_kept_total",
    "redis_cache_latency_seconds",
    "cache_reads_total",
    "cache_loads_total",
    "cache_load_seconds",
    "cache_invalidations_total",
    "cache_records_applied_total",
    "cache_entries",
    "cache_flights",
    "cache_size_limit_bytes",
    "cache_tenants",
    "cache_evictions_total",
    "cache_quotas_reached_total",
    "cache_warm_reads_total",
    "cache_warm_skipped_total",
    "cache_incorrect_ratio",
    "cache_consistency_checks_total",
    "cache_consistency_skipped_total",
    "cache_records_dropped_total",
    "cache_record_writes_total",
    "cache_configuration_version",
    "cache_memory_above_threshold",
    "cache_joined_total",
    "cache_log_skips_total",
    "cache_store_failures_total",
    "http_requests_total",
    "http_request_duration_seconds",
    "live_sockets",
    "live_events_total",
    "build_info",
    "# EOF",
];

fn exercised() -> Metrics {
    let metrics = Metrics::new(&BuildInfo { version: "0.1.0", commit: "abc" });
    for (verdict, took) in [("HIT", 20), ("MISS", 2000), ("made up", 2000)] {
        let took = Duration::from_micros(took);
        let answered = Answered { method: "GET", status: 200, verdict: Some(verdict), took };
        metrics.answered("/flows/{id}", None, &answered);
    }
    metrics.live().event("delivered");
    metrics.warm().warmed("start", Warmed { loaded: 1, ..Warmed::default() });
    metrics.warm().skipped("start");
    metrics.consistency().checked("flow", crate::consistency::Outcome::Incorrect);
    metrics.consistency().skipped("budget");
    metrics.records().written(true);
    metrics.engine.exercise();
    metrics
}

#[test]
fn every_name_that_others_rely_on_is_there() {
    let text = exercised().render();
    for name in NAMES {
        let has_sample = text
            .lines()
            .any(|line| line.starts_with(name) && (line == name || line[name.len()..].starts_with(['{', ' ', '_'])));
        assert!(has_sample, "{name} is missing:\n{text}");
    }
}

#[test]
fn what_redis_took_is_told_with_its_true_sum() {
    let metrics = Metrics::new(&BuildInfo { version: "1", commit: "c" });
    let (mut told, mut now) = (RedisStats::default(), RedisStats::default());
    for (operation, millis) in [(&mut now.get, 300), (&mut now.fill, 3_000)] {
        operation.latency.buckets[LATENCY_BOUNDS.len() - usize::from(millis < 1_000) * 2] += 1;
        operation.latency.sum += Duration::from_millis(millis);
    }
    for _ in 0..2 {
        metrics.redis.tell(&mut told, now.clone());
        let text = metrics.render();
        for line in [
            "redis_cache_latency_seconds_sum 3.3",
            "redis_cache_latency_seconds_count 2",
            r#"redis_cache_latency_seconds_bucket{le="0.1"} 0"#,
            r#"redis_cache_latency_seconds_bucket{le="0.5"} 1"#,
            r#"redis_cache_latency_seconds_bucket{le="1.0"} 1"#,
            r#"redis_cache_latency_seconds_bucket{le="+Inf"} 2"#,
        ] {
            assert!(text.contains(&format!("{line}\n")), "{line} is missing:\n{text}");
        }
    }
}

#[test]
fn what_redis_did_not_keep_and_what_failed_there_is_told_once() {
    let metrics = Metrics::new(&BuildInfo { version: "1", commit: "c" });
    let mut told = RedisStats::default();
    let mut now = RedisStats { not_kept: 3, ..RedisStats::default() };
    now.append.failed = 2;
    for _ in 0..2 {
        metrics.redis.tell(&mut told, now.clone());
        let text = metrics.render();
        for line in [
            "redis_cache_not_kept_total 3",
            r#"redis_cache_failed_operations_total{operation="append"} 2"#,
            r#"redis_cache_failed_operations_total{operation="get"} 0"#,
        ] {
            assert!(text.contains(&format!("{line}\n")), "{line} is missing:\n{text}");
        }
    }
}

#[test]
fn rates_are_shares_of_all_answers() {
    let text = exercised().render();
    assert!(text.contains(r#"cache_hit_rate{endpoint="/flows/{id}",cache_type="http"} 0.5"#), "{text}");
    assert!(text.contains(r#"cache_miss_rate{endpoint="/flows/{id}",cache_type="http"} 0.5"#), "{text}");
    assert!(text.contains(r#"cache_latency_seconds_count{operation="hit",cache_type="http"} 1"#), "{text}");
}

/// A reader of the `OpenMetrics` text format as far as this server uses it: every sample belongs to the family
/// announced before it, its labels are quoted, its value is a number, and the text ends with `# EOF`.
#[test]
fn the_exposition_parses() {
    let text = exercised().render();
    let mut family = String::new();
    let mut kind = String::new();
    let mut families = Vec::new();
    assert!(text.ends_with("# EOF\n"));
    for line in text.lines().filter(|line| *line != "# EOF") {
        if let Some(rest) = line.strip_prefix("# ") {
            let mut words = rest.split(' ');
            let (what, name) = (words.next().unwrap(), words.next().unwrap());
            match what {
                "HELP" => {
                    assert!(!families.contains(&name.to_owned()), "{name} is announced twice");
                    families.push(name.to_owned());
                    family = name.to_owned();
                }
                "TYPE" => {
                    assert_eq!(name, family);
                    kind = words.next().unwrap().to_owned();
                }
                _ => panic!("{line}"),
            }
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap();
        value.parse::<f64>().unwrap_or_else(|_| panic!("{line}"));
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let suffix = name.strip_prefix(family.as_str()).unwrap_or_else(|| panic!("{line} is not of {family}"));
        let suffixes: &[&str] = match kind.as_str() {
            "counter" => &["_total"],
            "gauge" => &[""],
            "histogram" => &["_bucket", "_sum", "_count"],
            "info" => &["_info"],
            other => panic!("{other}"),
        };
        assert!(suffixes.contains(&suffix), "{line} has no suffix of a {kind}");
        let labels = labels.strip_suffix('}').unwrap_or_else(|| panic!("{line}"));
        for label in labels.split("\",").filter(|label| !label.is_empty()) {
            let (name, value) = label.split_once("=\"").unwrap_or_else(|| panic!("{line}"));
            assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{line}");
            assert!(!value.trim_end_matches('"').contains('"'), "{line}");
        }
    }
    assert!(families.len() > 20);
}

#[tokio::test]
async fn the_size_of_the_cache_is_told() {
    let metrics = Metrics::new(&BuildInfo { version: "1", commit: "c" });
    let cache = Cache::builder(Arc::new(unstale::MemoryStore::default())).build().await.unwrap();
    metrics.watch(&cache);
    assert!(metrics.render().contains("cache_size_bytes{cache_type=\"memory\"} 0\n"));
    let response = metrics.respond();
    assert_eq!(response.headers()[header::CONTENT_TYPE], OPENMETRICS);
}
