//! Parts of a response (RFC 9111, 3.3 and 3.4): what a 206 holds, what may be served from it, and what two parts make.

use std::ops::Range;

use http::{HeaderMap, HeaderValue, StatusCode, header};

/// Which bytes of a whole there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// The first byte.
    pub first: u64,
    /// The byte after the last one.
    pub end: u64,
    /// How many the whole has.
    pub whole: u64,
}

impl Held {
    /// Which bytes a response with this status holds; none unless it is a 206 with one range of a whole whose length is
    /// known, that fits the body.
    pub fn of(status: StatusCode, headers: &HeaderMap, body_bytes: usize) -> Option<Self> {
        if status != StatusCode::PARTIAL_CONTENT {
            return None;
        }
        let mut lines = headers.get_all(header::CONTENT_RANGE).iter();
        let (line, None) = (lines.next()?, lines.next()) else { return None };
        let held = Self::parse(line.to_str().ok()?)?;
        (held.end - held.first == body_bytes as u64).then_some(held)
    }

    /// `bytes first-last/whole` (RFC 9110, 14.4).
    pub fn parse(text: &str) -> Option<Self> {
        let (unit, rest) = text.trim().split_once(' ')?;
        let (range, whole) = rest.trim().split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let number = |text: &str| {
            let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            plain.then(|| text.parse::<u64>().ok()).flatten()
        };
        let held = Self { first: number(first)?, end: number(last)?.checked_add(1)?, whole: number(whole)? };
        let is_valid = unit.eq_ignore_ascii_case("bytes") && held.first < held.end && held.end <= held.whole;
        is_valid.then_some(held)
    }

    /// The place of these bytes of the whole within what is held; none if not all of them are.
    pub fn place_of(&self, wanted: &Range<u64>) -> Option<Range<usize>> {
        let is_within = self.first <= wanted.start && wanted.end <= self.end;
        let place = |at: u64| usize::try_from(at - self.first).ok();
        if is_within { Some(place(wanted.start)?..place(wanted.end)?) } else { None }
    }

    /// What is missing of the whole, as `Range` asks for it; none if that is not one range.
    pub fn missing(&self) -> Option<HeaderValue> {
        let text = match (self.first, self.end == self.whole) {
            (0, false) => format!("bytes={}-", self.end),
            (1.., true) => format!("bytes=0-{}", self.first - 1),
            _ => return None,
        };
        Some(HeaderValue::try_from(text).expect("words and digits make a header"))
    }

    /// What this part and another one of the same whole are together, if they touch: the other's place comes second.
    ///
    /// The caller has made sure that both have the same strong entity tag (RFC 9111, 3.4).
    pub fn joined(&self, other: &Self) -> Option<Joined> {
        if self.whole != other.whole {
            return None;
        }
        let (before, after, is_swapped) =
            if self.first <= other.first { (self, other, false) } else { (other, self, true) };
        (after.first <= before.end).then(|| Joined {
            held: Self { first: before.first, end: before.end.max(after.end), whole: self.whole },
            is_swapped,
            overlap: usize::try_from(before.end - after.first).unwrap_or(usize::MAX),
        })
    }

    /// Whether that is all.
    pub fn is_whole(&self) -> bool {
        self.first == 0 && self.end == self.whole
    }
}

/// Two parts together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Joined {
    /// What they hold.
    pub held: Held,
    /// The other one comes first.
    pub is_swapped: bool,
    /// So many bytes at the start of the later one are in the earlier one too.
    pub overlap: usize,
}

impl Joined {
    /// The bytes of both, given in the order in which they were joined.
    pub fn bytes(&self, one: &[u8], other: &[u8]) -> Vec<u8> {
        let (before, after) = if self.is_swapped { (other, one) } else { (one, other) };
        let mut bytes = before.to_vec();
        bytes.extend_from_slice(after.get(self.overlap..).unwrap_or_default());
        bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rfc9111::testing::headers;

    fn held(first: u64, end: u64, whole: u64) -> Held {
        Held { first, end, whole }
    }

    #[test]
    fn one_range_of_a_known_whole_is_held() {
        let check = |text: &str, expected| assert_eq!(Held::parse(text), expected, "{text}");
        check("bytes 4-9/10", Some(held(4, 10, 10)));
        check("Bytes 0-0/1", Some(held(0, 1, 1)));
        for none in ["bytes */10", "bytes 0-4/*", "bytes 4-3/10", "bytes 0-10/10", "items 0-1/2", "bytes 0-1", "", "x"]
        {
            check(none, None);
        }
        // Digits and nothing else (RFC 9110, 14.4).
        for none in ["bytes +4-9/10", "bytes 4-+9/10", "bytes 4-9/+10", "bytes 4 -9/10", "bytes -9/10"] {
            check(none, None);
        }
        check("bytes 0-99999999999999999999/999999999999999999999", None);
    }

    #[test]
    fn the_range_must_fit_the_body() {
        let check = |status: u16, lines: &[&str], bytes, expected| {
            let lines: Vec<_> = lines.iter().map(|line| ("content-range", *line)).collect();
            assert_eq!(Held::of(StatusCode::from_u16(status).unwrap(), &headers(&lines), bytes), expected, "{lines:?}");
        };
        check(206, &["bytes 4-9/10"], 6, Some(held(4, 10, 10)));
        check(206, &["bytes 4-9/10"], 5, None);
        check(200, &["bytes 4-9/10"], 6, None);
        check(206, &["bytes 0-1/4", "bytes 2-3/4"], 2, None);
        check(206, &[], 6, None);
    }

    #[test]
    fn a_range_within_is_served_and_no_other() {
        let part = held(4, 8, 10);
        assert_eq!(part.place_of(&(5..7)), Some(1..3));
        assert_eq!(part.place_of(&(4..8)), Some(0..4));
        assert_eq!(part.place_of(&(3..5)), None);
        assert_eq!(part.place_of(&(7..9)), None);
    }

    #[test]
    fn what_is_missing_is_one_range() {
        let missing = |part: Held| part.missing().map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(missing(held(0, 5, 10)).as_deref(), Some("bytes=5-"));
        assert_eq!(missing(held(5, 10, 10)).as_deref(), Some("bytes=0-4"));
        assert_eq!(missing(held(2, 5, 10)), None);
        assert_eq!(missing(held(0, 10, 10)), None);
        assert!(held(0, 10, 10).is_whole() && !held(0, 9, 10).is_whole() && !held(1, 10, 10).is_whole());
    }

    #[test]
    fn parts_that_do_not_touch_stay_apart() {
        assert_eq!(held(0, 3, 10).joined(&held(4, 6, 10)), None);
        assert_eq!(held(0, 3, 10).joined(&held(3, 6, 11)), None);
    }

    proptest! {
        #[test]
        fn parts_that_touch_make_what_they_are_parts_of(
            one in 0..9usize, one_length in 1..9usize, other in 0..9usize, other_length in 1..9usize,
        ) {
            let whole: Vec<u8> = (0..20).collect();
            let part = |at: usize, length: usize| (held(at as u64, (at + length) as u64, 20), &whole[at..at + length]);
            let ((first, first_bytes), (second, second_bytes)) = (part(one, one_length), part(other, other_length));
            if let Some(joined) = first.joined(&second) {
                let range = usize::try_from(joined.held.first).unwrap()..usize::try_from(joined.held.end).unwrap();
                prop_assert_eq!(joined.bytes(first_bytes, second_bytes), &whole[range]);
            } else {
                prop_assert!(one + one_length < other || other + other_length < one);
            }
        }
    }
}
