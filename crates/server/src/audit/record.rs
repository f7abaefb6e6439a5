//! What is recorded: who did what, in which tenant, to what, when, and how it ended. *Decides*, does no IO.
//!
//! # Invariants
//! - A subject is a keyed hash; there is no field for it in clear.
//! - [`Entry::encode`] is canonical: two records have the same bytes only if they say the same.

use std::borrow::Cow;

/// Longest text of a field, in bytes; more is cut when the record is taken.
pub const TEXT_BYTES_MAX: usize = 1024;

/// What is recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// Nothing.
    Off = 0,
    /// What changes something.
    #[default]
    Mutations = 1,
    /// And what is sensitive: reads of routes that are marked so, and what was refused.
    Sensitive = 2,
    /// And every read.
    All = 3,
}

impl Level {
    /// Every level.
    pub const ALL: [Self; 4] = [Self::Off, Self::Mutations, Self::Sensitive, Self::All];

    /// The word in settings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Mutations => "mutations",
            Self::Sensitive => "sensitive",
            Self::All => "all",
        }
    }

    /// The level of a word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.as_str() == text)
    }

    /// Whether what is of this class is recorded.
    pub fn records(self, class: Class) -> bool {
        self as u8 >= class as u8
    }
}

/// From which level on something is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Class {
    /// It changes something.
    Mutation = 1,
    /// It is sensitive.
    Sensitive = 2,
    /// It is a read.
    Read = 3,
}

impl Class {
    /// The word in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mutation => "mutation",
            Self::Sensitive => "sensitive",
            Self::Read => "read",
        }
    }
}

/// What was done. The words are for good: records keep them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Operation(&'static str);

impl Operation {
    /// Something was declared wrong, because it changed or because somebody said so.
    pub const INVALIDATE: Self = Self("invalidate");
    /// Declared wrong, and its bytes deleted.
    pub const PURGE: Self = Self("purge");
    /// One key was removed.
    pub const REMOVE: Self = Self("remove");
    /// A read; its outcome says where the answer came from.
    pub const READ: Self = Self("read");
    /// Something was read ahead.
    pub const WARM: Self = Self("warm");
    /// A setting was changed.
    pub const CONFIGURE: Self = Self("configure");
    /// A subject was erased.
    pub const ERASE: Self = Self("erase");
    /// It was listed what is cached about a subject.
    pub const REPORT: Self = Self("report");
    /// Somebody signed in, or tried to.
    pub const SIGN_IN: Self = Self("sign_in");
    /// Somebody signed out.
    pub const SIGN_OUT: Self = Self("sign_out");
    /// A request that would have changed something.
    pub const WRITE: Self = Self("write");
    /// Records were taken out of the trail, because their time was over.
    pub const RETENTION: Self = Self("retention");
    /// Records are missing here, and why.
    pub const GAP: Self = Self("gap");
    /// Something beside the records was altered in the trail's database, and what.
    pub const ALTERED: Self = Self("altered");
    /// A tenant's chain begins.
    pub const CHAIN: Self = Self("chain");
    /// The trail was searched or exported.
    pub const AUDIT: Self = Self("audit");

    /// One of the application's own.
    pub const fn application(word: &'static str) -> Self {
        Self(word)
    }

    /// Its word.
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It was done.
    Done,
    /// It was done, and what it declares wrong is told to other nodes when the store is back.
    Pending,
    /// It was refused.
    Refused,
    /// It failed; nothing was done.
    Failed,
    /// Nobody knows: the process ended, or the client left, before it was known.
    Unknown,
    /// A read from the cache.
    Hit,
    /// A read from the cache of what was known to be out of date.
    Stale,
    /// A read that was loaded.
    Miss,
    /// A read that passed the cache by.
    Bypass,
}

impl Outcome {
    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Pending => "pending",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
            Self::Hit => "hit",
            Self::Stale => "stale",
            Self::Miss => "miss",
            Self::Bypass => "bypass",
        }
    }

    /// Of an `X-Cache` header.
    pub(crate) fn of_verdict(verdict: &[u8]) -> Self {
        match verdict {
            b"HIT" => Self::Hit,
            b"STALE" => Self::Stale,
            b"MISS" => Self::Miss,
            _ => Self::Bypass,
        }
    }
}

/// Whose data something is about: a keyed hash of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Subject(pub(super) [u8; 16]);

impl Subject {
    /// 32 hexadecimal digits.
    pub fn hex(self) -> String {
        format!("{:032x}", u128::from_be_bytes(self.0))
    }

    pub(super) fn parse(hex: &str) -> Option<Self> {
        let number = u128::from_str_radix(hex, 16).ok().filter(|_| hex.len() == 32)?;
        Some(Self(number.to_be_bytes()))
    }
}

