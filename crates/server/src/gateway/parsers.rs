//! The readers of what comes from outside that have no other public name, for fuzzing. No part of the interface.

use http::request;

use super::{config::file::JwtFile, identity::claims::Rules, listen::hygiene};

/// Whether a request's head is one that everybody reads alike. What `Connection` names is then taken out of it.
pub fn hygiene(head: &mut request::Parts) -> bool {
    hygiene::clean(head).is_ok()
}

/// Whether the head of a token may be believed by such rules, and the algorithm that it names.
pub fn token_head(rules: &JwtFile, token: &str) -> Option<String> {
    let rules = Rules::of("fuzzed", rules, true);
    rules.head(token).ok().map(|head| format!("{:?}", head.alg))
}
