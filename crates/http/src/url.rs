//! URLs as part of a key: one text per resource, never one text for two.
//!
//! The path counts as it was sent. What servers are known to read in more than one way (dot segments, doubled or
//! encoded slashes, encoded letters, matrix parameters, backslashes, control characters) is not interpreted here: such
//! a request is passed on uncached. Guessing what the server behind would make of it is how caches are poisoned.

use std::{borrow::Cow, fmt};

use http::Uri;

use crate::route::Query;

/// Why a URL is not cached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UrlProblem {
    /// It is longer than the limit.
    TooLong,
    /// Servers read it in more than one way.
    Ambiguous,
}

/// A URL as part of a key. Displays as `path?query`.
#[derive(Debug)]
pub struct NormalUrl<'a> {
    path: &'a str,
    query: Option<Cow<'a, str>>,
}

/// The URL's one text, or why it has none.
pub fn normalise<'a>(uri: &'a Uri, query: &Query, url_bytes_max: usize) -> Result<NormalUrl<'a>, UrlProblem> {
    let (path, query_text) = (uri.path(), uri.query());
    if path.len() + query_text.map_or(0, str::len) > url_bytes_max {
        return Err(UrlProblem::TooLong);
    }
    if !unambiguous_path(path) || !query_text.is_none_or(unambiguous_query) {
        return Err(UrlProblem::Ambiguous);
    }
    Ok(NormalUrl { path, query: query_text.map(|text| counted(text, query)) })
}

/// The text of a URL that was looked up, or may be one that was: as [`normalise`] has it, whatever it holds.
pub(crate) fn text(path: &str, query_text: Option<&str>, query: &Query) -> String {
    NormalUrl { path, query: query_text.map(|text| counted(text, query)) }.to_string()
}

fn counted<'a>(text: &'a str, query: &Query) -> Cow<'a, str> {
    match query {
        Query::InOrder => Cow::Borrowed(text),
        Query::All => sorted(text, |_| true),
        Query::Only(names) => sorted(text, |name| names.iter().any(|kept| kept == name)),
    }
}

/// What servers may read a path as: as it was sent; with its escapes decoded; as segments of a tree; both.
///
/// For what goes wrong by too few readings and not by too many: a write declares wrong what it means in each.
pub(crate) fn readings(path: &str) -> Vec<Cow<'_, str>> {
    let mut all = vec![Cow::Borrowed(path)];
    if !unambiguous_path(path) {
        let unescaped = unescaped(path);
        for reading in [segmented(path), segmented(&unescaped), unescaped] {
            if !all.iter().any(|known| *known == reading) {
                all.push(Cow::Owned(reading));
            }
        }
    }
    all
}

/// A path without the escapes that a path does not need. What is no text stays escaped, and so do `%` and `?`.
fn unescaped(path: &str) -> String {
    let mut text = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(at) = rest.find('%') {
        text.push_str(&rest[..at]);
        let escape = hex_byte(&rest.as_bytes()[at + 1..]);
        let plain = escape.filter(|byte| byte.is_ascii_graphic() && !matches!(byte, b'%' | b'?' | b'#'));
        text.push(plain.map_or('%', char::from));
        rest = &rest[at + if plain.is_some() { 3 } else { 1 }..];
    }
    text.push_str(rest);
    text
}

/// A path as a tree has it: `\` is `/`, doubled ones are one, dots lead up, parameters of segments are none.
fn segmented(path: &str) -> String {
    let path = path.replace('\\', "/");
    let path = path.split('#').next().unwrap_or_default();
    let mut segments: Vec<&str> = Vec::new();
    let mut ends_in_slash = false;
    for segment in path.split('/').map(|segment| segment.split(';').next().unwrap_or_default()) {
        ends_in_slash = matches!(segment, "" | "." | "..");
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            segment => segments.push(segment),
        }
    }
    let end = if ends_in_slash && !segments.is_empty() { "/" } else { "" };
    format!("/{}{end}", segments.join("/"))
}

impl NormalUrl<'_> {
    /// The path.
    pub fn path(&self) -> &str {
        self.path
    }

    /// The query that counts.
    pub fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }
}

