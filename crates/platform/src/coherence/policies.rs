//! How long the entries of each key pattern live.
//!
//! What is read again and again is loaded anew shortly before its time is over, so that nobody waits for it then: by
//! chance, the likelier the longer its load takes (`XFetch`).
//!
//! Times are backstops: an entry goes out of date when its facts change. Only `last_seen_at` moves without an
//! invalidation (every request moves it), so whatever shows it lives [`SEEN`] at most.

use std::time::Duration;

use unstale::{Mode, Policy};

const fn seconds(seconds: u64) -> Policy {
    Policy::ttl(Duration::from_secs(seconds))
}

/// Of what many read, or the same user with every page.
const fn hot(time: u64) -> Policy {
    seconds(time).early_refresh(100)
}

/// User contexts.
pub const CONTEXT: Policy = hot(3600);
/// A user's defaults and memberships.
pub const USER: Policy = hot(3600);
/// Lists of clients and of engagements, and single ones.
pub const LISTS: Policy = hot(1800);
/// Administrators' lists of clients and of engagements.
pub const ADMIN_LISTS: Policy = hot(300);
/// Whatever shows when a user was last seen.
pub const SEEN: Policy = seconds(60);
/// Who waits to be let in.
pub const PENDING_APPROVALS: Policy = seconds(300);
/// Complete flows, their states, metadata and lists.
pub const FLOWS: Policy = hot(300);
/// Imports.
pub const IMPORTS: Policy = hot(300);
/// Field mappings and what is computed from them.
pub const FIELD_MAPPINGS: Policy = hot(120);
/// How good the values of an import are: every row is read for it.
pub const DATA_QUALITY: Policy = hot(300);
/// Pages of assets.
pub const ASSETS: Policy = hot(120);
/// Sessions: a revoked one must be refused at once, on every node.
pub const SESSION: Policy = seconds(300).mode(Mode::Strict);

/// Results of an agent, by the agent's type.
pub fn agent_results(agent_type: &str) -> Policy {
    seconds(match agent_type {
        "data_import_agent" => 300,
        "mapping_agent" => 3600,
        "classification_agent" => 86_400,
        "learning_agent" => 604_800,
        _ => 1800,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_agents_live_as_long_as_their_kind_of_work_stays_true() {
        let ttl = |agent_type| agent_results(agent_type).ttl.as_secs();
        assert_eq!(ttl("data_import_agent"), 300);
        assert_eq!(ttl("mapping_agent"), 3600);
        assert_eq!(ttl("classification_agent"), 24 * 3600);
        assert_eq!(ttl("learning_agent"), 7 * 24 * 3600);
        assert_eq!(ttl("an agent of tomorrow"), 1800);
    }
}
