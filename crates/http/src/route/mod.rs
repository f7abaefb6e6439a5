//! Which responses are cached, for how long, for whom: policies, and the table of routes that says which one a path has.

mod policy;
mod table;

pub(crate) use self::{
    policy::REVALIDATE,
    table::{Route, VARY},
};
pub use self::{
    policy::{BrowserLifetime, Query, RoutePolicy, Sharing},
    table::{RouteError, RoutePolicies, RoutePoliciesBuilder},
};
