//! Conditional requests (RFC 9110, section 13) for GET and HEAD, as pure decisions.
//!
//! The layer evaluates them itself, against the one validator of the stored entry; the service behind it never sees
//! them, so that it always gives a whole response.

use std::time::SystemTime;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use smallvec::SmallVec;

/// The fields that make a request conditional, each with what it is. Most requests have none or one.
#[derive(Clone, Debug, Default)]
pub struct Preconditions(SmallVec<[(Field, HeaderValue); 1]>);

/// What makes a request conditional.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Match,
    NoneMatch,
    ModifiedSince,
    UnmodifiedSince,
}

const FIELDS: [(HeaderName, Field); 4] = [
    (header::IF_MATCH, Field::Match),
    (header::IF_NONE_MATCH, Field::NoneMatch),
    (header::IF_MODIFIED_SINCE, Field::ModifiedSince),
    (header::IF_UNMODIFIED_SINCE, Field::UnmodifiedSince),
];

/// What the preconditions make of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Send it.
    Send,
    /// The client has it: 304.
    NotModified,
    /// The client wanted another one: 412.
    Failed,
}

impl Preconditions {
    /// Of a request: found in one look, which costs less than asking the map for each.
    pub fn of(headers: &HeaderMap) -> Self {
        let field = |name| FIELDS.iter().find(|(own, _)| own == name).map(|(_, field)| *field);
        Self(headers.iter().filter_map(|(name, value)| Some((field(name)?, value.clone()))).collect())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes them out of a request, and with them the wish for a part: what is stored is the whole.
    pub fn strip(headers: &mut HeaderMap) {
        for name in FIELDS.map(|(name, _)| name).into_iter().chain([header::IF_RANGE, header::RANGE]) {
            headers.remove(name);
        }
    }

    /// Evaluates them in the order of RFC 9110, 13.2.2, against a response's `ETag` (strong) and `Last-Modified`.
    pub fn evaluate(&self, etag: &[u8], last_modified: Option<&HeaderValue>) -> Condition {
        if self.give_back(etag) { Condition::NotModified } else { self.evaluate_dated(etag, last_modified, None) }
    }

    /// Whether they only give back the strong tag that the client was given, as nearly all do: then no list has to be read.
    fn give_back(&self, etag: &[u8]) -> bool {
        // Beside `If-None-Match`, `If-Modified-Since` does not count.
        let is_plain = |field| matches!(field, Field::NoneMatch | Field::ModifiedSince);
        self.0.iter().all(|(field, _)| is_plain(*field)) && self.lines(Field::NoneMatch).any(|line| line == etag)
    }

    /// As [`evaluate`](Self::evaluate), for a response of an origin: its `ETag` may be weak, and where it has no
    /// `Last-Modified`, its `Date` counts for `If-Modified-Since` (RFC 9111, 4.3.2).
    pub fn evaluate_dated(
        &self,
        etag: &[u8],
        last_modified: Option<&HeaderValue>,
        dated: Option<&HeaderValue>,
    ) -> Condition {
        let etag = EntityTag::stored(etag);
        let modified = || last_modified.and_then(date);
        let refused = if self.has(Field::Match) {
            !names(self.lines(Field::Match), etag, Comparison::Strong)
        } else {
            let since = self.lines(Field::UnmodifiedSince).next().and_then(date);
            since.zip(modified()).is_some_and(|(since, modified)| modified > since)
        };
        if refused {
            return Condition::Failed;
        }
        if self.has(Field::NoneMatch) {
            let known = names(self.lines(Field::NoneMatch), etag, Comparison::Weak);
            return if known { Condition::NotModified } else { Condition::Send };
        }
        let since = self.lines(Field::ModifiedSince).next().and_then(date);
        match (since, last_modified.or(dated).and_then(date)) {
            (Some(since), Some(modified)) if modified <= since => Condition::NotModified,
            _ => Condition::Send,
        }
    }

    /// The lines of one field, in their order.
    fn lines(&self, field: Field) -> impl Iterator<Item = &HeaderValue> {
        self.0.iter().filter(move |(own, _)| *own == field).map(|(_, line)| line)
    }

    fn has(&self, field: Field) -> bool {
        self.lines(field).next().is_some()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Strong,
    Weak,
}

/// An entity tag as it stands in a list: with its quotes, without its `W/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct EntityTag<'a> {
    weak: bool,
    opaque: &'a [u8],
}

impl<'a> EntityTag<'a> {
    /// Of a stored response.
    fn stored(etag: &'a [u8]) -> Self {
        match etag.strip_prefix(b"W/") {
            Some(opaque) => Self { weak: true, opaque },
            None => Self { weak: false, opaque: etag },
        }
    }

