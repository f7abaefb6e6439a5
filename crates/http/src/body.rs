//! The body of a response from the layer: whole and from memory, or the service's own, streaming.

use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use pin_project_lite::pin_project;

use crate::reasons::NotStoredReason;

pin_project! {
    /// A response's body.
    pub struct CacheBody<B>
    where
        B: Body,
    {
        #[pin]
        kind: Kind<B>,
    }
}

pin_project! {
    #[project = KindProjection]
    enum Kind<B>
    where
        B: Body,
    {
        Full { bytes: Bytes },
        Inner { #[pin] body: B },
        Begun { begun: Begun<B> },
    }
}

/// A body of which some was read already.
pub(crate) struct Begun<B: Body> {
    read: VecDeque<Result<Frame<Bytes>, B::Error>>,
    rest: Option<Pin<Box<B>>>,
}

impl<B: Body> CacheBody<B> {
    /// These bytes.
    pub(crate) fn full(bytes: Bytes) -> Self {
        Self { kind: Kind::Full { bytes } }
    }

    /// No bytes.
    pub(crate) fn empty() -> Self {
        Self::full(Bytes::new())
    }

    /// A service's own body.
    pub(crate) fn inner(body: B) -> Self {
        Self { kind: Kind::Inner { body } }
    }

    /// The service's own body, if none of it was read.
    pub(crate) fn into_inner(self) -> Result<B, Self> {
        match self.kind {
            Kind::Inner { body } => Ok(body),
            kind => Err(Self { kind }),
        }
    }

    /// All bytes of it, if it is from memory.
    pub fn whole(&self) -> Option<&Bytes> {
        match &self.kind {
            Kind::Full { bytes } => Some(bytes),
            Kind::Inner { .. } | Kind::Begun { .. } => None,
        }
    }

    fn begun(begun: Begun<B>) -> Self {
        Self { kind: Kind::Begun { begun } }
    }
}

impl<B: Body<Data = Bytes>> Body for CacheBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project().kind.project() {
            KindProjection::Full { bytes } if bytes.is_empty() => Poll::Ready(None),
            KindProjection::Full { bytes } => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            KindProjection::Inner { body } => body.poll_frame(cx),
            KindProjection::Begun { begun } => {
                if let Some(frame) = begun.read.pop_front() {
                    return Poll::Ready(Some(frame));
                }
                let Some(rest) = &mut begun.rest else { return Poll::Ready(None) };
                let frame = ready!(rest.as_mut().poll_frame(cx));
                if frame.is_none() {
                    begun.rest = None;
                }
                Poll::Ready(frame)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Full { bytes } => bytes.is_empty(),
            Kind::Inner { body } => body.is_end_stream(),
            Kind::Begun { begun } => begun.read.is_empty() && begun.rest.as_ref().is_none_or(Body::is_end_stream),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Full { bytes } => SizeHint::with_exact(bytes.len() as u64),
            Kind::Inner { body } => body.size_hint(),
            Kind::Begun { begun } => begun.size_hint(),
        }
    }
}

impl<B: Body<Data = Bytes>> Begun<B> {
    fn size_hint(&self) -> SizeHint {
        let frames = self.read.iter().filter_map(|frame| frame.as_ref().ok()?.data_ref());
        let read: u64 = frames.map(|bytes| bytes.len() as u64).sum();
        let rest = self.rest.as_ref().map_or(SizeHint::with_exact(0), Body::size_hint);
        let mut hint = SizeHint::new();
        hint.set_lower(read + rest.lower());
        if let Some(upper) = rest.upper() {
            hint.set_upper(read + upper);
        }
        hint
    }
}

impl<B: Body> fmt::Debug for CacheBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            Kind::Full { .. } => "CacheBody(full)",
            Kind::Inner { .. } => "CacheBody(streaming)",
            Kind::Begun { .. } => "CacheBody(begun)",
        })
    }
}

