//! PostgreSQL's word that a trigger has written: it wakes the relay at once. A word that is lost costs time, as the relay
//! looks by itself.

use std::{sync::Arc, time::Duration};

use sea_orm::sqlx::postgres::{PgListener, PgPoolOptions};

use super::{Inner, rows::Dialect, triggers::CHANNEL};

/// The wait before it is tried again.
const AGAIN_AFTER: Duration = Duration::from_secs(2);

/// Listens for as long as it is polled, over a connection of its own.
pub(super) async fn run(inner: &Arc<Inner>) {
    if inner.dialect != Dialect::Postgres {
        return;
    }
    let options = inner.pool.get_postgres_connection_pool().connect_options();
    let own = PgPoolOptions::new().max_connections(1).idle_timeout(None).max_lifetime(None);
    let own = own.connect_lazy_with((*options).clone());
    loop {
        if let Err(error) = listen(&own, inner).await {
            tracing::debug!(%error, "the outbox is not woken by the database; it looks by itself");
        }
        tokio::time::sleep(AGAIN_AFTER).await;
    }
}

async fn listen(pool: &sea_orm::sqlx::PgPool, inner: &Inner) -> Result<(), sea_orm::sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(CHANNEL).await?;
    loop {
        // What was written before it listened, or while it did not.
        inner.woken.notify_one();
        listener.recv().await?;
    }
}
