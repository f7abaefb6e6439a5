//! Groups as services name them: `Cache-Groups` and `Cache-Group-Invalidation` (RFC 9875, lists of strings), and
//! `Surrogate-Key` (words between spaces). Pure.
//!
//! A name that is lost is an invalidation that will be missed, so nothing is dropped here: what cannot be read, or is
//! more than the limits allow, is an error, and the response is not kept. RFC 9875 lets a cache ignore a field that it
//! cannot parse; not keeping the response is the safe way to do that.

use http::{HeaderMap, HeaderName, HeaderValue};
use sfv::{BareItem, Item, List, ListEntry, Parser};

use crate::{
    headers::{CACHE_GROUPS, SURROGATE_KEY},
    reasons::NotStoredReason,
    route::{GroupHeader, Route},
    shared::HttpLimits,
};

impl GroupHeader {
    /// The header's name.
    pub fn name(self) -> HeaderName {
        match self {
            Self::CacheGroups => CACHE_GROUPS,
            Self::SurrogateKey => SURROGATE_KEY,
        }
    }

    fn names(self, headers: &HeaderMap) -> Result<Vec<String>, Malformed> {
        match self {
            Self::CacheGroups => strings(headers, &CACHE_GROUPS),
            Self::SurrogateKey => words(headers, &SURROGATE_KEY),
        }
    }
}

/// A field that is not what its name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Every group of a response: those that its route names for the path, and those that the service named.
pub(crate) fn of_response(
    route: &Route,
    path: &str,
    headers: &HeaderMap,
    limits: &HttpLimits,
) -> Result<Vec<String>, NotStoredReason> {
    let mut all: Vec<String> = route.groups.iter().map(|group| group.name(path)).collect();
    for header in &route.policy.groups_from {
        all.extend(header.names(headers).map_err(|Malformed| NotStoredReason::BadGroups)?);
    }
    all.sort_unstable();
    all.dedup();
    if all.len() > limits.origin_groups_max {
        return Err(NotStoredReason::TooManyGroups);
    }
    if all.iter().any(|name| name.len() > limits.group_bytes_max) {
        return Err(NotStoredReason::GroupTooLong);
    }
    Ok(all)
}

/// The members of a list of strings (RFC 9651), over all lines of a header. Their parameters say nothing here.
pub(crate) fn strings(headers: &HeaderMap, name: &HeaderName) -> Result<Vec<String>, Malformed> {
    let lines = headers.get_all(name).iter().map(text).collect::<Result<Vec<&str>, _>>()?;
    // A line that is empty adds nothing to the list.
    let lines: Vec<&str> = lines.into_iter().filter(|line| !line.trim().is_empty()).collect();
    let list: List = Parser::new(&lines.join(",")).parse().map_err(|_| Malformed)?;
    list.into_iter()
        .map(|entry| match entry {
            ListEntry::Item(Item { bare_item: BareItem::String(text), .. }) => Ok(text.into()),
            _ => Err(Malformed),
        })
        .collect()
}

pub(crate) fn words(headers: &HeaderMap, name: &HeaderName) -> Result<Vec<String>, Malformed> {
    let mut all = Vec::new();
    for line in headers.get_all(name) {
        all.extend(text(line)?.split([' ', '\t']).filter(|word| !word.is_empty()).map(str::to_owned));
    }
    Ok(all)
}

