//! Reading an uploaded file in the background.
//!
//! ```text
//! queued ─▶ reading: the whole file is judged, progress is told ─▶ mapping: everything is stored in one write ─▶ completed
//!              └────────────────────────────────┴──────────────────▶ failed: nothing is stored but the reason
//! ```
//!
//! # Invariants
//! - Nothing is ever half imported: rows, mappings and the flow's new state are one transaction.
//! - That transaction begins when the file is known to be good: on SQLite it keeps every other writer waiting.
//! - The queue is bounded, a place is taken before the upload is announced, and the file goes when the job ends.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use axum::http::StatusCode;
use tokio::sync::{Mutex, mpsc, watch};
use unstale_server::{audit::Actor, problem::Problem};
use uuid::Uuid;

use super::{Platform, answer::Saved, upload::TemporaryFile};
use crate::{
    coherence::{ClientId, Write, WriteError},
    imports::{self, Inspection, Limits, Suggestion},
    store::{
        StoreError,
        repositories::imports::{self as repository, FileDescription, NewMapping, NewRow},
    },
    views::{ImportError, ImportStatus},
};

/// Files that wait to be read.
const QUEUE_MAX: usize = 64;
/// How often progress is told: often enough to be watched, seldom enough not to be in the way of other writers.
const PROGRESS_EVERY: Duration = Duration::from_millis(250);
/// Rows that go from the reader to the writer at once.
const BATCH_ROWS: usize = 500;
/// Batches that wait for the writer.
const BATCHES_MAX: usize = 4;
/// When somebody is to come again if the queue is full.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// An upload to be read.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) client: ClientId,
    pub(crate) import: Uuid,
    pub(crate) file: TemporaryFile,
    /// Who asked for it.
    pub(crate) actor: Actor,
}

/// Uploads that wait.
pub(crate) struct ImportQueue {
    sender: mpsc::Sender<Job>,
    receiver: Mutex<Option<mpsc::Receiver<Job>>>,
}

/// A place in the queue.
pub(crate) struct Place<'a>(mpsc::Permit<'a, Job>);

impl Place<'_> {
    /// Takes it.
    pub(crate) fn take(self, job: Job) {
        self.0.send(job);
    }
}

impl Default for ImportQueue {
    fn default() -> Self {
        let (sender, receiver) = mpsc::channel(QUEUE_MAX);
        Self { sender, receiver: Mutex::new(Some(receiver)) }
    }
}

impl ImportQueue {
    /// A place in the queue, before anything is promised.
    pub(crate) fn place(&self) -> Result<Place<'_>, Problem> {
        self.sender.try_reserve().map(Place).map_err(|_| {
            Problem::unavailable("Many files are waiting to be imported. Try again in a few seconds.")
                .retry_after(RETRY_AFTER)
        })
    }

    /// Begins to work on the queue. Once.
    pub(crate) async fn start(platform: &Platform) {
        let Some(receiver) = platform.imports.receiver.lock().await.take() else { return };
        let receiver = Arc::new(Mutex::new(receiver));
        for _ in 0..platform.settings.import_workers {
            let (platform, receiver) = (platform.clone(), receiver.clone());
            tokio::spawn(async move {
                loop {
                    let Some(job) = receiver.lock().await.recv().await else { return };
                    let actor = job.actor.clone();
                    actor.scope(run(&platform, job)).await;
                }
            });
        }
    }
}

/// Marks what an earlier process left unfinished, and removes its files. At the start, before any import begins.
///
/// A node among several answers only for the imports whose files are in its own data directory: the others' may be
/// under way.
pub(crate) async fn clean_up(platform: &Platform) -> anyhow::Result<()> {
    let uploads = platform.uploads();
    std::fs::create_dir_all(&uploads)?;
    let among = if platform.settings.common.redis.is_some() { Some(imports_in(&uploads)?) } else { None };
    let mut write = platform.store.begin().await?;
    let unfinished = repository::fail_unfinished(&mut write, among.as_deref(), platform.now()).await?;
    if unfinished > 0 {
        write.commit(&platform.cache).await?;
    } else {
        write.roll_back().await?;
    }
    // The files last: they say whose imports these were.
    std::fs::remove_dir_all(&uploads)?;
    std::fs::create_dir_all(&uploads)?;
    if unfinished > 0 {
        tracing::warn!(unfinished, "imports that the last process did not finish are marked as failed");
    }
    Ok(())
}

