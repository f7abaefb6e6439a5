//! Where the server is, whose state it holds, and the limits.

use std::{fmt, time::Duration};

use super::gather::GroupLimits;
use crate::{key::CacheVersion, position::PartitionCount};

/// Tags of one call: Lua can pass on some thousands of arguments, and needs two for a tag.
const GROUP_TAGS_MAX: usize = 2048;

/// Where the server is, and whose state it holds.
#[derive(Clone)]
pub struct RedisSettings {
    /// `redis://[user:password@]host[:port][/database]`.
    pub url: String,
    /// Keeps applications on one server apart: 1 to 32 letters, digits, `-`, `_` or `.`. Nodes of one namespace are
    /// one cache.
    pub namespace: String,
    /// The generation of entries.
    pub version: CacheVersion,
    /// The limits.
    pub limits: RedisLimits,
}

/// How much a [`RedisStore`] may hold, and how long it may wait.
#[derive(Clone, Copy, Debug)]
pub struct RedisLimits {
    /// Partitions of the log; the same on all nodes of a namespace.
    pub partitions: PartitionCount,
    /// Records kept per partition; a node further behind flushes its view.
    pub log_records_max: usize,
    /// Clocks kept per partition, about 120 bytes each; beyond it the oldest are pruned and the floor rises.
    pub clocks_max: usize,
    /// Bytes of one entry; larger ones are not stored.
    pub entry_bytes_max: usize,
    /// Values of at least so many bytes are compressed, if that makes them an eighth smaller; `usize::MAX` compresses
    /// none. Nodes may differ in it.
    pub compress_bytes_min: usize,
    /// Longest time that an entry is stored, whatever its policy says: nothing stays in Redis for ever.
    pub entry_lifetime_max: Duration,
    /// Calls of one kind (appends, fills) that a partition has on their way at a time; meanwhile what more is asked for
    /// gathers, and goes as one call.
    pub group_calls_max: usize,
    /// Records or entries of one call.
    pub group_items_max: usize,
    /// Bytes of one call; a larger record or entry goes alone.
    pub group_bytes_max: usize,
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
    /// Longest wait for an operation, connecting included.
    pub operation_timeout: Duration,
}

impl Default for RedisLimits {
    fn default() -> Self {
        Self {
            partitions: PartitionCount::DEFAULT,
            log_records_max: 4096,
            clocks_max: 16_384,
            entry_bytes_max: 8 << 20,
            compress_bytes_min: 1024,
            entry_lifetime_max: Duration::from_secs(30 * 24 * 3600),
            group_calls_max: 2,
            group_items_max: 32,
            group_bytes_max: 1 << 20,
            connect_timeout: Duration::from_millis(500),
            operation_timeout: Duration::from_secs(1),
        }
    }
}

impl RedisLimits {
    pub(super) fn groups(&self) -> GroupLimits {
        GroupLimits {
            calls_max: self.group_calls_max,
            items_max: self.group_items_max,
            bytes_max: self.group_bytes_max,
            tags_max: GROUP_TAGS_MAX,
            wait_max: self.operation_timeout,
        }
    }
}

/// Settings that no server can be reached with.
#[derive(Debug, Clone, thiserror::Error)]
pub enum InvalidRedisSettings {
    /// The URL.
    #[error(
        "the URL of Redis cannot be used ({0}); write it as redis://host:6379, with user:password@ before the host"
    )]
    Url(String),
    /// The namespace.
    #[error("{0:?} is not a namespace: use 1 to 32 letters, digits, '-', '_' or '.'")]
    Namespace(String),
    /// A limit of zero.
    #[error("{0} is zero; leave it out for its default")]
    Zero(&'static str),
}

impl fmt::Debug for RedisSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url: _, namespace, version, limits } = self;
        write!(f, "RedisSettings(namespace {namespace}, version {}, {limits:?})", version.as_str())
    }
}
