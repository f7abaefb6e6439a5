//! Which of a URL's responses a request is for (RFC 9111, 4.1).
//!
//! A response names the request headers that selected it. Of their values only a digest is kept, since they may be
//! secrets. Values are first brought into a form in which those that mean the same are the same.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::{reasons::NotStoredReason, told};

/// The names in `Vary`, in order and once each. One whose value is another one here than where the response was made
/// cannot be counted.
pub fn names(headers: &HeaderMap) -> Result<Vec<HeaderName>, NotStoredReason> {
    let mut names = Vec::new();
    for line in headers.get_all(header::VARY) {
        let line = line.to_str().map_err(|_| NotStoredReason::VaryUncounted)?;
        for name in line.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            if name == "*" {
                return Err(NotStoredReason::VaryAny);
            }
            let name = name.parse::<HeaderName>().map_err(|_| NotStoredReason::VaryUncounted)?;
            if told::is_changed_on_the_way(&name) {
                return Err(NotStoredReason::VaryUncounted);
            }
            names.push(name);
        }
    }
    names.sort_by(|one, other| one.as_str().cmp(other.as_str()));
    names.dedup();
    Ok(names)
}

/// A digest of the values that a request has in the headers `names`: 128 bits of a BLAKE3 hash. A header that is not
/// there is another value than an empty one.
pub fn digest(names: &[HeaderName], request: &HeaderMap) -> u128 {
    let mut hasher = blake3::Hasher::new();
    for name in names {
        let mut field = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        field(name.as_str().as_bytes());
        match normalised(name, request) {
            None => field(b"-"),
            Some(value) => {
                field(b"+");
                field(&value);
            }
        }
    }
    u128::from_le_bytes(*hasher.finalize().as_bytes().first_chunk().expect("a hash has 32 bytes"))
}

/// A request's value of a header, in the form that all values have that mean the same.
fn normalised(name: &HeaderName, request: &HeaderMap) -> Option<Vec<u8>> {
    let mut lines = request.get_all(name).iter().peekable();
    lines.peek()?;
    let joined = lines.map(HeaderValue::as_bytes).collect::<Vec<_>>().join(&b","[..]);
    let plain = unspaced(&joined);
    Some(match *name {
        header::ACCEPT_LANGUAGE | header::ACCEPT_ENCODING => weighted(&plain),
        _ => plain,
    })
}

/// Without the spaces around a list's commas.
fn unspaced(value: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(value.len());
    let mut quoted = false;
    let mut escaped = false;
    let mut spaces_from = 0;
    for &byte in value.trim_ascii() {
        let is_space = matches!(byte, b' ' | b'\t');
        if quoted {
            quoted = byte != b'"' || escaped;
            escaped = byte == b'\\' && !escaped;
        } else if byte == b',' {
            plain.truncate(spaces_from);
        } else if is_space && plain.last() == Some(&b',') {
            continue;
        } else {
            quoted = byte == b'"';
        }
        plain.push(byte);
        if quoted || !is_space {
            spaces_from = plain.len();
        }
    }
    plain
}

/// A list of weighted words: in small letters, with equal weights written alike, in one order. Neither the order nor
/// the case of languages and codings means anything (RFC 9110, 12.5.3 and 12.5.4); `x-gzip` is `gzip` (8.4.1.3).
fn weighted(list: &[u8]) -> Vec<u8> {
    let lower = list.to_ascii_lowercase();
    let mut members: Vec<(u16, &[u8])> =
        lower.split(|byte| *byte == b',').filter(|member| !member.is_empty()).map(weighted_word).collect();
    members.sort_unstable_by(|one, other| other.0.cmp(&one.0).then(one.1.cmp(other.1)));
    members.dedup();
    let mut text = Vec::with_capacity(list.len());
    for (weight, word) in members {
        text.extend_from_slice(word);
        text.push(b';');
        text.extend_from_slice(weight.to_string().as_bytes());
        text.push(b',');
    }
    text
}

/// A word and its weight in thousandths. One whose weight cannot be read is a word of its own.
fn weighted_word(member: &[u8]) -> (u16, &[u8]) {
    let at = member.iter().position(|byte| *byte == b';');
    let (word, weight) = at.map_or((member, None), |at| (&member[..at], Some(&member[at + 1..])));
    let word = match word.trim_ascii_end() {
        b"x-gzip" => &b"gzip"[..],
        b"x-compress" => &b"compress"[..],
        word => word,
    };
    match weight.map(|weight| weight.trim_ascii().strip_prefix(b"q=").and_then(thousandths)) {
        None => (1000, word),
        Some(Some(weight)) => (weight, word),
        Some(None) => (1001, member),
    }
}