    fn is(self, other: Self, comparison: Comparison) -> bool {
        self.opaque == other.opaque && (comparison == Comparison::Weak || !(self.weak || other.weak))
    }
}

/// Whether one of the lines names `etag`, or is `*`.
fn names<'a>(mut lines: impl Iterator<Item = &'a HeaderValue>, etag: EntityTag<'_>, comparison: Comparison) -> bool {
    lines.any(|line| {
        let line = line.as_bytes().trim_ascii();
        line == b"*" || EntityTags(line).any(|tag| tag.is(etag, comparison))
    })
}

/// The entity tags of a list; ends where the list is malformed. A comma inside the quotes is part of a tag.
struct EntityTags<'a>(&'a [u8]);

impl<'a> Iterator for EntityTags<'a> {
    type Item = EntityTag<'a>;

    fn next(&mut self) -> Option<EntityTag<'a>> {
        while let [b' ' | b'\t' | b',', rest @ ..] = self.0 {
            self.0 = rest;
        }
        let (weak, quoted) = match self.0 {
            [b'W', b'/', rest @ ..] => (true, rest),
            rest => (false, rest),
        };
        let length = quoted_length(quoted);
        self.0 = length.map_or(&[], |length| &quoted[length..]);
        // The next tag must be set off by a comma.
        if !matches!(self.0.trim_ascii_start(), [] | [b',', ..]) {
            self.0 = &[];
            return None;
        }
        length.map(|length| EntityTag { weak, opaque: &quoted[..length] })
    }
}

/// The bytes that an entity tag may hold between its quotes.
const IN_TAGS: [bool; 256] = {
    let mut all = [false; 256];
    let mut at = 0;
    while at < all.len() {
        all[at] = matches!(at, 0x21 | 0x23..=0x7e | 0x80..);
        at += 1;
    }
    all
};

/// The length of the quoted tag at the start of `text`, with its quotes.
fn quoted_length(text: &[u8]) -> Option<usize> {
    let inner = text.strip_prefix(b"\"")?;
    let length = inner.iter().position(|byte| !IN_TAGS[usize::from(*byte)])?;
    (inner[length] == b'"').then_some(length + 2)
}

/// Whether a header is one strong entity tag.
pub fn is_strong(etag: &HeaderValue) -> bool {
    quoted_length(etag.as_bytes()) == Some(etag.len())
}

