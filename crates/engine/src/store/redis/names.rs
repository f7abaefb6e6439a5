//! What things are called in Redis.

use super::slots::slot_of;
use crate::{
    key::{CacheVersion, RawKey},
    position::{Partition, PartitionCount},
};

/// The names of everything that a namespace has in Redis.
pub(super) struct Names {
    count: PartitionCount,
    version: CacheVersion,
    partitions: Box<[PartitionNames]>,
}

/// The names of a partition's keys, and its place in a cluster.
pub(super) struct PartitionNames {
    prefix: String,
    pub(super) slot: u16,
    /// Where wake-ups are published.
    pub(super) channel: String,
    pub(super) state: String,
    pub(super) log: String,
}

impl Names {
    pub(super) fn new(namespace: &str, version: CacheVersion, count: PartitionCount) -> Self {
        let partitions = count.all().map(|partition| {
            let hash_tag = format!("{namespace}:{}", partition.index());
            let prefix = format!("{{{hash_tag}}}");
            PartitionNames {
                slot: slot_of(&hash_tag),
                channel: format!("{prefix}:moved"),
                state: format!("{prefix}:state"),
                log: format!("{prefix}:log"),
                prefix,
            }
        });
        Self { count, version, partitions: partitions.collect() }
    }

    /// All partitions, in their order.
    pub(super) fn all(&self) -> &[PartitionNames] {
        &self.partitions
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

    /// Of the first partition, to show whose store it is.
    pub(super) fn example(&self) -> &str {
        &self.partitions[0].prefix
    }
}
