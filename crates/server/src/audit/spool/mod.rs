//! The local spool: segment files to which records are appended before an answer goes out, until they are in the database.
//!
//! A folder per run of a process, locked for as long as it lives: `audit/<spool>/{lock,00000001.audit,…}`. What another
//! run has left is shipped by whoever finds its folder unlocked.
//!
//! # Invariants
//! - What was [written](Spool::write_through) is in the kernel: it outlives the process.
//! - What was [synced](Spool::sync_through) is on disk, and so is the name of its file: it outlives the machine. After a sync
//!   that failed nobody knows what of the file arrived, and asking again would not tell: none of it ever counts as synced.
//! - Numbers rise within a spool. A frame may stand twice after a failed write; its number tells.
//! - The spool is bounded. Reads leave a quarter of it to what must be recorded.

pub(in crate::audit) mod frame;
mod leftover;
mod reader;

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use parking_lot::Mutex;

pub(super) use self::{
    leftover::Leftover,
    reader::{Chunk, SpoolReader},
};
use super::record::{Entry, Outcome};

/// The file whose lock says that a run lives.
const LOCK: &str = "lock";
/// How segment files end.
const SUFFIX: &str = ".audit";
/// Bytes that may wait to be written when the disk refuses them.
const BUFFER_BYTES_MAX: usize = 1 << 20;
/// Bytes of a segment, and an eighth of the spool at most; then another is begun. The last one counts as waiting, shipped
/// or not.
const SEGMENT_BYTES_MAX: u64 = 8 << 20;

/// For whom there must be room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// What may be left out: three quarters of the spool.
    Reads,
    /// What must be recorded: all of it.
    Writes,
    /// What became of something that is in the spool already: beyond the limit, too.
    Ends,
}

/// Nothing more can be recorded now.
#[derive(Debug, thiserror::Error)]
pub enum AuditRefused {
    /// The spool is full.
    #[error(
        "the audit trail's spool holds {bytes} of {bytes_max} bytes and takes no more: the database has to take what \
         waits there, or AUDIT_SPOOL_BYTES has to be raised"
    )]
    Full {
        /// Bytes that wait.
        bytes: u64,
        /// The limit.
        bytes_max: u64,
    },
    /// The disk does not take it.
    #[error("the audit trail's spool cannot be written: {0}")]
    Io(#[from] io::Error),
}

/// The spool of this run.
#[derive(Debug)]
pub(super) struct Spool {
    name: String,
    folder: PathBuf,
    bytes_max: u64,
    syncs: bool,
    writer: Mutex<Writer>,
    /// Held by who syncs, before the writer: who waits for it finds it done.
    syncing: Mutex<()>,
    /// The last number that is in the kernel.
    written: AtomicU64,
    /// Bytes that are not shipped.
    bytes: AtomicU64,
    _lock: File,
}

#[derive(Debug, Default)]
struct Writer {
    /// None before the first write and after one that failed.
    file: Option<Arc<File>>,
    segment: u64,
    segment_bytes: u64,
    buffer: Vec<u8>,
    /// The last number given.
    last: u64,
    /// The last number that is on disk with all before it, but for those that are lost.
    synced: u64,
    /// The last number of which it is not known, and never will be.
    lost: u64,
}

impl Spool {
    /// Begins a spool in `directory`, which is made if it is missing.
    pub(super) fn begin(directory: &Path, bytes_max: u64, syncs: bool) -> io::Result<Self> {
        let name = format!("{:016x}", rand::random::<u64>());
        let folder = directory.join(&name);
        make_private(directory)?;
        // Locked before it has its name: nobody may find it without its lock and take it for a leftover.
        let draft = directory.join(format!(".{name}"));
        make_private(&draft)?;
        let lock = private(OpenOptions::new().create(true).write(true)).open(draft.join(LOCK))?;
        lock.lock()?;
        fs::rename(&draft, &folder)?;
        if syncs {
            directory.parent().filter(|parent| !parent.as_os_str().is_empty()).map_or(Ok(()), sync_folder)?;
            sync_folder(directory)?;
        }
        let (writer, syncing) = (Mutex::default(), Mutex::default());
        let (written, bytes) = (AtomicU64::new(0), AtomicU64::new(0));
        Ok(Self { name, folder, bytes_max, syncs, writer, syncing, written, bytes, _lock: lock })
    }

    /// What it is called.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Bytes that are not shipped.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    /// Takes a record, which is not written yet.
    pub(super) fn put(&self, entry: &Entry<'_>, is_intent: bool, room: Room) -> Result<u64, AuditRefused> {
        self.take(room, |out, number| frame::write_record(out, number, entry, is_intent))
    }

    /// Takes what became of an intent, which is not written yet.
    pub(super) fn put_end(
        &self,
        intent: u64,
        outcome: Outcome,
        status: u16,
        position: &str,
    ) -> Result<u64, AuditRefused> {
        self.take(Room::Ends, |out, number| frame::write_end(out, number, intent, outcome, status, position))
    }

    fn take(&self, room: Room, write: impl FnOnce(&mut Vec<u8>, u64)) -> Result<u64, AuditRefused> {
        let mut writer = self.writer.lock();
        let limit = match room {
            Room::Reads => self.bytes_max / 4 * 3,
            Room::Writes => self.bytes_max,
            Room::Ends => u64::MAX,
        };
        let bytes = self.bytes.load(Relaxed);
        if bytes >= limit || (writer.buffer.len() > BUFFER_BYTES_MAX && room != Room::Ends) {
            return Err(AuditRefused::Full { bytes, bytes_max: self.bytes_max });
        }
        writer.last += 1;
        let (number, before) = (writer.last, writer.buffer.len());
        write(&mut writer.buffer, number);
        self.bytes.fetch_add((writer.buffer.len() - before) as u64, Relaxed);
        Ok(number)
    }

