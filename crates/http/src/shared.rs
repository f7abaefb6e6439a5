//! What all requests to a layer share: the cache, the routes, its keys and its limits.

use std::sync::Arc;

use unstale::{Cache, GroupKey, Tenant};

use crate::{
    ready::Heads,
    route::{RoutePolicies, Tuning},
    searches::Searches,
    served::Observers,
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

impl Shared {
    /// As a layer begins.
    pub(crate) fn new(cache: Cache, routes: Arc<RoutePolicies>, secret: &[u8]) -> Self {
        Self {
            cache,
            routes,
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
        }
    }
}
