//! Imports of CSV files.
//!
//! The life of an import: [`create`] (queued) → [`progress`] (reading; each in a write of its own, so that it is
//! seen) → in one last write [`describe`], [`add_mappings`], [`insert_rows`] in batches, [`finish`] — or [`fail`].
//! Nothing is ever half imported.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{
    coherence::{ClientId, Write},
    store::{Reading, StoreError},
    views::{Import, ImportError, ImportStatus, Items},
};

/// A file that was received.
#[derive(Clone, Debug)]
pub struct NewImport {
    pub engagement_id: Uuid,
    /// None creates a flow, named after the file.
    pub flow_id: Option<Uuid>,
    pub file_name: String,
    pub size_bytes: u64,
    pub created_by: Uuid,
}

/// What was found out about the file.
#[derive(Clone, Debug)]
pub struct FileDescription {
    pub rows_total: u64,
    /// The names of the columns, in the order of the file.
    pub headers: Vec<String>,
    pub encoding: String,
    pub delimiter: String,
    pub format: String,
}

/// A suggestion to be reviewed.
#[derive(Clone, Debug)]
pub struct NewMapping {
    /// The column's place in the file, from 0.
    pub position: u32,
    pub source_column: String,
    pub target_attribute: Option<String>,
    /// 0 to 1.
    pub confidence: f64,
    pub reason: String,
    /// At most five.
    pub sample_values: Vec<String>,
}

/// A row of the file.
#[derive(Clone, Debug)]
pub struct NewRow {
    /// The record in the file, counted from 1; the header is 1.
    pub row_number: u64,
    /// In the order of the headers.
    pub values: Vec<String>,
}

/// The newest first. An engagement of another client is not found.
pub async fn list(db: Reading<'_>, client: ClientId, engagement: Option<Uuid>) -> Result<Items<Import>, StoreError> { todo!() }
pub async fn by_id(db: Reading<'_>, client: ClientId, import: Uuid) -> Result<Import, StoreError> { todo!() }
pub async fn create(w: &mut Write, client: ClientId, new: &NewImport, now: DateTime<Utc>) -> Result<Import, StoreError> { todo!() }
/// How far it has come. `status` is `Reading` or `Mapping`.
pub async fn progress(w: &mut Write, client: ClientId, import: Uuid, status: ImportStatus, rows_done: u64) -> Result<(), StoreError> { todo!() }
pub async fn describe(w: &mut Write, client: ClientId, import: Uuid, file: &FileDescription) -> Result<(), StoreError> { todo!() }
pub async fn add_mappings(w: &mut Write, client: ClientId, import: Uuid, mappings: &[NewMapping], now: DateTime<Utc>) -> Result<(), StoreError> { todo!() }
/// Any number of rows: they go to the database some hundred at a time.
pub async fn insert_rows(w: &mut Write, client: ClientId, import: Uuid, rows: &[NewRow]) -> Result<(), StoreError> { todo!() }
/// Ends it well; its flow waits for the review of the mappings then.
pub async fn finish(w: &mut Write, client: ClientId, import: Uuid, rows_done: u64, now: DateTime<Utc>) -> Result<Import, StoreError> { todo!() }
/// Ends it badly; its flow is a draft again.
pub async fn fail(w: &mut Write, client: ClientId, import: Uuid, error: &ImportError, now: DateTime<Utc>) -> Result<Import, StoreError> { todo!() }
/// Fails whatever an earlier process left unfinished; to be called at start, before any import begins. Returns how
/// many those were.
pub async fn fail_unfinished(w: &mut Write, now: DateTime<Utc>) -> Result<u64, StoreError> { todo!() }
