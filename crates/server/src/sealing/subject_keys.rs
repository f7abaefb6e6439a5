//! Subjects' keys in the application's database: table `cache_subject_keys`.
//!
//! A key that is destroyed is a row that is deleted. On `SQLite` it counts as destroyed only when the write-ahead log, which
//! has the page as it was, is emptied too. What PostgreSQL keeps of deleted rows is its own matter: see
//! `docs/concepts/security.md`.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use chrono::{DateTime, Utc};
use futures_util::future::{BoxFuture, FutureExt as _};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait as _, Condition, DatabaseConnection, DbBackend, DbErr, EntityTrait as _, QueryFilter as _,
    QuerySelect as _,
    sea_query::{Expr, ExprTrait as _, OnConflict},
    sqlx::{self, ConnectOptions as _, Connection as _, Row as _, sqlite::SqliteConnectOptions},
};
use unstale::{
    TagId, Tenant,
    sealing::{KeyId, SubjectKeyError, SubjectKeyRow, SubjectKeys, WrappedKey},
};

use self::row::{ActiveModel, Column, Entity, Model};

#[allow(unreachable_pub, reason = "the derived types are as public as this")]
mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "cache_subject_keys")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub subject: i64,
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant: String,
        pub master: i64,
        pub wrapped: Vec<u8>,
        pub created_at: chrono::DateTime<chrono::Utc>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// How long one attempt to empty the write-ahead log waits for others: while it does, nobody writes.
const EMPTY_WAIT: Duration = Duration::from_millis(100);
/// The wait before the next attempt, and how many there are while somebody waits for it.
const EMPTY_PAUSE: Duration = Duration::from_millis(100);
const EMPTY_ATTEMPTS: u32 = 10;
/// How often it is tried again when nobody waits any more.
const EMPTY_EVERY: Duration = Duration::from_secs(1);

/// Subjects' keys in a database.
#[derive(Clone)]
pub struct SqlSubjectKeys {
    pool: DatabaseConnection,
    /// Whether the write-ahead log is being emptied beside everything.
    is_emptying: Arc<AtomicBool>,
}

impl SqlSubjectKeys {
    /// In this database, which has this crate's tables ([`migrate_up`](crate::database::migrate_up)).
    pub fn new(pool: DatabaseConnection) -> Self {
        Self { pool, is_emptying: Arc::default() }
    }

    async fn find_rows(&self, tenant: &Tenant, subjects: &[TagId]) -> Result<Vec<Option<WrappedKey>>, SubjectKeyError> {
        let wanted = subjects.iter().map(|subject| signed(subject.as_u64()));
        let rows = Entity::find()
            .filter(Column::Tenant.eq(tenant.as_str()).and(Column::Subject.is_in(wanted)))
            .all(&self.pool)
            .await
            .map_err(told)?;
        let of = |subject: &TagId| rows.iter().find(|row| row.subject == signed(subject.as_u64()));
        subjects.iter().map(|subject| of(subject).map(key_of).transpose()).collect()
    }

    async fn create_row(&self, row: &SubjectKeyRow) -> Result<WrappedKey, SubjectKeyError> {
        let now: DateTime<Utc> = Utc::now();
        let model = ActiveModel {
            subject: Set(signed(row.subject.as_u64())),
            tenant: Set(row.tenant.as_str().to_owned()),
            master: Set(signed(row.key.master.as_u64())),
            wrapped: Set(row.key.bytes.to_vec()),
            created_at: Set(now),
        };
        // Of two that come at once the first stays; both read it.
        let keep = OnConflict::columns([Column::Subject, Column::Tenant]).do_nothing().to_owned();
        match Entity::insert(model).on_conflict(keep).exec_without_returning(&self.pool).await {
            Ok(_) | Err(DbErr::RecordNotInserted) => {}
            Err(error) => return Err(told(error)),
        }
        let found = self.find_rows(&row.tenant, &[row.subject]).await?;
        let key = found.into_iter().next().flatten();
        key.ok_or_else(|| SubjectKeyError("the subject was erased at this moment".to_owned()))
    }

