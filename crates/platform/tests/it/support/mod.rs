//! What the tests stand on: databases of both kinds, and a small world in them.

pub mod database;
pub mod world;

/// Declares each test twice: over SQLite and over PostgreSQL.
macro_rules! on_both_databases {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test] async fn $name() { super::$name(crate::support::database::Database::sqlite()).await })*
        }
        mod postgres {
            $(#[tokio::test] async fn $name() { super::$name(crate::support::database::Database::postgres().await).await })*
        }
    };
}
pub(crate) use on_both_databases;
