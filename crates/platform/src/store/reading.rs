//! A connection for reading. It lets no statement pass that could change anything, so that no change escapes
//! [`Write`](crate::coherence::Write), which wants to know what it announces.

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, ExecResult, QueryResult, Statement,
    prelude::async_trait,
};

/// A connection for reading, from the pool or within a write.
#[derive(Clone, Copy, Debug)]
pub struct Reading<'a>(Source<'a>);

#[derive(Clone, Copy, Debug)]
enum Source<'a> {
    Pool(&'a DatabaseConnection),
    Write(&'a DatabaseTransaction),
}

impl<'a> Reading<'a> {
    pub(crate) fn pooled(pool: &'a DatabaseConnection) -> Self {
        Self(Source::Pool(pool))
    }

    pub(crate) fn within(transaction: &'a DatabaseTransaction) -> Self {
        Self(Source::Write(transaction))
    }
}

fn refuse_writes(sql: &str) -> Result<(), DbErr> {
    if sql.trim_start().get(..6).is_some_and(|word| word.eq_ignore_ascii_case("select")) {
        return Ok(());
    }
    Err(DbErr::Custom("a connection for reading runs SELECT only; write through Write::changing".to_owned()))
}

#[async_trait::async_trait]
impl ConnectionTrait for Reading<'_> {
    fn get_database_backend(&self) -> DbBackend {
        match self.0 {
            Source::Pool(pool) => pool.get_database_backend(),
            Source::Write(transaction) => transaction.get_database_backend(),
        }
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        refuse_writes(&statement.sql)?;
        match self.0 {
            Source::Pool(pool) => pool.execute_raw(statement).await,
            Source::Write(transaction) => transaction.execute_raw(statement).await,
        }
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        refuse_writes(sql)?;
        match self.0 {
            Source::Pool(pool) => pool.execute_unprepared(sql).await,
            Source::Write(transaction) => transaction.execute_unprepared(sql).await,
        }
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        refuse_writes(&statement.sql)?;
        match self.0 {
            Source::Pool(pool) => pool.query_one_raw(statement).await,
            Source::Write(transaction) => transaction.query_one_raw(statement).await,
        }
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        refuse_writes(&statement.sql)?;
        match self.0 {
            Source::Pool(pool) => pool.query_all_raw(statement).await,
            Source::Write(transaction) => transaction.query_all_raw(statement).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_selects_pass() {
        for sql in ["SELECT 1", " select 1", "\nSELECT 1"] {
            assert!(refuse_writes(sql).is_ok(), "{sql:?} was refused");
        }
        for sql in ["INSERT INTO a", "UPDATE a", "DELETE FROM a", "WITH a AS (DELETE FROM b) SELECT 1", "", "ä€"] {
            assert!(refuse_writes(sql).is_err(), "{sql:?} passed");
        }
    }
}
