//! What browsers measure of pages: web vitals, and the time until a page shows its data.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};

/// Times that are measured in milliseconds.
const TIMES: [&str; 5] = ["FCP", "INP", "LCP", "TTFB", "page-shown"];
/// The one that is a score.
const SHIFT: &str = "CLS";
const RATINGS: [&str; 3] = ["good", "needs-improvement", "poor"];
/// Longer times are a laptop that slept.
const MILLISECONDS_MAX: f64 = 600_000.0;
const SECONDS: [f64; 10] = [0.05, 0.1, 0.2, 0.5, 0.8, 1.2, 1.8, 2.5, 4.0, 10.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Rated {
    name: &'static str,
    rating: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Named {
    name: &'static str,
}

/// Counts what browsers report. Cheap to clone.
#[derive(Clone, Debug)]
pub struct VitalsMetrics {
    rated: Family<Rated, Counter>,
    times: Family<Named, Histogram, fn() -> Histogram>,
}

impl Default for VitalsMetrics {
    fn default() -> Self {
        Self { rated: Family::default(), times: Family::new_with_constructor(|| Histogram::new(SECONDS)) }
    }
}

impl VitalsMetrics {
    /// Registers everything.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("web_vitals", "What browsers measured of pages, by how good it was", self.rated.clone());
        registry.register("web_vitals_seconds", "Times that browsers measured of pages", self.times.clone());
    }

    /// Counts a measurement; of a name or a rating that is not known, nothing. Whoever reports is not believed more
    /// than that: values that cannot be are left out.
    pub fn measured(&self, name: &str, rating: &str, value: f64) {
        let time = TIMES.iter().find(|known| **known == name).copied();
        let Some(name) = time.or_else(|| (name == SHIFT).then_some(SHIFT)) else { return };
        let Some(rating) = RATINGS.iter().find(|known| **known == rating).copied() else { return };
        if !(0.0..=MILLISECONDS_MAX).contains(&value) {
            return;
        }
        self.rated.get_or_create(&Rated { name, rating }).inc();
        if time.is_some() {
            self.times.get_or_create(&Named { name }).observe(value / 1000.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_known_and_can_be_is_counted() {
        let metrics = VitalsMetrics::default();
        metrics.measured("LCP", "good", 800.0);
        metrics.measured("CLS", "poor", 0.3);
        for (name, rating, value) in
            [("X", "good", 1.0), ("LCP", "great", 1.0), ("LCP", "good", f64::NAN), ("LCP", "good", -1.0)]
        {
            metrics.measured(name, rating, value);
        }
        let mut registry = Registry::default();
        metrics.register(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        assert!(text.contains(r#"web_vitals_total{name="LCP",rating="good"} 1"#), "{text}");
        assert!(text.contains(r#"web_vitals_seconds_sum{name="LCP"} 0.8"#), "{text}");
        assert!(text.contains(r#"web_vitals_total{name="CLS",rating="poor"} 1"#) && !text.contains("great"), "{text}");
    }
}
