//! Counting attempts to sign in, by account and by address.

use std::{net::IpAddr, time::Duration};

use unstale::{Timestamp, time::TimeSource as _};
use unstale_server::{
    problem::Problem,
    rate_limit::{AttemptLimiter, AttemptLimits, TooManyAttempts},
};

/// Attempts for one account within [`WINDOW`]; signing in forgives them.
pub(crate) const ACCOUNT_ATTEMPTS_MAX: usize = 10;
/// Attempts from one address within [`WINDOW`]. Many people can share an address, and a sign-in does not forgive
/// those before it: whoever guesses could sign in to an account of their own in between.
pub(crate) const ADDRESS_ATTEMPTS_MAX: usize = 300;
/// How long an attempt counts.
pub(crate) const WINDOW: Duration = Duration::from_secs(300);
/// Accounts, and addresses, that are counted.
const KEYS_MAX: usize = 50_000;

/// The attempts so far.
#[derive(Debug)]
pub(crate) struct SignInAttempts {
    by_account: AttemptLimiter,
    by_address: AttemptLimiter,
}

impl Default for SignInAttempts {
    fn default() -> Self {
        let limiter =
            |attempts_max| AttemptLimiter::new(AttemptLimits { attempts_max, window: WINDOW, keys_max: KEYS_MAX });
        Self { by_account: limiter(ACCOUNT_ATTEMPTS_MAX), by_address: limiter(ADDRESS_ATTEMPTS_MAX) }
    }
}

impl SignInAttempts {
    /// Counts an attempt, unless there were too many.
    pub(crate) fn begin(&self, account: &str, address: Option<IpAddr>) -> Result<(), Problem> {
        let now = now();
        let address = address.map_or_else(|| "unknown".to_owned(), |address| address.to_string());
        self.by_address.attempt(&address, now).map_err(refuse)?;
        self.by_account.attempt(account, now).map_err(refuse)
    }

    /// Forgets the account's attempts.
    pub(crate) fn succeeded(&self, account: &str) {
        self.by_account.forgive(account);
    }
}

fn now() -> Timestamp {
    unstale::time::SystemTimeSource::default().now()
}

fn refuse(TooManyAttempts { retry_after }: TooManyAttempts) -> Problem {
    let minutes = retry_after.as_secs().div_ceil(60).max(1);
    Problem::too_many_requests(format!("Too many attempts to sign in. Wait {minutes} min and try again."), retry_after)
}
