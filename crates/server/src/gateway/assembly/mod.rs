//! The gateway, put together: what a configuration becomes, and what requests go through.
//!
//! [`routing`] says which route a request has · [`state`] is everything that one configuration makes, exchanged as a whole
//! when the file changes · [`service`] takes a request through it · [`forwarding`] is what stands behind the cache.
//!
//! # Invariants
//! - A request is answered by one state from its beginning to its end; a new one counts for those that come after it.
//! - Whatever fails in the cache or in verifying, the backend is asked, but where a write could go untold.

mod forwarding;
mod routing;
mod service;
mod settings;
mod state;

pub(crate) use self::{
    forwarding::{ask_upstream, ask_url},
    routing::known,
    service::GatewayService,
    settings::{control_settings, listen_settings},
    state::{Build, Shared, State, StateError},
};
