//! Whether a client takes nothing of an answer.
//!
//! Over HTTP/1.1 such a client leaves the connection blocked, which the listener's ticks see. Over HTTP/2 it withholds its
//! window from one stream, and the connection goes on: here the stream alone ends. Until a client makes the gateway wait
//! there is no timer.
//!
//! # Invariants
//! - An answer of which nothing is taken ends after the limit, at the latest after twice the limit, with all that it holds.
//! - One that waits for the service, or for a socket that is full, is not ended here: others have limits for these.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep};

use crate::gateway::listen::state::ConnectionState;

/// Watches whether a client takes an answer.
#[derive(Debug, Default)]
pub(super) struct Stall {
    /// When it is looked at whether it has taken something; not made before that is waited for.
    look: Option<Pin<Box<Sleep>>>,
    /// Whether it has, since it was looked at last.
    moved: bool,
    /// How often the socket had become full or free by then.
    turns: u32,
}

impl Stall {
    /// The client has taken something, or there was nothing to be taken until now.
    pub(super) fn moved(&mut self) {
        self.moved = true;
    }

    /// Is over when the client has taken nothing for the limit. To be asked while it alone is waited for.
    pub(super) fn poll(&mut self, state: &ConnectionState, limit: Duration, cx: &mut Context<'_>) -> Poll<()> {
        let Self { look, moved, turns } = self;
        let look = look.get_or_insert_with(|| {
            *moved = false;
            *turns = state.blocked_turns();
            Box::pin(sleep(limit))
        });
        while look.as_mut().poll(cx).is_ready() {
            let turns_now = state.blocked_turns();
            if !*moved && turns_now == *turns && !state.is_blocked() {
                return Poll::Ready(());
            }
            *moved = false;
            *turns = turns_now;
            look.as_mut().reset(Instant::now() + limit);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::{task::yield_now, time::timeout};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    fn state() -> ConnectionState {
        ConnectionState::new(std::sync::Arc::default(), false, None)
    }

    async fn over(stall: &mut Stall, state: &ConnectionState) {
        poll_fn(|cx| stall.poll(state, LIMIT, cx)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_over_when_the_client_has_taken_nothing_for_the_limit() {
        let mut stall = Stall::default();
        stall.moved();
        let began = Instant::now();
        over(&mut stall, &state()).await;
        assert!((LIMIT..2 * LIMIT).contains(&began.elapsed()), "{:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn time_that_the_service_took_does_not_count() {
        let (mut stall, state) = (Stall::default(), state());
        assert!(timeout(LIMIT / 2, over(&mut stall, &state)).await.is_err());
        // The client takes all, and then the service lets it wait.
        stall.moved();
        sleep(10 * LIMIT).await;
        stall.moved();
        assert!(timeout(LIMIT / 2, over(&mut stall, &state)).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn it_goes_on_while_the_client_takes_something_now_and_then() {
        let (mut stall, state) = (Stall::default(), state());
        for _ in 0..10 {
            stall.moved();
            assert!(timeout(LIMIT * 3 / 4, over(&mut stall, &state)).await.is_err());
        }
        timeout(2 * LIMIT, over(&mut stall, &state)).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_socket_that_is_full_is_not_the_streams_fault() {
        let (mut stall, state) = (Stall::default(), state());
        state.wrote(true);
        assert!(timeout(3 * LIMIT, over(&mut stall, &state)).await.is_err());
        for _ in 0..10 {
            state.wrote(false);
            yield_now().await;
            state.wrote(true);
            state.wrote(false);
            assert!(timeout(LIMIT * 3 / 4, over(&mut stall, &state)).await.is_err());
        }
        timeout(2 * LIMIT, over(&mut stall, &state)).await.unwrap();
    }
}
