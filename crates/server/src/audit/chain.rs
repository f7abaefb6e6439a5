//! The chain: each record's MAC covers all of the record, its number and the MAC before it. *Decides*, does no IO.
//!
//! # Invariants
//! - Without the key, no record can be altered, removed, inserted or moved, and no head be made, that [`Walk`] does not
//!   find.
//! - Nor can it be said that more of a spool is shipped than is.
//! - A head that was not sealed with the key is not built upon: what follows it does not verify ([`Keys::broken`]).

use std::fmt;

use blake3::Hash;

use super::record::{Record, Subject, encode_text};

/// What stands before the first record.
pub(super) const GENESIS: Hash = Hash::from_bytes([0; 32]);

/// The keys of a trail, derived from one secret that all nodes share.
#[derive(Clone)]
pub struct AuditKeys {
    chain: [u8; 32],
    seal: [u8; 32],
    mark: [u8; 32],
    subject: [u8; 32],
}

impl AuditKeys {
    /// Of a secret, such as [`Purpose::Audit`](crate::secret::Purpose)'s key.
    pub fn derive(secret: &[u8]) -> Self {
        Self {
            chain: blake3::derive_key("unstale-server 2026 audit: chain of records", secret),
            seal: blake3::derive_key("unstale-server 2026 audit: heads of chains", secret),
            mark: blake3::derive_key("unstale-server 2026 audit: how far spools are shipped", secret),
            subject: blake3::derive_key("unstale-server 2026 audit: subjects", secret),
        }
    }

    /// A subject by its name, such as a user's id.
    pub fn subject(&self, name: &str) -> Subject {
        let hash = blake3::keyed_hash(&self.subject, name.as_bytes());
        Subject(*hash.as_bytes().first_chunk().expect("a hash has 32 bytes"))
    }

    /// Something that may be told apart but not be read, such as a query: 16 hexadecimal digits.
    pub(super) fn opaque(&self, text: &str) -> String {
        let hash = blake3::keyed_hash(&self.subject, format!("opaque {text}").as_bytes());
        hash.to_hex()[..16].to_owned()
    }

    /// The MAC of a record after `previous`.
    pub(super) fn link(&self, previous: &Hash, link: &Link<'_>) -> Hash {
        let mut bytes = Vec::with_capacity(512);
        bytes.extend_from_slice(previous.as_bytes());
        bytes.extend_from_slice(&link.number.to_le_bytes());
        encode_text(&mut bytes, link.spool);
        bytes.extend_from_slice(&link.spool_number.to_le_bytes());
        link.record.encode(&mut bytes);
        blake3::keyed_hash(&self.chain, &bytes)
    }

    /// The seal of a head.
    pub(super) fn seal(&self, head: &Head) -> Hash {
        let mut bytes = Vec::with_capacity(160);
        encode_text(&mut bytes, &head.tenant);
        bytes.extend_from_slice(&head.number.to_le_bytes());
        bytes.extend_from_slice(head.mac.as_bytes());
        bytes.extend_from_slice(&head.pruned.to_le_bytes());
        bytes.extend_from_slice(head.pruned_mac.as_bytes());
        blake3::keyed_hash(&self.seal, &bytes)
    }

    /// The seal of how far a spool is shipped.
    pub(super) fn seal_mark(&self, spool: &str, shipped: u64) -> Hash {
        let mut bytes = Vec::with_capacity(32);
        encode_text(&mut bytes, spool);
        bytes.extend_from_slice(&shipped.to_le_bytes());
        blake3::keyed_hash(&self.mark, &bytes)
    }

    /// What records follow where the chain before them cannot be trusted: no MAC of a record, so that the place is
    /// found for good.
    pub(super) fn broken(&self, tenant: &str, number: u64) -> Hash {
        let mut bytes = b"broken".to_vec();
        encode_text(&mut bytes, tenant);
        bytes.extend_from_slice(&number.to_le_bytes());
        blake3::keyed_hash(&self.chain, &bytes)
    }
}

impl fmt::Debug for AuditKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuditKeys(…)")
    }
}

