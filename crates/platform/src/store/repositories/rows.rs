//! What all repositories need to turn rows into views.

use chrono::{DateTime, SubsecRound as _, Utc};
use sea_orm::{
    ColumnTrait, DbErr, EntityName as _, EntityTrait, RelationDef,
    sea_query::{Asterisk, Expr, ExprTrait as _, Func, Query, SubQueryStatement},
};
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::LIST_ROWS_MAX;
use crate::store::StoreError;

/// A time as both databases keep it: to the microsecond.
pub(super) fn stamp(time: DateTime<Utc>) -> DateTime<Utc> {
    time.trunc_subsecs(6)
}

pub(super) fn new_id() -> Uuid {
    Uuid::now_v7()
}

/// The value of a word in the database.
pub(super) fn word<T>(parse: fn(&str) -> Option<T>, text: &str) -> Result<T, StoreError> {
    parse(text).ok_or_else(|| unreadable(&format!("{text:?} is none of the words that stand here")))
}

/// The value of a JSON text in the database.
pub(super) fn json<T: DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| unreadable(&error.to_string()))
}

pub(super) fn to_json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("plain data is JSON")
}

fn unreadable(reason: &str) -> StoreError {
    DbErr::Type(format!("the database holds what this build cannot read: {reason}")).into()
}

/// A number that is never negative.
pub(super) fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

/// A number for the database. None that occurs here reaches 2⁶³.
pub(super) fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Joins `to` where it stands for `from`'s row.
pub(super) fn refers<F, T>(from: F::Column, to: T::Column) -> RelationDef
where
    F: EntityTrait,
    T: EntityTrait + Default,
{
    F::belongs_to(T::default()).from(from).to(to).into()
}

/// How many rows have `column` equal to `outer`, as a subquery.
pub(super) fn count_where<C: ColumnTrait, O: ColumnTrait>(column: C, outer: O) -> Expr {
    let rows = Query::select()
        .expr(Func::count(Expr::col(Asterisk)))
        .from(C::EntityName::default().table_ref())
        .and_where(Expr::col(column.as_column_ref()).equals(outer.as_column_ref()))
        .take();
    Expr::SubQuery(None, Box::new(SubQueryStatement::SelectStatement(rows)))
}

/// Says in the log that a list was cut.
pub(super) fn warn_if_cut<T>(rows: &[T], list: &'static str) {
    if rows.len() as u64 >= LIST_ROWS_MAX {
        tracing::warn!(list, rows = rows.len(), "a list was cut at its limit");
    }
}
