//! Whether and where a read is looked up in the cache.

use http::{HeaderMap, Uri, request, uri::PathAndQuery};
use unstale::{Key, Loaded, Mode, Policy, Tag, Tenant};

use crate::{
    answer::Asked,
    decide::{Unshared, Wanted, may_look_up_noted},
    identity::Identity,
    key::{self, Owner, Variant},
    named,
    notable::Notable,
    place::place_of,
    reasons::{BypassReason, NotStoredReason},
    route::{Lifetime, Query, RouteId, RouteSettings, Sharing},
    searches::Searched,
    shared::Shared,
    stored::StoredResponse,
    tags::{group_tag, path_tag, uri_tag},
    url::{self, UrlProblem},
};

/// A read that may be answered from the cache.
#[derive(Clone)]
pub(crate) struct LookUp {
    pub(crate) key: Key<StoredResponse>,
    pub(crate) policy: Policy,
    pub(crate) sharing: Sharing,
    pub(crate) route: RouteId,
    /// Who asked, once that matters: what is found is answered without. Nobody, where everybody gets the same.
    pub(crate) identity: Option<Identity>,
    /// Whether the service behind says how long responses are fresh.
    pub(crate) is_origin: bool,
    /// What tells it apart from other variants of its URL that a route's `vary_on` selects, if anything does.
    pub(crate) variant: Option<u128>,
    /// The query, where responses of the path are for more than one. Boxed, as few have it and every look-up is moved.
    pub(crate) searched: Option<Box<Searched>>,
    /// The URL for the service behind, if some of it does not count.
    pub(crate) reduced: Option<Box<Uri>>,
}

impl LookUp {
    pub(crate) fn may_serve_stale(&self) -> bool {
        let Policy { grace, fail_safe, mode, .. } = &self.policy;
        !grace.is_zero() || !fail_safe.is_zero() || matches!(mode, Mode::StaleOk(_))
    }

    /// Adds what the response is known to depend on: its URI and its groups; and what the identity was made of, since
    /// what is loaded was made for it. What a route shares does not depend on who asked first.
    pub(crate) fn based(&self, loaded: Loaded<StoredResponse>, tags: Vec<Tag>) -> Loaded<StoredResponse> {
        let loaded = loaded.tags(tags);
        let identity = self.identity.as_ref().filter(|_| self.sharing == Sharing::PerPrincipal);
        match identity.and_then(Identity::known) {
            Some(facts) => loaded.tags(facts.tags.iter().cloned()).read_since(facts.read_since.clone()),
            None => loaded,
        }
    }

    /// What a response is known to depend on: its URI, and its groups, unless they cannot be told.
    pub(crate) fn tags(
        &self,
        shared: &Shared,
        target: &Uri,
        headers: &HeaderMap,
    ) -> (Vec<Tag>, Result<(), NotStoredReason>) {
        let route = shared.routes.route(self.route);
        let mut tags = vec![uri_tag(self.tenant(), route, target.path(), target.query())];
        if self.searched.is_some() {
            // It may be the answer for other queries, too: a write to any of them ends it.
            tags.push(path_tag(self.tenant(), target.path()));
        }
        let named = named::of_response(route, target.path(), headers, &shared.limits);
        tags.extend(named.iter().flatten().map(|name| group_tag(self.tenant(), name)));
        (tags, named.map(drop))
    }

    /// The tenant in which the response is kept.
    pub(crate) fn tenant(&self) -> &Tenant {
        self.key.raw().tenant()
    }
}

/// Whether and where to look.
pub(crate) fn look_up(
    shared: &Shared,
    head: &request::Parts,
    notable: Notable,
    (asked, tuned): (&Asked, &RouteSettings),
    has_body: bool,
) -> Result<(Wanted, LookUp), BypassReason> {
    let wanted = may_look_up_noted(head, notable)?;
    if has_body {
        // In HTTP/2, nothing in the head need tell of it.
        return Err(BypassReason::RequestBody);
    }
    let id = asked.route.ok_or(BypassReason::Route)?;
    let route = shared.routes.route(id);
    if !tuned.is_on {
        return Err(BypassReason::Off);
    }
    let (policy, origin) = match tuned.lifetime(route.policy.lifetime) {
        Lifetime::Uncached => return Err(BypassReason::Route),
        Lifetime::Route(policy) => (policy, None),
        Lifetime::Origin(lifetime) => (lifetime.policy(), Some(lifetime)),
    };
    let is_shared = tuned.uses_store && head.extensions.get::<Unshared>().is_none();
    let policy = Policy { uses_store: policy.uses_store && is_shared, ..policy };
    let sharing = route.policy.sharing;
    let owner = owner(shared, sharing, asked.identity.as_ref())?;
    let query = &route.policy.query;
    let url = url::normalise(&head.uri, query, shared.limits.url_bytes_max).map_err(|problem| match problem {
        UrlProblem::TooLong => BypassReason::UrlTooLong,
        UrlProblem::Ambiguous => BypassReason::Url,
    })?;
    let reduced = match query {
        Query::Only(_) if url.query() != head.uri.query() => Some(Box::new(reduced(&head.uri, &url)?)),
        _ => None,
    };
    let is_origin = origin.is_some();
    let variant = if is_origin { Variant::FIRST } else { Variant::of(&head.headers, shared.routes.vary_on()) };
    let place = place_of(head, notable)?;
    let searched = origin
        .filter(|lifetime| lifetime.reads_no_vary_search)
        .and_then(|_| shared.searches.of(owner.tenant(), &place, &url))
        .map(Box::new);
    let key = match &searched {
        Some(searched) => key::of(owner, &place, &searched.url, variant),
        None => key::of(owner, &place, &url, variant),
    };
    let variant = variant.digest();
    Ok((wanted, LookUp { key, policy, sharing, route: id, identity: None, is_origin, variant, searched, reduced }))
}

/// Whose the response is.
pub(crate) fn owner<'a>(
    shared: &'a Shared,
    sharing: Sharing,
    identity: Option<&'a Identity>,
) -> Result<Owner<'a>, BypassReason> {
    Ok(match (sharing, identity) {
        (_, Some(identity)) if *identity.tenant() == shared.public_tenant => return Err(BypassReason::PublicTenant),
        (Sharing::Public, _) => Owner::Public(&shared.public_tenant),
        (_, None) => return Err(BypassReason::NoIdentity),
        (Sharing::Tenant, Some(identity)) => Owner::Tenant(identity.tenant()),
        (Sharing::PerPrincipal, Some(identity)) => Owner::Principal(identity),
    })
}

fn reduced(uri: &Uri, url: &url::NormalUrl<'_>) -> Result<Uri, BypassReason> {
    let text = url.to_string();
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(text).map_err(|_| BypassReason::Url)?);
    Uri::from_parts(parts).map_err(|_| BypassReason::Url)
}
