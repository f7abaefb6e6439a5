//! Which sockets are open, of whom, and how many there may be.

use std::{
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use http::StatusCode;
use parking_lot::Mutex;

use super::{
    CLOSE_GOING_AWAY, CLOSE_UNAUTHORIZED, LiveIdentity,
    outbox::{Closing, Outbox},
};
use crate::{problem::Problem, telemetry::LiveMetrics};

/// Sessions that ended are remembered so long that a request which was under way cannot open a socket for them.
const ENDED_SESSIONS_MAX: usize = 16_384;

/// Why a socket is not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The user has too many.
    #[error("You have {limit} live connections open, which is the limit. Close some pages and try again.")]
    TooManyOfUser {
        /// How many there may be.
        limit: usize,
    },
    /// The node has too many.
    #[error("This server has as many live connections as it can take. Try again later.")]
    TooManyOfNode,
    /// The session ended.
    #[error("This session has ended. Sign in again.")]
    SessionEnded,
    /// The server stops.
    #[error("The server is stopping. Connect again.")]
    Stopping,
}

impl Refused {
    /// As the caller reads it.
    pub fn problem(self) -> Problem {
        match self {
            Self::TooManyOfUser { .. } => Problem::too_many_requests(self.to_string(), Duration::from_secs(30)),
            Self::TooManyOfNode => Problem::unavailable(self.to_string()).retry_after(Duration::from_secs(30)),
            Self::SessionEnded => {
                Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", "Sign-in required").detail(self.to_string())
            }
            Self::Stopping => Problem::unavailable(self.to_string()).retry_after(Duration::from_secs(1)),
        }
    }
}

/// All open sockets.
pub(super) struct Directory {
    open: Mutex<Open>,
    sockets_per_user_max: usize,
    sockets_max: usize,
    metrics: LiveMetrics,
}

#[derive(Default)]
struct Open {
    sockets: HashMap<u64, Socket>,
    by_user: HashMap<Arc<str>, BTreeSet<u64>>,
    by_session: HashMap<Arc<str>, BTreeSet<u64>>,
    ended: HashSet<Arc<str>>,
    ended_by_age: VecDeque<Arc<str>>,
    stopping: bool,
    last_id: u64,
}

struct Socket {
    user: Arc<str>,
    session: Arc<str>,
    /// None while it is being upgraded.
    outbox: Option<Arc<Outbox>>,
    closing: Option<Closing>,
}

/// The right to one socket; given back when it is dropped.
pub(super) struct Seat {
    directory: Arc<Directory>,
    pub(super) id: u64,
}

impl Directory {
    pub(super) fn new(sockets_per_user_max: usize, sockets_max: usize, metrics: LiveMetrics) -> Self {
        Self { open: Mutex::default(), sockets_per_user_max, sockets_max, metrics }
    }

    pub(super) fn admit(self: &Arc<Self>, who: &LiveIdentity) -> Result<Seat, Refused> {
        let mut open = self.open.lock();
        if open.stopping {
            return Err(Refused::Stopping);
        }
        if open.ended.contains(&who.session) {
            return Err(Refused::SessionEnded);
        }
        if open.by_user.get(&who.user).is_some_and(|sockets| sockets.len() >= self.sockets_per_user_max) {
            return Err(Refused::TooManyOfUser { limit: self.sockets_per_user_max });
        }
        if open.sockets.len() >= self.sockets_max {
            return Err(Refused::TooManyOfNode);
        }
        open.last_id += 1;
        let id = open.last_id;
        let socket = Socket { user: who.user.clone(), session: who.session.clone(), outbox: None, closing: None };
        open.sockets.insert(id, socket);
        open.by_user.entry(who.user.clone()).or_default().insert(id);
        open.by_session.entry(who.session.clone()).or_default().insert(id);
        self.metrics.sockets(open.sockets.len());
        Ok(Seat { directory: self.clone(), id })
    }

    pub(super) fn is_closed(&self, session: &str) -> bool {
        self.open.lock().ended.contains(session)
    }

    pub(super) fn sockets(&self) -> usize {
        self.open.lock().sockets.len()
    }

    pub(super) fn close_session(&self, session: &str) {
        let mut open = self.open.lock();
        let name: Arc<str> = session.into();
        if open.ended.insert(name.clone()) {
            open.ended_by_age.push_back(name);
        }
        if open.ended_by_age.len() > ENDED_SESSIONS_MAX
            && let Some(oldest) = open.ended_by_age.pop_front()
        {
            open.ended.remove(&oldest);
        }
        let ids = open.by_session.get(session).cloned().unwrap_or_default();
        open.close(&ids, Closing { code: CLOSE_UNAUTHORIZED, reason: "the session has ended" });
    }

