//! Which part of the query does not matter, by the origin's word (`No-Vary-Search`).
//!
//! After `draft-ietf-httpbis-no-vary-search`. It concerns routes whose lifetimes are the service's; of others, and beside
//! it, the route says which part counts ([`Query`](crate::Query)).

use std::fmt;

use http::{HeaderMap, HeaderName};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use sfv::{BareItem, Dictionary, Item, ListEntry, Parser};

/// What of a query does not matter.
pub const NO_VARY_SEARCH: HeaderName = HeaderName::from_static("no-vary-search");

/// What of a query matters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Search {
    /// The order of parameters of different names does not.
    pub key_order: bool,
    /// Which parameters do.
    pub counted: Counted,
}

/// Which parameters matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Counted {
    /// All.
    #[default]
    All,
    /// All but these.
    AllBut(Vec<String>),
    /// These alone.
    Only(Vec<String>),
}

impl Search {
    /// What a response says. What is malformed says nothing: then all matters.
    pub fn of(headers: &HeaderMap) -> Self {
        let lines: Option<Vec<&str>> = headers.get_all(NO_VARY_SEARCH).iter().map(|line| line.to_str().ok()).collect();
        lines.and_then(|lines| Self::parse(&lines.join(","))).unwrap_or_default()
    }

    /// What a text says, in the header's form; none if it is malformed.
    pub fn parse(said: &str) -> Option<Self> {
        Self::read(&Parser::new(said).parse::<Dictionary>().ok()?)
    }

    fn read(said: &Dictionary) -> Option<Self> {
        let key_order = match said.get("key-order") {
            None => false,
            Some(entry) => boolean(entry)?,
        };
        let counted = match (said.get("params"), said.get("except")) {
            (None, None) => Counted::All,
            (Some(params), None) => match (boolean(params), strings(params)) {
                (Some(true), _) => Counted::Only(Vec::new()),
                (Some(false), _) => Counted::All,
                (None, names) => Counted::AllBut(names?),
            },
            (Some(params), Some(except)) if boolean(params) == Some(true) => Counted::Only(strings(except)?),
            (_, Some(_)) => return None,
        };
        Some(Self { key_order, counted })
    }

    /// Whether it says what holds anyway: that all matters.
    pub fn is_default(&self) -> bool {
        !self.key_order && self.counted.is_all()
    }

    /// Whether two queries are the same as far as they matter. Where nothing is said, only equal ones are.
    pub fn is_same(&self, one: Option<&str>, other: Option<&str>) -> bool {
        one == other || (!self.is_default() && self.counted_of(one) == self.counted_of(other))
    }

    /// One text for all queries that are the same as far as they matter, and for no other.
    pub fn simplified(&self, query: Option<&str>) -> String {
        if self.is_default() {
            return query.map_or_else(String::new, |query| format!("={query}"));
        }
        let mut text = String::new();
        for (name, value) in self.counted_of(query) {
            text.push('&');
            text.extend(utf8_percent_encode(&name, NON_ALPHANUMERIC));
            text.push('=');
            text.extend(utf8_percent_encode(&value, NON_ALPHANUMERIC));
        }
        text
    }

    /// The parameters of a query that matter, decoded, in the order that matters.
    pub fn counted_of(&self, query: Option<&str>) -> Vec<(String, String)> {
        let decoded = |text: &str| crate::url::plain(text).into_owned();
        let parameters = query.unwrap_or("").split('&').filter(|parameter| !parameter.is_empty());
        let mut counted: Vec<(String, String)> = parameters
            .map(|parameter| parameter.split_once('=').unwrap_or((parameter, "")))
            .map(|(name, value)| (decoded(name), decoded(value)))
            .filter(|(name, _)| match &self.counted {
                Counted::All => true,
                Counted::AllBut(names) => !names.contains(name),
                Counted::Only(names) => names.contains(name),
            })
            .collect();
        if self.key_order {
            counted.sort_by(|one, other| one.0.cmp(&other.0));
        }
        counted
    }
}

/// As the header says it.
impl fmt::Display for Search {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.key_order { "key-order" } else { "key-order=?0" })?;
        let (before, names) = match &self.counted {
            Counted::All => return Ok(()),
            Counted::AllBut(names) => (", params=(", names),
            Counted::Only(names) => (", params, except=(", names),
        };
        f.write_str(before)?;
        for (at, name) in names.iter().enumerate() {
            f.write_str(if at > 0 { " \"" } else { "\"" })?;
            utf8_percent_encode(name, NON_ALPHANUMERIC).fmt(f)?;
            f.write_str("\"")?;
        }
        f.write_str(")")
    }
}