/// The imports whose files are in a directory.
fn imports_in(uploads: &Path) -> io::Result<Vec<Uuid>> {
    let names = std::fs::read_dir(uploads)?.map(|file| Ok(file?.path()));
    let names = names.collect::<io::Result<Vec<PathBuf>>>()?;
    Ok(names.iter().filter_map(|path| Uuid::parse_str(path.file_stem()?.to_str()?).ok()).collect())
}

fn path_of(platform: &Platform, import: Uuid) -> PathBuf {
    platform.uploads().join(format!("{import}.upload"))
}

/// Why a file was not imported.
#[derive(Debug)]
enum Failure {
    /// The file is at fault.
    File(imports::ImportError),
    /// The platform is.
    Write(WriteError),
    /// The process is stopping.
    Stopping,
}

/// Works on one upload, whatever becomes of it.
pub(crate) async fn run(platform: &Platform, job: Job) {
    let (client, import) = (job.client, job.import);
    let failure = match import_file(platform, &job).await {
        Ok(()) => return platform.warmer.imported(client, import),
        Err(failure) => failure,
    };
    let error = match failure {
        Failure::File(error) => ImportError {
            code: error.code.as_str().to_owned(),
            message: error.message,
            row: error.row,
            column: error.column,
        },
        // The flow was deleted meanwhile, and the import with it.
        Failure::Write(WriteError::Store(StoreError::NotFound { .. })) => return,
        Failure::Write(error) => {
            tracing::error!(%error, %import, "an import was not stored");
            internal("The rows could not be stored. Upload the file again.")
        }
        Failure::Stopping => internal("The server stopped before the file was imported. Upload it again."),
    };
    let failed = write(platform, async |write| repository::fail(write, client, import, &error, platform.now()).await);
    if let Err(error) = failed.await {
        tracing::error!(%error, %import, "a failed import could not be marked");
    }
}

fn internal(message: &str) -> ImportError {
    ImportError { code: "internal".to_owned(), message: message.to_owned(), row: None, column: None }
}

async fn import_file(platform: &Platform, job: &Job) -> Result<(), Failure> {
    let limits = Limits { file_bytes_max: platform.settings.import_bytes_max, ..Limits::default() };
    let inspection = inspect(platform, job, limits.clone()).await?;
    tell(platform, job, ImportStatus::Mapping, inspection.shape.rows).await?;
    store(platform, job, inspection, limits).await
}

