//! A database for one test.

use platform::store::{PoolLimits, Store};
use unstale_server::testing::database::TestDatabase;

/// A database of one test's own; what it left in the file system goes with it.
pub struct Database(TestDatabase);

impl Database {
    pub fn sqlite() -> Self {
        Self(TestDatabase::sqlite())
    }

    pub async fn postgres() -> Self {
        Self(TestDatabase::postgres().await)
    }

    /// Where it is.
    pub fn url(&self) -> String {
        self.0.url()
    }

    /// Another one of this kind.
    pub async fn another(&self) -> Self {
        if self.0.url().starts_with("sqlite") { Self::sqlite() } else { Self::postgres().await }
    }

    /// An empty store.
    pub async fn empty(&self) -> Store {
        let limits = PoolLimits { connections_max: 4, ..PoolLimits::default() };
        Store::connect_within(&self.0.url(), &limits).await.unwrap()
    }

    /// A store with all tables; called once.
    pub async fn migrated(&self) -> Store {
        let store = self.empty().await;
        store.migrate_up().await.unwrap();
        store
    }
}
