//! The layer: what it needs to know, and its limits.

use std::sync::Arc;

use tower::Layer;
use unstale::{Cache, GroupKey, Tenant};

use crate::{
    ready::Heads,
    route::{RoutePolicies, RoutePolicy, RouteSettings, Tuning},
    searches::Searches,
    served::{Observers, ServedObserver},
    service::CacheService,
    validator::ValidatorKey,
    variants::Variants,
};

/// The tenant of public responses, if none is set.
pub const PUBLIC_TENANT: &str = "public";

/// The limits of the layer, each with its default.
#[derive(Clone, Copy, Debug)]
pub struct HttpLimits {
    /// Bytes of a body that is kept, and of one that gets a validator.
    pub body_bytes_max: usize,
    /// Bytes of the headers that are kept with it.
    pub header_bytes_max: usize,
    /// Bytes of path and query of a request that is looked up.
    pub url_bytes_max: usize,
    /// Groups named in a response.
    pub groups_max: usize,
    /// Groups that a route and its service name for one response; with more it is not kept.
    pub origin_groups_max: usize,
    /// Bytes of such a group's name; with a longer one the response is not kept.
    pub group_bytes_max: usize,
    /// Variants of one URL that are kept for one owner; of more, those that are not used go.
    pub variants_max: usize,
}

impl Default for HttpLimits {
    /// 1 MiB of body, 16 KiB of headers, 2 KiB of URL, 64 groups, of which the service names 48 of 256 bytes (RFC 9875
    /// asks for 32 of 32 at least), 64 variants.
    fn default() -> Self {
        Self {
            body_bytes_max: 1 << 20,
            header_bytes_max: 16 << 10,
            url_bytes_max: 2048,
            groups_max: 64,
            origin_groups_max: 48,
            group_bytes_max: 256,
            variants_max: 64,
        }
    }
}

/// Puts a [`CacheService`] around a service. Cheap to clone.
///
/// Mount it inside of authentication and outside of everything that makes the response; requests must reach it with
/// their whole path.
#[derive(Clone, Debug)]
pub struct CacheLayer {
    shared: Arc<Shared>,
}

/// What all requests share.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) cache: Cache,
    pub(crate) routes: Arc<RoutePolicies>,
    pub(crate) validators: ValidatorKey,
    pub(crate) groups: GroupKey,
    pub(crate) limits: HttpLimits,
    pub(crate) observers: Observers,
    pub(crate) tuning: Tuning,
    /// Where public responses are kept.
    pub(crate) public_tenant: Tenant,
    /// Whether what no route covers gets a validator, too.
    pub(crate) validates_unrouted: bool,
    pub(crate) variants: Arc<Variants>,
    pub(crate) searches: Arc<Searches>,
    pub(crate) heads: Heads,
}

impl CacheLayer {
    /// A layer over `cache`. `secret` must be the same on all nodes and kept over restarts: validators and groups are
    /// made with keys derived from it.
    pub fn new(cache: Cache, routes: impl Into<Arc<RoutePolicies>>, secret: &[u8]) -> Self {
        let shared = Shared {
            cache,
            routes: routes.into(),
            validators: ValidatorKey::derive(secret),
            groups: GroupKey::derive(secret),
            limits: HttpLimits::default(),
            observers: Observers::default(),
            tuning: Tuning::default(),
            public_tenant: Tenant::new(PUBLIC_TENANT).expect("it is a tenant's name"),
            validates_unrouted: true,
            variants: Arc::default(),
            searches: Arc::default(),
            heads: Heads::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Sets the limits.
    #[must_use]
    pub fn limits(mut self, limits: HttpLimits) -> Self {
        Arc::make_mut(&mut self.shared).limits = limits;
        self
    }

    /// Sets the key of the groups, where it is not derived from the layer's secret.
    #[must_use]
    pub fn group_key(mut self, groups: GroupKey) -> Self {
        Arc::make_mut(&mut self.shared).groups = groups;
        self
    }

    /// Sets the tenant in which the responses of routes with [`Sharing::Public`](crate::Sharing) are kept, in place of
    /// [`PUBLIC_TENANT`]. Nobody may act in it: a request whose identity does is passed on uncached.
    #[must_use]
    pub fn public_tenant(mut self, tenant: Tenant) -> Self {
        Arc::make_mut(&mut self.shared).public_tenant = tenant;
        self
    }

    /// Sets whether a GET that no route covers gets a validator, and 304s, as every other GET does. To make it, the body is
    /// waited for and hashed: where most requests are passed on to a service at a distance, they had better stream through
    /// as they are.
    #[must_use]
    pub fn validate_unrouted(mut self, validates: bool) -> Self {
        Arc::make_mut(&mut self.shared).validates_unrouted = validates;
        self
    }

    /// Sets, for this layer and all its clones, how each route is used from now on; by pattern and policy. It replaces
    /// all that was set before.
    pub fn tune(&self, settings: impl Fn(&str, &RoutePolicy) -> RouteSettings) {
        self.shared.tuning.set(&self.shared.routes, settings);
    }

    /// Adds an observer.
    #[must_use]
    pub fn observer(mut self, observer: Arc<dyn ServedObserver>) -> Self {
        Arc::make_mut(&mut self.shared).observers.0.push(observer);
        self
    }
}

impl<S> Layer<S> for CacheLayer {
    type Service = CacheService<S>;

    fn layer(&self, inner: S) -> CacheService<S> {
        CacheService::new(inner, self.shared.clone())
    }
}
