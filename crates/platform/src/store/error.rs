//! Why the store did not do what it was asked to: one kind for each thing a caller does about it.

use sea_orm::{DbErr, SqlErr};

/// Why a repository call failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// There is no such thing, or it belongs to another tenant: the two are not told apart.
    #[error("there is no such {what}")]
    NotFound {
        /// The kind of thing.
        what: &'static str,
    },
    /// It contradicts what is there.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// The database failed; trying again may help.
    #[error("the database failed: {0}")]
    Database(DbErr),
}

/// What a request contradicts. The texts are made for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// Somebody has this address already.
    #[error("this email address is registered already; sign in, or use another address")]
    EmailTaken,
    /// Somebody was faster.
    #[error("a client with the same short name was created at the same moment; try again")]
    SlugTaken,
    /// Children would be lost.
    #[error("it still has {children} {kind}; delete them first, or repeat the request with ?cascade=true")]
    HasChildren {
        /// `engagements`, `flows` or `imports`.
        kind: &'static str,
        /// How many.
        children: u64,
    },
    /// The user is not waiting for a decision.
    #[error("this user's request was decided already; reload the list of pending approvals")]
    NotPending,
    /// Columns that mean nothing yet.
    #[error("columns without a target cannot be approved: {}; choose a target for each first, or keep them as they are", columns.join(", "))]
    WithoutTarget {
        /// The columns, in the order of the file.
        columns: Vec<String>,
    },
    /// Two columns for one target.
    #[error("the target {target} can be filled from one column only, not from {}; approve one of them", columns.join(" and "))]
    TargetTaken {
        /// The target.
        target: String,
        /// The columns, in the order of the file.
        columns: Vec<String>,
    },
    /// Another reviewer approved another column for the same target at the same moment.
    #[error("another column was approved for one of these targets at the same moment; reload the mappings")]
    ReviewedMeanwhile,
    /// A value is shown nowhere in its column.
    #[error("no cell of this column shows {value:?} any more; reload the page")]
    NothingToCorrect {
        /// The value.
        value: String,
    },
    /// The import has as many corrections as it may have.
    #[error("an import can have {most} corrections at most; correct the file and import it again")]
    TooManyCorrections {
        /// How many.
        most: usize,
    },
    /// The import is not, or no longer, in a state for this.
    #[error("the import is {status}; {remedy}")]
    ImportState {
        /// Its state.
        status: &'static str,
        /// What to do.
        remedy: &'static str,
    },
}

impl StoreError {
    pub(crate) const fn not_found(what: &'static str) -> Self {
        Self::NotFound { what }
    }

    /// Reads a broken uniqueness as `conflict`.
    pub(crate) fn unique(error: DbErr, conflict: impl FnOnce() -> Conflict) -> Self {
        match error.sql_err() {
            Some(SqlErr::UniqueConstraintViolation(_)) => Self::Conflict(conflict()),
            _ => error.into(),
        }
    }
}

impl From<DbErr> for StoreError {
    fn from(error: DbErr) -> Self {
        Self::Database(error)
    }
}