fn date(value: &HeaderValue) -> Option<SystemTime> {
    httpdate::parse_http_date(value.to_str().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EARLY: &str = "Fri, 20 Nov 2026 18:00:00 GMT";
    const LATE: &str = "Fri, 20 Nov 2026 18:00:01 GMT";

    /// Against the entity tag `"v,2"`, last modified at `EARLY` if `dated`.
    fn check_dated(headers: &[(&'static str, &str)], dated: bool, expected: Condition) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let modified = dated.then(|| HeaderValue::from_static(EARLY));
        let condition = Preconditions::of(&map).evaluate(b"\"v,2\"", modified.as_ref());
        assert_eq!(condition, expected, "{headers:?}");
    }

    fn check(headers: &[(&'static str, &str)], expected: Condition) {
        check_dated(headers, false, expected);
    }

    #[test]
    fn if_none_match_compares_weakly_over_the_whole_list() {
        for list in ["\"v,2\"", "W/\"v,2\"", "\"v1\", \"v,2\"", "\"v1\",W/\"v,2\" ,\"v3\"", "*", " * ", ", \"v,2\""] {
            check(&[("if-none-match", list)], Condition::NotModified);
        }
        for list in ["\"v1\"", "\"v\"", "\"2\"", "v,2", "\"v,2", "w/\"v,2\"", "", "\"x\"\"v,2\"", "\"a*\"", "\"V,2\""] {
            check(&[("if-none-match", list)], Condition::Send);
        }
        check(&[("if-none-match", "\"v1\""), ("if-none-match", "\"v,2\"")], Condition::NotModified);
    }

    #[test]
    fn if_modified_since_counts_only_with_a_date_and_without_if_none_match() {
        check_dated(&[("if-modified-since", EARLY)], true, Condition::NotModified);
        check_dated(&[("if-modified-since", LATE)], true, Condition::NotModified);
        check_dated(&[("if-modified-since", "Fri, 20 Nov 2026 17:59:59 GMT")], true, Condition::Send);
        check_dated(&[("if-modified-since", LATE)], false, Condition::Send);
        check_dated(&[("if-modified-since", "yesterday")], true, Condition::Send);
        check_dated(&[("if-modified-since", LATE), ("if-none-match", "\"v1\"")], true, Condition::Send);
        let before = "Fri, 20 Nov 2026 17:59:59 GMT";
        check_dated(&[("if-modified-since", LATE), ("if-modified-since", before)], true, Condition::NotModified);
        check_dated(&[("if-modified-since", before), ("if-modified-since", LATE)], true, Condition::Send);
    }

    #[test]
    fn if_match_compares_strongly_and_goes_first() {
        check(&[("if-match", "\"v,2\"")], Condition::Send);
        check(&[("if-match", "*")], Condition::Send);
        check(&[("if-match", "\"v1\""), ("if-match", "\"v,2\"")], Condition::Send);
        check(&[("if-match", "W/\"v,2\"")], Condition::Failed);
        check(&[("if-match", "\"v1\""), ("if-none-match", "\"v,2\"")], Condition::Failed);
        check(&[("if-match", "\"v,2\""), ("if-none-match", "\"v,2\"")], Condition::NotModified);
        check_dated(&[("if-unmodified-since", EARLY)], true, Condition::Send);
        check_dated(&[("if-unmodified-since", "Fri, 20 Nov 2026 17:59:59 GMT")], true, Condition::Failed);
    }

    #[test]
    fn an_origins_weak_tag_and_date_count_as_far_as_they_go() {
        let check = |name: &'static str, value: &str, expected| {
            let mut map = HeaderMap::new();
            map.append(name, HeaderValue::from_str(value).unwrap());
            let dated = HeaderValue::from_static(EARLY);
            let condition = Preconditions::of(&map).evaluate_dated(b"W/\"v\"", None, Some(&dated));
            assert_eq!(condition, expected, "{name}: {value}");
        };
        check("if-none-match", "W/\"v\"", Condition::NotModified);
        check("if-none-match", "\"v\"", Condition::NotModified);
        check("if-none-match", "w/\"v\"", Condition::Send);
        check("if-match", "W/\"v\"", Condition::Failed);
        check("if-match", "\"v\"", Condition::Failed);
        check("if-modified-since", LATE, Condition::NotModified);
        check("if-modified-since", "Fri, 20 Nov 2026 17:59:59 GMT", Condition::Send);
        check("if-unmodified-since", "Fri, 20 Nov 2026 17:59:59 GMT", Condition::Send);
    }

    #[test]
    fn nothing_that_makes_a_request_conditional_or_partial_is_passed_on() {
        let names =
            ["if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range", "range", "accept"];
        let mut headers = HeaderMap::new();
        for name in names {
            headers.append(name, HeaderValue::from_static("\"v\""));
            headers.append(name, HeaderValue::from_static("\"w\""));
        }
        Preconditions::strip(&mut headers);
        assert_eq!(headers.keys().collect::<Vec<_>>(), ["accept"]);
    }

    #[test]
    fn strong_means_one_quoted_tag() {
        for (etag, strong) in [("\"a\"", true), ("\"\"", true), ("W/\"a\"", false), ("a", false), ("\"a\"b\"", false)] {
            assert_eq!(is_strong(&HeaderValue::from_static(etag)), strong, "{etag}");
        }
    }

    proptest! {
        #[test]
        fn a_tag_that_is_given_back_is_judged_as_if_its_list_were_read(
            fields in proptest::collection::vec((0..FIELDS.len(), r#"(W/)?"[ab]"|\*|"a", "b"|"a|"#), 0..4),
        ) {
            let mut headers = HeaderMap::new();
            for (field, value) in fields {
                headers.append(&FIELDS[field].0, HeaderValue::try_from(value).unwrap());
            }
            let conditions = Preconditions::of(&headers);
            prop_assert_eq!(conditions.evaluate(b"\"a\"", None), conditions.evaluate_dated(b"\"a\"", None, None));
        }

        #[test]
        fn a_list_is_read_as_it_was_written(tags in proptest::collection::vec((any::<bool>(), "[!#-~]{0,6}"), 0..6)) {
            let written = |(weak, tag): &(bool, String)| format!("{}\"{tag}\"", if *weak { "W/" } else { "" });
            let list = tags.iter().map(written).collect::<Vec<_>>().join(", ");
            let read: Vec<_> = EntityTags(list.as_bytes())
                .map(|tag| (tag.weak, String::from_utf8(tag.opaque.to_vec()).unwrap()))
                .collect();
            let expected: Vec<_> = tags.iter().map(|(weak, tag)| (*weak, format!("\"{tag}\""))).collect();
            prop_assert_eq!(read, expected);
        }

        #[test]
        fn nothing_that_is_sent_stops_the_reader(list in proptest::collection::vec(any::<u8>(), 0..40)) {
            prop_assert!(EntityTags(&list).count() <= list.len());
        }
    }
}
