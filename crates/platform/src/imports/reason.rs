//! Says in one sentence why a column was, or was not, given a target.

use super::{format::SourceFormat, profile::ColumnProfile, targets::TargetAttribute, value::ValueKind};

/// What the header contributed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeaderMatch {
    /// A column of a known export.
    Format,
    Same,
    Similar,
    None,
}

/// Why a column has no target.
#[derive(Debug, Clone, Copy)]
pub(super) enum NoTarget<'a> {
    Unknown,
    Empty,
    Taken { target: &'a TargetAttribute, by: &'a str },
    KnownWithout(SourceFormat),
}

pub(super) fn matched(
    header: &str,
    target: &TargetAttribute,
    header_match: HeaderMatch,
    format: SourceFormat,
    kind: Option<ValueKind>,
    profile: &ColumnProfile,
) -> String {
    let label = target.label;
    let by_header = match header_match {
        HeaderMatch::Format => format!("column “{header}” of the {} export is {label}", format.label()),
        HeaderMatch::Same => format!("header “{header}” matches {label}"),
        HeaderMatch::Similar => format!("header “{header}” resembles {label}"),
        HeaderMatch::None => format!("header “{header}” is not known, but the values fit {label}"),
    };
    match kind {
        _ if profile.values == 0 => format!("{by_header}; the column is empty"),
        Some(kind) => format!("{by_header}; {}", share_of(kind, profile)),
        None => by_header,
    }
}

pub(super) fn unmatched(header: &str, why: &NoTarget<'_>) -> String {
    match why {
        NoTarget::Unknown => format!("header “{header}” is not known and the values do not tell what they are"),
        NoTarget::Empty => format!("header “{header}” is not known and the column is empty"),
        NoTarget::Taken { target, by } => format!("column “{by}” fits {} better", target.label),
        NoTarget::KnownWithout(format) => {
            format!("column “{header}” of the {} export has no counterpart here", format.label())
        }
    }
}

/// “99 % of 20,000 values are integers”; never 100 % unless it is all of them.
fn share_of(kind: ValueKind, profile: &ColumnProfile) -> String {
    let (count, values) = (profile.count(kind), profile.values);
    let total = thousands(values);
    if count == values {
        let all = if values == 1 { "the one value is among the".to_owned() } else { format!("all {total} values are") };
        return format!("{all} {}", kind.plural());
    }
    format!("{} % of {total} values are {}", count * 100 / values, kind.plural())
}

fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(20_000), "20,000");
        assert_eq!(thousands(1_234_567), "1,234,567");
    }
}
