//! Contexts: who a user is and where they stand, put together from everything else.

use uuid::Uuid;

use crate::{
    coherence::ClientId,
    store::{Reading, StoreError},
    views::{ContextFull, ContextMe, Role},
};

/// What a role allows.
pub fn permissions(role: Option<Role>) -> &'static [&'static str] { todo!() }

/// The context of `user` acting for `client`, which they have access to; or, as a platform administrator, for none.
pub async fn me(db: Reading<'_>, client: Option<ClientId>, user: Uuid) -> Result<ContextMe, StoreError> { todo!() }
/// [`me`] with the clients to choose from and the engagements of `client`.
pub async fn full(db: Reading<'_>, client: Option<ClientId>, user: Uuid) -> Result<ContextFull, StoreError> { todo!() }
