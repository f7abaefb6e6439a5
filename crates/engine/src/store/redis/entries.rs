//! Entries: reading, filling and removing them.

use std::{
    collections::HashMap,
    future::poll_fn,
    io::Write as _,
    pin::pin,
    sync::atomic::Ordering::Relaxed,
    task::{Poll, ready},
};

use bytes::{BufMut as _, Bytes};
use futures_util::future::join_all;
use redis::{Cmd, ErrorKind, RedisWrite, ServerErrorKind, ToRedisArgs, ToSingleRedisArg, Value};
use tokio::time::Instant;

use super::{
    RedisStore, Shared,
    connection::Then,
    entry::{self, Encoded, NoEntry},
    gather::Size,
    scripts::Script,
    tag_argument, trouble, unexpected,
};
use crate::{
    entry::TagIds,
    hash_map::IdBuildHasher,
    key::RawKey,
    position::{Epoch, Partition, Position, Sequence},
    store::{Filled, StoreError, StoredEntry},
    tag::TagId,
};

/// Most tags of an entry that is filled: they have to pass through Lua.
const ENTRY_TAGS_MAX: usize = 2048;
/// From this size on, a value is compressed on a thread where it holds nobody up: 1 MB takes 2 ms. Unpacking takes a tenth of
/// it, and stays where decoding the value takes longer anyway.
const COMPRESS_ELSEWHERE_BYTES_MIN: usize = 128 << 10;

/// An entry on its way to the store.
pub(super) struct Fill {
    name: String,
    encoded: Encoded,
    base: Position,
    tags: TagIds,
    lifetime_ms: u64,
}

impl RedisStore {
    /// Fills an entry, in one call with others of the partition if some are on their way.
    pub(super) async fn fill_entry(&self, key: &RawKey, entry: StoredEntry) -> Result<Filled, StoreError> {
        let shared = &self.shared;
        let partition = shared.names.partition_of(key);
        let too_large = entry.value.as_ref().is_some_and(|value| value.len() > shared.limits.entry_bytes_max)
            || entry.tags.len() > ENTRY_TAGS_MAX;
        // The tags' clocks are those of the key's partition: an entry of another one cannot be judged here.
        let elsewhere = entry.base.partition != partition;
        // Relative, so that neither this node's clock nor the server's has to be right.
        let lifetime = entry.dead_at.since(entry.loaded_at).min(shared.limits.entry_lifetime_max);
        let lifetime_ms = u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX).max(1);
        let (base, tags) = (entry.base, entry.tags.clone());
        let encoded =
            if too_large || elsewhere { None } else { encode(key, entry, shared.limits.compress_bytes_min).await };
        let Some(encoded) = encoded else {
            shared.meters.count_fill(Filled::NotKept);
            return Ok(Filled::NotKept);
        };
        let fill = Fill { name: shared.names.entry(key), encoded, base, tags, lifetime_ms };
        let size = Size { bytes: fill.encoded.len(), tags: fill.tags.len() };
        let call = {
            let shared = shared.clone();
            move |fills, deadline| {
                let shared = shared.clone();
                async move { shared.fill_entries(partition, fills, deadline).await }
            }
        };
        let filled = self.fills[partition.index()].ask(fill, size, call).await?;
        shared.meters.count_fill(filled);
        Ok(filled)
    }
}

/// The commands that store entries.
struct Stores<'a>(&'a [Fill]);

impl Then for Stores<'_> {
    fn commands(&self) -> Vec<Cmd> {
        self.0.iter().map(Fill::command).collect()
    }

    fn undo(&self, answers: &[Value]) -> Option<Cmd> {
        let stored = self.0.iter().zip(answers).filter(|(_, answer)| **answer == Value::Okay);
        let stored: Vec<&str> = stored.map(|(fill, _)| &fill.name[..]).collect();
        (!stored.is_empty()).then(|| redis::cmd("DEL").arg(stored).take())
    }
}

impl Fill {
    fn command(&self) -> Cmd {
        let mut command = Cmd::with_capacity(6, self.name.len() + self.encoded.len() + 32);
        command.arg("SET").arg(&self.name).arg(&self.encoded).arg("NX").arg("PX").arg(self.lifetime_ms);
        command
    }
}

/// An entry as it is written; none if the format has no room for it.
async fn encode(key: &RawKey, entry: StoredEntry, compress_bytes_min: usize) -> Option<Encoded> {
    let length = entry.value.as_ref().map_or(0, Bytes::len);
    if length < compress_bytes_min.max(COMPRESS_ELSEWHERE_BYTES_MIN) {
        return entry::encode(key, &entry, compress_bytes_min);
    }
    let key = key.clone();
    // Not joined only if the runtime ends, and then nothing is kept.
    tokio::task::spawn_blocking(move || entry::encode(&key, &entry, compress_bytes_min)).await.ok().flatten()
}

