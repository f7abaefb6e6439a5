//! How a kind of response is cached: for how long, for whom, by which part of the query, under which groups; and what a
//! write declares wrong.

use std::{borrow::Cow, time::Duration};

use http::{HeaderValue, Method};
use unstale::{Mode, Policy};

use crate::headers::browser_max_age;

/// How a kind of response is cached.
#[derive(Clone, Debug)]
pub struct RoutePolicy {
    /// The kind of response, a bounded label for metrics.
    pub entity: Cow<'static, str>,
    /// How long the server keeps it, and who says so.
    pub lifetime: Lifetime,
    /// How the browser keeps it.
    pub browser: BrowserLifetime,
    /// Who shares one response.
    pub sharing: Sharing,
    /// Which part of the query tells responses apart.
    pub query: Query,
    /// The groups of every response, each a text with the route's parameters, such as `import:{import_id}`.
    pub groups: Vec<String>,
    /// The response headers in which the service names further groups.
    pub groups_from: Vec<GroupHeader>,
    /// Whether the layer declares wrong what an unsafe request may have changed.
    pub writes: Writes,
    /// What else such a request declares wrong.
    pub invalidates: Vec<Invalidates>,
}

/// How long the server keeps a kind of response, and who says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Lifetime {
    /// It is not kept.
    #[default]
    Uncached,
    /// The route says how long; what the service says can only shorten it. For services that invalidate what they
    /// change, so that time is no matter of correctness.
    Route(Policy),
    /// The service says how long (RFC 9111).
    Origin(OriginLifetime),
}

/// How a response is kept whose service says how long it is fresh.
///
/// What the engine is told is freshness and retention together: it judges coherence, HTTP judges time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is a choice of its own")]
pub struct OriginLifetime {
    /// How long a response is fresh that does not say it, if its status is one of which that may be assumed (RFC 9110,
    /// 15.1: 200, 404 and few others; no 302, 403 or 500); zero: it is not fresh without being validated.
    pub default_ttl: Duration,
    /// How long a response is fresh at most, whatever it says.
    pub ttl_max: Duration,
    /// How long a response is kept after that: to be validated with the service, or served where it allows so
    /// (`stale-while-revalidate`, `stale-if-error`).
    pub retain: Duration,
    /// Whether a response that says nothing but `Last-Modified` is fresh for a tenth of its age (RFC 9111, 4.2.2).
    pub heuristics: bool,
    /// How long a response may be served stale while it is asked for anew, where it does not say (RFC 5861).
    pub stale_while_revalidate: Duration,
    /// How long a response may be served stale where the service fails, where it does not say (RFC 5861).
    pub stale_if_error: Duration,
    /// Whether `CDN-Cache-Control` goes before `Cache-Control` (RFC 9213).
    pub reads_cdn_cache_control: bool,
    /// Whether `Surrogate-Control` does, and the service is told so in `Surrogate-Capability`.
    pub reads_surrogate_control: bool,
    /// Whether a response may say which part of its query does not matter (`No-Vary-Search`), and is then the answer for
    /// all queries that differ in that alone.
    pub reads_no_vary_search: bool,
    /// Whether responses that set a cookie are kept, and set it for everybody who is given them. RFC 9111, 7.3, allows
    /// it; hardly a service means it.
    pub keeps_cookies: bool,
    /// Whether `Authorization` reaches the service behind a public route, and what answers it is shared if it says
    /// `public`, `must-revalidate` or `s-maxage` (RFC 9111, 3.5). Without, it is taken out of the request.
    pub shares_authorized: bool,
    /// How strictly invalidations bind.
    pub mode: Mode,
    /// How long the service may take before the readers are told so.
    pub load_timeout: Duration,
}

/// How long a browser's own HTTP cache may answer without asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum BrowserLifetime {
    /// The browser keeps nothing: `no-store`.
    NoStore,
    /// The browser asks each time and gets a 304 if nothing changed: `private, no-cache`. The only coherent choice.
    #[default]
    Revalidate,
    /// The browser does not ask for so long, and hides every invalidation meanwhile: `private, max-age=…`. Only for
    /// what does not change. It counts from each answer on: what the server has kept for a while says its `Age`, and so much
    /// more in `max-age`.
    MaxAge(Duration),
}

