//! Judging the shape of a file by its schema: names, types and ranges, all faults at once.
//!
//! A library that reads a file into types stops at the first fault. This walks over the text's values beside the schema
//! that is generated from the types, notes every fault with its place, leaves out what is wrong, and gives back the rest,
//! so that what it means can be checked as well.
//!
//! # Invariants
//! - It knows every keyword that the generated schema has: a test looks.
//! - What it lets through is read into the types without a fault.

use std::collections::HashMap;

use serde_json::{Map, Value, json};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    document::Document,
    fault::{Fault, Path, Step},
    texts::Text,
};
use crate::settings::nearest;

/// Longest part of a value that a fault repeats.
const QUOTED_CHARS_MAX: usize = 80;

/// What the schema allows of a document.
pub(crate) struct Judged {
    /// Every value that is as it should be.
    pub(crate) value: Value,
    /// What is wrong with the others.
    pub(crate) faults: Vec<Fault>,
    /// Of lists that lost an item: which items are left, by the list's path.
    kept: HashMap<String, Vec<usize>>,
}

impl Judged {
    /// The path in the document of what has this path in the value.
    pub(crate) fn original(&self, path: &Path) -> Path {
        path.steps().iter().fold(Path::default(), |original, step| match step {
            Step::Key(key) => original.key(key),
            Step::Item(at) => {
                let kept = self.kept.get(&original.to_string()).and_then(|kept| kept.get(*at));
                original.item(kept.copied().unwrap_or(*at))
            }
        })
    }
}

/// Judges a document by a schema.
pub(crate) fn judge(document: &Document<'_>, schema: &Value) -> Judged {
    let mut judge = Judge { document, root: schema, faults: Vec::new(), kept: HashMap::new() };
    let value = judge.table(document.top(), 0, schema, &Path::default());
    // What is missing at the top makes the whole file useless, and has been told.
    Judged { value: value.unwrap_or(Value::Null), faults: judge.faults, kept: judge.kept }
}

struct Judge<'a, 't> {
    document: &'a Document<'t>,
    root: &'a Value,
    faults: Vec<Fault>,
    kept: HashMap<String, Vec<usize>>,
}

impl<'a> Judge<'a, '_> {
    /// The value, unless something that must be there is wrong with it.
    fn value(&mut self, value: &Spanned<DeValue<'_>>, schema: &'a Value, path: &Path) -> Option<Value> {
        let schema = resolve(self.root, schema);
        let at = value.span().start;
        match value.get_ref() {
            DeValue::Table(table) if is(schema, "object") => self.table(table, at, schema, path),
            DeValue::Array(items) if is(schema, "array") => {
                let least = schema["minItems"].as_u64().unwrap_or(0);
                if (items.len() as u64) < least {
                    self.fault(at, path, "is an empty list".into(), format!("at least {least}"), None);
                    return None;
                }
                let (mut kept, mut left) = (Vec::new(), Vec::new());
                for (place, item) in items.iter().enumerate() {
                    let judged = match (schema["x-each"].as_str().and_then(Text::named), item.get_ref()) {
                        (Some(kind), DeValue::String(text)) => {
                            self.text_of(kind, text, item.span().start, &path.item(place))
                        }
                        _ => self.value(item, &schema["items"], &path.item(place)),
                    };
                    if let Some(item) = judged {
                        kept.push(place);
                        left.push(item);
                    }
                }
                if kept.len() < items.len() {
                    self.kept.insert(path.to_string(), kept);
                }
                Some(Value::Array(left))
            }
            DeValue::String(text) if is(schema, "string") => self.text(text, at, schema, path),
            DeValue::Boolean(value) if is(schema, "boolean") => Some(Value::Bool(*value)),
            DeValue::Integer(number) if is(schema, "integer") => {
                let number = i64::from_str_radix(number.as_str(), number.radix()).ok();
                self.number(number, at, schema, path)
            }
            other => {
                self.fault(at, path, format!("is {}", shown(other)), expected(self.root, schema), None);
                None
            }
        }
    }

    fn table(&mut self, table: &DeTable<'_>, at: usize, schema: &'a Value, path: &Path) -> Option<Value> {
        let required = || schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let mut map = Map::new();
        let mut is_whole = true;
        for (key, value) in table {
            let name = key.get_ref();
            let below = path.key(name);
            let any = &schema["additionalProperties"];
            let property = schema["properties"].get(&**name).or_else(|| any.is_object().then_some(any));
            let judged = if let Some(property) = property {
                self.value(value, property, &below)
            } else {
                self.unknown(key.span().start, name, schema, &below);
                None
            };
            match judged {
                Some(value) => drop(map.insert(name.to_string(), value)),
                None => is_whole &= required().all(|required| required != name),
            }
        }
        for name in required().filter(|name| !table.iter().any(|(key, _)| key.get_ref() == name)) {
            let expected = expected(self.root, resolve(self.root, &schema["properties"][name]));
            self.fault(at, &path.key(name), "is missing".into(), expected, Some(format!("add {name}")));
            is_whole = false;
        }
        is_whole.then_some(Value::Object(map))
    }

    fn unknown(&mut self, at: usize, name: &str, schema: &Value, path: &Path) {
        let names = || schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name.as_str());
        let advice = match nearest(name, names()) {
            Some(meant) => format!("did you mean {meant}?"),
            None => "remove it".to_owned(),
        };
        let known = names().collect::<Vec<_>>().join(", ");
        self.fault(at, path, "is no setting".into(), format!("one of {known}"), Some(advice));
    }

    fn text(&mut self, text: &str, at: usize, schema: &Value, path: &Path) -> Option<Value> {
        let choices = choices(schema);
        if !choices.is_empty() && !choices.contains(&text) {
            let advice = nearest(text, choices.iter().copied()).map(|meant| format!("did you mean {meant:?}?"));
            self.fault(at, path, format!("is {}", quoted(text)), expected(self.root, schema), advice);
            return None;
        }
        match schema["x-text"].as_str().and_then(Text::named) {
            Some(kind) => self.text_of(kind, text, at, path),
            None => Some(Value::String(text.to_owned())),
        }
    }

    fn text_of(&mut self, kind: Text, text: &str, at: usize, path: &Path) -> Option<Value> {
        if !kind.is_well_formed(text) {
            let found = if kind.is_secret() { "is malformed".to_owned() } else { format!("is {}", quoted(text)) };
            self.fault(at, path, found, kind.expected().to_owned(), None);
            return None;
        }
        Some(Value::String(text.to_owned()))
    }

    fn number(&mut self, number: Option<i64>, at: usize, schema: &Value, path: &Path) -> Option<Value> {
        let least = schema["minimum"].as_i64().unwrap_or(i64::MIN);
        let most = schema["maximum"].as_i64().unwrap_or(i64::MAX);
        let found = match number {
            Some(number) if (least..=most).contains(&number) => return Some(json!(number)),
            Some(number) => format!("is {number}"),
            None => "is too large".to_owned(),
        };
        self.fault(at, path, found, expected(self.root, schema), None);
        None
    }

    fn fault(&mut self, at: usize, path: &Path, found: String, expected: String, advice: Option<String>) {
        let place = self.document.place_of(at);
        self.faults.push(Fault { place, path: path.to_string(), found, expected, advice });
    }
}

