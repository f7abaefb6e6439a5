//! The list `[[routes]]`.

use std::collections::{BTreeSet, HashMap};

use unstale_http::{RouteError, RoutePolicies, RoutePolicy};

use super::{
    super::{
        fault::{Path, Place},
        file::{Browser, CacheMode, File, LifetimeOf, QueryOf, RouteCache, RouteFile, SharingOf},
        group::{self, Part},
        structure::quoted,
    },
    Checker,
};
use crate::settings::nearest;

impl Checker<'_, '_> {
    pub(super) fn routes(&mut self, file: &File) {
        // Who stands where, by what the path means.
        let mut taken: HashMap<String, Vec<(&RouteFile, Place)>> = HashMap::new();
        for (place, route) in file.routes.iter().enumerate() {
            let at = Path::of("routes").item(place);
            self.upstream(&at.key("upstream"), &route.upstream);
            let Some(parameters) = self.pattern(&at.key("path"), &route.path) else { continue };
            let here = self.document.place(&self.judged.original(&at));
            let others = taken.entry(group::numbered(&route.path)).or_default();
            if let Some((_, other)) = others.iter().find(|(other, _)| meet(&route.methods, &other.methods)) {
                let found = format!("matches what the route in line {} matches", other.line);
                let advice = Some("remove one of them, or give them methods of their own".to_owned());
                self.advise(&at.key("path"), found, "one route for each path and method", advice);
            }
            others.push((route, here));
            self.groups(&at, route, &parameters);
            self.query(&at, route);
            self.browser(&at, route);
            if let Some(cache) = &route.cache {
                self.route_cache(&at, cache, route, file);
            }
        }
    }

