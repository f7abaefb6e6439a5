//! L1: the entries in this node's memory, bounded by bytes, shared fairly between tenants.
//!
//! Three parts: [`table`] finds entries, from all cores at once; [`accounts`] knows which tenant gives way when memory
//! is short; [`queues`] knows which of that tenant's entries goes first. A hit takes one lock of one of many shards
//! and notes the use in the entry, nothing else. What comes and goes does so under one lock, which each load takes
//! once for less than a microsecond. See `docs/adr/0013`.
//!
//! # Invariants
//! - The table changes only under the accounts' lock, so that accounts and entries agree whenever it is free.
//! - Each entry of the table has its place in one queue of its tenant.
//! - Observers are told, and values dropped, after the lock is given back.
//!
//! It does not know whether an entry may be served: see [`crate::judge`].

mod accounts;
mod ghosts;
mod queues;
mod table;
mod thresholds;

use std::{collections::HashMap, num::NonZeroU32, sync::Arc};

use smallvec::SmallVec;

use self::{
    accounts::{Accounts, QuotaReached},
    queues::Turn,
    table::{Table, Visit},
    thresholds::{Crossing, Thresholds},
};
use crate::{
    entry::Entry,
    key::RawKey,
    observe::{Event, EvictionCause, Observers},
    sync::Mutex,
    tenant::Tenant,
    time::Timestamp,
};

/// What an entry takes beside its key's text, its value and its tags, in bytes, on average: the entry itself,
/// what the allocator adds, and the places in table and queue. `make bench` measures it.
const ENTRY_OVERHEAD_BYTES: usize = 144;

/// Entries that eviction spares for their uses before it takes one all the same: bounds what one insertion may cost.
const SPARED_MAX: usize = 256;

/// Places that are tried for an entry whose time is over before another has to go.
const EXPIRED_TRIES: usize = 2;

/// How much L1 may hold.
#[derive(Clone, Copy, Debug)]
pub struct L1Limits {
    /// Bytes of all entries together.
    pub bytes_max: u64,
    /// Bytes of one tenant's entries, even while there is room. What a tenant gets when there is none follows from the
    /// weights; see [`CacheBuilder::tenant_weight`](crate::CacheBuilder::tenant_weight).
    pub tenant_bytes_max: u64,
    /// Bytes of one encoded value; a larger one is not kept.
    pub value_bytes_max: usize,
    /// Percentages of `bytes_max` whose crossing is told to the observers.
    pub threshold_percents: [u8; 2],
}

impl Default for L1Limits {
    /// 256 MiB, no limit of its own for a tenant, 4 MiB for one value, told at 80 and 95 percent.
    fn default() -> Self {
        Self {
            bytes_max: 256 << 20,
            tenant_bytes_max: u64::MAX,
            value_bytes_max: 4 << 20,
            threshold_percents: [80, 95],
        }
    }
}

/// How much L1 holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct L1Size {
    pub(crate) entries: usize,
    pub(crate) bytes: u64,
    pub(crate) tenants: usize,
}

pub(crate) struct L1 {
    table: Table,
    books: Mutex<Books>,
    bytes_max: u64,
    observers: Observers,
}

/// What changes together with the table.
struct Books {
    accounts: Accounts,
    thresholds: Thresholds<2>,
    /// Where the next search for an entry whose time is over begins. From a fixed seed: the same calls have the same
    /// effect in every run.
    random: u64,
}

/// What to tell, and what to drop, once the lock is given back.
#[derive(Default)]
struct News {
    evicted: SmallVec<[(Tenant, Arc<Entry>, EvictionCause); 1]>,
    quotas: SmallVec<[QuotaReached; 1]>,
    crossings: SmallVec<[(Crossing, u64); 1]>,
    dropped: Option<Arc<Entry>>,
}

fn weight(entry: &Entry) -> u64 {
    let tags = size_of_val(entry.tags());
    (entry.text_bytes() + entry.memory_bytes() + tags + ENTRY_OVERHEAD_BYTES) as u64
}

impl L1 {
    pub(crate) fn new(limits: L1Limits, weights: HashMap<Tenant, NonZeroU32>, observers: Observers) -> Self {
        let books = Books {
            accounts: Accounts::new(limits, weights),
            thresholds: Thresholds::new(limits.threshold_percents),
            random: 0x9E37_79B9_7F4A_7C15,
        };
        Self { table: Table::new(), books: Mutex::new(books), bytes_max: limits.bytes_max, observers }
    }

