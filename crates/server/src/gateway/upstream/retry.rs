//! Whether a request that failed may be sent once more.
//!
//! *Decides*, does no IO.
//!
//! # Invariants
//! - What a server may have acted on is sent again only if acting twice is the same as acting once (RFC 9110 §9.2.2).
//! - What was sent of a body is gone: then nothing is sent again.
//! - A server that is slow is not asked twice: that would double its load when it has the least to spare.
//! - Over time, repetitions are at most the budget's share of all requests, so that retries cannot multiply an outage.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use http::Method;

/// How far a failed request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reached {
    /// No byte of it was sent.
    Nothing,
    /// Sent, perhaps acted on; the connection ended before a byte of the answer.
    Closed,
    /// Sent; no answer in time, or one that is no HTTP.
    Server,
}

/// Why a request is not sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It was sent as often as it may be.
    Attempts,
    /// The server may have acted on it, and acting twice is not the same as once.
    NotIdempotent,
    /// Some of its body was sent.
    BodyGone,
    /// The server is there, but slow or broken.
    Reached,
    /// Too many requests were sent again of late.
    Budget,
}

/// A request that failed, as the decision sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failed<'a> {
    pub(crate) method: &'a Method,
    pub(crate) reached: Reached,
    /// Whether the whole body can still be sent: there is none, or none of it was taken.
    pub(crate) body_whole: bool,
    /// How often it was sent, this time included.
    pub(crate) attempts: u32,
}

/// Whether it may be sent again; takes from the budget if so.
pub(crate) fn may_retry(failed: Failed<'_>, attempts_max: u32, budget: &Budget) -> Result<(), Refusal> {
    if failed.attempts >= attempts_max {
        return Err(Refusal::Attempts);
    }
    if !failed.body_whole {
        return Err(Refusal::BodyGone);
    }
    match failed.reached {
        Reached::Server => return Err(Refusal::Reached),
        Reached::Closed if !failed.method.is_idempotent() => return Err(Refusal::NotIdempotent),
        Reached::Closed | Reached::Nothing => {}
    }
    if budget.take() { Ok(()) } else { Err(Refusal::Budget) }
}

/// How many repetitions there may be: each request adds its share, each repetition takes a whole.
#[derive(Debug)]
pub(crate) struct Budget {
    /// In hundredths of a repetition.
    saved: AtomicU32,
    share: u32,
}

/// A repetition, in the unit of a [`Budget`].
const WHOLE: u32 = 100;
/// Repetitions that may come at once after a quiet time; also what a new upstream begins with.
const SAVED_MAX: u32 = 20 * WHOLE;

impl Budget {
    pub(crate) fn new(percent: u32) -> Self {
        Self { saved: AtomicU32::new(if percent == 0 { 0 } else { SAVED_MAX }), share: percent }
    }

    /// A request is sent for the first time.
    pub(crate) fn add(&self) {
        // Two at once may overshoot by one share, or miss one: no matter.
        let saved = self.saved.load(Relaxed);
        if saved < SAVED_MAX {
            self.saved.fetch_add(self.share.min(SAVED_MAX - saved), Relaxed);
        }
    }

    fn take(&self) -> bool {
        self.saved.fetch_update(Relaxed, Relaxed, |saved| saved.checked_sub(WHOLE)).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAILED: Failed<'static> =
        Failed { method: &Method::GET, reached: Reached::Closed, body_whole: true, attempts: 1 };

    fn check(failed: Failed<'_>, expected: Result<(), Refusal>) {
        assert_eq!(may_retry(failed, 2, &Budget::new(20)), expected, "{failed:?}");
    }

    #[test]
    fn what_may_have_been_acted_on_is_sent_again_only_if_idempotent() {
        check(FAILED, Ok(()));
        check(Failed { method: &Method::PUT, ..FAILED }, Ok(()));
        check(Failed { method: &Method::DELETE, ..FAILED }, Ok(()));
        check(Failed { method: &Method::POST, ..FAILED }, Err(Refusal::NotIdempotent));
        check(Failed { method: &Method::PATCH, ..FAILED }, Err(Refusal::NotIdempotent));
        check(Failed { method: &Method::POST, reached: Reached::Nothing, ..FAILED }, Ok(()));
    }

    #[test]
    fn a_body_that_was_begun_is_never_sent_again() {
        check(Failed { body_whole: false, ..FAILED }, Err(Refusal::BodyGone));
        check(Failed { body_whole: false, reached: Reached::Nothing, ..FAILED }, Err(Refusal::BodyGone));
    }

    #[test]
    fn a_server_that_is_slow_or_broken_is_not_asked_twice() {
        check(Failed { reached: Reached::Server, ..FAILED }, Err(Refusal::Reached));
    }

    #[test]
    fn attempts_are_counted() {
        check(Failed { attempts: 2, ..FAILED }, Err(Refusal::Attempts));
    }

    #[test]
    fn repetitions_are_a_share_of_all_requests() {
        let budget = Budget::new(20);
        let mut repeated = 0;
        for _ in 0..1000 {
            budget.add();
            repeated += u32::from(may_retry(FAILED, 2, &budget).is_ok());
        }
        assert!((200..=220).contains(&repeated), "{repeated} of 1000 were repeated");
        assert_eq!(may_retry(FAILED, 2, &Budget::new(0)), Err(Refusal::Budget));
    }
}
