//! Who uses how much of L1, and who gives way. *Decides*.
//!
//! # The rule
//! While there is room, a tenant may use all of it. When memory is short, the tenant furthest above its share gives
//! way, where a share is the part of the memory that the tenant's weight is of the weights of all tenants present.
//!
//! Furthest is meant in proportion: most bytes per weight. If all bytes together are more than the memory holds, the
//! mean of bytes per weight is above the share per weight, so the tenant with the most is above its own share: **a
//! tenant within its share never gives way**, whatever the others do.

use std::{
    collections::{BTreeSet, HashMap},
    num::NonZeroU32,
};

use super::{
    L1Limits,
    ghosts::Ghosts,
    queues::{Queues, Turn},
};
use crate::{hash_map::IdBuildHasher, tenant::Tenant};

/// A quota that was reached is told again once the tenant was below this part of it, in percent.
const QUOTA_AGAIN_PERCENT: u64 = 90;

/// The weight of a tenant of which nothing else was said.
const WEIGHT: NonZeroU32 = NonZeroU32::MIN;

/// The accounts of all tenants that have entries.
pub(super) struct Accounts {
    limits: L1Limits,
    weights: HashMap<Tenant, NonZeroU32>,
    /// Limits of single tenants, below the one for all.
    bytes_max_of: HashMap<Tenant, u64>,
    places: HashMap<Tenant, u32, IdBuildHasher>,
    /// Of open and closed accounts.
    slots: Vec<Account>,
    /// Places of accounts that were closed.
    free: Vec<u32>,
    /// Every account by its bytes per weight.
    by_usage: BTreeSet<(u64, u32)>,
    /// Of all tenants that have entries.
    weight_sum: u64,
    bytes: u64,
    entries: usize,
    pub(super) ghosts: Ghosts,
}

struct Account {
    tenant: Tenant,
    weight: NonZeroU32,
    /// What it may hold, even while there is room.
    bytes_max: u64,
    /// With those of an entry for which room is being made.
    bytes: u64,
    /// Its place in the order of all accounts.
    usage: u64,
    queues: Queues,
    quota_was_told: bool,
}

/// A tenant that has to give up an entry, for the first time in a while.
#[derive(Debug)]
pub(super) struct QuotaReached {
    pub(super) tenant: Tenant,
    pub(super) bytes: u64,
    pub(super) quota: u64,
}

