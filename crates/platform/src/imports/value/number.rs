//! Numbers as spreadsheets and tools write them, on both sides of the ocean.

/// A number and how it was written.
pub(super) struct Number {
    pub(super) value: f64,
    pub(super) is_integer: bool,
    pub(super) has_percent_sign: bool,
}

/// Numbers as exports write them: `4096`, `-1.5`, `1,5`, `1.024,00`, `12 %`.
pub(super) fn parse_number(text: &str) -> Option<Number> {
    let digits = text.strip_suffix('%').map_or(text, str::trim_end);
    let unsigned = digits.strip_prefix(['-', '+']).unwrap_or(digits);
    if unsigned.len() > 24 || !unsigned.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    if !unsigned.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b',')) {
        return None;
    }
    let has_percent_sign = digits.len() < text.len();
    // The last separator is the decimal one, unless the same stands before it (`1,024,000`).
    let separators = unsigned.bytes().filter(|byte| !byte.is_ascii_digit()).count();
    let last = unsigned.rfind(['.', ',']);
    let (whole, fraction) = match last {
        Some(at) if separators == 1 || !unsigned[..at].contains(&unsigned[at..=at]) => {
            (&unsigned[..at], &unsigned[at + 1..])
        }
        _ => (unsigned, ""),
    };
    let mut groups = whole.split(['.', ',']);
    let leading = groups.next().unwrap_or_default().len();
    let grouped = whole.len() > leading;
    if grouped && (leading > 3 || groups.any(|group| group.len() != 3)) {
        return None; // An IP address, a version.
    }
    let plain: String = whole.chars().filter(char::is_ascii_digit).collect();
    let sign = if digits.starts_with('-') { "-" } else { "" };
    Some(Number {
        value: format!("{sign}{plain}.{fraction}").parse().ok()?,
        // `4.00` is whole: databases write every number that way.
        is_integer: fraction.bytes().all(|digit| digit == b'0') && !has_percent_sign,
        has_percent_sign,
    })
}
