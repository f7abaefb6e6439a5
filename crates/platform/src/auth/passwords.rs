//! Passwords: argon2id, off the async threads, a bounded number at a time.
//!
//! # Invariants
//! - A verification costs the same whether or not the user exists ([`Passwords::verify`] takes an `Option`).
//! - At most one hash per core is computed at a time, and at most [`WAITING_MAX`] wait: a flood of sign-ins takes
//!   neither the memory nor the threads from everybody else.
//!
//! It does not count failures; see [`sign_in`](super::sign_in).

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Passwords that wait for their turn; more are told to come back.
const WAITING_MAX: usize = 128;
/// How long a password waits for its turn.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// Shortest password that is accepted for a new account, in characters.
pub const LENGTH_MIN: usize = 10;
/// Longest password, in bytes: hashing more is work for nothing.
pub const BYTES_MAX: usize = 256;

/// What a hash costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cost {
    /// OWASP's first choice for argon2id: 19 MiB, two passes, one lane.
    Full,
    /// Next to nothing, for tests of everything else; settings refuse it anywhere but on loopback.
    Low,
}

/// A password that could not be judged now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many sign-ins at once; try again in a few seconds")]
pub struct Busy;

/// Hashes and verifies passwords. Cheap to clone.
#[derive(Clone)]
pub struct Passwords {
    argon2: Argon2<'static>,
    nobodys_hash: Arc<str>,
    turns: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
}

impl Passwords {
    /// Of this cost, for this many at a time.
    pub fn new(cost: Cost, at_once: usize) -> Self {
        let params = match cost {
            Cost::Full => Params::new(19 * 1024, 2, 1, None),
            Cost::Low => Params::new(8, 1, 1, None),
        };
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.expect("the parameters are constants"));
        let nobodys_hash = hash_now(&argon2, "the password of nobody").into();
        let turns = Arc::new(Semaphore::new(at_once.max(1)));
        Self { argon2, nobodys_hash, turns, waiting: Arc::default() }
    }

    /// The hash to keep for a password, with its own salt and its parameters.
    pub async fn hash(&self, password: String) -> Result<String, Busy> {
        let (turn, argon2) = (self.turn().await?, self.argon2.clone());
        let hashed = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            hash_now(&argon2, &password)
        });
        hashed.await.map_err(|_| Busy)
    }

    /// Whether `password` is the one that `hash` was made of; takes as long, and is false, without a hash.
    pub async fn verify(&self, password: String, hash: Option<String>) -> Result<bool, Busy> {
        let (turn, argon2, nobodys_hash) = (self.turn().await?, self.argon2.clone(), self.nobodys_hash.clone());
        let verified = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let matches = argon2.verify_password(password.as_bytes(), hash.as_deref().unwrap_or(&nobodys_hash)).is_ok();
            matches && hash.is_some()
        });
        verified.await.map_err(|_| Busy)
    }

    async fn turn(&self) -> Result<OwnedSemaphorePermit, Busy> {
        let _waiting = Waiting::begin(&self.waiting)?;
        let turn = tokio::time::timeout(WAIT_MAX, self.turns.clone().acquire_owned()).await;
        Ok(turn.map_err(|_| Busy)?.expect("the semaphore is never closed"))
    }
}

/// Counts one that waits, until dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn begin(count: &'a AtomicUsize) -> Result<Self, Busy> {
        let waiting = Self(count);
        if count.fetch_add(1, Ordering::Relaxed) >= WAITING_MAX { Err(Busy) } else { Ok(waiting) }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn hash_now(argon2: &Argon2<'_>, password: &str) -> String {
    argon2.hash_password(password.as_bytes()).expect("the salt is random and the parameters are constants").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_full_cost_is_argon2id_as_owasp_advises() {
        let passwords = Passwords::new(Cost::Full, 1);
        let hash = passwords.hash("correct horse".into()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(passwords.verify("correct horse".into(), Some(hash)).await.unwrap());
    }

    #[tokio::test]
    async fn only_the_right_password_of_somebody_is_right() {
        let passwords = Passwords::new(Cost::Low, 2);
        let hash = passwords.hash("correct horse".into()).await.unwrap();
        assert!(passwords.verify("correct horse".into(), Some(hash.clone())).await.unwrap());
        assert!(!passwords.verify("battery staple".into(), Some(hash)).await.unwrap());
        assert!(!passwords.verify("the password of nobody".into(), None).await.unwrap());
        assert!(!passwords.verify("x".into(), Some("not a hash".into())).await.unwrap());
    }

    #[tokio::test]
    async fn equal_passwords_have_different_hashes() {
        let passwords = Passwords::new(Cost::Low, 2);
        assert_ne!(passwords.hash("same".into()).await.unwrap(), passwords.hash("same".into()).await.unwrap());
    }

    #[tokio::test]
    async fn one_more_than_may_wait_is_sent_away() {
        let passwords = Passwords::new(Cost::Low, 1);
        passwords.waiting.store(WAITING_MAX, Ordering::Relaxed);
        assert_eq!(passwords.hash("x".into()).await, Err(Busy));
        assert_eq!(passwords.waiting.load(Ordering::Relaxed), WAITING_MAX);
    }
}
