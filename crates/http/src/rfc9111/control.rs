//! `Cache-Control` (RFC 9111, 5.2) of requests and responses.
//!
//! Read strictly, and where it cannot be read, to the safe side: a line that is no text, or whose quotes do not end,
//! says `no-store`; a number that is none is zero (RFC 9111, 4.2.1). Of a directive that is there twice the first one
//! counts (4.2.1).

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, header};

use super::{SECONDS_MAX, seconds};

/// What a response says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is a directive of its own")]
pub struct ResponseControl {
    /// It must not be kept.
    pub no_store: bool,
    /// It, or these fields of it, must not be used without asking the origin.
    pub no_cache: Option<Fields>,
    /// It, or these fields of it, are for one user.
    pub private: Option<Fields>,
    /// It may be kept although something else would forbid it.
    pub public: bool,
    /// It must not be used stale.
    pub must_revalidate: bool,
    /// It must not be used stale by a shared cache.
    pub proxy_revalidate: bool,
    /// It may only be kept by who knows its status; who does may ignore `no-store`.
    pub must_understand: bool,
    /// It does not change while it is fresh (RFC 8246).
    pub immutable: bool,
    /// Seconds for which it is fresh.
    pub max_age: Option<u64>,
    /// Seconds for which it is fresh in a shared cache.
    pub s_maxage: Option<u64>,
    /// Seconds for which it may be used stale while it is revalidated (RFC 5861).
    pub stale_while_revalidate: Option<u64>,
    /// Seconds for which it may be used stale when the origin fails (RFC 5861).
    pub stale_if_error: Option<u64>,
}

/// What a directive with an optional list of fields concerns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fields {
    /// The whole response.
    All,
    /// These fields of it.
    Named(Vec<HeaderName>),
}

/// What a request says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestControl {
    /// Nothing of it, nor of its answer, is to be kept.
    pub no_store: bool,
    /// The origin must be asked.
    pub no_cache: bool,
    /// The answer must exist already.
    pub only_if_cached: bool,
    /// The answer must be no older.
    pub max_age: Option<u64>,
    /// The answer must stay fresh for so long.
    pub min_fresh: Option<u64>,
    /// The answer may be stale for so long.
    pub max_stale: Option<u64>,
    /// The answer may be stale for so long, if the origin fails (RFC 5861).
    pub stale_if_error: Option<u64>,
}

impl ResponseControl {
    /// Of a response's `Cache-Control`.
    pub fn of(headers: &HeaderMap) -> Self {
        let mut control = Self::default();
        for line in headers.get_all(header::CACHE_CONTROL) {
            match line.to_str() {
                Ok(line) => control.read(line),
                Err(_) => control.no_store = true,
            }
        }
        control
    }

    /// Adds what a line says.
    pub(crate) fn read(&mut self, line: &str) {
        for directive in Directives::of(line) {
            let Some(Directive { name, argument }) = directive else {
                self.no_store = true;
                return;
            };
            self.set(&name.to_ascii_lowercase(), argument.as_ref());
        }
    }

    /// Takes a directive in, by its name in small letters.
    pub(crate) fn set(&mut self, name: &str, argument: Option<&Argument<'_>>) {
        let number = |slot: &mut Option<u64>| {
            slot.get_or_insert_with(|| argument.and_then(Argument::seconds).unwrap_or(0));
        };
        match name {
            "no-store" => self.no_store = true,
            "public" => self.public = true,
            "must-revalidate" => self.must_revalidate = true,
            "proxy-revalidate" => self.proxy_revalidate = true,
            "must-understand" => self.must_understand = true,
            "immutable" => self.immutable = true,
            "no-cache" => Fields::add(&mut self.no_cache, argument),
            "private" => Fields::add(&mut self.private, argument),
            "max-age" => number(&mut self.max_age),
            "s-maxage" => number(&mut self.s_maxage),
            "stale-while-revalidate" => number(&mut self.stale_while_revalidate),
            "stale-if-error" => number(&mut self.stale_if_error),
            _ => {}
        }
    }

    /// Whether all of the response must be asked for again at each use.
    pub fn is_no_cache(&self) -> bool {
        self.no_cache == Some(Fields::All)
    }

    /// Whether all of the response is for one user.
    pub fn is_private(&self) -> bool {
        self.private == Some(Fields::All)
    }