/// What is to be recorded. Empty texts and zeros stand for what there is not.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// When, in milliseconds since 1970. Zero is filled with the present.
    pub at_ms: u64,
    /// The tenant; empty for what is the installation's own.
    pub tenant: &'a str,
    /// Who, as the application verified it.
    pub principal: &'a str,
    /// By which agent, as the caller said it.
    pub agent: &'a str,
    /// What.
    pub operation: Operation,
    /// How it ended.
    pub outcome: Outcome,
    /// The kind of thing.
    pub entity: &'a str,
    /// The key, group or path.
    pub key: &'a str,
    /// Whose data it is about.
    pub subject: Option<Subject>,
    /// The status of the answer.
    pub status: u16,
    /// The trace.
    pub trace: u128,
    /// The position from which on it is seen.
    pub position: &'a str,
    /// More of it, in words.
    pub detail: &'a str,
}

impl<'a> Entry<'a> {
    /// Somebody did something in a tenant.
    pub fn new(tenant: &'a str, operation: Operation, outcome: Outcome) -> Self {
        Self {
            at_ms: 0,
            tenant,
            principal: "",
            agent: "",
            operation,
            outcome,
            entity: "",
            key: "",
            subject: None,
            status: 0,
            trace: 0,
            position: "",
            detail: "",
        }
    }

    /// Writes it with its texts cut to what may be kept, and without what PostgreSQL refuses in a text.
    pub(super) fn encode_fitting(&self, out: &mut Vec<u8>) {
        let Entry { at_ms, subject, status, trace, .. } = *self;
        encode_fixed(out, (at_ms, trace, status, 1, subject));
        for text in self.texts() {
            encode_text(out, &fitting(text));
        }
    }

    fn texts(&self) -> [&'a str; 9] {
        let Entry { tenant, principal, agent, operation, outcome, entity, key, position, detail, .. } = *self;
        [tenant, principal, agent, operation.as_str(), outcome.as_str(), entity, key, position, detail]
    }
}

/// A record, as it is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// When, in milliseconds since 1970: of the first, if it stands for several.
    pub at_ms: u64,
    /// The tenant; empty for what is the installation's own.
    pub tenant: String,
    /// Who, as the application verified it.
    pub principal: String,
    /// By which agent, as the caller said it.
    pub agent: String,
    /// What.
    pub operation: String,
    /// How it ended.
    pub outcome: String,
    /// The kind of thing.
    pub entity: String,
    /// The key, group or path.
    pub key: String,
    /// Whose data it is about.
    pub subject: Option<Subject>,
    /// The status of the answer; zero for none.
    pub status: u16,
    /// The trace: of the first, if it stands for several; zero for none.
    pub trace: u128,
    /// The position from which on it is seen.
    pub position: String,
    /// More of it, in words.
    pub detail: String,
    /// How many equal reads of one second it stands for.
    pub times: u32,
}

impl Record {
    /// Its canonical bytes: all of it, as it is.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        encode_fixed(out, (self.at_ms, self.trace, self.status, self.times, self.subject));
        for text in self.texts() {
            encode_text(out, text);
        }
    }

    /// Reads what [`encode`](Self::encode) wrote.
    pub(super) fn decode(bytes: &mut &[u8]) -> Option<Self> {
        let mut record = Self {
            at_ms: u64::from_le_bytes(take(bytes)?),
            trace: u128::from_le_bytes(take(bytes)?),
            status: u16::from_le_bytes(take(bytes)?),
            times: u32::from_le_bytes(take(bytes)?),
            ..Self::default()
        };
        let [is_there] = take(bytes)?;
        let subject = take(bytes)?;
        record.subject = (is_there == 1).then_some(Subject(subject));
        for text in record.texts_mut() {
            *text = decode_text(bytes)?;
        }
        Some(record)
    }

    fn texts(&self) -> [&String; 9] {
        let Self { tenant, principal, agent, operation, outcome, entity, key, position, detail, .. } = self;
        [tenant, principal, agent, operation, outcome, entity, key, position, detail]
    }

    fn texts_mut(&mut self) -> [&mut String; 9] {
        let Self { tenant, principal, agent, operation, outcome, entity, key, position, detail, .. } = self;
        [tenant, principal, agent, operation, outcome, entity, key, position, detail]
    }
}

/// The canonical bytes of a record, of which no more is decoded than when it was and in which trace.
#[derive(Clone, Copy, Debug)]
pub(super) struct Encoded<'a> {
    pub(super) at_ms: u64,
    pub(super) trace: u128,
    /// All the rest: equal exactly if the records say the same.
    pub(super) said: &'a [u8],
}

