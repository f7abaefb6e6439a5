//! Which queries of a path mean the same, by its service's latest word (`No-Vary-Search`).
//!
//! A response that says so is kept under its URL without what does not matter. So a request has to know, before anything
//! is looked up, what its path's responses have said: that is remembered here, for each tenant, host and path. It decides
//! only *where* is looked; whether what is found may be used is judged by the found response's own word and query.
//!
//! # Invariants
//! - What is remembered of one tenant's or host's path says nothing of another's.
//! - At most [`PATHS_MAX`] paths are remembered. One that is forgotten costs a load.

use std::sync::{
    Arc, PoisonError, RwLock,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use unstale::Tenant;

use crate::{generations::Generations, rfc9111::no_vary_search::Search, url::NormalUrl};

/// Paths of which it is remembered what matters of their queries.
const PATHS_MAX: usize = 8192;

/// What is remembered of all paths.
#[derive(Debug)]
pub(crate) struct Searches {
    /// Most services never say it: then nothing is hashed and no lock is taken.
    is_any: AtomicBool,
    paths: RwLock<Generations<u128, Arc<Search>>>,
}

impl Default for Searches {
    fn default() -> Self {
        Self { is_any: AtomicBool::new(false), paths: RwLock::new(Generations::new(PATHS_MAX)) }
    }
}

/// A request whose path's responses have said what matters of their queries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Searched {
    /// The query, as the route counts it.
    pub(crate) query: Option<String>,
    /// The URL under which such a response is kept. No URL has a fragment, so it is no other one's.
    pub(crate) url: String,
}

impl Searches {
    /// Remembers what a response of a path has said last. `host` is that of its key.
    pub(crate) fn learn(&self, tenant: &Tenant, host: &str, path: &str, said: Search) {
        let place = place(tenant, host, path);
        let mut paths = self.paths.write().unwrap_or_else(PoisonError::into_inner);
        let known = paths.entry(place, Arc::default);
        if **known != said {
            *known = Arc::new(said);
        }
        self.is_any.store(true, Relaxed);
    }

    /// Of a request; none if nothing is remembered of its path.
    pub(crate) fn of(&self, tenant: &Tenant, host: &str, url: &NormalUrl<'_>) -> Option<Searched> {
        if !self.is_any.load(Relaxed) {
            return None;
        }
        let known = {
            let paths = self.paths.read().unwrap_or_else(PoisonError::into_inner);
            paths.peek(&place(tenant, host, url.path()))?.clone()
        };
        let query = url.query();
        let url = format!("{}?#{}", url.path(), known.simplified(query));
        Some(Searched { query: query.map(str::to_owned), url })
    }
}

fn place(tenant: &Tenant, host: &str, path: &str) -> u128 {
    let mut hasher = blake3::Hasher::new();
    for field in [tenant.as_str(), host, path] {
        hasher.update(&(field.len() as u64).to_le_bytes());
        hasher.update(field.as_bytes());
    }
    u128::from_le_bytes(*hasher.finalize().as_bytes().first_chunk().expect("a hash has 32 bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{rfc9111::testing::headers, route::Query, url};

    fn searched(searches: &Searches, tenant: &str, host: &str, uri: &str) -> Option<String> {
        let uri = uri.parse().unwrap();
        let url = url::normalise(&uri, &Query::All, 2048).unwrap();
        searches.of(&Tenant::new(tenant).unwrap(), host, &url).map(|searched| searched.url)
    }

    #[test]
    fn what_one_path_says_holds_for_no_other_tenant_host_or_path() {
        let searches = Searches::default();
        assert_eq!(searched(&searches, "acme", "h", "/a?x=1&utm=2"), None);
        let said = Search::of(&headers(&[("no-vary-search", "params=(\"utm\")")]));
        searches.learn(&Tenant::new("acme").unwrap(), "h", "/a", said);
        let own = searched(&searches, "acme", "h", "/a?x=1&utm=2").unwrap();
        assert_eq!(searched(&searches, "acme", "h", "/a?utm=3&x=1").unwrap(), own);
        assert_ne!(searched(&searches, "acme", "h", "/a?x=2&utm=2").unwrap(), own);
        for (tenant, host, uri) in [("globex", "h", "/a?x=1"), ("acme", "i", "/a?x=1"), ("acme", "h", "/b?x=1")] {
            assert_eq!(searched(&searches, tenant, host, uri), None, "{tenant} {host} {uri}");
        }
    }

    #[test]
    fn the_latest_word_counts() {
        let searches = Searches::default();
        let acme = Tenant::new("acme").unwrap();
        for said in ["params=(\"utm\")", "params, except=(\"x\")"] {
            searches.learn(&acme, "h", "/a", Search::of(&headers(&[("no-vary-search", said)])));
        }
        let own = searched(&searches, "acme", "h", "/a?x=1&y=2").unwrap();
        assert_eq!(searched(&searches, "acme", "h", "/a?x=1").unwrap(), own);
    }
}
