//! Whose data: client accounts are the tenants.

use std::fmt;

use unstale::Tenant;
use uuid::Uuid;

/// The tenant in which platform administrators act while they act for no client. No client can be called so: its
/// name is not a UUID.
pub const PLATFORM_TENANT: &str = "platform";

/// A client account as the tenant that a call acts in. Its own type, so that it cannot be mistaken for the id of
/// something within the tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(pub Uuid);

impl ClientId {
    /// The tenant in the cache.
    pub fn tenant(self) -> Tenant {
        Tenant::new(self.0.hyphenated().to_string()).expect("a hyphenated UUID is a tenant name")
    }
}

impl From<Uuid> for ClientId {
    fn from(id: Uuid) -> Self {
        Self(id)
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The tenant named [`PLATFORM_TENANT`].
pub fn platform_tenant() -> Tenant {
    Tenant::new(PLATFORM_TENANT).expect("it is a tenant name")
}
