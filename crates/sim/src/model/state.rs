//! Everything that decides what can happen next.
//!
//! One partition of the log: partitions share nothing. Numbers are as small as the bounds of the search.

use smallvec::SmallVec;

use super::view::View;

/// Facts in the database.
pub(super) const FACTS: usize = 2;
/// Most nodes.
pub(super) const NODES_MAX: usize = 3;
/// Most keys.
pub(super) const KEYS_MAX: usize = 2;
/// Most loads that run at once, on all nodes.
pub(super) const LOADS_MAX: usize = 3;
/// Most writers at once.
pub(super) const WRITERS_MAX: usize = 2;

/// How often each fact was written.
pub(super) type Versions = [u8; FACTS];

/// A set of facts: what a record names and what an entry was loaded from. Of a record, also whether it is a purge, which
/// it says as the engine's do: by one name more.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub(super) struct Facts(u8);

impl Facts {
    pub(super) const NONE: Self = Self(0);
    pub(super) const FIRST: Self = Self(1);
    pub(super) const SECOND: Self = Self(2);
    pub(super) const BOTH: Self = Self(3);
    const PURGE: u8 = 1 << FACTS;

    pub(super) fn one(fact: usize) -> Self {
        Self(1 << fact)
    }

    /// The same, as a purge.
    pub(super) fn purging(self) -> Self {
        Self(self.0 | Self::PURGE)
    }

    pub(super) fn is_purge(self) -> bool {
        self.0 & Self::PURGE != 0
    }

    /// The same, as no purge.
    pub(super) fn invalidating(self) -> Self {
        Self(self.0 & !Self::PURGE)
    }

    pub(super) fn iter(self) -> impl Iterator<Item = usize> {
        (0..FACTS).filter(move |fact| self.0 & 1 << fact != 0)
    }

    pub(super) fn filter(self, wanted: impl Fn(usize) -> bool) -> Self {
        self.iter().filter(|fact| wanted(*fact)).fold(Self::NONE, |all, fact| Self(all.0 | 1 << fact))
    }
}

/// A place in the log.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub(super) struct Place {
    pub(super) epoch: u8,
    pub(super) sequence: u8,
}

/// A value with what it is judged by.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct Entry {
    pub(super) base: Place,
    pub(super) tags: Facts,
    pub(super) saw: Versions,
}

/// An invalidation in the log.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Record {
    pub(super) at: Place,
    pub(super) facts: Facts,
}

/// What belongs together in the store: it is lost together, or the epoch changes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Head {
    pub(super) at: Place,
    pub(super) floor: u8,
    pub(super) clocks: [u8; FACTS],
}

/// The store of record. What is `None` was lost.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Store {
    pub(super) epochs_begun: u8,
    pub(super) head: Option<Head>,
    pub(super) log: SmallVec<[Record; 4]>,
    pub(super) entries: [Option<Entry>; KEYS_MAX],
    pub(super) leases: [Option<Owner>; KEYS_MAX],
}

/// Whose lease it is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Owner {
    /// The load in this place. Another load that comes to the same place is another owner: when a load ends without
    /// having released its lease, the owner becomes [`Owner::Gone`].
    Load(u8),
    /// One that died.
    Gone,
}

/// What an answer of the log says.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum Page {
    /// The records after the view's frontier.
    Records(SmallVec<[Facts; 4]>),
    /// Some of them are gone.
    Trimmed(u8),
    /// The view's epoch is over.
    NewEpoch(Place),
}

/// A round of catching up that has begun, and who waited for it when it began.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Round {
    /// What the log answered; none if it must be asked again.
    pub(super) page: Option<Page>,
    /// Whether less than the bound has passed since it was asked.
    pub(super) recent: bool,
    pub(super) for_reader: bool,
    pub(super) for_writers: [bool; WRITERS_MAX],
}

/// A process.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct Node {
    pub(super) view: View,
    /// Whether the view was complete less than the bound ago.
    pub(super) confirmed: bool,
    pub(super) memory: [Option<Entry>; KEYS_MAX],
    pub(super) round: Option<Round>,
}

