//! Sealing: values are encrypted before they leave the process, and what comes back is trusted only if it opens.
//!
//! ```text
//! master key (file, environment, key service; never here)
//!   └─ tenant key (derived)
//!        ├─ entries about nobody in particular
//!        └─ subject keys (random, wrapped, kept in a database) ─ entries about these subjects, all of them needed
//! ```
//!
//! [`Sealing`] is what a cache is given ([`CacheBuilder::sealing`](crate::CacheBuilder::sealing)); [`store`] puts it
//! around the cache's store. With it, *every* entry in the store is sealed: the cipher costs less than a hash with a key
//! would, so there is no weaker kind for values that are no secret. Without it, entries that are sensitive or about
//! somebody stay out of the store.
//!
//! # Invariants
//! - What does not open is a miss with a reason, never an error: a key that is missing
//!   ([`MissReason::NoKey`](crate::MissReason::NoKey)), anything that was altered, moved or not sealed at all
//!   ([`MissReason::Unauthentic`](crate::MissReason::Unauthentic)).
//! - No number is used twice with a key: a key is derived from a random salt for each process, and its messages are
//!   numbered.
//! - An entry about several subjects opens only while the keys of all of them exist.
//! - Whatever is held of a subject's key is forgotten before an erasure is acknowledged on this node, and on others when
//!   they apply its record.
//!
//! It does not know where keys come from, nor SQL: see `docs/adr/0020-sealing.md`.

mod envelope;
mod held;
mod keys;
mod master;
mod messages;
mod store;
mod subjects;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use parking_lot::RwLock;
use ring::aead::LessSafeKey;
use smallvec::SmallVec;

pub(crate) use self::store::SealedStore;
use self::{
    envelope::{Head, Under},
    held::{Held, Of, OfSalt, Session, Whose},
    keys::{Root, SubjectKey, TenantKey},
};
pub use self::{
    keys::{WRAPPED_KEY_BYTES, WrappedKey},
    master::{InvalidKeyRing, KeyId, KeyRing, MASTER_KEYS_MAX},
    subjects::{MemorySubjectKeys, SubjectKeyError, SubjectKeyRow, SubjectKeys},
};
use crate::{
    key::{CacheVersion, RawKey},
    store::{Seal, StoredEntry},
    tag::{Tag, TagId},
    tenant::Tenant,
    verdict::{MissReason, NotStored},
};

/// Keys that are wrapped anew in one go after a rotation.
const REWRAPPED_AT_ONCE: usize = 256;

/// How much is held in memory, and how long is waited.
#[derive(Clone, Copy, Debug)]
pub struct SealingLimits {
    /// Subjects' keys in memory.
    pub subject_keys_max: usize,
    /// Derived ciphers in memory, for sealing and for opening each.
    pub ciphers_max: usize,
    /// Longest wait for subjects' keys; after it the value is a miss.
    pub lookup_timeout: Duration,
    /// Values of at least so many bytes are compressed before they are sealed, if that makes them an eighth smaller.
    pub compress_bytes_min: usize,
    /// From this size on, a value is compressed and sealed on a thread where it holds nobody up.
    pub elsewhere_bytes_min: usize,
    /// Bytes of one value; a longer one is not unpacked.
    pub value_bytes_max: usize,
}

impl Default for SealingLimits {
    fn default() -> Self {
        Self {
            subject_keys_max: 65_536,
            ciphers_max: 16_384,
            lookup_timeout: Duration::from_millis(250),
            compress_bytes_min: 1024,
            elsewhere_bytes_min: 128 << 10,
            value_bytes_max: 8 << 20,
        }
    }
}

/// Seals what leaves the process, and opens what comes back. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Sealing(Arc<Inner>);

struct Inner {
    ring: RwLock<KeyRing>,
    /// The ring's current key: its id is all that sealing needs where its cipher is at hand.
    current: AtomicU64,
    keys: Arc<dyn SubjectKeys>,
    version: CacheVersion,
    limits: SealingLimits,
    held: Held,
}

/// A cipher, or what has to be asked for before there can be one.
enum Ready<T> {
    Now(T),
    Ask,
    No,
}

impl Sealing {
    /// With `ring`, for entries of the cache's generation `version`; subjects' keys are kept in `keys`.
    pub fn new(ring: KeyRing, keys: Arc<dyn SubjectKeys>, version: CacheVersion, limits: SealingLimits) -> Self {
        let current = ring.current_id().as_u64().into();
        Self(Arc::new(Inner { ring: RwLock::new(ring), current, keys, version, held: Held::new(&limits), limits }))
    }

    /// Puts other master keys in force. What was sealed with a key that is still in the ring opens as before; a key that
    /// is not there any more opens nothing. Then have [`rewrap`](Self::rewrap) run.
    pub fn rotate(&self, ring: KeyRing) {
        {
            let mut held = self.0.ring.write();
            // Within the lock, so that of two rotations the later one is the last in both.
            self.0.current.store(ring.current_id().as_u64(), SeqCst);
            *held = ring;
        }
        // Also what was derived from a key that is gone.
        self.0.held.forget_all();
    }