    /// The fields that must not be kept: those that `no-cache` names, and in a shared cache those that `private` names.
    pub fn unkept_fields(&self, is_shared: bool) -> impl Iterator<Item = &HeaderName> {
        let private = self.private.as_ref().filter(|_| is_shared);
        [self.no_cache.as_ref(), private].into_iter().flatten().flat_map(|fields| match fields {
            Fields::All => &[][..],
            Fields::Named(names) => names,
        })
    }
}

impl RequestControl {
    /// Of a request's `Cache-Control`; where it has none, of its `Pragma` (RFC 9111, 5.4).
    pub fn of(headers: &HeaderMap) -> Self {
        let mut control = Self::default();
        for line in headers.get_all(header::CACHE_CONTROL) {
            let Ok(line) = line.to_str() else {
                control.no_store = true;
                continue;
            };
            for directive in Directives::of(line) {
                match directive {
                    Some(Directive { name, argument }) => control.set(&name.to_ascii_lowercase(), argument.as_ref()),
                    None => control.no_store = true,
                }
            }
        }
        if !headers.contains_key(header::CACHE_CONTROL) {
            let pragma = headers.get_all(header::PRAGMA).iter().filter_map(|line| line.to_str().ok());
            control.no_cache =
                pragma.flat_map(|line| line.split(',')).any(|word| word.trim().eq_ignore_ascii_case("no-cache"));
        }
        control
    }

    fn set(&mut self, name: &str, argument: Option<&Argument<'_>>) {
        let given = argument.and_then(Argument::seconds);
        match name {
            "no-store" => self.no_store = true,
            "no-cache" => self.no_cache = true,
            "only-if-cached" => self.only_if_cached = true,
            "max-age" => self.max_age = self.max_age.or(Some(given.unwrap_or(0))),
            "min-fresh" => self.min_fresh = self.min_fresh.or(given),
            // Without a number: however stale (RFC 9111, 5.2.1.2).
            "max-stale" => self.max_stale = self.max_stale.or(if argument.is_none() { Some(u64::MAX) } else { given }),
            "stale-if-error" => self.stale_if_error = self.stale_if_error.or(given),
            _ => {}
        }
    }
}

impl Fields {
    fn add(slot: &mut Option<Self>, argument: Option<&Argument<'_>>) {
        let named = match argument {
            Some(Argument::Token(text)) => names(text),
            Some(Argument::Quoted(text)) => names(text),
            Some(Argument::Seconds(_) | Argument::Invalid) | None => None,
        };
        *slot = Some(match (slot.take(), named) {
            (Some(Self::All), _) | (_, None) => Self::All,
            (Some(Self::Named(mut before)), Some(named)) => {
                before.extend(named);
                Self::Named(before)
            }
            (None, Some(named)) => Self::Named(named),
        });
    }
}

/// The fields of a list; none if one of them is no name or there is none: then it concerns all.
fn names(list: &str) -> Option<Vec<HeaderName>> {
    let names: Option<Vec<HeaderName>> =
        list.split(',').map(str::trim).filter(|name| !name.is_empty()).map(|name| name.parse().ok()).collect();
    names.filter(|names| !names.is_empty())
}

/// A directive as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Directive<'a> {
    name: &'a str,
    argument: Option<Argument<'a>>,
}

/// What follows a directive's `=`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Argument<'a> {
    /// As it stands. Who reads it as numbers or names finds out whether it is a token.
    Token(&'a str),
    Quoted(Cow<'a, str>),
    /// A number, of a structured field.
    Seconds(u64),
    /// A space stands beside the `=`, or it is of a type that no directive has.
    Invalid,
}

impl Argument<'_> {
    /// A number of a structured field; less than none is none of a directive's.
    pub(crate) fn number(number: i64) -> Self {
        u64::try_from(number).map_or(Self::Invalid, |number| Self::Seconds(number.min(SECONDS_MAX)))
    }

    fn seconds(&self) -> Option<u64> {
        match self {
            Self::Token(text) => seconds(text),
            Self::Quoted(text) => seconds(text),
            Self::Seconds(seconds) => Some(*seconds),
            Self::Invalid => None,
        }
    }
}

/// The directives of one line; ends with a `None` where its quotes do not.
struct Directives<'a> {
    rest: &'a str,
    broken: bool,
}

impl<'a> Directives<'a> {
    fn of(line: &'a str) -> Self {
        Self { rest: line, broken: false }
    }

