//! Values told by their form: addresses, identifiers, dates, names of machines.

use std::net::IpAddr;

/// Lists hold several addresses in one cell: every one must be good.
pub(super) fn every_part(value: &str, is_good: impl Fn(&str) -> bool) -> bool {
    let mut parts = value
        .split(|c: char| matches!(c, ',' | ';' | '|') || c.is_whitespace())
        .filter(|part| !part.is_empty())
        .peekable();
    parts.peek().is_some() && parts.all(is_good)
}

/// With or without the length of its network prefix (`10.0.0.1/24`).
pub(super) fn is_ip(text: &str) -> bool {
    let (address, prefix) = text.split_once('/').unwrap_or((text, "0"));
    address.parse::<IpAddr>().is_ok() && prefix.parse::<u8>().is_ok_and(|bits| bits <= 128)
}

pub(super) fn is_mac(text: &str) -> bool {
    let grouped = |separator: char, groups: usize, length: usize| {
        text.split(separator).count() == groups
            && text
                .split(separator)
                .all(|group| group.len() == length && group.bytes().all(|byte| byte.is_ascii_hexdigit()))
    };
    match text.len() {
        17 => grouped(':', 6, 2) || grouped('-', 6, 2),
        14 => grouped('.', 3, 4),
        _ => false,
    }
}

pub(super) fn is_uuid(text: &str) -> bool {
    let text = text.trim_start_matches('{').trim_end_matches('}');
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// `2026-11-20`, `20.11.2026`, `11/20/2026`, `20-Nov-2026`, each with or without a time.
pub(super) fn is_date(text: &str) -> bool {
    let day = text.split([' ', 'T']).next().unwrap_or_default();
    let Some(separator) = day.chars().find(|c| matches!(c, '-' | '.' | '/')) else {
        return false;
    };
    let mut parts = day.split(separator);
    let (Some(a), Some(b), Some(c), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let number = |part: &str, digits: std::ops::RangeInclusive<usize>, max: u32| {
        digits.contains(&part.len()) && part.parse::<u32>().is_ok_and(|number| (1..=max).contains(&number))
    };
    let year = |part: &str| number(part, 4..=4, 2999) && part >= "1900" || separator != '.' && number(part, 2..=2, 99);
    let month = |part: &str| number(part, 1..=2, 12) || is_month_name(part);
    let in_month = |part: &str| number(part, 1..=2, 31);
    let year_first = a.len() == 4 && year(a) && month(b) && in_month(c);
    let year_last = year(c) && (month(b) && in_month(a) || separator == '/' && month(a) && in_month(b));
    year_first || year_last
}

fn is_month_name(part: &str) -> bool {
    const MONTHS: [&str; 15] =
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec", "mai", "okt", "dez"];
    part.is_ascii() && part.len() >= 3 && MONTHS.contains(&part[..3].to_ascii_lowercase().as_str())
}

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

pub(super) fn is_fqdn(text: &str) -> bool {
    let top = text.rsplit('.').next().unwrap_or_default();
    text.contains('.')
        && text.split('.').all(is_label)
        && top.len() >= 2
        && top.bytes().all(|b| b.is_ascii_alphabetic())
}

/// One label that no ordinary word is: it has a digit or a hyphen in it.
pub(super) fn is_hostname(text: &str) -> bool {
    is_label(text)
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().any(|byte| byte.is_ascii_digit() || byte == b'-')
}
