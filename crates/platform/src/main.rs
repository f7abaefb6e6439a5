//! The platform's server.

fn main() {}
