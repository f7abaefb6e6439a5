//! Entries: reading, filling and removing them.

use std::sync::atomic::Ordering::Relaxed;

use futures_util::future::join_all;
use redis::{ErrorKind, ServerErrorKind, Value};

use super::{RedisStore, entry, scripts::Script, tag_argument, trouble, unexpected};
use crate::{
    key::RawKey,
    position::Partition,
    store::{Filled, StoreError, StoredEntry},
};

impl RedisStore {
    pub(super) async fn get_one(&self, key: &RawKey) -> Result<Option<StoredEntry>, StoreError> {
        let mut command = redis::cmd("GET");
        command.arg(self.names.entry(key));
        let partition = self.names.partition_of(key);
        let asked = async {
            match self.connection.send(partition, &command).await {
                // Not a string: somebody else's. `MGET` says `nil` of such a key.
                Err(error) if error.code() == Some("WRONGTYPE") => Ok(Value::Okay),
                answer => answer,
            }
        };
        let found = self.connection.in_time(asked).await?;
        Ok(self.entry(partition, found))
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
        let answers = self.connection.in_time(async { Ok(join_all(asked).await) }).await?;
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
                found[*at] = self.entry(*partition, value);
            }
        }
        Ok(found)
    }

    pub(super) async fn fill_entry(&self, key: &RawKey, entry: &StoredEntry) -> Result<Filled, StoreError> {
        let too_large = entry.value.as_ref().is_some_and(|value| value.len() > self.limits.entry_bytes_max);
        // The tags' clocks are those of the key's partition: an entry of another one cannot be judged here.
        let elsewhere = entry.base.partition != self.names.partition_of(key);
        let Some(encoded) = entry::encode(entry).filter(|_| !too_large && !elsewhere) else {
            return Ok(Filled::NotKept);
        };
        // Relative, so that neither this node's clock nor the server's has to be right.
        let lifetime = entry.dead_at.since(entry.loaded_at).min(self.limits.entry_lifetime_max);
        let lifetime_ms = u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX).max(1);
        let partition = entry.base.partition;
        let keys = [&self.names.of(partition).state, &self.names.entry(key)[..]];
        let answer = self.run(partition, Script::Fill, &keys, |command| {
            command.arg(entry.base.epoch.0);
            command.arg(entry.base.sequence.0).arg(lifetime_ms).arg(&encoded[..]);
            entry.tags.iter().for_each(|tag| tag_argument(command, *tag));
        });
        match answer.await? {
            Value::Int(0) => Ok(Filled::Stored),
            Value::Int(1) => Ok(Filled::Overtaken),
            Value::Int(2) => Ok(Filled::NewerStored),
            other => Err(unexpected(&other)),
        }
    }

    pub(super) async fn remove_entry(&self, key: &RawKey) -> Result<(), StoreError> {
        let mut command = redis::cmd("DEL");
        command.arg(self.names.entry(key));
        self.connection.in_time(self.connection.send(self.names.partition_of(key), &command)).await?;
        Ok(())
    }

    /// The entry of an answer; what is no entry is absent, and counted.
    fn entry(&self, partition: Partition, found: Value) -> Option<StoredEntry> {
        let decoded = match found {
            Value::Nil => return None,
            Value::BulkString(bytes) => entry::decode(partition, bytes.into()),
            _ => None,
        };
        if decoded.is_none() && self.malformed_entries.fetch_add(1, Relaxed) == 0 {
            tracing::warn!(
                "a key of the cache holds no entry of this format; it is taken for absent, and so are others"
            );
        }
        decoded
    }
}
