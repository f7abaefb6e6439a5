//! Which responses are cached, for how long, for whom: policies, and the table of routes that says which one a path has.

mod groups;
mod policy;
mod table;
mod tuning;

pub(crate) use self::{
    policy::REVALIDATE,
    table::{Route, VARY, is_safe},
    tuning::Tuning,
};
pub use self::{
    policy::{
        BrowserLifetime, GroupHeader, Invalidates, Lifetime, OriginLifetime, Query, RoutePolicy, Sharing, Writes,
    },
    table::{ENTITY_BYTES_MAX, RouteError, RouteId, RoutePolicies, RoutePoliciesBuilder},
    tuning::RouteSettings,
};
