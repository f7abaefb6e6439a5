//! What is known of one session: what it holds, its sockets, and what it may not have heard.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use unstale::{Position, PositionSet, TagId, position::Partition};

use super::{
    LiveIdentity,
    interest::{Interest, Match},
    message::ResyncReason,
    outbox::{Outbox, Pushed},
};
use crate::telemetry::LiveMetrics;

/// What all partitions share of the limits.
pub(super) struct Budget {
    pub(super) tags: AtomicUsize,
    pub(super) sessions: AtomicUsize,
    tags_max: usize,
    sessions_max: usize,
}

impl Budget {
    pub(super) fn new(tags_max: usize, sessions_max: usize) -> Self {
        Self { tags: AtomicUsize::new(0), sessions: AtomicUsize::new(0), tags_max, sessions_max }
    }

    pub(super) fn has_room_for_tag(&self) -> bool {
        self.tags.load(Relaxed) < self.tags_max
    }

    pub(super) fn has_room_for_session(&self) -> bool {
        self.sessions.load(Relaxed) < self.sessions_max
    }
}

/// What a client that connects says of its past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Since {
    /// It was never connected.
    FirstTime,
    /// It has everything up to here.
    Position(Position),
    /// It was connected and cannot say until when.
    Unknown,
}

impl Since {
    pub(super) fn read(text: &str, partition: Partition) -> Self {
        let position = text.parse::<PositionSet>().ok().and_then(|set| set.in_partition(partition));
        position.map_or(Self::Unknown, Self::Position)
    }
}

/// From where on a session may have missed something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missed {
    After(Position),
    Unknown,
}

impl Missed {
    /// The earlier of two; nothing is later than anything.
    pub(super) fn earlier(a: Option<Self>, b: Option<Self>) -> Option<Self> {
        match (a, b) {
            (None, other) | (other, None) => other,
            (Some(Self::After(a)), Some(Self::After(b))) if a.epoch == b.epoch => {
                Some(Self::After(if a.sequence <= b.sequence { a } else { b }))
            }
            _ => Some(Self::Unknown),
        }
    }
}

/// Which of some tags a session holds.
pub(super) enum Held {
    /// These, and no other.
    Exactly(Vec<TagId>),
    /// Some that are only remembered roughly.
    Roughly,
}

/// A session, acting in one tenant.
pub(super) struct Session {
    pub(super) who: LiveIdentity,
    pub(super) interest: Interest,
    pub(super) sockets: Vec<(u64, Arc<Outbox>)>,
    pub(super) unheard: Option<Missed>,
    /// The number of the receipt that will prove that nothing is unheard.
    pub(super) receipt: u64,
    /// What was served in this heartbeat and the one before: a page that connects for the first time may hold it,
    /// although another socket of its session was open.
    pub(super) recent: [Option<Missed>; 2],
    pub(super) idle_beats: u32,
}

impl Session {
    /// One that holds nothing; `missed` if it may have held something before.
    pub(super) fn new(who: LiveIdentity, missed: Option<Missed>) -> Self {
        Self {
            who,
            interest: Interest::default(),
            sockets: Vec::new(),
            unheard: missed,
            receipt: 0,
            recent: [None; 2],
            idle_beats: 0,
        }
    }

    /// Call it after what it is about was pushed: the receipt that is asked for is to prove that it arrived.
    pub(super) fn unheard_from(&mut self, missed: Missed) {
        self.unheard = Missed::earlier(self.unheard, Some(missed));
        self.ask_receipt();
    }

    /// Tells all its sockets to fetch anew.
    pub(super) fn resync(&self, reason: ResyncReason, head: Position, metrics: &LiveMetrics) {
        for (_, outbox) in &self.sockets {
            if outbox.resync(reason, head) == Pushed::Queued {
                metrics.event(reason.as_str());
            }
        }
    }

    /// Asks for a sign that everything sent so far has arrived.
    pub(super) fn ask_receipt(&mut self) {
        self.receipt += 1;
        self.sockets.iter().for_each(|(_, outbox)| outbox.ask_receipt(self.receipt));
    }

    /// Which of `tags` it holds.
    pub(super) fn holds(&self, tags: &[TagId]) -> Held {
        let mut held = Vec::new();
        for tag in tags {
            match self.interest.has(*tag) {
                Match::Exactly => held.push(*tag),
                Match::Roughly => return Held::Roughly,
                Match::No => {}
            }
        }
        Held::Exactly(held)
    }
}
