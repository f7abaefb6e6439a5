//! The service's future: an answer that is there already, a request that was passed on, or a load.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Response, StatusCode};
use http_body::Body;
use pin_project_lite::pin_project;

use crate::{
    answer::{Asked, Found},
    body::CacheBody,
    headers::Account,
    reasons::BypassReason,
    shared::Shared,
};

pin_project! {
    /// The future of a [`CacheService`](crate::CacheService).
    pub struct ResponseFuture<F, B, E>
    where
        B: Body,
    {
        #[pin]
        state: State<F, B, E>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F, B, E>
    where
        B: Body,
    {
        Ready { found: Option<Found<B>>, verdict: &'static str },
        Passed { #[pin] inner: F, passed: Option<Box<Passed>> },
        Boxed { answer: BoxFuture<'static, Result<Response<CacheBody<B>>, E>> },
    }
}

/// What is remembered of a request that was passed on.
struct Passed {
    asked: Asked,
    account: Account,
    shared: Arc<Shared>,
}

impl<F, B: Body, E> ResponseFuture<F, B, E> {
    /// The status and the verdict (`HIT`, `STALE`, `BYPASS`), if the answer is there before anything was waited for: for
    /// who tells of answers.
    pub fn at_once(&self) -> Option<(StatusCode, &'static str)> {
        match &self.state {
            State::Ready { found, verdict } => Some((found.as_ref()?.status(), verdict)),
            State::Passed { .. } | State::Boxed { .. } => None,
        }
    }

    /// Writes the head of the answer as HTTP/1.1 sends it, and returns the body, if the answer is a hit whose head was written
    /// before; then there is nothing more to wait for. Else nothing has changed but what `out` holds.
    pub fn write_hit(&mut self, out: &mut Vec<u8>) -> Option<Bytes> {
        let State::Ready { found, .. } = &mut self.state else { return None };
        let Some(Found::Ready(hit)) = found else { return None };
        let body = hit.write(out)?;
        *found = None;
        Some(body)
    }

    pub(crate) fn ready(found: Found<B>, verdict: &'static str) -> Self {
        Self { state: State::Ready { found: Some(found), verdict } }
    }

    pub(crate) fn passed(inner: F, asked: Asked, reason: BypassReason, shared: Arc<Shared>) -> Self {
        let account = Account::passed(reason);
        Self { state: State::Passed { inner, passed: Some(Box::new(Passed { asked, account, shared })) } }
    }

    pub(crate) fn boxed(answer: impl Future<Output = Result<Response<CacheBody<B>>, E>> + Send + 'static) -> Self {
        Self { state: State::Boxed { answer: Box::pin(answer) } }
    }
}

impl<F, B, E> Future for ResponseFuture<F, B, E>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Send,
    E: Send + 'static,
{
    type Output = Result<Response<CacheBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        match this.state.as_mut().project() {
            StateProjection::Ready { found, .. } => {
                Poll::Ready(Ok(found.take().expect("a future is not polled after its end").response()))
            }
            StateProjection::Boxed { answer } => answer.as_mut().poll(cx),
            StateProjection::Passed { inner, passed } => {
                let response = ready!(inner.poll(cx))?;
                let Passed { asked, account, shared } = *passed.take().expect("a future is not polled after its end");
                let deserves = asked.deserves_validator(&response, &shared);
                let response = response.map(CacheBody::inner);
                if !deserves {
                    return Poll::Ready(Ok(asked.passed(&shared, response, &account, None)));
                }
                let answer = async move { Ok(asked.pass(&shared, response, &account, None).await) };
                let mut answer: BoxFuture<'static, _> = Box::pin(answer);
                let polled = answer.as_mut().poll(cx);
                if polled.is_pending() {
                    this.state.set(State::Boxed { answer });
                }
                polled
            }
        }
    }
}
