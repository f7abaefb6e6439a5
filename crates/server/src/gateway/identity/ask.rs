//! Asking another server a question: what the ways of verifying need of the network.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, StatusCode};

/// Sends a request and brings the whole answer, within the limits of whoever made it.
#[derive(Clone)]
pub(crate) struct Ask(Arc<Asking>);

type Asking = dyn Fn(Request<()>) -> BoxFuture<'static, Result<(StatusCode, Bytes), AskError>> + Send + Sync;

/// Why there is no answer. Holds nothing of the request.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct AskError(pub(crate) String);

impl Ask {
    pub(crate) fn new<F, A>(ask: F) -> Self
    where
        F: Fn(Request<()>) -> A + Send + Sync + 'static,
        A: Future<Output = Result<(StatusCode, Bytes), AskError>> + Send + 'static,
    {
        Self(Arc::new(move |request| Box::pin(ask(request))))
    }

    pub(crate) async fn ask(&self, request: Request<()>) -> Result<(StatusCode, Bytes), AskError> {
        (self.0)(request).await
    }
}

impl fmt::Debug for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ask")
    }
}