/// A record at its place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link<'a> {
    /// Its place in the tenant's chain, from 1 on.
    pub(super) number: u64,
    /// Which spool it came by, and its number there.
    pub(super) spool: &'a str,
    pub(super) spool_number: u64,
    pub(super) record: &'a Record,
}

/// How far a tenant's chain goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The tenant; empty for the installation's own chain.
    pub tenant: String,
    /// The number of the last record.
    pub number: u64,
    /// Its MAC.
    pub mac: Hash,
    /// The number of the last record that retention has taken out.
    pub pruned: u64,
    /// Its MAC.
    pub pruned_mac: Hash,
}

impl Head {
    /// Of a chain without records.
    pub(super) fn empty(tenant: &str) -> Self {
        Self { tenant: tenant.to_owned(), number: 0, mac: GENESIS, pruned: 0, pruned_mac: GENESIS }
    }
}

/// What is wrong with a chain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Records are not there.
    #[error("record {expected} is missing: {found} comes after {}", expected - 1)]
    Missing {
        /// The record that should come.
        expected: u64,
        /// The one that comes.
        found: u64,
    },
    /// A record is not what was written, or not where.
    #[error("record {number} was altered, or is not the one that followed record {}", number.saturating_sub(1))]
    Altered {
        /// Its number.
        number: u64,
    },
    /// The chain ends before its head.
    #[error("the chain ends with record {found}, and its head says {expected}: its end was cut off")]
    Cut {
        /// The last record of the head.
        expected: u64,
        /// The last one there.
        found: u64,
    },
    /// There are more records than the head says.
    #[error("record {found} comes after the chain's head, which says {expected}: it was put in, or the head put back")]
    BeyondHead {
        /// The last record of the head.
        expected: u64,
        /// The one beyond it.
        found: u64,
    },
    /// The head is not one that was written.
    #[error("the chain's head was altered")]
    HeadAltered,
    /// The head is not there.
    #[error("the chain's head is missing")]
    HeadMissing,
    /// The whole chain is not there.
    #[error("the whole chain is missing: the installation's own chain names it")]
    ChainMissing,
    /// How far a spool is shipped is not what was written.
    #[error(
        "how far the spool {spool} is shipped was altered, or is noted by a version that does not seal it; nothing is \
         dropped for it"
    )]
    SpoolAltered {
        /// The spool.
        spool: String,
    },
    /// The chain was longer, or another.
    #[error("record {number} is not the one that was noted for it: the database was put back, or written anew")]
    NotAsNoted {
        /// The number noted.
        number: u64,
    },
}

/// Follows a chain record by record.
#[derive(Clone, Debug)]
pub(super) struct Walk {
    number: u64,
    mac: Hash,
}

impl Walk {
    /// From where retention has cut.
    pub(super) fn from(head: &Head) -> Self {
        Self { number: head.pruned, mac: head.pruned_mac }
    }

    /// The next record and the MAC that is kept with it.
    pub(super) fn step(&mut self, keys: &AuditKeys, link: &Link<'_>, mac: &Hash) -> Result<(), Fault> {
        let expected = self.number + 1;
        if link.number > expected {
            return Err(Fault::Missing { expected, found: link.number });
        }
        if link.number < expected || keys.link(&self.mac, link) != *mac {
            return Err(Fault::Altered { number: link.number });
        }
        *self = Self { number: expected, mac: *mac };
        Ok(())
    }

    /// The last record that was followed, and its MAC.
    pub(super) fn place(&self) -> (u64, Hash) {
        (self.number, self.mac)
    }

