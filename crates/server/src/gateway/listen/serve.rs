//! What answers the requests of connections.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response, request};
use http_body::Body;
use tower::{Service, ServiceExt as _, util::Oneshot};

use super::{body::RequestBody, peer::ClientConnection};

/// Answers the requests of connections.
///
/// Beside a [`Service`], it is told of the connection as it is: an extension of each request would cost an allocation,
/// and a clone of the service and of what it holds some locked operations.
pub trait Serve: Clone + Send + 'static {
    /// The body of an answer.
    type Body: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static;
    /// An answer on its way.
    type Future: Future<Output = Result<Response<Self::Body>, Infallible>> + Send + 'static;

    /// Answers a request that came on this connection. It comes taken apart, as the listener has looked at it.
    fn serve(&self, head: request::Parts, body: RequestBody, connection: &ClientConnection) -> Self::Future;

    /// Whether an answer is there as soon as it is asked for. Who does not know says no, and loses nothing but time.
    fn is_ready(_: &Self::Future) -> bool {
        false
    }

    /// Writes the head of an answer as HTTP/1.1 sends it, and returns the body, if all of it is there already; then there is
    /// nothing more to wait for. Who cannot leaves it as it is, and loses nothing but time.
    fn write(_: &mut Self::Future, _out: &mut Vec<u8>) -> Option<Bytes> {
        None
    }

    /// All bytes of a body, if they are there. Who does not know has none.
    fn whole(_: &Self::Body) -> Option<&Bytes> {
        None
    }
}

/// A service. It finds the [`ClientConnection`] among the request's extensions.
#[derive(Clone, Debug)]
pub struct Mounted<S>(pub S);

impl<S, B> Serve for Mounted<S>
where
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Body = B;
    type Future = Oneshot<S, Request<RequestBody>>;

    fn serve(&self, mut head: request::Parts, body: RequestBody, connection: &ClientConnection) -> Self::Future {
        head.extensions.insert(connection.clone());
        self.0.clone().oneshot(Request::from_parts(head, body))
    }
}
