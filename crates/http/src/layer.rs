//! The layer: how a service is wrapped, and what it is told.

use std::sync::Arc;

use tower::Layer;
use unstale::{Cache, GroupKey, Tenant};

use crate::{
    route::{RoutePolicies, RoutePolicy, RouteSettings},
    served::ServedObserver,
    service::CacheService,
    shared::{HttpLimits, Shared},
};

/// Puts a [`CacheService`] around a service. Cheap to clone.
///
/// Mount it inside of authentication and outside of everything that makes the response; requests must reach it with
/// their whole path.
#[derive(Clone, Debug)]
pub struct CacheLayer {
    shared: Arc<Shared>,
}

impl CacheLayer {
    /// A layer over `cache`. `secret` must be the same on all nodes and kept over restarts: validators and groups are
    /// made with keys derived from it.
    pub fn new(cache: Cache, routes: impl Into<Arc<RoutePolicies>>, secret: &[u8]) -> Self {
        Self { shared: Arc::new(Shared::new(cache, routes.into(), secret)) }
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
    /// [`PUBLIC_TENANT`](crate::PUBLIC_TENANT). Nobody may act in it: a request whose identity does is passed on uncached.
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
