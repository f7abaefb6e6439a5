//! The table: which policy a path has.
//!
//! Patterns are paths whose segments are literal, a `{name}` that stands for exactly one segment, or a last `*` that
//! stands for one or more. At each segment a literal goes before a `{name}`, and that before `*`, so the most specific
//! pattern wins and the order of registration does not matter. Two patterns that match the same paths are refused.
//!
//! # What is compared
//! The path as it was sent. Paths that some server behind the layer might read differently never get here: they are
//! passed on uncached (see [`url`](crate::url)).

use std::collections::BTreeMap;

use http::{HeaderName, HeaderValue, Method, header};

use super::{
    groups::{GroupPattern, GroupProblem},
    policy::{Invalidates, RoutePolicy, Sharing, cache_control},
};

/// Longest name of an entity, in bytes.
pub const ENTITY_BYTES_MAX: usize = 64;

/// A table that cannot be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// Two patterns match the same paths.
    #[error("the patterns {first:?} and {second:?} match the same paths: remove one")]
    Conflict {
        /// The one that was there.
        first: String,
        /// The one that came after it.
        second: String,
    },
    /// A pattern is no pattern.
    #[error("{pattern:?} is no pattern: {hint}")]
    Malformed {
        /// The pattern.
        pattern: String,
        /// What to do.
        hint: &'static str,
    },
    /// A group's text names a parameter that the route's pattern does not have.
    #[error("the group {group:?} of {pattern:?} names {{{parameter}}}, which the pattern does not have")]
    UnknownParameter {
        /// The route's pattern.
        pattern: String,
        /// The group's text.
        group: String,
        /// The parameter.
        parameter: String,
    },
    /// A group's text is none.
    #[error("the group {group:?} of {pattern:?} is malformed: {hint}")]
    MalformedGroup {
        /// The route's pattern.
        pattern: String,
        /// The group's text.
        group: String,
        /// What to do.
        hint: &'static str,
    },
    /// An entity cannot be a label of metrics.
    #[error("{entity:?} of {pattern:?} is no name of an entity: use 1 to {ENTITY_BYTES_MAX} printable characters")]
    Entity {
        /// The route's pattern.
        pattern: String,
        /// The name.
        entity: String,
    },
    /// A route declares groups wrong at a method that changes nothing.
    #[error("{pattern:?} declares groups wrong at {method}, which is a safe method: name an unsafe one")]
    SafeMethod {
        /// The route's pattern.
        pattern: String,
        /// The method.
        method: Method,
    },
    /// A name is no name of a header.
    #[error("{name:?} is no name of a request header")]
    NotAHeader {
        /// The name.
        name: String,
    },
}

/// The table of routes, and the request headers that count for all of them.
#[derive(Debug)]
pub struct RoutePolicies {
    root: Node,
    pub(super) routes: Vec<Route>,
    vary_on: Vec<HeaderName>,
    identified_by: Vec<HeaderName>,
    vary: HeaderValue,
    /// Whether public responses may be in groups: then writes of every route may concern them.
    has_public_groups: bool,
}

/// The place of a route in its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteId(usize);

impl RouteId {
    /// The how-manieth route it is that was registered, from 0.
    pub fn index(self) -> usize {
        self.0
    }
}

/// A policy, ready for use.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) policy: RoutePolicy,
    pub(crate) cache_control: HeaderValue,
    /// The groups of every response.
    pub(crate) groups: Vec<GroupPattern>,
    /// What an unsafe request declares wrong, besides its URI.
    pub(crate) invalidates: Vec<(Option<Method>, Vec<GroupPattern>)>,
    pub(super) pattern: String,
}

#[derive(Debug, Default)]
struct Node {
    literals: BTreeMap<Box<str>, Node>,
    one: Option<Box<Node>>,
    rest: Option<usize>,
    here: Option<usize>,
}

/// Builds [`RoutePolicies`].
#[derive(Debug)]
pub struct RoutePoliciesBuilder {
    routes: Vec<(String, RoutePolicy)>,
    vary_on: Vec<String>,
    identified_by: Vec<String>,
}

impl RoutePolicies {
    /// A table to be filled.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use unstale::Policy;
    /// # use unstale_http::{RoutePolicies, RoutePolicy};
    /// let two_minutes = Policy::ttl(Duration::from_secs(120));
    /// let routes = RoutePolicies::builder()
    ///     .route("/api/v1/field-mappings/{import}", RoutePolicy::cached("field_mappings", two_minutes))
    ///     .route("/api/v1/field-mappings/*", RoutePolicy::uncached("field_mappings"))
    ///     .identified_by(["cookie", "authorization", "x-client-account-id"])
    ///     .build()
    ///     .unwrap();
    /// ```
    pub fn builder() -> RoutePoliciesBuilder {
        RoutePoliciesBuilder {
            routes: Vec::new(),
            vary_on: vec!["accept".into()],
            identified_by: vec!["cookie".into(), "authorization".into()],
        }
    }

