//! Warming: what will be read soon is read before, beside the requests and never in their way.
//!
//! | occasion | what is read |
//! |---|---|
//! | a sign-in | what pages begin with: the session, the user's standing, beginning and clients, the client with its engagements, and of the engagement that they start in its flows and imports |
//! | an import's end | the import, its mappings and their statistics, the imports and flows of its engagement |
//! | the start | the same as at a sign-in, for the users with the newest sessions |
//! | a broad invalidation | the same, for the sessions that this node has met last |
//!
//! *Views* are read, under the keys that handlers read them by, and not responses: a response's key depends on host and
//! headers, which nobody knows before they are sent. So the first GET is a `MISS` of its response, whose loader finds all
//! in the cache and asks the database nothing; the next one is a `HIT`.
//!
//! # Invariants
//! - No request waits for it, and none fails by it: occasions go through a bounded queue, and what finds no place is left
//!   out and counted.
//! - Every occasion has a budget of loads at once and of time. Readers come before it (see
//!   [`WarmBudget`] and the budget of refills).
//! - It shows nothing to anybody: who may read what is asked with every request, as always.
//! - What is switched off for everybody ([`crate::flags`]) it does not use: nothing is read while the cache is off, and
//!   nothing shared while Redis is.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::AcqRel, Ordering::Release},
    },
    time::Duration,
};

use chrono::Utc;
use futures_util::{FutureExt as _, future::BoxFuture};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use unstale::{Event, Observer, ReadOptions, WarmBudget, Warmed};
use unstale_server::{flags::Flags, telemetry::WarmMetrics};
use uuid::Uuid;

use crate::{
    auth::acting::{self, Acting, Asked},
    coherence::{CacheUse, ClientId, Views},
    flags::{USE_CUSTOM_API_CACHE, USE_REDIS_CACHE},
    store::{
        Store,
        repositories::{flows::FlowFilter, sessions},
    },
    views::SessionPrincipal,
};

/// Occasions that wait.
const QUEUE_MAX: usize = 256;
/// Occasions that are worked on at once.
const WORKERS: usize = 2;
/// Users whose views are read at the start.
const USERS_MAX: usize = 50;
/// Sessions that are remembered for after a broad invalidation.
const SESSIONS_MAX: usize = 100;
/// One invalidation of many entries is told once per partition: so long the others are waited for.
const FLUSH_WAIT: Duration = Duration::from_millis(250);
/// For what one user or one import makes likely: few reads, and of no use when they come late.
const BUDGET: WarmBudget = WarmBudget { loads_max: 2, time_max: Duration::from_secs(5) };
/// For many users.
const BROAD_BUDGET: WarmBudget = WarmBudget { loads_max: 4, time_max: Duration::from_secs(30) };

#[derive(Clone, Copy, Debug)]
enum Occasion {
    SignIn(Uuid),
    Import(ClientId, Uuid),
    Start,
    Flush,
}

impl Occasion {
    /// As metrics name it.
    fn name(self) -> &'static str {
        match self {
            Self::SignIn(_) => "sign_in",
            Self::Import(..) => "import",
            Self::Start => "start",
            Self::Flush => "flush",
        }
    }
}

/// Takes note of occasions. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Warmer(Arc<Shared>);

struct Shared {
    queue: mpsc::Sender<Occasion>,
    /// The newest first.
    sessions: Mutex<VecDeque<Uuid>>,
    /// A broad invalidation waits to be worked on: others are the same one.
    is_flushed: AtomicBool,
    metrics: WarmMetrics,
}

/// The occasions that a [`Warmer`] took note of.
pub(crate) struct Occasions(mpsc::Receiver<Occasion>);

impl Warmer {
    /// One, and what is to be worked on.
    pub(crate) fn new(metrics: WarmMetrics) -> (Self, Occasions) {
        let (queue, occasions) = mpsc::channel(QUEUE_MAX);
        let shared = Shared { queue, sessions: Mutex::default(), is_flushed: AtomicBool::new(false), metrics };
        (Self(Arc::new(shared)), Occasions(occasions))
    }

    /// Somebody has signed in.
    pub(crate) fn signed_in(&self, session: Uuid) {
        self.met(session);
        self.note(Occasion::SignIn(session));
    }