    async fn destroy_rows(&self, subject: TagId) -> Result<u64, SubjectKeyError> {
        let gone = Entity::delete_many().filter(Column::Subject.eq(signed(subject.as_u64()))).exec(&self.pool).await;
        let gone = gone.map_err(told)?.rows_affected;
        if self.pool.get_database_backend() == DbBackend::Sqlite {
            // Also if there was none: that it was deleted before need not mean that it is gone.
            let options = self.pool.get_sqlite_connection_pool().connect_options();
            if let Err(reason) = empty_log(&options, EMPTY_ATTEMPTS).await {
                tracing::error!(reason, "keys are deleted, and the database's write-ahead log may still hold them");
                self.empty_log_later(options);
                return Err(SubjectKeyError(format!(
                    "their rows are deleted, but the database's write-ahead log may still hold them: {reason}; it is \
                     emptied as soon as it can be"
                )));
            }
        }
        Ok(gone)
    }

    /// Tries until it is done, or nobody has these keys any more. One task, however many wanted it.
    fn empty_log_later(&self, options: Arc<SqliteConnectOptions>) {
        if self.is_emptying.swap(true, SeqCst) {
            return;
        }
        let is_emptying = Arc::downgrade(&self.is_emptying);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(EMPTY_EVERY).await;
                let Some(is_emptying) = is_emptying.upgrade() else { return };
                // Before it: what is deleted meanwhile may need another.
                is_emptying.store(false, SeqCst);
                if empty_log(&options, 1).await.is_ok() {
                    tracing::info!("the database's write-ahead log is emptied: keys that were deleted are gone");
                    return;
                }
                if is_emptying.swap(true, SeqCst) {
                    return;
                }
            }
        });
    }

    async fn others(&self, current: KeyId, rows_max: usize) -> Result<Vec<SubjectKeyRow>, SubjectKeyError> {
        let rows = Entity::find()
            .filter(Column::Master.ne(signed(current.as_u64())))
            .limit(u64::try_from(rows_max).unwrap_or(u64::MAX))
            .all(&self.pool)
            .await
            .map_err(told)?;
        let row = |row: &Model| {
            let tenant = Tenant::new(row.tenant.as_str()).map_err(|error| SubjectKeyError(error.to_string()))?;
            Ok(SubjectKeyRow { tenant, subject: TagId::from_u64(unsigned(row.subject)), key: key_of(row)? })
        };
        rows.iter().map(row).collect()
    }

    async fn rewrap_row(&self, old: &SubjectKeyRow, new: WrappedKey) -> Result<(), SubjectKeyError> {
        let same = Condition::all()
            .add(Column::Subject.eq(signed(old.subject.as_u64())))
            .add(Column::Tenant.eq(old.tenant.as_str()))
            .add(Column::Wrapped.eq(old.key.bytes.to_vec()));
        Entity::update_many()
            .col_expr(Column::Master, Expr::value(signed(new.master.as_u64())))
            .col_expr(Column::Wrapped, Expr::value(new.bytes.to_vec()))
            .filter(same)
            .exec(&self.pool)
            .await
            .map_err(told)?;
        Ok(())
    }
}

impl SubjectKeys for SqlSubjectKeys {
    fn find<'a>(
        &'a self,
        tenant: &'a Tenant,
        subjects: &'a [TagId],
    ) -> BoxFuture<'a, Result<Vec<Option<WrappedKey>>, SubjectKeyError>> {
        self.find_rows(tenant, subjects).boxed()
    }

    fn create<'a>(&'a self, row: &'a SubjectKeyRow) -> BoxFuture<'a, Result<WrappedKey, SubjectKeyError>> {
        self.create_row(row).boxed()
    }

    fn destroy(&self, subject: TagId) -> BoxFuture<'_, Result<u64, SubjectKeyError>> {
        self.destroy_rows(subject).boxed()
    }

    fn wrapped_by_others(
        &self,
        current: KeyId,
        rows_max: usize,
    ) -> BoxFuture<'_, Result<Vec<SubjectKeyRow>, SubjectKeyError>> {
        self.others(current, rows_max).boxed()
    }

    fn rewrap<'a>(&'a self, old: &'a SubjectKeyRow, new: WrappedKey) -> BoxFuture<'a, Result<(), SubjectKeyError>> {
        self.rewrap_row(old, new).boxed()
    }
}