    /// The end of the chain.
    pub(super) fn end(&self, head: &Head) -> Result<(), Fault> {
        if self.number < head.number {
            return Err(Fault::Cut { expected: head.number, found: self.number });
        }
        if self.number > head.number {
            return Err(Fault::BeyondHead { expected: head.number, found: self.number });
        }
        if self.mac == head.mac { Ok(()) } else { Err(Fault::HeadAltered) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn macs_are_of_the_type_that_compares_in_constant_time_and_keys_are_not_shown() {
        let _: fn(&AuditKeys, &Head) -> [Hash; 3] = |keys, head| [keys.seal(head), head.mac, head.pruned_mac];
        let keys = AuditKeys::derive(&[0xAB; 32]);
        let told = format!("{keys:?} {keys:#?}").to_lowercase();
        assert!(!told.contains("ab, ") && !told.contains("171") && !told.contains('['), "{told}");
    }

    fn record(key: &str) -> Record {
        Record { tenant: "acme".into(), key: key.into(), times: 1, ..Record::default() }
    }

    /// Three records with their numbers and MACs, and their head.
    fn chain(keys: &AuditKeys) -> (Rows, Head) {
        let mut head = Head::empty("acme");
        let records = ["a", "b", "c"].into_iter().map(|key| {
            let record = record(key);
            head.number += 1;
            let link = Link { number: head.number, spool: "s", spool_number: head.number, record: &record };
            head.mac = keys.link(&head.mac, &link);
            (head.number, record, head.mac)
        });
        (records.collect(), head)
    }

    type Rows = Vec<(u64, Record, Hash)>;

    fn walk(keys: &AuditKeys, records: &[(u64, Record, Hash)], head: &Head) -> Result<(), Fault> {
        let mut walk = Walk::from(head);
        for (number, record, mac) in records {
            let spool_number = *number;
            walk.step(keys, &Link { number: *number, spool: "s", spool_number, record }, mac)?;
        }
        walk.end(head)
    }

    #[test]
    fn a_chain_as_it_was_written_verifies_and_any_other_does_not() {
        let keys = AuditKeys::derive(b"secret");
        let (records, head) = chain(&keys);
        assert_eq!(walk(&keys, &records, &head), Ok(()));
        assert_eq!(walk(&AuditKeys::derive(b"other"), &records, &head), Err(Fault::Altered { number: 1 }));
        let tried = |change: &dyn Fn(&mut Rows)| {
            let mut records = records.clone();
            change(&mut records);
            walk(&keys, &records, &head).unwrap_err()
        };
        assert_eq!(tried(&|all| all[1].1.detail = "x".into()), Fault::Altered { number: 2 });
        assert_eq!(tried(&|all| drop(all.remove(0))), Fault::Missing { expected: 1, found: 2 });
        assert_eq!(tried(&|all| drop(all.remove(1))), Fault::Missing { expected: 2, found: 3 });
        assert_eq!(tried(&|all| drop(all.pop())), Fault::Cut { expected: 3, found: 2 });
        assert_eq!(tried(&|all| all.swap(0, 1)), Fault::Missing { expected: 1, found: 2 });
        assert_eq!(
            tried(&|all| {
                let (one, other) = (all[0].1.clone(), all[1].1.clone());
                (all[0].1, all[1].1) = (other, one);
            }),
            Fault::Altered { number: 1 }
        );
        assert_eq!(tried(&|all| all.push((4, record("d"), GENESIS))), Fault::Altered { number: 4 });
    }

    #[test]
    fn a_pruned_chain_verifies_from_its_checkpoint() {
        let keys = AuditKeys::derive(b"secret");
        let (records, head) = chain(&keys);
        let pruned = Head { pruned: 2, pruned_mac: records[1].2, ..head.clone() };
        assert_eq!(walk(&keys, &records[2..], &pruned), Ok(()));
        assert_ne!(keys.seal(&head), keys.seal(&pruned), "a checkpoint is sealed, too");
    }

    #[test]
    fn subjects_say_nothing_without_the_key() {
        let (one, other) = (AuditKeys::derive(b"one"), AuditKeys::derive(b"other"));
        assert_eq!(one.subject("ada"), one.subject("ada"));
        assert_ne!(one.subject("ada"), other.subject("ada"));
        assert_ne!(one.subject("ada"), one.subject("eve"));
        assert_eq!(Subject::parse(&one.subject("ada").hex()), Some(one.subject("ada")));
        assert_eq!(format!("{one:?}"), "AuditKeys(…)");
    }
}
