//! Sessions whose interest was dropped while they may still live: they have to resynchronise when they come back.

use std::{
    collections::{HashSet, VecDeque},
    hash::{BuildHasher as _, RandomState},
};

use super::LiveIdentity;

/// Sessions remembered as forgotten, per partition; the oldest give way.
const FORGOTTEN_MAX: usize = 65_536;

#[derive(Debug, Default)]
pub(super) struct Forgotten {
    hasher: RandomState,
    sessions: HashSet<u64>,
    by_age: VecDeque<u64>,
}

impl Forgotten {
    pub(super) fn add(&mut self, who: &LiveIdentity) {
        let hash = self.hash(who);
        if self.sessions.insert(hash) {
            self.by_age.push_back(hash);
        }
        // Those that came back have left their place in the queue behind.
        while self.by_age.len() > FORGOTTEN_MAX {
            if let Some(oldest) = self.by_age.pop_front() {
                self.sessions.remove(&oldest);
            }
        }
    }

    /// Whether it was forgotten; not any more.
    pub(super) fn remove(&mut self, who: &LiveIdentity) -> bool {
        let hash = self.hash(who);
        self.sessions.remove(&hash)
    }

    fn hash(&self, who: &LiveIdentity) -> u64 {
        self.hasher.hash_one((&who.session, &who.tenant))
    }
}

#[cfg(test)]
mod tests {
    use unstale::Tenant;

    use super::*;

    #[test]
    fn remembers_once_and_the_newest() {
        let who = |session: usize| LiveIdentity {
            tenant: Tenant::new("acme").unwrap(),
            user: "ada".into(),
            session: session.to_string().into(),
        };
        let mut forgotten = Forgotten::default();
        (0..=FORGOTTEN_MAX).for_each(|session| forgotten.add(&who(session)));
        assert!(!forgotten.remove(&who(0)));
        assert!(forgotten.remove(&who(1)));
        assert!(!forgotten.remove(&who(1)));
        assert_eq!(forgotten.sessions.len(), FORGOTTEN_MAX - 1);
    }
}