impl fmt::Debug for SqlSubjectKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SqlSubjectKeys")
    }
}

/// Empties `SQLite`'s write-ahead log into the database, which overwrites what is deleted. Whoever reads an older state, or
/// empties it too, is waited for.
async fn empty_log(options: &SqliteConnectOptions, attempts: u32) -> Result<(), String> {
    if options.to_url_lossy().query_pairs().any(|(name, value)| name == "mode" && value == "memory") {
        // It has no file.
        return Ok(());
    }
    // Of its own: the others wait for much longer.
    let own = options.clone().busy_timeout(EMPTY_WAIT);
    let mut connection = own.connect().await.map_err(|error| error.to_string())?;
    let mut reason = String::new();
    for attempt in 0..attempts {
        if attempt > 0 {
            tokio::time::sleep(EMPTY_PAUSE).await;
        }
        let told = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&mut connection).await;
        match told.and_then(|row| row.try_get::<i64, _>(0)) {
            Ok(0) => {
                drop(connection.close().await);
                return Ok(());
            }
            Ok(_) => "somebody reads an older state of it".clone_into(&mut reason),
            Err(error) => reason = error.to_string(),
        }
    }
    drop(connection.close().await);
    Err(reason)
}

fn key_of(row: &Model) -> Result<WrappedKey, SubjectKeyError> {
    let bytes = row.wrapped.as_slice().try_into();
    let bytes = bytes.map_err(|_| SubjectKeyError("a key in the database has another length".to_owned()))?;
    Ok(WrappedKey { master: KeyId::from_u64(unsigned(row.master)), bytes })
}

/// Databases have signed numbers; only equality counts.
fn signed(number: u64) -> i64 {
    number.cast_signed()
}

fn unsigned(number: i64) -> u64 {
    number.cast_unsigned()
}

#[allow(clippy::needless_pass_by_value, reason = "as `map_err` gives it")]
fn told(error: DbErr) -> SubjectKeyError {
    SubjectKeyError(error.to_string())
}

#[cfg(test)]
#[cfg(feature = "testing")]
mod tests {
    use sea_orm::{ConnectionTrait as _, TransactionTrait as _};

    use super::*;
    use crate::testing::database::TestDatabase;

    crate::on_both_databases!(
        keys_are_kept_per_tenant_and_destroyed_for_all,
        of_two_that_create_at_once_the_first_stays,
        keys_are_wrapped_anew_once,
        the_table_comes_and_goes,
    );

    fn row(tenant: &str, subject: u64, byte: u8) -> SubjectKeyRow {
        let key = WrappedKey { master: KeyId::from_u64(u64::MAX - 1), bytes: [byte; 64] };
        SubjectKeyRow { tenant: Tenant::new(tenant).unwrap(), subject: TagId::from_u64(subject), key }
    }

    async fn keys_are_kept_per_tenant_and_destroyed_for_all(database: TestDatabase) {
        let keys = SqlSubjectKeys::new(database.migrated().await);
        let (acme, globex, other) = (row("acme", u64::MAX, 1), row("globex", u64::MAX, 2), row("acme", 7, 3));
        for row in [&acme, &globex, &other] {
            assert_eq!(keys.create(row).await.unwrap(), row.key);
        }
        let found = keys.find(&acme.tenant, &[TagId::from_u64(9), other.subject, acme.subject]).await.unwrap();
        assert_eq!(found, [None, Some(other.key.clone()), Some(acme.key.clone())]);
        assert_eq!((keys.destroy(acme.subject).await.unwrap(), keys.destroy(acme.subject).await.unwrap()), (2, 0));
        assert_eq!(keys.find(&globex.tenant, &[globex.subject]).await.unwrap(), [None]);
        assert_eq!(keys.find(&other.tenant, &[other.subject]).await.unwrap(), [Some(other.key)]);
    }

