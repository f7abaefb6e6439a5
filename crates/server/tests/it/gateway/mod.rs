//! The gateway's forwarding half over real sockets.

mod forward;
mod health;
pub(crate) mod hints;
mod http2;
mod hygiene;
mod listen;
mod memory;
mod plain;
mod retry;
mod stream;
mod streams;
mod support;
pub(crate) mod tls;
mod upgrade;
