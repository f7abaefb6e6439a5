//! The log: appending records and reading them.

use std::{collections::HashSet, sync::Arc};

use bytes::Bytes;
use redis::Value;
use smallvec::SmallVec;
use tokio::time::Instant;

use super::{
    RedisStore, Shared,
    gather::Size,
    log,
    names::PartitionNames,
    scripts::Script,
    seen::{SEQUENCE_MAX, Seen, has_gone_back},
    tag_argument, unexpected,
};
use crate::{
    hash_map::IdBuildHasher,
    position::{Epoch, Partition, Position, Sequence},
    store::{LogPage, Moves, Record, StoreError, Told},
    tag::TagId,
};

/// A record on its way to the log.
pub(super) struct Append {
    tags: Vec<TagId>,
    note: Bytes,
    bytes: Vec<u8>,
}

impl RedisStore {
    /// Appends a record, in one call with others of the partition if some are on their way.
    pub(super) async fn append_record(
        &self,
        partition: Partition,
        tags: Vec<TagId>,
        note: Bytes,
    ) -> Result<Position, StoreError> {
        let bytes = log::encode(&tags, &note)
            .ok_or_else(|| StoreError::Unavailable(format!("{} tags are too many for a record", tags.len())))?;
        let size = Size { bytes: bytes.len(), tags: tags.len() };
        let shared = self.shared.clone();
        let call = move |records, deadline| {
            let shared = shared.clone();
            async move { shared.append_records(partition, records, deadline).await }
        };
        self.appends[partition.index()].ask(Append { tags, note, bytes }, size, call).await
    }
}

impl Shared {
    /// Appends records in their order, each with a sequence of its own.
    async fn append_records(
        &self,
        partition: Partition,
        records: Vec<Append>,
        deadline: Instant,
    ) -> Result<Vec<Position>, StoreError> {
        self.meters.append_group.count(records.len());
        let PartitionNames { state, log, channel, .. } = self.names.of(partition);
        let keys = [&state[..], log];
        let seen = self.seen.newest(partition);
        let last_tags = last_tags(&records);
        let message = log::encode_message(records.iter().map(|record| &record.bytes[..]));
        let answer = self.run(deadline, partition, Script::Append, &keys, |command| {
            command.arg(self.limits.clocks_max).arg(self.limits.log_records_max);
            command.arg(channel).arg(&message[..]).arg(records.len());
            for (record, tags) in records.iter().zip(&last_tags) {
                command.arg(&record.bytes[..]).arg(tags.len());
                tags.iter().for_each(|tag| tag_argument(command, *tag));
            }
        });
        let (last, _) = head_and_rest(partition, answer.await?)?;
        let before = last.sequence.0.saturating_sub(records.len() as u64);
        let first = Position { sequence: Sequence(before + 1), ..last };
        self.expect_onward(has_gone_back(seen, first, true), last).await?;
        let recorded = (before + 1..).zip(records).map(|(sequence, Append { tags, note, .. })| {
            let position = Position { sequence: Sequence(sequence), ..last };
            // This node need not wait for the message to come back.
            hear(&self.moves, &self.seen, Arc::new(Record { position, tags, note }));
            position
        });
        Ok(recorded.collect())
    }

    /// Drops a partition's state and log, in one step; the read that follows begins the new epoch.
    pub(super) async fn drop_state(&self, partition: Partition) -> Result<Position, StoreError> {
        let PartitionNames { state, log, .. } = self.names.of(partition);
        let mut command = redis::cmd("DEL");
        command.arg(state).arg(log);
        self.connection.in_time(self.connection.send(partition, &command)).await?;
        let (head, _) = self.read(partition, None, 0).await?;
        self.moves.note(partition);
        Ok(head)
    }

