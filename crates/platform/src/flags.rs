//! The platform's feature flags, and what they switch in requests.
//!
//! Off, the cache leaves nothing of itself behind: `USE_CUSTOM_API_CACHE` is the road back to the database for every
//! read, while writes go on to announce what they change.

use std::{
    convert::Infallible,
    mem,
    task::{Context, Poll},
};

use axum::{extract::Request, http::HeaderMap, response::Response};
use futures_util::future::{BoxFuture, Either, FutureExt as _};
use tower::{Layer, Service};
use unstale_http::{Uncached, Unshared};
use unstale_server::flags::{Asking, Definition, Flags};
use uuid::Uuid;

use crate::{
    api::{Platform, policies},
    auth::Caller,
    coherence::CacheUse,
};

/// Whether reads are answered from the cache.
pub const USE_CUSTOM_API_CACHE: &str = "USE_CUSTOM_API_CACHE";
/// Whether the cache shares values through Redis.
pub const USE_REDIS_CACHE: &str = "USE_REDIS_CACHE";
/// Whether answers tell how the cache came by them.
pub const ENABLE_CACHE_HEADERS: &str = "ENABLE_CACHE_HEADERS";

/// Every flag.
pub static FLAGS: [Definition; 5] = [
    Definition {
        key: USE_CUSTOM_API_CACHE,
        description: "Reads are answered from the cache, in the server and in the browser. Off: from the database, always.",
        default: true,
    },
    Definition {
        key: USE_REDIS_CACHE,
        description: "Values are shared between nodes through Redis. Off: each node keeps its own; invalidations go on.",
        default: true,
    },
    Definition {
        key: ENABLE_CACHE_HEADERS,
        description: "Answers tell how the cache came by them (X-Cache, Cache-Status, Server-Timing).",
        default: true,
    },
    Definition {
        key: "ENABLE_OFFLINE_READING",
        description: "Users may keep what they read, sealed, for reading it offline.",
        default: true,
    },
    Definition {
        key: "ENABLE_DEVTOOLS",
        description: "The panel that shows what the browser's client does.",
        default: false,
    },
];

/// Whether what `user` asks for is answered from the cache, where no endpoint is treated otherwise.
pub(crate) fn uses_cache(flags: &Flags, user: Uuid) -> bool {
    let user = user.to_string();
    flags.are_default() || flags.current().is_on(USE_CUSTOM_API_CACHE, &Asking { user: Some(&user), endpoint: None })
}

/// Lets flags decide what of the cache a request may use. Inside of authentication, outside of the cache.
#[derive(Clone)]
pub(crate) struct FlagLayer {
    platform: Platform,
}

impl FlagLayer {
    pub(crate) fn new(platform: Platform) -> Self {
        Self { platform }
    }
}

impl<S> Layer<S> for FlagLayer {
    type Service = FlagService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        FlagService { platform: self.platform.clone(), inner }
    }
}

/// The service of [`FlagLayer`]. While every flag is at its default it costs one look.
#[derive(Clone)]
pub(crate) struct FlagService<S> {
    platform: Platform,
    inner: S,
}

impl<S, B> Service<Request> for FlagService<S>
where
    S: Service<Request, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: Send + 'static,
{
    type Response = Response<B>;
    type Error = Infallible;
    type Future = Either<S::Future, BoxFuture<'static, Result<Response<B>, Infallible>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        if self.platform.flags.are_default() {
            return Either::Left(self.inner.call(request));
        }
        let Some(user) = request.extensions().get::<Caller>().map(|caller| caller.id().to_string()) else {
            return Either::Left(self.inner.call(request));
        };
        let endpoint = policies::endpoint_of(request.uri().path());
        let flags = self.platform.flags.current();
        let asking = Asking { user: Some(&user), endpoint };
        let is_on = |flag| flags.is_on(flag, &asking);
        let allowed = CacheUse { is_on: is_on(USE_CUSTOM_API_CACHE), uses_store: is_on(USE_REDIS_CACHE) };
        let tells = is_on(ENABLE_CACHE_HEADERS);
        if !allowed.is_on {
            request.extensions_mut().insert(Uncached);
        }
        if !allowed.uses_store {
            request.extensions_mut().insert(Unshared);
        }
        // The clone takes the place of the one that is ready.
        let clone = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, clone);
        let answered = async move {
            let mut response = allowed.within(inner.call(request)).await?;
            if !tells {
                silence(response.headers_mut());
            }
            Ok(response)
        };
        Either::Right(answered.boxed())
    }
}

fn silence(headers: &mut HeaderMap) {
    for name in ["x-cache", "x-cache-hits", "x-cache-misses", "cache-status", "server-timing"] {
        headers.remove(name);
    }
}
