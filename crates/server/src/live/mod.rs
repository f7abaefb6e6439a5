//! Real-time invalidation: what changed is told, over WebSocket or server-sent events, to exactly those browsers that hold it.
//!
//! The hub watches a cache ([`LiveHub::observer`]) and knows two things: the records of the log as they are applied,
//! and the **interest** of each session, the tags that responses served to it carried ([`LiveHub::served`]). A record
//! goes to the sockets of those sessions whose interest meets the record's tags, with the *groups* of those tags
//! (their opaque form, see [`unstale::GroupKey`]) and the writer's note.
//!
//! # Messages
//! ```json
//! {"type":"hello","position":"…","missed":"nothing"}
//! {"type":"cache_invalidation","position":"…","groups":["…"],"jitter_ms":400,"data":{…}}
//! {"type":"resync","reason":"slow","position":"…"}
//! {"type":"ping"}
//! ```
//! `hello` comes first, once the subscription is active; `missed` says what the client is about to hear of the time
//! before: `nothing`, `replayed` (the events follow) or `unknown` (a `resync` follows). `jitter_ms`, if it is there, is
//! the time over which clients are to spread their refetches, at random, because many hear the same
//! ([`LiveLimits::refetches_per_second`]). `resync` means that it cannot be known what the client
//! missed, or not be said in detail: what is on screen is to be fetched anew. Its reasons are `slow` (the client
//! reads too slowly), `unknown` (part of the log is out of reach) and `many` (the session holds more facts than are
//! remembered). The position of the last message is the token to resume with (`?since=`).
//!
//! # What is guaranteed
//! A session was served a response of base *b* that carries tag *t*, and `served` was called before the response was
//! sent. Then for every record of *t* after *b*, the session's socket gets an event with the group of *t*, or a
//! `resync` after which everything is to be taken as stale:
//! - *whenever the record came*: before, while or after the response was registered (the last records of each
//!   partition are kept and compared with *b*);
//! - *whether or not a socket was open*: what came while none was is sent after the next `hello`, if the socket comes
//!   within the time for which a session is remembered; a client that reconnects says `since`;
//! - *also if the connection breaks*: what came with the hello, the hello itself and what was sent late are kept until
//!   the client has provably received them (a pong that answers a ping sent after them).
//!
//! What is left to the client is the order in which a response and an event reach it: an event for a group that comes
//! while a request is under way concerns its response too, if the response turns out to carry the group; so does a
//! `resync`.
//!
//! One socket per session is assumed (a browser elects a leader tab). Of several, each hears every event from its
//! `hello` on; for what was served before a second socket's `hello`, it has to say `since`.
//!
//! Positions never go back on a socket. Nothing of another tenant is told: interest is kept by session *and* tenant,
//! groups are keyed by tenant, and a note that names its tenant (see [`note`]) goes to no other.
//!
//! # Limits
//! See [`LiveLimits`]. At a limit the answer is a clear refusal (sockets) or a `resync` (facts, queues), never growth
//! and never silence.
//!
//! # What it does not do
//! It does not know who may see what: a session hears of what it was *served*, while the facts stand that allowed its
//! socket ([`LiveRequest::facts`]). Interest is this node's: behind a load
//! balancer a session's requests and its socket must reach the same node.

mod directory;
mod forgotten;
mod inbox;
mod interest;
mod message;
mod origin;
mod outbox;
mod partition;
mod ring;
mod session;
mod socket;
mod standing;
mod stream;
mod subscription;

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use axum::{
    extract::ws::WebSocketUpgrade,
    response::{IntoResponse, Response},
};
use http::HeaderMap;
use parking_lot::Mutex;
use tokio::time::Instant;
use unstale::{
    Cache, Event, GroupKey, Observer, Position, PositionSet, Tag, TagId, Tenant,
    position::{Partition, PartitionCount},
};

pub use self::{
    directory::Refused,
    message::note,
    origin::{Credential, OriginRefused, check_origin, check_reader},
};
use self::{
    directory::{Directory, Seat},
    inbox::{Heard, Inbox},
    message::Encoder,
    outbox::Outbox,
    partition::PartitionState,
    session::{Budget, Since},
    standing::{Standing, Standings},
};
use crate::{problem::Problem, telemetry::LiveMetrics};

/// Closed because the session ended or its rights changed: sign in again, or connect again.
pub const CLOSE_UNAUTHORIZED: u16 = 4401;
/// Ended because a stream of server-sent events has had its time: connect again, from the last position.
pub const CLOSE_DONE: u16 = 1000;
/// Closed because the server stops (RFC 6455, §7.4.1).
pub const CLOSE_GOING_AWAY: u16 = 1001;

