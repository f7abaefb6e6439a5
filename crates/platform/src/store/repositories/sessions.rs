//! Sessions. A session is good while it is neither revoked nor over and its user is active.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{
    coherence::Write,
    store::{Reading, StoreError},
    views::SessionPrincipal,
};

/// Whom a session belongs to, if it is good; the caller compares `expires_at` once more with every use, because a
/// kept answer grows older.
pub async fn principal(db: Reading<'_>, session: Uuid, now: DateTime<Utc>) -> Result<Option<SessionPrincipal>, StoreError> { todo!() }
/// Begins a session and notes that the user was seen.
pub async fn create(w: &mut Write, user: Uuid, now: DateTime<Utc>, expires_at: DateTime<Utc>) -> Result<Uuid, StoreError> { todo!() }
/// Moves the end of a good session.
pub async fn extend(w: &mut Write, session: Uuid, now: DateTime<Utc>, expires_at: DateTime<Utc>) -> Result<(), StoreError> { todo!() }
/// Revokes a session; one that is revoked already stays so.
pub async fn revoke(w: &mut Write, session: Uuid, now: DateTime<Utc>) -> Result<(), StoreError> { todo!() }
/// Revokes all sessions of a user. Returns how many those were.
pub async fn revoke_all(w: &mut Write, user: Uuid, now: DateTime<Utc>) -> Result<u64, StoreError> { todo!() }
/// Deletes sessions that were over before `before`. Returns how many those were.
pub async fn delete_over(w: &mut Write, before: DateTime<Utc>) -> Result<u64, StoreError> { todo!() }
