//! Whether a value is what its attribute holds, and what it may be meant to be.

use crate::{
    imports::{DataType, TargetAttribute, ValueKind, classify},
    views::IssueKind,
};

/// Longer values are prose; nothing is suggested for them.
const SUGGESTED_FROM_BYTES_MAX: usize = 200;

/// What is wrong with a value by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Doubt {
    pub(super) kind: IssueKind,
    pub(super) suggestion: Option<String>,
}

/// None if nothing is doubtful. `value` is not empty.
pub(super) fn doubt(value: &str, target: &TargetAttribute) -> Option<Doubt> {
    let trimmed = value.trim();
    if is_placeholder(&trimmed.to_lowercase()) {
        return Some(Doubt { kind: IssueKind::Placeholder, suggestion: Some(String::new()) });
    }
    if is_of_type(trimmed, target) {
        return None;
    }
    Some(Doubt { kind: IssueKind::WrongType, suggestion: meant(trimmed, target) })
}

/// Words that people and tools write where there is nothing to write.
fn is_placeholder(lower: &str) -> bool {
    lower.chars().all(|sign| matches!(sign, '-' | '?' | '.' | '_' | '*' | '/'))
        || matches!(
            lower,
            "n/a"
                | "na"
                | "n.a."
                | "#n/a"
                | "none"
                | "null"
                | "nil"
                | "nan"
                | "undefined"
                | "unknown"
                | "not available"
                | "not applicable"
                | "not set"
                | "not found"
                | "empty"
                | "tbd"
                | "tba"
                | "tbc"
                | "xxx"
                | "k.a."
                | "k. a."
                | "keine angabe"
                | "unbekannt"
                | "(blank)"
                | "<null>"
                | "<none>"
        )
}

fn is_of_type(value: &str, target: &TargetAttribute) -> bool {
    let kinds = classify(value);
    match target.data_type {
        DataType::Text | DataType::List => true,
        DataType::Integer => kinds.contains(ValueKind::Integer),
        DataType::Decimal => {
            kinds.contains(ValueKind::Decimal)
                || Unit::of(target) == Some(Unit::Percent) && kinds.contains(ValueKind::Percent)
        }
        DataType::Date => kinds.contains(ValueKind::Date),
        DataType::Ip => kinds.contains(ValueKind::Ip),
        DataType::Mac => kinds.contains(ValueKind::Mac),
    }
}

/// What an attribute's name says of its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    /// 1024 to this power bytes.
    Bytes(i32),
    Percent,
    MegabytesPerSecond,
}

impl Unit {
    fn of(target: &TargetAttribute) -> Option<Self> {
        match target.name.rsplit('_').next()? {
            "mb" => Some(Self::Bytes(2)),
            "gb" => Some(Self::Bytes(3)),
            "percent" => Some(Self::Percent),
            "mbps" => Some(Self::MegabytesPerSecond),
            _ => None,
        }
    }

    fn written(word: &str) -> Option<Self> {
        match word {
            "kb" | "kib" | "k" => Some(Self::Bytes(1)),
            "mb" | "mib" | "m" => Some(Self::Bytes(2)),
            "gb" | "gib" | "g" => Some(Self::Bytes(3)),
            "tb" | "tib" | "t" => Some(Self::Bytes(4)),
            "%" | "percent" | "prozent" => Some(Self::Percent),
            "mbps" | "mb/s" | "mib/s" => Some(Self::MegabytesPerSecond),
            _ => None,
        }
    }
}

/// The number that a number with its unit is meant to be: `16 GB` for an attribute in MB is `16384`.
fn meant(value: &str, target: &TargetAttribute) -> Option<String> {
    let is_whole = match target.data_type {
        DataType::Integer => true,
        DataType::Decimal => false,
        _ => return None,
    };
    if value.len() > SUGGESTED_FROM_BYTES_MAX {
        return None;
    }
    let end = value.find(|sign: char| !(sign.is_ascii_digit() || matches!(sign, '.' | ',' | '-' | '+')))?;
    let (number, word) = (value[..end].trim_end_matches(['.', ',', '-']), value[end..].trim().to_lowercase());
    let kinds = classify(number);
    let is_number = kinds.contains(if is_whole { ValueKind::Integer } else { ValueKind::Decimal });
    match (Unit::of(target), Unit::written(&word)) {
        (Some(Unit::Bytes(wanted)), Some(Unit::Bytes(written))) => converted(number, written - wanted, is_whole),
        (Some(wanted), Some(written)) => (wanted == written && is_number).then(|| number.to_owned()),
        // `8 vCPU`, `4 cores`: whatever is counted.
        (None, None) if is_whole => {
            let is_word = word.len() <= 20 && word.chars().all(|sign| sign.is_alphabetic() || sign == ' ');
            (is_word && is_number).then(|| number.to_owned())
        }
        _ => None,
    }
}

