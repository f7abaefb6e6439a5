use unstale::testing::Folder;

use super::{frame::Frame, *};
use crate::audit::{fold::folded, record::Operation};

fn entry(key: &str) -> Entry<'_> {
    Entry { key, ..Entry::new("acme", Operation::READ, Outcome::Hit) }
}

/// What was read, each with its number: the key of records and intents, and how what was begun ended.
fn keys(chunk: &Chunk) -> Vec<(u64, String)> {
    let told = |(number, _, frame): &(u64, u64, Frame)| match frame {
        Frame::Record(spooled) => {
            let [(number, record)] = &folded(&[(*number, spooled.clone())], &chunk.reads, 0)[..] else {
                panic!("one is one")
            };
            (*number, record.key.clone())
        }
        Frame::Intent(record) => (*number, record.key.clone()),
        Frame::End { end, .. } => (*number, end.outcome.clone()),
    };
    chunk.frames.iter().map(told).collect()
}

fn numbered(keys: &[&str]) -> Vec<(u64, String)> {
    keys.iter().zip(1..).map(|(key, number)| (number, (*key).to_owned())).collect()
}

#[test]
fn what_is_written_through_is_read_by_another_and_what_waits_goes_with_it() {
    let dir = Folder::new();
    let spool = Spool::begin(dir.path(), 1 << 20, false).unwrap();
    let mut reader = SpoolReader::new(spool.folder());
    spool.put(&entry("a"), false, Room::Reads).unwrap();
    let second = spool.put(&entry("b"), true, Room::Writes).unwrap();
    assert!(reader.read(None).unwrap().frames.is_empty(), "nothing is written yet");
    spool.write_through(second).unwrap();
    let third = spool.put_end(second, Outcome::Done, 200, "1.2.3").unwrap();
    spool.write_through(third).unwrap();
    let (segment, bytes, last) = spool.end();
    let read = reader.read(Some((segment, bytes))).unwrap();
    assert_eq!((keys(&read), last), (numbered(&["a", "b", "done"]), 3));
    assert!(read.is_last, "nothing was written behind it when it was asked how far the segments go");
    assert_eq!(spool.bytes(), bytes);
    spool.remove(segment).unwrap();
    assert_eq!(spool.bytes(), 0);
}

#[test]
fn reads_leave_room_to_writes_and_ends_always_find_it() {
    let dir = Folder::new();
    let spool = Spool::begin(dir.path(), 4096, false).unwrap();
    let fill = |room| (0..100).take_while(|_| spool.put(&entry("k"), false, room).is_ok()).count();
    let reads = fill(Room::Reads);
    let writes = fill(Room::Writes);
    assert!(reads > 5 && writes > 2 && reads > 2 * writes, "{reads} {writes}");
    let refused = spool.put(&entry("k"), false, Room::Writes).unwrap_err().to_string();
    assert!(refused.contains("of 4096 bytes") && refused.contains("AUDIT_SPOOL_BYTES"), "{refused}");
    spool.put_end(1, Outcome::Done, 200, "").unwrap();
}

#[test]
fn what_is_torn_off_is_recognised_and_the_rest_is_read() {
    let dir = Folder::new();
    let spool = Spool::begin(dir.path(), 1 << 20, false).unwrap();
    for key in ["a", "b", "c"] {
        let number = spool.put(&entry(key), false, Room::Reads).unwrap();
        spool.write_through(number).unwrap();
    }
    let path = path_of(spool.folder(), 1);
    let whole = fs::read(&path).unwrap();
    for cut in 1..whole.len() / 3 {
        fs::write(&path, &whole[..whole.len() - cut]).unwrap();
        let read = SpoolReader::new(spool.folder()).read(None).unwrap();
        assert_eq!((keys(&read), read.torn > 0, read.damaged), (numbered(&["a", "b"]), true, 0));
    }
    let mut damaged = whole.clone();
    damaged[whole.len() / 2] ^= 1;
    fs::write(&path, &damaged).unwrap();
    let read = SpoolReader::new(spool.folder()).read(None).unwrap();
    assert_eq!((keys(&read), read.damaged > 0), (numbered(&["a"]), true));
}

#[test]
fn a_run_that_lives_is_left_alone_and_one_that_is_over_is_found() {
    let dir = Folder::new();
    let (living, over) =
        (Spool::begin(dir.path(), 1 << 20, false).unwrap(), Spool::begin(dir.path(), 1 << 20, false).unwrap());
    assert!(Leftover::all_in(dir.path()).unwrap().is_empty());
    let name = over.name().to_owned();
    drop(over);
    let found = Leftover::all_in(dir.path()).unwrap();
    assert_eq!(found.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), [name]);
    assert!(Leftover::all_in(dir.path()).unwrap().is_empty(), "it is held by one");
    drop(living);
}

#[cfg(unix)]
#[test]
fn records_are_for_nobody_elses_eyes() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = Folder::new();
    let spool = Spool::begin(&dir.path().join("audit"), 1 << 20, false).unwrap();
    let number = spool.put(&entry("a"), false, Room::Reads).unwrap();
    spool.write_through(number).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(spool.folder()), mode(&path_of(spool.folder(), 1))), (0o700, 0o600));
}

#[test]
fn a_disk_that_fails_once_loses_nothing() {
    let dir = Folder::new();
    let spool = Spool::begin(dir.path(), 1 << 20, false).unwrap();
    // The first segment cannot be made: something else has its name.
    fs::create_dir(path_of(spool.folder(), 1)).unwrap();
    let number = spool.put(&entry("a"), false, Room::Writes).unwrap();
    assert!(spool.write_through(number).is_err());
    fs::remove_dir(path_of(spool.folder(), 1)).unwrap();
    spool.write_through(number).unwrap();
    let read = SpoolReader::new(spool.folder()).read(None).unwrap();
    assert_eq!(keys(&read), numbered(&["a"]));
}

/// A segment that takes what is written to it, for as long as the other end is there, and cannot be synced.
#[cfg(unix)]
fn put_unsyncable(spool: &Spool) -> io::PipeReader {
    let (reader, writer) = io::pipe().unwrap();
    spool.writer.lock().file = Some(Arc::new(File::from(std::os::fd::OwnedFd::from(writer))));
    reader
}

#[cfg(unix)]
#[test]
fn what_may_not_be_on_disk_is_never_said_to_be() {
    let dir = Folder::new();
    let spool = Spool::begin(dir.path(), 1 << 20, true).unwrap();
    let write = |key: &str| {
        let number = spool.put(&entry(key), false, Room::Writes).unwrap();
        spool.write_through(number).map(|()| number).map_err(|_| number)
    };
    let reader = put_unsyncable(&spool);
    let first = write("a").unwrap();
    assert!(spool.sync_through(first).is_err());
    assert!(spool.sync_through(first).is_err(), "nor when it is asked again");
    let second = write("b").unwrap();
    spool.sync_through(second).unwrap();
    drop(reader);
    // Another's write fails, between the write and the sync of one.
    let reader = put_unsyncable(&spool);
    let third = write("c").unwrap();
    drop(reader);
    let fourth = write("d").unwrap_err();
    assert!(spool.sync_through(third).is_err());
    spool.write_through(fourth).unwrap();
    spool.sync_through(fourth).unwrap();
    assert!(spool.sync_through(third).is_err() && spool.sync_through(first).is_err(), "for good");
    let read = SpoolReader::new(spool.folder()).read(None).unwrap();
    assert_eq!(keys(&read), [(second, "b".to_owned())], "the rest is in other segments");
}
