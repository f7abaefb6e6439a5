//! Leases: the right to fill a key once, across nodes.
//!
//! A lease only saves loads. What may be stored and served is decided by the rule alone, so a lease that is lost, runs
//! out too early or is granted twice costs a load and never a stale read.

use std::time::Duration;

use super::StoredEntry;
use crate::position::Position;

/// Names the owner of a lease: one fill, never a node or a connection, so that two fills of one node cannot be taken
/// for each other, nor an earlier owner for the present one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LeaseToken(u128);

impl LeaseToken {
    /// No fill's: the token of a lease that is *open* (see [`AfterLease::Open`]).
    pub const NOBODY: Self = Self(0);

    /// From its number.
    pub const fn from_u128(number: u128) -> Self {
        Self(number)
    }

    /// As a number.
    pub const fn as_u128(self) -> u128 {
        self.0
    }
}

/// A lease as stores hold it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Whose it is.
    pub token: LeaseToken,
    /// From where its owner loads: who needs more need not wait for it.
    pub base: Position,
}

/// What a store is asked for.
#[derive(Clone, Copy, Debug)]
pub struct LeaseRequest {
    /// The lease wanted.
    pub lease: Lease,
    /// How long it stands, unless it is asked for again.
    pub ttl: Duration,
    /// The lease that may be taken over: one that was found too old to wait for, or one's own, to keep it.
    pub over: Option<LeaseToken>,
}

/// What became of a [`LeaseRequest`].
#[derive(Clone, Debug)]
pub struct Leased {
    /// The one who holds the lease instead; none: it was granted.
    pub held_by: Option<Lease>,
    /// What the store holds for the key, looked up no earlier than the lease was decided: whoever filled it before
    /// giving the lease back is seen. Not looked up where a lease was to be taken over. The caller judges it.
    pub entry: Option<StoredEntry>,
}

/// What the end of a lease means to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterLease {
    /// The next one may have it.
    Free,
    /// The key's values are not kept: for so long nobody need wait for anybody's load of it. Without it, nodes would
    /// load such a value one after the other.
    Open(Duration),
}