    /// The request headers that tell responses apart.
    pub fn vary_on(&self) -> &[HeaderName] {
        &self.vary_on
    }

    /// The value of `Vary`.
    pub(crate) fn vary(&self) -> &HeaderValue {
        &self.vary
    }

    /// The request headers from which the application makes the identity.
    pub fn identified_by(&self) -> &[HeaderName] {
        &self.identified_by
    }

    /// Whether public responses may be in groups.
    pub(crate) fn has_public_groups(&self) -> bool {
        self.has_public_groups
    }

    /// The route of a path.
    pub fn find(&self, path: &str) -> Option<RouteId> {
        self.root.find(path.strip_prefix('/')?).map(RouteId)
    }

    /// A route.
    pub(crate) fn route(&self, id: RouteId) -> &Route {
        &self.routes[id.0]
    }

    /// The policy of a path, as it was registered.
    pub fn policy(&self, path: &str) -> Option<&RoutePolicy> {
        self.find(path).map(|id| &self.route(id).policy)
    }
}

impl RoutePoliciesBuilder {
    /// Adds a route.
    #[must_use]
    pub fn route(mut self, pattern: impl Into<String>, policy: RoutePolicy) -> Self {
        self.routes.push((pattern.into(), policy));
        self
    }

    /// Sets the request headers that tell responses apart, in place of `accept`. A response whose own `Vary` names
    /// another one is not stored.
    #[must_use]
    pub fn vary_on<H: Into<String>>(mut self, headers: impl IntoIterator<Item = H>) -> Self {
        self.vary_on = headers.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the request headers from which the application makes the [`Identity`](crate::Identity), in place of
    /// `cookie` and `authorization`. The verified identity stands for them in the key; they are named in `Vary`, so
    /// that no browser shows one identity what it kept of another.
    #[must_use]
    pub fn identified_by<H: Into<String>>(mut self, headers: impl IntoIterator<Item = H>) -> Self {
        self.identified_by = headers.into_iter().map(Into::into).collect();
        self
    }

    /// Checks and builds the table.
    pub fn build(self) -> Result<RoutePolicies, RouteError> {
        let mut root = Node::default();
        let mut routes: Vec<Route> = Vec::new();
        for (pattern, policy) in self.routes {
            let place = root.place(&pattern)?;
            if let Some(taken) = *place {
                return Err(RouteError::Conflict { first: routes[taken].pattern.clone(), second: pattern });
            }
            *place = Some(routes.len());
            routes.push(Route::new(pattern, policy)?);
        }
        let mut vary_on = names(&self.vary_on)?;
        vary_on.sort_by(|one, other| one.as_str().cmp(other.as_str()));
        vary_on.dedup();
        let mut all = vary_on.clone();
        let identified_by = names(&self.identified_by)?;
        all.extend(identified_by.iter().filter(|name| !vary_on.contains(name)).cloned());
        let all: Vec<&str> = all.iter().map(HeaderName::as_str).collect();
        let vary = HeaderValue::try_from(all.join(", ")).expect("names of headers make a header");
        let has_public_groups =
            routes.iter().any(|route| route.policy.sharing == Sharing::Public && route.has_groups());
        Ok(RoutePolicies { root, routes, vary_on, identified_by, vary, has_public_groups })
    }
}

impl Route {
    fn new(pattern: String, policy: RoutePolicy) -> Result<Self, RouteError> {
        let entity = &policy.entity;
        if entity.is_empty() || entity.len() > ENTITY_BYTES_MAX || entity.chars().any(char::is_control) {
            let entity = entity.chars().take(ENTITY_BYTES_MAX).collect();
            return Err(RouteError::Entity { pattern, entity });
        }
        let groups = parsed(&policy.groups, &pattern)?;
        let mut invalidates = Vec::new();
        for Invalidates { method, groups } in &policy.invalidates {
            if let Some(method) = method.as_ref().filter(|method| is_safe(method)) {
                return Err(RouteError::SafeMethod { pattern, method: method.clone() });
            }
            invalidates.push((method.clone(), parsed(groups, &pattern)?));
        }
        Ok(Self { cache_control: cache_control(policy.browser), groups, invalidates, policy, pattern })
    }