/// How far a load is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) enum Stage {
    /// It waits for the lease, or for the entry of the one who has it.
    WaitsForLease,
    /// It has read so many of its facts.
    Reads(u8),
    /// Its entry is in memory and on its way to the store.
    Fills(Entry),
}

/// What a load has of the lease of its key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) enum Lease {
    None,
    /// Granted, and neither expired nor lost.
    Live,
    /// Granted once.
    Former,
}

/// A running load.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct Load {
    pub(super) node: u8,
    pub(super) key: u8,
    pub(super) base: Place,
    /// Whether readers who come may join it.
    pub(super) open: bool,
    /// Whether the one who began it knew its view to be as complete as the policy demands.
    pub(super) confirmed: bool,
    pub(super) lease: Lease,
    pub(super) stage: Stage,
    pub(super) saw: Versions,
}

/// A write on its way, from the commit in the database to the acknowledgement.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Writer {
    pub(super) node: u8,
    pub(super) fact: u8,
    pub(super) version: u8,
    /// Whether what was before it is to be served by nobody any more.
    pub(super) is_purge: bool,
    /// Where it stands in the log, once that is known to the writer's node.
    pub(super) recorded: Option<Place>,
    /// Whether the writer's node has caught up since.
    pub(super) reached: bool,
}

/// How a read is bound by the writes that were acknowledged before it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Kind {
    /// By those of its own node, and by all that are older than the bound.
    Bounded,
    /// And by the last acknowledged one, wherever: it carries its position.
    Carrying,
    /// By all; its node asks the log.
    Strict,
    /// By all; the store judges.
    Judged,
    /// By purges, as far as its node has followed the log.
    StaleOk,
}

/// What a read waits for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Waits {
    /// A round that began after it came, to reach its position.
    ToReach,
    /// A round that began after it came, to know the view complete.
    ToConfirm,
    /// The store's judgement.
    ForJudgement,
    /// The store's entry. Here and below: whether the view is known to be complete.
    ForEntry { confirmed: bool },
    /// Room for one more load.
    ToBoard { confirmed: bool },
    /// Its own load.
    ForOwnLoad { load: u8 },
    /// Another's load.
    ForOthersLoad { load: u8, confirmed: bool },
    /// To look at what another's load brought.
    ToShare { entry: Entry, confirmed: bool },
}

/// A read that is under way.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Reader {
    pub(super) node: u8,
    pub(super) key: u8,
    pub(super) kind: Kind,
    pub(super) needs: Option<Place>,
    pub(super) promised: Versions,
    pub(super) waits: Waits,
}

/// The last acknowledged write, as its client carries it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Receipt {
    pub(super) at: Place,
    pub(super) fact: u8,
    pub(super) version: u8,
}

/// A purge that is in the log, or was.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Purge {
    pub(super) at: Place,
    pub(super) fact: u8,
    pub(super) version: u8,
}

/// An answer that must not be.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Stale {
    pub(super) reader: Reader,
    pub(super) saw: Versions,
}

/// The whole system.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct State {
    pub(super) database: Versions,
    /// The newest acknowledged version of each fact: anywhere, by each node, and longer ago than the bound.
    pub(super) acknowledged: Versions,
    pub(super) acknowledged_by: [Versions; NODES_MAX],
    pub(super) acknowledged_long_ago: Versions,
    pub(super) receipt: Option<Receipt>,
    pub(super) purges: SmallVec<[Purge; 2]>,
    pub(super) store: Store,
    /// Records on their way to the nodes, for as long as one of them may make use of it.
    pub(super) told: SmallVec<[Record; 4]>,
    pub(super) nodes: [Node; NODES_MAX],
    pub(super) loads: [Option<Load>; LOADS_MAX],
    pub(super) writers: [Option<Writer>; WRITERS_MAX],
    pub(super) reader: Option<Reader>,
    pub(super) writes_left: u8,
    pub(super) faults_left: u8,
    pub(super) stale: Option<Stale>,
}
