//! The engine as its users see it: caches over stores.

mod coherence;
mod reads;
mod store_contract;
mod world;