    fn has_groups(&self) -> bool {
        !self.groups.is_empty() || !self.policy.groups_from.is_empty()
    }
}

fn parsed(groups: &[String], pattern: &str) -> Result<Vec<GroupPattern>, RouteError> {
    let parse = |group: &String| {
        GroupPattern::parse(group, pattern).map_err(|problem| {
            let (pattern, group) = (pattern.to_owned(), group.clone());
            match problem {
                GroupProblem::UnknownParameter(parameter) => RouteError::UnknownParameter { pattern, group, parameter },
                GroupProblem::Malformed(hint) => RouteError::MalformedGroup { pattern, group, hint },
            }
        })
    };
    groups.iter().map(parse).collect()
}

/// Whether a request of this method changes nothing by what the method means. What is unknown may change something.
pub(crate) fn is_safe(method: &Method) -> bool {
    // CONNECT says nothing of a resource; QUERY, PROPFIND, REPORT and SEARCH are registered as safe.
    [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE, Method::CONNECT].contains(method)
        || matches!(method.as_str(), "QUERY" | "PROPFIND" | "REPORT" | "SEARCH")
}

fn names(texts: &[String]) -> Result<Vec<HeaderName>, RouteError> {
    texts
        .iter()
        .map(|name| HeaderName::try_from(name.as_str()).map_err(|_| RouteError::NotAHeader { name: name.clone() }))
        .collect()
}

impl Node {
    /// Where a pattern's policy belongs; makes the way there.
    fn place(&mut self, pattern: &str) -> Result<&mut Option<usize>, RouteError> {
        let malformed = |hint| RouteError::Malformed { pattern: pattern.to_owned(), hint };
        let path = pattern.strip_prefix('/').ok_or_else(|| malformed("it must begin with '/'"))?;
        let mut node = self;
        let mut names: Vec<&str> = Vec::new();
        let mut segments = path.split('/').peekable();
        while let Some(segment) = segments.next() {
            if segment == "*" {
                return match segments.peek() {
                    None => Ok(&mut node.rest),
                    Some(_) => Err(malformed("'*' can only be the last segment; use '{name}' for one segment")),
                };
            }
            let inner = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
            node = match inner {
                Some("") => return Err(malformed("give the segment a name: '{id}'")),
                Some(name) if names.contains(&name) => {
                    return Err(malformed("give each '{name}' a name of its own"));
                }
                Some(name) => {
                    names.push(name);
                    node.one.get_or_insert_default()
                }
                None if segment.contains(['*', '{', '}', '?', '#', '%', ';', '\\']) => {
                    return Err(malformed("a segment is literal, '{name}', or a last '*'"));
                }
                None => node.literals.entry(segment.into()).or_default(),
            };
        }
        Ok(&mut node.here)
    }

    fn find(&self, path: &str) -> Option<usize> {
        // Segments are short: looking at each byte is quicker than beginning a search.
        let (segment, rest) = match path.bytes().position(|byte| byte == b'/') {
            Some(end) => (&path[..end], Some(&path[end + 1..])),
            None => (path, None),
        };
        let below = |node: &Self| match rest {
            Some(rest) => node.find(rest),
            None => node.here,
        };
        let literal = self.literals.get(segment).and_then(below);
        let named = || if segment.is_empty() { None } else { self.one.as_deref().and_then(below) };
        let any = || if segment.is_empty() { None } else { self.rest };
        literal.or_else(named).or_else(any)
    }
}

/// `Vary`, as a header name next to its value.
pub(crate) const VARY: HeaderName = header::VARY;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::GroupHeader;