/// Who shares one stored response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Sharing {
    /// Each verified principal has its own.
    #[default]
    PerPrincipal,
    /// Everybody in the tenant gets the same. Only for routes whose answer is the same for all who reach the layer: a
    /// check of roles *behind* the layer is skipped on a hit.
    Tenant,
    /// Everybody gets the same, verified or not: it is kept in a tenant of its own
    /// ([`CacheLayer::public_tenant`](crate::CacheLayer::public_tenant)).
    ///
    /// So that no response is shared that was made for somebody, a read of such a route reaches the service **without
    /// its credentials**: without `Authorization`, `Cookie`, every other header of
    /// [`identified_by`](crate::RoutePoliciesBuilder::identified_by), and the [`Identity`](crate::Identity).
    Public,
}

/// Which part of the query tells responses apart.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Query {
    /// Every parameter; their order does not matter but among those of one name.
    #[default]
    All,
    /// Every parameter, in the order given: for servers to which it matters.
    InOrder,
    /// These names only. The others are taken out of the request, so that nothing uncounted can shape a response.
    Only(Vec<Cow<'static, str>>),
}

/// A response header in which a service names the groups of its response. It is taken out of what the client gets:
/// clients get groups in their opaque form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupHeader {
    /// `Cache-Groups` (RFC 9875): a list of strings.
    CacheGroups,
    /// `Surrogate-Key`: words between spaces.
    SurrogateKey,
}

/// Whether the layer declares wrong what an unsafe request may have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Writes {
    /// No: the application behind the layer does it by itself.
    #[default]
    ByApplication,
    /// Yes: the URI that it was sent to (RFC 9111, 4.4), the groups of [`RoutePolicy::invalidates`], and those that its
    /// answer names in `Cache-Group-Invalidation` (RFC 9875).
    ByLayer,
}

/// Groups that an unsafe request declares wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalidates {
    /// The request's method; `None`: every unsafe one.
    pub method: Option<Method>,
    /// The groups, each a text with the route's parameters, such as `import:{import_id}`.
    pub groups: Vec<String>,
}

impl BrowserLifetime {
    /// For how many seconds the browser need not ask.
    pub(crate) fn max_age(self) -> Option<u64> {
        match self {
            Self::MaxAge(age) => Some(age.as_secs()),
            Self::NoStore | Self::Revalidate => None,
        }
    }
}

impl RoutePolicy {
    /// Not kept by the server; the browser revalidates.
    pub fn uncached(entity: impl Into<Cow<'static, str>>) -> Self {
        Self {
            entity: entity.into(),
            lifetime: Lifetime::Uncached,
            browser: BrowserLifetime::Revalidate,
            sharing: Sharing::PerPrincipal,
            query: Query::All,
            groups: Vec::new(),
            groups_from: Vec::new(),
            writes: Writes::ByApplication,
            invalidates: Vec::new(),
        }
    }

    /// Kept by the server for each principal; the browser revalidates.
    pub fn cached(entity: impl Into<Cow<'static, str>>, policy: Policy) -> Self {
        Self { lifetime: Lifetime::Route(policy), ..Self::uncached(entity) }
    }

    /// Kept by the server for each principal, for as long as the service says; the layer declares wrong what unsafe
    /// requests may have changed.
    pub fn origin(entity: impl Into<Cow<'static, str>>, lifetime: OriginLifetime) -> Self {
        Self { lifetime: Lifetime::Origin(lifetime), writes: Writes::ByLayer, ..Self::uncached(entity) }
    }

    /// Sets how the browser keeps it.
    #[must_use]
    pub fn browser(self, browser: BrowserLifetime) -> Self {
        Self { browser, ..self }
    }

    /// Sets who shares one response.
    #[must_use]
    pub fn sharing(self, sharing: Sharing) -> Self {
        Self { sharing, ..self }
    }

    /// Sets which part of the query counts.
    #[must_use]
    pub fn query(self, query: Query) -> Self {
        Self { query, ..self }
    }

    /// Sets the groups of every response: texts with the parameters of the route's pattern, such as
    /// `import:{import_id}`.
    #[must_use]
    pub fn groups<G: Into<String>>(self, groups: impl IntoIterator<Item = G>) -> Self {
        Self { groups: groups.into_iter().map(Into::into).collect(), ..self }
    }

