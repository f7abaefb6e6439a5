//! Groups that an origin names (RFC 9875): `Cache-Groups` says which a response is in, `Cache-Group-Invalidation` which
//! ones a write made out of date.

use http::{HeaderMap, HeaderName, Method};
use sfv::{BareItem, List, ListEntry, Parser};

use super::invalidation::is_safe;
use crate::headers::CACHE_GROUPS;

/// Which groups are out of date.
pub const CACHE_GROUP_INVALIDATION: HeaderName = HeaderName::from_static("cache-group-invalidation");

/// How many groups are read, and how long they may be. RFC 9875, 2.1, asks for at least 32 of 32 characters.
#[derive(Clone, Copy, Debug)]
pub struct GroupLimits {
    /// Groups of one message; the others are passed over.
    pub groups_max: usize,
    /// Characters of one; longer ones are passed over.
    pub length_max: usize,
}

/// The groups that a response is in.
pub fn of_response(headers: &HeaderMap, limits: GroupLimits) -> Vec<String> {
    strings(headers, &CACHE_GROUPS, limits)
}

/// The groups that a response declares out of date; none for a safe method (RFC 9875, 3).
pub fn invalidated(method: &Method, headers: &HeaderMap, limits: GroupLimits) -> Vec<String> {
    if is_safe(method) { Vec::new() } else { strings(headers, &CACHE_GROUP_INVALIDATION, limits) }
}

/// A structured list of strings; one that is malformed counts as not there, a member that is no string is passed over.
fn strings(headers: &HeaderMap, name: &HeaderName, limits: GroupLimits) -> Vec<String> {
    let lines: Option<Vec<&str>> = headers.get_all(name).iter().map(|line| line.to_str().ok()).collect();
    let list = lines.and_then(|lines| Parser::new(&lines.join(",")).parse::<List>().ok()).unwrap_or_default();
    let mut groups: Vec<String> = Vec::new();
    for entry in list {
        if let ListEntry::Item(item) = entry
            && let BareItem::String(text) = item.bare_item
            && text.as_str().len() <= limits.length_max
            && !groups.iter().any(|known| known == text.as_str())
        {
            groups.push(text.as_str().to_owned());
        }
    }
    groups.truncate(limits.groups_max);
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rfc9111::testing::headers;

    const LIMITS: GroupLimits = GroupLimits { groups_max: 3, length_max: 8 };

    fn check(lines: &[&str], expected: &[&str]) {
        let lines: Vec<_> = lines.iter().map(|line| ("cache-groups", *line)).collect();
        assert_eq!(of_response(&headers(&lines), LIMITS), expected, "{lines:?}");
    }

    #[test]
    fn a_list_of_strings() {
        check(&["\"a\", \"b\";x=1", "\"c d\""], &["a", "b", "c d"]);
        check(&["\"a\", b, (\"c\"), 1, \"A\""], &["a", "A"]);
        check(&["\"a\",\"a\", \"b\",\"c\",\"d\""], &["a", "b", "c"]);
        check(&["\"123456789\", \"12345678\""], &["12345678"]);
        for spoiled in ["\"a\",", "\"a", "\"a\" \"b\"", "'a'", "\u{e9}", ""] {
            check(&[spoiled], &[]);
        }
    }

    #[test]
    fn a_safe_request_makes_nothing_out_of_date() {
        let said = headers(&[("cache-group-invalidation", "\"a\"")]);
        assert_eq!(invalidated(&Method::POST, &said, LIMITS), ["a"]);
        assert_eq!(invalidated(&Method::GET, &said, LIMITS), [""; 0]);
    }
}
