//! Positions in the invalidation log, and their text on the wire.
//!
//! A position is (partition, epoch, sequence). Sequences of different epochs cannot be compared: an epoch ends when
//! the log's store may have lost state. A position without its epoch gave 42 stale reads in our prototype.

use std::{fmt, str::FromStr};

use smallvec::SmallVec;

use crate::tenant::Tenant;

/// How many partitions a log has: a power of two, at most 1024.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionCount(u16);

impl PartitionCount {
    /// The default: 16.
    pub const DEFAULT: Self = Self(16);

    /// `None` unless `count` is a power of two from 1 to 1024.
    pub const fn new(count: u16) -> Option<Self> {
        if count.is_power_of_two() && count <= 1024 { Some(Self(count)) } else { None }
    }

    /// The partition that a tenant hashes to.
    pub fn of(self, tenant: &Tenant) -> Partition {
        #[allow(clippy::cast_possible_truncation, reason = "the low bits are all that is wanted")]
        let low_bits = tenant.stable_hash() as u16;
        Partition(low_bits & (self.0 - 1))
    }

    /// All of them.
    pub fn all(self) -> impl ExactSizeIterator<Item = Partition> {
        (0..self.0).map(Partition)
    }
}

/// One of the log's partitions, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Partition(pub(crate) u16);

impl Partition {
    /// The number, from 0.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// The life of a partition's state: random, new whenever the store may have lost some of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Epoch(pub(crate) u64);

impl Epoch {
    /// No store ever draws it (but for chance, 2⁻⁶⁴).
    const NEVER: Self = Self(u64::MAX - 1);

    /// A new epoch, different from every earlier one but for chance (2⁻⁶⁴).
    pub fn random() -> Self {
        Self(rand::random())
    }

    /// The epoch of this number: for stores, which draw it or read it where they keep it.
    pub const fn from_u64(number: u64) -> Self {
        Self(number)
    }

    /// As a number.
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

/// The number of an invalidation within its epoch, from 1; 0 is before the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Sequence(pub(crate) u64);

impl Sequence {
    /// The next one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The one before; 0 has none before it.
    #[must_use]
    pub fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// The sequence of this number: for stores.
    pub const fn from_u64(number: u64) -> Self {
        Self(number)
    }

    /// As a number.
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

/// A place in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Position {
    /// The partition.
    pub partition: Partition,
    /// The epoch in which `sequence` counts.
    pub epoch: Epoch,
    /// The last invalidation up to here.
    pub sequence: Sequence,
}

/// Most positions a set may hold: one per partition.
const POSITIONS_MAX: usize = 1024;

/// What a write has reached, or a read must have reached: at most one position per partition.
///
/// Its text (`partition.epoch.sequence`, joined by `~`) is opaque to clients; they send it back as they got it. Only the
/// browser's library (`web/packages/client/src/position.ts`) reads it: joined and compared there as here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PositionSet(SmallVec<[Position; 1]>);

impl PositionSet {
    /// Adds a position. Of two in one partition and epoch the later stays. Which of two epochs is the later nobody can
    /// tell from their numbers, and word of an old one may come late: what is kept then is a position that no view has
    /// ever reached, so that whoever reads with it asks the store first, and so sees all of both.
    pub fn add(&mut self, position: Position) {
        match self.0.iter_mut().find(|held| held.partition == position.partition) {
            Some(held) if held.epoch != position.epoch => held.epoch = Epoch::NEVER,
            Some(held) => held.sequence = held.sequence.max(position.sequence),
            None => self.0.push(position),
        }
    }

    /// One position of each partition.
    pub(crate) fn of_all(positions: impl Iterator<Item = Position>) -> Self {
        Self(positions.collect())
    }

    /// Adds every position of `other`.
    pub fn extend(&mut self, other: &Self) {
        other.iter().for_each(|position| self.add(*position));
    }

    /// The position in one partition.
    pub fn in_partition(&self, partition: Partition) -> Option<Position> {
        self.0.iter().find(|held| held.partition == partition).copied()
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Position> {
        self.0.iter()
    }

    /// Whether it demands nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Position> for PositionSet {
    fn from(position: Position) -> Self {
        Self(SmallVec::from_buf([position]))
    }
}

impl fmt::Display for PositionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, position) in self.0.iter().enumerate() {
            let separator = if at == 0 { "" } else { "~" };
            let Position { partition, epoch, sequence } = position;
            write!(f, "{separator}{:x}.{:x}.{:x}", partition.0, epoch.0, sequence.0)?;
        }
        Ok(())
    }
}

/// Why a text is no position.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a position: send back the text of an earlier answer unchanged, or leave it out")]
pub struct InvalidPosition;

impl FromStr for PositionSet {
    type Err = InvalidPosition;