/// Refetches that are spread over less are not spread.
const JITTER_MS_MIN: u128 = 50;
const NOT_RUNNING: &str = "Live events are not running yet. Try again.";

/// The limits of a [`LiveHub`], each with its default.
#[derive(Clone, Copy, Debug)]
pub struct LiveLimits {
    /// Open sockets of one user.
    pub sockets_per_user_max: usize,
    /// Open sockets of this node.
    pub sockets_max: usize,
    /// Messages that wait for one socket; a slower one gets a `resync` instead.
    pub queue_max: usize,
    /// Facts of one session that are remembered exactly; those beyond it are remembered roughly (some events then
    /// reach the session as a needless `resync`, none is lost).
    pub session_tags_max: usize,
    /// Facts of all sessions that are remembered exactly.
    pub tags_max: usize,
    /// Sessions that are remembered, with or without a socket.
    pub sessions_max: usize,
    /// Heartbeats for which a session without a socket is remembered after its last response.
    pub idle_heartbeats_max: u32,
    /// Records of each partition that are kept for late comers.
    pub recent_records_max: usize,
    /// Events that wait to be sent out; beyond it, partitions are resynchronised.
    pub inbox_max: usize,
    /// How many refetches a second this node asks for: what many clients hear at once tells them to spread out by it.
    pub refetches_per_second: u32,
    /// Over how long they are to spread at most.
    pub jitter_max: Duration,
    /// How often sockets are pinged. One that was silent for twice as long is dropped.
    pub heartbeat: Duration,
    /// How long a stream of server-sent events lasts at most. A client that is gone answers nothing there, so only the
    /// end shows it; one that is there comes back from where it was.
    pub stream_lasts_max: Duration,
}

impl LiveLimits {
    /// Over how many milliseconds `readers` that hear the same are to spread their refetches; 0 if they need not.
    fn jitter_ms(&self, readers: usize) -> u32 {
        let readers = u64::try_from(readers).unwrap_or(u64::MAX);
        let spread = readers.saturating_mul(1000) / u64::from(self.refetches_per_second.max(1));
        let spread = u128::from(spread).min(self.jitter_max.as_millis());
        // Below this nobody gains.
        if spread < JITTER_MS_MIN { 0 } else { u32::try_from(spread).unwrap_or(u32::MAX) }
    }
}

impl Default for LiveLimits {
    fn default() -> Self {
        Self {
            sockets_per_user_max: 16,
            sockets_max: 20_000,
            queue_max: 64,
            session_tags_max: 4096,
            tags_max: 2_000_000,
            sessions_max: 40_000,
            // Ten minutes.
            idle_heartbeats_max: 24,
            recent_records_max: 1024,
            inbox_max: 16_384,
            refetches_per_second: 1000,
            jitter_max: Duration::from_secs(5),
            heartbeat: Duration::from_secs(25),
            stream_lasts_max: Duration::from_secs(300),
        }
    }
}

/// Who listens: a verified session, acting in one tenant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LiveIdentity {
    /// The tenant for which it acts.
    pub tenant: Tenant,
    /// The user.
    pub user: Arc<str>,
    /// The session: unique, never used again after it ended.
    pub session: Arc<str>,
}

/// How a socket is asked for.
#[derive(Clone, Copy, Debug)]
pub struct LiveRequest<'a> {
    /// The request's headers, for the check of its origin.
    pub headers: &'a HeaderMap,
    /// What the identity was verified by.
    pub credential: Credential,
    /// The facts that allow it: when one of them changes, on whatever node, the socket is closed with 4401, and may be
    /// asked for again.
    pub facts: &'a [Tag],
    /// The cache's positions, captured before the facts were read.
    pub read_since: &'a PositionSet,
    /// How long the identity is good for, if nothing changes: the socket is closed with 4401 then, or up to a heartbeat later.
    pub lasts: Option<Duration>,
    /// The position of the last message that the client has, if it was connected before (`?since=`).
    pub since: Option<&'a str>,
}

/// Tells browsers what changed. Cheap to clone; all clones are one hub.
#[derive(Clone)]
pub struct LiveHub {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    partitions: Box<[Mutex<PartitionState>]>,
    count: PartitionCount,
    inbox: Inbox,
    directory: Arc<Directory>,
    standings: Mutex<Standings>,
    encoder: Encoder,
    limits: LiveLimits,
    metrics: LiveMetrics,
    cache: OnceLock<Cache>,
}

