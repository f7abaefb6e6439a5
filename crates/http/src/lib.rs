//! **Unstale** over HTTP: a tower layer that answers reads from a coherent cache.
//!
//! Every GET gets a strong validator and 304s; what the server keeps and what the browser keeps are two settings of a
//! route; each verified principal has their own responses unless a route says otherwise; and a response goes out of date
//! with the facts that its handler read.
//!
//! ```
//! use std::{convert::Infallible, sync::Arc, time::Duration};
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use tower::{Layer as _, Service as _, ServiceExt as _, service_fn};
//! use unstale::{Cache, Invalidation, MemoryStore, Policy, Tag, Tenant};
//! use unstale_http::{CacheLayer, Identity, RoutePolicies, RoutePolicy};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
//! let cache = Cache::builder(Arc::new(MemoryStore::default())).build().await.unwrap();
//! let acme = Tenant::new("acme").unwrap();
//! let handler = service_fn(|_request: Request<String>| async {
//!     unstale::record(&Tag::of(&Tenant::new("acme").unwrap(), "flow", 7)); // a repository does this
//!     Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"{}"))))
//! });
//!
//! let five_minutes = Policy::ttl(Duration::from_secs(300));
//! let routes = RoutePolicies::builder().route("/flows/{id}", RoutePolicy::cached("flow", five_minutes)).build().unwrap();
//! let mut service = CacheLayer::new(cache.clone(), routes, b"a secret of the application").layer(handler);
//!
//! let get = || {
//!     let mut request = Request::get("/flows/7").body(String::new()).unwrap();
//!     // The authentication middleware does this.
//!     request.extensions_mut().insert(Identity::new(Tenant::new("acme").unwrap(), "user-42"));
//!     request
//! };
//! assert_eq!(service.ready().await.unwrap().call(get()).await.unwrap().headers()["x-cache"], "MISS");
//! assert_eq!(service.ready().await.unwrap().call(get()).await.unwrap().headers()["x-cache"], "HIT");
//!
//! cache.invalidate(&Invalidation::of([Tag::of(&acme, "flow", 7)])).await.unwrap();
//! assert_eq!(service.ready().await.unwrap().call(get()).await.unwrap().headers()["x-cache"], "MISS");
//! # });
//! ```
//!
//! # Invariants
//! - A response is looked up and kept under a verified [`Identity`] or not at all; never across tenants. What a route
//!   says is for everybody is made without anybody's credentials and kept apart.
//! - What the origin said binds: `no-store`, `no-cache`, `private`, `Set-Cookie`, `Vary`, its lifetimes.
//! - A response that may not be kept reaches exactly the one who caused it, whole; whoever waited asks for themselves.
//! - One entry, one validator: a 304 is answered from the entry that a 200 would be.
//! - A write that the layer sees to is answered when what it may have changed is declared wrong; no group and no URI
//!   that tells what is dropped on the way.
//! - A failure of the cache is never a user's error.
//!
//! # What this crate knows nothing of
//! Tokens and sessions, SQL, any application's domain.

pub mod conditional;
pub mod decide;
pub mod headers;
pub mod key;
#[doc(hidden)]
pub mod parsers;
pub mod range;
mod ready;
pub mod reasons;
pub mod rfc9111;
pub mod url;
pub mod wire;

mod answer;
mod behind;
mod body;
mod compression;
mod future;
mod generations;
mod groups;
mod identity;
mod layer;
mod load;
mod look_up;
mod named;
mod notable;
mod origin;
mod overrides;
mod place;
mod position;
mod problem;
mod route;
mod searches;
mod served;
mod service;
mod shared;
mod stored;
mod tags;
mod told;
mod validator;
mod variants;
mod writes;

pub use self::{
    body::CacheBody,
    compression::{CompressionFuture, CompressionLayer, CompressionLimits, CompressionService},
    decide::{Uncached, Unshared},
    future::ResponseFuture,
    headers::WRITTEN_POSITION,
    identity::Identity,
    layer::CacheLayer,
    overrides::may_be_another_method,
    position::{AtLeast, Written},
    route::{
        BrowserLifetime, ENTITY_BYTES_MAX, GroupHeader, Invalidates, Lifetime, OriginLifetime, Query, RouteError,
        RouteId, RoutePolicies, RoutePoliciesBuilder, RoutePolicy, RouteSettings, Sharing, Writes,
    },
    served::{Answered, CacheVerdict, ServedObserver, ValidatedAsKept},
    service::{CacheService, RequestFacts},
    shared::{HttpLimits, PUBLIC_TENANT},
    stored::StoredResponse,
    tags::group_tag,
    told::ForOthers,
    validator::ValidatorKey,
};
