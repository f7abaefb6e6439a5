//! What can happen, in words.

use std::fmt;

use super::state::Kind;

/// One step of the system. Numbers are places: of nodes, keys, facts, writers and loads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A writer commits in the database.
    Commit {
        /// Whose invalidation it will be.
        node: u8,
        /// What it changes.
        fact: u8,
        /// Whether that is purged.
        is_purge: bool,
    },
    /// A writer's invalidation is recorded in the log.
    Append(u8),
    /// It is taken by a server that is no longer the master.
    AppendAtFormerMaster(u8),
    /// The write is acknowledged.
    Acknowledge(u8),
    /// A node asks the log what follows its frontier: at intervals, woken, or because somebody waits.
    Ask(u8),
    /// The answer arrives.
    Apply(u8),
    /// A node is told of a record. It applies it if it comes next; whether there are more, it does not know.
    Hear(u8),
    /// A reader of whom nothing else is of interest begins a load.
    BeginLoad {
        /// Where.
        node: u8,
        /// Of which key.
        key: u8,
    },
    /// Such a reader takes the store's entry into memory.
    Copy {
        /// Where.
        node: u8,
        /// Of which key.
        key: u8,
    },
    /// A load is granted the lease of its key.
    Acquire(u8),
    /// A load that waits for the lease finds the entry of the one who had it.
    TakeFilled(u8),
    /// A load has waited long enough for the lease.
    LoadUnleased(u8),
    /// A load reads its next fact.
    ReadFact(u8),
    /// A load has read all: the value is judged and kept in memory.
    Keep(u8),
    /// The entry is offered to the store, and the load lands.
    Fill(u8),
    /// The bound passes: no view that was confirmed before it is confirmed now.
    Tick,
    /// A lease expires.
    LeaseExpires(u8),
    /// The reader who is watched begins.
    Read {
        /// Where.
        node: u8,
        /// Of which key.
        key: u8,
        /// How strictly.
        kind: ReadKind,
    },
    /// He goes on.
    GoOn,
    /// Something fails.
    Fault(Fault),
}

/// [`Kind`], to be named in actions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadKind(pub(super) Kind);

/// What can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The key with epoch, sequence, floor and clocks is lost.
    LoseState,
    /// The log is lost alone.
    LoseLog,
    /// The clocks are lost alone: only where the protocol is broken so that they can be.
    LoseClocks,
    /// An entry is lost.
    LoseEntry(u8),
    /// A lease is lost.
    LoseLease(u8),
    /// The store is emptied.
    LoseEverything,
    /// A replica takes over that has not heard of the newest record.
    FailOver,
    /// A node dies and starts again.
    Crash(u8),
    /// A record is appended, and its writer hears that it was not.
    LoseAppendAnswer(u8),
    /// A fill does not reach the store.
    LoseFill(u8),
    /// A loader fails.
    LoadFails(u8),
    /// A node cannot read the log.
    RoundFails(u8),
    /// The store does not answer the reader.
    StoreSilent,
}

impl Fault {
    /// Its name, for counting.
    pub fn name(self) -> &'static str {
        match self {
            Self::LoseState => "fault: state lost",
            Self::LoseLog => "fault: log lost alone",
            Self::LoseClocks => "fault: clocks lost alone",
            Self::LoseEntry(_) => "fault: entry lost",
            Self::LoseLease(_) => "fault: lease lost",
            Self::LoseEverything => "fault: everything lost",
            Self::FailOver => "fault: failover without the newest record",
            Self::Crash(_) => "fault: node crashed and restarted",
            Self::LoseAppendAnswer(_) => "fault: answer to an append lost",
            Self::LoseFill(_) => "fault: fill lost",
            Self::LoadFails(_) => "fault: load failed",
            Self::RoundFails(_) => "fault: log out of reach",
            Self::StoreSilent => "fault: store silent to a reader",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Commit { node, fact, is_purge } => {
                let what = if is_purge { "purge" } else { "change" };
                write!(f, "a writer on node {node} commits a {what} of fact {fact}")
            }
            Self::Append(writer) => write!(f, "writer {writer}'s record is appended"),
            Self::AppendAtFormerMaster(writer) => write!(f, "writer {writer}'s record goes to the former master"),
            Self::Acknowledge(writer) => write!(f, "writer {writer} is told that the write is done"),
            Self::Ask(node) => write!(f, "node {node} asks the log"),
            Self::Apply(node) => write!(f, "node {node} applies the log's answer"),
            Self::Hear(node) => write!(f, "node {node} is told of the next record, and applies it"),
            Self::BeginLoad { node, key } => write!(f, "node {node} begins a load of key {key}"),
            Self::Copy { node, key } => write!(f, "node {node} copies the store's entry of key {key} into memory"),
            Self::Acquire(load) => write!(f, "load {load} is granted the lease"),
            Self::TakeFilled(load) => write!(f, "load {load} takes the entry that the lease's owner has filled"),
            Self::LoadUnleased(load) => write!(f, "load {load} waits no longer for the lease"),
            Self::ReadFact(load) => write!(f, "load {load} reads its next fact"),
            Self::Keep(load) => write!(f, "load {load} has its value, which is judged and kept in memory"),
            Self::Fill(load) => write!(f, "load {load} offers its entry to the store and lands"),
            Self::Tick => write!(f, "the bound passes"),
            Self::LeaseExpires(key) => write!(f, "the lease of key {key} expires"),
            Self::Read { node, key, kind: ReadKind(kind) } => write!(f, "a {kind:?} read of key {key} on node {node}"),
            Self::GoOn => write!(f, "the reader goes on"),
            Self::Fault(fault) => write!(f, "{} ({fault:?})", fault.name()),
        }
    }
}