    /// An import has ended well.
    pub(crate) fn imported(&self, client: ClientId, import: Uuid) {
        self.note(Occasion::Import(client, import));
    }

    /// A session is in use on this node.
    pub(crate) fn met(&self, session: Uuid) {
        let mut sessions = self.0.sessions.lock();
        sessions.retain(|other| *other != session);
        sessions.truncate(SESSIONS_MAX - 1);
        sessions.push_front(session);
    }

    fn note(&self, occasion: Occasion) -> bool {
        let is_noted = self.0.queue.try_send(occasion).is_ok();
        if !is_noted {
            self.0.metrics.skipped(occasion.name());
        }
        is_noted
    }

    /// Begins to work on what is noted, and on the start itself. Once.
    pub(crate) fn start(&self, Occasions(occasions): Occasions, store: &Store, views: &Views, flags: &Flags) {
        let occasions = Arc::new(tokio::sync::Mutex::new(occasions));
        for _ in 0..WORKERS {
            let (store, views, flags) = (store.clone(), views.clone(), flags.clone());
            let work = Work { warmer: self.clone(), store, views, flags };
            let occasions = occasions.clone();
            tokio::spawn(async move {
                loop {
                    let Some(occasion) = occasions.lock().await.recv().await else { return };
                    work.warm(occasion).await;
                }
            });
        }
        self.note(Occasion::Start);
    }
}

impl Observer for Warmer {
    fn on_event(&self, event: &Event<'_>) {
        if let Event::Skipped { .. } = event
            && !self.0.is_flushed.swap(true, AcqRel)
            && !self.note(Occasion::Flush)
        {
            self.0.is_flushed.store(false, Release);
        }
    }
}

struct Work {
    warmer: Warmer,
    store: Store,
    views: Views,
    flags: Flags,
}

/// A read of a view.
type Read = BoxFuture<'static, Warmed>;

/// Reads of views by their names and arguments.
macro_rules! reads {
    ($views:expr => $($name:ident($($argument:expr),*)),* $(,)?) => {{
        let mut reads: Vec<Read> = Vec::new();
        $({
            let views = $views.clone();
            reads.push(
                async move { Warmed::of(&views.$name($($argument,)* &ReadOptions::default()).await) }.boxed(),
            );
        })*
        reads
    }};
}

impl Work {
    async fn warm(&self, occasion: Occasion) {
        let flags = self.flags.current();
        // Nobody would be answered from what is kept.
        if flags.is_off_for_all(USE_CUSTOM_API_CACHE) {
            self.warmer.0.is_flushed.store(false, Release);
            return;
        }
        let allowed = CacheUse { is_on: true, uses_store: !flags.is_off_for_all(USE_REDIS_CACHE) };
        let warmed = allowed.within(self.read_for(occasion)).await;
        tracing::debug!(occasion = occasion.name(), ?warmed, "the cache was warmed");
        self.warmer.0.metrics.warmed(occasion.name(), warmed);
    }

    async fn read_for(&self, occasion: Occasion) -> Warmed {
        let (reads, budget) = match occasion {
            Occasion::SignIn(session) => (self.of_session(session).await, BUDGET),
            Occasion::Import(client, import) => (self.of_import(client, import).await, BUDGET),
            Occasion::Start => {
                let newest = sessions::newest(self.store.read(), Utc::now(), USERS_MAX).await;
                let newest = newest.unwrap_or_else(|error| {
                    tracing::warn!(%error, "it is not known whose views to warm");
                    Vec::new()
                });
                newest.iter().rev().for_each(|session| self.warmer.met(*session));
                (self.of_sessions(newest).await, BROAD_BUDGET)
            }
            Occasion::Flush => {
                tokio::time::sleep(FLUSH_WAIT).await;
                self.warmer.0.is_flushed.store(false, Release);
                let sessions = self.warmer.0.sessions.lock().iter().copied().collect();
                (self.of_sessions(sessions).await, BROAD_BUDGET)
            }
        };
        budget.spend(reads).boxed().await
    }

