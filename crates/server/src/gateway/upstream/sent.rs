//! The body of a request on its way to a server, and how far it is.
//!
//! # Invariants
//! - A request without a body costs no allocation.
//! - [`SendProgress`] knows whether a byte was taken from the client. From then on the request cannot be sent again.
//! - With `Expect: 100-continue`, nothing is taken from the client before the [`Gate`] opens: so the client is told to
//!   go on only when the server said so, or said nothing for a while.

use std::{
    fmt,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use http_body::{Body, Frame, SizeHint};

/// Any error of the client's body.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The body of a request on its way to a server.
pub(crate) struct SentBody(Option<Box<Streamed>>);

struct Streamed {
    inner: Pin<Box<dyn Body<Data = Bytes, Error = BoxError> + Send>>,
    progress: Arc<SendProgress>,
    gated: bool,
}

/// How far a body is.
#[derive(Debug, Default)]
pub(crate) struct SendProgress {
    begun: AtomicBool,
    ended: AtomicBool,
    awaits_client: AtomicBool,
    frames: AtomicU32,
    gate: Gate,
}

/// Holds a body back until the server wants it.
#[derive(Debug, Default)]
struct Gate {
    open: AtomicBool,
    waker: AtomicWaker,
}

impl SendProgress {
    /// Whether something of it was taken from the client.
    pub(crate) fn begun(&self) -> bool {
        self.begun.load(Relaxed)
    }

    /// Whether all of it was taken.
    pub(crate) fn ended(&self) -> bool {
        self.ended.load(Relaxed)
    }

    /// Whether the client is slow, rather than the server.
    pub(crate) fn awaits_client(&self) -> bool {
        self.awaits_client.load(Relaxed)
    }

    /// Grows with each part.
    pub(crate) fn frames(&self) -> u32 {
        self.frames.load(Relaxed)
    }

    /// Lets a body through that waits for the server's consent.
    pub(crate) fn open(&self) {
        self.gate.open.store(true, Relaxed);
        self.gate.waker.wake();
    }
}

impl SentBody {
    /// No body.
    pub(crate) fn empty() -> Self {
        Self(None)
    }

    /// The client's body. With `gated`, nothing is taken from it before [`SendProgress::open`].
    pub(crate) fn new<B>(body: B, gated: bool) -> Self
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        if body.is_end_stream() {
            return Self::empty();
        }
        let inner = Box::pin(http_body_util::BodyExt::map_err(body, Into::into));
        Self(Some(Box::new(Streamed { inner, progress: Arc::default(), gated })))
    }

    /// How far it is; nothing for a request without a body.
    pub(crate) fn progress(&self) -> Option<Arc<SendProgress>> {
        self.0.as_ref().map(|streamed| streamed.progress.clone())
    }
}

impl fmt::Debug for SentBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SentBody").field(&self.progress()).finish()
    }
}

impl Body for SentBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some(streamed) = &mut self.0 else { return Poll::Ready(None) };
        let Streamed { inner, progress, gated } = &mut **streamed;
        if *gated {
            progress.gate.waker.register(cx.waker());
            if !progress.gate.open.load(Relaxed) {
                return Poll::Pending;
            }
            *gated = false;
        }
        // From here on the client may have been told to send: its body counts as begun.
        progress.begun.store(true, Relaxed);
        progress.awaits_client.store(true, Relaxed);
        let frame = ready!(inner.as_mut().poll_frame(cx));
        progress.awaits_client.store(false, Relaxed);
        progress.frames.fetch_add(1, Relaxed);
        if frame.is_none() || inner.is_end_stream() {
            progress.ended.store(true, Relaxed);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|streamed| streamed.inner.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or_else(|| SizeHint::with_exact(0), |streamed| streamed.inner.size_hint())
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use http_body_util::{BodyExt as _, Full};

    use super::*;

    #[tokio::test]
    async fn tells_how_far_it_is() {
        let body = SentBody::new(Full::new(Bytes::from_static(b"abc")), false);
        let progress = body.progress().unwrap();
        assert!(!progress.begun() && !progress.ended());
        assert_eq!(body.collect().await.unwrap().to_bytes(), "abc");
        assert!(progress.begun() && progress.ended());
        assert!(SentBody::new(Full::<Bytes>::default(), false).progress().is_none());
    }

    #[tokio::test]
    async fn waits_at_the_gate() {
        let mut body = SentBody::new(Full::new(Bytes::from_static(b"abc")), true);
        let progress = body.progress().unwrap();
        let mut cx = Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut body).poll_frame(&mut cx).is_pending());
        assert!(!progress.begun());
        progress.open();
        assert!(Pin::new(&mut body).poll_frame(&mut cx).is_ready());
        assert!(progress.begun());
    }
}