impl Accounts {
    pub(super) fn new(limits: L1Limits, weights: HashMap<Tenant, NonZeroU32>) -> Self {
        Self {
            limits,
            weights,
            bytes_max_of: HashMap::new(),
            places: HashMap::default(),
            slots: Vec::new(),
            free: Vec::new(),
            by_usage: BTreeSet::new(),
            weight_sum: 0,
            bytes: 0,
            entries: 0,
            ghosts: Ghosts::default(),
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn entries(&self) -> usize {
        self.entries
    }

    pub(super) fn tenants(&self) -> usize {
        self.places.len()
    }

    pub(super) fn tenant(&self, at: u32) -> &Tenant {
        &self.account(at).tenant
    }

    pub(super) fn tenant_bytes(&self, tenant: &Tenant) -> u64 {
        self.places.get(tenant).map_or(0, |at| self.account(*at).bytes)
    }

    /// What a tenant is sure to keep: its share at this moment, at most its limit.
    pub(super) fn quota(&self, tenant: &Tenant) -> u64 {
        let weight = self.weight(tenant);
        let others = if self.places.contains_key(tenant) { 0 } else { u64::from(weight.get()) };
        self.quota_of(weight, self.weight_sum + others, self.bytes_max(tenant))
    }

    pub(super) fn set_weight(&mut self, tenant: &Tenant, weight: NonZeroU32) {
        self.weights.insert(tenant.clone(), weight);
        if let Some(at) = self.places.get(tenant).copied() {
            let account = self.account_mut(at);
            let old = std::mem::replace(&mut account.weight, weight);
            self.weight_sum = self.weight_sum - u64::from(old.get()) + u64::from(weight.get());
            self.reorder(at);
        }
    }

    /// Sets a tenant's own limit, or takes it back.
    pub(super) fn set_bytes_max(&mut self, tenant: &Tenant, bytes_max: Option<u64>) {
        match bytes_max {
            Some(bytes_max) => self.bytes_max_of.insert(tenant.clone(), bytes_max),
            None => self.bytes_max_of.remove(tenant),
        };
        if let Some(at) = self.places.get(tenant).copied() {
            self.account_mut(at).bytes_max = self.bytes_max(tenant);
        }
    }

    /// The place of a tenant's account, if it has one.
    pub(super) fn place(&self, tenant: &Tenant) -> Option<u32> {
        self.places.get(tenant).copied()
    }

    /// What a tenant may hold, even while there is room.
    fn bytes_max(&self, tenant: &Tenant) -> u64 {
        let own = self.bytes_max_of.get(tenant).copied().unwrap_or(u64::MAX);
        own.min(self.limits.tenant_bytes_max)
    }

    /// Whether an entry is more than memory, or its tenant, may ever hold.
    pub(super) fn is_too_large(&self, tenant: &Tenant, bytes: u64) -> bool {
        bytes > self.limits.bytes_max.min(self.bytes_max(tenant))
    }

    /// Whether there is more than memory may hold.
    pub(super) fn is_full(&self) -> bool {
        self.bytes > self.limits.bytes_max
    }

    /// Whether a tenant has more than its own limit.
    pub(super) fn is_beyond_limit(&self, at: u32) -> bool {
        let account = self.account(at);
        account.bytes > account.bytes_max
    }

    /// Who gives way when memory is short; of those equally far, the latest to come.
    pub(super) fn furthest_above_share(&self) -> Option<u32> {
        self.by_usage.last().map(|(_, at)| *at)
    }

    /// The place of a tenant's account; opened if there is none.
    pub(super) fn open(&mut self, tenant: &Tenant) -> u32 {
        if let Some(at) = self.places.get(tenant) {
            return *at;
        }
        let weight = self.weight(tenant);
        let account = Account {
            tenant: tenant.clone(),
            weight,
            bytes_max: self.bytes_max(tenant),
            bytes: 0,
            usage: 0,
            queues: Queues::default(),
            quota_was_told: false,
        };
        let at = if let Some(at) = self.free.pop() {
            *self.account_mut(at) = account;
            at
        } else {
            self.slots.push(account);
            u32::try_from(self.slots.len() - 1).expect("fewer tenants than bytes of memory")
        };
        self.places.insert(tenant.clone(), at);
        self.by_usage.insert((0, at));
        self.weight_sum += u64::from(weight.get());
        at
    }

    /// Reckons the bytes of an entry that is to come, before room is made for it.
    pub(super) fn announce(&mut self, at: u32, bytes: u64) {
        self.bytes += bytes;
        self.account_mut(at).bytes += bytes;
        self.reorder(at);
    }

    /// An announced entry does not come.
    pub(super) fn refuse(&mut self, at: u32, bytes: u64) {
        self.bytes -= bytes;
        self.account_mut(at).bytes -= bytes;
        self.settle(at);
    }

    /// An announced entry comes.
    pub(super) fn credit(&mut self, at: u32, turn: Turn, bytes: u64) {
        self.entries += 1;
        self.account_mut(at).queues.push(turn, bytes);
    }

    /// An entry is replaced by one of another size.
    pub(super) fn replace(&mut self, at: u32, in_main: bool, old_bytes: u64, new_bytes: u64) {
        self.bytes = self.bytes - old_bytes + new_bytes;
        let account = self.account_mut(at);
        account.bytes = account.bytes - old_bytes + new_bytes;
        account.queues.resize(in_main, old_bytes, new_bytes);
        self.reorder(at);
    }

    /// An entry is gone.
    pub(super) fn debit(&mut self, at: u32, in_main: bool, bytes: u64) {
        self.entries -= 1;
        self.account_mut(at).queues.forget(in_main, bytes);
        self.refuse(at, bytes);
    }

    /// Whose turn it is among a tenant's entries.
    pub(super) fn next(&mut self, at: u32) -> Option<Turn> {
        self.account_mut(at).queues.next()
    }

    /// The entry whose turn it was stays.
    pub(super) fn spare(&mut self, at: u32, turn: Turn, bytes: u64) {
        self.account_mut(at).queues.spare(turn, bytes);
    }

    /// Sweeps a tenant's queues, if removals have left much behind.
    pub(super) fn sweep_if_cluttered(&mut self, at: u32, is_there: impl FnMut(Turn) -> bool) {
        let queues = &mut self.account_mut(at).queues;
        if queues.are_cluttered() {
            queues.sweep(is_there);
        }
    }

    /// Notes that a tenant gives up an entry because of its quota; something only if that is news.
    pub(super) fn note_quota_reached(&mut self, at: u32) -> Option<QuotaReached> {
        let weight_sum = self.weight_sum;
        let quota = self.quota_of(self.account(at).weight, weight_sum, self.account(at).bytes_max);
        let account = self.account_mut(at);
        let is_news = !std::mem::replace(&mut account.quota_was_told, true);
        is_news.then(|| QuotaReached { tenant: account.tenant.clone(), bytes: account.bytes, quota })
    }

    /// Everything is gone.
    pub(super) fn clear(&mut self) {
        let bytes_max_of = std::mem::take(&mut self.bytes_max_of);
        *self = Self { bytes_max_of, ..Self::new(self.limits, std::mem::take(&mut self.weights)) };
    }

    fn settle(&mut self, at: u32) {
        let account = self.account(at);
        if account.bytes == 0 && account.queues.entries() == 0 {
            self.close(at);
            return;
        }
        if account.quota_was_told {
            let quota = self.quota_of(account.weight, self.weight_sum, account.bytes_max);
            let again = u128::from(account.bytes) * 100 < u128::from(quota) * u128::from(QUOTA_AGAIN_PERCENT);
            self.account_mut(at).quota_was_told = !again;
        }
        self.reorder(at);
    }

    fn close(&mut self, at: u32) {
        let account = self.account_mut(at);
        // Hashes left behind must not meet another tenant's entries.
        account.queues = Queues::default();
        let (tenant, weight, usage) = (account.tenant.clone(), account.weight, account.usage);
        self.places.remove(&tenant);
        self.by_usage.remove(&(usage, at));
        self.weight_sum -= u64::from(weight.get());
        self.free.push(at);
    }

    fn reorder(&mut self, at: u32) {
        let account = self.account_mut(at);
        let scaled = (u128::from(account.bytes) << 16) / u128::from(account.weight.get());
        let usage = u64::try_from(scaled).unwrap_or(u64::MAX);
        let old = std::mem::replace(&mut account.usage, usage);
        if old != usage {
            self.by_usage.remove(&(old, at));
            self.by_usage.insert((usage, at));
        }
    }

    fn quota_of(&self, weight: NonZeroU32, weight_sum: u64, bytes_max: u64) -> u64 {
        let share = u128::from(self.limits.bytes_max) * u128::from(weight.get()) / u128::from(weight_sum.max(1));
        u64::try_from(share).unwrap_or(u64::MAX).min(bytes_max)
    }

    fn weight(&self, tenant: &Tenant) -> NonZeroU32 {
        self.weights.get(tenant).copied().unwrap_or(WEIGHT)
    }

    fn account(&self, at: u32) -> &Account {
        &self.slots[at as usize]
    }

    fn account_mut(&mut self, at: u32) -> &mut Account {
        &mut self.slots[at as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(name: &str) -> Tenant {
        Tenant::new(name).unwrap()
    }

    fn accounts(bytes_max: u64) -> Accounts {
        Accounts::new(L1Limits { bytes_max, ..L1Limits::default() }, HashMap::new())
    }

    /// An entry comes.
    fn put(accounts: &mut Accounts, name: &str, hash: u64, bytes: u64) -> u32 {
        let at = accounts.open(&tenant(name));
        accounts.announce(at, bytes);
        accounts.credit(at, Turn { hash, in_main: false }, bytes);
        at
    }

    #[test]
    fn clearing_leaves_nothing_of_the_entries_and_all_that_was_said_of_tenants() {
        let (gold, plain) = (tenant("gold"), tenant("plain"));
        let mut accounts = accounts(1000);
        accounts.set_weight(&gold, NonZeroU32::new(3).unwrap());
        accounts.set_bytes_max(&plain, Some(100));
        put(&mut accounts, "gold", 1, 400);
        let at = put(&mut accounts, "plain", 2, 50);
        accounts.ghosts.add(7, 2);
        assert!(accounts.note_quota_reached(at).is_some());
        accounts.clear();
        assert_eq!((accounts.bytes(), accounts.entries(), accounts.tenants()), (0, 0, 0));
        assert_eq!((accounts.tenant_bytes(&gold), accounts.place(&plain)), (0, None));
        assert_eq!(accounts.furthest_above_share(), None);
        assert!(!accounts.ghosts.take(7));
        // Alone, each would have all there is; the limit and the weight are as they were.
        assert_eq!((accounts.quota(&gold), accounts.quota(&plain)), (1000, 100));
        let (gold_at, plain_at) = (put(&mut accounts, "gold", 3, 10), put(&mut accounts, "plain", 4, 10));
        assert_eq!(accounts.quota(&gold), 750);
        assert_eq!(accounts.next(gold_at), Some(Turn { hash: 3, in_main: false }), "not the turn of what was cleared");
        assert!(accounts.note_quota_reached(plain_at).is_some(), "what was told before is news again");
    }

    #[test]
    fn who_is_furthest_above_its_share_by_weight_gives_way() {
        let mut accounts = accounts(1000);
        accounts.set_weight(&tenant("gold"), NonZeroU32::new(3).unwrap());
        let gold = put(&mut accounts, "gold", 1, 300);
        let plain = put(&mut accounts, "plain", 2, 101);
        assert_eq!(accounts.furthest_above_share(), Some(plain), "101 are more than a third of 300");
        accounts.replace(gold, false, 300, 306);
        assert_eq!(accounts.furthest_above_share(), Some(gold));
        accounts.set_weight(&tenant("gold"), NonZeroU32::new(4).unwrap());
        assert_eq!(accounts.furthest_above_share(), Some(plain));
        accounts.debit(plain, false, 101);
        assert_eq!((accounts.furthest_above_share(), accounts.tenants()), (Some(gold), 1), "its account is closed");
        accounts.refuse(gold, 0);
        assert_eq!(accounts.quota(&tenant("gold")), 1000, "nobody else is there");
    }

    #[test]
    fn a_quota_is_news_again_only_after_the_tenant_was_well_below_it() {
        let mut accounts = accounts(1000);
        let at = put(&mut accounts, "acme", 1, 1000);
        put(&mut accounts, "other", 2, 1);
        // Its share is 500.
        let reached = accounts.note_quota_reached(at).expect("the first time");
        assert_eq!((reached.tenant, reached.bytes, reached.quota), (tenant("acme"), 1000, 500));
        accounts.refuse(at, 550);
        assert!(accounts.note_quota_reached(at).is_none(), "450 are nine tenths of it, not fewer");
        accounts.refuse(at, 1);
        assert!(accounts.note_quota_reached(at).is_some());
    }

    #[test]
    fn every_sum_follows_what_comes_and_goes() {
        let (acme, other) = (tenant("acme"), tenant("other"));
        let mut accounts = accounts(1000);
        let sums = |accounts: &Accounts| {
            (accounts.bytes(), accounts.entries(), accounts.tenants(), accounts.tenant_bytes(&tenant("acme")))
        };
        let acme_at = put(&mut accounts, "acme", 1, 100);
        let other_at = put(&mut accounts, "other", 2, 30);
        assert_eq!(sums(&accounts), (130, 2, 2, 100));
        assert_eq!((accounts.place(&acme), accounts.place(&other)), (Some(acme_at), Some(other_at)));
        accounts.replace(acme_at, false, 100, 70);
        assert_eq!(sums(&accounts), (100, 2, 2, 70));
        accounts.debit(other_at, false, 30);
        assert_eq!(sums(&accounts), (70, 1, 1, 70));
        // Of two that are announced one does not come: room is kept for the other.
        let other_at = accounts.open(&other);
        accounts.announce(other_at, 10);
        accounts.announce(other_at, 5);
        accounts.refuse(other_at, 5);
        assert_eq!((sums(&accounts), accounts.place(&other)), ((80, 1, 2, 70), Some(other_at)));
        accounts.refuse(other_at, 10);
        assert_eq!((sums(&accounts), accounts.place(&other)), ((70, 1, 1, 70), None));
    }

    #[test]
    fn a_weight_that_changes_changes_the_share_of_everybody() {
        let (gold, plain) = (tenant("gold"), tenant("plain"));
        let mut accounts = accounts(1000);
        accounts.set_weight(&gold, NonZeroU32::new(3).unwrap());
        ["gold", "plain", "other"].into_iter().zip(1..).for_each(|(name, hash)| _ = put(&mut accounts, name, hash, 10));
        assert_eq!((accounts.quota(&gold), accounts.quota(&plain)), (600, 200));
        accounts.set_weight(&gold, NonZeroU32::new(2).unwrap());
        assert_eq!((accounts.quota(&gold), accounts.quota(&plain)), (500, 250));
    }

    #[test]
    fn who_is_spared_moves_on_and_what_is_left_behind_is_swept() {
        let mut accounts = accounts(1000);
        let at = put(&mut accounts, "acme", 1, 10);
        let turn = accounts.next(at).expect("it came");
        accounts.spare(at, turn, 10);
        accounts.sweep_if_cluttered(at, |turn| panic!("{turn:?} is not cluttered"));
        for hash in 2..200 {
            put(&mut accounts, "acme", hash, 1);
            accounts.debit(at, false, 1);
        }
        accounts.sweep_if_cluttered(at, |turn| turn.hash == 1);
        assert_eq!(accounts.next(at), Some(Turn { hash: 1, in_main: true }));
        assert_eq!(accounts.next(at), None, "those that went were swept");
    }

    #[test]
    fn limits_are_inclusive() {
        let mut accounts = accounts(1000);
        let acme = tenant("acme");
        accounts.set_bytes_max(&acme, Some(100));
        assert!(!accounts.is_too_large(&acme, 100) && accounts.is_too_large(&acme, 101));
        assert!(!accounts.is_too_large(&tenant("other"), 1000) && accounts.is_too_large(&tenant("other"), 1001));
        let at = put(&mut accounts, "acme", 1, 100);
        assert!(!accounts.is_beyond_limit(at));
        accounts.replace(at, false, 100, 101);
        assert!(accounts.is_beyond_limit(at));
        accounts.set_bytes_max(&acme, None);
        assert!(!accounts.is_beyond_limit(at), "its limit was taken back");
        put(&mut accounts, "other", 2, 899);
        assert!(!accounts.is_full());
        accounts.announce(at, 1);
        assert!(accounts.is_full());
    }
}
