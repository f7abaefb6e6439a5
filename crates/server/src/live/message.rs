//! The messages as text, and the notes of records.
//!
//! A note is a JSON object that the writer gave to the invalidation. Its member `tenant`, if there is one, names who
//! may read it: it is taken out, and readers of other tenants get `{}` as data (and the groups of what they hold).

use std::{collections::HashMap, fmt::Write as _};

use axum::extract::ws::Utf8Bytes;
use bytes::Bytes;
use unstale::{GroupKey, Position, PositionSet, Record, TagId, Tenant};

/// The member of a note that names its tenant.
const TENANT: &str = "tenant";
const NO_DATA: &str = "{}";

/// The note of an invalidation (see [`unstale::Invalidation::note`]): `data` as live events tell it. If it says
/// anything that only readers of one tenant may know, name that tenant; it must when the invalidation holds shared
/// tags, which readers of several tenants hold.
pub fn note(tenant: Option<&Tenant>, mut data: serde_json::Map<String, serde_json::Value>) -> Bytes {
    if let Some(tenant) = tenant {
        data.insert(TENANT.to_owned(), tenant.as_str().into());
    }
    serde_json::Value::Object(data).to_string().into()
}

/// Makes messages.
#[derive(Clone, Debug)]
pub(super) struct Encoder {
    group_key: GroupKey,
}

/// What a resync is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ResyncReason {
    /// The socket took too long.
    Slow,
    /// It cannot be known what was missed.
    Unknown,
    /// The session holds more than is remembered.
    Many,
}

/// A record on its way out: what all its readers share is computed once.
pub(super) struct Outgoing<'a> {
    encoder: &'a Encoder,
    data: String,
    only: Option<String>,
    groups: HashMap<(Tenant, TagId), String>,
    texts: HashMap<(Tenant, Vec<TagId>), Utf8Bytes>,
    position: String,
    jitter_ms: u32,
}

/// What a client that connects is about to hear of the time before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MissedBefore {
    Nothing,
    Replayed,
    Unknown,
}

impl MissedBefore {
    fn as_str(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Replayed => "replayed",
            Self::Unknown => "unknown",
        }
    }
}

impl Encoder {
    pub(super) fn new(group_key: GroupKey) -> Self {
        Self { group_key }
    }

    /// A record, to be told at `position`: its own, or a later one if it comes late.
    pub(super) fn record<'a>(&'a self, record: &'a Record, position: Position) -> Outgoing<'a> {
        let (data, only) = read_note(&record.note);
        Outgoing {
            encoder: self,
            data,
            only,
            groups: HashMap::new(),
            texts: HashMap::new(),
            position: PositionSet::from(position).to_string(),
            jitter_ms: 0,
        }
    }
}

impl Outgoing<'_> {
    /// Tells all readers to spread their refetches over so many milliseconds.
    pub(super) fn spread_over(mut self, jitter_ms: u32) -> Self {
        self.jitter_ms = jitter_ms;
        self
    }

    /// The message for readers of `tenant` that hold `tags`.
    pub(super) fn text(&mut self, tenant: &Tenant, tags: Vec<TagId>) -> Utf8Bytes {
        let key = (tenant.clone(), tags);
        if let Some(text) = self.texts.get(&key) {
            return text.clone();
        }
        let mut text = format!(r#"{{"type":"cache_invalidation","position":"{}","groups":["#, self.position);
        for (at, tag) in key.1.iter().enumerate() {
            let group =
                self.groups.entry((tenant.clone(), *tag)).or_insert_with(|| self.encoder.group_key.group(tenant, *tag));
            text.push_str(if at == 0 { "\"" } else { ",\"" });
            text.push_str(group);
            text.push('"');
        }
        let may_read = self.only.as_deref().is_none_or(|only| only == tenant.as_str());
        text.push(']');
        if self.jitter_ms > 0 {
            _ = write!(text, r#","jitter_ms":{}"#, self.jitter_ms);
        }
        text.push_str(r#","data":"#);
        text.push_str(if may_read { &self.data } else { NO_DATA });
        text.push('}');
        let text = Utf8Bytes::from(text);
        self.texts.insert(key, text.clone());
        text
    }
}

pub(super) fn hello(position: &str, missed: MissedBefore) -> Utf8Bytes {
    format!(r#"{{"type":"hello","position":"{position}","missed":"{}"}}"#, missed.as_str()).into()
}

pub(super) fn resync(reason: ResyncReason, position: Position) -> Utf8Bytes {
    let position = PositionSet::from(position);
    format!(r#"{{"type":"resync","reason":"{}","position":"{position}"}}"#, reason.as_str()).into()
}

pub(super) const PING: &str = r#"{"type":"ping"}"#;

impl ResyncReason {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Slow => "slow",
            Self::Unknown => "unknown",
            Self::Many => "many",
        }
    }
}

/// A note's data as JSON, and the tenant that alone may read it.
fn read_note(note: &[u8]) -> (String, Option<String>) {
    if note.is_empty() {
        return (NO_DATA.to_owned(), None);
    }
    let Ok(serde_json::Value::Object(mut data)) = serde_json::from_slice(note) else {
        tracing::warn!("the note of an invalidation is no JSON object; live events go out without it");
        return (NO_DATA.to_owned(), None);
    };
    match data.remove(TENANT) {
        None => (serde_json::Value::Object(data).to_string(), None),
        Some(serde_json::Value::String(tenant)) => (serde_json::Value::Object(data).to_string(), Some(tenant)),
        // Meant for somebody, and it cannot be said for whom.
        Some(_) => (NO_DATA.to_owned(), None),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use unstale::Tag;

    use super::*;

    fn tenant(name: &str) -> Tenant {
        Tenant::new(name).unwrap()
    }

    fn position() -> Position {
        *"1.2.3".parse::<PositionSet>().unwrap().iter().next().unwrap()
    }

    fn data() -> serde_json::Map<String, serde_json::Value> {
        json!({ "entity": "flow", "id": "7" }).as_object().unwrap().clone()
    }

    fn told(note: Bytes, reader: &str) -> serde_json::Value {
        let encoder = Encoder::new(GroupKey::derive(b"secret"));
        let tag = Tag::shared("user", 1).id();
        let record = Record { position: position(), tags: vec![tag], note };
        let text = encoder.record(&record, position()).text(&tenant(reader), vec![tag]);
        serde_json::from_str(text.as_str()).unwrap()
    }

    #[test]
    fn an_event_holds_position_groups_and_the_writers_note() {
        let group = GroupKey::derive(b"secret").group(&tenant("acme"), Tag::shared("user", 1).id());
        let expected = json!({
            "type": "cache_invalidation", "position": "1.2.3", "groups": [group],
            "data": { "entity": "flow", "id": "7" },
        });
        assert_eq!(told(note(None, data()), "acme"), expected);
        assert_ne!(told(note(None, data()), "globex")["groups"], expected["groups"]);
    }

    #[test]
    fn a_note_for_one_tenant_goes_to_no_other() {
        let acme = tenant("acme");
        assert_eq!(told(note(Some(&acme), data()), "acme")["data"], json!({ "entity": "flow", "id": "7" }));
        assert_eq!(told(note(Some(&acme), data()), "globex")["data"], json!({}));
        assert_eq!(told(Bytes::from(r#"{"tenant":7,"a":1}"#), "acme")["data"], json!({}));
    }

    #[test]
    fn a_note_that_is_no_object_is_left_out() {
        for note in ["", "x", "[1]", "\"},\"a\":{\""] {
            assert_eq!(told(Bytes::from(note), "acme")["data"], json!({}), "{note}");
        }
    }
}
