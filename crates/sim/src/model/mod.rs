//! The exhaustive model of the protocol.
