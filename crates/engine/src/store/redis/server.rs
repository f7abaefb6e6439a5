//! One server: its connection, made when it is first used and again when it is lost.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use parking_lot::RwLock;
use rand::RngExt as _;
use redis::{Cmd, Pipeline, PushKind, RedisError, RedisResult, Value, aio::MultiplexedConnection};
use tokio::time::Instant;

use super::{access::Access, address::Address, scripts::Scripts, trouble};

/// The shortest wait between two attempts to connect; it doubles with each that fails.
const WAIT_MIN: Duration = Duration::from_millis(10);
/// The longest one.
const WAIT_MAX: Duration = Duration::from_secs(1);
/// The same after a refusal: a server that does not know this user is not asked in a hurry.
const REFUSED_WAIT_MIN: Duration = Duration::from_secs(1);
const REFUSED_WAIT_MAX: Duration = Duration::from_secs(30);

/// A server by its address.
pub(super) struct Server {
    pub(super) address: Address,
    access: Arc<Access>,
    links: [Holder; 2],
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// Nearly everything, of all tasks at once.
    Shared = 0,
    /// What has to wait for replicas: it holds up all that comes behind it on the same connection.
    Waiting = 1,
}

/// The place of a connection.
#[derive(Default)]
struct Holder {
    link: RwLock<Option<Arc<Link>>>,
    attempts: tokio::sync::Mutex<Attempts>,
}

/// One connection, to one process: its run cannot change while the connection lasts, so what is known of the run is
/// kept with it and lost with it.
pub(super) struct Link {
    connection: MultiplexedConnection,
    pub(super) scripts: Scripts,
    over: Arc<AtomicBool>,
    /// Answers that have come, of whatever kind.
    answers: AtomicU64,
    silence_max: Duration,
}

/// An answer that is waited for. Whoever asked may give up: then, if the connection was silent all the time, it is
/// over. A machine that hangs closes nothing, and one that has taken over its address would never be asked.
struct Awaited<'a> {
    link: &'a Link,
    answers_before: u64,
    since: Instant,
}

/// Attempts to connect that failed.
#[derive(Default)]
struct Attempts {
    last: Option<(RedisError, Instant)>,
    wait: Duration,
}

impl Server {
    pub(super) fn new(address: Address, access: Arc<Access>) -> Self {
        Self { address, access, links: Default::default() }
    }

    pub(super) fn access(&self) -> &Access {
        &self.access
    }

    /// The connection. One attempt at a time; soon after one that failed, its error is repeated instead: while the
    /// server is away an operation costs no wait, and one that refuses is not hammered.
    pub(super) async fn link(&self, purpose: Use) -> RedisResult<Arc<Link>> {
        let holder = &self.links[purpose as usize];
        if let Some(link) = holder.usable() {
            return Ok(link);
        }
        let mut attempts = holder.attempts.lock().await;
        if let Some(link) = holder.usable() {
            return Ok(link);
        }
        if let Some((error, until)) = &attempts.last
            && Instant::now() < *until
        {
            return Err(error.clone());
        }
        // Boxed: whatever is asked of the server would have room for it, and hardly ever connects.
        match Box::pin(self.connect()).await {
            Ok(link) => {
                let link = Arc::new(link);
                *holder.link.write() = Some(link.clone());
                *attempts = Attempts::default();
                Ok(link)
            }
            Err(error) => {
                attempts.failed(&error);
                if trouble::is_refusal(&error) {
                    // At most as often as it is tried.
                    tracing::warn!(server = %self.address, reason = %trouble::told(&error), "Redis is not used");
                }
                Err(error)
            }
        }
    }

    /// Lets go of a connection: the server, or what it is, may have changed.
    pub(super) fn retire(&self, link: &Arc<Link>) {
        for holder in &self.links {
            let mut held = holder.link.write();
            if held.as_ref().is_some_and(|held| Arc::ptr_eq(held, link)) {
                *held = None;
            }
        }
    }

