//! A cached value with all that is needed to find it, to judge it and to let it go.

use std::{
    any::Any,
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed},
    },
};

use smallvec::SmallVec;

use crate::{
    codec::Cacheable,
    key::RawKey,
    position::{Epoch, Partition, Position, Sequence},
    tag::TagId,
    time::Timestamp,
};

/// The tags of an entry; four fit without an allocation.
pub type TagIds = SmallVec<[TagId; 4]>;

/// What is in L1: a key's text, a value, its tags, its base and its times.
///
/// In this order in memory: with the counters of the `Arc` around it, all that a hit reads of it when nothing was
/// invalidated since is less than a cache line, the key's text and the value's beginning right behind it; what a hit does
/// not read ([`Cold`]) is behind the value. A hit waits for memory more than for anything else, so lines count.
/// Everything is one allocation: a look-up follows one pointer, and nothing is spent on others.
#[repr(C)]
pub(crate) struct Entry<B: ?Sized = dyn Body> {
    /// Only rises, when the rule has shown the entry valid beyond it.
    base: AtomicU64,
    pub(crate) epoch: Epoch,
    pub(crate) expires_at: Timestamp,
    hash: u32,
    text_bytes: u32,
    partition: Partition,
    tag_count: u16,
    /// Uses, and the flags below.
    state: AtomicU8,
    /// Whether one of the tags belongs to the tenant (and not all are shared).
    pub(crate) has_tenant_tags: bool,
    /// How long its load took, in ms up to a minute; 0 if another node loaded it.
    pub(crate) load_ms: u16,
    body: B,
}

/// The bits of [`Entry::state`] that count uses. Readers stop counting at [`USES_MAX`]; those that count at the same
/// moment may pass it, so there is room for more.
const USES: u8 = 0b0011_1111;
const USES_MAX: u8 = 3;
/// It stands in its tenant's main queue, not in the small one.
const IN_MAIN: u8 = 0b0100_0000;
/// Its one refresh is claimed.
const REFRESHING: u8 = 0b1000_0000;

/// What a hit does not read.
pub(crate) struct Cold {
    loaded_at: Timestamp,
    /// Bytes of memory that the value takes, as its type says.
    memory_bytes: u32,
    /// The place of the tenant's account in L1.
    account: AtomicU32,
    /// Until when a load that failed is not tried again; see [`Entry::rest`].
    rests_until: AtomicU32,
    /// How many of the tags, the first ones, stand for people.
    subjects: u8,
    is_sensitive: bool,
}

/// A value, its tags and its key's text, whatever their types and lengths.
pub(crate) trait Body: Send + Sync + 'static {
    /// An `Option<V>`, of which `None` is a remembered absence.
    fn value(&self) -> &dyn Any;
    fn words(&self) -> &[Word];
    fn cold(&self) -> &Cold;
}

/// Eight bytes: eight bytes of the text, or a tag. One type, so that both stand in one array: first the text, then the
/// tags, then nothing up to the array's length. The text is first because a look-up compares it: where it stands is known
/// before anything of the entry has come from memory.
type Word = TagId;

#[repr(C)]
struct Held<V, W> {
    words: W,
    value: Option<V>,
    cold: Cold,
}

impl<V: Cacheable, W: AsRef<[Word]> + Send + Sync + 'static> Body for Held<V, W> {
    fn value(&self) -> &dyn Any {
        &self.value
    }

    fn words(&self) -> &[Word] {
        self.words.as_ref()
    }

    fn cold(&self) -> &Cold {
        &self.cold
    }
}

/// Splits a text into words; its last eight bytes are one of them, so the last two may overlap.
fn words_of(text: &str) -> impl Iterator<Item = Word> {
    let (whole, rest) = text.as_bytes().as_chunks::<8>();
    let last = (!rest.is_empty()).then(|| last_word(text));
    whole.iter().map(|eight| TagId(u64::from_le_bytes(*eight))).chain(last)
}

#[inline]
fn last_word(text: &str) -> Word {
    let eight = text.as_bytes().last_chunk::<8>().copied();
    TagId(u64::from_le_bytes(eight.unwrap_or_else(|| only_word(text))))
}

/// Of a text of fewer than eight bytes: hardly a key is so short.
#[cold]
fn only_word(text: &str) -> [u8; 8] {
    let mut eight = [0; 8];
    eight[..text.len()].copy_from_slice(text.as_bytes());
    eight
}

