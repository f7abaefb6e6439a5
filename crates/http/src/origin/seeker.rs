//! Who seeks a response: what a load of an origin's lifetime knows of its request, and what it tells the one who waits for
//! it beside what the engine passes on.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicBool};

use unstale::{Fetched, Key, ReadOptions, StaleReason, Verdict};

use super::{
    OriginRead, now,
    suit::{Sought, Suit},
};
use crate::{
    answer::Asked,
    load::Miss,
    look_up::LookUp,
    rfc9111::{reuse::StaleUse, update::Fields},
    shared::Shared,
    stored::StoredResponse,
};

/// What a load needs of its request, besides the request itself.
pub(super) struct Seeker {
    pub(super) shared: Arc<Shared>,
    pub(super) asked: Asked,
    pub(super) look_up: LookUp,
    pub(super) options: ReadOptions,
    pub(super) read: Box<OriginRead>,
    /// There is no answer but under another variant: the digest of what the request selects.
    pub(super) other_variant: Mutex<Option<u128>>,
    /// What of the origin's head is given to the one who asked, and not kept.
    pub(super) once: Mutex<Fields>,
    /// Why what was there would not do.
    pub(super) refused: Mutex<Option<&'static str>>,
    /// The origin has confirmed what was there.
    pub(super) validated: AtomicBool,
}

impl Seeker {
    pub(super) fn new(miss: Miss, read: Box<OriginRead>) -> Self {
        let Miss { shared, asked, look_up, options } = miss;
        Self {
            shared,
            asked,
            look_up,
            options,
            read,
            other_variant: Mutex::default(),
            once: Mutex::default(),
            refused: Mutex::default(),
            validated: AtomicBool::default(),
        }
    }

    pub(super) fn sought(&self) -> Sought<'_> {
        self.asked.sought(&self.read.headers, &self.read.control, self.look_up.searched.as_deref())
    }

    pub(super) fn suits(&self, fetched: &Fetched<StoredResponse>) -> Suit {
        fetched.value().map_or(Suit::TooLittle, |stored| self.sought().judge(stored, now(&self.shared)))
    }

    /// Whether the reader takes a response that it did not ask the origin for.
    pub(super) fn takes(&self, fetched: &Fetched<StoredResponse>) -> bool {
        if fetched.verdict == Verdict::Stale(StaleReason::FailSafe) {
            return fetched.value().is_some_and(|stored| self.sought().may_stand_in(stored, now(&self.shared)));
        }
        let suit = self.suits(fetched);
        *locked(&self.refused) = suit.reason();
        matches!(suit, Suit::Fresh | Suit::Stale(StaleUse::MaxStale))
    }

    /// Whether the reader takes a response where the origin is not to be asked. If it is another variant, notes which one is
    /// wanted.
    pub(super) fn takes_stored(&self, fetched: &Fetched<StoredResponse>) -> bool {
        let suit = self.suits(fetched);
        if let Suit::OtherVariant(digest) = suit {
            *locked(&self.other_variant) = Some(digest);
        }
        matches!(suit, Suit::Fresh | Suit::Stale(_))
    }

    pub(super) fn key(&self, variant: Option<u128>) -> Key<StoredResponse> {
        match variant {
            None => self.look_up.key.clone(),
            Some(digest) => self.read.key(&self.shared, &self.look_up, digest),
        }
    }
}

pub(super) fn locked<T>(slot: &Mutex<T>) -> MutexGuard<'_, T> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}
