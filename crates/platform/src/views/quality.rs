//! How good the values of an import are, and what was corrected in them.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

words!(
    /// What is doubtful about a value.
    IssueKind {
        Missing = "missing",
        Placeholder = "placeholder",
        WrongType = "wrong_type",
        Spelling = "spelling",
        Duplicate = "duplicate",
    }
);
view!(
    /// A value of a column that somebody should look at.
    QualityIssue {
        kind: IssueKind,
        /// As it is shown now; empty for what is missing.
        value: String,
        /// How many rows show it.
        rows: u64,
        /// What it may be meant to be; empty for "no value".
        suggestion: Option<String>,
        /// Some of the rows, as numbered in the file: at most five.
        row_numbers: Vec<u64>,
    }
);
view!(
    /// How good the values of an attribute are, as they are shown now.
    AttributeQuality {
        /// The column's place in the file, from 0.
        position: u32,
        source_column: String,
        target_attribute: String,
        label: String,
        #[schema(value_type = crate::views::DataType)]
        data_type: String,
        required: bool,
        /// Rows that have a value.
        filled: u64,
        /// Different values, as far as they were told apart.
        distinct: u64,
        /// Those of the most rows first.
        issues: Vec<QualityIssue>,
        /// Issues beyond those listed.
        issues_left_out: u64,
    }
);
view!(
    /// A value that stands for another in a column.
    ValueCorrection {
        id: Uuid,
        /// The column's place in the file, from 0.
        position: u32,
        source_column: String,
        /// None if the column has no approved mapping any more.
        target_attribute: Option<String>,
        /// The value in the file.
        original: String,
        /// What is shown in its place; empty for "no value".
        replacement: String,
        /// How many rows of the file have it.
        rows: u64,
        corrected_by: Option<Uuid>,
        corrected_at: DateTime<Utc>,
    }
);
view!(
    /// How good the values of an import are, seen through its approved mappings and corrections.
    DataQuality {
        import_id: Uuid,
        engagement_id: Uuid,
        file_name: String,
        rows: u64,
        /// Rows that were looked at: the first ones of a very large file.
        rows_inspected: u64,
        /// Cells of approved columns that have a value.
        values: u64,
        /// Cells with an issue, what is missing included.
        doubtful: u64,
        attributes: Vec<AttributeQuality>,
        /// The latest first.
        corrections: Vec<ValueCorrection>,
    }
);
