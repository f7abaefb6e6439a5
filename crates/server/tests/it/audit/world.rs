//! A trail in a database and a spool in a folder of a test's own.

use std::{path::Path, time::Duration};

use sea_orm::DatabaseConnection;
use unstale::testing::Folder;
use unstale_server::{
    audit::{
        Audit, AuditKeys, AuditMetrics, AuditSettings, AuditTrail, Class, Entry, Filter, Found, Level, Operation,
        Outcome,
    },
    testing::database::TestDatabase,
};

/// Long enough for a machine that is busy.
pub(super) const LIMIT: Duration = Duration::from_secs(60);

pub(super) struct World {
    pub(super) audit: Audit,
    pub(super) pool: DatabaseConnection,
    pub(super) folder: Folder,
    pub(super) database: TestDatabase,
}

pub(super) fn keys() -> AuditKeys {
    AuditKeys::derive(b"a secret of the tests")
}

pub(super) fn start(folder: &Path, pool: &DatabaseConnection, level: Level) -> Audit {
    let settings = AuditSettings { level, ..AuditSettings::new(folder) };
    Audit::start(&settings, AuditTrail::new(pool.clone(), keys()), AuditMetrics::default()).unwrap()
}

impl World {
    pub(super) async fn new(database: TestDatabase) -> Self {
        Self::at(database, Level::All).await
    }

    pub(super) async fn at(database: TestDatabase, level: Level) -> Self {
        let pool = database.migrated().await;
        let folder = Folder::new();
        let audit = start(folder.path(), &pool, level);
        Self { audit, pool, folder, database }
    }

    pub(super) fn trail(&self) -> AuditTrail {
        AuditTrail::new(self.pool.clone(), keys())
    }

    /// Something that was done in a tenant.
    pub(super) async fn done(&self, tenant: &str, key: &str) {
        self.audit.record(Class::Mutation, &done(tenant, key)).await.unwrap();
    }

    pub(super) async fn shipped(&self) {
        assert!(self.audit.flush(LIMIT).await, "it was not shipped in time");
    }

    /// All records of a tenant, oldest first.
    pub(super) async fn of(&self, tenant: &str) -> Vec<Found> {
        let filter = Filter { tenant: Some(tenant.to_owned()), ..Filter::default() };
        let mut found = self.trail().search(&filter, None, 1000).await.unwrap().found;
        found.sort_by_key(|one| one.number);
        found
    }

    pub(super) async fn keys_of(&self, tenant: &str) -> Vec<String> {
        self.of(tenant).await.into_iter().map(|one| one.record.key).collect()
    }
}

/// Copies the spools of a node, as it leaves them when it is killed: nobody holds the locks of the copies.
pub(super) fn copy_spools(from: &Path, to: &Path) {
    for spool in std::fs::read_dir(from).unwrap() {
        let spool = spool.unwrap().path();
        let copy = to.join(spool.file_name().unwrap());
        std::fs::create_dir(&copy).unwrap();
        for file in std::fs::read_dir(spool).unwrap() {
            let file = file.unwrap().path();
            std::fs::copy(&file, copy.join(file.file_name().unwrap())).unwrap();
        }
    }
}

pub(super) fn done<'a>(tenant: &'a str, key: &'a str) -> Entry<'a> {
    Entry { principal: "ada", key, entity: "flow", ..Entry::new(tenant, Operation::INVALIDATE, Outcome::Done) }
}
