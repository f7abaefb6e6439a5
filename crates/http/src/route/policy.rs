//! How a kind of response is cached: for how long, for whom, by which part of the query.

use std::time::Duration;

use http::HeaderValue;
use unstale::Policy;

/// How a kind of response is cached.
#[derive(Clone, Debug)]
pub struct RoutePolicy {
    /// The kind of response, a bounded label for metrics.
    pub entity: &'static str,
    /// How the server keeps it; `None`: not at all.
    pub server: Option<Policy>,
    /// How the browser keeps it.
    pub browser: BrowserLifetime,
    /// Who shares one response.
    pub sharing: Sharing,
    /// Which part of the query tells responses apart.
    pub query: Query,
}

/// How long a browser's own HTTP cache may answer without asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum BrowserLifetime {
    /// The browser keeps nothing: `no-store`.
    NoStore,
    /// The browser asks each time and gets a 304 if nothing changed: `private, no-cache`. The only coherent choice.
    #[default]
    Revalidate,
    /// The browser does not ask for so long, and hides every invalidation meanwhile: `private, max-age=…`. Only for
    /// what does not change.
    MaxAge(Duration),
}

/// Who shares one stored response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Sharing {
    /// Each verified principal has its own.
    #[default]
    PerPrincipal,
    /// Everybody in the tenant gets the same. Only for routes whose answer is the same for all who reach the layer: a
    /// check of roles *behind* the layer is skipped on a hit.
    Tenant,
}

/// Which part of the query tells responses apart.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Query {
    /// Every parameter; their order does not matter but among those of one name.
    #[default]
    All,
    /// Every parameter, in the order given: for servers to which it matters.
    InOrder,
    /// These names only. The others are taken out of the request, so that nothing uncounted can shape a response.
    Only(Vec<&'static str>),
}

impl RoutePolicy {
    /// Not kept by the server; the browser revalidates.
    pub fn uncached(entity: &'static str) -> Self {
        Self {
            entity,
            server: None,
            browser: BrowserLifetime::Revalidate,
            sharing: Sharing::PerPrincipal,
            query: Query::All,
        }
    }

    /// Kept by the server for each principal; the browser revalidates.
    pub fn cached(entity: &'static str, server: Policy) -> Self {
        Self { server: Some(server), ..Self::uncached(entity) }
    }

    /// Sets how the browser keeps it.
    #[must_use]
    pub fn browser(self, browser: BrowserLifetime) -> Self {
        Self { browser, ..self }
    }

    /// Sets who shares one response.
    #[must_use]
    pub fn sharing(self, sharing: Sharing) -> Self {
        Self { sharing, ..self }
    }

    /// Sets which part of the query counts.
    #[must_use]
    pub fn query(self, query: Query) -> Self {
        Self { query, ..self }
    }
}

pub(super) fn cache_control(browser: BrowserLifetime) -> HeaderValue {
    match browser {
        BrowserLifetime::NoStore => HeaderValue::from_static("no-store"),
        BrowserLifetime::Revalidate => REVALIDATE,
        BrowserLifetime::MaxAge(age) => {
            HeaderValue::try_from(format!("private, max-age={}", age.as_secs())).expect("digits make a header")
        }
    }
}

/// `private, no-cache`: the browser may keep it and must ask.
pub(crate) const REVALIDATE: HeaderValue = HeaderValue::from_static("private, no-cache");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_and_browser_have_lives_of_their_own() {
        let control = |browser| cache_control(browser).to_str().unwrap().to_owned();
        assert_eq!(control(BrowserLifetime::default()), "private, no-cache");
        assert_eq!(control(BrowserLifetime::NoStore), "no-store");
        assert_eq!(control(BrowserLifetime::MaxAge(Duration::from_secs(60))), "private, max-age=60");
    }
}