/// The parts of a new [`Entry`].
pub(crate) struct NewEntry<'a> {
    pub(crate) key: &'a RawKey,
    pub(crate) tags: TagIds,
    pub(crate) base: Position,
    pub(crate) loaded_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    /// Bytes of the encoded value.
    pub(crate) value_bytes: usize,
    pub(crate) has_tenant_tags: bool,
    pub(crate) load_ms: u16,
    pub(crate) subjects: u8,
    pub(crate) is_sensitive: bool,
}

impl Entry {
    /// An entry that holds `value`; `None` is a remembered absence.
    pub(crate) fn new<V: Cacheable>(value: Option<V>, new: &NewEntry<'_>) -> Arc<Self> {
        // As many as there are, where most are: whether a word less makes a smaller allocation depends on the value as well.
        // What is longer than is usual stands apart.
        match new.key.as_str().len().div_ceil(8) + new.tags.len() {
            0..=4 => new.holding(value, new.padded::<4>()),
            5 => new.holding(value, new.padded::<5>()),
            6 => new.holding(value, new.padded::<6>()),
            7 => new.holding(value, new.padded::<7>()),
            8 => new.holding(value, new.padded::<8>()),
            9 => new.holding(value, new.padded::<9>()),
            10 => new.holding(value, new.padded::<10>()),
            11 => new.holding(value, new.padded::<11>()),
            12 => new.holding(value, new.padded::<12>()),
            13..=14 => new.holding(value, new.padded::<14>()),
            15..=16 => new.holding(value, new.padded::<16>()),
            17..=20 => new.holding(value, new.padded::<20>()),
            _ => new.holding(value, new.words().collect::<Box<[Word]>>()),
        }
    }