    /// Sees to it that a record is in the kernel. Who comes first writes for all that wait.
    pub(super) fn write_through(&self, number: u64) -> io::Result<()> {
        if self.written.load(std::sync::atomic::Ordering::Acquire) >= number {
            return Ok(());
        }
        let mut writer = self.writer.lock();
        if self.written.load(Relaxed) >= number {
            return Ok(());
        }
        self.write(&mut writer)
    }

    /// Writes what waits for it. What fails stays in the buffer, and goes to another segment the next time: of the last
    /// one nobody knows how much of it arrived.
    fn write(&self, writer: &mut Writer) -> io::Result<()> {
        let file = if let Some(file) = &writer.file {
            file.clone()
        } else {
            let path = self.folder.join(format!("{:08}{SUFFIX}", writer.segment + 1));
            let file = Arc::new(private(OpenOptions::new().create_new(true).append(true)).open(path)?);
            writer.segment += 1;
            writer.segment_bytes = 0;
            if self.syncs {
                sync_folder(&self.folder)?;
            }
            writer.file = Some(file.clone());
            file
        };
        if let Err(error) = (&*file).write_all(&writer.buffer) {
            self.leave(writer);
            return Err(error);
        }
        writer.segment_bytes += writer.buffer.len() as u64;
        writer.buffer.clear();
        self.written.store(writer.last, std::sync::atomic::Ordering::Release);
        if writer.segment_bytes >= SEGMENT_BYTES_MAX.min(self.bytes_max / 8) {
            self.leave(writer);
        }
        Ok(())
    }

    /// Lets go of the segment. What was written to it goes to disk now: later nobody would come by it.
    fn leave(&self, writer: &mut Writer) {
        if let Some(file) = writer.file.take().filter(|_| self.syncs)
            && let Err(error) = file.sync_data()
        {
            self.lose(writer, &error);
        }
    }

    /// A sync failed: what was written until now may be on disk or not.
    fn lose(&self, writer: &mut Writer, error: &io::Error) {
        tracing::error!(%error, "the audit trail's spool cannot be synced; what was written to it may not outlive the machine");
        writer.lost = self.written.load(Relaxed);
        writer.file = None;
    }

    /// Whether what changes something is to be synced.
    pub(super) fn syncs(&self) -> bool {
        self.syncs
    }

    /// Sees to it that a record that is written is on disk, if that is wanted. Who comes first syncs for all that were
    /// written by then. Blocks.
    pub(super) fn sync_through(&self, number: u64) -> io::Result<()> {
        if !self.syncs {
            return Ok(());
        }
        let told = |writer: &Writer| {
            let lost = || io::Error::other("a sync of what was written before has failed");
            if number <= writer.lost { Some(Err(lost())) } else { (number <= writer.synced).then_some(Ok(())) }
        };
        let _syncing = self.syncing.lock();
        let (file, through) = {
            let writer = self.writer.lock();
            if let Some(told) = told(&writer) {
                return told;
            }
            (writer.file.clone(), self.written.load(Relaxed))
        };
        // Not under the writer's lock: reads are written meanwhile. Segments before this one were synced when they were left.
        let synced = file.map_or(Ok(()), |file| file.sync_data());
        let mut writer = self.writer.lock();
        match synced {
            Ok(()) => writer.synced = through,
            Err(error) => {
                self.lose(&mut writer, &error);
                return Err(error);
            }
        }
        // The segment may have been left meanwhile, and that have failed.
        told(&writer).unwrap_or_else(|| Err(io::Error::other("it is not written yet")))
    }

    /// Writes what waits, and tells how far the segments go: the last one, its bytes, and the last number.
    pub(super) fn end(&self) -> (u64, u64, u64) {
        let mut writer = self.writer.lock();
        if !writer.buffer.is_empty()
            && let Err(error) = self.write(&mut writer)
        {
            tracing::error!(%error, "the audit trail's spool cannot be written; records wait in memory");
        }
        (writer.segment, writer.segment_bytes, self.written.load(Relaxed))
    }

    /// Deletes a segment that is shipped.
    pub(super) fn remove(&self, segment: u64) -> io::Result<()> {
        let removed = remove_segment(&self.folder, segment)?;
        self.bytes.fetch_sub(removed.min(self.bytes()), Relaxed);
        Ok(())
    }

    /// Ends the run, when everything is shipped: its folder goes.
    pub(super) fn close(&self) -> io::Result<()> {
        fs::remove_dir_all(&self.folder)
    }
}

/// Puts the names of a folder's files on disk: else a file that was synced may be found under none.
fn sync_folder(folder: &Path) -> io::Result<()> {
    #[cfg(unix)]
    File::open(folder)?.sync_all()?;
    #[cfg(not(unix))]
    let _ = folder;
    Ok(())
}

fn path_of(folder: &Path, segment: u64) -> PathBuf {
    folder.join(format!("{segment:08}{SUFFIX}"))
}

/// The segments of a folder, in order.
fn segments_in(folder: &Path) -> io::Result<Vec<u64>> {
    let mut segments = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        segments.extend(name.to_str().and_then(|name| name.strip_suffix(SUFFIX)?.parse::<u64>().ok()));
    }
    segments.sort_unstable();
    Ok(segments)
}

fn remove_segment(folder: &Path, segment: u64) -> io::Result<u64> {
    let path = path_of(folder, segment);
    let bytes = fs::metadata(&path)?.len();
    fs::remove_file(path)?;
    Ok(bytes)
}

/// Records are for nobody else's eyes.
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

fn make_private(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

#[cfg(test)]
mod tests;
