//! The API as a whole: the application as the server runs it, on SQLite, with the demonstration's data.

mod audit;
mod authentication;
mod batch;
mod beginning;
mod cleansing;
mod compression;
mod conditional;
mod erasure;
mod flags;
mod freshness;
mod imports;
mod isolation;
mod matrix;
mod nodes;
mod records;
mod sockets;
mod warming;
mod world;
