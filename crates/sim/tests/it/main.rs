//! What runs as processes of their own.

mod chaos;
