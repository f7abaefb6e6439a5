//! What things are called in Redis.

use crate::{
    key::{CacheVersion, RawKey},
    position::{Partition, PartitionCount},
};

/// The names of everything that a namespace has in Redis.
pub(super) struct Names {
    count: PartitionCount,
    version: CacheVersion,
    partitions: Box<[PartitionNames]>,
    channel: String,
}

/// The names of a partition's keys.
pub(super) struct PartitionNames {
    prefix: String,
    pub(super) state: String,
    pub(super) log: String,
}

impl Names {
    pub(super) fn new(namespace: &str, version: CacheVersion, count: PartitionCount) -> Self {
        let partitions = count.all().map(|partition| {
            let prefix = format!("{{{namespace}:{}}}", partition.index());
            PartitionNames { state: format!("{prefix}:state"), log: format!("{prefix}:log"), prefix }
        });
        Self { count, version, partitions: partitions.collect(), channel: format!("{namespace}:moved") }
    }

    /// Where wake-ups are published.
    pub(super) fn channel(&self) -> &str {
        &self.channel
    }

    pub(super) fn of(&self, partition: Partition) -> &PartitionNames {
        &self.partitions[partition.index()]
    }

    pub(super) fn partition_of(&self, key: &RawKey) -> Partition {
        self.count.of(key.tenant())
    }

    pub(super) fn entry(&self, key: &RawKey) -> String {
        let prefix = &self.of(self.partition_of(key)).prefix;
        [prefix, ":", self.version.as_str(), ":", key.as_str()].concat()
    }

    /// The lease of an entry. No version holds a slash, so no entry is called that.
    pub(super) fn lease(&self, key: &RawKey) -> String {
        let prefix = &self.of(self.partition_of(key)).prefix;
        [prefix, ":lease/", self.version.as_str(), ":", key.as_str()].concat()
    }

    /// Of the first partition, to show whose store it is.
    pub(super) fn example(&self) -> &str {
        &self.partitions[0].prefix
    }
}
