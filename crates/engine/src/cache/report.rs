//! What is cached about a person.
//!
//! There is no index from people to entries: whoever asks has each entry looked at, where that holds nobody up.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;

use super::{
    Cache, Census, Shared,
    others::{OtherNodes, Told, ToldCopy},
};
use crate::{
    entry::Entry,
    key::RawKey,
    store::{Seal, StoreError, StoredEntry},
    tag::{Tag, TagId},
    time::Timestamp,
};

/// Keys that the store is asked for in one go.
const LOOKUPS_AT_ONCE: usize = 256;

/// One value about a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubjectCopy {
    /// The text of its key.
    pub key: String,
    /// Whether this node's memory has it.
    pub in_memory: bool,
    /// How many other nodes' memories have it.
    pub other_nodes: usize,
    /// Whether the store has it, where this node can read it; none if it did not answer.
    pub in_store: Option<bool>,
    /// Since when there is this value; the oldest, if nodes have several.
    pub loaded_at: Timestamp,
    /// Until when it is fresh, at the latest.
    pub expires_at: Timestamp,
    /// Bytes that its value takes in memory; where only the store has it, in the store.
    pub bytes: usize,
    /// Whether it may be served at this moment, as far as the rule is concerned.
    pub is_valid: bool,
}

/// What is cached about a person.
///
/// It covers this node's memory, those of all others that share the store and [follow](Cache::follow) it, and the store
/// itself; but of the store not the entries of another cache version, which its nodes tell. None of it lives beyond
/// [`CacheLimits::subject_lifetime_max`](crate::CacheLimits::subject_lifetime_max).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubjectReport {
    /// The copies.
    pub copies: Vec<SubjectCopy>,
    /// Entries that were looked at, in nodes' memories and in the store.
    pub looked_at: usize,
    /// Whether that was all of them: the store and every other node have answered, and none had more than it may tell.
    pub is_complete: bool,
    /// What became of asking the other nodes.
    pub others: OtherNodes,
}

impl Cache {
    /// What is cached about the person that the tag `subject` stands for, looking at about `looks_max` entries of each
    /// node's memory at most, and at as many of the store.
    ///
    /// Other nodes are asked, and waited for some seconds if one does not answer.
    pub async fn report(&self, subject: &Tag, looks_max: usize) -> SubjectReport {
        let (cache, id) = (self.clone(), subject.id());
        let looking = tokio::task::spawn_blocking(move || cache.find_tagged(&[id], looks_max));
        let (looked, asked) = tokio::join!(looking, self.shared.ask_others(id, looks_max));
        // Not joined only if the runtime ends.
        let Ok((Census { looked_at, is_complete, .. }, found)) = looked else { return SubjectReport::default() };
        let known = found.iter().filter_map(|entry| Some((RawKey::of_text(&entry.text())?, self.shared.copy(entry))));
        let (mut keys, copies): (Vec<RawKey>, Vec<SubjectCopy>) = known.unzip();
        let mut report = SubjectReport { copies, looked_at, is_complete, others: OtherNodes::default() };
        match asked {
            Ok((told, others)) => {
                report.is_complete &= others.missing.is_empty() && others.uncounted == 0;
                report.others = others;
                report.add_told(told, &mut keys);
            }
            Err(error) => report.is_complete = not_asked(&error),
        }
        if self.shared.store.shares_entries() {
            for (copies, keys) in report.copies.chunks_mut(LOOKUPS_AT_ONCE).zip(keys.chunks(LOOKUPS_AT_ONCE)) {
                match self.shared.stored_about(id, keys).await {
                    Ok(found) => {
                        copies.iter_mut().zip(found).for_each(|(copy, found)| copy.in_store = Some(found.is_some()));
                    }
                    Err(error) => report.is_complete = not_asked(&error),
                }
            }
            self.report_of_store(id, looks_max, &mut report).await;
        } else {
            report.copies.iter_mut().for_each(|copy| copy.in_store = Some(false));
        }
        report.copies.sort_by(|one, other| one.key.cmp(&other.key));
        report
    }

