//! Which entries in Redis carry a tag.
//!
//! There is no index from tags to entries, on purpose: an invalidation costs the same whatever the number of entries. So
//! this [walks](super::walk) over all names, and looks at the heads of the entries among them.

use std::collections::HashSet;

use redis::{Cmd, Value};

use super::{Shared, entry, walk::Walk};
use crate::{
    key::RawKey,
    store::{StoreError, TaggedKeys},
    tag::TagId,
};

/// Bytes of an entry that are looked at: its head, and 32 tags. Who has more is looked at once more.
const HEAD_BYTES: usize = entry::head_bytes(32);

impl Shared {
    pub(super) async fn keys_tagged(&self, tag: TagId, looks_max: usize) -> Result<TaggedKeys, StoreError> {
        let names_max = u64::try_from(looks_max).unwrap_or(u64::MAX);
        let mut walk = Walk::begin(self, names_max).await?;
        let (mut keys, mut looked_at) = (HashSet::new(), 0);
        while let Some(page) = walk.next().await? {
            let key_of = |name| Some((name, self.names.key_of(name)?));
            let (names, of_page): (Vec<&[u8]>, Vec<RawKey>) = page.names().filter_map(key_of).unzip();
            looked_at += names.len();
            let heads = page.ask_each(self, &names, |name| beginning(name, HEAD_BYTES)).await?;
            let mut cut_off = Vec::new();
            for ((name, key), head) in names.into_iter().zip(of_page).zip(heads) {
                match carries(&head, tag) {
                    Some(true) => drop(keys.insert(key)),
                    Some(false) => {}
                    None => cut_off.push((name, key)),
                }
            }
            let names: Vec<&[u8]> = cut_off.iter().map(|(name, _)| *name).collect();
            let heads = page.ask_each(self, &names, |name| beginning(name, entry::head_bytes(usize::from(u16::MAX))));
            for ((_, key), head) in cut_off.iter().zip(heads.await?) {
                if carries(&head, tag) == Some(true) {
                    keys.insert(key.clone());
                }
            }
        }
        Ok(TaggedKeys { keys: keys.into_iter().collect(), looked_at, is_complete: walk.complete })
    }
}

fn beginning(name: &[u8], bytes: usize) -> Cmd {
    redis::cmd("GETRANGE").arg(name).arg(0).arg(bytes - 1).take()
}

/// Whether an entry that begins so carries a tag; none if its tags go on. What is no entry carries none.
fn carries(head: &Value, tag: TagId) -> Option<bool> {
    let Value::BulkString(head) = head else { return Some(false) };
    let Some((tags, are_all)) = entry::tags_of(head) else { return Some(false) };
    if tags.contains(&tag) { Some(true) } else { are_all.then_some(false) }
}