    async fn connect(&self) -> RedisResult<Link> {
        let over = Arc::new(AtomicBool::new(false));
        let noticed = over.clone();
        let pushed = move |push: redis::PushInfo| {
            if push.kind == PushKind::Disconnection {
                noticed.store(true, Relaxed);
            }
            Ok(())
        };
        let connection = self.access.connect(&self.address, pushed).await?;
        let (answers, silence_max) = (AtomicU64::new(0), self.access.silence_max());
        Ok(Link { connection, scripts: Scripts::default(), over, answers, silence_max })
    }
}

impl Holder {
    fn usable(&self) -> Option<Arc<Link>> {
        self.link.read().as_ref().filter(|link| !link.over.load(Relaxed)).cloned()
    }
}

impl Attempts {
    fn failed(&mut self, error: &RedisError) {
        let refused = trouble::is_refusal(error);
        let (min, max) = if refused { (REFUSED_WAIT_MIN, REFUSED_WAIT_MAX) } else { (WAIT_MIN, WAIT_MAX) };
        self.wait = (self.wait * 2).clamp(min, max);
        // Jitter, so that a fleet does not come back in one wave.
        let wait = rand::rng().random_range(self.wait / 2..=self.wait);
        self.last = Some((error.clone(), Instant::now() + wait));
    }
}

impl Link {
    pub(super) async fn send(&self, command: &Cmd) -> RedisResult<Value> {
        let awaited = self.awaited();
        let answer = self.connection.clone().send_packed_command(command).await;
        awaited.came();
        answer?.extract_error()
    }

    /// The answers in the order of the commands; each may be an error.
    pub(super) async fn send_all(&self, pipeline: &Pipeline) -> RedisResult<Vec<Value>> {
        let awaited = self.awaited();
        let answers = self.connection.clone().send_packed_commands(pipeline, 0, pipeline.len()).await;
        awaited.came();
        answers
    }

    fn awaited(&self) -> Awaited<'_> {
        Awaited { link: self, answers_before: self.answers.load(Relaxed), since: Instant::now() }
    }
}

impl Awaited<'_> {
    fn came(&self) {
        self.link.answers.fetch_add(1, Relaxed);
    }
}

impl Drop for Awaited<'_> {
    fn drop(&mut self) {
        let silent = self.link.answers.load(Relaxed) == self.answers_before;
        if silent && self.since.elapsed() >= self.link.silence_max {
            self.link.over.store(true, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use redis::ErrorKind;

    use super::*;

    const AWAY: (ErrorKind, &str) = (ErrorKind::Io, "nobody listens");
    const REFUSED: (ErrorKind, &str) = (ErrorKind::AuthenticationFailed, "not this user");

    /// How long is waited after one more attempt that failed.
    fn wait_after(attempts: &mut Attempts, error: (ErrorKind, &'static str)) -> Duration {
        attempts.failed(&error.into());
        let (_, until) = attempts.last.as_ref().expect("it failed just now");
        *until - Instant::now()
    }

    #[tokio::test(start_paused = true)]
    async fn who_cannot_connect_waits_twice_as_long_each_time_up_to_a_limit() {
        for (error, min, max) in [(AWAY, WAIT_MIN, WAIT_MAX), (REFUSED, REFUSED_WAIT_MIN, REFUSED_WAIT_MAX)] {
            let mut attempts = Attempts::default();
            let mut longest = min;
            for _ in 0..20 {
                let wait = wait_after(&mut attempts, error);
                assert!((longest / 2..=longest).contains(&wait), "{wait:?} of {longest:?}");
                longest = (longest * 2).min(max);
            }
            assert_eq!(longest, max);
        }
    }

    /// A fleet that has lost one server does not come back in one wave.
    #[tokio::test(start_paused = true)]
    async fn those_who_wait_do_not_all_wait_for_the_same_time() {
        let waits = (0..100).map(|_| wait_after(&mut Attempts { wait: WAIT_MAX, ..Attempts::default() }, AWAY));
        let (shortest, longest) =
            waits.fold((WAIT_MAX, Duration::ZERO), |(min, max), wait| (min.min(wait), max.max(wait)));
        assert!(longest > shortest + WAIT_MAX / 8, "all between {shortest:?} and {longest:?}");
    }
}