    /// What follows `after`.
    pub(super) async fn read_page(&self, after: Position, records_max: usize) -> Result<LogPage, StoreError> {
        // A page of nothing could not be told from a log that was lost.
        let (head, records) = self.read(after.partition, Some(after), records_max.max(1)).await?;
        Ok(log::page(after, head, records.into_iter().map(record_bytes)))
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
        let answer = self.run(self.deadline(), partition, Script::Read, &keys, |command| {
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

/// A record was told of, by an answer or a message.
pub(super) fn hear(moves: &Moves, seen: &Seen, record: Arc<Record>) {
    let position = record.position;
    seen.heard(position);
    if moves.tell(record) == Told::Contradicted {
        seen.contradicted(position);
    }
}

/// For each record those of its tags that no later one has: a clock keeps the last sequence only.
fn last_tags(records: &[Append]) -> Vec<SmallVec<[TagId; 4]>> {
    let mut seen = HashSet::with_capacity_and_hasher(records.len() * 4, IdBuildHasher);
    let mut last: Vec<SmallVec<[TagId; 4]>> = records
        .iter()
        .rev()
        .map(|record| record.tags.iter().copied().filter(|tag| seen.insert(*tag)).collect())
        .collect();
    last.reverse();
    last
}

/// A new epoch, as the scripts can hold it: numbers of Lua and scores are exact to 53 bits.
pub(super) fn new_epoch() -> Epoch {
    Epoch(Epoch::random().0 >> 12)
}

/// What stands in the log as a record; what is no text is no record's bytes.
fn record_bytes(record: Value) -> Bytes {
    match record {
        Value::BulkString(bytes) => Bytes::from(bytes),
        _ => Bytes::new(),
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{position::PartitionCount, tag::Tag};

    #[test]
    fn an_answer_without_epoch_and_sequence_is_no_head() {
        let told = |said: &str| head_and_rest(Partition(1), redis::parse_redis_value(said.as_bytes()).unwrap());
        let (head, rest) = told("*3\r\n:7\r\n:5\r\n+more\r\n").unwrap();
        let wanted = Position { partition: Partition(1), epoch: Epoch(7), sequence: Sequence(5) };
        assert_eq!((head, &rest[..]), (wanted, &[Value::SimpleString("more".into())][..]));
        for said in [":7\r\n", "*0\r\n", "*1\r\n:7\r\n", "*2\r\n:7\r\n$1\r\n5\r\n", "*2\r\n:-7\r\n:5\r\n"] {
            assert!(told(said).unwrap_err().to_string().contains("Redis answered"), "{said}");
        }
    }

    #[test]
    fn what_is_no_text_is_a_gap_in_the_log() {
        let at = |sequence| Position { partition: Partition(1), epoch: Epoch(7), sequence: Sequence(sequence) };
        let bytes = [&[0; 7][..], &[7], &[0; 7], &[5], &[0, 0]].concat();
        let page = |record: Value| log::page(at(4), at(5), std::iter::once(record_bytes(record)));
        assert!(matches!(page(Value::BulkString(bytes)), LogPage::Records(records) if records.len() == 1));
        for other in [Value::Nil, Value::Int(5)] {
            assert!(matches!(page(other), LogPage::Trimmed { head: Sequence(5) }));
        }
    }

    #[test]
    fn two_records_of_one_position_say_that_the_log_has_gone_back() {
        let partitions = PartitionCount::new(2).unwrap();
        let (moves, seen) = (Moves::new(partitions), Seen::new(partitions));
        let at = |sequence| Position { partition: Partition(1), epoch: Epoch(7), sequence: Sequence(sequence) };
        let record = |id: u64| {
            Arc::new(Record { position: at(5), tags: vec![Tag::shared("flow", id).id()], note: Bytes::new() })
        };
        seen.note(at(4));
        for told in [record(1), record(1)] {
            hear(&moves, &seen, told);
            assert_eq!(seen.newest(Partition(1)), Some(at(5)));
        }
        hear(&moves, &seen, record(2));
        let next = at(6);
        assert!(has_gone_back(seen.newest(Partition(1)), next, true), "its sequences are used twice");
    }
}
