//! `unstale gateway` put together, from its configuration file, over real sockets and before a real backend.

mod attacks;
mod audit;
mod certificates;
mod control;
mod hints;
mod identity;
mod nodes;
mod proxies;
mod records;
mod reload;
mod sharing;
mod whole;
mod world;
mod writes;