    /// Sets the response headers in which the service names further groups.
    #[must_use]
    pub fn groups_from(self, headers: impl IntoIterator<Item = GroupHeader>) -> Self {
        Self { groups_from: headers.into_iter().collect(), ..self }
    }

    /// Sets whether the layer declares wrong what an unsafe request may have changed.
    #[must_use]
    pub fn writes(self, writes: Writes) -> Self {
        Self { writes, ..self }
    }

    /// Adds groups that a request of this method declares wrong, in the form of [`groups`](Self::groups). The layer
    /// sees to the writes of this route from then on.
    #[must_use]
    pub fn invalidates<G: Into<String>>(self, method: Method, groups: impl IntoIterator<Item = G>) -> Self {
        self.invalidating(Some(method), groups)
    }

    /// Adds groups that every unsafe request declares wrong; see [`invalidates`](Self::invalidates).
    #[must_use]
    pub fn invalidates_always<G: Into<String>>(self, groups: impl IntoIterator<Item = G>) -> Self {
        self.invalidating(None, groups)
    }

    fn invalidating<G: Into<String>>(mut self, method: Option<Method>, groups: impl IntoIterator<Item = G>) -> Self {
        let groups = groups.into_iter().map(Into::into).collect();
        self.invalidates.push(Invalidates { method, groups });
        self.writes(Writes::ByLayer)
    }
}

impl Default for OriginLifetime {
    /// Nothing is fresh that does not say so; a day at most, kept for an hour more; no heuristics, nothing stale,
    /// no cookies; `CDN-Cache-Control` and `No-Vary-Search` are read; staleness between nodes bounded to one second; 30 s to answer.
    fn default() -> Self {
        Self {
            default_ttl: Duration::ZERO,
            ttl_max: Duration::from_secs(24 * 3600),
            retain: Duration::from_secs(3600),
            heuristics: false,
            stale_while_revalidate: Duration::ZERO,
            stale_if_error: Duration::ZERO,
            reads_cdn_cache_control: true,
            reads_surrogate_control: false,
            reads_no_vary_search: true,
            keeps_cookies: false,
            shares_authorized: false,
            mode: Mode::Bounded(Duration::from_secs(1)),
            load_timeout: Duration::from_secs(30),
        }
    }
}

impl Query {
    /// These names only.
    pub fn only<N: Into<Cow<'static, str>>>(names: impl IntoIterator<Item = N>) -> Self {
        Self::Only(names.into_iter().map(Into::into).collect())
    }
}

pub(super) fn cache_control(browser: BrowserLifetime) -> HeaderValue {
    match browser {
        BrowserLifetime::NoStore => HeaderValue::from_static("no-store"),
        BrowserLifetime::Revalidate => REVALIDATE,
        BrowserLifetime::MaxAge(age) => browser_max_age(age.as_secs()),
    }
}

/// `private, no-cache`: the browser may keep it and must ask.
pub(crate) const REVALIDATE: HeaderValue = HeaderValue::from_static("private, no-cache");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_and_browser_have_lives_of_their_own() {
        let control = |browser| cache_control(browser).to_str().unwrap().to_owned();
        assert_eq!(control(BrowserLifetime::default()), "private, no-cache");
        assert_eq!(control(BrowserLifetime::NoStore), "no-store");
        assert_eq!(control(BrowserLifetime::MaxAge(Duration::from_secs(60))), "private, max-age=60");
    }

    #[test]
    fn the_layer_sees_to_writes_only_where_the_route_says_so() {
        let policy = Policy::ttl(Duration::from_secs(1));
        assert_eq!(RoutePolicy::cached("a", policy).writes, Writes::ByApplication);
        assert_eq!(RoutePolicy::uncached("a").writes, Writes::ByApplication);
        assert_eq!(RoutePolicy::uncached("a").invalidates(Method::POST, ["a"]).writes, Writes::ByLayer);
        assert_eq!(RoutePolicy::uncached("a").invalidates_always(["a"]).writes, Writes::ByLayer);
        assert_eq!(RoutePolicy::origin("a", OriginLifetime::default()).writes, Writes::ByLayer);
    }
}
