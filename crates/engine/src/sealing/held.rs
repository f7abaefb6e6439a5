//! Keys in this process's memory, bounded: subjects' keys, and the ciphers that were derived.
//!
//! # Invariant
//! Once [`Held::forget`] has returned, nothing that was known of the subject before is used again: whoever was asking for
//! its key meanwhile puts nothing back.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::SeqCst},
};

use quick_cache::{Equivalent, sync::Cache};
use ring::aead::LessSafeKey;
use smallvec::SmallVec;

use super::{
    SealingLimits,
    keys::{Salt, SubjectKey, random},
    master::KeyId,
};
use crate::{tag::TagId, tenant::Tenant};

/// Messages under one key: far below what the cipher allows for numbers that do not repeat.
const MESSAGES_MAX: u64 = 1 << 32;

/// Whose entries: what a root is derived from, by name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Whose {
    pub(super) master: KeyId,
    pub(super) tenant: Tenant,
    pub(super) subjects: SmallVec<[TagId; 2]>,
}

/// The same, looked up: nothing is counted or copied for it.
#[derive(Clone, Copy, Hash)]
pub(super) struct Of<'a> {
    pub(super) master: KeyId,
    pub(super) tenant: &'a Tenant,
    pub(super) subjects: &'a [TagId],
}

impl Of<'_> {
    pub(super) fn whose(&self) -> Whose {
        let Self { master, tenant, subjects } = *self;
        Whose { master, tenant: tenant.clone(), subjects: SmallVec::from_slice(subjects) }
    }
}

impl Equivalent<Whose> for Of<'_> {
    fn equivalent(&self, whose: &Whose) -> bool {
        self.master == whose.master && *self.tenant == whose.tenant && *self.subjects == *whose.subjects
    }
}

/// A cipher for opening, looked up.
#[derive(Clone, Copy, Hash)]
pub(super) struct OfSalt<'a>(pub(super) Of<'a>, pub(super) Salt);

impl Equivalent<(Whose, Salt)> for OfSalt<'_> {
    fn equivalent(&self, (whose, salt): &(Whose, Salt)) -> bool {
        self.1 == *salt && self.0.equivalent(whose)
    }
}

/// A cipher for sealing. Its salt is random and its messages are numbered, so no number is used twice with a key.
pub(super) struct Session {
    pub(super) salt: Salt,
    pub(super) cipher: LessSafeKey,
    sealed: AtomicU64,
}

impl Session {
    pub(super) fn new(cipher: impl FnOnce(&Salt) -> LessSafeKey) -> Self {
        let salt = random();
        Self { salt, cipher: cipher(&salt), sealed: AtomicU64::new(0) }
    }

    /// The number of the next message; none if there were enough.
    pub(super) fn next(&self) -> Option<u64> {
        let number = self.sealed.fetch_add(1, SeqCst);
        (number < MESSAGES_MAX).then_some(number)
    }

    /// As if it had sealed as many as it may.
    #[cfg(test)]
    pub(super) fn exhaust(&self) {
        self.sealed.store(MESSAGES_MAX, SeqCst);
    }
}

/// When something was asked for; see [`Held`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked(u64);

pub(super) struct Held {
    subjects: Cache<(Tenant, TagId), Arc<SubjectKey>>,
    sessions: Cache<Whose, Arc<Session>>,
    openers: Cache<(Whose, Salt), Arc<LessSafeKey>>,
    /// Counts what was forgotten.
    forgotten: AtomicU64,
}

impl Held {
    pub(super) fn new(limits: &SealingLimits) -> Self {
        Self {
            subjects: Cache::new(limits.subject_keys_max),
            sessions: Cache::new(limits.ciphers_max),
            openers: Cache::new(limits.ciphers_max),
            forgotten: AtomicU64::new(0),
        }
    }

    /// To be taken before a key is asked for that is to be held.
    pub(super) fn asked(&self) -> Asked {
        Asked(self.forgotten.load(SeqCst))
    }

    pub(super) fn subject(&self, tenant: &Tenant, subject: TagId) -> Option<Arc<SubjectKey>> {
        self.subjects.get(&(tenant.clone(), subject))
    }

    pub(super) fn hold_subject(&self, asked: Asked, tenant: &Tenant, subject: TagId, key: Arc<SubjectKey>) {
        let place = (tenant.clone(), subject);
        self.subjects.insert(place.clone(), key);
        // What was forgotten before this line counts here; what is forgotten after it finds the key.
        if self.asked() != asked {
            self.subjects.remove(&place);
        }
    }

    pub(super) fn session(&self, of: &Of<'_>) -> Option<Arc<Session>> {
        self.sessions.get(of)
    }

