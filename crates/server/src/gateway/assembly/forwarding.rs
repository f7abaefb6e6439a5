//! What stands behind the cache: forwarding, watched by the load that it may be a part of.

use std::{
    convert::Infallible,
    sync::Arc,
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
    listen::ClientConnection,
    proxy::{Forward, ForwardBody},
    upstream::{Target, Upstream},
};

/// Where a request goes if it is forwarded, and by which route.
#[derive(Clone, Debug)]
pub(crate) struct Goes {
    pub(crate) target: Target,
    pub(crate) tag: Option<Arc<Tag>>,
    /// Whence it came.
    pub(crate) connection: Option<ClientConnection>,
}

/// Forwards, and notes by which route.
#[derive(Clone, Debug)]
pub(crate) struct Forwarding {
    forward: Forward,
    /// Of the one request that this clone is for. No extension of it: each costs an allocation, also where nothing is
    /// forwarded.
    pub(crate) goes: Option<Goes>,
}

impl Forwarding {
    pub(crate) fn new(forward: Forward) -> Self {
        Self { forward, goes: None }
    }
}

impl<B> Service<Request<B>> for Forwarding
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response<ForwardBody>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<ForwardBody>, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Service::<Request<B>>::poll_ready(&mut self.forward, cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let Some(Goes { target: Target(upstream), tag, connection }) = self.goes.take() else {
            return self.forward.call(request);
        };
        // How the route was configured is one of the facts that the answer is made of.
        tag.iter().for_each(|tag| unstale::record(tag));
        self.forward.forward(upstream, connection, request)
    }
}

/// Asks an upstream.
pub(crate) fn ask_upstream(forward: &Forward, upstream: &Arc<Upstream>, bytes_max: usize) -> Ask {
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