impl fmt::Display for NormalUrl<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.path)?;
        match &self.query {
            Some(query) => {
                f.write_str("?")?;
                f.write_str(query)
            }
            None => Ok(()),
        }
    }
}

/// In one look at its bytes: every look-up begins with it.
fn unambiguous_path(path: &str) -> bool {
    let mut rest = path.as_bytes();
    let mut before = 0;
    while let [byte, after @ ..] = rest {
        let is_plain = match byte {
            b'/' => before != b'/',
            b'.' => before != b'/' || !leads_up(rest),
            b'%' => hex_byte(after).is_some_and(|byte| !is_suspect(byte)),
            b'\\' | b';' | b'#' => false,
            byte => byte.is_ascii_graphic(),
        };
        if !is_plain {
            return false;
        }
        before = *byte;
        rest = after;
    }
    path.starts_with('/')
}

/// Whether what follows a slash is a segment of dots.
fn leads_up(rest: &[u8]) -> bool {
    matches!(rest, b"." | b".." | [b'.', b'/', ..] | [b'.', b'.', b'/', ..])
}

/// Whether a byte in a path is escaped only to be read twice: it needs no escape, or means something as itself.
fn is_suspect(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || byte.is_ascii_control()
        || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'/' | b'\\' | b'%' | b';' | b'?' | b'#')
}

fn unambiguous_query(query: &str) -> bool {
    query.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b';' | b'#' | b'\\'))
        && escapes(query).all(|escape| escape.is_some_and(|byte| byte != 0))
}

/// Every `%` of a text as the byte that it stands for; `None` for one that stands for nothing.
fn escapes(text: &str) -> impl Iterator<Item = Option<u8>> + '_ {
    text.match_indices('%').map(|(at, _)| hex_byte(&text.as_bytes()[at + 1..]))
}

fn hex_byte(digits: &[u8]) -> Option<u8> {
    let digit = |at: usize| digits.get(at).and_then(|digit| char::from(*digit).to_digit(16));
    u8::try_from(digit(0)? * 16 + digit(1)?).ok()
}

/// The parameters whose name is kept, sorted by their [`family`]; those of one family stay in their order.
fn sorted(query: &str, keep: impl Fn(&str) -> bool) -> Cow<'_, str> {
    if !query.contains('&') {
        return Cow::Borrowed(if keep(&name(query)) { query } else { "" });
    }
    let mut parameters: Vec<(Cow<'_, str>, &str)> =
        query.split('&').map(|parameter| (name(parameter), parameter)).filter(|(name, _)| keep(name)).collect();
    parameters.sort_by_cached_key(|(name, _)| family(name));
    let mut text = String::with_capacity(query.len());
    for (at, (_, parameter)) in parameters.into_iter().enumerate() {
        if at > 0 {
            text.push('&');
        }
        text.push_str(parameter);
    }
    Cow::Owned(text)
}

