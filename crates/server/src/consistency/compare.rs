//! Where two documents differ. *Decides*.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::Value;

/// Places that are told.
const PLACES_MAX: usize = 20;

/// Loads what was given once more, past the cache, and says where the truth differs; an error if it cannot be loaded.
pub type Truth = Arc<dyn Fn() -> BoxFuture<'static, Result<Vec<String>, String>> + Send + Sync>;

/// Where two documents differ, as JSON pointers, 20 at most; nothing if they do not. Members called as in `timeless`, at
/// any depth, are not compared: they move without an invalidation.
pub fn differences(served: &Value, truth: &Value, timeless: &[&str]) -> Vec<String> {
    let mut places = Vec::new();
    compare(served, truth, timeless, &mut String::new(), &mut places);
    places
}

fn compare(served: &Value, truth: &Value, timeless: &[&str], at: &mut String, places: &mut Vec<String>) {
    if places.len() == PLACES_MAX {
        return;
    }
    match (served, truth) {
        (Value::Object(one), Value::Object(other)) => {
            let names = one.keys().chain(other.keys().filter(|name| !one.contains_key(*name)));
            for name in names.filter(|name| !timeless.contains(&name.as_str())) {
                let (one, other) = (one.get(name).unwrap_or(&Value::Null), other.get(name).unwrap_or(&Value::Null));
                below(at, name, |at| compare(one, other, timeless, at, places));
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (place, (one, other)) in one.iter().zip(other).enumerate() {
                below(at, &place.to_string(), |at| compare(one, other, timeless, at, places));
            }
        }
        _ if served != truth => places.push(if at.is_empty() { "/".to_owned() } else { at.clone() }),
        _ => {}
    }
}

fn below(at: &mut String, name: &str, compare: impl FnOnce(&mut String)) {
    let length = at.len();
    at.push('/');
    at.push_str(name);
    compare(at);
    at.truncate(length);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "as they are written")]
    fn check(served: Value, truth: Value, expected: &[&str]) {
        assert_eq!(differences(&served, &truth, &["last_seen_at"]), expected);
    }

    #[test]
    fn places_are_told_and_values_are_not() {
        check(json!({ "a": [1, { "b": 2 }] }), json!({ "a": [1, { "b": 2 }] }), &[]);
        check(
            json!({ "a": [1, { "b": 2 }], "c": 1 }),
            json!({ "a": [1, { "b": 3 }], "d": 1 }),
            &["/a/1/b", "/c", "/d"],
        );
        check(json!({ "a": [1] }), json!({ "a": [1, 2] }), &["/a"]);
        check(json!(1), Value::Null, &["/"]);
    }

    #[test]
    fn what_moves_without_an_invalidation_is_not_compared() {
        check(json!([{ "last_seen_at": 1, "name": "a" }]), json!([{ "last_seen_at": 2, "name": "a" }]), &[]);
    }

    #[test]
    fn few_of_many_places_are_told() {
        let list = |value: u32| (0..100).map(|_| value).collect::<Vec<_>>();
        assert_eq!(differences(&json!(list(1)), &json!(list(2)), &[]).len(), PLACES_MAX);
    }
}