    /// All up to the next comma that is not within quotes.
    fn member(&mut self) -> Option<&'a str> {
        let mut quoted = false;
        let mut escaped = false;
        for (at, byte) in self.rest.bytes().enumerate() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' => quoted = !quoted,
                b',' if !quoted => {
                    let member = &self.rest[..at];
                    self.rest = &self.rest[at + 1..];
                    return Some(member);
                }
                _ => {}
            }
        }
        self.broken = quoted;
        (!quoted).then(|| std::mem::take(&mut self.rest))
    }
}

impl<'a> Iterator for Directives<'a> {
    type Item = Option<Directive<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.rest.is_empty() && !self.broken {
            let Some(member) = self.member() else { return Some(None) };
            let member = member.trim_matches([' ', '\t']);
            if !member.is_empty() {
                return Some(Some(directive(member)));
            }
        }
        None
    }
}

fn directive(member: &str) -> Directive<'_> {
    let Some((name, argument)) = member.split_once('=') else { return Directive { name: member, argument: None } };
    let is_spaced = name.ends_with([' ', '\t']) || argument.starts_with([' ', '\t']);
    let argument = match quoted(argument) {
        _ if is_spaced => Argument::Invalid,
        Some(text) => Argument::Quoted(text),
        None => Argument::Token(argument),
    };
    Directive { name: name.trim_end(), argument: Some(argument) }
}

