//! What things are called in Redis.

use super::{nodes, slots::slot_of};
use crate::{
    key::{CacheVersion, RawKey},
    position::{Partition, PartitionCount},
    store::QuestionId,
    tenant::Tenant,
};

/// The names of everything that a namespace has in Redis.
pub(super) struct Names {
    count: PartitionCount,
    /// How the names of all partitions begin.
    space: String,
    version: CacheVersion,
    partitions: Box<[PartitionNames]>,
    /// Where nodes ask each other.
    asked: String,
    nodes: String,
    answers: String,
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
        let partitions: Box<[_]> = partitions.collect();
        let [asked, nodes, answers] = ["asked", "nodes", "answers/"]
            .map(|what| [&partitions[nodes::PARTITION.index()].prefix, ":", what].concat());
        Self { count, space: format!("{{{namespace}:"), version, partitions, asked, nodes, answers }
    }

    /// How many partitions there are.
    pub(super) fn len(&self) -> usize {
        self.partitions.len()
    }

    /// All partitions, in their order.
    pub(super) fn all(&self) -> impl Iterator<Item = (Partition, &PartitionNames)> {
        self.count.all().zip(&self.partitions)
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

    /// Whose entry a name is, whatever its cache version; none if it is the name of something else.
    pub(super) fn tenant_of(&self, name: &[u8]) -> Option<Tenant> {
        let (partition, version, text) = self.parts(name)?;
        let tenant = Tenant::new(text.split_once(':')?.0).ok()?;
        let is_entry = CacheVersion::new(version).is_ok() && self.is_partition_of(partition, &tenant);
        is_entry.then_some(tenant)
    }

    /// The key of an entry of this cache version; none if it is the name of something else.
    pub(super) fn key_of(&self, name: &[u8]) -> Option<RawKey> {
        let (partition, version, text) = self.parts(name)?;
        let key = RawKey::of_text(text)?;
        (version == self.version.as_str() && self.is_partition_of(partition, key.tenant())).then_some(key)
    }

    /// A name's partition, what stands where an entry has its cache version, and the rest.
    fn parts<'a>(&self, name: &'a [u8]) -> Option<(&'a str, &'a str, &'a str)> {
        let (partition, entry) = std::str::from_utf8(name).ok()?.strip_prefix(&self.space)?.split_once("}:")?;
        let (version, text) = entry.split_once(':')?;
        Some((partition, version, text))
    }

    fn is_partition_of(&self, partition: &str, tenant: &Tenant) -> bool {
        partition.parse() == Ok(self.count.of(tenant).index())
    }

    /// Where questions to all nodes are published.
    pub(super) fn asked(&self) -> &str {
        &self.asked
    }

    /// The nodes that answer questions.
    pub(super) fn nodes(&self) -> &str {
        &self.nodes
    }

    /// The answers to a question. No version holds a slash, and no colon follows, so no entry is called that.
    pub(super) fn answers(&self, question: QuestionId) -> String {
        format!("{}{:032x}", self.answers, question.as_u128())
    }

    /// Of the first partition, to show whose store it is.
    pub(super) fn example(&self) -> &str {
        &self.partitions[0].prefix
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::catalogue! {
        /// Of these tests.
        const PATTERNS;
        /// A page.
        fn page(name) -> u8 = "page:of";
    }

    #[test]
    fn an_entrys_name_tells_its_tenant_and_nothing_else_does() {
        assert_eq!(PATTERNS.len(), 1);
        let names = |namespace| Names::new(namespace, CacheVersion::default(), PartitionCount::DEFAULT);
        let (ours, acme) = (names("ours"), Tenant::new("acme-1.x").unwrap());
        let name = |names: &Names| names.entry(page(&acme, "a:b}/c").raw());
        assert_eq!(ours.tenant_of(name(&ours).as_bytes()), Some(acme.clone()));
        assert_eq!(ours.key_of(name(&ours).as_bytes()).as_ref(), Some(page(&acme, "a:b}/c").raw()));
        assert_eq!(ours.tenant_of(name(&names("our")).as_bytes()), None, "another namespace");
        let (partition, answers) = (ours.count.of(&acme), ours.answers(QuestionId::from_u128(7)));
        for other in [&ours.of(partition).state[..], &ours.of(partition).log, ours.nodes(), &answers, "acme", ""] {
            assert_eq!(ours.tenant_of(other.as_bytes()), None, "{other}");
            assert_eq!(ours.key_of(other.as_bytes()), None, "{other}");
        }
        let next = Names::new("ours", CacheVersion::new("next").unwrap(), PartitionCount::DEFAULT);
        assert_eq!(ours.tenant_of(name(&next).as_bytes()), Some(acme.clone()));
        assert_eq!(ours.key_of(name(&next).as_bytes()), None, "another version's");
        assert_eq!(ours.key_of(ours.lease(page(&acme, "a").raw()).as_bytes()), None, "a lease");
        assert_eq!(ours.tenant_of(b"{ours:99}:v1:acme-1.x:page:of/1"), None, "not its partition");
        assert_eq!(ours.key_of(b"{ours:99}:v1:acme-1.x:page:of/1"), None, "not its partition");
        assert_eq!(ours.tenant_of(b"\xff"), None);
    }
}