    fn from_str(text: &str) -> Result<Self, InvalidPosition> {
        let mut set = Self::default();
        if text.is_empty() {
            return Ok(set);
        }
        for (at, position) in text.split('~').enumerate() {
            if at == POSITIONS_MAX {
                return Err(InvalidPosition);
            }
            let mut numbers = position.split('.').map(|digits| {
                // `from_str_radix` takes a sign; the wire does not.
                let plain = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
                if plain { u64::from_str_radix(digits, 16).ok() } else { None }
            });
            let mut next = || numbers.next().flatten().ok_or(InvalidPosition);
            let (partition, epoch, sequence) = (next()?, next()?, next()?);
            if numbers.next().is_some() {
                return Err(InvalidPosition);
            }
            let partition = Partition(u16::try_from(partition).map_err(|_| InvalidPosition)?);
            set.add(Position { partition, epoch: Epoch(epoch), sequence: Sequence(sequence) });
        }
        Ok(set)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn position(partition: u16, epoch: u64, sequence: u64) -> Position {
        Position { partition: Partition(partition), epoch: Epoch(epoch), sequence: Sequence(sequence) }
    }

    #[test]
    fn keeps_the_latest_position_of_a_partition() {
        let mut set = PositionSet::from(position(1, 7, 5));
        set.add(position(1, 7, 4));
        assert_eq!(set.in_partition(Partition(1)), Some(position(1, 7, 5)));
        set.add(position(1, 7, 6));
        set.add(position(2, 7, 1));
        assert_eq!(set.in_partition(Partition(1)), Some(position(1, 7, 6)));
        assert_eq!(set.iter().count(), 2);
    }

    #[test]
    fn of_two_epochs_neither_is_taken_for_the_later() {
        let mut set = PositionSet::from(position(1, 7, 5));
        set.add(position(1, 8, 0));
        let held = set.in_partition(Partition(1)).unwrap();
        assert!(held.epoch != Epoch(7) && held.epoch != Epoch(8));
        assert_ne!(held.epoch, Epoch(crate::clocks::NO_EPOCH), "a view that starts anew has not reached it either");
        set.add(position(1, 8, 3));
        assert_eq!(set.in_partition(Partition(1)).unwrap().epoch, held.epoch);
    }

    #[test]
    fn refuses_what_it_did_not_write() {
        for text in ["x", "1.2", "1.2.3.4", "1.2.+3", "1..3", "10000.1.1", "1.2.3~", "1.10000000000000000.1", "-1.2.3"]
        {
            assert_eq!(text.parse::<PositionSet>(), Err(InvalidPosition), "{text:?} was accepted");
        }
        assert!("".parse::<PositionSet>().unwrap().is_empty());
    }

    #[test]
    fn a_set_has_a_text_and_a_limit() {
        let mut set = PositionSet::from(position(1, 0xab, 5));
        assert!(!set.is_empty() && PositionSet::default().is_empty());
        set.extend(&PositionSet::of_all([position(2, 7, 0x10), position(1, 0xab, 6)].into_iter()));
        assert_eq!(set.to_string(), "1.ab.6~2.7.10");
        let many = |count: usize| vec!["1.2.3"; count].join("~").parse::<PositionSet>();
        assert_eq!(many(POSITIONS_MAX).unwrap().iter().count(), 1);
        assert_eq!(many(POSITIONS_MAX + 1), Err(InvalidPosition));
    }

    #[test]
    fn sequences_stand_side_by_side_and_begin_at_zero() {
        assert_eq!((Sequence(4).next(), Sequence(4).previous()), (Sequence(5), Sequence(3)));
        assert_eq!((Sequence(0).previous(), Sequence::from_u64(9).as_u64()), (Sequence(0), 9));
        assert_eq!(Epoch::from_u64(9).as_u64(), 9);
        assert_ne!(Epoch::random(), Epoch::random());
    }

    #[test]
    fn partitions_are_a_power_of_two_and_every_tenant_has_one() {
        assert!(PartitionCount::new(0).is_none() && PartitionCount::new(12).is_none());
        assert!(PartitionCount::new(2048).is_none());
        assert!(PartitionCount::new(1).is_some() && PartitionCount::new(1024).is_some());
        let four = PartitionCount::new(4).unwrap();
        let mut seen = [false; 4];
        for name in 0..100 {
            seen[four.of(&Tenant::new(format!("t{name}")).unwrap()).index()] = true;
        }
        assert_eq!(seen, [true; 4]);
        assert_eq!(four.all().count(), 4);
    }

    proptest! {
        #[test]
        fn text_round_trips(positions in proptest::collection::vec((0..64u16, any::<u64>(), any::<u64>()), 0..8)) {
            let mut set = PositionSet::default();
            for (partition, epoch, sequence) in positions {
                set.add(position(partition, epoch, sequence));
            }
            prop_assert_eq!(set.to_string().parse::<PositionSet>().unwrap(), set);
        }
    }
}