    fn table(patterns: &[&'static str]) -> Result<RoutePolicies, RouteError> {
        patterns
            .iter()
            .fold(RoutePolicies::builder(), |builder, pattern| builder.route(*pattern, RoutePolicy::uncached(*pattern)))
            .build()
    }

    fn check(patterns: &[&'static str], path: &str, expected: Option<&str>) {
        let mut patterns = patterns.to_vec();
        for _ in 0..2 {
            let table = table(&patterns).unwrap();
            assert_eq!(table.policy(path).map(|policy| &*policy.entity), expected, "{path} in {patterns:?}");
            patterns.reverse();
        }
    }

    #[test]
    fn the_most_specific_pattern_wins_in_any_order() {
        let patterns = ["/a/*", "/a/{id}", "/a/b", "/a/{id}/c", "/a/b/*", "/"];
        check(&patterns, "/a/b", Some("/a/b"));
        check(&patterns, "/a/x", Some("/a/{id}"));
        check(&patterns, "/a/x/c", Some("/a/{id}/c"));
        check(&patterns, "/a/x/d", Some("/a/*"));
        check(&patterns, "/a/b/c", Some("/a/b/*"));
        check(&patterns, "/", Some("/"));
        check(&patterns, "/b", None);
    }

    #[test]
    fn a_literal_that_leads_nowhere_does_not_hide_a_wider_pattern() {
        check(&["/a/b/c", "/{x}/b/d", "/a/*"], "/a/b/d", Some("/a/*"));
        check(&["/a/b/c", "/{x}/b/d"], "/a/b/d", Some("/{x}/b/d"));
    }

    #[test]
    fn placeholders_stand_for_something() {
        for path in ["/a/", "/a", "/a//", "a/b", ""] {
            check(&["/a/{id}", "/a/*"], path, None);
        }
        check(&["/a/*"], "/a/b/", Some("/a/*"));
        check(&["/a/"], "/a/", Some("/a/"));
    }

    #[test]
    fn patterns_that_match_the_same_are_refused() {
        for (first, second) in [("/a/{id}", "/a/{name}"), ("/a/*", "/a/*"), ("/a", "/a")] {
            let conflict = RouteError::Conflict { first: first.into(), second: second.into() };
            assert_eq!(table(&[first, second]).unwrap_err(), conflict);
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for pattern in ["", "a", "/a/*/b", "/a/{}", "/a/b*", "/a/x{id}", "/a?b", "/a/%20"] {
            assert!(matches!(table(&[pattern]), Err(RouteError::Malformed { .. })), "{pattern:?} was accepted");
        }
        // A parameter that stands twice would name two things.
        assert!(matches!(table(&["/a/{id}/b/{id}"]), Err(RouteError::Malformed { .. })));
        let spoiled = RoutePolicies::builder().vary_on(["a header"]).build();
        assert_eq!(spoiled.unwrap_err(), RouteError::NotAHeader { name: "a header".into() });
    }

    #[test]
    fn what_a_route_cannot_mean_is_refused_with_what_to_do() {
        let check = |policy: RoutePolicy, expected: &str| {
            let error = RoutePolicies::builder().route("/a/{id}", policy).build().unwrap_err();
            assert_eq!(error.to_string(), expected);
        };
        let plain = || RoutePolicy::uncached("a");
        check(
            plain().groups(["a:{b}"]),
            r#"the group "a:{b}" of "/a/{id}" names {b}, which the pattern does not have"#,
        );
        check(
            plain().invalidates(Method::POST, ["a:{id"]),
            r#"the group "a:{id" of "/a/{id}" is malformed: write '{name}' for a parameter and '{{' or '}}' for a brace"#,
        );
        check(
            plain().invalidates(Method::GET, ["a"]),
            r#""/a/{id}" declares groups wrong at GET, which is a safe method: name an unsafe one"#,
        );
        check(
            RoutePolicy::uncached("a\nb"),
            r#""a\nb" of "/a/{id}" is no name of an entity: use 1 to 64 printable characters"#,
        );
    }

    #[test]
    fn vary_names_what_counts_and_what_identifies_once_each() {
        let routes = RoutePolicies::builder().vary_on(["Accept-Language", "accept", "accept"]);
        let routes = routes.identified_by(["cookie", "accept", "x-client-account-id"]).build().unwrap();
        assert_eq!(routes.vary(), "accept, accept-language, cookie, x-client-account-id");
        assert_eq!(routes.vary_on().len(), 2);
        assert_eq!(routes.identified_by(), ["cookie", "accept", "x-client-account-id"]);
    }

    #[test]
    fn a_route_is_known_by_its_place_in_the_table() {
        let table = table(&["/b", "/a", "/a/{id}"]).unwrap();
        for (at, path) in ["/b", "/a", "/a/7"].into_iter().enumerate() {
            assert_eq!(table.find(path).unwrap().index(), at, "{path}");
        }
    }

    #[test]
    fn public_responses_are_in_groups_where_a_public_route_or_its_service_names_some() {
        let check = |sharing, groups: &[&str], from: &[GroupHeader], expected| {
            let policy = RoutePolicy::uncached("a").sharing(sharing);
            let policy = policy.groups(groups.iter().copied()).groups_from(from.iter().copied());
            let table = RoutePolicies::builder().route("/a", policy).build().unwrap();
            assert_eq!(table.has_public_groups(), expected, "{sharing:?} {groups:?} {from:?}");
        };
        check(Sharing::Public, &["a"], &[], true);
        check(Sharing::Public, &[], &[GroupHeader::CacheGroups], true);
        check(Sharing::Public, &["a"], &[GroupHeader::CacheGroups], true);
        check(Sharing::Public, &[], &[], false);
        check(Sharing::Tenant, &["a"], &[GroupHeader::CacheGroups], false);
    }
}
