//! Writes: what an unsafe request declares wrong, before its answer is given.
//!
//! # Invariants
//! - The answer is given only when this node's view holds the invalidation, and carries its position.
//! - A write that has begun is seen through, although its client goes away: the service may have done it.
//! - What may have been done counts as done: an answer without error, an answer that a gateway could not get (502, 504),
//!   an error of the service, a panic. What the service refused (4xx) or says it failed at (500) declares nothing wrong.
//! - A URL that servers read in more than one way declares wrong what it means in each reading.
//!
//! # What this is not
//! A transaction. If this process ends between the service's answer and the invalidation, it is lost, and what is stored
//! elsewhere lives until its time is over.

use std::{collections::BTreeSet, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{Method, Response, StatusCode, request};
use http_body::Body;
use tracing::Instrument as _;
use unstale::{Cache, InvalidateError, Invalidation, PositionSet, Tag, Tenant};

use crate::{
    answer::Asked,
    body::CacheBody,
    headers::{Account, CACHE_GROUP_INVALIDATION, WRITTEN_POSITION},
    identity::Identity,
    named,
    overrides::{may_be_another_method, urls_in_headers},
    place::host,
    position::Written,
    problem::Problem,
    rfc9111::invalidation::targets,
    route::{Lifetime, Route, Sharing, Writes, is_safe},
    shared::Shared,
    tags::{group_tag, path_tag, uri_tag},
    url,
};

/// How often an invalidation is tried that the store does not keep for later.
const ATTEMPTS_MAX: u32 = 4;
/// The wait before the second attempt; it doubles with each further one.
const FIRST_WAIT: Duration = Duration::from_millis(25);

/// What a request declares wrong if it is carried out.
#[derive(Debug)]
pub(crate) struct Write {
    /// The caller's.
    tenant: Option<Tenant>,
    tags: Vec<Tag>,
    /// Whether the groups that the answer names may be those of public responses.
    is_public: bool,
    target: Target,
}

/// What the URLs in the answer are read by.
#[derive(Debug)]
struct Target {
    authority: String,
    path_and_query: String,
}

/// What became of a write's invalidation.
enum Told {
    Recorded(PositionSet),
    /// Recorded here; the store takes the rest later.
    Pending(PositionSet),
    /// Neither recorded nor kept.
    Lost,
}

impl Write {
    /// Of a request; none if no route sees to it.
    pub(crate) fn of(shared: &Shared, head: &request::Parts) -> Option<Self> {
        let overridden = may_be_another_method(&head.headers);
        if is_safe(&head.method) && !overridden {
            return None;
        }
        let tenant = head.extensions.get::<Identity>().map(|identity| identity.tenant().clone());
        let target = Target {
            authority: host(head).unwrap_or_default().to_owned(),
            path_and_query: head.uri.path_and_query().map_or_else(String::new, |url| url.as_str().to_owned()),
        };
        let mut write = Self { tenant, tags: Vec::new(), is_public: shared.routes.has_public_groups(), target };
        let mut is_seen_to = false;
        // Which method it will be taken for, nobody knows.
        let method = if overridden { None } else { Some(&head.method) };
        let target = (head.uri.path(), head.uri.query());
        for (path, query) in std::iter::once(target).chain(urls_in_headers(&head.headers)) {
            for path in url::readings(path) {
                let route = shared.routes.find(&path).map(|id| shared.routes.route(id));
                if let Some(route) = route.filter(|route| route.policy.writes == Writes::ByLayer) {
                    is_seen_to = true;
                    write.add(shared, route, method, &path, query);
                }
            }
        }
        is_seen_to.then_some(write)
    }

    fn add(&mut self, shared: &Shared, route: &Route, method: Option<&Method>, path: &str, query: Option<&str>) {
        let is_meant = |only: &Option<Method>| only.is_none() || method.is_none() || only.as_ref() == method;
        let meant = route.invalidates.iter().filter(|(only, _)| is_meant(only));
        let groups: BTreeSet<String> = meant.flat_map(|(_, groups)| groups).map(|group| group.name(path)).collect();
        self.is_public |= route.policy.sharing == Sharing::Public;
        self.add_uri(shared, route, path, query);
        let tags = groups.iter().flat_map(|name| self.group_tags(shared, name)).collect::<Vec<_>>();
        self.tags.extend(tags);
    }

    fn add_uri(&mut self, shared: &Shared, route: &Route, path: &str, query: Option<&str>) {
        let public = (route.policy.sharing == Sharing::Public).then_some(&shared.public_tenant);
        for tenant in self.tenant.iter().chain(public) {
            self.tags.push(uri_tag(tenant, route, path, query));
            if matches!(route.policy.lifetime, Lifetime::Origin(lifetime) if lifetime.reads_no_vary_search) {
                self.tags.push(path_tag(tenant, path));
            }
        }
    }

    /// Adds what the answer names of the same origin.
    fn add_named_uris<B>(&mut self, shared: &Shared, response: &Response<B>) {
        let Target { authority, path_and_query } = &self.target;
        // The method is known to be no safe one, or nobody knows which it was taken for.
        let named = targets(&Method::POST, response.status(), authority, path_and_query, response.headers());
        for url in named.iter().filter(|url| **url != self.target.path_and_query).cloned().collect::<Vec<_>>() {
            let (path, query) = url.split_once('?').map_or((&*url, None), |(path, query)| (path, Some(query)));
            for path in url::readings(path) {
                if let Some(id) = shared.routes.find(&path) {
                    self.add_uri(shared, shared.routes.route(id), &path, query);
                }
            }
        }
    }

    /// The tags of a group, wherever its name may be meant.
    fn group_tags(&self, shared: &Shared, name: &str) -> impl Iterator<Item = Tag> {
        let public = self.is_public.then_some(&shared.public_tenant);
        self.tenant.iter().chain(public).map(|tenant| group_tag(tenant, name)).collect::<Vec<_>>().into_iter()
    }

    /// Carries the request out, then makes visible what it declares wrong, then answers.
    pub(crate) async fn answer<F, ResBody, E>(
        self,
        passed: F,
        asked: Asked,
        account: Account,
        shared: Arc<Shared>,
    ) -> Result<Response<CacheBody<ResBody>>, E>
    where
        F: Future<Output = Result<Response<ResBody>, E>> + Send + 'static,
        ResBody: Body<Data = Bytes> + Send + 'static,
        E: Send + 'static,
    {
        let seen_through = {
            let shared = shared.clone();
            async move {
                let outcome = AssertUnwindSafe(passed).catch_unwind().await;
                let invalidation = self.invalidation(&shared, outcome.as_ref().ok().and_then(|it| it.as_ref().ok()));
                let told = match invalidation {
                    Some(invalidation) => Some(announce(&shared.cache, &invalidation).await),
                    None => None,
                };
                (outcome, told)
            }
        };
        let Ok((outcome, told)) = tokio::spawn(seen_through.in_current_span()).await else {
            // The runtime is stopping.
            return Ok(asked.problem(&shared, Problem::NoAnswer, "no-answer"));
        };
        let mut response = match outcome {
            Ok(answer) => answer?,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        let (reached, account) = match told {
            None => (None, account),
            Some(Told::Recorded(reached)) => (Some(reached), account),
            Some(Told::Pending(reached)) => (Some(reached), account.because("invalidation-pending")),
            Some(Told::Lost) => return Ok(asked.problem(&shared, Problem::NotVisible, "invalidation-lost")),
        };
        response.headers_mut().remove(CACHE_GROUP_INVALIDATION);
        if let Some(mut reached) = reached.filter(|_| !response.headers().contains_key(WRITTEN_POSITION)) {
            if let Some(Written(own)) = response.extensions().get::<Written>() {
                reached.extend(own);
            }
            if !reached.is_empty() {
                response.extensions_mut().insert(Written(reached));
            }
        }
        Ok(asked.pass(&shared, response.map(CacheBody::inner), &account, None).await)
    }

    /// What the request and its answer, if there is one, declare wrong; none if nothing was done.
    fn invalidation<B>(mut self, shared: &Shared, response: Option<&Response<B>>) -> Option<Invalidation> {
        if response.is_some_and(|response| !may_be_done(response.status())) {
            return None;
        }
        let mut invalidation = Invalidation::new();
        if let Some(response) = response {
            self.add_named_uris(shared, response);
            if let Ok(names) = named::strings(response.headers(), &CACHE_GROUP_INVALIDATION) {
                names.iter().flat_map(|name| self.group_tags(shared, name)).for_each(|tag| invalidation.tag(tag));
            } else {
                tracing::warn!(
                    "an answer's Cache-Group-Invalidation is no list of strings and says nothing: the groups that it \
                     means are served as they were"
                );
            }
        }
        self.tags.into_iter().for_each(|tag| invalidation.tag(tag));
        (!invalidation.tags().is_empty()).then_some(invalidation)
    }
}

async fn announce(cache: &Cache, invalidation: &Invalidation) -> Told {
    let mut wait = FIRST_WAIT;
    for attempt in 1..=ATTEMPTS_MAX {
        match cache.invalidate(invalidation).await {
            Ok(reached) => return Told::Recorded(reached),
            Err(InvalidateError::Pending { recorded, source, .. }) => {
                // This node serves nothing old from here on, and nodes that cannot ask the log do not either; the rest
                // hear of it when the log takes it. To fail a write that is done would help nobody.
                tracing::warn!(%source, "a write is done and will be announced when the cache's store is back");
                return Told::Pending(recorded);
            }
            Err(error) if attempt == ATTEMPTS_MAX => {
                tracing::error!(%error, "a write is done and could not be announced");
            }
            Err(_) => {
                tokio::time::sleep(wait).await;
                wait *= 2;
            }
        }
    }
    Told::Lost
}

/// Whether a service that answers so may have done what it was asked.
fn may_be_done(status: StatusCode) -> bool {
    // Of what a gateway could not get an answer to, nobody knows.
    let unknown = [StatusCode::BAD_GATEWAY, StatusCode::GATEWAY_TIMEOUT].contains(&status);
    status.is_success() || status.is_redirection() || unknown
}
