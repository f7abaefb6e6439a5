//! What somebody was shown: the ids, addresses and names in it, to be looked for in answers to others.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    super::world::{Answer, Ids, Person},
    table,
};

/// Names that stand in the demonstration's data of one client only.
pub(crate) const GLOBEX: &[&str] =
    &["Globex", "Amsterdam to AWS", "amsterdam-migration-hub.csv", "Mara de Vries", "Luis Ortega"];
pub(crate) const ACME: &[&str] = &["Acme", "Frankfurt data centre exit", "frankfurt-azure-migrate.csv"];

/// What must not be in an answer.
pub(crate) struct Secrets(BTreeSet<String>);

impl Secrets {
    /// Everything in what `owners` read of their client that names something. Reads each twice: it is kept then.
    pub(crate) async fn of(owners: &[&Person], ids: &Ids, names: &[&str]) -> Self {
        let mut found: BTreeSet<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut shown = String::new();
        for (owner, operation) in
            owners.iter().flat_map(|owner| table::operations().into_iter().map(move |o| (owner, o)))
        {
            if operation.does != table::Does::Reads {
                continue;
            }
            for target in operation.targets(ids) {
                let first = operation.ask(owner, &target, ids, &[]).await;
                let again = operation.ask(owner, &target, ids, &[]).await;
                if first.status.is_success() {
                    assert!(again.is_hit(), "{target} is not kept: {again:?}");
                    // Those who wait to be let in have no client yet: every client's administrators may see them.
                    if operation.path != "/admin/pending-approvals" {
                        collect(&first.body, &mut found);
                    }
                    shown.push_str(&first.body.to_string());
                }
            }
        }
        for name in names {
            assert!(shown.contains(name), "{name} is not shown to those whose it is");
        }
        assert!(found.len() > 20, "{found:?}");
        Self(found)
    }

    /// Without what somebody knows of themselves.
    pub(crate) fn but(mut self, known: &[&str]) -> Self {
        self.0.retain(|text| !known.contains(&text.as_str()));
        self
    }

    /// Whether none is in an answer, but for those that stand in the request itself.
    #[track_caller]
    pub(crate) fn are_not_in(&self, answer: &Answer, asked: &str) {
        let told = format!("{} {:?}", answer.body, answer.headers);
        for secret in self.0.iter().filter(|secret| !asked.contains(secret.as_str())) {
            assert!(!told.contains(secret.as_str()), "{asked} tells {secret}: {answer:?}");
        }
    }
}

fn collect(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::String(text) if uuid::Uuid::parse_str(text).is_ok() || text.contains('@') => {
            found.insert(text.clone());
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Object(fields) => fields.values().for_each(|field| collect(field, found)),
        _ => {}
    }
}