/// What a schema stands for: without references, and without "or nothing", which TOML cannot say.
fn resolve<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    if let Some(name) = schema["$ref"].as_str().and_then(|text| text.strip_prefix("#/$defs/")) {
        return resolve(root, &root["$defs"][name]);
    }
    let something = |any: &'a Vec<Value>| any.iter().find(|one| one["type"] != "null");
    match schema["anyOf"].as_array().and_then(something) {
        Some(schema) => resolve(root, schema),
        None => schema,
    }
}

fn is(schema: &Value, kind: &str) -> bool {
    match &schema["type"] {
        Value::String(own) => own == kind,
        Value::Array(kinds) => kinds.iter().any(|own| own == kind),
        // A choice of words.
        _ => kind == "string" && !choices(schema).is_empty(),
    }
}

/// The words that a text may be; none if it may be any.
fn choices(schema: &Value) -> Vec<&str> {
    let words = schema["enum"].as_array().into_iter().flatten();
    let described = schema["oneOf"].as_array().into_iter().flatten();
    let described = described.flat_map(|one| match one["enum"].as_array() {
        Some(words) => words.iter().collect(),
        None => vec![&one["const"]],
    });
    words.chain(described).filter_map(Value::as_str).collect()
}

/// What a schema wants, in words that complete "expected …".
fn expected(root: &Value, schema: &Value) -> String {
    let choices = choices(schema);
    if !choices.is_empty() {
        return choices.iter().map(|choice| format!("{choice:?}")).collect::<Vec<_>>().join(" or ");
    }
    if let Some(kind) = schema["x-text"].as_str().and_then(Text::named) {
        return kind.expected().to_owned();
    }
    match (["object", "array", "string", "boolean", "integer"]).into_iter().find(|kind| is(schema, kind)) {
        Some("object") if schema["properties"].is_object() => {
            let names = schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name.as_str());
            format!("a table with {}", names.collect::<Vec<_>>().join(", "))
        }
        Some("object") => "a table".to_owned(),
        Some("array") => match schema["x-each"].as_str().and_then(Text::named) {
            Some(kind) => format!("a list, each {}", kind.expected()),
            None => format!("a list, each {}", expected(root, resolve(root, &schema["items"]))),
        },
        Some("string") => "a text".to_owned(),
        Some("boolean") => "true or false".to_owned(),
        Some("integer") => match (schema["minimum"].as_i64(), schema["maximum"].as_i64()) {
            (Some(least), Some(most)) => format!("a whole number from {least} to {most}"),
            (Some(least), None) => format!("a whole number from {least} on"),
            _ => "a whole number".to_owned(),
        },
        _ => "something else".to_owned(),
    }
}

fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(_) => "a text".to_owned(),
        DeValue::Integer(number) => format!("the number {}", number.as_str()),
        DeValue::Float(number) => format!("the number {}", number.as_str()),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Datetime(_) => "a date".to_owned(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

/// A text as a fault repeats it.
pub(crate) fn quoted(text: &str) -> String {
    format!("{:?}", text.chars().take(QUOTED_CHARS_MAX).collect::<String>())
}
