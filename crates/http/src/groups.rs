//! `Cache-Groups` (RFC 9875): the tags of a response in their opaque form, so that a client knows which of its copies
//! an event concerns.

use http::HeaderValue;
use unstale::{GroupKey, TagId, Tenant};

/// The value for a response with these tags; none without tags. Of more than `groups_max` the first count.
pub(crate) fn cache_groups(key: &GroupKey, tenant: &Tenant, tags: &[TagId], groups_max: usize) -> Option<HeaderValue> {
    let groups: Vec<String> =
        tags.iter().take(groups_max).map(|tag| format!("\"{}\"", key.group(tenant, *tag))).collect();
    let text = groups.join(", ");
    (!text.is_empty()).then(|| HeaderValue::try_from(text).expect("hexadecimal digits make a header"))
}

#[cfg(test)]
mod tests {
    use unstale::Tag;

    use super::*;

    #[test]
    fn is_a_list_of_strings_and_bounded() {
        let (key, acme) = (GroupKey::derive(b"secret"), Tenant::new("acme").unwrap());
        let tags: Vec<TagId> = (0..3).map(|row| Tag::of(&acme, "row", row).id()).collect();
        assert_eq!(cache_groups(&key, &acme, &[], 64), None);
        let two = cache_groups(&key, &acme, &tags, 2).unwrap();
        let expected = format!("\"{}\", \"{}\"", key.group(&acme, tags[0]), key.group(&acme, tags[1]));
        assert_eq!(two, expected);
    }
}