/// Reads a body of at most `bytes_max`. One that is longer, breaks off or has trailers comes back as it was.
pub(crate) async fn collect<B: Body<Data = Bytes>>(
    body: B,
    bytes_max: usize,
) -> Result<Bytes, (CacheBody<B>, NotStoredReason)> {
    let bytes_max = bytes_max as u64;
    if body.size_hint().lower() > bytes_max {
        return Err((CacheBody::inner(body), NotStoredReason::TooLarge));
    }
    let mut body = Box::pin(body);
    let mut read = VecDeque::new();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let reason = match &frame {
            Err(_) => Some(NotStoredReason::BodyFailed),
            Ok(frame) => match frame.data_ref() {
                None => Some(NotStoredReason::Trailers),
                Some(data) => {
                    length += data.len() as u64;
                    (length > bytes_max).then_some(NotStoredReason::TooLarge)
                }
            },
        };
        let failed = frame.is_err();
        read.push_back(frame);
        if let Some(reason) = reason {
            let rest = (!failed).then_some(body);
            return Err((CacheBody::begun(Begun { read, rest }), reason));
        }
    }
    let mut parts = read.into_iter().filter_map(|frame| frame.ok()?.into_data().ok());
    let (Some(first), second) = (parts.next(), parts.next()) else { return Ok(Bytes::new()) };
    let Some(second) = second else { return Ok(first) };
    let mut whole = BytesMut::with_capacity(usize::try_from(length).unwrap_or_default());
    [first, second].into_iter().chain(parts).for_each(|part| whole.extend_from_slice(&part));
    Ok(whole.freeze())
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use http_body_util::{Full, StreamBody};

    use super::*;

    type Parts = Vec<Result<&'static str, &'static str>>;

    fn body(parts: Parts) -> impl Body<Data = Bytes, Error = &'static str> {
        let frame = |part: Result<&'static str, _>| part.map(|text| Frame::data(Bytes::from_static(text.as_bytes())));
        StreamBody::new(stream::iter(parts.into_iter().map(frame)))
    }

    async fn read(mut body: impl Body<Data = Bytes, Error = &'static str> + Unpin) -> (String, Option<&'static str>) {
        let mut text = String::new();
        while let Some(frame) = body.frame().await {
            match frame {
                Ok(frame) => text.push_str(std::str::from_utf8(&frame.into_data().unwrap()).unwrap()),
                Err(error) => return (text, Some(error)),
            }
        }
        (text, None)
    }

    #[tokio::test]
    async fn a_body_within_the_limit_is_whole() {
        for (parts, whole) in [(vec![], ""), (vec![Ok("abc")], "abc"), (vec![Ok("a"), Ok(""), Ok("bc")], "abc")] {
            assert_eq!(collect(body(parts), 3).await.unwrap(), whole);
        }
    }

    #[tokio::test]
    async fn a_body_beyond_the_limit_comes_back_as_it_was() {
        let (passed, reason) = collect(body(vec![Ok("ab"), Ok("cd"), Ok("ef")]), 3).await.unwrap_err();
        assert_eq!(reason, NotStoredReason::TooLarge);
        assert_eq!(read(passed).await, ("abcdef".into(), None));
        let (passed, reason) = collect(Full::new(Bytes::from_static(b"abcd")), 3).await.unwrap_err();
        assert_eq!((reason, passed.size_hint().exact()), (NotStoredReason::TooLarge, Some(4)));
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_breaks_off_for_its_reader() {
        let (passed, reason) = collect(body(vec![Ok("ab"), Err("gone")]), 9).await.unwrap_err();
        assert_eq!(reason, NotStoredReason::BodyFailed);
        assert_eq!(read(passed).await, ("ab".into(), Some("gone")));
    }

    #[tokio::test]
    async fn trailers_come_through() {
        let frames =
            [Ok::<_, &str>(Frame::data(Bytes::from_static(b"ab"))), Ok(Frame::trailers(http::HeaderMap::new()))];
        let (passed, reason) = collect(StreamBody::new(stream::iter(frames)), 9).await.unwrap_err();
        assert_eq!(reason, NotStoredReason::Trailers);
        let passed = passed.collect().await.unwrap();
        assert!(passed.trailers().is_some());
        assert_eq!(passed.to_bytes(), "ab");
    }
}
