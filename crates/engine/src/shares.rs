//! The permits of one budget, or the places in one queue, shared between tenants: none of them holds all, however slow its loads are.
//!
//! *Decides*, does no IO. Permits cannot be taken back from a load that runs, so some have to be left for who has none
//! yet. How many a tenant may hold depends on how many are free (as queues share the memory of a switch, by a *dynamic
//! threshold*): alone it has about three quarters; the more tenants there are, the less each has, and the less is left.
//!
//! # Invariants
//! - No more permits are out than there are.
//! - A tenant that holds none may take any that is free.
//! - Who holds nothing is not remembered: no more tenants than permits.

use std::collections::HashMap;

use crate::tenant::Tenant;

/// How many times as many as are free a tenant may hold and still take one more.
const HELD_PER_FREE: usize = 3;

/// Who holds how many permits.
#[derive(Debug)]
pub(crate) struct Shares {
    free: usize,
    held: HashMap<Tenant, usize>,
}

impl Shares {
    /// All are free.
    pub(crate) fn new(permits: usize) -> Self {
        Self { free: permits, held: HashMap::new() }
    }

    /// Whether one may be taken for a tenant.
    pub(crate) fn may_take(&self, tenant: &Tenant) -> bool {
        let held = self.held.get(tenant).copied().unwrap_or_default();
        self.free > 0 && held <= self.free.saturating_mul(HELD_PER_FREE)
    }

    /// Takes one for a tenant, if it may.
    pub(crate) fn take(&mut self, tenant: &Tenant) -> bool {
        let takes = self.may_take(tenant);
        if takes {
            self.free -= 1;
            match self.held.get_mut(tenant) {
                Some(held) => *held += 1,
                None => _ = self.held.insert(tenant.clone(), 1),
            }
        }
        takes
    }

    /// Gives one back that was taken for a tenant.
    pub(crate) fn give_back(&mut self, tenant: &Tenant) {
        let held = self.held.get_mut(tenant).expect("who gives back has taken");
        *held -= 1;
        if *held == 0 {
            self.held.remove(tenant);
        }
        self.free += 1;
    }
}

#[cfg(test)]
impl Shares {
    /// Whether nobody holds any.
    pub(crate) fn is_whole(&self) -> bool {
        self.held.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tenant(number: usize) -> Tenant {
        Tenant::new(format!("tenant{number}")).unwrap()
    }

    /// How many each of some tenants gets that take all they can, one after the other.
    fn taken(permits: usize, tenants: usize) -> Vec<usize> {
        let mut shares = Shares::new(permits);
        let mut take_all = |tenant: &Tenant| (0..=permits).filter(|_| shares.take(tenant)).count();
        (0..tenants).map(|number| take_all(&tenant(number))).collect()
    }

    #[test]
    fn whoever_takes_all_it_can_leaves_some_for_others() {
        assert_eq!(taken(64, 4), [49, 12, 3, 0]);
        assert_eq!(taken(32, 4), [25, 6, 1, 0]);
        assert_eq!(taken(8, 3), [7, 1, 0]);
        assert_eq!([taken(4, 1), taken(1, 1), taken(0, 1)], [[4], [1], [0]], "of few, none is kept back");
    }

    #[test]
    fn what_is_given_back_goes_to_who_holds_less() {
        let (mut shares, one, other) = (Shares::new(8), tenant(1), tenant(2));
        assert_eq!((0..8).filter(|_| shares.take(&one)).count(), 7);
        assert!(shares.take(&other) && !shares.take(&other));
        shares.give_back(&one);
        assert!(!shares.may_take(&one) && shares.take(&other));
        (0..6).for_each(|_| shares.give_back(&one));
        (0..2).for_each(|_| shares.give_back(&other));
        assert!(shares.is_whole(), "nobody is remembered");
        assert_eq!((0..8).filter(|_| shares.take(&other)).count(), 7);
    }

    proptest! {
        #[test]
        fn no_more_are_out_than_there_are(
            permits in 0..20usize,
            steps in proptest::collection::vec((any::<bool>(), 0..5usize), 0..200),
        ) {
            let mut shares = Shares::new(permits);
            let mut held = [0usize; 5];
            for (takes, number) in steps {
                let out: usize = held.iter().sum();
                if takes {
                    let taken = shares.take(&tenant(number));
                    prop_assert!(!taken || out < permits);
                    prop_assert!(taken || out == permits || held[number] > 0, "who holds none takes what is free");
                    held[number] += usize::from(taken);
                } else if held[number] > 0 {
                    shares.give_back(&tenant(number));
                    held[number] -= 1;
                }
            }
        }
    }
}