impl Shared {
    pub(super) async fn get_one(&self, key: &RawKey) -> Result<Option<StoredEntry>, StoreError> {
        let partition = self.names.partition_of(key);
        let name = self.names.entry(key);
        let mut command = Cmd::with_capacity(2, name.len() + 3);
        command.arg("GET").arg(name);
        let mut asked = pin!(self.connection.send(partition, &command));
        let asked = poll_fn(|context| match ready!(asked.as_mut().poll(context)) {
            // Not a string: somebody else's. `MGET` says `nil` of such a key.
            Err(error) if error.code() == Some("WRONGTYPE") => Poll::Ready(Ok(Value::Okay)),
            answer => Poll::Ready(answer),
        });
        let found = self.until(self.deadline(), asked).await?;
        Ok(self.entry(partition, key, found))
    }

    /// One `MGET` for each partition concerned, all at once.
    pub(super) async fn get_many(&self, keys: &[RawKey]) -> Result<Vec<Option<StoredEntry>>, StoreError> {
        let mut places: Vec<(Partition, usize)> =
            keys.iter().enumerate().map(|(at, key)| (self.names.partition_of(key), at)).collect();
        places.sort_unstable();
        let groups: Vec<&[(Partition, usize)]> = places.chunk_by(|one, other| one.0 == other.0).collect();
        let asked = groups.iter().map(|group| {
            let mut command = redis::cmd("MGET");
            group.iter().for_each(|(_, at)| {
                command.arg(self.names.entry(&keys[*at]));
            });
            async move { self.connection.send(group[0].0, &command).await }
        });
        let answers = self.until(self.deadline(), pin!(async { Ok(join_all(asked).await) })).await?;
        let mut found = vec![None; keys.len()];
        for (group, answer) in groups.iter().zip(answers) {
            if answer.as_ref().is_err_and(|error| error.kind() == ErrorKind::Server(ServerErrorKind::TryAgain)) {
                // Their slot is about to move: some are here and some are there, each can be asked for alone.
                let one_by_one = join_all(group.iter().map(|(_, at)| self.get_one(&keys[*at]))).await;
                for ((_, at), entry) in group.iter().zip(one_by_one) {
                    found[*at] = entry?;
                }
                continue;
            }
            let answer = answer.map_err(|error| trouble::told(&error))?;
            let Value::Array(values) = answer else { return Err(unexpected(&answer)) };
            for ((partition, at), value) in group.iter().zip(values) {
                found[*at] = self.entry(*partition, &keys[*at], value);
            }
        }
        Ok(found)
    }

    /// Fills entries of one partition in one transaction: a script judges them, and plain commands store those that it
    /// makes way for.
    ///
    /// A server that was restarted does not know the script, and these commands run all the same. What they stored, where
    /// nothing was, is removed by the transaction that repeats it; until then it does no harm, because whoever reads an entry
    /// judges it.
    async fn fill_entries(
        &self,
        partition: Partition,
        fills: Vec<Fill>,
        deadline: Instant,
    ) -> Result<Vec<Filled>, StoreError> {
        self.meters.fill_group.count(fills.len());
        let mut keys = Vec::with_capacity(1 + fills.len());
        keys.push(&self.names.of(partition).state[..]);
        keys.extend(fills.iter().map(|fill| &fill.name[..]));
        let facts = Facts::of(&fills);
        let arguments = |command: &mut Cmd| {
            command.arg(facts.tags.len());
            facts.tags.iter().for_each(|tag| tag_argument(command, *tag));
            match facts.epoch {
                Some(epoch) => command.arg(epoch.0),
                None => command.arg(""),
            };
            command.arg(facts.lowest.0).arg(facts.highest.0).arg(&facts.each[..]);
        };
        let then = Stores(&fills);
        let call = async {
            match self.connection.transact(partition, Script::Fill, &keys, &arguments, &then).await {
                // It is well and answers: to take that for a failure would keep invalidations from it.
                Err(error) if trouble::is_full(&error) => Ok(None),
                answers => answers.map(Some),
            }
        };
        let answers = self.until(deadline, pin!(call)).await?;
        if self.meters.is_full.swap(answers.is_none(), Relaxed) != answers.is_none() && answers.is_none() {
            tracing::warn!(
                "Redis is full and evicts nothing: it keeps no entry until there is room; raise maxmemory, or set \
                 maxmemory-policy to allkeys-lru"
            );
        }
        answers.map_or_else(|| Ok(vec![Filled::NotKept; fills.len()]), |answers| filled(answers, fills.len()))
    }

    pub(super) async fn remove_entry(&self, key: &RawKey) -> Result<(), StoreError> {
        let mut command = redis::cmd("DEL");
        command.arg(self.names.entry(key));
        self.until(self.deadline(), pin!(self.connection.send(self.names.partition_of(key), &command))).await?;
        Ok(())
    }

