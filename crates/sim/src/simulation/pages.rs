//! What is cached: pages, each computed from facts, and from other pages.

use serde::{Deserialize, Serialize};
use unstale::{
    Cacheable, Key, Tenant,
    testing::history::{Fact, Version},
};

/// What a page was computed from.
pub(crate) type Saw = Vec<(Fact, Version)>;

/// A page as one build of the program knows it.
pub(crate) trait Page: Cacheable {
    fn of(saw: Saw, load: u64, padding: usize) -> Self;
    fn saw(&self) -> &Saw;
    /// The number of the load that made it.
    fn load(&self) -> u64;
    /// The key of page `number`. Both builds give it the same name, as builds do.
    fn key(tenant: &Tenant, number: u32) -> Key<Self>;
    /// A key that is too long.
    fn long_key(tenant: &Tenant) -> Key<Self> {
        // The part is as long as a key may be altogether.
        Self::named(tenant, &"x".repeat(unstale::key::KEY_BYTES_MAX))
    }
    fn named(tenant: &Tenant, name: &str) -> Key<Self>;
}

/// One module per build, as each build has one catalogue.
macro_rules! build {
    ($build:ident, $type:ident, $schema:literal) => {
        mod $build {
            use super::*;

            unstale::catalogue! {
                /// Of this build.
                const _PATTERNS;
                /// A page.
                pub(super) fn page(name) -> $type = "page";
            }

            /// A page.
            #[derive(Clone, Debug, Serialize, Deserialize)]
            pub(crate) struct $type {
                saw: Saw,
                load: u64,
                padding: String,
            }
            unstale::cacheable!($type, $schema);

            impl Page for $type {
                fn of(saw: Saw, load: u64, padding: usize) -> Self {
                    Self { saw, load, padding: "-".repeat(padding) }
                }

                fn saw(&self) -> &Saw {
                    &self.saw
                }

                fn load(&self) -> u64 {
                    self.load
                }

                fn key(tenant: &Tenant, number: u32) -> Key<Self> {
                    page(tenant, number)
                }

                fn named(tenant: &Tenant, name: &str) -> Key<Self> {
                    page(tenant, name)
                }
            }
        }
        pub(crate) use self::$build::$type;
    };
}

build!(first, FirstPage, "Page v1");
build!(second, SecondPage, "Page v2");

/// How a page is made, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Of three facts, one of them shared, one found by another's version.
    Plain,
    /// Of a fact and another page.
    Nested,
    /// Of two pages that are read at once.
    NestedBatch,
    /// Of a page that may be stale.
    NestedStale,
    /// Of a page of another tenant, which has only shared facts. Not kept if that page was found, not loaded.
    NestedShared,
    /// Only shared facts, for all tenants.
    Common,
    /// Fresh for a moment, with grace and fail-safe after it.
    ShortLived,
    /// There while a fact's version is even.
    Optional,
    /// The same, and its absence is remembered.
    OptionalRemembered,
    /// Reads a fact of another tenant.
    Foreign,
    /// Reads more facts than an entry may have tags.
    ManyTags,
    /// Its loader says that it is not to be kept.
    Declined,
    /// Larger than may be kept.
    Large,
    /// Over as soon as it is loaded.
    NoLifetime,
    /// Its key is too long.
    LongKey,
}

impl Kind {
    /// By number; what is read most comes first.
    pub(crate) const ALL: [Self; 16] = [
        Self::Plain,
        Self::Plain,
        Self::Nested,
        Self::NestedBatch,
        Self::ShortLived,
        Self::NestedShared,
        Self::OptionalRemembered,
        Self::NestedStale,
        Self::Optional,
        Self::Foreign,
        Self::ManyTags,
        Self::Declined,
        Self::Large,
        Self::NoLifetime,
        Self::LongKey,
        Self::Common,
    ];

    /// Pages that are read often; the others now and then.
    pub(crate) const COMMON_PAGES: u32 = 8;

    pub(crate) fn of(number: u32) -> Self {
        Self::ALL[number as usize % Self::ALL.len()]
    }

    /// Whether it is made of other pages.
    pub(crate) fn is_nested(self) -> bool {
        matches!(self, Self::Nested | Self::NestedBatch | Self::NestedStale | Self::NestedShared)
    }

    /// Whether such a page is in memory after it was read, if nothing goes wrong.
    pub(crate) fn is_kept(self) -> bool {
        !matches!(
            self,
            Self::Optional
                | Self::NestedShared
                | Self::Foreign
                | Self::ManyTags
                | Self::Declined
                | Self::Large
                | Self::NoLifetime
                | Self::LongKey
        )
    }
}

/// The number of [`Kind::Common`]'s page.
pub(crate) const COMMON: u32 = 15;
