//! Every tag of the gateway's own.

use unstale::{Tag, Tenant};

/// Who somebody is and what they may do, as far as answers to them depend on it. Backends declare it wrong when a role
/// changes.
pub(crate) fn principal(tenant: &Tenant, name: &str) -> Tag {
    Tag::of(tenant, "gateway-principal", name)
}

/// A session: declared wrong when it ends.
pub(crate) fn session(tenant: &Tenant, name: &str) -> Tag {
    Tag::of(tenant, "gateway-session", name)
}

/// How a route is answered: declared wrong when the configuration of a running gateway changes it.
pub(crate) fn route(meaning: &str) -> Tag {
    Tag::shared("gateway-route", meaning)
}