    #[inline]
    pub(crate) fn get(&self, key: &RawKey) -> Option<Arc<Entry>> {
        self.table.get(key)
    }

    /// Puts an entry in, in place of any other of its key. It may not stay: if it is too large, or if its tenant is
    /// the one to give way and has nothing else to give.
    pub(crate) fn insert(&self, key: &RawKey, entry: Arc<Entry>, now: Timestamp) {
        let bytes = weight(&entry);
        let mut news = News::default();
        let mut books = self.books.lock();
        if books.accounts.is_too_large(key.tenant(), bytes) {
            // Not kept, but what is there has been outrun.
            news.dropped = self.take(&mut books, key);
        } else {
            let at = books.accounts.open(key.tenant());
            entry.set_account(at);
            if let Some(replaced) = self.table.get(key) {
                entry.take_place_of(&replaced);
                books.accounts.replace(at, replaced.is_in_main(), weight(&replaced), bytes);
                news.dropped = self.table.insert(key, entry);
                self.make_room(&mut books, at, now, &mut news);
            } else {
                // Before it is there: it is not yet in a queue, so it cannot be the one that goes.
                books.accounts.announce(at, bytes);
                if self.make_room(&mut books, at, now, &mut news) {
                    let in_main = books.accounts.ghosts.take(key.stable_hash());
                    entry.set_in_main(in_main);
                    books.accounts.credit(at, Turn { hash: key.stable_hash(), in_main }, bytes);
                    self.table.insert(key, entry);
                } else {
                    books.accounts.refuse(at, bytes);
                }
            }
        }
        self.look_at_thresholds(&mut books, &mut news);
        drop(books);
        self.tell(&news);
    }

    pub(crate) fn remove(&self, key: &RawKey) {
        let mut news = News::default();
        let mut books = self.books.lock();
        news.dropped = self.take(&mut books, key);
        self.look_at_thresholds(&mut books, &mut news);
        drop(books);
        self.tell(&news);
    }

    /// Removes every entry; linear in their number.
    pub(crate) fn clear(&self) {
        let mut news = News::default();
        let mut books = self.books.lock();
        self.table.clear();
        books.accounts.clear();
        self.look_at_thresholds(&mut books, &mut news);
        drop(books);
        self.tell(&news);
    }

    /// Looks at one entry after the other until `look` says no; true if it never did.
    pub(crate) fn look_through(&self, look: impl FnMut(&Arc<Entry>) -> bool) -> bool {
        self.table.look_through(look)
    }

    pub(crate) fn size(&self) -> L1Size {
        let accounts = &self.books.lock().accounts;
        L1Size { entries: accounts.entries(), bytes: accounts.bytes(), tenants: accounts.tenants() }
    }

    pub(crate) fn tenant_bytes(&self, tenant: &Tenant) -> u64 {
        self.books.lock().accounts.tenant_bytes(tenant)
    }

    /// What a tenant is sure to keep when memory is short.
    pub(crate) fn tenant_quota(&self, tenant: &Tenant) -> u64 {
        self.books.lock().accounts.quota(tenant)
    }

    pub(crate) fn set_tenant_weight(&self, tenant: &Tenant, weight: NonZeroU32) {
        self.books.lock().accounts.set_weight(tenant, weight);
    }

    /// Sets what a tenant may hold, and takes at once what it has beyond that.
    pub(crate) fn set_tenant_bytes_max(&self, tenant: &Tenant, bytes_max: Option<u64>, now: Timestamp) {
        let mut news = News::default();
        let mut books = self.books.lock();
        books.accounts.set_bytes_max(tenant, bytes_max);
        if let Some(at) = books.accounts.place(tenant) {
            self.make_room(&mut books, at, now, &mut news);
        }
        self.look_at_thresholds(&mut books, &mut news);
        drop(books);
        self.tell(&news);
    }

    fn take(&self, books: &mut Books, key: &RawKey) -> Option<Arc<Entry>> {
        let taken = self.table.remove(key)?;
        self.debit_out_of_turn(books, &taken);
        Some(taken)
    }

