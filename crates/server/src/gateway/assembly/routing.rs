//! Which route a request has.
//!
//! One table serves both: what the cache looks up by path decides where a request goes, too. So no path is read in two
//! ways.

use std::sync::Arc;

use http::Method;
use unstale::{Mode, Policy, Tag};
use unstale_http::{
    BrowserLifetime, ENTITY_BYTES_MAX, GroupHeader, Lifetime, OriginLifetime, Query, RouteError, RouteId,
    RoutePolicies, RoutePolicy, Sharing, Writes,
};

use crate::{
    configuration::{Entry, Known},
    gateway::{
        config::{
            Plan,
            file::{Browser, CacheMode, GroupSource, LifetimeOf, QueryOf, RouteCache, RouteFile, SharingOf},
            group::{numbered, renamed},
        },
        identity::tenancy,
        tags,
        upstream::Upstream,
    },
    telemetry::WatchedRoute,
};

/// How long another node's invalidation may go unheard of, if the file says nothing.
const BOUND: std::time::Duration = std::time::Duration::from_secs(1);

/// All routes.
#[derive(Debug)]
pub(crate) struct Routing {
    pub(crate) policies: Arc<RoutePolicies>,
    paths: Vec<PathRoutes>,
}

/// The routes of one path.
#[derive(Debug)]
pub(crate) struct PathRoutes {
    pub(crate) label: Arc<str>,
    pub(crate) watched: Arc<WatchedRoute>,
    /// Told apart from what it was before the file changed.
    pub(crate) tag: Arc<Tag>,
    pub(crate) is_public: bool,
    /// Whether answers to reads may be kept for those who are known.
    pub(crate) is_kept: bool,
    routes: Vec<Route>,
    path: String,
    files: Vec<RouteFile>,
}

/// Where requests of some methods go.
#[derive(Debug)]
pub(crate) struct Route {
    methods: Vec<Method>,
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) body_bytes_max: u64,
    /// Of header fields; none: as the listener takes.
    pub(crate) headers_bytes_max: Option<u64>,
    pub(crate) invalidates: bool,
}

impl Routing {
    /// The routes of a file. `vary` are the headers from which identities are made.
    pub(crate) fn new(
        plan: &Plan,
        upstream: impl Fn(&str) -> Arc<Upstream>,
        identified_by: &[http::HeaderName],
    ) -> Result<Self, RouteError> {
        let mut builder = RoutePolicies::builder()
            .vary_on(plan.file.cache.vary_on.iter().cloned())
            .identified_by(identified_by.iter().map(|name| name.as_str().to_owned()));
        let mut paths = Vec::new();
        for (place, (path, files)) in grouped(plan).into_iter().enumerate() {
            let label = label(&files[0].path, place);
            let reads = reads(&files);
            builder = builder.route(path.as_str(), policy(&label, reads, &files));
            let routes = files.iter().map(|file| Route {
                methods: file.methods.iter().map(|method| method.parse().expect("the file was checked")).collect(),
                upstream: upstream(&file.upstream),
                body_bytes_max: file.request_body_max.unwrap_or(plan.file.listen.request_body_max).0,
                headers_bytes_max: file.request_headers_max.map(|most| most.0),
                invalidates: !file.invalidates.is_empty(),
            });
            let shared_label: Arc<str> = label.as_str().into();
            let entry = PathRoutes {
                watched: Arc::new(WatchedRoute::new(shared_label.clone())),
                label: shared_label,
                tag: Arc::new(tags::route(&path)),
                is_public: reads.sharing == SharingOf::Public,
                is_kept: reads.sharing != SharingOf::Public && is_kept(reads),
                routes: routes.collect(),
                files: files.iter().copied().cloned().collect(),
                path,
            };
            paths.push(entry);
        }
        Ok(Self { policies: Arc::new(builder.build()?), paths })
    }

    /// The place of a path's routes.
    pub(crate) fn find(&self, path: &str) -> Option<RouteId> {
        self.policies.find(path)
    }

