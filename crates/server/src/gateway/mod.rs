//! A reverse proxy before an existing backend.
//!
//! | module | what it is for |
//! |---|---|
//! | [`listen`] | accepts connections: HTTP/1.1 and HTTP/2, TLS, limits, and the hygiene of requests |
//! | [`proxy`] | a tower service that forwards a request to an upstream and streams the answer back |
//! | [`upstream`] | the servers behind: which one, over which connection, and whether it is well |

pub mod listen;
pub mod proxy;
mod tls;
pub mod upstream;

pub use self::tls::TlsError;
