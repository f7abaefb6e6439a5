//! Who holds what in one partition, and who is told what: the rules of the hub.
//!
//! *Decides*; all it does is to put messages into outboxes. Called under the partition's lock, so that a record and a
//! registration are always in one order: a record that was told before is found in the ring when the response is
//! registered, and one that is told later finds the interest.
//!
//! # Invariants
//! - `index` holds exactly the exact tags of all sessions; `rough` exactly the sessions with a rough part.
//! - `unheard` of a session covers everything that was served or sent to it and that no socket has provably received
//!   or was open for.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, atomic::Ordering::Relaxed},
};

use unstale::{
    ClockLimits, Position, PositionSet, Record, TagId, Tenant,
    clocks::{Clocks, Validity},
};

use super::{
    LiveIdentity, LiveLimits,
    forgotten::Forgotten,
    interest::Match,
    message::{Encoder, MissedBefore, ResyncReason},
    outbox::{Outbox, Pushed},
    ring::{After, Ring},
    session::{Budget, Held, Missed, Session, Since},
    standing::LET_IN_NO_MORE,
};
use crate::telemetry::LiveMetrics;

/// As many exact clocks as the engine holds by default: what it still serves, the hub can still judge. The filter is
/// smaller, as registering a response is not the path of a hit.
const CLOCKS: ClockLimits = ClockLimits { filter_slots: 1024, exact_clocks_max: 16_384 };

pub(super) struct PartitionState {
    limits: LiveLimits,
    budget: Arc<Budget>,
    metrics: LiveMetrics,
    ring: Ring,
    /// As the engine's, so that an old response is known to be right however long ago its base is.
    clocks: Option<Clocks>,
    sessions: HashMap<u64, Session>,
    ids: BTreeMap<(Arc<str>, Tenant), u64>,
    index: BTreeSet<(TagId, u64)>,
    rough: BTreeSet<u64>,
    forgotten: Forgotten,
    last_id: u64,
}

impl PartitionState {
    pub(super) fn new(limits: LiveLimits, budget: Arc<Budget>, metrics: LiveMetrics) -> Self {
        Self {
            limits,
            budget,
            metrics,
            ring: Ring::new(limits.recent_records_max),
            clocks: None,
            sessions: HashMap::new(),
            ids: BTreeMap::new(),
            index: BTreeSet::new(),
            rough: BTreeSet::new(),
            forgotten: Forgotten::default(),
            last_id: 0,
        }
    }

    /// A record of the log, in order.
    pub(super) fn apply(&mut self, record: &Arc<Record>, encoder: &Encoder) {
        let before = before(record.position);
        match self.ring.head() {
            Some(head) if head == before => {}
            None => self.clocks = Some(Clocks::new(before, CLOCKS)),
            // The engine tells of every gap by itself; if it did not, nothing may be lost all the same.
            Some(_) => self.skip(before),
        }
        self.ring.push(record);
        if let Some(clocks) = &self.clocks {
            clocks.apply(record.position.sequence, &record.tags);
        }
        let mut concerned: BTreeMap<u64, Vec<TagId>> = BTreeMap::new();
        for tag in &record.tags {
            for (_, id) in self.index.range((*tag, 0)..=(*tag, u64::MAX)) {
                concerned.entry(*id).or_default().push(*tag);
            }
        }
        let mut outgoing = encoder.record(record, record.position).spread_over(self.limits.jitter_ms(concerned.len()));
        for (id, mut tags) in concerned {
            let session = &self.sessions[&id];
            if session.sockets.is_empty() {
                continue;
            }
            tags.sort_unstable();
            tags.dedup();
            let text = outgoing.text(&session.who.tenant, tags);
            for (_, outbox) in &session.sockets {
                count(&self.metrics, outbox.push(text.clone(), record.position));
            }
        }
        for id in &self.rough {
            let session = &self.sessions[id];
            if matches!(session.holds(&record.tags), Held::Roughly) {
                session.resync(ResyncReason::Many, record.position, &self.metrics);
            }
        }
    }

    /// Part of the log is out of reach; it goes on at `head`.
    pub(super) fn skip(&mut self, head: Position) {
        self.ring.skip_to(head);
        self.clocks = Some(Clocks::new(head, CLOCKS));
        // Who is away finds out when it comes back: its position is below what the ring still knows.
        for session in self.sessions.values() {
            session.resync(ResyncReason::Unknown, head, &self.metrics);
        }
    }