/// What a quoted string holds; none if it is none.
fn quoted(text: &str) -> Option<Cow<'_, str>> {
    let inner = text.strip_prefix('"')?.strip_suffix('"')?;
    if !inner.contains(['"', '\\']) {
        return Some(Cow::Borrowed(inner));
    }
    let mut plain = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => return None,
            '\\' => plain.push(characters.next()?),
            character => plain.push(character),
        }
    }
    Some(Cow::Owned(plain))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rfc9111::testing::headers;

    fn response(lines: &[&str]) -> ResponseControl {
        ResponseControl::of(&headers(&lines.iter().map(|line| ("cache-control", *line)).collect::<Vec<_>>()))
    }

    fn check(lines: &[&str], expected: &ResponseControl) {
        assert_eq!(response(lines), *expected, "{lines:?}");
    }

    fn max_age(seconds: u64) -> ResponseControl {
        ResponseControl { max_age: Some(seconds), ..ResponseControl::default() }
    }

    fn named(names: &[&'static str]) -> Fields {
        Fields::Named(names.iter().map(|name| HeaderName::from_static(name)).collect())
    }

    #[test]
    fn names_have_no_case_and_unknown_ones_mean_nothing() {
        check(&["MaX-aGe=3600"], &max_age(3600));
        check(&["foobar, max-age=3600 ,, x=1;y"], &max_age(3600));
        check(&["No-StOrE"], &ResponseControl { no_store: true, ..ResponseControl::default() });
        check(&[""], &ResponseControl::default());
    }

    /// RFC 9111, 5.2.2; RFC 5861; RFC 8246.
    #[test]
    fn each_directive_of_a_response_says_one_thing() {
        let nothing = ResponseControl::default;
        check(&["no-store"], &ResponseControl { no_store: true, ..nothing() });
        check(&["no-cache"], &ResponseControl { no_cache: Some(Fields::All), ..nothing() });
        check(&["private"], &ResponseControl { private: Some(Fields::All), ..nothing() });
        check(&["public"], &ResponseControl { public: true, ..nothing() });
        check(&["must-revalidate"], &ResponseControl { must_revalidate: true, ..nothing() });
        check(&["proxy-revalidate"], &ResponseControl { proxy_revalidate: true, ..nothing() });
        check(&["must-understand"], &ResponseControl { must_understand: true, ..nothing() });
        check(&["immutable"], &ResponseControl { immutable: true, ..nothing() });
        check(&["max-age=9"], &max_age(9));
        check(&["s-maxage=9"], &ResponseControl { s_maxage: Some(9), ..nothing() });
        check(&["stale-while-revalidate=9"], &ResponseControl { stale_while_revalidate: Some(9), ..nothing() });
        check(&["stale-if-error=9"], &ResponseControl { stale_if_error: Some(9), ..nothing() });
    }

    #[test]
    fn a_number_is_a_token_or_quoted_and_anything_else_is_zero() {
        for (text, expected) in [
            ("max-age=\"3600\"", 3600),
            ("max-age=003600", 3600),
            ("max-age=99999999999", SECONDS_MAX),
            ("max-age='3600'", 0),
            ("max-age=-3600", 0),
            ("max-age=3600.0", 0),
            ("max-age=a3600", 0),
            ("max-age=3600a", 0),
            ("max-age =3600", 0),
            ("max-age= 3600", 0),
            ("max-age=", 0),
            ("max-age", 0),
        ] {
            check(&[text], &max_age(expected));
        }
    }

    #[test]
    fn what_stands_in_quotes_is_no_directive() {
        check(&["extension=\"max-age=3600\", max-age=1"], &max_age(1));
        check(&["max-age=\"1\", extension=\"max-age=3600, no-store\""], &max_age(1));
        check(&["x=\"\\\", no-store, y\", max-age=1"], &max_age(1));
    }

    /// RFC 9110, 5.6.4.
    #[test]
    fn a_backslash_escapes_within_quotes_alone() {
        check(&["x=\\, max-age=1"], &max_age(1));
        check(&["x=\"\\\\\", max-age=1"], &max_age(1));
        check(&["max-age=\"\\60\""], &max_age(60));
        assert_eq!(response(&["no-cache=\"\\a\""]).no_cache, Some(named(&["a"])));
    }

    #[test]
    fn of_two_the_first_counts() {
        check(&["max-age=1800, max-age=1"], &max_age(1800));
        check(&["max-age=1", "max-age=1800"], &max_age(1));
    }

    #[test]
    fn what_cannot_be_read_says_no_store() {
        for spoiled in ["max-age=5, x=\"y", "\u{e9}", "\""] {
            assert!(response(&[spoiled]).no_store, "{spoiled}");
        }
    }

    #[test]
    fn fields_are_named_or_all() {
        let no_cache = |line| response(&[line]).no_cache;
        assert_eq!(no_cache("no-cache=\"a, B\""), Some(named(&["a", "b"])));
        assert_eq!(no_cache("no-cache=a"), Some(named(&["a"])));
        assert_eq!(no_cache("no-cache=\"a\", no-cache=\"b\""), Some(named(&["a", "b"])));
        for all in [
            "no-cache",
            "no-cache=\"\"",
            "no-cache=\"a b\"",
            "no-cache=\"a\", no-cache",
            "no-cache=(a)",
            "no-cache=",
            "no-cache=a/b",
        ] {
            assert_eq!(no_cache(all), Some(Fields::All), "{all}");
        }
        let both = response(&["no-cache=\"a\", private=\"b\""]);
        assert_eq!(both.unkept_fields(true).count(), 2);
        assert_eq!(both.unkept_fields(false).count(), 1);
    }

    fn check_request(lines: &[(&str, &str)], expected: RequestControl) {
        assert_eq!(RequestControl::of(&headers(lines)), expected, "{lines:?}");
    }

    #[test]
    fn a_request_says_what_it_will_take() {
        let nothing = RequestControl::default();
        check_request(&[("cache-control", "max-age=0")], RequestControl { max_age: Some(0), ..nothing });
        check_request(&[("cache-control", "max-age=x")], RequestControl { max_age: Some(0), ..nothing });
        check_request(&[("cache-control", "max-stale")], RequestControl { max_stale: Some(u64::MAX), ..nothing });
        check_request(&[("cache-control", "max-stale=x")], nothing);
        check_request(&[("cache-control", "max-stale=9")], RequestControl { max_stale: Some(9), ..nothing });
        check_request(&[("cache-control", "stale-if-error=9")], RequestControl { stale_if_error: Some(9), ..nothing });
        check_request(
            &[("cache-control", "min-fresh=5, only-if-cached"), ("cache-control", "no-store, no-cache")],
            RequestControl { min_fresh: Some(5), only_if_cached: true, no_store: true, no_cache: true, ..nothing },
        );
    }

    #[test]
    fn pragma_counts_where_nothing_else_was_said() {
        let no_cache = RequestControl { no_cache: true, ..RequestControl::default() };
        check_request(&[("pragma", "x, No-Cache")], no_cache);
        check_request(&[("pragma", "no-cache"), ("cache-control", "x")], RequestControl::default());
        check_request(&[("pragma", "foo")], RequestControl::default());
    }

    proptest! {
        #[test]
        fn nothing_that_is_sent_stops_the_reader(line in "[ -~]{0,40}") {
            let _ = response(&[&line]);
            prop_assert!(Directives::of(&line).count() <= line.len() + 1);
        }

        #[test]
        fn no_store_is_seen_wherever_it_stands(before in "[a-z=0-9, ]{0,12}", after in "[a-z=0-9, ]{0,12}") {
            let line = format!("{before},no-store,{after}");
            prop_assert!(response(&[&line]).no_store);
        }
    }
}