    /// The routes at a place: paths are registered in their order.
    pub(crate) fn at(&self, place: RouteId) -> &PathRoutes {
        &self.paths[place.index()]
    }

    /// Every path, with its parameters numbered, and what the file says of it.
    pub(crate) fn each(&self) -> impl Iterator<Item = (&str, &[RouteFile])> {
        self.paths.iter().map(|path| (path.path.as_str(), path.files.as_slice()))
    }

    /// What the file says of a path.
    pub(crate) fn files(&self, path: &str) -> Option<&[RouteFile]> {
        self.each().find(|(own, _)| *own == path).map(|(_, files)| files)
    }
}

impl PathRoutes {
    /// The route of a method. `HEAD` goes where `GET` goes.
    pub(crate) fn find(&self, method: &Method) -> Option<&Route> {
        let takes = |route: &&Route, method: &Method| route.methods.is_empty() || route.methods.contains(method);
        let found = self.routes.iter().find(|route| takes(route, method));
        found.or_else(|| self.routes.iter().find(|route| *method == Method::HEAD && takes(route, &Method::GET)))
    }

    /// Whether a write to the path declares groups wrong.
    pub(crate) fn invalidates(&self) -> bool {
        self.routes.iter().any(|route| route.invalidates)
    }

    /// The methods that there is a route for.
    pub(crate) fn methods(&self) -> String {
        let all: Vec<&str> = self.routes.iter().flat_map(|route| &route.methods).map(Method::as_str).collect();
        all.join(", ")
    }
}

/// The routes of each path, in the order in which the file names paths first.
fn grouped(plan: &Plan) -> Vec<(String, Vec<&RouteFile>)> {
    let mut grouped: Vec<(String, Vec<&RouteFile>)> = Vec::new();
    for route in &plan.file.routes {
        let path = numbered(&route.path);
        match grouped.iter_mut().find(|(known, _)| *known == path) {
            Some((_, routes)) => routes.push(route),
            None => grouped.push((path, vec![route])),
        }
    }
    grouped
}

/// The one of a path's routes that answers its reads.
fn reads<'a>(files: &[&'a RouteFile]) -> &'a RouteFile {
    files.iter().find(|file| takes(file, "GET")).unwrap_or(&files[0])
}

/// Whether answers to reads are kept, whoever gets them.
fn is_kept(reads: &RouteFile) -> bool {
    reads.cache.is_some() && takes(reads, "GET")
}

/// What of a file's routes can be configured while the gateway runs: those whose answers are kept, by their labels.
pub(crate) fn known(plan: &Plan) -> Known {
    let grouped = grouped(plan);
    let kept = grouped.iter().enumerate().filter_map(|(place, (_, files))| {
        let reads = reads(files);
        let cache = reads.cache.as_ref().filter(|_| takes(reads, "GET"))?;
        let is_origins = cache.lifetime == LifetimeOf::Origin;
        Some((label(&files[0].path, place), Entry { is_origins, ..Entry::default() }))
    });
    let kept: Vec<_> = kept.collect();
    let kept = kept.iter().map(|(label, entry)| (label.as_str(), *entry));
    Known::default().unwatched().tenants(tenancy::tenant).endpoints(kept)
}

/// A text of at most [`ENTITY_BYTES_MAX`] bytes that no other path has.
fn label(path: &str, place: usize) -> String {
    if path.len() <= ENTITY_BYTES_MAX {
        return path.to_owned();
    }
    let end = format!("…#{place}");
    let mut at = ENTITY_BYTES_MAX - end.len();
    while !path.is_char_boundary(at) {
        at -= 1;
    }
    format!("{}{end}", &path[..at])
}

fn takes(file: &RouteFile, method: &str) -> bool {
    file.methods.is_empty() || file.methods.iter().any(|own| own == method)
}