    pub(super) fn close_user(&self, user: &str) {
        let mut open = self.open.lock();
        let ids = open.by_user.get(user).cloned().unwrap_or_default();
        open.close(&ids, Closing { code: CLOSE_UNAUTHORIZED, reason: "the user's rights have changed" });
    }

    pub(super) fn close_all(&self) {
        let mut open = self.open.lock();
        open.stopping = true;
        let ids = open.sockets.keys().copied().collect();
        open.close(&ids, Closing { code: CLOSE_GOING_AWAY, reason: "the server is stopping" });
    }
}

impl Open {
    fn close(&mut self, ids: &BTreeSet<u64>, closing: Closing) {
        for id in ids {
            let Some(socket) = self.sockets.get_mut(id) else { continue };
            socket.closing.get_or_insert(closing);
            if let Some(outbox) = &socket.outbox {
                outbox.close(closing);
            }
        }
    }

    fn leave(&mut self, id: u64) {
        let Some(socket) = self.sockets.remove(&id) else { return };
        for (name, index) in [(&socket.user, &mut self.by_user), (&socket.session, &mut self.by_session)] {
            if let Some(ids) = index.get_mut(name) {
                ids.remove(&id);
                if ids.is_empty() {
                    index.remove(name);
                }
            }
        }
    }
}

impl Seat {
    /// The upgrade is done: what is closed from now on, or was meanwhile, is closed through `outbox`.
    pub(super) fn open(&self, outbox: &Arc<Outbox>) {
        let mut open = self.directory.open.lock();
        let Some(socket) = open.sockets.get_mut(&self.id) else { return };
        socket.outbox = Some(outbox.clone());
        if let Some(closing) = socket.closing {
            outbox.close(closing);
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut open = self.directory.open.lock();
        open.leave(self.id);
        self.directory.metrics.sockets(open.sockets.len());
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use unstale::Tenant;

    use super::*;
    use crate::live::outbox::Next;

    fn who(user: &str, session: &str) -> LiveIdentity {
        LiveIdentity { tenant: Tenant::new("acme").unwrap(), user: user.into(), session: session.into() }
    }

    fn directory() -> Arc<Directory> {
        Arc::new(Directory::new(2, 3, LiveMetrics::default()))
    }

    fn refused(directory: &Arc<Directory>, user: &str) -> Option<Refused> {
        directory.admit(&who(user, "s")).err()
    }

    #[test]
    fn a_user_and_the_node_have_limits_and_seats_come_back() {
        let directory = directory();
        let ada: Vec<Seat> = (0..2).map(|_| directory.admit(&who("ada", "a")).unwrap()).collect();
        assert_eq!(refused(&directory, "ada"), Some(Refused::TooManyOfUser { limit: 2 }));
        let bob = directory.admit(&who("bob", "b")).unwrap();
        assert_eq!(refused(&directory, "eve"), Some(Refused::TooManyOfNode));
        drop(bob);
        assert_eq!(refused(&directory, "eve"), None);
        drop(ada);
        assert_eq!(directory.sockets(), 0);
        assert!(directory.open.lock().by_user.is_empty() && directory.open.lock().by_session.is_empty());
    }

    #[test]
    fn a_session_that_ends_while_its_socket_is_upgraded_is_closed_all_the_same() {
        let directory = directory();
        let seat = directory.admit(&who("ada", "a")).unwrap();
        directory.close_session("a");
        let outbox = Arc::new(Outbox::new(4));
        seat.open(&outbox);
        assert!(matches!(outbox.next().now_or_never(), Some(Next::Close(Closing { code: 4401, .. }))));
        assert_eq!(directory.admit(&who("ada", "a")).err(), Some(Refused::SessionEnded));
        assert!(directory.is_closed("a") && !directory.is_closed("b"));
    }

    #[test]
    fn only_the_users_own_sockets_are_closed_and_the_user_may_come_back() {
        let directory = directory();
        let seats = [directory.admit(&who("ada", "a")).unwrap(), directory.admit(&who("bob", "b")).unwrap()];
        let outboxes: Vec<_> = seats.iter().map(|_| Arc::new(Outbox::new(4))).collect();
        seats.iter().zip(&outboxes).for_each(|(seat, outbox)| seat.open(outbox));
        directory.close_user("ada");
        assert!(matches!(outboxes[0].next().now_or_never(), Some(Next::Close(_))));
        assert!(outboxes[1].next().now_or_never().is_none());
        assert_eq!(refused(&directory, "ada"), None);
    }

    #[test]
    fn a_stopping_server_takes_no_more() {
        let directory = directory();
        directory.close_all();
        assert_eq!(refused(&directory, "ada"), Some(Refused::Stopping));
    }
}
