//! What is cached: pages of two tenants, computed from facts that have versions.

use serde::{Deserialize, Serialize};
use unstale::{
    Tag, Tenant, catalogue,
    testing::history::{Fact, Version},
};

catalogue! {
    /// Every key of the world.
    pub(super) const PATTERNS;
    /// A page by its number.
    pub(super) fn page_key(number) -> Page = "page";
}

/// A page: what it was computed from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Page {
    pub(super) saw: Vec<(Fact, Version)>,
}
unstale::cacheable!(Page, "Page v1");

pub(super) const TENANTS: u32 = 2;
/// Facts of one tenant. One more, fact 0, is shared by all.
pub(super) const TENANT_FACTS: u32 = 8;
pub(super) const FACTS: u32 = 1 + TENANTS * TENANT_FACTS;
pub(super) const TENANT_PAGES: u32 = 10;
pub(super) const SHARED_FACT: Fact = 0;

/// One page of one tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PageId {
    pub(super) tenant: u32,
    pub(super) number: u32,
}

impl PageId {
    /// Every page there is.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        (0..TENANTS).flat_map(|tenant| (0..TENANT_PAGES).map(move |number| Self { tenant, number }))
    }

    /// The fact that is looked at first, and the one that is looked at last: which it is depends on the first's
    /// version, so that pages change their tags.
    pub(super) fn first_fact(self) -> Fact {
        fact_of(self.tenant, self.number)
    }

    pub(super) fn last_fact(self, first: Version) -> Fact {
        #[allow(clippy::cast_possible_truncation, reason = "any of the facts will do")]
        let first = first as u32;
        fact_of(self.tenant, self.number.wrapping_mul(3).wrapping_add(first))
    }
}

pub(super) fn fact_of(tenant: u32, number: u32) -> Fact {
    1 + tenant * TENANT_FACTS + number % TENANT_FACTS
}

pub(super) fn tenant(number: u32) -> Tenant {
    Tenant::new(format!("tenant-{number}")).expect("a well-formed name")
}

pub(super) fn tag(fact: Fact) -> Tag {
    if fact == SHARED_FACT {
        Tag::shared("fact", fact)
    } else {
        Tag::of(&tenant((fact - 1) / TENANT_FACTS), "fact", fact)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_made_of_their_own_tenants_facts() {
        for page in PageId::all() {
            for version in 0..20 {
                for fact in [page.first_fact(), page.last_fact(version)] {
                    assert!((1..FACTS).contains(&fact));
                    assert_eq!((fact - 1) / TENANT_FACTS, page.tenant);
                }
            }
        }
    }
}
