//! The requests of an HTTP/2 connection: each is a task, which ends where its client takes nothing of the answer.
//!
//! Over HTTP/1.1 such a client leaves the connection blocked, which the listener's ticks see. Over HTTP/2 it withholds its
//! window from one stream, and the connection goes on: here the stream alone is reset. Until a client makes the gateway wait
//! there is no timer.
//!
//! # Invariants
//! - An answer of which nothing is taken ends after the limit, at the latest after twice the limit, with all that it holds.
//! - One that waits for the service, or for a socket that is full, is not ended here: others have limits for these.

use std::{
    cell::Cell,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use hyper::rt::Executor;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep};

use super::state::ConnectionState;

/// What is handed to the HTTP library of a body at a time, at most: when it takes more, the client has taken this.
pub(super) const TAKEN_BYTES: usize = 64 * 1024;

/// Whom an answer waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WaitsFor {
    Service,
    Client,
}

thread_local! {
    /// What the body of the stream that runs has said since it was polled. The HTTP library stands between the body and its
    /// task; to share it otherwise would take an allocation for each request.
    static SAID: Cell<Option<WaitsFor>> = const { Cell::new(None) };
}

/// Says for whom the answer waits from here on. For bodies, within a [`Stream`].
pub(super) fn waits_for(whom: WaitsFor) {
    SAID.set(Some(whom));
}

/// Runs the streams of one connection.
#[derive(Clone, Debug)]
pub(super) struct Streams {
    pub(super) state: Arc<ConnectionState>,
    /// How long a client may take nothing.
    pub(super) limit: Duration,
}

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        tokio::spawn(Stream::new(stream, self.clone()));
    }
}

pin_project! {
    /// One stream; dropped before its end it is reset.
    struct Stream<F> {
        #[pin]
        inner: F,
        of: Streams,
        waits_for: WaitsFor,
        // When it is looked at whether the client has taken something; not made before that is waited for.
        look: Option<Pin<Box<Sleep>>>,
        // Whether it has, since it was looked at last.
        moved: bool,
        // How often the socket had become full or free by then.
        turns: u32,
    }
}

impl<F> Stream<F> {
    fn new(inner: F, of: Streams) -> Self {
        Self { inner, of, waits_for: WaitsFor::Service, look: None, moved: false, turns: 0 }
    }
}

impl<F: Future<Output = ()>> Future for Stream<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        SAID.set(None);
        if this.inner.poll(cx).is_ready() {
            return Poll::Ready(());
        }
        if let Some(said) = SAID.get() {
            *this.waits_for = said;
            *this.moved = true;
        }
        if *this.waits_for == WaitsFor::Service {
            return Poll::Pending;
        }
        let Streams { state, limit } = this.of;
        let look = this.look.get_or_insert_with(|| {
            *this.moved = false;
            *this.turns = state.blocked_turns();
            Box::pin(sleep(*limit))
        });
        while look.as_mut().poll(cx).is_ready() {
            let turns = state.blocked_turns();
            if !*this.moved && turns == *this.turns && !state.is_blocked() {
                tracing::debug!("a client takes nothing of an answer: its stream is reset");
                return Poll::Ready(());
            }
            *this.moved = false;
            *this.turns = turns;
            look.as_mut().reset(Instant::now() + *limit);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::{sync::mpsc, task::yield_now, time::timeout};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    /// A stream that says what it is told to; and its connection.
    fn stream() -> (impl Future<Output = ()>, mpsc::UnboundedSender<WaitsFor>, Arc<ConnectionState>) {
        let state = Arc::new(ConnectionState::new(Arc::default(), false, None));
        let (tell, mut told) = mpsc::unbounded_channel();
        let inner = poll_fn(move |cx| {
            while let Poll::Ready(Some(whom)) = told.poll_recv(cx) {
                waits_for(whom);
            }
            Poll::Pending
        });
        (Stream::new(inner, Streams { state: state.clone(), limit: LIMIT }), tell, state)
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_when_the_client_has_taken_nothing_for_the_limit() {
        let (stream, tell, _) = stream();
        tell.send(WaitsFor::Client).unwrap();
        let began = Instant::now();
        stream.await;
        assert!((LIMIT..2 * LIMIT).contains(&began.elapsed()), "{:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn it_goes_on_while_the_service_is_waited_for() {
        let (stream, tell, _) = stream();
        let mut stream = Box::pin(stream);
        assert!(timeout(10 * LIMIT, &mut stream).await.is_err());
        tell.send(WaitsFor::Client).unwrap();
        assert!(timeout(LIMIT / 2, &mut stream).await.is_err());
        tell.send(WaitsFor::Service).unwrap();
        assert!(timeout(10 * LIMIT, &mut stream).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn it_goes_on_while_the_client_takes_something_now_and_then() {
        let (stream, tell, _) = stream();
        let mut stream = Box::pin(stream);
        for _ in 0..10 {
            tell.send(WaitsFor::Client).unwrap();
            assert!(timeout(LIMIT * 3 / 4, &mut stream).await.is_err());
        }
        timeout(2 * LIMIT, &mut stream).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_socket_that_is_full_is_not_the_streams_fault() {
        let (stream, tell, state) = stream();
        tell.send(WaitsFor::Client).unwrap();
        let mut stream = Box::pin(stream);
        state.wrote(true);
        assert!(timeout(3 * LIMIT, &mut stream).await.is_err());
        for _ in 0..10 {
            state.wrote(false);
            yield_now().await;
            state.wrote(true);
            state.wrote(false);
            assert!(timeout(LIMIT * 3 / 4, &mut stream).await.is_err());
        }
        timeout(2 * LIMIT, &mut stream).await.unwrap();
    }
}