    async fn of_two_that_create_at_once_the_first_stays(database: TestDatabase) {
        let keys = Arc::new(SqlSubjectKeys::new(database.migrated().await));
        let creating = (0..8).map(|node| {
            let keys = keys.clone();
            tokio::spawn(async move { keys.create(&row("acme", 7, node)).await.unwrap() })
        });
        let creating: Vec<_> = creating.collect();
        let mut kept = Vec::new();
        for one in creating {
            kept.push(one.await.unwrap());
        }
        assert!(kept.iter().all(|key| *key == kept[0]));
    }

    async fn keys_are_wrapped_anew_once(database: TestDatabase) {
        let keys = SqlSubjectKeys::new(database.migrated().await);
        let (one, two) = (row("acme", 1, 1), row("acme", 2, 2));
        keys.create(&one).await.unwrap();
        keys.create(&two).await.unwrap();
        let current = KeyId::from_u64(5);
        assert_eq!(keys.wrapped_by_others(current, 1).await.unwrap().len(), 1);
        let new = WrappedKey { master: current, bytes: [9; 64] };
        keys.rewrap(&one, new.clone()).await.unwrap();
        // Another node has done it already.
        keys.rewrap(&one, WrappedKey { master: current, bytes: [8; 64] }).await.unwrap();
        assert_eq!(keys.find(&one.tenant, &[one.subject]).await.unwrap(), [Some(new)]);
        assert_eq!(keys.wrapped_by_others(current, 9).await.unwrap(), [two]);
    }

    async fn the_table_comes_and_goes(database: TestDatabase) {
        let pool = database.migrated().await;
        crate::database::migrate_up(&pool).await.unwrap();
        crate::database::migrate_down(&pool, None).await.unwrap();
        assert!(SqlSubjectKeys::new(pool.clone()).destroy(TagId::from_u64(1)).await.is_err());
        crate::database::migrate_up(&pool).await.unwrap();
        assert_eq!(SqlSubjectKeys::new(pool).destroy(TagId::from_u64(1)).await.unwrap(), 0);
    }

    /// The bytes of the database's file, or of its write-ahead log.
    fn bytes_of(database: &TestDatabase, suffix: &str) -> Vec<u8> {
        let url = database.url();
        let file = url.strip_prefix("sqlite://").and_then(|rest| rest.split('?').next()).unwrap();
        std::fs::read(format!("{file}{suffix}")).unwrap()
    }

    #[tokio::test]
    async fn a_key_that_sqlite_may_still_hold_does_not_count_as_destroyed() {
        let database = TestDatabase::sqlite();
        let pool = database.migrated().await;
        let keys = SqlSubjectKeys::new(pool.clone());
        let row = row("acme", 7, 0xAB);
        let is_held = || {
            ["", "-wal"].iter().any(|suffix| bytes_of(&database, suffix).windows(64).any(|bytes| bytes == [0xAB; 64]))
        };
        keys.create(&row).await.unwrap();
        // Somebody reads, for long.
        let reader = pool.begin().await.unwrap();
        reader.execute_unprepared("SELECT * FROM cache_subject_keys").await.unwrap();
        let refused = keys.destroy(row.subject).await.unwrap_err().to_string();
        assert!(refused.contains("write-ahead log may still hold them") && is_held(), "{refused}");
        assert_eq!(keys.find(&row.tenant, &[row.subject]).await.unwrap(), [None], "nobody finds it");
        reader.rollback().await.unwrap();
        // It is done without anybody's doing.
        let emptied = async {
            while !bytes_of(&database, "-wal").is_empty() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), emptied).await.expect("nobody reads any more");
        assert!(!is_held());
        assert_eq!(keys.destroy(row.subject).await.unwrap(), 0, "and when it is asked for again, that is known");
    }
}