    /// The value, or its absence; none if the entry is of another type.
    pub(crate) fn value<V: 'static>(&self) -> Option<&Option<V>> {
        self.body.value().downcast_ref()
    }

    pub(crate) fn tags(&self) -> &[TagId] {
        let text = self.text_bytes().div_ceil(8);
        &self.body.words()[text..text + usize::from(self.tag_count)]
    }

    /// What it is known to reflect, as a place in the log.
    pub(crate) fn position(&self) -> Position {
        Position { partition: self.partition(), epoch: self.epoch, sequence: self.base() }
    }

    pub(crate) fn base(&self) -> Sequence {
        Sequence(self.base.load(Relaxed))
    }

    /// The partition whose clocks judge it.
    pub(crate) fn partition(&self) -> Partition {
        self.partition
    }

    /// Raises the base: the entry was shown to be valid through `sequence`, so later checks start there.
    pub(crate) fn raise_base(&self, sequence: Sequence) {
        self.base.fetch_max(sequence.0, Relaxed);
    }

    /// Whether it is the entry of this key.
    #[inline]
    pub(crate) fn is_of(&self, key: &RawKey) -> bool {
        self.hash == key.table_hash() && self.has_text(key.as_str())
    }

    /// The text of its key.
    pub(crate) fn text(&self) -> String {
        let length = self.text_bytes();
        let mut text = vec![0; length.next_multiple_of(8)];
        for (eight, word) in text.as_chunks_mut::<8>().0.iter_mut().zip(self.body.words()) {
            *eight = word.0.to_le_bytes();
        }
        if length > 8 && !length.is_multiple_of(8) {
            // The last eight bytes overlap those before.
            text.copy_within(length / 8 * 8.., length - 8);
        }
        text.truncate(length);
        String::from_utf8(text).expect("it was made of a text")
    }

    pub(crate) fn text_bytes(&self) -> usize {
        self.text_bytes as usize
    }

    #[inline]
    fn has_text(&self, text: &str) -> bool {
        // Word by word: for the length of a key, faster than a call of `memcmp`.
        let (whole, rest) = text.as_bytes().as_chunks::<8>();
        let words = self.body.words();
        self.text_bytes() == text.len()
            && whole.iter().zip(words).all(|(eight, word)| u64::from_le_bytes(*eight) == word.0)
            && (rest.is_empty() || words[whole.len()] == last_word(text))
    }

    /// [`RawKey::table_hash`] of its key.
    pub(crate) fn table_hash(&self) -> u32 {
        self.hash
    }

    pub(crate) fn loaded_at(&self) -> Timestamp {
        self.body.cold().loaded_at
    }

    /// Bytes of memory that the value takes, as its type says.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.body.cold().memory_bytes as usize
    }

    /// How many of the tags, the first ones, stand for people.
    pub(crate) fn subjects(&self) -> u8 {
        self.body.cold().subjects
    }

    /// Whether the value must not leave the process in clear.
    pub(crate) fn is_sensitive(&self) -> bool {
        self.body.cold().is_sensitive
    }

    /// The place of its tenant's account in L1; means nothing before it is there.
    pub(crate) fn account(&self) -> u32 {
        self.body.cold().account.load(Relaxed)
    }

    pub(crate) fn set_account(&self, account: u32) {
        self.body.cold().account.store(account, Relaxed);
    }

    /// Notes a use. Written a few times at most until eviction looks at it, so that a hot entry's cache line stays
    /// shared between cores.
    #[inline]
    pub(crate) fn touch(&self) {
        if self.state.load(Relaxed) & USES < USES_MAX {
            self.state.fetch_add(1, Relaxed);
        }
    }

    /// Whether it was used since it came, or since eviction last looked at it.
    pub(crate) fn is_used(&self) -> bool {
        self.state.load(Relaxed) & USES != 0
    }

    pub(crate) fn is_in_main(&self) -> bool {
        self.state.load(Relaxed) & IN_MAIN != 0
    }

    /// Takes back one use; false if there is none.
    pub(crate) fn take_use(&self) -> bool {
        let uses = self.state.load(Relaxed) & USES;
        // Down to one below the limit, should readers have passed it.
        self.state.fetch_sub(uses - uses.min(USES_MAX).saturating_sub(1), Relaxed);
        uses != 0
    }

    /// Notes that it moves from the small queue to the main one, where its uses count anew.
    pub(crate) fn promote(&self) {
        let uses = self.state.load(Relaxed) & USES;
        self.state.fetch_sub(uses, Relaxed);
        self.state.fetch_or(IN_MAIN, Relaxed);
    }

    /// Takes the place in its queue, and the uses, of the entry that it replaces.
    pub(crate) fn take_place_of(&self, replaced: &Self) {
        self.state.store(replaced.state.load(Relaxed) & (USES | IN_MAIN), Relaxed);
    }

    /// Notes that it stands in the main queue from the start, or that it does not.
    pub(crate) fn set_in_main(&self, in_main: bool) {
        if in_main {
            self.state.fetch_or(IN_MAIN, Relaxed);
        } else {
            self.state.fetch_and(!IN_MAIN, Relaxed);
        }
    }

    /// Whether its one refresh is claimed.
    pub(crate) fn is_refreshing(&self) -> bool {
        self.state.load(Relaxed) & REFRESHING != 0
    }

    /// Claims the one refresh of a value, early or in its grace; false if it was claimed before.
    pub(crate) fn claim_refresh(&self) -> bool {
        self.state.fetch_or(REFRESHING, Relaxed) & REFRESHING == 0
    }

    /// Loading a newer value failed: until `moment` it is not tried again.
    pub(crate) fn rest(&self, moment: Timestamp) {
        self.body.cold().rests_until.store(tenths(moment).max(1), Relaxed);
    }

    /// Whether a load failed so shortly ago that none is tried at `now`.
    pub(crate) fn rests(&self, now: Timestamp) -> bool {
        let until = self.body.cold().rests_until.load(Relaxed);
        until != 0 && tenths(now) < until
    }

    /// Gives the claim back, after a refresh that failed.
    pub(crate) fn release_refresh(&self) {
        self.state.fetch_and(!REFRESHING, Relaxed);
    }
}

impl NewEntry<'_> {
    fn words(&self) -> impl Iterator<Item = Word> {
        words_of(self.key.as_str()).chain(self.tags.iter().copied())
    }

    /// The words, and nothing behind them.
    fn padded<const N: usize>(&self) -> [Word; N] {
        let mut padded = [TagId(0); N];
        let mut places = padded.iter_mut();
        // Not from place to place: each would ask again in which part of the words it is.
        self.words().for_each(|word| *places.next().expect("there are no more words than places") = word);
        padded
    }

    fn holding<V, W>(&self, value: Option<V>, words: W) -> Arc<Entry>
    where
        V: Cacheable,
        W: AsRef<[Word]> + Send + Sync + 'static,
    {
        let memory_bytes = value.as_ref().map_or(self.value_bytes, |value| value.memory_bytes(self.value_bytes));
        Arc::new(Entry {
            base: AtomicU64::new(self.base.sequence.0),
            epoch: self.base.epoch,
            expires_at: self.expires_at,
            hash: self.key.table_hash(),
            text_bytes: u32::try_from(self.key.as_str().len()).expect("a key is shorter than 4 GiB"),
            partition: self.base.partition,
            state: AtomicU8::new(0),
            tag_count: u16::try_from(self.tags.len()).expect("tags are counted in 16 bits wherever they come from"),
            has_tenant_tags: self.has_tenant_tags,
            load_ms: self.load_ms,
            body: Held { words, value, cold: self.cold(memory_bytes) },
        })
    }

    fn cold(&self, memory_bytes: usize) -> Cold {
        Cold {
            loaded_at: self.loaded_at,
            // What does not fit in 32 bits counts as too large for memory.
            memory_bytes: u32::try_from(memory_bytes).unwrap_or(u32::MAX),
            account: AtomicU32::new(u32::MAX),
            rests_until: AtomicU32::new(0),
            subjects: self.subjects,
            is_sensitive: self.is_sensitive,
        }
    }
}

