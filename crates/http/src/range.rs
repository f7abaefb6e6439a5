//! Parts of a stored response (RFC 9110, section 14), as pure decisions.
//!
//! One range of bytes is served; a request for several gets the whole, which is allowed and simpler to keep right.
//! `If-Range` holds only by a strong entity tag: a date cannot tell two changes within a second apart.

use std::ops::Range;

use http::{HeaderMap, HeaderValue, header};

use crate::conditional::is_strong;

/// Which part of a response a request wants.
#[derive(Clone, Debug, Default)]
pub struct WantedRange {
    range: Option<HeaderValue>,
    if_range: Option<HeaderValue>,
}

/// The part to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// These bytes: 206.
    Bytes(Range<usize>),
    /// None: the range lies beyond the end: 416.
    Unsatisfiable,
}

impl WantedRange {
    /// Of a request with the method GET; for others a range means nothing.
    pub fn of(headers: &HeaderMap) -> Self {
        let mut ranges = headers.get_all(header::RANGE).iter().cloned();
        let range = match (ranges.next(), ranges.next()) {
            (range, None) => range,
            _ => None,
        };
        Self { range, if_range: headers.get(header::IF_RANGE).cloned() }
    }

    /// Whether it wants one at all.
    pub fn is_any(&self) -> bool {
        self.range.is_some()
    }

    /// Whether everybody reads it alike: bytes by their numbers. Any other unit or word is something that a service may
    /// make anything of, and may be passed over by all (RFC 9110, 14.2).
    pub fn is_plain(&self) -> bool {
        let range = self.range.as_ref().and_then(|range| range.to_str().ok());
        range.and_then(|range| range.split_once('=')).is_some_and(|(unit, set)| {
            let is_of_set = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'-' | b',' | b' ' | b'\t');
            unit.trim().eq_ignore_ascii_case("bytes") && set.bytes().all(is_of_set)
        })
    }

    /// The part of a response of `length` bytes and this entity tag.
    pub fn part(&self, etag: &HeaderValue, length: usize) -> Part {
        let is_other = self.if_range.as_ref().is_some_and(|wanted| wanted != etag || !is_strong(etag));
        match self.range.as_ref().filter(|_| !is_other).and_then(|range| range.to_str().ok()) {
            Some(range) => parse(range, length).unwrap_or(Part::Whole),
            None => Part::Whole,
        }
    }
}

/// The part that a `Range` names; none if it is none or more than one.
fn parse(range: &str, length: usize) -> Option<Part> {
    let (unit, set) = range.split_once('=')?;
    let (first, last) = set.trim().split_once('-')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let part = match (number(first), number(last)) {
        (Some(first), Some(last)) if last < first => return None,
        (Some(first), Some(last)) => first..length.min(last.saturating_add(1)),
        (Some(first), None) if last.is_empty() => first..length,
        // The end of nothing is all of it (RFC 9110, 14.1.2), and no 206 can say so.
        (None, Some(1..)) if first.is_empty() && length == 0 => return None,
        (None, Some(count)) if first.is_empty() => length.saturating_sub(count)..length,
        _ => return None,
    };
    Some(if part.start < part.end { Part::Bytes(part) } else { Part::Unsatisfiable })
}

/// Digits as a number, as large as there is if they say more.
fn number(digits: &str) -> Option<usize> {
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn part(range: &str, if_range: Option<&str>) -> Part {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, HeaderValue::from_str(range).unwrap());
        if let Some(if_range) = if_range {
            headers.insert(header::IF_RANGE, HeaderValue::from_str(if_range).unwrap());
        }
        WantedRange::of(&headers).part(&HeaderValue::from_static("\"v1\""), 10)
    }

    fn check(range: &str, expected: &Part) {
        assert_eq!(part(range, None), *expected, "{range}");
    }

    #[test]
    fn only_numbers_of_bytes_are_plain() {
        let is_plain = |range: &'static str| {
            WantedRange { range: Some(HeaderValue::from_static(range)), if_range: None }.is_plain()
        };
        for plain in ["bytes=0-0", "Bytes=0-", "bytes=-5", "bytes=0-0, 2-3"] {
            assert!(is_plain(plain), "{plain}");
        }
        for other in ["rows=0-1", "bytes", "bytes=a-b", "bytes=0-0;x", ""] {
            assert!(!is_plain(other), "{other}");
        }
        assert!(!WantedRange::default().is_plain());
    }

    /// RFC 9110, 14.2: of what is said twice nobody knows which is meant.
    #[test]
    fn a_range_is_wanted_if_it_is_said_once() {
        let wanted = |lines: &[&'static str]| {
            let mut headers = HeaderMap::new();
            lines.iter().for_each(|line| _ = headers.append(header::RANGE, HeaderValue::from_static(line)));
            WantedRange::of(&headers)
        };
        assert!(wanted(&["bytes=0-1"]).is_any() && !wanted(&[]).is_any());
        let twice = wanted(&["bytes=0-1", "bytes=0-1"]);
        assert!(!twice.is_any() && twice.part(&HeaderValue::from_static("\"v1\""), 10) == Part::Whole);
    }

    #[test]
    fn one_range_is_served() {
        check("bytes=0-3", &Part::Bytes(0..4));
        check("Bytes= 2-", &Part::Bytes(2..10));
        check("bytes=-3", &Part::Bytes(7..10));
        check("bytes=-99", &Part::Bytes(0..10));
        check("bytes=9-99999999999999999999999", &Part::Bytes(9..10));
    }

    #[test]
    fn what_lies_beyond_the_end_cannot_be_served() {
        for range in ["bytes=10-", "bytes=10-11", "bytes=-0", "bytes=99999999999999999999999-"] {
            check(range, &Part::Unsatisfiable);
        }
    }

    /// RFC 9110, 14.1.2.
    #[test]
    fn of_nothing_only_its_end_can_be_served() {
        for (range, expected) in [
            ("bytes=-5", None),
            ("bytes=-0", Some(Part::Unsatisfiable)),
            ("bytes=0-", Some(Part::Unsatisfiable)),
            ("bytes=0-0", Some(Part::Unsatisfiable)),
        ] {
            assert_eq!(parse(range, 0), expected, "{range}");
        }
    }

    #[test]
    fn what_is_no_range_or_several_is_the_whole() {
        for range in
            ["", "bytes", "bytes=", "bytes=-", "bytes=3-2", "bytes=a-b", "bytes=0-1,3-4", "items=0-1", "bytes=+1-2"]
        {
            check(range, &Part::Whole);
        }
    }

    #[test]
    fn if_range_holds_by_the_strong_tag_alone() {
        assert_eq!(part("bytes=0-3", Some("\"v1\"")), Part::Bytes(0..4));
        for other in ["\"v2\"", "W/\"v1\"", "Fri, 20 Nov 2026 18:00:00 GMT"] {
            assert_eq!(part("bytes=0-3", Some(other)), Part::Whole, "{other}");
        }
    }

    proptest! {
        #[test]
        fn a_part_lies_within_the_response(range in "bytes=[0-9]{0,3}-[0-9]{0,3}", length in 0..200usize) {
            if let Some(Part::Bytes(part)) = parse(&range, length) {
                prop_assert!(part.start < part.end && part.end <= length);
            }
        }
    }
}