/// What some server may take a name for: without case (`A` is `a`), without what is not a letter or a digit (`a.b` is
/// `a_b`), as a list or a map (`a[]`, `a[b]` is `a`). Which of the values of one family counts depends on their order.
fn family(name: &str) -> String {
    let list = name.split('[').next().unwrap_or_default();
    list.chars().filter(|letter| letter.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// A parameter's name, decoded: servers put `a` and `%61` in one list, so their order must be kept.
fn name(parameter: &str) -> Cow<'_, str> {
    plain(parameter.split_once('=').map_or(parameter, |(name, _)| name))
}

/// A name or a value as servers read it.
pub(crate) fn plain(raw: &str) -> Cow<'_, str> {
    if !raw.contains(['%', '+']) {
        return Cow::Borrowed(raw);
    }
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        match (first, hex_byte(tail)) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            (b'+', _) => bytes.push(b' '),
            _ => bytes.push(*first),
        }
    }
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(uri: &str, query: &Query) -> Result<String, UrlProblem> {
        normalise(&uri.parse().unwrap(), query, 2048).map(|url| url.to_string())
    }

    fn check(uri: &str, expected: &str) {
        assert_eq!(text(uri, &Query::All).as_deref(), Ok(expected), "{uri}");
    }

    #[test]
    fn parameters_are_sorted_by_name_and_those_of_one_name_keep_their_order() {
        check("/a?b=1&a=2", "/a?a=2&b=1");
        check("/a?b=2&a=1&b=1", "/a?a=1&b=2&b=1");
        check("/a?%61=2&a=1", "/a?%61=2&a=1");
        check("/a?a=1&%61=2", "/a?a=1&%61=2");
        check("/a?b+c=1&a=1&b%20c=2", "/a?a=1&b+c=1&b%20c=2");
        check("/a?b=0&a[]=1&A=2&a_=3", "/a?a[]=1&A=2&a_=3&b=0");
        check("/a", "/a");
        check("/a?", "/a?");
        check("http://host/a?b", "/a?b");
    }

    #[test]
    fn only_the_named_parameters_count() {
        let only = Query::only(["a", "b"]);
        assert_eq!(text("/x?c=9&b=1&a=2&d", &only).as_deref(), Ok("/x?a=2&b=1"));
        assert_eq!(text("/x?c=9", &only).as_deref(), Ok("/x?"));
        assert_eq!(text("/x?b=1&a=2", &Query::InOrder).as_deref(), Ok("/x?b=1&a=2"));
    }

    #[test]
    fn what_servers_read_in_more_than_one_way_has_no_text() {
        let paths = [
            "//a",
            "/a//b",
            "/a/../b",
            "/a/.",
            "/a/%2e%2e/b",
            "/a%2fb",
            "/a%2Fb",
            "/a%5cb",
            "/a%00",
            "/a;v=1",
            "/a%3bv",
            "/%61dmin",
            "/a%",
            "/a%4",
            "/a%zz",
            "/a%252fb",
            "/a%3f",
            "/a%23",
            "/a%0d%0ab",
            "/a%7f",
            "/a?b;c=1",
            "/a?%00",
            "/a?%",
            "/a?%g0",
        ];
        for path in paths {
            assert_eq!(text(path, &Query::All), Err(UrlProblem::Ambiguous), "{path}");
        }
        for path in ["/a%20b", "/a%C3%A4", "/a,b", "/a:b@c", "/a.b/..c", "/a?b=..//%2f%5c"] {
            assert!(text(path, &Query::All).is_ok(), "{path}");
        }
    }

    #[test]
    fn a_path_is_read_in_every_way_that_servers_do() {
        let check = |path: &str, expected: &[&str]| assert_eq!(readings(path), expected, "{path}");
        check("/a/b%20c", &["/a/b%20c"]);
        check("/%61/b", &["/%61/b", "/a/b"]);
        check("//a/./c/../b", &["//a/./c/../b", "/a/b"]);
        check("/x/%2e%2e/a%2fb", &["/x/%2e%2e/a%2fb", "/a/b", "/x/../a/b"]);
        check("/a;v=1/b\\", &["/a;v=1/b\\", "/a/b/"]);
        check("/a%3bv", &["/a%3bv", "/a", "/a;v"]);
        check("/a%252fb", &["/a%252fb"]);
        check("/..", &["/..", "/"]);
        check("/a%", &["/a%"]);
        check("/a%zz%e4", &["/a%zz%e4"]);
        check("/a%23b%3fc", &["/a%23b%3fc"]);
        check("/%C3%A4/%62", &["/%C3%A4/%62", "/%C3%A4/b"]);
    }

    #[test]
    fn what_was_looked_up_has_its_text_whatever_it_holds() {
        assert_eq!(super::text("/a", None, &Query::All), "/a");
        assert_eq!(super::text("/a//b", Some("d=1&c=2"), &Query::All), "/a//b?c=2&d=1");
        assert_eq!(super::text("/a", Some("d=1&c=2"), &Query::only(["d"])), "/a?d=1");
        for (uri, query) in [("/a?d=1&c=2", Some("c=2&d=1")), ("/a", None), ("/a?", Some(""))] {
            let parsed: Uri = uri.parse().unwrap();
            let looked_up = normalise(&parsed, &Query::All, 2048).unwrap();
            assert_eq!((looked_up.path(), looked_up.query()), ("/a", query));
            assert_eq!(super::text(parsed.path(), parsed.query(), &Query::All), looked_up.to_string(), "{uri}");
        }
    }

    #[test]
    fn a_long_url_has_no_text() {
        let url = |length: usize| format!("/{}", "a".repeat(length - 1)).parse::<Uri>().unwrap();
        assert!(normalise(&url(100), &Query::All, 100).is_ok());
        assert_eq!(normalise(&url(101), &Query::All, 100).unwrap_err(), UrlProblem::TooLong);
    }

    /// What a server makes of a query: for each decoded name the list of its values.
    fn meaning(query: &str) -> Vec<(String, Vec<String>)> {
        let mut all: Vec<(String, Vec<String>)> = Vec::new();
        for parameter in query.split('&') {
            let (name, value) = (name(parameter).into_owned(), parameter.split_once('=').map(|(_, value)| value));
            let value = format!("{value:?}");
            match all.iter_mut().find(|(known, _)| *known == name) {
                Some((_, values)) => values.push(value),
                None => all.push((name, vec![value])),
            }
        }
        all.sort();
        all
    }

    proptest! {
        #[test]
        fn no_path_stops_its_readings_and_the_first_is_the_path_itself(path in "[/a.%25fA;\\\\]{0,12}") {
            let all = readings(&path);
            prop_assert_eq!(&all[0], &path);
            prop_assert!(all.len() <= 4);
        }

        #[test]
        fn different_resources_never_share_a_text(
            one in "/[ab/]{0,3}", other in "/[ab/]{0,3}", q1 in "[ab=&+]{0,7}", q2 in "[ab=&+]{0,7}",
        ) {
            let (u1, u2) = (format!("{one}?{q1}"), format!("{other}?{q2}"));
            let (text_one, text_other) = (text(&u1, &Query::All), text(&u2, &Query::All));
            if text_one.is_ok() && text_one == text_other {
                prop_assert_eq!(one, other);
                prop_assert_eq!(meaning(&q1), meaning(&q2));
            }
        }

        #[test]
        fn the_order_across_names_does_not_matter(
            (parameters, shuffled) in proptest::collection::vec(("[a-d]|%61", "[xy]{0,2}"), 1..7)
                .prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle())),
        ) {
            let query = |all: &[(String, String)]| {
                all.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
            };
            // Bring the values of each name back into their first order.
            let mut restored = Vec::new();
            let mut taken: Vec<usize> = Vec::new();
            for (wanted, _) in &shuffled {
                let at = (0..parameters.len())
                    .find(|at| !taken.contains(at) && name(&parameters[*at].0) == name(wanted))
                    .unwrap();
                taken.push(at);
                restored.push(parameters[at].clone());
            }
            prop_assert_eq!(
                text(&format!("/x?{}", query(&parameters)), &Query::All),
                text(&format!("/x?{}", query(&restored)), &Query::All)
            );
        }

        #[test]
        fn a_text_is_its_own_normal_form(query in "[a-c=&%0-9]{0,12}") {
            if let Ok(once) = text(&format!("/x?{query}"), &Query::All) {
                prop_assert_eq!(text(&once, &Query::All), Ok(once.clone()));
            }
        }
    }

    /// What it means, as it reads best.
    fn is_unambiguous(path: &str) -> bool {
        path.starts_with('/')
            && !path.contains("//")
            && path.split('/').all(|segment| segment != "." && segment != "..")
            && path.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b';' | b'#'))
            && escapes(path).all(|escape| escape.is_some_and(|byte| !is_suspect(byte)))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn one_look_sees_what_many_do(path in "/?([ab./%;#\\\\ é]|%[0-9a-f]{2}|/\\.|/\\.\\.){0,8}") {
            prop_assert_eq!(unambiguous_path(&path), is_unambiguous(&path), "{}", path);
        }
    }
}