impl LiveHub {
    /// A hub for a cache whose log has `count` partitions (`store.partitions()`).
    pub fn new(group_key: GroupKey, count: PartitionCount, limits: LiveLimits, metrics: LiveMetrics) -> Self {
        let budget = Arc::new(Budget::new(limits.tags_max, limits.sessions_max));
        let partition = || Mutex::new(PartitionState::new(limits, budget.clone(), metrics.clone()));
        let shared = Shared {
            partitions: count.all().map(|_| partition()).collect(),
            count,
            inbox: Inbox::new(limits.inbox_max),
            directory: Arc::new(Directory::new(limits.sockets_per_user_max, limits.sockets_max, metrics.clone())),
            standings: Mutex::default(),
            encoder: Encoder::new(group_key),
            limits,
            metrics,
            cache: OnceLock::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// What hears the cache: give it to the cache's builder.
    pub fn observer(&self) -> Arc<dyn Observer> {
        Arc::new(HubObserver(self.shared.clone()))
    }

    /// Takes sockets from now on, and sends out what the observer hears for as long as the returned future is polled:
    /// spawn it.
    pub fn run(&self, cache: &Cache) -> impl Future<Output = ()> + Send + use<> {
        let shared = self.shared.clone();
        let _ = shared.cache.set(cache.clone());
        async move {
            let mut beat = tokio::time::interval(shared.limits.heartbeat);
            loop {
                tokio::select! {
                    heard = shared.inbox.next() => shared.hear(&heard),
                    _ = beat.tick() => shared.beat(),
                }
            }
        }
    }

    /// Notes that a response that carries `tags` and reflects `base` is about to be sent to `who`: call it before the
    /// response goes out, also for a 304.
    pub fn served(&self, who: &LiveIdentity, tags: &[TagId], base: Position) {
        if self.shared.directory.is_closed(&who.session) {
            return;
        }
        self.shared.partition_of(&who.tenant).lock().served(who, tags, base, &self.shared.encoder);
    }

    /// Answers the request for a socket: upgrades it, or refuses with a problem.
    pub fn upgrade(&self, upgrade: WebSocketUpgrade, who: LiveIdentity, request: LiveRequest<'_>) -> Response {
        if let Err(refused) = check_origin(request.headers, request.credential) {
            return self.refuse(Problem::forbidden(refused.to_string()));
        }
        let (standing, seat, since) = match self.admit(who, &request) {
            Ok(admitted) => admitted,
            Err(problem) => return self.refuse(*problem),
        };
        let shared = self.shared.clone();
        upgrade
            .max_message_size(socket::CLIENT_MESSAGE_BYTES_MAX)
            .max_frame_size(socket::CLIENT_MESSAGE_BYTES_MAX)
            .read_buffer_size(socket::READ_BUFFER_BYTES)
            .on_upgrade(move |web_socket| socket::run(shared, web_socket, standing, seat, since))
    }

    /// Answers the request for server-sent events with the messages of a socket, or refuses with a problem. They count
    /// as a socket. [`LiveRequest::since`] is the query's, or else the request's `Last-Event-ID`.
    pub fn stream(&self, who: LiveIdentity, request: LiveRequest<'_>) -> Response {
        if let Err(refused) = check_reader(request.headers, request.credential) {
            return self.refuse(Problem::forbidden(refused.to_string()));
        }
        let (standing, seat, since) = match self.admit(who, &request) {
            Ok(admitted) => admitted,
            Err(problem) => return self.refuse(*problem),
        };
        stream::respond(self.shared.clone(), standing, seat, &since)
            .unwrap_or_else(|| self.refuse(Problem::unavailable(NOT_RUNNING)))
    }

    /// What a listener stands on, its seat, and what it says of its past.
    fn admit(&self, who: LiveIdentity, request: &LiveRequest<'_>) -> Result<(Standing, Seat, Since), Box<Problem>> {
        if self.shared.cache.get().is_none() {
            return Err(Problem::unavailable(NOT_RUNNING).into());
        }
        let seat = self.shared.directory.admit(&who).map_err(|refused| Box::new(refused.problem()))?;
        let since = request.since.map_or(Since::FirstTime, |text| Since::read(text, self.partition(&who.tenant)));
        // A time beyond what can be told is none.
        let until = request.lasts.and_then(|lasts| Instant::now().checked_add(lasts));
        let standing = Standing { who, facts: request.facts.to_vec(), read_since: request.read_since.clone(), until };
        Ok((standing, seat, since))
    }

    fn refuse(&self, problem: Problem) -> Response {
        self.shared.metrics.event("refused");
        problem.into_response()
    }

    /// Ends a session: its sockets are closed with 4401, what it was served is forgotten, and no socket is opened for
    /// it again.
    pub fn close_session(&self, session: &str) {
        self.shared.directory.close_session(session);
        self.shared.partitions.iter().for_each(|partition| partition.lock().forget_session(session));
    }

    /// Ends what a user hears because its rights changed: its sockets are closed with 4401 and what its sessions were
    /// served is forgotten. Those sessions may connect again; they are then told to resynchronise.
    pub fn close_user(&self, user: &str) {
        self.shared.directory.close_user(user);
        self.shared.partitions.iter().for_each(|partition| partition.lock().lose_user(user));
    }

    /// Closes every socket because the server stops.
    pub fn close_all(&self) {
        self.shared.directory.close_all();
    }

    /// Open sockets.
    pub fn sockets(&self) -> usize {
        self.shared.directory.sockets()
    }

    fn partition(&self, tenant: &Tenant) -> Partition {
        self.shared.count.of(tenant)
    }
}

impl Shared {
    fn partition_of(&self, tenant: &Tenant) -> &Mutex<PartitionState> {
        &self.partitions[self.count.of(tenant).index()]
    }

    fn hear(&self, heard: &Heard) {
        match heard {
            Heard::Applied(record) => {
                // First of all: who may no longer listen must not hear of this either.
                let ended = self.standings.lock().end_those_on(&record.tags);
                self.lose(&ended);
                self.partitions[record.position.partition.index()].lock().apply(record, &self.encoder);
            }
            Heard::Skipped(head) => {
                self.partitions[head.partition.index()].lock().skip(*head);
                let has_changed = |standing: &Standing| self.has_changed(standing);
                let ended = self.standings.lock().end_those_that(has_changed);
                self.lose(&ended);
            }
        }
    }

    fn beat(&self) {
        let now = Instant::now();
        let ended = self.standings.lock().end_those_that(|standing| standing.is_over(now));
        self.lose(&ended);
        self.partitions.iter().for_each(|partition| partition.lock().beat());
    }

    /// Whether a fact that a socket stands on has changed since it was read, or may have.
    fn has_changed(&self, standing: &Standing) -> bool {
        let Standing { who, facts, read_since, .. } = standing;
        self.cache.get().is_none_or(|cache| cache.has_changed(&who.tenant, facts, read_since))
    }

    /// A socket is open. Its facts may have changed while it was let in.
    fn stand(&self, socket: u64, standing: Standing, outbox: &Arc<Outbox>) {
        // Noted first: a change that is heard from now on finds it, and one that was heard before is judged below.
        self.standings.lock().admit(socket, standing, outbox);
        // In every partition: what a socket stands on may be known from an entry of another than its tenant's.
        let has_changed = |Standing { who, facts, read_since, .. }: &Standing| {
            self.cache.get().is_none_or(|cache| cache.has_changed_anywhere(&who.tenant, facts, read_since))
        };
        let ended = self.standings.lock().end_if(socket, has_changed);
        self.lose(&ended);
    }

    fn lose(&self, ended: &[LiveIdentity]) {
        ended.iter().for_each(|who| self.partition_of(&who.tenant).lock().lose(who));
    }
}

struct HubObserver(Arc<Shared>);

impl Observer for HubObserver {
    fn on_event(&self, event: &Event<'_>) {
        match event {
            Event::Applied { record } => self.0.inbox.push(Heard::Applied(Arc::clone(record))),
            Event::Skipped { head } => self.0.inbox.push(Heard::Skipped(*head)),
            _ => {}
        }
    }
}

impl fmt::Debug for LiveHub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveHub").field("sockets", &self.sockets()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use unstale::{MemoryStore, Tag, store::Store as _};

    use super::*;

    #[tokio::test]
    async fn a_response_that_is_still_under_way_does_not_revive_an_ended_session() {
        let store = Arc::new(MemoryStore::default());
        let count = store.partitions();
        let cache = Cache::builder(store).build().await.unwrap();
        let hub = LiveHub::new(GroupKey::derive(b"s"), count, LiveLimits::default(), LiveMetrics::default());
        let acme = Tenant::new("acme").unwrap();
        let who = LiveIdentity { tenant: acme.clone(), user: "ada".into(), session: "a".into() };
        let remembered = || hub.shared.partitions.iter().map(|partition| partition.lock().sessions()).sum::<usize>();
        let serve = || hub.served(&who, &[Tag::of(&acme, "flow", 1).id()], cache.frontier(&acme));
        serve();
        assert_eq!(remembered(), 1);
        hub.close_session("a");
        serve();
        assert_eq!(remembered(), 0);
    }
}