impl<'a> Encoded<'a> {
    /// What [`Record::encode`] wrote, and whatever follows it.
    pub(super) fn of(mut bytes: &'a [u8]) -> Option<Self> {
        let at_ms = u64::from_le_bytes(take(&mut bytes)?);
        let trace = u128::from_le_bytes(take(&mut bytes)?);
        Some(Self { at_ms, trace, said: bytes })
    }

    /// Whether it is of a [read](Operation::READ).
    pub(super) fn is_read(&self) -> bool {
        let operation = || {
            let mut texts = self.said.get(SAID_FIXED_BYTES..)?;
            let [_tenant, _principal, _agent] = [text(&mut texts)?, text(&mut texts)?, text(&mut texts)?];
            text(&mut texts)
        };
        operation() == Some(Operation::READ.as_str().as_bytes())
    }
}

/// Bytes of status, times and subject.
const SAID_FIXED_BYTES: usize = 2 + 4 + 1 + 16;

type Fixed = (u64, u128, u16, u32, Option<Subject>);

fn encode_fixed(out: &mut Vec<u8>, (at_ms, trace, status, times, subject): Fixed) {
    out.extend_from_slice(&at_ms.to_le_bytes());
    out.extend_from_slice(&trace.to_le_bytes());
    out.extend_from_slice(&status.to_le_bytes());
    out.extend_from_slice(&times.to_le_bytes());
    out.push(u8::from(subject.is_some()));
    out.extend_from_slice(&subject.map_or([0; 16], |subject| subject.0));
}

pub(super) fn encode_text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&(text.len() as u64).to_le_bytes()[..4]);
    out.extend_from_slice(text.as_bytes());
}

pub(super) fn decode_text(bytes: &mut &[u8]) -> Option<String> {
    String::from_utf8(text(bytes)?.to_vec()).ok()
}

fn text<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = u32::from_le_bytes(take(bytes)?) as usize;
    let (text, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(text)
}

pub(super) fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*taken)
}

/// At most [`TEXT_BYTES_MAX`] bytes, and no NUL, which PostgreSQL keeps in no text.
pub(super) fn fitting(text: &str) -> Cow<'_, str> {
    let is_long = text.len() > TEXT_BYTES_MAX;
    if !is_long && !text.as_bytes().contains(&0) {
        return Cow::Borrowed(text);
    }
    let mut end = text.len().min(TEXT_BYTES_MAX - '…'.len_utf8());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let mut fitting = text[..end].replace('\0', " ");
    if is_long {
        fitting.push('…');
    } else {
        fitting.push_str(&text[end..].replace('\0', " "));
    }
    Cow::Owned(fitting)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn levels_hold_what_the_ones_below_hold() {
        let classes = [Class::Mutation, Class::Sensitive, Class::Read];
        let recorded = |level: Level| classes.map(|class| level.records(class));
        assert_eq!(recorded(Level::Off), [false, false, false]);
        assert_eq!(recorded(Level::Mutations), [true, false, false]);
        assert_eq!(recorded(Level::Sensitive), [true, true, false]);
        assert_eq!(recorded(Level::All), [true, true, true]);
        for level in Level::ALL {
            assert_eq!(Level::parse(level.as_str()), Some(level));
        }
        assert_eq!(Level::parse("everything"), None);
    }

    #[test]
    fn texts_are_cut_at_a_character_and_hold_no_nul() {
        assert_eq!(fitting("as it is"), "as it is");
        assert_eq!(fitting("a\0b"), "a b");
        let long = "ü".repeat(TEXT_BYTES_MAX);
        let cut = fitting(&long);
        assert!(cut.len() <= TEXT_BYTES_MAX && cut.ends_with("ü…"), "{cut}");
        assert!(!fitting(&"\0".repeat(TEXT_BYTES_MAX)).contains('\0'));
        assert!(fitting(&"\0".repeat(TEXT_BYTES_MAX)).len() <= TEXT_BYTES_MAX);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            texts in proptest::array::uniform9("\\PC{0,40}"),
            at_ms: u64, trace: u128, status: u16, times: u32, subject: Option<[u8; 16]>,
        ) {
            let mut record = Record { at_ms, trace, status, times, subject: subject.map(Subject), ..Record::default() };
            record.texts_mut().into_iter().zip(texts).for_each(|(held, text)| *held = text);
            let mut bytes = Vec::new();
            record.encode(&mut bytes);
            let mut rest = bytes.as_slice();
            prop_assert_eq!(Record::decode(&mut rest), Some(record));
            prop_assert!(rest.is_empty());
            for end in 0..bytes.len() {
                prop_assert_eq!(Record::decode(&mut &bytes[..end]), None);
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let _ = Record::decode(&mut bytes.as_slice());
        }
    }
}
