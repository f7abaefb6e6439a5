//! How old a response is (RFC 9111, 4.2.3 and 5.1).

use http::{HeaderMap, header};

use super::{SECONDS_MAX, seconds};

/// The value of `Age`, in seconds; none if there is none.
///
/// One line is one value, of a list the first (5.1). What is no number, or was said more than once (on several lines, or
/// joined from them with `, ` by somebody on the way), leaves open how many caches the response went through: then it is
/// as old as can be said.
pub fn age_value(headers: &HeaderMap) -> Option<u64> {
    let mut lines = headers.get_all(header::AGE).iter();
    let line = lines.next()?;
    let value = match (line.to_str(), lines.next()) {
        (Ok(line), None) if !line.contains(", ") => {
            seconds(line.split_once(',').map_or(line, |(first, _)| first).trim())
        }
        _ => None,
    };
    Some(value.unwrap_or(SECONDS_MAX))
}

/// `corrected_initial_age`: how old a response was when it was received.
///
/// `date` and `received_at` are seconds of the same clock, `delay` is how long the origin took to answer. A `Date` names a
/// second, and the response may be from its end: that second is no age, or what lives for one would never live.
pub fn initial_age(age: Option<u64>, date: Option<u64>, received_at: u64, delay: u64) -> u64 {
    let apparent = date.map_or(0, |date| received_at.saturating_sub(date.saturating_add(1)));
    let corrected = age.unwrap_or(0).saturating_add(delay);
    apparent.max(corrected).min(SECONDS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rfc9111::testing::headers;

    fn check(lines: &[&str], expected: Option<u64>) {
        let lines: Vec<_> = lines.iter().map(|line| ("age", *line)).collect();
        assert_eq!(age_value(&headers(&lines)), expected, "{lines:?}");
    }

    #[test]
    fn one_number_is_an_age() {
        check(&[], None);
        check(&["30"], Some(30));
        check(&["0,7200"], Some(0));
        check(&["7200,0"], Some(7200));
        check(&["99999999999"], Some(SECONDS_MAX));
    }

    #[test]
    fn what_is_none_is_as_old_as_can_be() {
        for spoiled in ["", "abc", "-7200", "7200.0", "7200;foo=bar", "0, 0", "3600, 3600", "\u{e9}"] {
            check(&[spoiled], Some(SECONDS_MAX));
        }
        check(&["0", "0"], Some(SECONDS_MAX));
        check(&["0", "7200"], Some(SECONDS_MAX));
    }

    #[test]
    fn the_greater_of_what_it_seems_and_what_was_said() {
        assert_eq!(initial_age(None, None, 1000, 0), 0);
        assert_eq!(initial_age(Some(30), Some(1000), 1000, 2), 32);
        assert_eq!(initial_age(Some(30), Some(900), 1000, 2), 99);
        assert_eq!(initial_age(None, Some(999), 1000, 0), 0);
        assert_eq!(initial_age(None, Some(2000), 1000, 3), 3, "a clock that is fast makes nothing younger");
    }
}
