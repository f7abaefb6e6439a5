//! Repositories: one file for each group of entities.
//!
//! Reads take a [`Reading`](super::Reading), writes a [`Write`](crate::coherence::Write); both take the tenant
//! explicitly. `now` is an argument everywhere.

pub mod assets;
pub mod clients;
pub mod context;
pub mod corrections;
pub mod engagements;
pub mod flows;
pub mod imports;
pub mod mappings;
pub mod memberships;
pub mod sessions;
pub mod users;

mod flow_steps;
mod rows;

use crate::coherence::ClientId;

/// Most rows of a list that is not paged. A list that reaches it is cut, and says so in the log.
pub const LIST_ROWS_MAX: u64 = 10_000;

/// What a reader may see of users and engagements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everything: platform administrators.
    All,
    /// What belongs to one client. Of users, only what concerns that client is shown.
    Client(ClientId),
}
