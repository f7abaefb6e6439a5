//! How long the server keeps the answers of each route, and for whom.
//!
//! Two lifetimes are told apart: the server's, here; and the browser's, which always asks (`private, no-cache`), so
//! that its own cache cannot hide an invalidation. Answers are kept for each user, except where every user of a
//! client gets the same and no role decides about it.

use std::sync::LazyLock;

use unstale_http::{RouteError, RoutePolicies, RoutePolicy, Sharing};

use super::BASE;
use crate::{auth::acting, coherence::policies};

/// The table of routes.
pub fn table() -> Result<RoutePolicies, RouteError> {
    routes()
        .into_iter()
        .fold(RoutePolicies::builder(), |table, (path, policy)| table.route(format!("{BASE}{path}"), policy))
        .identified_by(["cookie", "authorization", acting::HEADER])
        .build()
}

fn routes() -> Vec<(&'static str, RoutePolicy)> {
    let shared = |entity: &'static str, policy| RoutePolicy::cached(entity, policy).sharing(Sharing::Tenant);
    vec![
        ("/auth/active-users", RoutePolicy::cached("active_users", policies::SEEN)),
        ("/context/me", RoutePolicy::cached("context", policies::CONTEXT)),
        ("/context/full", RoutePolicy::cached("context", policies::CONTEXT)),
        ("/context/standing", RoutePolicy::cached("context", policies::CONTEXT)),
        ("/context/start", RoutePolicy::cached("user_defaults", policies::USER)),
        ("/context-establishment/clients", RoutePolicy::cached("clients", policies::LISTS)),
        ("/context-establishment/engagements", RoutePolicy::cached("engagements", policies::LISTS)),
        ("/users/{user}/defaults", RoutePolicy::cached("user_defaults", policies::USER)),
        ("/users/{user}/clients", RoutePolicy::cached("user_clients", policies::USER)),
        ("/engagements", shared("engagements", policies::LISTS)),
        ("/engagements/{engagement}", shared("engagements", policies::LISTS)),
        ("/engagements/{engagement}/flows", shared("flows", policies::FLOWS)),
        ("/engagements/{engagement}/mapping-statistics", shared("field_mappings", policies::FIELD_MAPPINGS)),
        ("/discovery/flows", shared("flows", policies::FLOWS)),
        ("/discovery/flows/{flow}", shared("flows", policies::FLOWS)),
        ("/discovery/flows/{flow}/state", shared("flows", policies::FLOWS)),
        ("/discovery/flows/{flow}/metadata", shared("flows", policies::FLOWS)),
        ("/imports", shared("imports", policies::IMPORTS)),
        ("/imports/{import}", shared("imports", policies::IMPORTS)),
        ("/target-attributes", RoutePolicy::cached("target_attributes", policies::LISTS)),
        ("/field-mappings/{import}", shared("field_mappings", policies::FIELD_MAPPINGS)),
        ("/field-mappings/{import}/statistics", shared("field_mappings", policies::FIELD_MAPPINGS)),
        ("/data-cleansing/{import}", shared("data_quality", policies::DATA_QUALITY)),
        ("/assets", shared("assets", policies::ASSETS)),
        ("/admin/clients", RoutePolicy::cached("admin_clients", policies::ADMIN_LISTS)),
        ("/admin/clients/{client}", RoutePolicy::cached("admin_clients", policies::ADMIN_LISTS)),
        ("/admin/clients/{client}/users", RoutePolicy::cached("admin_users", policies::SEEN)),
        ("/admin/engagements", RoutePolicy::cached("admin_engagements", policies::ADMIN_LISTS)),
        ("/admin/engagements/{engagement}", RoutePolicy::cached("admin_engagements", policies::ADMIN_LISTS)),
        ("/admin/engagements/{engagement}/users", RoutePolicy::cached("admin_users", policies::SEEN)),
        ("/admin/users", RoutePolicy::cached("admin_users", policies::SEEN)),
        ("/admin/pending-approvals", RoutePolicy::cached("pending_approvals", policies::PENDING_APPROVALS)),
    ]
}

/// Whether reads of a route show who may do what, or what was done: they are recorded from the level `sensitive` on.
pub fn is_sensitive(route: &str) -> bool {
    let below = route.strip_prefix(BASE).unwrap_or(route);
    ["/admin/", "/users/", "/auth/"].iter().any(|start| below.starts_with(start))
}

/// The kinds of response that flags can tell apart.
pub fn endpoints() -> Vec<String> {
    let mut kinds: Vec<_> = routes().into_iter().map(|(_, policy)| policy.entity.into_owned()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

/// The kind of response that a path is answered with, if it is kept.
pub fn endpoint_of(path: &str) -> Option<&'static str> {
    static TABLE: LazyLock<RoutePolicies> = LazyLock::new(|| table().expect("the table is built at start, too"));
    TABLE.policy(path).map(|policy| policy.entity.as_ref())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use unstale_http::{BrowserLifetime, Lifetime, Writes};

    use super::*;
    use crate::api::{document, openapi};

    /// What is not kept: live events, what is said of the cache itself, the audit trail.
    fn is_uncached(path: &str) -> bool {
        let unkept = [crate::api::EVENTS_PATH, "/api/v1/admin/cache/", "/api/v1/admin/audit"];
        unkept.iter().any(|start| path.starts_with(start)) || path.ends_with("/cache-report")
    }

    #[test]
    fn every_documented_read_has_a_policy_and_lets_browsers_ask() {
        let table = table().unwrap();
        for (path, mut item) in document().paths.paths {
            if item.get.is_none() || is_uncached(&path) {
                continue;
            }
            let policy = table.policy(&path).unwrap_or_else(|| panic!("{path} has no policy"));
            assert!(matches!(policy.lifetime, Lifetime::Route(_)), "{path} is not kept");
            assert_eq!(policy.writes, Writes::ByApplication, "{path}: triggers announce what changed");
            assert_eq!(policy.browser, BrowserLifetime::Revalidate, "{path}");
            if path.contains("/admin/") || path.contains("/users/") || path.contains("/context") {
                assert_eq!(policy.sharing, Sharing::PerPrincipal, "{path}: roles decide about it");
            }
            assert!(openapi::operations(&mut item).next().is_some());
        }
    }

    #[test]
    fn lifetimes_are_those_that_were_asked_for() {
        let table = table().unwrap();
        for (path, seconds) in [
            ("/admin/clients", 300),
            ("/admin/engagements", 300),
            ("/auth/active-users", 60),
            ("/field-mappings/7", 120),
            ("/context/me", 3600),
            ("/context-establishment/clients", 1800),
            ("/context-establishment/engagements", 1800),
            ("/engagements", 1800),
            ("/discovery/flows/7", 300),
        ] {
            let lifetime = table.policy(&format!("{BASE}{path}")).unwrap().lifetime;
            let Lifetime::Route(policy) = lifetime else { panic!("{path} is kept for as long as {lifetime:?}") };
            assert_eq!(policy.ttl, Duration::from_secs(seconds), "{path}");
        }
    }
}
