//! The server's parts over real sockets.

mod live;
mod run;