impl Counted {
    fn is_all(&self) -> bool {
        match self {
            Self::All => true,
            Self::AllBut(names) => names.is_empty(),
            Self::Only(_) => false,
        }
    }
}

fn boolean(entry: &ListEntry) -> Option<bool> {
    match entry {
        ListEntry::Item(Item { bare_item: BareItem::Boolean(value), .. }) => Some(*value),
        _ => None,
    }
}

fn strings(entry: &ListEntry) -> Option<Vec<String>> {
    let ListEntry::InnerList(list) = entry else { return None };
    let text = |item: &Item| match &item.bare_item {
        // Written as in a query, so that any name can be.
        BareItem::String(text) => Some(crate::url::plain(text.as_str()).into_owned()),
        _ => None,
    };
    list.items.iter().map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rfc9111::testing::headers;

    fn check(said: &str, one: &str, other: &str, expected: bool) {
        let search = Search::of(&headers(&[("no-vary-search", said)]));
        assert_eq!(search.is_same(Some(one), Some(other)), expected, "{said}: {one} and {other}");
        let simplified = search.simplified(Some(one)) == search.simplified(Some(other));
        assert_eq!(simplified, expected, "{said}: {one} and {other}");
    }

    #[test]
    fn parameters_that_do_not_matter_are_left_out() {
        check("params=(\"utm\")", "a=1&utm=x", "a=1", true);
        check("params=(\"utm\")", "a=1&utm=x", "a=2&utm=x", false);
        check("params", "a=1", "b=2", true);
        check("params, except=(\"a\")", "a=1&b=2", "a=1", true);
        check("params, except=(\"a\")", "a=1", "a=2", false);
    }

    #[test]
    fn order_matters_unless_it_is_said_not_to() {
        check("key-order", "a=1&b=2", "b=2&a=1", true);
        check("key-order", "a=1&a=2", "a=2&a=1", false);
        check("key-order=?0", "a=1&b=2", "b=2&a=1", false);
    }

    #[test]
    fn parameters_are_compared_as_servers_read_them() {
        check("key-order", "%61=b+c", "a=b%20c", true);
        check("params=(\"a b\")", "a+b=1", "a%20b=2", true);
        check("params=(\"%C3%A9+%E6%B0%97\")", "%C3%A9%20%E6%B0%97=3&a=x", "a=%78", true);
        check("key-order", "a=%f6", "a=%ef%bf%bd", true);
        check("key-order", "a=x&&&&", "a=x", true);
        check("key-order", "a=", "a", true);
        check("key-order", "a=b%26c=d", "a=b&c=d", false);
    }

    #[test]
    fn where_nothing_is_said_only_equal_queries_are_the_same() {
        for said in ["params=?0", "params=()", "key-order=?0", "unknown"] {
            check(said, "a=b&&&c", "a=b&c=", false);
            check(said, "a=%78", "a=x", false);
            check(said, "a=x", "a=x", true);
        }
        let search = Search::default();
        assert!(!search.is_same(None, Some("")) && search.simplified(None) != search.simplified(Some("")));
        let search = Search { key_order: true, ..Search::default() };
        assert!(search.is_same(None, Some("")));
    }

    #[test]
    fn what_is_not_known_beside_the_rest_means_nothing() {
        check("params=(\"utm\"), soon=1", "a=1&utm=x", "a=1", true);
    }

    #[test]
    fn what_is_written_is_read_back() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let check = |key_order, counted, text: &str| {
            let search = Search { key_order, counted };
            assert_eq!(search.to_string(), text);
            assert_eq!(Search::parse(text), Some(search), "{text}");
        };
        check(false, Counted::All, "key-order=?0");
        check(true, Counted::All, "key-order");
        check(
            true,
            Counted::AllBut(names(&["a", "b c", "\u{e9}\""])),
            r#"key-order, params=("a" "b%20c" "%C3%A9%22")"#,
        );
        check(false, Counted::Only(names(&["a", "b"])), r#"key-order=?0, params, except=("a" "b")"#);
        check(false, Counted::Only(Vec::new()), "key-order=?0, params, except=()");
    }

    #[test]
    fn what_is_malformed_says_nothing() {
        for said in [
            "",
            "params=1",
            "params=(a)",
            "except=(\"a\")",
            "except=()",
            "params=?0, except=(\"a\")",
            "params=(), except=()",
            "params=(\"a\"), except=(\"x\")",
            "params, except=(a)",
            "params, except=\"a\"",
            "params, except=?1",
            "key-order=1",
            "params=(",
        ] {
            check(said, "a=1", "a=1&b=2", false);
            assert_eq!(Search::of(&headers(&[("no-vary-search", said)])), Search::default(), "{said}");
        }
    }
}
