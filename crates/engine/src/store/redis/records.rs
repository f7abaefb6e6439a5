//! The log: appending records and reading them.

use bytes::Bytes;
use redis::Value;

use super::{RedisStore, log, names::PartitionNames, scripts::Script, seen::has_gone_back, tag_argument, unexpected};
use crate::{
    position::{Epoch, Partition, Position, Sequence},
    store::{LogPage, StoreError},
    tag::TagId,
};

/// Beyond every sequence that there can be; exact in Lua.
const SEQUENCE_MAX: Sequence = Sequence(1 << 52);

impl RedisStore {
    pub(super) async fn append_record(
        &self,
        partition: Partition,
        tags: &[TagId],
        note: &[u8],
    ) -> Result<Position, StoreError> {
        let PartitionNames { state, log, channel, .. } = self.names.of(partition);
        let keys = [&state[..], log];
        let before = self.seen.newest(partition);
        let record = log::encode(tags, note)
            .ok_or_else(|| StoreError::Unavailable(format!("{} tags are too many for a record", tags.len())))?;
        let answer = self.run(partition, Script::Append, &keys, |command| {
            command.arg("").arg(self.limits.clocks_max).arg(self.limits.log_records_max);
            command.arg(channel).arg(partition.index()).arg(&record[..]);
            tags.iter().for_each(|tag| tag_argument(command, *tag));
        });
        let (position, _) = head_and_rest(partition, answer.await?)?;
        self.expect_onward(has_gone_back(before, position, true), position).await?;
        // Watchers on this node need not wait for the message to come back.
        self.moves.note(partition);
        Ok(position)
    }

    /// What follows `after`.
    pub(super) async fn read_page(&self, after: Position, records_max: usize) -> Result<LogPage, StoreError> {
        // A page of nothing could not be told from a log that was lost.
        let (head, records) = self.read(after.partition, Some(after), records_max.max(1)).await?;
        let records = records.into_iter().map(|record| match record {
            Value::BulkString(bytes) => Bytes::from(bytes),
            _ => Bytes::new(),
        });
        Ok(log::page(after, head, records))
    }

    /// The head and what follows `after`, if that is a position.
    pub(super) async fn read(
        &self,
        partition: Partition,
        after: Option<Position>,
        records_max: usize,
    ) -> Result<(Position, Vec<Value>), StoreError> {
        let before = self.seen.newest(partition);
        let (head, records) = self.read_once(partition, after, records_max).await?;
        self.expect_onward(has_gone_back(before, head, false), head).await?;
        Ok((head, records))
    }

    async fn read_once(
        &self,
        partition: Partition,
        after: Option<Position>,
        records_max: usize,
    ) -> Result<(Position, Vec<Value>), StoreError> {
        let PartitionNames { state, log, .. } = self.names.of(partition);
        let keys = [&state[..], log];
        let fresh = new_epoch();
        let answer = self.run(partition, Script::Read, &keys, |command| {
            command.arg(fresh.0);
            match after {
                Some(after) => command.arg(after.epoch.0).arg(after.sequence.0),
                None => command.arg(-1).arg(-1),
            };
            command.arg(records_max);
        });
        head_and_rest(partition, answer.await?)
    }

    /// Ends an epoch whose log has gone back: some of its sequences mean two records.
    async fn expect_onward(&self, gone_back: bool, head: Position) -> Result<(), StoreError> {
        if !gone_back {
            self.seen.note(head);
            return Ok(());
        }
        tracing::warn!(partition = head.partition.index(), "the cache's log in Redis has gone back; it begins anew");
        // A reader who is ahead of everything: the script begins an epoch, unless another node had it do so.
        let ahead = Position { sequence: SEQUENCE_MAX, ..head };
        self.read_once(head.partition, Some(ahead), 1).await?;
        Err(StoreError::Unavailable("the log has gone back, so its state was put back; it begins anew".into()))
    }
}

/// A new epoch, as the scripts can hold it: numbers of Lua and scores are exact to 53 bits.
pub(super) fn new_epoch() -> Epoch {
    Epoch(Epoch::random().0 >> 12)
}

/// What scripts answer: the epoch, the sequence, and more.
fn head_and_rest(partition: Partition, answer: Value) -> Result<(Position, Vec<Value>), StoreError> {
    let Value::Array(mut values) = answer else { return Err(unexpected(&answer)) };
    let head = match values[..] {
        [Value::Int(epoch), Value::Int(sequence), ..] => u64::try_from(epoch).ok().zip(u64::try_from(sequence).ok()),
        _ => None,
    };
    let Some((epoch, sequence)) = head else { return Err(unexpected(&Value::Array(values))) };
    values.drain(..2);
    Ok((Position { partition, epoch: Epoch(epoch), sequence: Sequence(sequence) }, values))
}
