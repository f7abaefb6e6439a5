//! Leases: a key beside the entry, in its slot.
//!
//! Its value is the token (16 bytes), epoch and sequence of the base (8 each), big-endian. It is no part of the
//! partition's state: losing it costs a load. So the scripts know nothing of epochs.
//!
//! A server that is full has no room for leases. That is no failure: it says that nobody need wait for anybody, as of a
//! lease that is open, and what it holds; and each node loads for itself.

use std::time::Duration;

use futures_util::future::try_join_all;
use redis::{Cmd, Value};

use super::{RedisStore, unexpected};
use crate::{
    key::RawKey,
    position::{Epoch, Partition, Position, Sequence},
    store::{AfterLease, Lease, LeaseRequest, LeaseToken, Leased, StoreError},
};

/// Takes the lease if it is free, and looks up the entry. KEYS lease, entry · ARGV value, ttl in ms → the holder's or
/// nil, the entry or nil. In this order: who was granted the lease sees the fill of everyone who gave it back before.
const TAKE: &str = "local held = redis.pcall('SET', KEYS[1], ARGV[1], 'NX', 'GET', 'PX', ARGV[2]) \
    if type(held) == 'table' and held.err then \
    if string.sub(held.err, 1, 3) ~= 'OOM' then return held end held = '' end \
    local entry = redis.pcall('GET', KEYS[2]) \
    return { held, type(entry) == 'string' and entry }";

/// The same for several keys of one slot. KEYS lease, entry, lease, entry… · ARGV ttl in ms, a value for each lease → for
/// each: the holder's or nil, the entry or nil
const TAKE_MANY: &str = "local out = {} \
    for i = 1, #KEYS, 2 do \
    local held = redis.pcall('SET', KEYS[i], ARGV[1 + (i + 1) / 2], 'NX', 'GET', 'PX', ARGV[1]) \
    if type(held) == 'table' and held.err then \
    if string.sub(held.err, 1, 3) ~= 'OOM' then return held end held = '' end \
    out[i] = held \
    local entry = redis.pcall('GET', KEYS[i + 1]) \
    out[i + 1] = type(entry) == 'string' and entry end \
    return out";
/// Leases of one call: the server does nothing else meanwhile.
const TAKE_MANY_MAX: usize = 64;

/// Takes the lease if it is free or the given token's. KEYS lease · ARGV token, value, ttl in ms → the holder's, or nil
const TAKE_OVER: &str = "local held = redis.call('GET', KEYS[1]) \
    if held and string.sub(held, 1, 16) ~= ARGV[1] then return held end \
    local set = redis.pcall('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) \
    if set.err then return string.sub(set.err, 1, 3) ~= 'OOM' and set or '' end return nil";

/// Ends the lease if it is the given token's. KEYS lease · ARGV token, and for an open one: value, ttl in ms. Where there
/// is no room for an open one, there is none for any other.
const RELEASE: &str = "local held = redis.call('GET', KEYS[1]) \
    if not held or string.sub(held, 1, 16) ~= ARGV[1] then return 0 end \
    if not ARGV[2] or redis.pcall('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]).err then redis.call('DEL', KEYS[1]) end \
    return 1";

impl RedisStore {
    pub(super) async fn ask_lease(&self, key: &RawKey, request: &LeaseRequest) -> Result<Leased, StoreError> {
        let partition = self.shared.names.partition_of(key);
        let name = self.shared.names.lease(key);
        if let Some(over) = request.over {
            let mut command = eval(TAKE_OVER, &[&name]);
            command.arg(&token(over)[..]).arg(&encode(&request.lease)[..]).arg(millis(request.ttl));
            let held = self.shared.connection.in_time(self.shared.connection.send(partition, &command)).await?;
            return Ok(Leased { held_by: holder(partition, &held)?, entry: None });
        }
        let mut command = eval(TAKE, &[&name, &self.shared.names.entry(key)]);
        command.arg(&encode(&request.lease)[..]).arg(millis(request.ttl));
        let answer = self.shared.connection.in_time(self.shared.connection.send(partition, &command)).await?;
        let Value::Array(answers) = answer else { return Err(unexpected(&answer)) };
        let [held, entry] = <[Value; 2]>::try_from(answers).map_err(|answers| unexpected(&Value::Array(answers)))?;
        // What is no entry is absent, as for a read.
        Ok(Leased { held_by: holder(partition, &held)?, entry: self.shared.entry(partition, key, entry) })
    }

    /// In as few calls as the limit of one allows, all on their way at once.
    pub(super) async fn ask_leases(&self, requests: &[(RawKey, LeaseRequest)]) -> Result<Vec<Leased>, StoreError> {
        let calls = requests.chunks(TAKE_MANY_MAX).map(|some| self.ask_some_leases(some));
        Ok(try_join_all(calls).await?.into_iter().flatten().collect())
    }