    /// Adds the copies that only the store has.
    async fn report_of_store(&self, subject: TagId, looks_max: usize, report: &mut SubjectReport) {
        let shared = &self.shared;
        let found = match shared.store.keys_tagged(subject, looks_max).await {
            Ok(found) => found,
            Err(error) => return report.is_complete = not_asked(&error),
        };
        report.looked_at += found.looked_at;
        report.is_complete &= found.is_complete;
        let told: HashSet<&str> = report.copies.iter().map(|copy| &*copy.key).collect();
        let others: Vec<RawKey> = found.keys.into_iter().filter(|key| !told.contains(key.as_str())).collect();
        for keys in others.chunks(LOOKUPS_AT_ONCE) {
            match shared.stored_about(subject, keys).await {
                Ok(found) => {
                    let copies =
                        keys.iter().zip(found).filter_map(|(key, entry)| Some(shared.stored_copy(key, &entry?)));
                    report.copies.extend(copies);
                }
                Err(error) => report.is_complete = not_asked(&error),
            }
        }
    }
}

impl SubjectReport {
    /// Adds what other nodes told, and the keys of copies that this node has not.
    fn add_told(&mut self, told: Vec<Told>, keys: &mut Vec<RawKey>) {
        let mut places: HashMap<String, usize> =
            self.copies.iter().enumerate().map(|(at, copy)| (copy.key.clone(), at)).collect();
        for Told { looked_at, is_complete, copies } in told {
            self.looked_at += looked_at;
            self.is_complete &= is_complete;
            for told in copies {
                let known = places.get(&told.key).map(|at| &mut self.copies[*at]);
                match (known, RawKey::of_text(&told.key)) {
                    (Some(copy), _) => copy.add(&told),
                    (None, Some(key)) => {
                        places.insert(told.key.clone(), self.copies.len());
                        self.copies.push(told.into());
                        keys.push(key);
                    }
                    // Of a version that calls entries otherwise.
                    (None, None) => self.is_complete = false,
                }
            }
        }
    }
}

impl SubjectCopy {
    /// Another node has it, too.
    fn add(&mut self, told: &ToldCopy) {
        self.other_nodes += 1;
        self.loaded_at = self.loaded_at.min(told.loaded_at());
        self.expires_at = self.expires_at.max(told.expires_at());
        self.is_valid |= told.is_valid;
    }
}

impl From<ToldCopy> for SubjectCopy {
    fn from(told: ToldCopy) -> Self {
        let (loaded_at, expires_at) = (told.loaded_at(), told.expires_at());
        let ToldCopy { key, bytes, is_valid, .. } = told;
        Self { key, in_memory: false, other_nodes: 1, in_store: None, loaded_at, expires_at, bytes, is_valid }
    }
}

impl Shared {
    /// What the store has of some keys, where it is about a person and can be read.
    async fn stored_about(&self, subject: TagId, keys: &[RawKey]) -> Result<Vec<Option<StoredEntry>>, StoreError> {
        let is_about = |entry: &StoredEntry| entry.seal == Seal::None && entry.tags.contains(&subject);
        Ok(self.store.get(keys).await?.into_iter().map(|entry| entry.filter(is_about)).collect())
    }

    fn stored_copy(&self, key: &RawKey, entry: &StoredEntry) -> SubjectCopy {
        SubjectCopy {
            key: key.as_str().to_owned(),
            in_memory: false,
            other_nodes: 0,
            in_store: Some(true),
            loaded_at: entry.loaded_at,
            expires_at: entry.expires_at,
            bytes: entry.value.as_ref().map_or(0, Bytes::len),
            is_valid: self.stands(entry.base, &entry.tags),
        }
    }

    fn copy(&self, entry: &Entry) -> SubjectCopy {
        SubjectCopy {
            key: entry.text(),
            in_memory: true,
            other_nodes: 0,
            in_store: None,
            loaded_at: entry.loaded_at(),
            expires_at: entry.expires_at,
            bytes: entry.memory_bytes(),
            is_valid: self.is_valid(entry),
        }
    }
}

/// The store did not say what it has: a report is not complete.
fn not_asked(error: &StoreError) -> bool {
    tracing::warn!(%error, "a report about a person does not cover the store");
    false
}