    /// The names of a path's parameters; none, and a fault, if it is no pattern.
    fn pattern<'r>(&mut self, at: &Path, pattern: &'r str) -> Option<BTreeSet<&'r str>> {
        let found = format!("is {}", quoted(pattern));
        let built = RoutePolicies::builder().route(pattern, RoutePolicy::uncached("checked")).build();
        // One pattern cannot conflict with itself.
        if let Err(RouteError::Malformed { hint, .. }) = built {
            self.fault(at, found, format!("a pattern such as \"/items/{{id}}\": {hint}"));
            return None;
        }
        let mut names = BTreeSet::new();
        for name in pattern.split('/').filter_map(group::parameter) {
            if !names.insert(name) {
                self.fault(at, format!("has two parameters {name:?}"), "a name for each");
            }
        }
        Some(names)
    }

    fn groups(&mut self, at: &Path, route: &RouteFile, parameters: &BTreeSet<&str>) {
        for (name, groups) in [("groups", &route.groups), ("invalidates", &route.invalidates)] {
            for (place, group) in groups.iter().enumerate() {
                self.group(&at.key(name).item(place), group, parameters);
            }
        }
        let is_safe = |method: &String| matches!(method.as_str(), "GET" | "HEAD" | "OPTIONS" | "TRACE");
        let only_safe = !route.methods.is_empty() && route.methods.iter().all(is_safe);
        if only_safe && !route.invalidates.is_empty() {
            let advice = Some("name the groups in the route of the writes".to_owned());
            self.advise(&at.key("invalidates"), "is there for safe methods", "a method such as POST", advice);
        }
        let reads = route.methods.is_empty() || route.methods.iter().any(|method| method == "GET");
        if !reads && route.cache.is_some() {
            let advice = Some("add GET to methods, or remove the table".to_owned());
            self.advise(&at.key("cache"), "is there for methods that are not kept", "the method GET", advice);
        }
    }

    fn group(&mut self, at: &Path, group: &str, parameters: &BTreeSet<&str>) {
        if group.is_empty() {
            self.fault(at, "is empty", "a name such as \"import:{import_id}\"");
        }
        let Some(parts) = group::parts(group) else {
            let found = format!("is {}", quoted(group));
            self.fault(at, found, "each '{' with its '}' around a parameter's name ('{{' and '}}' stand for braces)");
            return;
        };
        for name in parts.into_iter().filter_map(|part| match part {
            Part::Parameter(name) => Some(name),
            Part::Text(_) => None,
        }) {
            if !parameters.contains(name) {
                let known = parameters.iter().map(|name| format!("{{{name}}}")).collect::<Vec<_>>();
                let expected = if known.is_empty() {
                    "no parameter, as the path has none".to_owned()
                } else {
                    format!("parameters of the path ({})", known.join(", "))
                };
                let advice =
                    nearest(name, parameters.iter().copied()).map(|meant| format!("did you mean {{{meant}}}?"));
                self.advise(at, format!("names {{{name}}}, which is not in the path"), expected, advice);
            }
        }
    }

    fn query(&mut self, at: &Path, route: &RouteFile) {
        match (route.query, route.query_names.is_empty()) {
            (QueryOf::Only, true) => {
                self.fault(
                    &at.key("query"),
                    "is \"only\" without query_names",
                    "the names of the parameters that count",
                );
            }
            (QueryOf::All | QueryOf::InOrder, false) => {
                let advice = Some("write query = \"only\", or remove the names".to_owned());
                self.advise(&at.key("query_names"), "is there, but every parameter counts", "nothing", advice);
            }
            _ => {}
        }
    }

    fn browser(&mut self, at: &Path, route: &RouteFile) {
        match (route.browser, route.browser_max_age) {
            (Browser::MaxAge, None) => {
                self.fault(&at.key("browser"), "is \"max_age\" without browser_max_age", "a time, such as \"1h\"");
            }
            (Browser::Revalidate | Browser::NoStore, Some(_)) => {
                let advice = Some("write browser = \"max_age\", or remove the time".to_owned());
                self.advise(&at.key("browser_max_age"), "is there, but the browser is to ask", "nothing", advice);
            }
            _ => {}
        }
    }

    fn route_cache(&mut self, at: &Path, cache: &RouteCache, route: &RouteFile, file: &File) {
        let inner = at.key("cache");
        match cache.lifetime {
            LifetimeOf::Route => {
                if cache.ttl.is_none_or(|ttl| ttl.0.is_zero()) {
                    let found = if cache.ttl.is_some() { "is 0s" } else { "is missing" };
                    let advice = Some("or lifetime = \"origin\", if the upstream says how long".to_owned());
                    self.advise(&inner.key("ttl"), found, "a time, such as \"5m\"", advice);
                }
                for (name, time) in [("ttl_max", cache.ttl_max), ("retain", cache.retain)] {
                    if time.is_some() {
                        let found = "is there, but the route says how long";
                        self.fault(&inner.key(name), found, "lifetime = \"origin\" beside it, or nothing");
                    }
                }
                if cache.origin.is_some() {
                    let found = "is there, but the route says how long";
                    self.fault(&inner.key("origin"), found, "lifetime = \"origin\" beside it, or nothing");
                }
            }
            LifetimeOf::Origin => {
                for (name, time) in [("grace", cache.grace), ("fail_safe", cache.fail_safe)] {
                    if time.is_some() {
                        let found = "is there, but the upstream says how long";
                        let same = if name == "grace" { "stale_while_revalidate" } else { "stale_if_error" };
                        let advice = Some(format!("what holds where it does not say is {same} in origin"));
                        self.advise(&inner.key(name), found, "lifetime = \"route\" beside it, or nothing", advice);
                    }
                }
            }
        }
        match (cache.mode, cache.bound) {
            (CacheMode::Strict, Some(_)) => {
                self.fault(&inner.key("bound"), "is there, but mode = \"strict\" has none", "nothing");
            }
            (CacheMode::StaleOk, None) => {
                self.fault(&inner.key("mode"), "is \"stale_ok\" without bound", "a bound, such as \"5m\"");
            }
            (_, Some(bound)) => self.some_time(&inner.key("bound"), bound),
            _ => {}
        }
        if let Some(timeout) = cache.load_timeout {
            self.some_time(&inner.key("load_timeout"), timeout);
        }
        if route.sharing != SharingOf::Public && file.identity.is_empty() && self.has_no_identity() {
            let advice = Some("add an [[identity]], or sharing = \"public\" if the answer is everybody's".to_owned());
            self.advise(&inner, "would keep nothing: nobody is verified", "a way to verify identities", advice);
        }
    }

    /// Whether the text has no `[[identity]]`, not even a wrong one.
    fn has_no_identity(&self) -> bool {
        self.document.top().iter().all(|(key, _)| key.get_ref() != "identity")
    }
}

/// Whether two lists of methods have one in common; an empty one has all.
fn meet(one: &[String], other: &[String]) -> bool {
    one.is_empty() || other.is_empty() || one.iter().any(|method| other.contains(method))
}
