//! Sessions whose interest was dropped while they may still live: they have to resynchronise when they come back.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    hash::{BuildHasher as _, RandomState},
};

use super::LiveIdentity;

/// Sessions remembered as forgotten, per partition; the oldest give way.
const FORGOTTEN_MAX: usize = 65_536;

#[derive(Debug, Default)]
pub(super) struct Forgotten {
    hasher: RandomState,
    /// Each with when it was forgotten last, as a number that counts on.
    sessions: HashMap<u64, u64>,
    by_age: VecDeque<(u64, u64)>,
    last: u64,
}

impl Forgotten {
    pub(super) fn add(&mut self, who: &LiveIdentity) {
        let hash = self.hash(who);
        if let Entry::Vacant(free) = self.sessions.entry(hash) {
            self.last += 1;
            free.insert(self.last);
            self.by_age.push_back((hash, self.last));
        }
        // Those that came back have left their place in the queue behind, and may have been forgotten again since.
        while self.by_age.len() > FORGOTTEN_MAX {
            if let Some((oldest, number)) = self.by_age.pop_front()
                && self.sessions.get(&oldest) == Some(&number)
            {
                self.sessions.remove(&oldest);
            }
        }
    }

    /// Whether it was forgotten; not any more.
    pub(super) fn remove(&mut self, who: &LiveIdentity) -> bool {
        let hash = self.hash(who);
        self.sessions.remove(&hash).is_some()
    }

    fn hash(&self, who: &LiveIdentity) -> u64 {
        self.hasher.hash_one((&who.session, &who.tenant))
    }
}

#[cfg(test)]
mod tests {
    use unstale::Tenant;

    use super::*;

    fn who(session: usize) -> LiveIdentity {
        let tenant = Tenant::new("acme").unwrap();
        LiveIdentity { tenant, user: "ada".into(), session: session.to_string().into() }
    }

    #[test]
    fn who_came_back_and_was_forgotten_again_is_as_new_as_that() {
        let mut forgotten = Forgotten::default();
        forgotten.add(&who(0));
        assert!(forgotten.remove(&who(0)));
        (1..FORGOTTEN_MAX).for_each(|session| forgotten.add(&who(session)));
        forgotten.add(&who(0));
        assert!(forgotten.remove(&who(0)), "its first place in the queue took it away");
    }

    #[test]
    fn remembers_once_and_the_newest() {
        let mut forgotten = Forgotten::default();
        (0..=FORGOTTEN_MAX).for_each(|session| forgotten.add(&who(session)));
        assert!(!forgotten.remove(&who(0)));
        assert!(forgotten.remove(&who(1)));
        assert!(!forgotten.remove(&who(1)));
        assert_eq!(forgotten.sessions.len(), FORGOTTEN_MAX - 1);
    }
}