    /// A response with `tags` that reflects `base` is about to be sent.
    pub(super) fn served(&mut self, who: &LiveIdentity, tags: &[TagId], base: Position, encoder: &Encoder) {
        let Some(id) = self.remember(who, false) else { return };
        self.add_interest(id, tags);
        let since = self.reflected(tags, base);
        let head = self.ring.head();
        let session = self.sessions.get_mut(&id).expect("it was remembered just now");
        session.idle_beats = 0;
        session.recent[0] = Missed::earlier(session.recent[0], Some(since));
        if session.sockets.is_empty() {
            return session.unheard_from(since);
        }
        // Nothing was heard yet, so nothing was missed.
        let Some(head) = head else { return };
        let after = match since {
            Missed::After(position) => self.ring.after(position),
            Missed::Unknown => After::Unknown,
        };
        let After::Records(records) = after else {
            session.resync(ResyncReason::Unknown, head, &self.metrics);
            return session.unheard_from(Missed::Unknown);
        };
        let mut late = false;
        for record in records {
            let concerned: Vec<TagId> = record.tags.iter().copied().filter(|tag| tags.contains(tag)).collect();
            if concerned.is_empty() {
                continue;
            }
            late = true;
            // At the position of the head, as positions do not go back.
            let text = encoder.record(&record, head).text(&who.tenant, concerned);
            for (_, outbox) in &session.sockets {
                match outbox.push(text.clone(), head) {
                    Pushed::Queued => self.metrics.event("late"),
                    pushed => count(&self.metrics, pushed),
                }
            }
        }
        if late {
            session.unheard_from(since);
        }
    }

    /// A socket is open: says hello and what was missed.
    pub(super) fn connect(
        &mut self,
        who: &LiveIdentity,
        socket: u64,
        outbox: &Arc<Outbox>,
        since: &Since,
        frontier: impl FnOnce() -> Position,
        encoder: &Encoder,
    ) {
        let is_known = self.ids.contains_key(&(who.session.clone(), who.tenant.clone()));
        let Some(id) = self.remember(who, true) else { return };
        let head = self.ring.head().unwrap_or_else(frontier);
        let session = self.sessions.get_mut(&id).expect("it was remembered just now");
        session.sockets.push((socket, outbox.clone()));
        session.idle_beats = 0;
        let told = match since {
            Since::FirstTime => session.recent.into_iter().fold(None, Missed::earlier),
            // What it was served before is not known here, so neither is what it would have to hear of.
            Since::Position(_) | Since::Unknown if !is_known => Some(Missed::Unknown),
            Since::Unknown => Some(Missed::Unknown),
            // Said by a client of another epoch, or before this node heard of anything.
            Since::Position(position) if self.ring.head().is_none() && *position != head => Some(Missed::Unknown),
            Since::Position(position) => Some(Missed::After(*position)),
        };
        let missed = Missed::earlier(session.unheard, told);
        match replay(session, missed, &self.ring, self.limits.queue_max) {
            Replay::Records(records) => {
                // With something to follow, the token must not yet claim that it was received.
                let position = match (records.first(), since) {
                    (Some((first, _)), _) => before(first.position),
                    (None, Since::Position(ahead)) if ahead.sequence > head.sequence => *ahead,
                    (None, _) => head,
                };
                let missed = if records.is_empty() { MissedBefore::Nothing } else { MissedBefore::Replayed };
                outbox.hello(&PositionSet::from(position).to_string(), missed);
                for (record, tags) in records {
                    let text = encoder.record(&record, record.position).text(&who.tenant, tags);
                    outbox.push(text, head);
                    self.metrics.event("replayed");
                }
            }
            Replay::Unknown => {
                let token = match since {
                    Since::Position(position) => PositionSet::from(*position).to_string(),
                    Since::FirstTime | Since::Unknown => String::new(),
                };
                outbox.hello(&token, MissedBefore::Unknown);
                outbox.resync(ResyncReason::Unknown, head);
                self.metrics.event(ResyncReason::Unknown.as_str());
            }
        }
        // Until the client has the hello it has no token to come back with: then this node has to know.
        session.unheard = missed.or(Some(Missed::After(head)));
        session.ask_receipt();
    }

    /// A socket is gone.
    pub(super) fn disconnect(&mut self, who: &LiveIdentity, socket: u64) {
        let Some(id) = self.ids.get(&(who.session.clone(), who.tenant.clone())) else { return };
        if let Some(session) = self.sessions.get_mut(id) {
            session.sockets.retain(|(held, _)| *held != socket);
        }
    }

    /// The client has everything that was sent before it was asked for this receipt.
    pub(super) fn received(&mut self, who: &LiveIdentity, receipt: u64) {
        let Some(id) = self.ids.get(&(who.session.clone(), who.tenant.clone())) else { return };
        if let Some(session) = self.sessions.get_mut(id)
            && session.receipt == receipt
        {
            session.unheard = None;
        }
    }

    /// A heartbeat went by.
    pub(super) fn beat(&mut self) {
        let mut idle = Vec::new();
        for (id, session) in &mut self.sessions {
            session.recent = [None, session.recent[0]];
            if session.sockets.is_empty() {
                session.idle_beats += 1;
                if session.idle_beats > self.limits.idle_heartbeats_max {
                    idle.push(*id);
                }
            }
        }
        for id in idle {
            if let Some(session) = self.forget(id) {
                self.forgotten.add(&session.who);
            }
        }
    }

    /// The session has ended.
    pub(super) fn forget_session(&mut self, session: &str) {
        let ids: Vec<u64> =
            self.sessions.iter().filter(|(_, held)| &*held.who.session == session).map(|(id, _)| *id).collect();
        ids.into_iter().for_each(|id| drop(self.forget(id)));
    }

