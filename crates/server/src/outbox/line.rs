//! Tags as they stand in a row: a line each, readable by people and written by triggers too.
//!
//! A line is the tag's text ([`Tag::to_text`]) with `\` and line breaks escaped; `\u` and 32 digits are a UUID that is kept as
//! bytes. Before the line may stand `~`: its id is what people call something, and is compared as people do, without
//! regard to case ([`comparable`]). Databases differ in what they hold for the lower case of a letter, so triggers write
//! the id as it is, and it is made comparable here.

use std::fmt::Write as _;

use unstale::{InvalidTag, Tag};

/// Begins a line whose id is to be made comparable.
pub(super) const COMPARABLE: char = '~';

/// What people call something, as it is compared: trimmed, in lower case.
pub fn comparable(named: &str) -> String {
    named.trim().to_lowercase()
}

/// Writes tags.
pub(super) fn write<'a>(tags: impl IntoIterator<Item = &'a Tag>) -> String {
    let mut text = String::new();
    for tag in tags {
        if !text.is_empty() {
            text.push('\n');
        }
        for letter in tag.to_text().chars() {
            match letter {
                '\\' => text.push_str("\\\\"),
                '\n' => text.push_str("\\n"),
                other => text.push(other),
            }
        }
    }
    text
}

/// Reads tags.
pub(super) fn read(text: &str) -> Result<Vec<Tag>, InvalidTag> {
    text.split('\n').filter(|line| !line.is_empty()).map(read_one).collect()
}

fn read_one(line: &str) -> Result<Tag, InvalidTag> {
    match line.strip_prefix(COMPARABLE) {
        None => Tag::parse(&unescaped(line)),
        Some(line) => {
            let line = unescaped(line);
            let id = line.match_indices('/').nth(1).map_or(line.len(), |(at, _)| at + 1);
            let mut text = line[..id].to_owned();
            write!(text, "{}", comparable(&line[id..])).expect("writing to a String cannot fail");
            Tag::parse(&text)
        }
    }
}

fn unescaped(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                Some('n') => text.push('\n'),
                Some('u') => hyphenate(&mut text, letters.by_ref().take(UUID_DIGITS)),
                Some(other) => text.push(other),
                None => text.push('\\'),
            },
            other => text.push(other),
        }
    }
    text
}

/// Digits of a UUID.
const UUID_DIGITS: usize = 32;

fn hyphenate(text: &mut String, digits: impl Iterator<Item = char>) {
    for (at, digit) in digits.enumerate() {
        if matches!(at, 8 | 12 | 16 | 20) {
            text.push('-');
        }
        text.push(digit.to_ascii_lowercase());
    }
}

#[cfg(test)]
mod tests {
    use unstale::Tenant;

    use super::*;

    #[test]
    fn what_is_written_is_read_back_whatever_it_holds() {
        let acme = Tenant::new("acme").unwrap();
        let tags = ["7", "", "a\nb", "\\n", "\\", "~x", "ä/ö\r\n\\\\n"].map(|id| Tag::of(&acme, "flow", id));
        assert_eq!(read(&write(&tags)).unwrap(), tags);
        assert_eq!(read(&write(&[])).unwrap(), []);
        assert_eq!(write(&tags).lines().count(), tags.len());
    }

    #[test]
    fn what_people_call_something_is_compared_as_people_do() {
        assert_eq!(read("~*/pending_for/ ÄCME\\nWerke ").unwrap(), [Tag::shared("pending_for", "äcme\nwerke")]);
        assert_eq!(read("*/pending_for/ÄCME").unwrap(), [Tag::shared("pending_for", "ÄCME")]);
        assert_eq!(read("~acme/named/A/B").unwrap(), [Tag::of(&Tenant::new("acme").unwrap(), "named", "a/b")]);
    }

    #[test]
    fn bytes_of_a_uuid_are_read_as_its_text() {
        let acme = Tenant::new("0190a1b2-1111-7000-8000-00000000000a").unwrap();
        let line = "\\u0190A1B211117000800000000000000A/flow/\\u0190A1B2111170008000000000000FFF";
        assert_eq!(read(line).unwrap(), [Tag::of(&acme, "flow", "0190a1b2-1111-7000-8000-000000000fff")]);
    }

    #[test]
    fn what_is_no_tag_is_said_to_be_none() {
        for text in ["nonsense", "~", "~*", "*/flow/1\nx"] {
            assert!(read(text).is_err(), "{text:?}");
        }
    }
}