fn text(line: &HeaderValue) -> Result<&str, Malformed> {
    line.to_str().map_err(|_| Malformed)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use unstale::Policy;

    use super::*;
    use crate::route::{RoutePolicies, RoutePolicy};

    fn headers(lines: &[&str], name: &HeaderName) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(name, HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        headers
    }

    fn check(lines: &[&str], expected: Result<&[&str], Malformed>) {
        let names = strings(&headers(lines, &CACHE_GROUPS), &CACHE_GROUPS);
        assert_eq!(names.map(|names| names.join("|")), expected.map(|names| names.join("|")), "{lines:?}");
    }

    #[test]
    fn a_list_of_strings_is_read_over_all_its_lines() {
        check(&[], Ok(&[]));
        check(&["", "  "], Ok(&[]));
        check(&[r#""import:7""#], Ok(&["import:7"]));
        check(&[r#" "a",	"b" , "c d""#, r#""e""#], Ok(&["a", "b", "c d", "e"]));
        check(&[r#""a\"b\\c""#], Ok(&[r#"a"b\c"#]));
        check(&[r#""a";x;y=1; *z="q,;\"";t=?1, "b";d=@5"#], Ok(&["a", "b"]));
        check(&[r#""""#], Ok(&[""]));
    }

    #[test]
    fn what_is_no_list_of_strings_is_an_error_and_not_a_shorter_list() {
        for line in [
            "a",
            "7",
            r#""a" "b""#,
            r#""a","#,
            ",'a'",
            r#""a"#,
            r#""a\n""#,
            r#""a\"#,
            r#"("a" "b")"#,
            "\"\u{e4}\"",
            "\"a\tb\"",
            r#""a";"#,
            r#""a";X=1"#,
            r#""a";x="#,
            r#""a", b"#,
            ":YQ==:",
        ] {
            check(&[line], Err(Malformed));
            check(&[r#""fine""#, line], Err(Malformed));
        }
    }

    #[test]
    fn words_stand_between_spaces() {
        let read = |lines: &[&str]| words(&headers(lines, &SURROGATE_KEY), &SURROGATE_KEY);
        assert_eq!(read(&["a  b/c\td", "e"]), Ok(["a", "b/c", "d", "e"].map(str::to_owned).to_vec()));
        assert_eq!(read(&[" "]), Ok(Vec::new()));
        assert_eq!(read(&["a \u{e4}"]), Err(Malformed));
    }

    fn of(path: &str, lines: &[(GroupHeader, &str)]) -> Result<Vec<String>, NotStoredReason> {
        let policy = RoutePolicy::cached("import", Policy::ttl(Duration::from_secs(1)));
        let policy = policy.groups(["import:{id}", "imports"]);
        let policy = policy.groups_from([GroupHeader::CacheGroups, GroupHeader::SurrogateKey]);
        let table = RoutePolicies::builder().route("/imports/{id}", policy).build().unwrap();
        let mut headers = HeaderMap::new();
        for (header, line) in lines {
            headers.append(header.name(), HeaderValue::from_str(line).unwrap());
        }
        let limits = HttpLimits { origin_groups_max: 4, group_bytes_max: 12, ..HttpLimits::default() };
        of_response(table.route(table.find(path).unwrap()), path, &headers, &limits)
    }

    #[test]
    fn the_groups_of_a_response_are_its_routes_and_its_services_each_once() {
        let both = [(GroupHeader::CacheGroups, r#""x", "imports""#), (GroupHeader::SurrogateKey, "x y")];
        assert_eq!(of("/imports/a%20b", &both).unwrap(), ["import:a b", "imports", "x", "y"]);
        assert_eq!(of("/imports/7", &[]).unwrap(), ["import:7", "imports"]);
    }

    #[test]
    fn beyond_a_limit_no_group_is_dropped_but_the_response_is_not_kept() {
        use GroupHeader::{CacheGroups, SurrogateKey};
        use NotStoredReason::{BadGroups, GroupTooLong, TooManyGroups};
        assert_eq!(of("/imports/7", &[(SurrogateKey, "a b c")]), Err(TooManyGroups));
        assert_eq!(of("/imports/7", &[(CacheGroups, r#""0123456789ab""#)]).unwrap().len(), 3);
        assert_eq!(of("/imports/7", &[(CacheGroups, r#""0123456789abc""#)]), Err(GroupTooLong));
        assert_eq!(of("/imports/012345", &[]), Err(GroupTooLong));
        assert_eq!(of("/imports/7", &[(CacheGroups, "a")]), Err(BadGroups));
    }

    proptest! {
        #[test]
        fn strings_survive_their_notation(names in proptest::collection::vec("[ -~]{0,8}", 0..5)) {
            let quoted = |name: &String| format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""));
            let line = names.iter().map(quoted).collect::<Vec<_>>().join(", ");
            prop_assert_eq!(strings(&headers(&[&line], &CACHE_GROUPS), &CACHE_GROUPS), Ok(names));
        }

        #[test]
        fn no_text_stops_the_reader(line in "[ab\"\\\\,; =(]{0,12}") {
            let _ = strings(&headers(&[&line], &CACHE_GROUPS), &CACHE_GROUPS);
        }
    }
}
