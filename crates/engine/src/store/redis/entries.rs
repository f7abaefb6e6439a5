//! Entries: reading, filling and removing them.

use std::{collections::HashMap, sync::atomic::Ordering::Relaxed};

use redis::{Cmd, Value};
use tokio::time::Instant;

use super::{
    RedisStore, Shared,
    entry::{self, NoEntry},
    gather::Size,
    scripts::Script,
    tag_argument, unexpected,
};
use crate::{
    entry::TagIds,
    hash_map::IdBuildHasher,
    key::RawKey,
    position::{Partition, Position},
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
    bytes: Vec<u8>,
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
        if too_large || elsewhere {
            shared.meters.count_fill(Filled::NotKept);
            return Ok(Filled::NotKept);
        }
        // Relative, so that neither this node's clock nor the server's has to be right.
        let lifetime = entry.dead_at.since(entry.loaded_at).min(shared.limits.entry_lifetime_max);
        let lifetime_ms = u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX).max(1);
        let (base, tags) = (entry.base, entry.tags.clone());
        let Some(bytes) = encode(key, entry, shared.limits.compress_bytes_min).await else {
            shared.meters.count_fill(Filled::NotKept);
            return Ok(Filled::NotKept);
        };
        let fill = Fill { name: shared.names.entry(key), bytes, base, tags, lifetime_ms };
        let size = Size { bytes: fill.bytes.len(), tags: fill.tags.len() };
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

/// The bytes of an entry; none if the format has no room for it.
async fn encode(key: &RawKey, entry: StoredEntry, compress_bytes_min: usize) -> Option<Vec<u8>> {
    let length = entry.value.as_ref().map_or(0, |value| value.len());
    if length < compress_bytes_min.max(COMPRESS_ELSEWHERE_BYTES_MIN) {
        return entry::encode(key, &entry, compress_bytes_min);
    }
    let key = key.clone();
    // Not joined only if the runtime ends, and then nothing is kept.
    tokio::task::spawn_blocking(move || entry::encode(&key, &entry, compress_bytes_min)).await.ok().flatten()
}

impl Shared {
    pub(super) async fn get_one(&self, key: &RawKey) -> Result<Option<StoredEntry>, StoreError> {
        let mut command = redis::cmd("GET");
        command.arg(self.names.entry(key));
        let asked = async {
            match self.connection.send(&command).await {
                // Not a string: somebody else's. `MGET` says `nil` of such a key.
                Err(error) if error.code() == Some("WRONGTYPE") => Ok(Value::Okay),
                answer => answer,
            }
        };
        let found = self.until(self.deadline(), asked).await?;
        Ok(self.entry(self.names.partition_of(key), key, found))
    }

    /// One `MGET` for each partition concerned, all in one pipeline.
    pub(super) async fn get_many(&self, keys: &[RawKey]) -> Result<Vec<Option<StoredEntry>>, StoreError> {
        let mut places: Vec<(Partition, usize)> =
            keys.iter().enumerate().map(|(at, key)| (self.names.partition_of(key), at)).collect();
        places.sort_unstable();
        let groups: Vec<&[(Partition, usize)]> = places.chunk_by(|one, other| one.0 == other.0).collect();
        let mut pipeline = redis::pipe();
        for group in &groups {
            let command = pipeline.cmd("MGET");
            group.iter().for_each(|(_, at)| {
                command.arg(self.names.entry(&keys[*at]));
            });
        }
        let answers = self.until(self.deadline(), self.connection.send_all(&pipeline, groups.len())).await?;
        let mut found = vec![None; keys.len()];
        for (group, answer) in groups.iter().zip(answers) {
            let answer = answer.extract_error().map_err(|error| StoreError::Unavailable(error.to_string()))?;
            let Value::Array(values) = answer else { return Err(unexpected(&answer)) };
            for ((partition, at), value) in group.iter().zip(values) {
                found[*at] = self.entry(*partition, &keys[*at], value);
            }
        }
        Ok(found)
    }

    /// Fills entries of one partition in one transaction: they are put under passing names, the script moves to their
    /// places those that the rule allows, and what is left is removed.
    async fn fill_entries(
        &self,
        partition: Partition,
        fills: Vec<Fill>,
        deadline: Instant,
    ) -> Result<Vec<Filled>, StoreError> {
        self.meters.fill_group.count(fills.len());
        let passing: Vec<String> = (0..fills.len()).map(|number| self.names.passing(partition, number)).collect();
        let bytes = fills.iter().map(|fill| fill.bytes.len()).sum::<usize>();
        let mut put = Cmd::with_capacity(1 + 2 * fills.len(), bytes + 64 * fills.len());
        put.arg("MSET");
        let mut keys = Vec::with_capacity(1 + 2 * fills.len());
        keys.push(&self.names.of(partition).state[..]);
        let mut remove = redis::cmd("DEL");
        for (fill, passing) in fills.iter().zip(&passing) {
            put.arg(passing).arg(&fill.bytes[..]);
            keys.extend([&passing[..], &fill.name]);
            remove.arg(passing);
        }
        let tags = Tags::of(&fills);
        let call = self.scripts.run_between(
            self.connection.manager(),
            Script::Fill,
            &keys,
            |command| {
                command.arg(fills.len()).arg(tags.asked.len());
                tags.asked.iter().for_each(|tag| tag_argument(command, *tag));
                for (fill, places) in fills.iter().zip(&tags.places) {
                    command.arg(fill.base.epoch.0).arg(fill.base.sequence.0).arg(fill.lifetime_ms).arg(&places[..]);
                }
            },
            [&put, &remove],
        );
        let answer = self.until(deadline, call).await?;
        let Value::Array(verdicts) = answer else { return Err(unexpected(&answer)) };
        verdicts
            .iter()
            .map(|verdict| match verdict {
                Value::Int(0) => Ok(Filled::Stored),
                Value::Int(1) => Ok(Filled::Overtaken),
                Value::Int(2) => Ok(Filled::NewerStored),
                other => Err(unexpected(other)),
            })
            .collect()
    }

    pub(super) async fn remove_entry(&self, key: &RawKey) -> Result<(), StoreError> {
        let mut command = redis::cmd("DEL");
        command.arg(self.names.entry(key));
        self.until(self.deadline(), self.connection.send(&command)).await?;
        Ok(())
    }

    /// The entry of an answer; what is no entry is absent, and counted.
    fn entry(&self, partition: Partition, key: &RawKey, found: Value) -> Option<StoredEntry> {
        let decoded = match found {
            Value::Nil => return None,
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

/// The tags of several entries, each asked for once.
struct Tags {
    asked: Vec<TagId>,
    /// For each entry the places of its tags, 2 bytes each.
    places: Vec<Vec<u8>>,
}

impl Tags {
    fn of(fills: &[Fill]) -> Self {
        let mut asked = Vec::new();
        let mut known: HashMap<TagId, u16, IdBuildHasher> = HashMap::default();
        let mut place_of = |tag: &TagId| {
            *known.entry(*tag).or_insert_with(|| {
                asked.push(*tag);
                u16::try_from(asked.len() - 1).expect("a call has fewer tags")
            })
        };
        let places = fills.iter().map(|fill| fill.tags.iter().flat_map(|tag| place_of(tag).to_be_bytes()).collect());
        let places = places.collect();
        Self { asked, places }
    }
}