    async fn ask_some_leases(&self, requests: &[(RawKey, LeaseRequest)]) -> Result<Vec<Leased>, StoreError> {
        let Some((first, LeaseRequest { ttl, .. })) = requests.first() else { return Ok(Vec::new()) };
        let (shared, partition) = (&self.shared, self.shared.names.partition_of(first));
        let names: Vec<_> =
            requests.iter().map(|(key, _)| (shared.names.lease(key), shared.names.entry(key))).collect();
        let keys: Vec<&str> = names.iter().flat_map(|(lease, entry)| [&**lease, &**entry]).collect();
        let mut command = eval(TAKE_MANY, &keys);
        command.arg(millis(*ttl));
        requests.iter().for_each(|(_, request)| {
            command.arg(&encode(&request.lease)[..]);
        });
        let answer = shared.connection.in_time(shared.connection.send(partition, &command)).await?;
        let leased = |((key, _), [held, entry]): (&(RawKey, LeaseRequest), [Value; 2])| {
            Ok(Leased { held_by: holder(partition, &held)?, entry: shared.entry(partition, key, entry) })
        };
        requests.iter().zip(in_pairs(answer, requests.len())?).map(leased).collect()
    }

    pub(super) async fn release_lease(
        &self,
        key: &RawKey,
        owner: LeaseToken,
        after: AfterLease,
    ) -> Result<(), StoreError> {
        let mut command = eval(RELEASE, &[&self.shared.names.lease(key)]);
        command.arg(&token(owner)[..]);
        if let AfterLease::Open(time) = after {
            command.arg(&[0_u8; 32][..]).arg(millis(time));
        }
        self.shared
            .connection
            .in_time(self.shared.connection.send(self.shared.names.partition_of(key), &command))
            .await?;
        Ok(())
    }
}

/// For each of `count` keys who holds its lease, and its entry.
fn in_pairs(answer: Value, count: usize) -> Result<Vec<[Value; 2]>, StoreError> {
    match answer {
        Value::Array(answers) if answers.len() == 2 * count => {
            let mut answers = answers.into_iter();
            let mut next = || answers.next().expect("as many as were counted");
            Ok((0..count).map(|_| [next(), next()]).collect())
        }
        other => Err(unexpected(&other)),
    }
}

/// By its text, which is short: none is bound to a run of the server as the log's scripts are.
fn eval(script: &str, keys: &[&str]) -> Cmd {
    let mut command = redis::cmd("EVAL");
    command.arg(script).arg(keys.len()).arg(keys);
    command
}

fn token(token: LeaseToken) -> [u8; 16] {
    token.as_u128().to_be_bytes()
}

fn encode(lease: &Lease) -> [u8; 32] {
    let mut out = [0; 32];
    out[..16].copy_from_slice(&token(lease.token));
    out[16..24].copy_from_slice(&lease.base.epoch.0.to_be_bytes());
    out[24..].copy_from_slice(&lease.base.sequence.0.to_be_bytes());
    out
}

/// Who holds the lease; what is no lease is nobody's, and nobody waits for it.
fn holder(partition: Partition, held: &Value) -> Result<Option<Lease>, StoreError> {
    let bytes = match held {
        // `SET … GET` says `OK` of a key that was not there in some servers.
        Value::Nil | Value::Okay => return Ok(None),
        Value::BulkString(bytes) => bytes,
        other => return Err(unexpected(other)),
    };
    let Ok(bytes) = <[u8; 32]>::try_from(&bytes[..]) else {
        let base = Position { partition, epoch: Epoch(0), sequence: Sequence(0) };
        return Ok(Some(Lease { token: LeaseToken::NOBODY, base }));
    };
    let number = |at: usize| u64::from_be_bytes(bytes[at..at + 8].try_into().expect("eight bytes of 32"));
    let owner = LeaseToken::from_u128((u128::from(number(0)) << 64) | u128::from(number(8)));
    let base = Position { partition, epoch: Epoch(number(16)), sequence: Sequence(number(24)) };
    Ok(Some(Lease { token: owner, base }))
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_read_as_it_was_written_and_what_is_none_is_nobodys() {
        let base = Position { partition: Partition(3), epoch: Epoch(8), sequence: Sequence(9) };
        let lease = Lease { token: LeaseToken::from_u128(7 << 64 | 5), base };
        let held = |value| holder(Partition(3), &value);
        assert_eq!(held(Value::BulkString(encode(&lease).into())).unwrap(), Some(lease));
        assert_eq!((held(Value::Nil).unwrap(), held(Value::Okay).unwrap()), (None, None));
        let other = held(Value::BulkString(b"somebody else's".to_vec())).unwrap().unwrap();
        assert_eq!((other.token, other.base.partition), (LeaseToken::NOBODY, Partition(3)));
        assert!(held(Value::Int(1)).is_err());
    }

    #[test]
    fn fewer_or_more_answers_than_leases_were_asked_for_are_none() {
        let told = |count: i64| in_pairs(Value::Array((0..count).map(Value::Int).collect()), 2);
        assert_eq!(told(4).unwrap(), [[0, 1], [2, 3]].map(|pair| pair.map(Value::Int)));
        for count in [0, 2, 3, 5, 6] {
            assert!(told(count).unwrap_err().to_string().contains("Redis answered"), "{count}");
        }
        in_pairs(Value::Okay, 2).unwrap_err();
    }
}