    /// Which master keys are in force, the current one first.
    pub fn key_ids(&self) -> Vec<KeyId> {
        self.0.ring.read().ids().collect()
    }

    /// Wraps subjects' keys anew that are wrapped by a previous master key, so that it can be dropped; returns how many
    /// those were. Keys whose master key is not in the ring stay as they are. Safe on several nodes at once.
    pub async fn rewrap(&self) -> Result<usize, SubjectKeyError> {
        let ring = self.0.ring.read().clone();
        let mut done = 0;
        loop {
            let rows = self.0.keys.wrapped_by_others(ring.current_id(), REWRAPPED_AT_ONCE).await?;
            let mut opened = 0;
            for row in &rows {
                let Some(key) = unwrapped(&ring, row) else { continue };
                let current = TenantKey::new(ring.current(), &row.tenant);
                let wrapped = current.wrap(ring.current_id(), &row.tenant, row.subject, &key);
                self.0.keys.rewrap(row, wrapped).await?;
                opened += 1;
            }
            done += opened;
            if opened == 0 {
                return Ok(done);
            }
        }
    }

    /// Destroys the keys of a subject; whatever was sealed about it can never be read again. Returns how many there were.
    pub(crate) async fn destroy(&self, subject: TagId) -> Result<u64, SubjectKeyError> {
        let destroyed = self.0.keys.destroy(subject).await;
        // After it: who has asked before is told by the count of what was forgotten.
        self.forget(&[subject]);
        destroyed
    }

    /// Forgets what this node holds of some subjects' keys.
    pub(crate) fn forget(&self, subjects: &[TagId]) {
        self.0.held.forget(subjects);
    }

    /// Forgets what this node holds of all subjects' keys: it may have missed that some are destroyed.
    pub(crate) fn forget_all(&self) {
        self.0.held.forget_all();
    }

    /// A name for a subject that says nothing of it without the master key: the same as long as that is current.
    pub(crate) fn pseudonym(&self, subject: &Tag) -> String {
        let ring = self.0.ring.read();
        let key = blake3::derive_key("unstale 2026 sealing: names of subjects in proofs", &*ring.current().bytes);
        let mut hasher = blake3::Hasher::new_keyed(&key);
        hasher.update(&subject.id().as_u64().to_be_bytes());
        hasher.update(subject.as_str().as_bytes());
        format!("{}:{}", ring.current_id(), &hasher.finalize().to_hex()[..32])
    }

    /// Seals an entry, as a cache does for its store; the reason if it cannot be.
    pub async fn seal(&self, key: &RawKey, mut entry: StoredEntry) -> Result<StoredEntry, NotStored> {
        let master = KeyId::from_u64(self.0.current.load(SeqCst));
        let of = of(master, key.tenant(), &entry.tags, entry.subjects).ok_or(NotStored::TooManySubjects)?;
        let (session, number) = loop {
            let session = match self.session(&of) {
                Ready::Now(session) => session,
                Ready::No => return Err(NotStored::NoKey),
                Ready::Ask => {
                    self.ask(&of.whose(), true).await.map_err(|()| NotStored::NoKey)?;
                    match self.session(&of) {
                        Ready::Now(session) => session,
                        // Forgotten at this moment, which an erasure does.
                        Ready::Ask | Ready::No => return Err(NotStored::NoKey),
                    }
                }
            };
            match session.next() {
                Some(number) => break (session, number),
                None => self.0.held.forget_all(),
            }
        };
        let length = entry.value.as_ref().map_or(0, bytes::Bytes::len);
        let under = Under { master, salt: session.salt, counter: number };
        if length < self.0.limits.elsewhere_bytes_min {
            self.seal_now(key, &mut entry, &session, under);
            return Ok(entry);
        }
        let (this, key) = (self.clone(), key.clone());
        let sealing = tokio::task::spawn_blocking(move || {
            this.seal_now(&key, &mut entry, &session, under);
            entry
        });
        // Not joined only if the runtime ends, and then nothing is kept.
        sealing.await.map_err(|_| NotStored::NoKey)
    }

    fn seal_now(&self, key: &RawKey, entry: &mut StoredEntry, session: &Session, under: Under) {
        let Inner { version, limits, .. } = &*self.0;
        let value = envelope::seal(key, version, entry, limits.compress_bytes_min, (&session.cipher, under));
        entry.value = Some(value);
        entry.seal = Seal::Sealed;
    }

