//! Shorter answers: text goes out in gzip to who takes it.
//!
//! A layer of its own, outside of the cache and of authentication: behind it there are plain responses only, with one
//! validator each, and what is stored is stored once. The encoded form of a stored response is made when it is first wanted
//! and kept beside it, so that a hit is not encoded again.
//!
//! # Invariants
//! - The two forms of a response have strong validators of their own (RFC 9110, 8.8.3.3): the encoded one's is the plain one's
//!   with an ending. A condition on either is answered with a 304 that carries the validator the client named.
//! - Every response that has two forms says `Vary: Accept-Encoding`, in either form and in a 304.
//! - Only a body whose length is known is read and encoded. Streams of events, sockets, parts and what is encoded already pass
//!   through as they are.
//! - Nothing that gives credentials is encoded (what sets a cookie, reads with `no-store`), and nothing that another site's page has asked for:
//!   the length of an encoded answer tells whether two of its texts are alike (the attack called BREACH).
//! - Encoding takes no time of those who wait for something else: a long body is encoded beside the runtime's threads.
//!
//! It does not unpack what requests bring.

mod kept;
pub(crate) mod negotiation;

use std::{
    io::Write as _,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use futures_util::future::BoxFuture;
use http::{HeaderValue, Method, Request, Response, StatusCode, header, response::Parts};
use http_body::Body;
use pin_project_lite::pin_project;
use tower::{Layer, Service};

pub(crate) use self::kept::{EncodedForm, TakesEncoded};
use self::{
    kept::{Known, Room},
    negotiation::NamedForms,
};
use crate::{
    body::{CacheBody, collect},
    headers::number,
};

/// Of ten steps: the later ones take much longer, for little.
const LEVEL: u32 = 5;

/// The limits of the layer, each with its default.
#[derive(Clone, Copy, Debug)]
pub struct CompressionLimits {
    /// Shortest body that is encoded: less fits into the packet that its head needs anyway.
    pub bytes_min: usize,
    /// Longest body that is encoded.
    pub bytes_max: usize,
    /// Longest body that is encoded where it is; a longer one is handed to a thread that may be busy for a while.
    pub at_once_bytes_max: usize,
    /// Bytes of the encoded forms that are kept beside stored responses, in all. Without room a form is made each time.
    pub kept_bytes_max: usize,
}

impl Default for CompressionLimits {
    /// 1 KiB to 8 MiB, up to 64 KiB at once, 32 MiB kept.
    fn default() -> Self {
        Self { bytes_min: 1 << 10, bytes_max: 8 << 20, at_once_bytes_max: 64 << 10, kept_bytes_max: 32 << 20 }
    }
}

/// Puts a [`CompressionService`] around a service. Cheap to clone. Mount it outside of the [`CacheLayer`](crate::CacheLayer).
#[derive(Clone, Debug)]
pub struct CompressionLayer {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    limits: CompressionLimits,
    room: Arc<Room>,
}

impl CompressionLayer {
    /// A layer within these limits.
    pub fn new(limits: CompressionLimits) -> Self {
        Self { shared: Arc::new(Shared { limits, room: Arc::new(Room::new(limits.kept_bytes_max)) }) }
    }
}

impl Default for CompressionLayer {
    fn default() -> Self {
        Self::new(CompressionLimits::default())
    }
}

impl<S> Layer<S> for CompressionLayer {
    type Service = CompressionService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        CompressionService { inner, shared: self.shared.clone() }
    }
}

/// Gives responses in the form that suits who asks.
#[derive(Clone, Debug)]
pub struct CompressionService<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for CompressionService<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ResBody: Body<Data = Bytes> + Send + 'static,
    ResBody::Error: Send,
{
    type Response = Response<CacheBody<ResBody>>;
    type Error = S::Error;
    type Future = CompressionFuture<S::Future, ResBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        let asked = Asked {
            takes_encoded: negotiation::is_taken(request.headers()),
            is_head: request.method() == Method::HEAD,
            is_read: matches!(*request.method(), Method::GET | Method::HEAD),
            named: NamedForms::widen(request.headers_mut()),
            shared: self.shared.clone(),
        };
        if asked.takes_encoded {
            request.extensions_mut().insert(TakesEncoded);
        }
        CompressionFuture { state: State::Waiting { inner: self.inner.call(request), asked } }
    }
}

/// What is remembered of a request until it is answered.
struct Asked {
    takes_encoded: bool,
    is_head: bool,
    is_read: bool,
    named: NamedForms,
    shared: Arc<Shared>,
}

/// What becomes of a response.
enum Formed<B: Body> {
    Done(Response<CacheBody<B>>),
    ToEncode(Parts, B),
}