    /// Reckons that an entry is gone whose hash is left behind in its queue.
    fn debit_out_of_turn(&self, books: &mut Books, gone: &Entry) {
        let at = gone.account();
        books.accounts.debit(at, gone.is_in_main(), weight(gone));
        let is_there =
            |turn: Turn| matches!(self.table.visit(turn.hash, is_meant(at, turn), |_| false), Visit::Kept(_));
        books.accounts.sweep_if_cluttered(at, is_there);
    }

    /// Evicts until tenant and memory are within their limits, with the entry that was announced. False if it is the
    /// announced entry itself that has to give way.
    fn make_room(&self, books: &mut Books, at: u32, now: Timestamp, news: &mut News) -> bool {
        while books.accounts.is_beyond_limit(at) {
            if !self.evict(books, at, EvictionCause::Quota, news) {
                return false;
            }
        }
        while books.accounts.is_full() {
            if self.evict_expired(books, now, news) {
                continue;
            }
            let Some(victim) = books.accounts.furthest_above_share() else { return false };
            if !self.evict(books, victim, EvictionCause::Memory, news) {
                return false;
            }
        }
        true
    }

    /// Evicts one of a tenant's entries; false if it has none.
    fn evict(&self, books: &mut Books, at: u32, cause: EvictionCause, news: &mut News) -> bool {
        let accounts = &mut books.accounts;
        let mut spared = 0;
        while let Some(turn) = accounts.next(at) {
            let goes = |entry: &Entry| {
                let used = if turn.in_main { entry.take_use() } else { entry.is_used() };
                !used || spared == SPARED_MAX
            };
            match self.table.visit(turn.hash, is_meant(at, turn), goes) {
                // It was removed; its hash was left behind.
                Visit::Absent => {}
                Visit::Kept(entry) => {
                    spared += 1;
                    accounts.spare(at, turn, weight(&entry));
                    if !turn.in_main {
                        entry.promote();
                    }
                }
                Visit::Taken(entry) => {
                    news.quotas.extend(accounts.note_quota_reached(at));
                    if !turn.in_main {
                        accounts.ghosts.add(turn.hash, accounts.entries());
                    }
                    let tenant = accounts.tenant(at).clone();
                    accounts.debit(at, turn.in_main, weight(&entry));
                    news.evicted.push((tenant, entry, cause));
                    return true;
                }
            }
        }
        false
    }

    /// Evicts an entry whose time is over and that nobody has used lately, whoever's it is: so a tenant that does
    /// nothing any more does not hold its share for ever.
    fn evict_expired(&self, books: &mut Books, now: Timestamp, news: &mut News) -> bool {
        for _ in 0..EXPIRED_TRIES {
            books.random = next_random(books.random);
            let is_over = |entry: &Entry| entry.expires_at <= now && !entry.is_used();
            if let Some(entry) = self.table.sample(books.random, is_over) {
                let tenant = books.accounts.tenant(entry.account()).clone();
                self.debit_out_of_turn(books, &entry);
                news.evicted.push((tenant, entry, EvictionCause::Expired));
                return true;
            }
        }
        false
    }

    fn look_at_thresholds(&self, books: &mut Books, news: &mut News) {
        let bytes = books.accounts.bytes();
        while let Some(crossing) = books.thresholds.next_crossing(bytes, self.bytes_max) {
            news.crossings.push((crossing, bytes));
        }
    }

    fn tell(&self, news: &News) {
        if self.observers.are_none() {
            return;
        }
        for (tenant, entry, cause) in &news.evicted {
            self.observers.tell(&Event::Evicted { tenant, key: &entry.text(), cause: *cause });
        }
        for QuotaReached { tenant, bytes, quota } in &news.quotas {
            self.observers.tell(&Event::QuotaReached { tenant, bytes: *bytes, quota: *quota });
        }
        for (Crossing { percent, above }, bytes) in &news.crossings {
            let (percent, above, bytes, bytes_max) = (*percent, *above, *bytes, self.bytes_max);
            self.observers.tell(&Event::MemoryThreshold { percent, above, bytes, bytes_max });
        }
    }
}

/// Tells the entry whose turn it is from others of the same short hash.
fn is_meant(at: u32, turn: Turn) -> impl Fn(&Entry) -> bool {
    move |entry| entry.account() == at && entry.is_in_main() == turn.in_main
}

/// Steele, Lea and Flood's `SplitMix64`.
fn next_random(state: u64) -> u64 {
    let mut mixed = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests;
