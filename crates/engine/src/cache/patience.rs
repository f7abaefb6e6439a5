//! Patience: how long a read waits for the store before it goes on without it.
//!
//! These are the soft time-outs. An operation that a read does not wait for any longer goes on by itself, until the
//! store's own (hard) time-out ends it, so that what it learns is not lost: an answer fills memory, a failure counts.

use std::{
    pin::{Pin, pin},
    time::Duration,
};

use futures_util::future::{Either, FutureExt as _};
use tokio::time::{Instant, timeout_at};

use super::Shared;
use crate::{flight::Asked, resilience::Resilience, store::StoreError, verdict::BypassReason};

/// How long a read still waits, for all that it asks of the store together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// None: as long as the store takes.
    until: Option<Instant>,
    asked: Asked,
    /// What the store had answered when the read began.
    answered: u64,
}

impl Patience {
    fn no_longer_than(self, other: Self) -> Self {
        Self { until: [self.until, other.until].into_iter().flatten().min(), ..self }
    }

    /// When the read began.
    pub(super) fn asked(self) -> Asked {
        self.asked
    }

    /// Whether it waits as long as the store takes.
    pub(super) fn is_endless(self) -> bool {
        self.until.is_none()
    }

    /// Whether nothing more may be asked.
    pub(super) fn is_over(self) -> bool {
        self.until.is_some_and(|until| Instant::now() >= until)
    }

    /// Waits; none if it takes too long. What is waited for ends there.
    // Not `async`: that would have room for what is waited for twice, and every read has room for this.
    pub(super) fn wait_for<T>(self, what: impl Future<Output = T>) -> impl Future<Output = Option<T>> {
        match self.until {
            Some(until) => Either::Left(timeout_at(until, what).map(Result::ok)),
            None => Either::Right(what.map(Some)),
        }
    }

    /// Waits for an operation; an error is what remains of it.
    // As for `wait_for`.
    pub(super) fn within<F: Future>(self, operation: F) -> impl Future<Output = Result<F::Output, Pin<Box<F>>>> {
        let Some(until) = self.until else { return Either::Left(operation.map(Ok)) };
        let mut operation = Box::pin(operation);
        Either::Right(async move { timeout_at(until, &mut operation).await.map_err(|_elapsed| operation) })
    }
}

/// A timer that fires as late as this was not fired by a process that had the processor when it needed it.
const LATE: Duration = Duration::from_millis(5);

/// Whether a timer fired late.
fn is_late(until: Instant) -> bool {
    Instant::now() >= until + LATE
}

/// Why a read goes on without the store.
pub(super) fn outage(error: &StoreError) -> BypassReason {
    match error {
        StoreError::Open => BypassReason::StoreOpen,
        StoreError::Unavailable(_) | StoreError::Refused(_) => BypassReason::StoreFailed,
    }
}

impl Shared {
    /// For a read that begins now.
    pub(super) fn patience(&self) -> Patience {
        self.patience_of(|resilience| resilience.read_wait)
    }

    /// For a read that has something to answer with.
    pub(super) fn patience_with_fallback(&self, patience: Patience) -> Patience {
        patience.no_longer_than(self.patience_of(|resilience| resilience.read_wait_with_fallback))
    }

    /// For one who fills the store.
    pub(super) fn patience_to_fill(&self) -> Patience {
        self.patience_of(|resilience| resilience.fill_wait)
    }

    fn patience_of(&self, wait: impl FnOnce(Resilience) -> Duration) -> Patience {
        let until = self.resilience.map(|resilience| Instant::now() + wait(resilience));
        Patience { until, asked: self.flights.asked(), answered: self.pulse.beats() }
    }

    /// Whether the store, which has kept a read waiting, is busy rather than away: it has answered somebody since the
    /// read began, or it may have and this process was too late itself to notice.
    pub(super) fn is_busy(&self, patience: Patience) -> bool {
        self.pulse.beats() != patience.answered || patience.until.is_some_and(is_late)
    }

    /// Waits for what decides whether a load is to begin here or at another node: for as long as the store is busy and
    /// not away, within a bound of its own. None if that is over. What is waited for ends there.
    pub(super) async fn wait_while_busy<T>(&self, what: impl Future<Output = T>) -> Option<T> {
        let Some(resilience) = self.resilience else { return Some(what.await) };
        let mut what = pin!(what);
        let last = Instant::now() + resilience.busy_wait.max(resilience.read_wait);
        loop {
            let patience = self.patience();
            let until = patience.until.map_or(last, |until| until.min(last));
            if let Ok(output) = timeout_at(until, &mut what).await {
                return Some(output);
            }
            if !self.is_busy(patience) || Instant::now() >= last {
                return None;
            }
        }
    }

    /// Lets an operation that nobody waits for go on, unless too many do already.
    pub(super) fn go_on(&self, operation: impl Future<Output = ()> + Send + 'static) {
        if let Ok(place) = self.late_operations.clone().try_acquire_owned() {
            tokio::spawn(async move {
                operation.await;
                drop(place);
            });
        }
    }
}
