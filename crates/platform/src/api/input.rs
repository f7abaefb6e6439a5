//! Judging what callers write: all faults of a request at once, each with its field. Pure.

use chrono::NaiveDate;
use unstale_server::problem::{FieldError, Problem};

use crate::views::Role;

/// Longest name, in characters.
pub const NAME_CHARS_MAX: usize = 120;
/// Longest description or reason, in characters.
pub const TEXT_CHARS_MAX: usize = 4000;
/// Longest e-mail address, in bytes (RFC 5321).
pub const EMAIL_BYTES_MAX: usize = 254;

/// The faults found so far.
#[derive(Debug, Default)]
pub struct Faults(Vec<FieldError>);

impl Faults {
    /// Notes a fault.
    pub fn add(&mut self, field: &str, message: impl Into<String>) {
        self.0.push(FieldError::new(field, message));
    }

    /// Notes a fault unless `is_good`.
    pub fn unless(&mut self, is_good: bool, field: &str, message: &str) {
        if !is_good {
            self.add(field, message);
        }
    }

    /// A name: trimmed, not empty, one line.
    pub fn name(&mut self, field: &str, text: &str) -> String {
        let text = text.trim();
        if text.is_empty() {
            self.add(field, "must not be empty");
        } else if text.chars().count() > NAME_CHARS_MAX {
            self.add(field, format!("must not be longer than {NAME_CHARS_MAX} characters"));
        } else if text.chars().any(char::is_control) {
            self.add(field, "must be one line without control characters");
        }
        text.to_owned()
    }

    /// A short text that may be left out; an empty one is none.
    pub fn optional_name(&mut self, field: &str, text: Option<&str>) -> Option<String> {
        let text = text.map(str::trim).filter(|text| !text.is_empty())?;
        Some(self.name(field, text))
    }

    /// A long text that may be left out; an empty one is none.
    pub fn optional_text(&mut self, field: &str, text: Option<&str>) -> Option<String> {
        let text = text.map(str::trim).filter(|text| !text.is_empty())?;
        if text.chars().count() > TEXT_CHARS_MAX {
            self.add(field, format!("must not be longer than {TEXT_CHARS_MAX} characters"));
        }
        let is_bad = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
        self.unless(!text.chars().any(is_bad), field, "must not hold control characters");
        Some(text.to_owned())
    }

    /// An e-mail address, in lower case.
    pub fn email(&mut self, field: &str, text: &str) -> String {
        let text = normal_email(text);
        let is_good = text.len() <= EMAIL_BYTES_MAX
            && !text.chars().any(|c| c.is_whitespace() || c.is_control())
            && text.split_once('@').is_some_and(|(local, domain)| {
                !local.is_empty() && !domain.contains('@') && domain.split('.').all(|label| !label.is_empty())
            });
        self.unless(is_good, field, "must be an e-mail address, such as name@example.com");
        text
    }

    /// A role within a client.
    pub fn client_role(&mut self, field: &str, role: Role) -> Role {
        self.unless(role != Role::PlatformAdmin, field, "must be client_admin or analyst");
        role
    }

    /// The days of an engagement.
    pub fn days(&mut self, starts_on: Option<NaiveDate>, ends_on: Option<NaiveDate>) {
        let is_good = starts_on.zip(ends_on).is_none_or(|(starts_on, ends_on)| starts_on <= ends_on);
        self.unless(is_good, "ends_on", "must not be before starts_on");
    }

    /// Refuses the request if there are faults.
    pub fn finish(self) -> Result<(), Problem> {
        if self.0.is_empty() { Ok(()) } else { Err(Problem::unprocessable(self.0)) }
    }
}

/// An address as it is compared.
pub fn normal_email(text: &str) -> String {
    text.trim().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults_of(judge: impl FnOnce(&mut Faults)) -> Vec<String> {
        let mut faults = Faults::default();
        judge(&mut faults);
        faults.0.into_iter().map(|fault| fault.field).collect()
    }

    #[test]
    fn all_faults_are_told_at_once() {
        let faults = faults_of(|faults| {
            faults.name("name", " \t");
            faults.name("long", &"x".repeat(NAME_CHARS_MAX + 1));
            faults.name("lines", "a\nb");
            faults.optional_text("text", Some("bell\u{7}"));
            faults.email("email", "nobody");
            faults.client_role("role", Role::PlatformAdmin);
        });
        assert_eq!(faults, ["name", "long", "lines", "text", "email", "role"]);
    }

    #[test]
    fn good_input_comes_back_tidy() {
        let mut faults = Faults::default();
        assert_eq!(faults.name("name", " Zürich "), "Zürich");
        assert_eq!(faults.optional_name("name", Some("  ")), None);
        assert_eq!(faults.optional_text("text", Some("two\nlines ")).as_deref(), Some("two\nlines"));
        assert_eq!(faults.email("email", " Ada@Example.COM "), "ada@example.com");
        faults.days(NaiveDate::from_ymd_opt(2026, 1, 1), NaiveDate::from_ymd_opt(2026, 1, 1));
        faults.days(None, NaiveDate::from_ymd_opt(2026, 1, 1));
        faults.finish().unwrap();
    }

    #[test]
    fn addresses_are_judged_by_their_shape() {
        for bad in ["", "@a", "a@", "a@b@c", "a@b..c", "a b@c.de"] {
            assert_eq!(faults_of(|faults| _ = faults.email("email", bad)), ["email"], "{bad:?} was accepted");
        }
    }

    #[test]
    fn days_are_in_order() {
        let day = |day| NaiveDate::from_ymd_opt(2026, 1, day);
        assert_eq!(faults_of(|faults| faults.days(day(2), day(1))), ["ends_on"]);
    }
}