fn converted(number: &str, power: i32, is_whole: bool) -> Option<String> {
    let kinds = classify(number);
    if !kinds.contains(ValueKind::Decimal) {
        return None;
    }
    if power == 0 {
        return (!is_whole || kinds.contains(ValueKind::Integer)).then(|| number.to_owned());
    }
    // Of what is converted only what means the same on both sides of the ocean.
    let plain: f64 = number.parse().ok()?;
    let result = plain * 1024f64.powi(power);
    if is_whole && result.fract() != 0.0 {
        return None;
    }
    let text = format!("{result:.3}");
    Some(text.trim_end_matches('0').trim_end_matches('.').to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::imports::{find_target, target_attributes};

    fn doubt_of(target: &str, value: &str) -> Option<(IssueKind, Option<String>)> {
        doubt(value, find_target(target).unwrap()).map(|doubt| (doubt.kind, doubt.suggestion))
    }

    #[track_caller]
    fn wrong(target: &str, value: &str, suggestion: Option<&str>) {
        assert_eq!(doubt_of(target, value), Some((IssueKind::WrongType, suggestion.map(str::to_owned))), "{value}");
    }

    #[test]
    fn what_stands_for_nothing_is_told_in_every_attribute() {
        for value in ["n/a", "N/A", " - ", "--", "Unknown", "NULL", "k.A.", "  ", "???"] {
            let expected = Some((IssueKind::Placeholder, Some(String::new())));
            assert_eq!(doubt_of("environment", value), expected, "{value:?}");
            assert_eq!(doubt_of("cpu_cores", value), expected, "{value:?}");
        }
        assert_eq!(doubt_of("environment", "Nagios"), None);
        assert_eq!(doubt_of("environment", "-1"), None);
    }

    #[test]
    fn values_of_the_right_type_are_good() {
        for (target, value) in [
            ("ip_address", "10.0.0.1, 10.0.0.2"),
            ("mac_address", "00:50:56:ab:cd:01"),
            ("cpu_cores", "8"),
            ("cpu_cores", " 8 "),
            ("memory_gb", "1,5"),
            ("cpu_utilization_percent", "12 %"),
            ("cpu_utilization_percent", "12.5"),
            ("last_seen", "20.11.2026"),
            ("description", "whatever it is"),
            ("tags", "a;b"),
        ] {
            assert_eq!(doubt_of(target, value), None, "{target} {value}");
        }
    }

    #[test]
    fn numbers_with_a_unit_are_meant_to_be_numbers() {
        wrong("cpu_cores", "8 vCPU", Some("8"));
        wrong("cpu_cores", "8.5 cores", None);
        wrong("memory_gb", "16 GB", Some("16"));
        wrong("memory_gb", "16384MB", Some("16"));
        wrong("memory_gb", "1,5 GB", Some("1,5"));
        wrong("memory_gb", "1 TB", Some("1024"));
        wrong("memory_gb", "100 MB", Some("0.098"));
        wrong("memory_mb", "16 GB", Some("16384"));
        wrong("memory_mb", "0.3 KB", None);
        wrong("memory_mb", "1.5 MB", None);
        wrong("disk_read_mbps", "120 MB/s", Some("120"));
        wrong("disk_count", "500 GB", None);
        wrong("storage_total_gb", "50 %", None);
        wrong("disk_read_iops", "many", None);
    }

    #[test]
    fn addresses_and_dates_cannot_be_guessed() {
        wrong("ip_address", "10.0.0.256", None);
        wrong("mac_address", "00:50:56", None);
        wrong("last_seen", "yesterday", None);
        wrong("cpu_cores", "eight", None);
    }

    proptest! {
        /// A suggestion, once taken, is not doubtful again.
        #[test]
        fn what_is_suggested_is_good(
            at in 0..target_attributes().len(),
            value in "([0-9]{1,6}([.,][0-9]{1,3})?) ?(KB|MB|GB|TB|%|vCPU|cores|MB/s|x)?",
        ) {
            let target = &target_attributes()[at];
            if let Some(Doubt { suggestion: Some(suggestion), .. }) = doubt(&value, target)
                && !suggestion.is_empty()
            {
                prop_assert_eq!(doubt(&suggestion, target), None);
            }
        }

        #[test]
        fn any_text_is_judged_without_panic(at in 0..target_attributes().len(), value in "\\PC{1,60}") {
            doubt(&value, &target_attributes()[at]);
        }
    }
}
