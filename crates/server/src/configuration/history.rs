//! The history: every version that was ever in force, in the table `cache_configuration`.

use chrono::{DateTime, Utc};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbErr, QueryResult, SqlErr,
    sea_query::{Alias, Expr, ExprTrait as _, Order, Query, SelectStatement},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::document::Configuration;
use crate::problem::{FieldError, Problem, sentence};

/// Longest reason of a change, in characters.
const REASON_CHARS_MAX: usize = 500;

/// A version of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Version {
    /// Its number, from 1.
    pub version: i64,
    /// What it says.
    pub configuration: Configuration,
    /// The version whose document it brought back, if it undid a change; 0 is before the first.
    pub restores: Option<i64>,
    /// Who made it.
    pub changed_by: String,
    /// Why.
    pub reason: String,
    /// When.
    pub changed_at: DateTime<Utc>,
}

/// Who changes something, why, and on what ground.
#[derive(Clone, Debug)]
pub struct Change {
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// The version that it was made of; none: whichever is in force.
    pub based_on: Option<i64>,
    /// Now.
    pub at: DateTime<Utc>,
}

impl Change {
    /// A change that somebody asks for: refused if they do not say why.
    #[expect(clippy::result_large_err, reason = "a problem is made once for a refused request")]
    pub fn asked(by: String, reason: &str, based_on: Option<i64>, at: DateTime<Utc>) -> Result<Self, Problem> {
        let reason = reason.trim();
        if !(1..=REASON_CHARS_MAX).contains(&reason.chars().count()) {
            let message = format!("must say why, in 1 to {REASON_CHARS_MAX} characters");
            return Err(Problem::unprocessable([FieldError::new("reason", message)]));
        }
        Ok(Self { by, reason: reason.to_owned(), based_on, at })
    }
}

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// It makes no sense.
    #[error("the configuration has {} faults", .0.len())]
    Faulty(Vec<FieldError>),
    /// Somebody else was faster.
    #[error("version {in_force} is in force by now; read it, and make the change of it")]
    Outdated {
        /// The version in force.
        in_force: i64,
    },
    /// Every change was undone already, or there was none.
    #[error("there is no change to undo: everything is as the code says")]
    NothingToUndo,
    /// The database did not take it.
    #[error(transparent)]
    Database(#[from] DbErr),
}

impl From<ChangeError> for Problem {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Faulty(faults) => {
                let within =
                    |fault: FieldError| FieldError { field: format!("configuration.{}", fault.field), ..fault };
                Self::unprocessable(faults.into_iter().map(within))
            }
            ChangeError::Outdated { .. } | ChangeError::NothingToUndo => Self::conflict(sentence(&error.to_string())),
            ChangeError::Database(error) => Self::internal(&error),
        }
    }
}

/// A row of the table.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) version: i64,
    pub(super) document: String,
    /// The version whose state this one took the place of.
    replaced: i64,
    restores: Option<i64>,
    changed_by: String,
    reason: String,
    changed_at: DateTime<Utc>,
}

impl Row {
    /// The version whose state is in force with it: itself, unless it brought another back.
    fn state(&self) -> i64 {
        self.restores.unwrap_or(self.version)
    }

    pub(super) fn configuration(&self) -> Result<Configuration, serde_json::Error> {
        serde_json::from_str(&self.document)
    }

    fn told(self) -> Version {
        // What another build wrote and this one cannot read is told as nothing, and not as an error of the history.
        let configuration = self.configuration().unwrap_or_default();
        let Self { version, restores, changed_by, reason, changed_at, .. } = self;
        Version { version, configuration, restores, changed_by, reason, changed_at }
    }
}

/// The number of the newest version; 0 if there is none.
pub(super) async fn newest_number(pool: &DatabaseConnection) -> Result<i64, DbErr> {
    let newest = Query::select().expr_as(Expr::col("version").max(), "newest").from(TABLE).to_owned();
    let row = pool.query_one(&newest).await?;
    Ok(row.map(|row| row.try_get::<Option<i64>>("", "newest")).transpose()?.flatten().unwrap_or(0))
}

