//! A time-out that is set often and seldom goes off.
//!
//! Setting a timer costs a lock and a place in the timer's wheel. Here a later deadline is only noted; the timer goes
//! off at the old one, sees that it is too early, and is set anew. So a connection that serves a thousand requests a
//! second sets its timer once per time-out, not a thousand times a second.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

/// A time-out that is set often and seldom goes off.
#[derive(Debug)]
pub(crate) struct Alarm {
    sleep: Option<Pin<Box<Sleep>>>,
    deadline: Instant,
}

impl Alarm {
    /// Goes off after this long.
    pub(crate) fn after(after: Duration) -> Self {
        Self { sleep: None, deadline: Instant::now() + after }
    }

    /// Goes off after this long from now, rather than when it was said before.
    pub(crate) fn set(&mut self, after: Duration) {
        self.deadline = Instant::now() + after;
        if let Some(sleep) = &mut self.sleep
            && sleep.deadline() > self.deadline
        {
            sleep.as_mut().reset(self.deadline);
        }
    }

    /// Is ready when it goes off.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = self.deadline;
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        loop {
            ready!(sleep.as_mut().poll(cx));
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn goes_off_at_the_deadline_that_was_set_last() {
        let start = Instant::now();
        let mut alarm = Alarm::after(Duration::from_secs(5));
        assert!(poll_fn(|cx| Poll::Ready(alarm.poll(cx))).await.is_pending());
        alarm.set(Duration::from_secs(9));
        poll_fn(|cx| alarm.poll(cx)).await;
        assert_eq!(start.elapsed().as_secs(), 9);
        alarm.set(Duration::from_secs(60));
        assert!(poll_fn(|cx| Poll::Ready(alarm.poll(cx))).await.is_pending());
        alarm.set(Duration::from_secs(1));
        poll_fn(|cx| alarm.poll(cx)).await;
        assert_eq!(start.elapsed().as_secs(), 10);
    }
}