    /// Of all of them the same view before the next: what is read first after a sign-in comes first for everybody.
    async fn of_sessions(&self, sessions: Vec<Uuid>) -> Vec<Read> {
        let mut of_each = Vec::new();
        for session in sessions {
            of_each.push(self.of_session(session).await.into_iter());
        }
        let mut reads = Vec::new();
        while !of_each.is_empty() {
            of_each.retain_mut(|rest| rest.next().map(|read| reads.push(read)).is_some());
        }
        reads
    }

    /// None if the session is not good, or cannot be read.
    async fn of_session(&self, session: Uuid) -> Vec<Read> {
        let found = self.views.session(session, &ReadOptions::default()).await;
        match found.ok().and_then(unstale::Fetched::into_value) {
            Some(principal) => self.of_principal(&principal).await,
            None => Vec::new(),
        }
    }

    async fn of_principal(&self, principal: &SessionPrincipal) -> Vec<Read> {
        let asked = Asked {
            named: None,
            default_client: principal.default_client_account_id,
            roles: &principal.roles,
            is_platform_admin: principal.user.is_platform_admin,
        };
        let client = match acting::decide(&asked) {
            Ok(Acting::Member(client, _)) => Some(ClientId(client)),
            _ => None,
        };
        let (views, user) = (&self.views, principal.user.id);
        let mut reads =
            reads!(views => user_standing(client, user), user_defaults(client, user), user_clients(client, user));
        let Some(client) = client else { return reads };
        reads.extend(reads!(views => client(Some(client), client.0), client_engagements(Some(client), client)));
        let defaults = views.user_defaults(Some(client), user, &ReadOptions::default()).await;
        let defaults = defaults.ok().and_then(unstale::Fetched::into_value);
        let here = defaults.filter(|defaults| defaults.client_account_id == Some(client.0));
        if let Some(engagement) = here.and_then(|here| here.engagement_id) {
            reads.extend(reads!(views =>
                flows(client, FlowFilter { engagement: Some(engagement), status: None }),
                imports(client, Some(engagement)),
            ));
        }
        reads
    }

    /// What the page of the import shows, and those that lead on from it: of its engagement, as pages ask for them.
    async fn of_import(&self, client: ClientId, import: Uuid) -> Vec<Read> {
        let mut reads = reads!(self.views =>
            import(client, import),
            field_mappings(client, import),
            mapping_statistics(client, import),
        );
        let found = self.views.import(client, import, &ReadOptions::default()).await;
        if let Some(engagement) = found.ok().and_then(unstale::Fetched::into_value).map(|found| found.engagement_id) {
            reads.extend(reads!(self.views =>
                imports(client, Some(engagement)),
                flows(client, FlowFilter { engagement: Some(engagement), status: None }),
            ));
        }
        reads
    }
}

#[cfg(test)]
mod tests {
    use unstale::{MemoryStore, store::Store as _};

    use super::*;

    #[tokio::test]
    async fn occasions_that_find_no_place_are_left_out() {
        let (warmer, Occasions(mut waiting)) = Warmer::new(WarmMetrics::default());
        for _ in 0..QUEUE_MAX + 10 {
            warmer.signed_in(Uuid::from_u128(1));
        }
        let mut count = 0;
        while waiting.try_recv().is_ok() {
            count += 1;
        }
        assert_eq!(count, QUEUE_MAX);
    }

    #[tokio::test]
    async fn a_broad_invalidation_is_one_occasion_however_many_partitions_tell_of_it() {
        let (warmer, Occasions(mut waiting)) = Warmer::new(WarmMetrics::default());
        let store = MemoryStore::default();
        for partition in store.partitions().all() {
            let head = store.head(partition).await.unwrap();
            warmer.on_event(&Event::Skipped { head });
        }
        assert!(matches!(waiting.try_recv(), Ok(Occasion::Flush)));
        assert!(waiting.try_recv().is_err());
    }

    #[test]
    fn the_sessions_met_last_are_remembered_each_once() {
        let (warmer, _occasions) = Warmer::new(WarmMetrics::default());
        for number in (0..SESSIONS_MAX as u128 + 5).chain([7]) {
            warmer.met(Uuid::from_u128(number));
        }
        let sessions = warmer.0.sessions.lock();
        assert_eq!((sessions.len(), sessions[0].as_u128(), sessions[1].as_u128()), (SESSIONS_MAX, 7, 104));
    }
}
