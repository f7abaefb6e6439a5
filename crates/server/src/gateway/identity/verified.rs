//! Who was verified, and the principal that is made of it.
//!
//! *Decides*, does no IO.

use std::sync::Arc;

use serde_json::Value;
use unstale::{Position, Tag, Tenant};
use unstale_http::Identity;

use super::credentials::{Digest, HashKey};
use crate::gateway::tags;

/// Longest name of a principal, a tenant or a session, in bytes.
const NAME_BYTES_MAX: usize = 512;

/// What a way of verifying has found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verified {
    /// The name of the way.
    pub(crate) way: Arc<str>,
    /// Who it is, as the backends name them.
    pub(crate) subject: String,
    /// What else tells their answers apart.
    pub(crate) apart: Option<Digest>,
    /// Of which tenant, if that was found out.
    pub(crate) tenant: Option<Tenant>,
    /// Their session, if it has a name.
    pub(crate) session: Option<String>,
}

impl Verified {
    /// The identity in a tenant. `rest` are the request's credentials that were not accounted for; `since` is where the
    /// log was before the facts were read.
    pub(crate) fn identity(&self, tenant: Tenant, rest: Option<Digest>, key: &HashKey, since: Position) -> Identity {
        let apart = match (self.apart, rest) {
            (None, None) => None,
            (one, other) => {
                let bytes = |digest: &Option<Digest>| digest.map_or_else(Vec::new, |digest| digest.bytes().to_vec());
                Some(key.digest(&[&bytes(&one), &bytes(&other)]))
            }
        };
        // The way's name has no ':', and the second part neither: no two of them share a text.
        let apart = apart.map_or_else(|| "-".to_owned(), |digest| digest.short());
        let principal = format!("{}:{apart}:{}", self.way, self.subject);
        let facts = self.tags(&tenant);
        let identity = Identity::new(tenant, principal).facts(facts, since);
        match &self.session {
            Some(session) => identity.session(session.as_str()),
            None => identity,
        }
    }

    /// The facts that it was made of: backends declare them wrong to end what was served by them.
    pub(crate) fn tags(&self, tenant: &Tenant) -> Vec<Tag> {
        let session = self.session.iter().map(|session| tags::session(tenant, session));
        [tags::principal(tenant, &self.subject)].into_iter().chain(session).collect()
    }
}

/// The text at a place in a JSON object: of a member of that very name, else by members in members (`user.id`).
pub(crate) fn text_at(value: &Value, path: &str) -> Option<String> {
    let text = match at(value, path)? {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    (1..=NAME_BYTES_MAX).contains(&text.len()).then_some(text)
}

/// The value there.
pub(crate) fn at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    if let Some(found) = value.get(path) {
        return Some(found);
    }
    path.split('.').try_fold(value, |value, name| value.get(name))
}

/// A hash of the members at these places.
pub(crate) fn digest_of(value: &Value, paths: &[String], key: &HashKey) -> Digest {
    let fields: Vec<String> = paths
        .iter()
        .flat_map(|path| [path.clone(), at(value, path).map_or_else(String::new, ToString::to_string)])
        .collect();
    key.digest(&fields.iter().map(String::as_bytes).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn members_are_found_by_their_name_and_by_their_place() {
        let value = json!({"sub": "u1", "id": 7, "user": {"id": "u2"}, "https://x.y/t": "acme", "no": "", "list": []});
        assert_eq!(text_at(&value, "sub").as_deref(), Some("u1"));
        assert_eq!(text_at(&value, "id").as_deref(), Some("7"));
        assert_eq!(text_at(&value, "user.id").as_deref(), Some("u2"));
        assert_eq!(text_at(&value, "https://x.y/t").as_deref(), Some("acme"));
        for path in ["no", "list", "user", "user.name", "gone", ""] {
            assert_eq!(text_at(&value, path), None, "{path}");
        }
    }
}