/// Tenths of a second, cut to 32 bits: that far in the future, nobody cares how long a load rests.
fn tenths(moment: Timestamp) -> u32 {
    #[allow(clippy::cast_possible_truncation, reason = "see above; a wrap ends or begins one rest early")]
    let tenths = (moment.as_millis() / 100) as u32;
    tenths
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Tenant, key::Key};

    crate::catalogue! {
        /// Of these tests.
        const _PATTERNS;
        /// A page.
        fn page(number) -> u8 = "page";
    }

    fn key(part: &str) -> Key<u8> {
        page(&Tenant::new("t").unwrap(), part)
    }

    fn entry(part: &str, tags: &[u64]) -> Arc<Entry> {
        let key = key(part);
        let new = NewEntry {
            key: key.raw(),
            tags: tags.iter().copied().map(TagId).collect(),
            base: Position { partition: Partition(0), epoch: Epoch(0), sequence: Sequence(0) },
            loaded_at: Timestamp::default(),
            expires_at: Timestamp::NEVER,
            value_bytes: 1,
            has_tenant_tags: false,
            load_ms: 0,
            subjects: 0,
            is_sensitive: false,
        };
        Entry::new(Some(7u8), &new)
    }

    #[test]
    fn any_number_of_tags_and_any_length_of_text_is_held() {
        for count in [0, 1, 3, 4, 9, 64] {
            for length in 0..200 {
                let tags: Vec<u64> = (0..count).collect();
                let part = "0123456789".repeat(20)[..length].to_owned();
                let entry = entry(&part, &tags);
                assert!(entry.tags().iter().map(|tag| tag.0).eq(tags));
                assert_eq!((entry.value::<u8>(), entry.value::<u16>()), (Some(&Some(7)), None));
                assert_eq!(entry.text(), key(&part).raw().as_str());
                assert!(entry.is_of(key(&part).raw()));
                assert!(!entry.has_text(&entry.text()[1..]) && !entry.has_text(&format!("{}x", entry.text())));
                for at in 0..entry.text().len() {
                    let mut other = entry.text();
                    other.replace_range(at..=at, "#");
                    assert!(!entry.has_text(&other), "{other:?} was taken for {:?}", entry.text());
                }
            }
        }
        assert!(entry("", &[]).has_text("t:page/") && !entry("", &[]).has_text("t:page\0"));
    }

    #[test]
    fn what_a_hit_reads_is_less_than_a_cache_line_with_the_counters_before_it_and_the_text_follows() {
        type OfFourWords = Entry<Held<Arc<u8>, [Word; 4]>>;
        // Two counters of eight bytes.
        assert_eq!(16 + std::mem::offset_of!(OfFourWords, body), 56);
        assert_eq!(size_of::<OfFourWords>(), 40 + 4 * 8 + 8 + size_of::<Cold>());
        assert_eq!(size_of::<Cold>(), 24);
    }

    #[test]
    fn uses_queue_and_refresh_do_not_disturb_each_other() {
        let entry = entry("1", &[]);
        assert!(!entry.take_use() && entry.claim_refresh() && !entry.claim_refresh());
        (0..100).for_each(|_| entry.touch());
        assert!(entry.is_used() && !entry.is_in_main());
        entry.promote();
        assert!(!entry.is_used() && entry.is_in_main());
        (0..100).for_each(|_| entry.touch());
        assert_eq!((0..100).take_while(|_| entry.take_use()).count(), usize::from(USES_MAX));
        assert!(!entry.claim_refresh());
        entry.release_refresh();
        assert!(entry.claim_refresh() && entry.is_in_main());
    }
}
