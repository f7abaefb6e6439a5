//! Who uses how much of L1. *Decides*: which entry of a tenant beyond its quota goes next.

use std::collections::{BTreeMap, HashMap};

use crate::{
    entry::{Age, Entry},
    key::RawKey,
    tenant::Tenant,
};

/// The accounts of all tenants.
pub(super) struct Ledger {
    tenant_bytes_max: u64,
    last: Age,
    accounts: HashMap<Tenant, Account>,
}

#[derive(Default)]
struct Account {
    bytes: u64,
    by_age: BTreeMap<Age, RawKey>,
    /// Second chances given since the account was last within its quota; bounds the search.
    chances: usize,
}

/// The next entry to look at.
pub(super) struct Candidate {
    pub(super) age: Age,
    pub(super) key: RawKey,
    /// Whether it may be spared if it was used.
    pub(super) second_chance: bool,
}

impl Ledger {
    pub(super) fn new(tenant_bytes_max: u64) -> Self {
        Self { tenant_bytes_max, last: Age::default(), accounts: HashMap::new() }
    }

    pub(super) fn bytes(&self, tenant: &Tenant) -> u64 {
        self.accounts.get(tenant).map_or(0, |account| account.bytes)
    }

    /// Notes a new entry and gives it its age.
    pub(super) fn credit(&mut self, key: &RawKey, bytes: u64) -> Age {
        let age = self.next_age();
        let account = self.accounts.entry(key.tenant().clone()).or_default();
        account.bytes += bytes;
        account.by_age.insert(age, key.clone());
        age
    }

    /// Notes that an entry is gone.
    pub(super) fn debit(&mut self, tenant: &Tenant, age: Age, bytes: u64) {
        let Some(account) = self.accounts.get_mut(tenant) else { return };
        if account.by_age.remove(&age).is_some() {
            account.bytes -= bytes;
        }
        if account.by_age.is_empty() {
            self.accounts.remove(tenant);
        }
    }

    /// The tenant's oldest entry, while it is beyond its quota.
    pub(super) fn next_victim(&mut self, tenant: &Tenant) -> Option<Candidate> {
        let account = self.accounts.get_mut(tenant)?;
        if account.bytes <= self.tenant_bytes_max {
            account.chances = 0;
            return None;
        }
        let (age, key) = account.by_age.first_key_value()?;
        let second_chance = account.chances < account.by_age.len();
        Some(Candidate { age: *age, key: key.clone(), second_chance })
    }

    /// Makes a spared entry the youngest. The entry's age changes with its account, under one lock.
    pub(super) fn give_second_chance(&mut self, tenant: &Tenant, entry: &Entry) {
        let youngest = self.next_age();
        let Some(account) = self.accounts.get_mut(tenant) else { return };
        if let Some(key) = account.by_age.remove(&entry.age()) {
            account.chances += 1;
            account.by_age.insert(youngest, key);
            entry.set_age(youngest);
        }
    }

    fn next_age(&mut self) -> Age {
        self.last = Age(self.last.0 + 1);
        self.last
    }
}