    /// What was served to `who` no longer counts; when it comes back it has to resynchronise. None of its sockets goes on,
    /// also if it was let in by something that still holds: what it would have to hear of is not known any more.
    pub(super) fn lose(&mut self, who: &LiveIdentity) {
        if let Some(id) = self.ids.get(&(who.session.clone(), who.tenant.clone())).copied()
            && let Some(session) = self.forget(id)
        {
            session.sockets.iter().for_each(|(_, outbox)| outbox.close(LET_IN_NO_MORE));
            self.forgotten.add(&session.who);
        }
    }

    /// The same for all sessions of a user.
    pub(super) fn lose_user(&mut self, user: &str) {
        let lost: Vec<LiveIdentity> =
            self.sessions.values().filter(|held| &*held.who.user == user).map(|held| held.who.clone()).collect();
        lost.iter().for_each(|who| self.lose(who));
    }

    #[cfg(test)]
    pub(super) fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// The session's id. For a socket there is always room, as sockets have a limit of their own.
    fn remember(&mut self, who: &LiveIdentity, for_socket: bool) -> Option<u64> {
        let key = (who.session.clone(), who.tenant.clone());
        if let Some(id) = self.ids.get(&key) {
            return Some(*id);
        }
        if !for_socket && !self.budget.has_room_for_session() {
            self.forgotten.add(who);
            return None;
        }
        self.budget.sessions.fetch_add(1, Relaxed);
        self.last_id += 1;
        let missed = self.forgotten.remove(who).then_some(Missed::Unknown);
        let session = Session::new(who.clone(), missed);
        self.sessions.insert(self.last_id, session);
        self.ids.insert(key, self.last_id);
        Some(self.last_id)
    }

    fn forget(&mut self, id: u64) -> Option<Session> {
        let session = self.sessions.remove(&id)?;
        self.ids.remove(&(session.who.session.clone(), session.who.tenant.clone()));
        for tag in session.interest.exact() {
            self.index.remove(&(tag, id));
        }
        self.rough.remove(&id);
        self.budget.sessions.fetch_sub(1, Relaxed);
        self.budget.tags.fetch_sub(session.interest.len(), Relaxed);
        Some(session)
    }

    fn add_interest(&mut self, id: u64, tags: &[TagId]) {
        let session = self.sessions.get_mut(&id).expect("the caller has remembered it");
        for tag in tags {
            if session.interest.has(*tag) != Match::No {
                continue;
            }
            let there_is_room = session.interest.len() < self.limits.session_tags_max && self.budget.has_room_for_tag();
            if session.interest.add(*tag, there_is_room) {
                self.budget.tags.fetch_add(1, Relaxed);
                self.index.insert((*tag, id));
            }
        }
        if session.interest.is_rough() && self.rough.insert(id) {
            self.metrics.event("interest_overflow");
        }
    }

    /// The position that a response is known to reflect: its base, or the newest one if none of its tags has moved.
    fn reflected(&self, tags: &[TagId], base: Position) -> Missed {
        let Some(clocks) = &self.clocks else { return Missed::After(base) };
        match (clocks.judge(base.epoch, base.sequence, tags), self.ring.head()) {
            // A base ahead of what was heard stays: its records are still to come.
            (Validity::Valid { .. }, Some(head)) if head.sequence >= base.sequence => Missed::After(head),
            (Validity::Valid { .. } | Validity::Invalidated, _) => Missed::After(base),
            (Validity::BelowFloor | Validity::EpochChanged, _) => match self.ring.after(base) {
                After::Records(_) => Missed::After(base),
                After::Unknown => Missed::Unknown,
            },
        }
    }
}

/// What a session that connects is sent of its past.
enum Replay {
    /// Records, each with the tags that the session holds.
    Records(Vec<(Arc<Record>, Vec<TagId>)>),
    /// It cannot be said, or it is too much.
    Unknown,
}

fn replay(session: &Session, missed: Option<Missed>, ring: &Ring, records_max: usize) -> Replay {
    let after = match missed {
        None => return Replay::Records(Vec::new()),
        Some(Missed::Unknown) => return Replay::Unknown,
        Some(Missed::After(position)) => ring.after(position),
    };
    let After::Records(records) = after else { return Replay::Unknown };
    let mut concerning = Vec::new();
    for record in records {
        match session.holds(&record.tags) {
            Held::Exactly(tags) if tags.is_empty() => {}
            Held::Exactly(tags) => concerning.push((record, tags)),
            Held::Roughly => return Replay::Unknown,
        }
    }
    if concerning.len() > records_max { Replay::Unknown } else { Replay::Records(concerning) }
}

fn before(position: Position) -> Position {
    Position { sequence: position.sequence.previous(), ..position }
}

fn count(metrics: &LiveMetrics, pushed: Pushed) {
    metrics.event(match pushed {
        Pushed::Queued => "delivered",
        Pushed::Overflowed => ResyncReason::Slow.as_str(),
        Pushed::Covered => "covered",
    });
}

#[cfg(test)]
#[path = "partition_tests.rs"]
mod tests;
