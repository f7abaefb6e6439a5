//! What a write makes out of date by its URLs (RFC 9111, 4.4).

use http::{HeaderMap, Method, StatusCode, header};

/// Whether a request with this method changes nothing. Of a method that is not known nobody can say so.
pub fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE)
}

/// Path and query of all that a response to an unsafe request makes out of date: the target itself, and what `Location`
/// and `Content-Location` name of the same origin. None if the method is safe or the response an error.
///
/// `authority` is whom the request was for; URLs of others are passed over, or anybody could empty anybody's cache.
pub fn targets(method: &Method, status: StatusCode, authority: &str, target: &str, headers: &HeaderMap) -> Vec<String> {
    if is_safe(method) || !(status.is_success() || status.is_redirection()) {
        return Vec::new();
    }
    let mut targets = vec![target.to_owned()];
    for name in [header::LOCATION, header::CONTENT_LOCATION] {
        let lines = headers.get_all(name).iter().filter_map(|line| line.to_str().ok());
        for named in lines.filter_map(|line| resolved(line.trim(), authority, target)) {
            if !targets.contains(&named) {
                targets.push(named);
            }
        }
    }
    targets
}

/// Path and query that a reference means, read at `base`; none if it is of another origin or no HTTP at all
/// (RFC 3986, 5.2).
fn resolved(reference: &str, authority: &str, base: &str) -> Option<String> {
    let reference = reference.split_once('#').map_or(reference, |(before, _)| before);
    let scheme_end = reference.find(':').filter(|end| !reference[..*end].contains(['/', '?']));
    let rest = match scheme_end {
        Some(end) if ["http", "https"].iter().any(|scheme| reference[..end].eq_ignore_ascii_case(scheme)) => {
            reference[end + 1..].starts_with("//").then_some(&reference[end + 1..])?
        }
        Some(_) => return None,
        None => reference,
    };
    let (base_path, base_query) = base.split_once('?').map_or((base, None), |(path, query)| (path, Some(query)));
    let local = match rest.strip_prefix("//") {
        Some(rest) => {
            let end = rest.find(['/', '?']).unwrap_or(rest.len());
            let is_ours = !authority.is_empty() && rest[..end].eq_ignore_ascii_case(authority);
            if !is_ours {
                return None;
            }
            if rest[end..].starts_with('/') { rest[end..].to_owned() } else { format!("/{}", &rest[end..]) }
        }
        None => rest.to_owned(),
    };
    let (path, query) = local.split_once('?').map_or((&*local, None), |(path, query)| (path, Some(query)));
    let (path, query) = match path {
        "" => (base_path.to_owned(), query.or(base_query)),
        path if path.starts_with('/') => (without_dots(path), query),
        path => {
            let directory = base_path.rsplit_once('/').map_or("", |(directory, _)| directory);
            (without_dots(&format!("{directory}/{path}")), query)
        }
    };
    Some(query.map_or(path.clone(), |query| format!("{path}?{query}")))
}

/// RFC 3986, 5.2.4.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                if is_last {
                    kept.push("");
                }
            }
            segment => kept.push(segment),
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rfc9111::testing::headers;

    fn check(method: &str, status: u16, lines: &[(&str, &str)], expected: &[&str]) {
        let method = method.parse().unwrap();
        let status = StatusCode::from_u16(status).unwrap();
        let targets = targets(&method, status, "host:80", "/a/b?c", &headers(lines));
        assert_eq!(targets, expected, "{method} {status} {lines:?}");
    }

    #[test]
    fn an_unsafe_request_that_succeeded_spoils_its_target() {
        for method in ["POST", "PUT", "PATCH", "DELETE", "M-SEARCH", "get"] {
            check(method, 200, &[], &["/a/b?c"]);
            check(method, 303, &[], &["/a/b?c"]);
            for status in [400, 404, 500, 599] {
                check(method, status, &[("location", "/x")], &[]);
            }
        }
        for method in ["GET", "HEAD", "OPTIONS", "TRACE"] {
            check(method, 200, &[("location", "/x")], &[]);
        }
    }

    #[test]
    fn and_what_it_names_of_the_same_origin() {
        let named = |reference, expected: &str| {
            check("POST", 200, &[("location", reference)], &["/a/b?c", expected]);
        };
        named("/x?y#z", "/x?y");
        named("x", "/a/x");
        named("../x/./y", "/x/y");
        named("?d", "/a/b?d");
        named("http://HOST:80/x", "/x");
        named("//host:80?d", "/?d");
        check("POST", 201, &[("location", "/x"), ("content-location", "/y")], &["/a/b?c", "/x", "/y"]);
        for foreign in ["http://other/x", "//host/x", "ftp://host:80/x", "mailto:a", "http:/x", "#z", "", "\u{e9}"] {
            check("POST", 200, &[("content-location", foreign)], &["/a/b?c"]);
        }
    }

    /// RFC 9111, 4.4: nothing of another origin is made out of date; and who is not known has none.
    #[test]
    fn where_no_authority_is_known_none_is_the_same() {
        let named = headers(&[("location", "http:///x"), ("content-location", "/y")]);
        assert_eq!(targets(&Method::POST, StatusCode::OK, "", "/a", &named), ["/a", "/y"]);
    }

    #[test]
    fn dots_are_taken_out() {
        for (path, expected) in
            [("/a/../b", "/b"), ("/../a", "/a"), ("/a/.", "/a/"), ("/a/b/..", "/a/"), ("/a//b", "/a//b"), ("/", "/")]
        {
            assert_eq!(without_dots(path), expected, "{path}");
        }
    }
}