fn policy(label: &str, reads: &RouteFile, all: &[&RouteFile]) -> RoutePolicy {
    let groups = |file: &RouteFile, groups: &[String]| -> Vec<String> {
        groups.iter().map(|group| renamed(group, &file.path)).collect()
    };
    let mut policy = RoutePolicy::uncached(label.to_owned())
        .sharing(match reads.sharing {
            SharingOf::Principal => Sharing::PerPrincipal,
            SharingOf::Tenant => Sharing::Tenant,
            SharingOf::Public => Sharing::Public,
        })
        .browser(match (reads.browser, reads.browser_max_age) {
            (Browser::NoStore, _) => BrowserLifetime::NoStore,
            (Browser::MaxAge, Some(age)) => BrowserLifetime::MaxAge(age.0),
            (Browser::Revalidate | Browser::MaxAge, _) => BrowserLifetime::Revalidate,
        })
        .query(match reads.query {
            QueryOf::All => Query::All,
            QueryOf::InOrder => Query::InOrder,
            QueryOf::Only => Query::only(reads.query_names.clone()),
        })
        .groups(groups(reads, &reads.groups))
        .groups_from(reads.groups_from.iter().map(|source| match source {
            GroupSource::CacheGroups => GroupHeader::CacheGroups,
            GroupSource::SurrogateKey => GroupHeader::SurrogateKey,
        }))
        .writes(Writes::ByLayer);
    policy.lifetime = reads.cache.as_ref().filter(|_| takes(reads, "GET")).map_or(Lifetime::Uncached, lifetime);
    for file in all.iter().filter(|file| !file.invalidates.is_empty()) {
        let declared = groups(file, &file.invalidates);
        if file.methods.is_empty() {
            policy = policy.invalidates_always(declared);
            continue;
        }
        for method in &file.methods {
            let method: Method = method.parse().expect("the file was checked");
            if !matches!(method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE) {
                policy = policy.invalidates(method, declared.clone());
            }
        }
    }
    policy
}

fn lifetime(cache: &RouteCache) -> Lifetime {
    let bound = cache.bound.map_or(BOUND, |bound| bound.0);
    let mode = match cache.mode {
        CacheMode::Bounded => Mode::Bounded(bound),
        CacheMode::Strict => Mode::Strict,
        CacheMode::StaleOk => Mode::StaleOk(bound),
    };
    match cache.lifetime {
        LifetimeOf::Route => {
            let own = Policy::ttl(cache.ttl.map_or_else(Default::default, |ttl| ttl.0)).mode(mode);
            Lifetime::Route(Policy {
                grace: cache.grace.map_or(own.grace, |grace| grace.0),
                fail_safe: cache.fail_safe.map_or(own.fail_safe, |fail_safe| fail_safe.0),
                load_timeout: cache.load_timeout.map_or(own.load_timeout, |timeout| timeout.0),
                ..own
            })
        }
        LifetimeOf::Origin => {
            let own = OriginLifetime::default();
            let more = cache.origin.unwrap_or_default();
            Lifetime::Origin(OriginLifetime {
                heuristics: more.heuristics,
                stale_while_revalidate: more.stale_while_revalidate.map_or(own.stale_while_revalidate, |time| time.0),
                stale_if_error: more.stale_if_error.map_or(own.stale_if_error, |time| time.0),
                reads_surrogate_control: more.surrogate_control,
                reads_no_vary_search: more.no_vary_search.unwrap_or(own.reads_no_vary_search),
                keeps_cookies: more.keep_cookies,
                shares_authorized: more.share_authorized,
                default_ttl: cache.ttl.map_or(own.default_ttl, |ttl| ttl.0),
                ttl_max: cache.ttl_max.map_or(own.ttl_max, |ttl| ttl.0),
                retain: cache.retain.map_or(own.retain, |retain| retain.0),
                load_timeout: cache.load_timeout.map_or(own.load_timeout, |timeout| timeout.0),
                mode,
                ..own
            })
        }
    }
}
