//! Client accounts: the tenants.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{
    coherence::Write,
    store::{Reading, StoreError},
    views::{Client, Items},
};

/// Whose clients a list holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientsOf {
    /// All there are: platform administrators.
    Everybody,
    /// Those in which the user is client administrator.
    Administrator(Uuid),
}

/// What can be said of a client.
#[derive(Clone, Debug)]
pub struct ClientData {
    pub name: String,
    pub industry: Option<String>,
    pub description: Option<String>,
}

/// By name.
pub async fn list(db: Reading<'_>, whose: ClientsOf) -> Result<Items<Client>, StoreError> { todo!() }
pub async fn by_id(db: Reading<'_>, client: Uuid) -> Result<Client, StoreError> { todo!() }
/// The slug is made of the name, and made different from those that are taken.
pub async fn create(w: &mut Write, data: &ClientData, now: DateTime<Utc>) -> Result<Client, StoreError> { todo!() }
/// The slug stays: links may hold it.
pub async fn update(w: &mut Write, client: Uuid, data: &ClientData, now: DateTime<Utc>) -> Result<Client, StoreError> { todo!() }
/// Deletes a client; one with engagements only together with all of them.
pub async fn delete(w: &mut Write, client: Uuid, cascade: bool) -> Result<(), StoreError> { todo!() }
