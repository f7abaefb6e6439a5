//! `unstale gateway`: the cache as a reverse proxy before backends in any language.
//!
//! ```text
//! listener ─▶ routing ─▶ telemetry ─▶ identity ─▶ cache ─▶ forwarding ─▶ upstream
//! ```
//!
//! | module | what it is for |
//! |---|---|
//! | [`config`] | the one configuration file: everything that is wrong with it, with its place |
//! | [`listen`] | accepts connections: HTTP/1.1 and HTTP/2, TLS, limits, and the hygiene of requests |
//! | `identity` | who is asking, verified before anything is looked up |
//! | [`proxy`] | a tower service that forwards a request to an upstream and streams the answer back |
//! | [`upstream`] | the servers behind: which one, over which connection, and whether it is well |

mod assembly;
pub mod client;
pub mod config;
mod control;
mod date;
mod fields;
mod identity;
pub mod listen;
mod metrics;
#[doc(hidden)]
pub mod parsers;
pub mod proxy;
mod reload;
mod start;
mod tags;
mod tls;
pub mod upstream;

pub use self::{
    control::openapi,
    start::{Gateway, StartError},
    tls::TlsError,
};
