//! The simulated store: the semantics of the store on Redis, over a network, with everything that may go wrong.
//!
//! [`dataset`] says what an operation does to the data, [`server`] what happens to the data as a whole, [`link`] what
//! happens on the way. An operation added to [`Store`](unstale::store::Store) needs an `Op`, its arm in
//! `Dataset::run`, and a method in `link` that asks for it; loss, delay and doubling then concern it by themselves.

mod dataset;
mod link;
mod server;

pub use self::dataset::{StoreBreach, StoreLimits};
pub(crate) use self::{
    link::{Link, Place, Places, Weather},
    server::{Health, Server},
};
