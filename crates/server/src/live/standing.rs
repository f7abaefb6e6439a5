//! What sockets were let in by: one ends when a fact changes that its identity was verified by.
//!
//! *Decides*, except that it closes outboxes. Facts are tags, so a change on any node ends the sockets of all.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use tokio::time::Instant;
use unstale::{PositionSet, Tag, TagId};

use super::{
    CLOSE_UNAUTHORIZED, LiveIdentity,
    outbox::{Closing, Outbox},
};

pub(super) const LET_IN_NO_MORE: Closing =
    Closing { code: CLOSE_UNAUTHORIZED, reason: "the session is over, or the user's rights have changed" };

/// What allows a socket.
#[derive(Clone, Debug)]
pub(super) struct Standing {
    pub(super) who: LiveIdentity,
    /// The facts that the identity was verified by.
    pub(super) facts: Vec<Tag>,
    /// Captured before they were read.
    pub(super) read_since: PositionSet,
    /// When it is over, if nothing changes before.
    pub(super) until: Option<Instant>,
}

impl Standing {
    /// Whether its time is over.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

/// All sockets, by the facts that they stand on.
#[derive(Default)]
pub(super) struct Standings {
    by_fact: BTreeSet<(TagId, u64)>,
    sockets: HashMap<u64, (Standing, Arc<Outbox>)>,
}

impl Standings {
    /// Notes what a socket stands on.
    pub(super) fn admit(&mut self, socket: u64, standing: Standing, outbox: &Arc<Outbox>) {
        self.by_fact.extend(standing.facts.iter().map(|fact| (fact.id(), socket)));
        self.sockets.insert(socket, (standing, outbox.clone()));
    }

    /// A socket is gone.
    pub(super) fn leave(&mut self, socket: u64) -> Option<(Standing, Arc<Outbox>)> {
        let held = self.sockets.remove(&socket)?;
        held.0.facts.iter().for_each(|fact| _ = self.by_fact.remove(&(fact.id(), socket)));
        Some(held)
    }

    /// Ends the sockets that stand on one of `facts`, and tells whose they were.
    pub(super) fn end_those_on(&mut self, facts: &[TagId]) -> Vec<LiveIdentity> {
        let on = |fact: &TagId| self.by_fact.range((*fact, 0)..=(*fact, u64::MAX)).map(|(_, socket)| *socket);
        let sockets = facts.iter().flat_map(on).collect();
        self.end(&sockets)
    }

    /// Ends the sockets whose standing `has_changed`, and tells whose they were.
    pub(super) fn end_those_that(&mut self, has_changed: impl Fn(&Standing) -> bool) -> Vec<LiveIdentity> {
        let changed = self.sockets.iter().filter(|(_, (standing, _))| has_changed(standing));
        let sockets = changed.map(|(socket, _)| *socket).collect();
        self.end(&sockets)
    }

    /// Ends one socket if its standing `has_changed`.
    pub(super) fn end_if(&mut self, socket: u64, has_changed: impl Fn(&Standing) -> bool) -> Vec<LiveIdentity> {
        let changed = self.sockets.get(&socket).is_some_and(|(standing, _)| has_changed(standing));
        if changed { self.end(&BTreeSet::from([socket])) } else { Vec::new() }
    }

    fn end(&mut self, sockets: &BTreeSet<u64>) -> Vec<LiveIdentity> {
        let ended = sockets.iter().filter_map(|socket| self.leave(*socket));
        let end = |(standing, outbox): (Standing, Arc<Outbox>)| {
            outbox.close(LET_IN_NO_MORE);
            standing.who
        };
        ended.map(end).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt as _;
    use unstale::Tenant;

    use super::*;
    use crate::live::outbox::Next;

    fn fact(id: u64) -> Tag {
        Tag::shared("user", id)
    }

    fn standing(session: &str, facts: &[u64]) -> Standing {
        let who = LiveIdentity { tenant: Tenant::new("acme").unwrap(), user: "ada".into(), session: session.into() };
        let facts = facts.iter().map(|id| fact(*id)).collect();
        Standing { who, facts, read_since: PositionSet::default(), until: None }
    }

    fn admit(standings: &mut Standings, socket: u64, standing: Standing) -> Arc<Outbox> {
        let outbox = Arc::new(Outbox::new(4));
        standings.admit(socket, standing, &outbox);
        outbox
    }

    fn is_closed(outbox: &Outbox) -> bool {
        matches!(outbox.next().now_or_never(), Some(Next::Close(Closing { code: 4401, .. })))
    }

    #[test]
    fn a_fact_ends_the_sockets_that_stand_on_it_and_no_others() {
        let mut standings = Standings::default();
        let [one, both, other] = [(1, "a", vec![1]), (2, "b", vec![1, 2]), (3, "c", vec![3])]
            .map(|(socket, session, facts)| admit(&mut standings, socket, standing(session, &facts)));
        let ended = standings.end_those_on(&[fact(1).id(), fact(2).id()]);
        assert_eq!(ended.iter().map(|who| &*who.session).collect::<Vec<_>>(), ["a", "b"]);
        assert!(is_closed(&one) && is_closed(&both) && !is_closed(&other));
        assert!(standings.end_those_on(&[fact(1).id()]).is_empty(), "they are gone");
    }

    #[test]
    fn a_socket_that_left_is_forgotten() {
        let mut standings = Standings::default();
        let outbox = admit(&mut standings, 1, standing("a", &[1]));
        standings.leave(1);
        assert!(standings.end_those_on(&[fact(1).id()]).is_empty() && !is_closed(&outbox));
        assert!(standings.by_fact.is_empty() && standings.sockets.is_empty());
    }

    #[test]
    fn what_cannot_be_known_is_judged_anew() {
        let mut standings = Standings::default();
        let outboxes = [1, 2].map(|id| admit(&mut standings, id, standing("a", &[id])));
        let ended = standings.end_those_that(|standing| standing.facts == [fact(2)]);
        assert_eq!(ended.len(), 1);
        assert!(!is_closed(&outboxes[0]) && is_closed(&outboxes[1]));
    }

    #[test]
    fn a_standing_is_over_when_its_time_is_and_one_without_end_never() {
        let now = Instant::now();
        let ending = Standing { until: Some(now), ..standing("a", &[1]) };
        assert!(ending.is_over(now) && ending.is_over(now + Duration::from_secs(1)));
        assert!(!ending.is_over(now.checked_sub(Duration::from_secs(1)).unwrap()));
        assert!(!standing("a", &[1]).is_over(now + Duration::from_secs(1_000_000)));
    }
}
