//! What may be changed of the cache while it runs, and what of it is watched.

use std::time::Duration;

use unstale_server::configuration::Entry;

use super::policies;

/// Members of views that move without an invalidation.
pub const TIMELESS_MEMBERS: &[&str] = &["last_seen_at"];

/// The bounds of a key pattern.
pub fn entry(pattern: &str) -> Entry {
    match pattern {
        "session:principal" => Entry { is_strict: true, ttl_max: policies::SESSION.ttl, ..Entry::default() },
        "client:users" | "engagement:users" | "admin:users" | "admin:active_users" => seen(),
        _ => Entry::default(),
    }
}

/// The bounds of a route of this lifetime.
pub fn endpoint(ttl: Duration) -> Entry {
    if ttl == policies::SEEN.ttl { seen() } else { Entry::default() }
}

fn seen() -> Entry {
    Entry { ttl_max: policies::SEEN.ttl, ..Entry::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coherence::catalogue::PATTERNS;

    #[test]
    fn whatever_is_bounded_is_in_the_catalogue() {
        let bounded = PATTERNS.iter().filter(|pattern| entry(pattern.name) != Entry::default());
        assert_eq!(bounded.count(), 5);
        assert!(entry("session:principal").is_strict);
        assert_eq!(entry("admin:users").ttl_max.as_secs(), 60);
    }
}
