//! What a session was served: tags, exactly up to a limit, and roughly beyond it.

use std::collections::HashSet;

use unstale::TagId;

/// Bits of the rough part: a power of two. 8 KiB, made only when it is needed.
const FILTER_BITS: usize = 1 << 16;

/// The tags of a session. What it contains it always says; beyond the limit it may say more (a Bloom filter with one
/// hash; Bloom 1970), which costs a needless `resync`.
#[derive(Debug, Default)]
pub(super) struct Interest {
    exact: HashSet<TagId>,
    rough: Option<Box<[u64]>>,
}

/// Whether a tag is in an interest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Match {
    Exactly,
    Roughly,
    No,
}

impl Interest {
    /// Adds a tag that is not in it, exactly if `there_is_room`. Says whether it was added exactly.
    pub(super) fn add(&mut self, tag: TagId, there_is_room: bool) -> bool {
        if there_is_room {
            self.exact.insert(tag)
        } else {
            let rough = self.rough.get_or_insert_with(|| vec![0; FILTER_BITS / 64].into());
            let (word, bit) = place(tag);
            rough[word] |= bit;
            false
        }
    }

    pub(super) fn has(&self, tag: TagId) -> Match {
        let roughly = || {
            self.rough.as_ref().is_some_and(|rough| {
                let (word, bit) = place(tag);
                rough[word] & bit != 0
            })
        };
        if self.exact.contains(&tag) {
            Match::Exactly
        } else if roughly() {
            Match::Roughly
        } else {
            Match::No
        }
    }

    /// How many are remembered exactly.
    pub(super) fn len(&self) -> usize {
        self.exact.len()
    }

    pub(super) fn is_rough(&self) -> bool {
        self.rough.is_some()
    }

    pub(super) fn exact(&self) -> impl Iterator<Item = TagId> {
        self.exact.iter().copied()
    }
}

/// A tag's id is a hash already.
fn place(tag: TagId) -> (usize, u64) {
    let at = usize::try_from(tag.as_u64() >> 48).expect("16 bits fit") % FILTER_BITS;
    (at / 64, 1 << (at % 64))
}

#[cfg(test)]
mod tests {
    use unstale::{Tag, Tenant};

    use super::*;

    fn tag(number: usize) -> TagId {
        Tag::of(&Tenant::new("acme").unwrap(), "row", number).id()
    }

    #[test]
    fn nothing_that_was_added_is_ever_denied() {
        let mut interest = Interest::default();
        for number in 0..5000 {
            interest.add(tag(number), number < 100);
        }
        assert_eq!(interest.len(), 100);
        assert!((0..100).all(|number| interest.has(tag(number)) == Match::Exactly));
        assert!((100..5000).all(|number| interest.has(tag(number)) == Match::Roughly));
        let mistaken = (5000..15_000).filter(|number| interest.has(tag(*number)) != Match::No).count();
        assert!(mistaken < 1000, "{mistaken} of 10,000 strangers were taken for interests");
    }
}