    /// The entry of an answer; what is no entry is absent, and counted.
    pub(super) fn entry(&self, partition: Partition, key: &RawKey, found: Value) -> Option<StoredEntry> {
        let decoded = match found {
            Value::Nil => return None,
            // What refuses a fill for a moment: see fill.lua.
            Value::BulkString(bytes) if bytes.is_empty() => return None,
            Value::BulkString(bytes) => entry::decode(partition, key, self.limits.entry_bytes_max, bytes.into()),
            _ => Err(NoEntry::Malformed),
        };
        let (counter, what) = match decoded {
            Ok(entry) => return Some(entry),
            Err(NoEntry::Malformed) => (&self.meters.malformed, "holds no entry of this format"),
            Err(NoEntry::Corrupt) => (&self.meters.corrupt, "holds other bytes than were written there"),
        };
        if counter.fetch_add(1, Relaxed) == 0 {
            tracing::warn!("a key of the cache {what}; it is taken for absent, and so are others");
        }
        None
    }
}

/// What became of each of `count` entries, given what judged them has answered and then what each `SET` has.
fn filled(answers: Vec<Value>, count: usize) -> Result<Vec<Filled>, StoreError> {
    let mut answers = answers.into_iter();
    let judged = match answers.next().unwrap_or(Value::Nil) {
        Value::Array(judged) if judged.is_empty() => vec![Value::Int(0); count],
        Value::Array(judged) if judged.len() == count => judged,
        other => return Err(unexpected(&other)),
    };
    let filled = judged.into_iter().zip(answers).map(|answers| match answers {
        (Value::Int(0), Value::Okay) => Ok(Filled::Stored),
        (Value::Int(1), Value::Nil) => Ok(Filled::Overtaken),
        // Not judged so and yet not stored: the same key twice in one call, and the first is there.
        (Value::Int(0 | 2), Value::Nil) => Ok(Filled::NewerStored),
        (_, answer) => Err(unexpected(&answer)),
    });
    filled.collect()
}

impl ToRedisArgs for Encoded {
    fn write_redis_args<W: ?Sized + RedisWrite>(&self, out: &mut W) {
        let mut argument = out.writer_for_next_arg();
        for piece in self.pieces() {
            argument.write_all(piece).expect("a command is in memory");
        }
    }
}

impl ToSingleRedisArg for Encoded {}

/// What a script judges several entries by.
struct Facts {
    /// Of all entries, each asked for once.
    tags: Vec<TagId>,
    /// If it is the same for all.
    epoch: Option<Epoch>,
    lowest: Sequence,
    highest: Sequence,
    /// Of each entry the epoch and base (8 bytes each), the number of its tags, and their places (2 bytes each).
    each: Vec<u8>,
}

impl Facts {
    fn of(fills: &[Fill]) -> Self {
        let bases = || fills.iter().map(|fill| fill.base);
        let first = bases().next().map(|base| base.epoch);
        let mut facts = Self {
            tags: Vec::new(),
            epoch: first.filter(|epoch| bases().all(|base| base.epoch == *epoch)),
            lowest: bases().map(|base| base.sequence).min().unwrap_or_default(),
            highest: bases().map(|base| base.sequence).max().unwrap_or_default(),
            each: Vec::with_capacity(fills.len() * 32),
        };
        let mut places: HashMap<TagId, u16, IdBuildHasher> = HashMap::default();
        for Fill { base, tags, .. } in fills {
            facts.each.put_u64(base.epoch.0);
            facts.each.put_u64(base.sequence.0);
            facts.each.put_u16(u16::try_from(tags.len()).expect("an entry has fewer tags"));
            for tag in tags {
                let place = *places.entry(*tag).or_insert_with(|| {
                    facts.tags.push(*tag);
                    u16::try_from(facts.tags.len() - 1).expect("a call has fewer tags")
                });
                facts.each.put_u16(place);
            }
        }
        facts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of two entries, given the answers as the server writes them.
    #[track_caller]
    fn check(judged: &str, sets: [&str; 2], expected: Option<[Filled; 2]>) {
        let answers = [judged, sets[0], sets[1]].map(|said| redis::parse_redis_value(said.as_bytes()).unwrap());
        let told = filled(answers.into(), 2).map_err(|error| assert!(error.to_string().contains("Redis answered")));
        assert_eq!(told.ok(), expected.map(Vec::from));
    }

    #[test]
    fn what_became_of_a_fill_is_what_both_its_judge_and_its_command_say() {
        const ALL: &str = "*0\r\n";
        const SET: &str = "+OK\r\n";
        const NOT_SET: &str = "$-1\r\n";
        check(ALL, [SET, NOT_SET], Some([Filled::Stored, Filled::NewerStored]));
        check("*2\r\n:0\r\n:1\r\n", [SET, NOT_SET], Some([Filled::Stored, Filled::Overtaken]));
        check("*2\r\n:2\r\n:0\r\n", [NOT_SET, SET], Some([Filled::NewerStored, Filled::Stored]));
        // Taken for stored, it would be counted, and believed to be there.
        check(ALL, [SET, "-OOM\r\n"], None);
        check("*2\r\n:0\r\n:1\r\n", [SET, SET], None);
        check("*2\r\n:0\r\n:3\r\n", [SET, NOT_SET], None);
        check("*1\r\n:0\r\n", [SET, SET], None);
        check(":0\r\n", [SET, SET], None);
    }

    #[test]
    fn fills_that_were_not_judged_are_no_fills() {
        filled(Vec::new(), 1).unwrap_err();
    }
}
