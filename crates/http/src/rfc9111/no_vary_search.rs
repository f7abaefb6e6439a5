//! Which part of the query does not matter, by the origin's word (`No-Vary-Search`).
//!
//! The layer does not look responses up by it: a route says which part counts ([`Query`](crate::Query)), so that every
//! response of a URL has one key and one tag.

use http::{HeaderMap, HeaderName};
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
        let parsed = lines.and_then(|lines| Parser::new(&lines.join(",")).parse::<Dictionary>().ok());
        parsed.and_then(|said| Self::read(&said)).unwrap_or_default()
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

    /// Whether two queries are the same as far as they matter.
    pub fn is_same(&self, one: Option<&str>, other: Option<&str>) -> bool {
        self.counted_of(one) == self.counted_of(other)
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

fn boolean(entry: &ListEntry) -> Option<bool> {
    match entry {
        ListEntry::Item(Item { bare_item: BareItem::Boolean(value), .. }) => Some(*value),
        _ => None,
    }
}

fn strings(entry: &ListEntry) -> Option<Vec<String>> {
    let ListEntry::InnerList(list) = entry else { return None };
    let text = |item: &Item| match &item.bare_item {
        BareItem::String(text) => Some(text.as_str().to_owned()),
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
    }

    #[test]
    fn what_is_malformed_says_nothing() {
        for said in
            ["", "params=1", "params=(a)", "except=(\"a\")", "params=?0, except=(\"a\")", "key-order=1", "params=("]
        {
            check(said, "a=1", "a=1&b=2", false);
            assert_eq!(Search::of(&headers(&[("no-vary-search", said)])), Search::default(), "{said}");
        }
    }
}
