//! How many variants of one URL are kept: whoever chooses headers must not fill the memory with one page's.
//!
//! *Decides* which variant goes; who has it removed is the loader. A hit costs nothing: that a variant was used is seen
//! by the hits that its stored response counts. So the one that goes is the one that was kept longest and not used since
//! it was last looked at (a second chance, which comes as near to "least recently used" as its users can tell).
//!
//! # Invariants
//! - At most `variants_max` variants of a URL that this node has loaded are kept, for each owner.
//! - At most [`URLS_MAX`] URLs are watched; those of which nothing was loaded in a while are forgotten, and their
//!   variants go as everything else goes, by memory and time.

use std::sync::{Mutex, PoisonError};

use crate::generations::Generations;

/// URLs that are watched at once.
const URLS_MAX: usize = 16_384;

/// A variant that was kept, and how often it had been used when it was last looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    variant: u128,
    hits: u64,
}

/// The variants of all URLs, as far as this node has loaded them.
#[derive(Debug)]
pub(crate) struct Variants(Mutex<Generations<u128, Vec<Seen>>>);

impl Default for Variants {
    fn default() -> Self {
        Self(Mutex::new(Generations::new(URLS_MAX)))
    }
}

impl Variants {
    /// Notes that a variant of a URL is about to be kept. Returns the one that goes for it, if there are too many.
    /// `hits` says how often a variant was used; none if it is not there any more.
    pub(crate) fn admit(
        &self,
        url: u128,
        variant: u128,
        variants_max: usize,
        hits: impl Fn(u128) -> Option<u64>,
    ) -> Option<u128> {
        let mut urls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        admit(urls.entry(url, Vec::new), variant, variants_max.max(1), hits)
    }
}

fn admit(seen: &mut Vec<Seen>, variant: u128, variants_max: usize, hits: impl Fn(u128) -> Option<u64>) -> Option<u128> {
    if seen.iter().any(|one| one.variant == variant) {
        return None;
    }
    let mut gone = None;
    if seen.len() >= variants_max {
        seen.retain(|one| hits(one.variant).is_some());
    }
    if seen.len() >= variants_max {
        let unused = |one: &mut Seen| {
            let now = hits(one.variant).unwrap_or_default();
            std::mem::replace(&mut one.hits, now) == now
        };
        // Those before it were used: each is looked at once, and comes after the others from now on.
        let place = seen.iter_mut().position(unused).unwrap_or(0);
        seen.rotate_left(place);
        gone = Some(seen.remove(0).variant);
    }
    seen.push(Seen { variant, hits: 0 });
    gone
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn the_one_that_was_not_used_goes() {
        let variants = Variants::default();
        let mut hits: HashMap<u128, u64> = HashMap::new();
        let keep = |variant: u128, hits: &mut HashMap<u128, u64>| {
            let gone = variants.admit(7, variant, 3, |one| hits.get(&one).copied());
            hits.insert(variant, 0);
            gone.iter().for_each(|gone| assert!(hits.remove(gone).is_some()));
            gone
        };
        for variant in 1..=3 {
            assert_eq!(keep(variant, &mut hits), None);
        }
        assert_eq!(keep(2, &mut hits), None, "it is there already");
        hits.insert(1, 5);
        assert_eq!(keep(4, &mut hits), Some(2));
        // 1 was used before it was looked at last, not since; but 3 was kept before that.
        assert_eq!(keep(5, &mut hits), Some(3));
        hits.insert(1, 6);
        assert_eq!(keep(6, &mut hits), Some(4));
        // All were used: the oldest goes.
        hits.values_mut().for_each(|hits| *hits += 1);
        assert!(keep(7, &mut hits).is_some());
        assert_eq!(hits.len(), 3);
    }

    #[test]
    fn what_is_gone_by_itself_makes_room() {
        let mut seen = Vec::new();
        for variant in 0..3 {
            assert_eq!(admit(&mut seen, variant, 3, |_| Some(0)), None);
        }
        assert_eq!(admit(&mut seen, 9, 3, |variant| (variant != 1).then_some(0)), None);
        assert_eq!(seen.len(), 3);
    }

    #[test]
    fn one_that_is_used_outlives_any_number_of_others() {
        let variants = Variants::default();
        for variant in 1..10_000 {
            let uses = u64::try_from(variant).unwrap();
            let gone = variants.admit(7, variant, 16, |one| Some(if one == 1 { uses } else { 0 }));
            assert_ne!(gone, Some(1));
        }
    }
}
