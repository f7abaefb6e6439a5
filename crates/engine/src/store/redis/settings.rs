//! Where the server is, whose state it holds, and the limits.

use std::{fmt, path::PathBuf, time::Duration};

use super::gather::GroupLimits;
use crate::{key::CacheVersion, position::PartitionCount};

/// Tags of one call: Lua can pass on some thousands of arguments, and needs two for a tag.
const GROUP_TAGS_MAX: usize = 2048;

/// The most that [`RedisLimits::group_items_max`] may be, for the same reason.
pub(super) const GROUP_ITEMS_LIMIT: usize = 1024;

/// Where the server is, and whose state it holds.
#[derive(Clone)]
pub struct RedisSettings {
    /// One server, `redis://[user:password@]host[:port][/database]`; a primary that sentinels know by the name of its
    /// service, `redis+sentinel://[user:password@]host[:port],…/service[/database]`; or some nodes of a cluster,
    /// `redis+cluster://[user:password@]host[:port],…`. With `rediss` in place of `redis`, all connections use TLS.
    pub url: String,
    /// Certificates, where the URL says TLS.
    pub tls: RedisTls,
    /// How to log in to sentinels, if they want it. The login in the URL is the data servers'.
    pub sentinel_login: RedisLogin,
    /// Keeps applications on one server apart: 1 to 32 letters, digits, `-`, `_` or `.`. Nodes of one namespace are
    /// one cache.
    pub namespace: String,
    /// The generation of entries.
    pub version: CacheVersion,
    /// The limits.
    pub limits: RedisLimits,
}

/// The files of TLS, in PEM format. They are read once.
#[derive(Clone, Debug, Default)]
pub struct RedisTls {
    /// The authority that has signed the servers' certificates; without it, those that the system trusts.
    pub authority_file: Option<PathBuf>,
    /// The client's certificate, if servers ask for one.
    pub certificate_file: Option<PathBuf>,
    /// Its private key.
    pub key_file: Option<PathBuf>,
}

/// A user and a password.
#[derive(Clone, Default)]
pub struct RedisLogin {
    /// Without it, the default user.
    pub user: Option<String>,
    /// Without it, no login.
    pub password: Option<String>,
}

/// How much a [`RedisStore`](super::RedisStore) may hold, and how long it may wait.
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
    /// Records or entries of one call, at most 1,024.
    pub group_items_max: usize,
    /// Bytes of one call; a larger record or entry goes alone.
    pub group_bytes_max: usize,
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
    /// Longest wait for an operation, connecting included.
    pub operation_timeout: Duration,
    /// Replicas that must have an invalidation's record before it is acknowledged (`WAIT`); 0 asks for none. With as
    /// many as there are replicas, a primary that was replaced without knowing it acknowledges nothing; see
    /// `docs/adr/0008-topologies.md` for what fewer give.
    pub replicas_acknowledged_min: u32,
    /// Longest wait for them.
    pub replica_timeout: Duration,
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
            replicas_acknowledged_min: 0,
            replica_timeout: Duration::from_millis(200),
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
        "the URL of Redis cannot be used: {0}; write redis://host:6379, redis+sentinel://host:26379,…/service or \
         redis+cluster://host:6379,…, with user:password@ before the first host"
    )]
    Url(String),
    /// A file of certificates.
    #[error("{0:?} cannot be read ({1}); name a file in PEM format that this process may read")]
    File(PathBuf, String),
    /// A file of an authority that holds something else.
    #[error(
        "{0:?} holds no certificate in PEM format (BEGIN CERTIFICATE); name the file of the authority's certificate"
    )]
    NoCertificate(PathBuf),
    /// What stands in them.
    #[error("the certificates for Redis cannot be used ({0}); name files in PEM format")]
    Certificates(String),
    /// A key that is none, or another certificate's.
    #[error("{0:?} cannot be used ({1}); name the private key that belongs to the client's certificate, in PEM format")]
    Key(PathBuf, String),
    /// A certificate without its key, or a key alone.
    #[error("the client's certificate and its key are needed together; name both files or none")]
    HalfCertificate,
    /// The namespace.
    #[error("{0:?} is not a namespace: use 1 to 32 letters, digits, '-', '_' or '.'")]
    Namespace(String),
    /// A limit of zero.
    #[error("{0} is zero; leave it out for its default")]
    Zero(&'static str),
    /// A limit beyond what scripts can pass on.
    #[error("{name} is {value}, more than {max}; lower it")]
    TooLarge {
        /// The limit.
        name: &'static str,
        /// What was given.
        value: usize,
        /// The most it may be.
        max: usize,
    },
}

impl RedisSettings {
    /// Settings with defaults for everything else.
    pub fn new(url: impl Into<String>, namespace: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            tls: RedisTls::default(),
            sentinel_login: RedisLogin::default(),
            namespace: namespace.into(),
            version: CacheVersion::default(),
            limits: RedisLimits::default(),
        }
    }
}

impl fmt::Debug for RedisLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisLogin({:?})", self.user)
    }
}

impl fmt::Debug for RedisSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url: _, tls, sentinel_login, namespace, version, limits } = self;
        let version = version.as_str();
        write!(f, "RedisSettings(namespace {namespace}, version {version}, {tls:?}, {sentinel_login:?}, {limits:?})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_is_printed() {
        let login = RedisLogin { user: Some("watcher".to_owned()), password: Some("hunter2".to_owned()) };
        assert_eq!(format!("{login:?}"), "RedisLogin(Some(\"watcher\"))");
        let settings =
            RedisSettings { sentinel_login: login, ..RedisSettings::new("redis://me:hunter2@cache", "shop") };
        let shown = format!("{settings:?}");
        assert!(
            shown.starts_with("RedisSettings(namespace shop, version v1, ") && shown.contains("watcher"),
            "{shown}"
        );
        assert!(!shown.contains("hunter2") && !shown.contains("me:"), "{shown}");
    }
}