/// A quality value in thousandths (RFC 9110, 12.4.2).
pub(crate) fn thousandths(weight: &[u8]) -> Option<u16> {
    let text = std::str::from_utf8(weight).ok()?;
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = part.len() <= 3 && part.bytes().all(|byte| byte.is_ascii_digit());
    let part: u16 = format!("{part:0<3}").parse().ok().filter(|_| digits)?;
    match (whole, part) {
        ("0", part) => Some(part),
        ("1", 0) => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rfc9111::testing::headers;

    fn check_names(lines: &[&str], expected: Result<&[&str], NotStoredReason>) {
        let lines: Vec<_> = lines.iter().map(|line| ("vary", *line)).collect();
        let names = names(&headers(&lines));
        let names = names.map(|names| names.iter().map(|name| name.as_str().to_owned()).collect::<Vec<_>>());
        let expected = expected.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
        assert_eq!(names, expected, "{lines:?}");
    }

    #[test]
    fn a_list_of_names_in_any_order() {
        check_names(&[], Ok(&[]));
        check_names(&["Foo, bar", "", "foo ,Baz"], Ok(&["bar", "baz", "foo"]));
        for any in ["*", "*, *", ", *", "*, Foo", "Foo, *"] {
            check_names(&[any], Err(NotStoredReason::VaryAny));
        }
        check_names(&["", "*"], Err(NotStoredReason::VaryAny));
        check_names(&["a b"], Err(NotStoredReason::VaryUncounted));
        check_names(&["\u{e9}"], Err(NotStoredReason::VaryUncounted));
    }

    fn same(name: &str, one: &[&str], other: &[&str]) -> bool {
        let digest = |lines: &[&str]| {
            let lines: Vec<_> = lines.iter().map(|line| (name, *line)).collect();
            digest(&[name.parse().unwrap()], &headers(&lines))
        };
        digest(one) == digest(other)
    }

    #[test]
    fn lines_join_and_spaces_around_commas_mean_nothing() {
        assert!(same("foo", &["1, 2"], &["1", "2"]));
        assert!(same("foo", &["1,2"], &[" 1, 2 "]));
        assert!(same("foo", &["a b ,\tc"], &["a b,c"]));
        for quoted in ["\"a\"", "\"ab\"", "\"\"", "\"a\\\" , b\""] {
            assert!(same("foo", &[&format!("{quoted} , c")], &[&format!("{quoted},c")]), "{quoted}");
        }
    }

    #[test]
    fn anything_else_means_something() {
        for (one, other) in [
            (&["1"][..], &["2"][..]),
            (&[], &[""]),
            (&["1,2"], &["2,1"]),
            (&["a b"], &["ab"]),
            (&["A"], &["a"]),
            (&["\"a, b\""], &["\"a,b\""]),
        ] {
            assert!(!same("foo", one, other), "{one:?} and {other:?}");
        }
        let both = [HeaderName::from_static("a"), HeaderName::from_static("b")];
        assert_ne!(digest(&both, &headers(&[("a", "1")])), digest(&both, &headers(&[("b", "1")])));
    }

    #[test]
    fn languages_and_codings_have_no_order_and_no_case() {
        assert!(same("accept-language", &["en, de"], &["de, eN"]));
        assert!(same("accept-language", &["en;q=1.0, de;q=0.5"], &["de; q=0.50", "EN"]));
        assert!(same("accept-encoding", &["gzip, br"], &["BR,x-gzip;q=1"]));
        for (one, other) in [("en, de", "en"), ("en, de;q=0.5", "en, de"), ("en;q=x", "en"), ("en;q=2", "en")] {
            assert!(!same("accept-language", &[one], &[other]), "{one} and {other}");
        }
        assert!(!same("accept-encoding", &["identity;q=0"], &["identity"]));
    }

    /// RFC 9110, 12.4.2.
    #[test]
    fn a_weight_has_at_most_three_digits_and_is_at_most_one() {
        for (text, expected) in [
            ("0", 0),
            ("0.", 0),
            ("0.5", 500),
            ("0.05", 50),
            ("0.005", 5),
            ("0.999", 999),
            ("1", 1000),
            ("1.000", 1000),
        ] {
            assert_eq!(thousandths(text.as_bytes()), Some(expected), "{text}");
        }
        for none in ["", ".5", "0.1234", "0.0000", "0.+1", "0.x", "1.001", "2", "-0", "00", "1.0000"] {
            assert_eq!(thousandths(none.as_bytes()), None, "{none}");
        }
    }

    proptest! {
        #[test]
        fn a_normal_form_is_its_own(value in "[ab\", \\\\;q=.]{0,16}") {
            let once = unspaced(value.as_bytes());
            prop_assert_eq!(unspaced(&once), once);
        }
    }
}