impl Asked {
    fn form<B: Body<Data = Bytes>>(&self, response: Response<B>) -> Formed<B> {
        let (mut head, body) = response.into_parts();
        if head.status == StatusCode::NOT_MODIFIED {
            head.headers.append(header::VARY, VARIES);
            if let Some(etag) = head.headers.get(header::ETAG).and_then(|plain| self.named.confirmed(plain)) {
                head.headers.insert(header::ETAG, etag);
            }
            return Formed::Done(Response::from_parts(head, CacheBody::inner(body)));
        }
        if !negotiation::has_encoded_form(self.is_read, head.status, &head.headers) {
            return Formed::Done(Response::from_parts(head, CacheBody::inner(body)));
        }
        // Also of one that is short: the next under its URL may be longer.
        head.headers.append(header::VARY, VARIES);
        let limits = &self.shared.limits;
        let is_within = |length| (limits.bytes_min as u64..=limits.bytes_max as u64).contains(&length);
        if !self.takes_encoded || !self.length(&head, &body).is_some_and(is_within) {
            return Formed::Done(Response::from_parts(head, CacheBody::inner(body)));
        }
        if self.is_head {
            describe(&mut head, None);
            return Formed::Done(Response::from_parts(head, CacheBody::inner(body)));
        }
        match head.extensions.get::<EncodedForm>().map_or(Known::Nothing, EncodedForm::known) {
            Known::Form(kept) => {
                let kept = kept.clone();
                describe(&mut head, Some(&kept));
                Formed::Done(Response::from_parts(head, CacheBody::full(kept)))
            }
            Known::NoShorter => Formed::Done(Response::from_parts(head, CacheBody::inner(body))),
            Known::Nothing => Formed::ToEncode(head, body),
        }
    }

    /// How long the body is, or would be.
    fn length<B: Body>(&self, head: &Parts, body: &B) -> Option<u64> {
        if self.is_head {
            return head.headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok();
        }
        body.size_hint().exact()
    }
}

const VARIES: HeaderValue = HeaderValue::from_static("accept-encoding");

/// Makes a plain response's head that of its encoded form.
fn describe(head: &mut Parts, encoded: Option<&Bytes>) {
    head.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    head.headers.remove(header::ACCEPT_RANGES);
    match encoded {
        Some(bytes) => head.headers.insert(header::CONTENT_LENGTH, number(bytes.len() as u64)),
        None => head.headers.remove(header::CONTENT_LENGTH),
    };
    if let Some(etag) = head.headers.get(header::ETAG).and_then(negotiation::encoded_tag) {
        head.headers.insert(header::ETAG, etag);
    }
}

async fn encode<B: Body<Data = Bytes>>(mut head: Parts, body: B, shared: Arc<Shared>) -> Response<CacheBody<B>> {
    let plain = match collect(body, shared.limits.bytes_max).await {
        Ok(plain) => plain,
        Err((body, _)) => return Response::from_parts(head, body),
    };
    let encoded = if plain.len() <= shared.limits.at_once_bytes_max {
        gzip(&plain)
    } else {
        let plain = plain.clone();
        // One that is lost, because the runtime ends, costs the plain form.
        tokio::task::spawn_blocking(move || gzip(&plain)).await.unwrap_or_default()
    };
    if let Some(form) = head.extensions.get::<EncodedForm>() {
        form.keep(encoded.as_ref(), &shared.room);
    }
    match encoded {
        Some(encoded) => {
            describe(&mut head, Some(&encoded));
            Response::from_parts(head, CacheBody::full(encoded))
        }
        None => Response::from_parts(head, CacheBody::full(plain)),
    }
}

/// None, if it gets no shorter.
fn gzip(plain: &[u8]) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(plain.len() / 4), Compression::new(LEVEL));
    encoder.write_all(plain).expect("a vector takes all that is written");
    let encoded = encoder.finish().expect("a vector takes all that is written");
    // Kept in its size: by its length it is counted.
    (encoded.len() < plain.len()).then(|| Bytes::from(encoded.into_boxed_slice()))
}

pin_project! {
    /// The future of a [`CompressionService`].
    pub struct CompressionFuture<F, B>
    where
        B: Body,
    {
        #[pin]
        state: State<F, B>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F, B>
    where
        B: Body,
    {
        Waiting { #[pin] inner: F, asked: Asked },
        Encoding { encoding: BoxFuture<'static, Response<CacheBody<B>>> },
    }
}

impl<F, B, E> Future for CompressionFuture<F, B>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Send,
{
    type Output = Result<Response<CacheBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        match this.state.as_mut().project() {
            StateProjection::Encoding { encoding } => encoding.as_mut().poll(cx).map(Ok),
            StateProjection::Waiting { inner, asked } => match asked.form(ready!(inner.poll(cx))?) {
                Formed::Done(response) => Poll::Ready(Ok(response)),
                Formed::ToEncode(head, body) => {
                    let mut encoding: BoxFuture<'static, _> = Box::pin(encode(head, body, asked.shared.clone()));
                    let polled = encoding.as_mut().poll(cx);
                    if polled.is_pending() {
                        this.state.set(State::Encoding { encoding });
                    }
                    polled.map(Ok)
                }
            },
        }
    }
}
