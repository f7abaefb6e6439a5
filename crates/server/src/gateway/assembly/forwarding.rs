//! What stands behind the cache: forwarding, watched by the load that it may be a part of.

use std::{
    convert::Infallible,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, Response, StatusCode, Uri};
use http_body::Body;
use http_body_util::{BodyExt as _, Empty, Limited};
use tower::{Service, ServiceExt as _};
use unstale::Tag;

use super::settings::url_settings;
use crate::gateway::{
    identity::{Ask, AskError},
    proxy::{Forward, ForwardBody},
    upstream::{Target, Upstream},
};

/// Which route a request has: an extension of the request.
#[derive(Clone, Debug)]
pub(crate) struct RouteTag(pub(crate) std::sync::Arc<Tag>);

/// Forwards, and notes by which route.
#[derive(Clone, Debug)]
pub(crate) struct Forwarding(pub(crate) Forward);

impl<B> Service<Request<B>> for Forwarding
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response<ForwardBody>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<ForwardBody>, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Service::<Request<B>>::poll_ready(&mut self.0, cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // How the route was configured is one of the facts that the answer is made of.
        if let Some(RouteTag(tag)) = request.extensions().get() {
            unstale::record(tag);
        }
        self.0.call(request)
    }
}

/// Asks an upstream.
pub(crate) fn ask_upstream(forward: &Forward, upstream: &std::sync::Arc<Upstream>, bytes_max: usize) -> Ask {
    let (forward, target) = (forward.clone(), Target(upstream.clone()));
    Ask::new(move |request: Request<()>| {
        let mut request = request.map(|()| Empty::<Bytes>::new());
        request.extensions_mut().insert(target.clone());
        let forward = forward.clone();
        async move { answer(forward, request, bytes_max).await }
    })
}

/// Asks the server of a URL; none if the URL names none.
pub(crate) fn ask_url(forward: &Forward, url: &Uri, bytes_max: usize) -> Option<Ask> {
    let upstream = Upstream::new(url_settings(url)?);
    match upstream {
        Ok(upstream) => Some(ask_upstream(forward, &upstream, bytes_max)),
        Err(error) => {
            tracing::error!(%error, %url, "keys of tokens cannot be asked for");
            None
        }
    }
}

async fn answer(
    forward: Forward,
    request: Request<Empty<Bytes>>,
    bytes_max: usize,
) -> Result<(StatusCode, Bytes), AskError> {
    let Ok(response) = forward.oneshot(request).await;
    let (head, body) = response.into_parts();
    let body = Limited::new(body, bytes_max).collect().await.map_err(|error| AskError(error.to_string()))?;
    Ok((head.status, body.to_bytes()))
}
