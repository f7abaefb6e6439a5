//! The gateway's forwarding half over real sockets.

mod forward;
mod support;
