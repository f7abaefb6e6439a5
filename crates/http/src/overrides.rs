//! Request headers by which some servers read a request as one of another method or URL.
//!
//! *Decides*, does no IO.

use http::{HeaderMap, HeaderName};

/// Request headers by which some servers read a request as one of another method.
pub(crate) const METHOD_OVERRIDES: [&str; 3] = ["x-http-method-override", "x-http-method", "x-method-override"];

/// Request headers by which some servers read a request as one of another URL.
pub(crate) const URL_OVERRIDES: [&str; 5] =
    ["x-original-url", "x-rewrite-url", "x-original-uri", "x-original-path", "x-envoy-original-path"];

/// Whether a server may read a request as one of another method: then it is a write, whatever it says it is.
pub fn may_be_another_method(headers: &HeaderMap) -> bool {
    names_one_of(headers, &METHOD_OVERRIDES)
}

/// Whether a request has one of these headers, which nearly none has: a look at its names costs less than asking the
/// map for each.
fn names_one_of(headers: &HeaderMap, rare: &[&str]) -> bool {
    headers.keys().map(HeaderName::as_str).any(|name| name.starts_with("x-") && rare.contains(&name))
}

/// Whether some servers read a request with a field of this name as one of another method or URL.
pub(crate) fn is_override(name: &str) -> bool {
    METHOD_OVERRIDES.contains(&name) || URL_OVERRIDES.contains(&name)
}

/// The paths and queries of other URLs that a server may read a request as one of.
pub(crate) fn urls_in_headers(headers: &HeaderMap) -> impl Iterator<Item = (&str, Option<&str>)> {
    let values = URL_OVERRIDES.iter().flat_map(|name| headers.get_all(*name)).filter_map(|value| value.to_str().ok());
    values.map(|url| {
        let absolute = url.split_once("://").filter(|(scheme, _)| !scheme.contains(['/', '?']));
        let local = absolute.map_or(url, |(_, rest)| rest.find(['/', '?']).map_or("/", |at| &rest[at..]));
        match local.split_once('?') {
            Some(("", query)) => ("/", Some(query)),
            Some((path, query)) => (path, Some(query)),
            None => (local, None),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rfc9111::testing::headers;

    #[test]
    fn few_headers_make_it_another_method() {
        let lines = |name| headers(&[("accept", "*/*"), ("x-a", "b"), (name, "PUT")]);
        for name in METHOD_OVERRIDES {
            assert!(may_be_another_method(&lines(name)), "{name}");
        }
        for name in ["x-http-methods", "x-original-url", "method"] {
            assert!(!may_be_another_method(&lines(name)), "{name}");
        }
    }

    #[test]
    fn a_header_may_name_another_url() {
        let check = |value: &str, expected| {
            for name in URL_OVERRIDES {
                let lines = headers(&[("host", "a"), (name, value)]);
                assert_eq!(urls_in_headers(&lines).collect::<Vec<_>>(), [expected], "{name}: {value}");
            }
        };
        check("/a", ("/a", None));
        check("/a?b=1", ("/a", Some("b=1")));
        check("http://host/a?b", ("/a", Some("b")));
        check("https://host", ("/", None));
        check("https://host?b=/c", ("/", Some("b=/c")));
        // What stands in the query is no scheme.
        check("/a?to=http://host/b", ("/a", Some("to=http://host/b")));
        check("/a://b/c", ("/a://b/c", None));
        let both = headers(&[("x-rewrite-url", "/b"), ("x-original-url", "/a"), ("x-a", "/c")]);
        assert_eq!(urls_in_headers(&both).collect::<Vec<_>>(), [("/a", None), ("/b", None)]);
    }
}
