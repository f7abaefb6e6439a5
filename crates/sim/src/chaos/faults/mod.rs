//! What is done to Redis, to the nodes, and to what lies between.
//!
//! - [`alone`]: to one server, and to nodes on it.

mod alone;

pub(super) use self::alone::{FAULTS, Fault};