/// Judges the whole file, telling how far it has come.
async fn inspect(platform: &Platform, job: &Job, limits: Limits) -> Result<Inspection, Failure> {
    tell(platform, job, ImportStatus::Reading, 0).await?;
    let (counter, rows) = watch::channel(0);
    let over = Over::default();
    let (path, is_over) = (job.file.path().to_owned(), over.0.clone());
    let mut judging = tokio::task::spawn_blocking(move || {
        let mut file = Upload::open(&path, is_over)?;
        imports::inspect_with(&mut file, &limits, |row| {
            counter.send_replace(row);
        })
    });
    let mut ticks = tokio::time::interval(PROGRESS_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    ticks.tick().await;
    let mut told = 0;
    loop {
        tokio::select! {
            judged = &mut judging => return judged.map_err(|_| Failure::Stopping)?.map_err(Failure::File),
            _ = ticks.tick() => {
                let done = *rows.borrow();
                if done > told {
                    told = done;
                    tell(platform, job, ImportStatus::Reading, done).await?;
                }
            }
        }
    }
}

/// Stores everything at once.
async fn store(platform: &Platform, job: &Job, inspection: Inspection, limits: Limits) -> Result<(), Failure> {
    let (client, import) = (job.client, job.import);
    let shape = &inspection.shape;
    let description = FileDescription {
        rows_total: shape.rows,
        headers: shape.headers.clone(),
        encoding: shape.encoding.as_str().to_owned(),
        delimiter: shape.delimiter().as_str().to_owned(),
        format: shape.format.as_str().to_owned(),
    };
    let mappings: Vec<NewMapping> = imports::suggest(&inspection).into_iter().map(mapping).collect();
    let rows = shape.rows;
    let over = Over::default();
    let (batches, reading) = read(job.file.path().to_owned(), inspection, limits, over.0.clone());
    let stored = write(platform, async |write| {
        let it = repository::unfinished(write, client, import).await?;
        repository::describe(write, it, &description).await?;
        repository::add_mappings(write, it, &mappings, platform.now()).await?;
        let mut batches = batches;
        let mut count = 0;
        while let Some(batch) = batches.recv().await {
            count += batch.len() as u64;
            repository::insert_rows(write, it, &batch).await?;
        }
        // Fewer rows than were counted: the reader stopped, and says below why. Nothing is kept then.
        if count != rows {
            return Err(StoreError::not_found("row"));
        }
        repository::finish(write, it, rows, platform.now()).await
    });
    let stored = stored.await;
    match reading.await {
        Ok(Ok(())) => stored.map_err(Failure::Write),
        Ok(Err(error)) => Err(Failure::File(error)),
        Err(_) => Err(Failure::Stopping),
    }
}

type Reading = tokio::task::JoinHandle<Result<(), imports::ImportError>>;

/// Reads the rows once more, a few batches ahead of the writer.
fn read(
    path: PathBuf,
    inspection: Inspection,
    limits: Limits,
    is_over: Arc<AtomicBool>,
) -> (mpsc::Receiver<Vec<NewRow>>, Reading) {
    let (sender, batches) = mpsc::channel(BATCHES_MAX);
    let reading = tokio::task::spawn_blocking(move || {
        let mut file = Upload::open(&path, is_over)?;
        let mut batch = Vec::with_capacity(BATCH_ROWS);
        for record in imports::records(&mut file, &inspection.shape, &limits)? {
            let record = record?;
            batch.push(NewRow { row_number: record.row, values: record.fields });
            if batch.len() == BATCH_ROWS {
                // Nobody receives: the write failed and says why.
                if sender.blocking_send(std::mem::replace(&mut batch, Vec::with_capacity(BATCH_ROWS))).is_err() {
                    return Ok(());
                }
            }
        }
        let _ = sender.blocking_send(batch);
        Ok(())
    });
    (batches, reading)
}

/// An uploaded file that can be read until its job is gone: a thread that reads cannot be cancelled, and a server that
/// stops waits for its threads.
struct Upload {
    file: File,
    is_over: Arc<AtomicBool>,
}

/// Ends the reading of a job's file when the job does.
#[derive(Default)]
struct Over(Arc<AtomicBool>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

impl Upload {
    fn open(path: &Path, is_over: Arc<AtomicBool>) -> Result<Self, imports::ImportError> {
        let file = File::open(path).map_err(|error| imports::ImportError::read_failed(&error))?;
        Ok(Self { file, is_over })
    }
}

impl Read for Upload {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.is_over.load(Relaxed) {
            return Err(io::Error::other("the import was given up"));
        }
        self.file.read(buffer)
    }
}

impl Seek for Upload {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

fn mapping(suggestion: Suggestion) -> NewMapping {
    NewMapping {
        position: u32::try_from(suggestion.position).expect("a file has some hundred columns at most"),
        source_column: suggestion.source_column,
        target_attribute: suggestion.target.map(|target| target.name.to_owned()),
        confidence: suggestion.confidence,
        reason: suggestion.reason,
        sample_values: suggestion.sample_values,
    }
}

async fn tell(platform: &Platform, job: &Job, status: ImportStatus, rows: u64) -> Result<(), Failure> {
    let told = write(platform, async |write| repository::progress(write, job.client, job.import, status, rows).await);
    told.await.map_err(Failure::Write)
}

/// One write from its beginning to its announcement.
async fn write(
    platform: &Platform,
    change: impl AsyncFnOnce(&mut Write) -> Result<(), StoreError>,
) -> Result<(), WriteError> {
    let mut write = platform.store.begin().await?;
    change(&mut write).await?;
    write.commit(&platform.cache).await.map(drop)
}

/// Announces an import and puts it in the queue.
pub(crate) async fn enqueue(
    platform: &Platform,
    client: ClientId,
    new: &repository::NewImport,
    mut file: TemporaryFile,
) -> Result<Saved<super::imports::ImportAccepted>, Problem> {
    let place = platform.imports.place()?;
    let mut write = platform.begin().await?;
    let import = repository::create(&mut write, client, new, platform.now()).await?;
    // Before the import is known to anybody: after a crash, its file says that it was this node's.
    file.rename(path_of(platform, import.id)).map_err(|error| Problem::internal(&error))?;
    let accepted = super::imports::ImportAccepted { import_id: import.id, flow_id: import.flow_id };
    let saved = platform.save(write, StatusCode::ACCEPTED, accepted).await?;
    place.take(Job { client, import: import.id, file, actor: Actor::current() });
    Ok(saved)
}
