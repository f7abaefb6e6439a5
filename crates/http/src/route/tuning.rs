//! What is changed of a table of routes while it is in use.
//!
//! The table itself stays as it was built: what a route means (who shares its responses, what they are told apart by,
//! which groups they have) cannot change under entries that were kept by it. What can is how long they are kept, and
//! whether at all.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use unstale::Policy;

use super::{Lifetime, RouteId, RoutePolicies, RoutePolicy};

/// How a route is used from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteSettings {
    /// Whether its responses are looked up and kept.
    pub is_on: bool,
    /// In place of the route's own policy. Of a route whose lifetimes are the service's, nothing changes by it.
    pub policy: Option<Policy>,
    /// Whether nodes share its responses through the store, where the policy in force lets them.
    pub uses_store: bool,
    /// Whether answers tell what the cache did: `X-Cache` and the like, `Cache-Status`, `Server-Timing`. Validators and
    /// groups are told in any case.
    pub tells: bool,
}

impl Default for RouteSettings {
    /// As the table says.
    fn default() -> Self {
        Self { is_on: true, policy: None, uses_store: true, tells: true }
    }
}

/// The settings of all routes of a layer, exchanged as a whole. Clones are one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tuning(Arc<ArcSwapOption<Vec<RouteSettings>>>);

impl Tuning {
    pub(crate) fn set(&self, routes: &RoutePolicies, settings: impl Fn(&str, &RoutePolicy) -> RouteSettings) {
        let all: Vec<RouteSettings> =
            routes.routes.iter().map(|route| settings(&route.pattern, &route.policy)).collect();
        let is_default = all.iter().all(|settings| *settings == RouteSettings::default());
        self.0.store((!is_default).then(|| Arc::new(all)));
    }

    #[inline]
    pub(crate) fn of(&self, id: RouteId) -> RouteSettings {
        let all = self.0.load();
        all.as_ref().and_then(|all| all.get(id.index())).copied().unwrap_or_default()
    }
}

impl RoutePolicies {
    /// Every route's pattern and policy, in the order in which they were registered.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &RoutePolicy)> {
        self.routes.iter().map(|route| (&*route.pattern, &route.policy))
    }
}

impl RouteSettings {
    pub(crate) fn lifetime(&self, lifetime: Lifetime) -> Lifetime {
        match (self.is_on, lifetime, self.policy) {
            (false, ..) => Lifetime::Uncached,
            (true, Lifetime::Route(_), Some(policy)) => Lifetime::Route(policy),
            (true, lifetime, _) => lifetime,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_route_is_as_its_table_says_until_it_is_told_otherwise() {
        let hour = Policy::ttl(Duration::from_secs(3600));
        let table = RoutePolicies::builder()
            .route("/a", RoutePolicy::cached("a", hour))
            .route("/b", RoutePolicy::uncached("b"))
            .build()
            .unwrap();
        assert_eq!(
            table.iter().map(|(pattern, policy)| (pattern, &*policy.entity)).collect::<Vec<_>>(),
            [("/a", "a"), ("/b", "b")]
        );
        let tuning = Tuning::default();
        let [a, b] = ["/a", "/b"].map(|path| table.find(path).unwrap());
        assert_eq!(tuning.of(a), RouteSettings::default());
        let minute = Policy::ttl(Duration::from_secs(60));
        tuning.set(&table, |pattern, _| match pattern {
            "/a" => RouteSettings { policy: Some(minute), ..RouteSettings::default() },
            _ => RouteSettings { policy: Some(minute), tells: false, ..RouteSettings::default() },
        });
        assert_eq!(tuning.of(a).lifetime(Lifetime::Route(hour)), Lifetime::Route(minute));
        assert_eq!(tuning.of(b).lifetime(Lifetime::Uncached), Lifetime::Uncached, "nothing is kept by a policy alone");
        let off = RouteSettings { is_on: false, ..tuning.of(a) };
        assert_eq!(off.lifetime(Lifetime::Route(hour)), Lifetime::Uncached);
        tuning.set(&table, |_, _| RouteSettings::default());
        assert_eq!(tuning.of(b), RouteSettings::default());
    }
}
