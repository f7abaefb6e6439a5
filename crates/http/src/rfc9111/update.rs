//! Which header fields are kept with a response, and what an answer that confirms it changes of them (RFC 9111, 3.1, 3.2
//! and 4.3.5).

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::control::ResponseControl;
use crate::headers::{CACHE_STATUS, SERVER_TIMING, X_CACHE, X_CACHE_HITS, X_CACHE_MISSES};

/// Header fields as they are kept.
pub type Fields = Vec<(HeaderName, HeaderValue)>;

/// Of the connection (RFC 9110, 7.6.1), of a proxy, or of one request; and those that the cache writes anew.
const NOT_KEPT: [HeaderName; 19] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    header::PROXY_AUTHENTICATE,
    HeaderName::from_static("proxy-authentication-info"),
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::AGE,
    header::CONTENT_LENGTH,
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("traceresponse"),
    CACHE_STATUS,
    SERVER_TIMING,
    X_CACHE,
    X_CACHE_HITS,
    X_CACHE_MISSES,
];

/// What describes the stored bytes, so that an answer without bytes cannot change it.
const OF_THE_BYTES: [HeaderName; 4] =
    [header::CONTENT_ENCODING, HeaderName::from_static("content-md5"), header::CONTENT_RANGE, header::ETAG];

/// The fields of a response that are kept with it.
pub fn kept(headers: &HeaderMap, control: &ResponseControl, is_shared: bool) -> Fields {
    let connection = headers.get_all(header::CONNECTION);
    let named: Vec<&str> = connection
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .map(str::trim)
        .collect();
    let is_kept = |name: &HeaderName| {
        !NOT_KEPT.contains(name)
            && !named.iter().any(|other| other.eq_ignore_ascii_case(name.as_str()))
            && !control.unkept_fields(is_shared).any(|other| other == name)
    };
    headers.iter().filter(|(name, _)| is_kept(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// The fields of a stored response after an answer confirmed it: each that the answer has takes the place of those of
/// its name, but for those that describe the stored bytes. What the answer's `control` lets nobody keep is kept no more.
pub fn freshened(
    stored: &[(HeaderName, HeaderValue)],
    answer: Fields,
    control: &ResponseControl,
    is_shared: bool,
) -> Fields {
    let is_new = |name: &HeaderName| !OF_THE_BYTES.contains(name) && answer.iter().any(|(other, _)| other == name);
    let is_gone = |name: &HeaderName| is_new(name) || control.unkept_fields(is_shared).any(|other| other == name);
    let mut fields: Fields = stored.iter().filter(|(name, _)| !is_gone(name)).cloned().collect();
    fields.extend(answer.into_iter().filter(|(name, _)| !OF_THE_BYTES.contains(name)));
    fields
}

/// Of one request: kept with no response, but given on with the one that they came with.
const OF_ONE_REQUEST: [HeaderName; 5] = [
    header::AGE,
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("traceresponse"),
    CACHE_STATUS,
    SERVER_TIMING,
];

/// The fields that are not kept and all the same belong to the answer to the request that brought them.
pub fn given_once(headers: &HeaderMap, control: &ResponseControl, is_shared: bool) -> Fields {
    let is_given = |name: &HeaderName| {
        OF_ONE_REQUEST.contains(name) || control.unkept_fields(is_shared).any(|other| other == name)
    };
    headers.iter().filter(|(name, _)| is_given(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Whether the answer to a HEAD is of the stored response, so that it freshens it (4.3.5): its validators and its
/// length are the same, as far as it names them.
pub fn is_of_same(stored: (Option<&HeaderValue>, Option<&HeaderValue>, usize), head: &HeaderMap) -> bool {
    let (etag, last_modified, length) = stored;
    let differs = |name: HeaderName, stored: Option<&HeaderValue>| {
        head.get(name).is_some_and(|answered| stored != Some(answered))
    };
    let has_length = head.get(header::CONTENT_LENGTH).map(|length| length.to_str().ok()?.parse::<usize>().ok());
    !differs(header::ETAG, etag)
        && !differs(header::LAST_MODIFIED, last_modified)
        && has_length.is_none_or(|answered| answered == Some(length))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rfc9111::testing;

    fn fields(lines: &[(&str, &str)]) -> Fields {
        let headers = testing::headers(lines);
        headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    fn check_kept(lines: &[(&str, &str)], is_shared: bool, expected: &[&str]) {
        let headers = testing::headers(lines);
        let kept = kept(&headers, &ResponseControl::of(&headers), is_shared);
        let names: Vec<&str> = kept.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, expected, "{lines:?}");
    }

    #[test]
    fn all_is_kept_but_what_is_of_the_connection() {
        check_kept(
            &[
                ("connection", "a, B"),
                ("a", "1"),
                ("b", "2"),
                ("c", "3"),
                ("transfer-encoding", "chunked"),
                ("age", "5"),
                ("date", "now"),
                ("cache-control", "max-age=5"),
            ],
            true,
            &["c", "date", "cache-control"],
        );
    }

    #[test]
    fn fields_that_must_be_asked_for_are_not_kept() {
        let lines = [("cache-control", "no-cache=\"a\", private=\"b\""), ("a", "1"), ("b", "2")];
        check_kept(&lines, true, &["cache-control"]);
        check_kept(&lines, false, &["cache-control", "b"]);
        let headers = testing::headers(&[lines[0], lines[1], lines[2], ("x-request-id", "7"), ("te", "x")]);
        let once = given_once(&headers, &ResponseControl::of(&headers), true);
        assert_eq!(once, fields(&[("a", "1"), ("b", "2"), ("x-request-id", "7")]));
    }

    #[test]
    fn an_answer_takes_the_place_of_what_it_names() {
        let stored = fields(&[("a", "1"), ("a", "2"), ("b", "3"), ("etag", "\"x\""), ("content-encoding", "gzip")]);
        let answer = fields(&[("a", "4"), ("c", "5"), ("etag", "\"y\""), ("content-encoding", "br")]);
        let expected = fields(&[("b", "3"), ("etag", "\"x\""), ("content-encoding", "gzip"), ("a", "4"), ("c", "5")]);
        assert_eq!(freshened(&stored, answer, &ResponseControl::default(), true), expected);
    }

    #[test]
    fn what_an_answer_lets_nobody_keep_is_gone() {
        let stored = fields(&[("a", "1"), ("b", "2"), ("c", "3")]);
        let control = ResponseControl::of(&testing::headers(&[("cache-control", "no-cache=\"a\", private=\"b\"")]));
        assert_eq!(freshened(&stored, Fields::new(), &control, true), fields(&[("c", "3")]));
        assert_eq!(freshened(&stored, Fields::new(), &control, false), fields(&[("b", "2"), ("c", "3")]));
    }

    #[test]
    fn a_head_is_of_the_stored_response_if_nothing_speaks_against_it() {
        let (etag, date) = (HeaderValue::from_static("\"x\""), HeaderValue::from_static("then"));
        let same = |lines: &[(&str, &str)]| is_of_same((Some(&etag), Some(&date), 5), &testing::headers(lines));
        assert!(same(&[("etag", "\"x\""), ("content-length", "5")]) && same(&[("last-modified", "then")]));
        assert!(same(&[]) && same(&[("content-length", "5")]));
        assert!(!same(&[("etag", "\"y\"")]) && !same(&[("last-modified", "now")]));
        assert!(!same(&[("etag", "\"x\""), ("content-length", "6")]));
        assert!(!same(&[("etag", "\"x\""), ("content-length", "x")]));
    }
}