/// The newest version.
pub(super) async fn newest(pool: &DatabaseConnection) -> Result<Option<Row>, DbErr> {
    let newest = select().order_by("version", Order::Desc).limit(1).to_owned();
    pool.query_one(&newest).await?.as_ref().map(row).transpose()
}

/// The newest `limit` versions before `before`.
pub(super) async fn list(pool: &DatabaseConnection, before: Option<i64>, limit: u64) -> Result<Vec<Version>, DbErr> {
    let mut list = select().order_by("version", Order::Desc).limit(limit).to_owned();
    if let Some(before) = before {
        list.and_where(Expr::col("version").lt(before));
    }
    let rows = pool.query_all(&list).await?;
    rows.iter().map(|found| row(found).map(Row::told)).collect()
}

/// Adds a version with this configuration.
pub(super) async fn put(
    pool: &DatabaseConnection,
    configuration: &Configuration,
    change: &Change,
) -> Result<Version, ChangeError> {
    let (current, state) = newest(pool).await?.map_or((0, 0), |row| (row.version, row.state()));
    let document = serde_json::to_string(configuration).expect("a configuration is JSON");
    insert(pool, current, change, |version| new(version, document, (state, None), change)).await
}

/// Adds a version that brings back what was in force before the last change that is not undone.
pub(super) async fn undo(pool: &DatabaseConnection, change: &Change) -> Result<Version, ChangeError> {
    let newest = newest(pool).await?.ok_or(ChangeError::NothingToUndo)?;
    let state = newest.state();
    if state == 0 {
        return Err(ChangeError::NothingToUndo);
    }
    let target = version(pool, state).await?.replaced;
    let document = if target == 0 { "{}".to_owned() } else { version(pool, target).await?.document };
    insert(pool, newest.version, change, |version| new(version, document, (state, Some(target)), change)).await
}

fn new(version: i64, document: String, (replaced, restores): (i64, Option<i64>), change: &Change) -> Row {
    let reason = change.reason.chars().take(REASON_CHARS_MAX).collect();
    Row { version, document, replaced, restores, changed_by: change.by.clone(), reason, changed_at: change.at }
}

async fn insert(
    pool: &DatabaseConnection,
    current: i64,
    change: &Change,
    row: impl FnOnce(i64) -> Row,
) -> Result<Version, ChangeError> {
    if change.based_on.is_some_and(|based_on| based_on != current) {
        return Err(ChangeError::Outdated { in_force: current });
    }
    let row = row(current + 1);
    let insert = Query::insert()
        .into_table(TABLE)
        .columns(COLUMNS)
        .values_panic([
            row.version.into(),
            row.document.clone().into(),
            row.replaced.into(),
            row.restores.into(),
            row.changed_by.clone().into(),
            row.reason.clone().into(),
            row.changed_at.into(),
        ])
        .to_owned();
    match pool.execute(&insert).await {
        Ok(_) => Ok(row.told()),
        // Somebody else has taken the number in between.
        Err(error) if matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_))) => {
            Err(ChangeError::Outdated { in_force: newest_number(pool).await? })
        }
        Err(error) => Err(error.into()),
    }
}

const TABLE: &str = "cache_configuration";
const COLUMNS: [&str; 7] = ["version", "document", "replaced", "restores", "changed_by", "reason", "changed_at"];

fn select() -> SelectStatement {
    Query::select().columns(COLUMNS.map(Alias::new)).from(TABLE).to_owned()
}

async fn version(pool: &DatabaseConnection, version: i64) -> Result<Row, ChangeError> {
    let one = select().and_where(Expr::col("version").eq(version)).to_owned();
    let missing = || DbErr::RecordNotFound(format!("version {version} of the configuration is not in its history"));
    Ok(row(&pool.query_one(&one).await?.ok_or_else(missing)?)?)
}

fn row(found: &QueryResult) -> Result<Row, DbErr> {
    Ok(Row {
        version: found.try_get("", "version")?,
        document: found.try_get("", "document")?,
        replaced: found.try_get("", "replaced")?,
        restores: found.try_get("", "restores")?,
        changed_by: found.try_get("", "changed_by")?,
        reason: found.try_get("", "reason")?,
        changed_at: found.try_get("", "changed_at")?,
    })
}