    pub(super) fn hold_session(&self, asked: Asked, whose: &Whose, session: Arc<Session>) {
        self.sessions.insert(whose.clone(), session);
        if self.asked() != asked {
            self.sessions.remove(whose);
        }
    }

    pub(super) fn opener(&self, place: &OfSalt<'_>) -> Option<Arc<LessSafeKey>> {
        self.openers.get(place)
    }

    pub(super) fn hold_opener(&self, asked: Asked, place: &(Whose, Salt), cipher: Arc<LessSafeKey>) {
        self.openers.insert(place.clone(), cipher);
        if self.asked() != asked {
            self.openers.remove(place);
        }
    }

    /// Forgets everything about some subjects.
    pub(super) fn forget(&self, subjects: &[TagId]) {
        self.forgotten.fetch_add(1, SeqCst);
        self.subjects.retain(|(_, subject), _| !subjects.contains(subject));
        let is_other = |whose: &Whose| !whose.subjects.iter().any(|subject| subjects.contains(subject));
        self.sessions.retain(|whose, _| is_other(whose));
        self.openers.retain(|(whose, _), _| is_other(whose));
    }

    /// Forgets everything.
    pub(super) fn forget_all(&self) {
        self.forgotten.fetch_add(1, SeqCst);
        self.subjects.clear();
        self.sessions.clear();
        self.openers.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sealing::keys::cipher;

    fn whose(subject: u64) -> Whose {
        let tenant = Tenant::new("acme").unwrap();
        Whose { master: KeyId::from_u64(1), tenant, subjects: [TagId(subject)].into_iter().collect() }
    }

    /// What is held about a subject: its key, a session, an opener.
    fn held_of(held: &Held, subject: u64) -> [bool; 3] {
        let whose = whose(subject);
        let of = Of { master: whose.master, tenant: &whose.tenant, subjects: &whose.subjects };
        let opener = held.opener(&OfSalt(of, [0; 16])).is_some();
        [held.subject(&whose.tenant, TagId(subject)).is_some(), held.session(&of).is_some(), opener]
    }

    fn session() -> Arc<Session> {
        Arc::new(Session::new(|_| cipher(&[1; 32])))
    }

    #[test]
    fn what_is_forgotten_is_gone_and_the_rest_stays() {
        let held = Held::new(&SealingLimits::default());
        let tenant = whose(1).tenant;
        for subject in [1, 2] {
            let (asked, key) = (held.asked(), Arc::new(SubjectKey::random()));
            held.hold_subject(asked, &tenant, TagId(subject), key);
            held.hold_session(asked, &whose(subject), session());
            held.hold_opener(asked, &(whose(subject), [0; 16]), Arc::new(cipher(&[1; 32])));
        }
        held.forget(&[TagId(1)]);
        assert_eq!((held_of(&held, 1), held_of(&held, 2)), ([false; 3], [true; 3]));
        held.forget_all();
        assert_eq!(held_of(&held, 2), [false; 3]);
    }

    #[test]
    fn what_was_asked_for_before_is_not_held_after_it_was_forgotten() {
        let held = Held::new(&SealingLimits::default());
        let asked = held.asked();
        held.forget(&[TagId(1)]);
        held.hold_subject(asked, &whose(1).tenant, TagId(1), Arc::new(SubjectKey::random()));
        held.hold_session(asked, &whose(1), session());
        held.hold_opener(asked, &(whose(1), [0; 16]), Arc::new(cipher(&[1; 32])));
        assert_eq!(held_of(&held, 1), [false; 3]);
    }

    #[test]
    fn what_is_looked_up_without_a_copy_is_found_by_all_of_its_name() {
        let held = Held::new(&SealingLimits::default());
        held.hold_session(held.asked(), &whose(1), session());
        let (acme, globex) = (Tenant::new("acme").unwrap(), Tenant::new("globex").unwrap());
        let find = |master, tenant, subjects: &[TagId]| {
            held.session(&Of { master: KeyId::from_u64(master), tenant, subjects }).is_some()
        };
        assert!(find(1, &acme, &[TagId(1)]));
        assert!(!find(2, &acme, &[TagId(1)]) && !find(1, &globex, &[TagId(1)]));
        assert!(!find(1, &acme, &[]) && !find(1, &acme, &[TagId(1), TagId(2)]) && !find(1, &acme, &[TagId(2)]));
    }

    #[test]
    fn a_session_numbers_its_messages_and_ends() {
        let one = session();
        assert_eq!((one.next(), one.next()), (Some(0), Some(1)));
        one.sealed.store(MESSAGES_MAX - 1, SeqCst);
        assert_eq!((one.next(), one.next(), one.next()), (Some(MESSAGES_MAX - 1), None, None));
        assert_ne!(one.salt, session().salt);
    }
}