    /// Opens an entry, if it is one that was sealed for this key; else the reason why it is a miss.
    pub async fn open(&self, key: &RawKey, mut entry: StoredEntry) -> Result<StoredEntry, MissReason> {
        let head = match (&entry.seal, &entry.value) {
            (Seal::Sealed, Some(value)) => Head::of(value).ok_or(MissReason::Unauthentic)?,
            (Seal::Broken(reason), _) => return Err(*reason),
            // Whoever can write to the store must not choose that a value need not be sealed.
            _ => return Err(MissReason::Unauthentic),
        };
        let of = of(head.master, key.tenant(), &entry.tags, head.subjects).ok_or(MissReason::Unauthentic)?;
        let asked = self.0.held.asked();
        let (cipher, new) = if let Some(cipher) = self.0.held.opener(&OfSalt(of, head.salt)) {
            (cipher, None)
        } else {
            let place = (of.whose(), head.salt);
            (self.opener(&place).await.ok_or(MissReason::NoKey)?, Some(place))
        };
        let Inner { version, limits, .. } = &*self.0;
        let opened = envelope::open(key, version, &mut entry, limits.value_bytes_max, &cipher);
        opened.map_err(|_| MissReason::Unauthentic)?;
        entry.seal = Seal::None;
        if let Some(place) = new {
            // Only now: salts that somebody made up are not worth remembering.
            self.0.held.hold_opener(asked, &place, cipher);
        }
        Ok(entry)
    }

    async fn opener(&self, (whose, salt): &(Whose, keys::Salt)) -> Option<Arc<LessSafeKey>> {
        let root = match self.root(whose) {
            Ready::Now(root) => root,
            Ready::No => return None,
            Ready::Ask => {
                self.ask(whose, false).await.ok()?;
                match self.root(whose) {
                    Ready::Now(root) => root,
                    Ready::Ask | Ready::No => return None,
                }
            }
        };
        Some(Arc::new(root.cipher(salt)))
    }

    fn session(&self, of: &Of<'_>) -> Ready<Arc<Session>> {
        if let Some(session) = self.0.held.session(of) {
            return Ready::Now(session);
        }
        let (asked, whose) = (self.0.held.asked(), of.whose());
        match self.root(&whose) {
            Ready::Now(root) => {
                let session = Arc::new(Session::new(|salt| root.cipher(salt)));
                self.0.held.hold_session(asked, &whose, session.clone());
                Ready::Now(session)
            }
            Ready::Ask => Ready::Ask,
            Ready::No => Ready::No,
        }
    }

    /// What the entries' keys are derived from, if all subjects' keys are in memory.
    fn root(&self, whose: &Whose) -> Ready<Root> {
        let ring = self.0.ring.read();
        let Some(master) = ring.get(whose.master) else { return Ready::No };
        let keys: Option<SmallVec<[Arc<SubjectKey>; 2]>> =
            whose.subjects.iter().map(|subject| self.0.held.subject(&whose.tenant, *subject)).collect();
        let Some(keys) = keys else { return Ready::Ask };
        let subjects = whose.subjects.iter().copied().zip(keys.iter().map(|key| &**key));
        Ready::Now(TenantKey::new(master, &whose.tenant).root(subjects))
    }

    /// Gets into memory what is missing of the subjects' keys, and creates those that do not exist if `may_create`.
    async fn ask(&self, whose: &Whose, may_create: bool) -> Result<(), ()> {
        let asking = tokio::time::timeout(self.0.limits.lookup_timeout, self.ask_now(whose, may_create));
        match asking.await {
            Ok(Ok(known)) => known.then_some(()).ok_or(()),
            Ok(Err(error)) => {
                tracing::debug!(%error, "an entry about somebody cannot be sealed or opened");
                Err(())
            }
            Err(_elapsed) => Err(()),
        }
    }

    async fn ask_now(&self, Whose { tenant, subjects, .. }: &Whose, may_create: bool) -> Result<bool, SubjectKeyError> {
        let Inner { held, keys, ring, .. } = &*self.0;
        let asked = held.asked();
        let missing: Vec<TagId> =
            subjects.iter().copied().filter(|subject| held.subject(tenant, *subject).is_none()).collect();
        let found = keys.find(tenant, &missing).await?;
        let ring = ring.read().clone();
        for (subject, found) in missing.into_iter().zip(found) {
            let key = match found {
                Some(key) => key,
                None if may_create => {
                    let current = TenantKey::new(ring.current(), tenant);
                    let key = current.wrap(ring.current_id(), tenant, subject, &SubjectKey::random());
                    keys.create(&SubjectKeyRow { tenant: tenant.clone(), subject, key }).await?
                }
                None => return Ok(false),
            };
            let Some(key) = unwrapped(&ring, &SubjectKeyRow { tenant: tenant.clone(), subject, key }) else {
                return Ok(false);
            };
            held.hold_subject(asked, tenant, subject, Arc::new(key));
        }
        Ok(true)
    }
}

/// Whose an entry is; none if it has fewer tags than it says to have subjects.
fn of<'a>(master: KeyId, tenant: &'a Tenant, tags: &'a [TagId], subjects: u8) -> Option<Of<'a>> {
    Some(Of { master, tenant, subjects: tags.get(..usize::from(subjects))? })
}

fn unwrapped(ring: &KeyRing, row: &SubjectKeyRow) -> Option<SubjectKey> {
    let master = ring.get(row.key.master)?;
    TenantKey::new(master, &row.tenant).unwrap(&row.tenant, row.subject, &row.key)
}

impl fmt::Debug for Sealing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealing(current key {})", self.0.ring.read().current_id())
    }
}

#[cfg(test)]
mod tests;
