//! Cache directives for some caches only: `CDN-Cache-Control` and others like it (RFC 9213), and the older
//! `Surrogate-Control` (W3C Edge Architecture).
//!
//! A field that this cache reads takes the place of `Cache-Control` and `Expires` altogether (RFC 9213, 2.2). One that
//! is empty or no structured dictionary counts as not there.

use http::{HeaderMap, HeaderName};
use sfv::{BareItem, Dictionary, ListEntry, Parser};

use super::control::{Argument, ResponseControl};

/// For all caches of a content delivery network, and for gateways.
pub const CDN_CACHE_CONTROL: HeaderName = HeaderName::from_static("cdn-cache-control");
/// For surrogates: reverse proxies that act for the origin.
pub const SURROGATE_CONTROL: HeaderName = HeaderName::from_static("surrogate-control");
/// In a request to the origin: the sender reads `Surrogate-Control`.
pub const SURROGATE_CAPABILITY: HeaderName = HeaderName::from_static("surrogate-capability");

/// By this name a `Surrogate-Control` addresses this cache alone.
pub const SURROGATE_NAME: &str = "unstale";

/// What the origin said to this cache: in the first of the `targeted` fields that says something, else in
/// `Cache-Control`. Also whether it was a targeted one.
pub fn control(headers: &HeaderMap, targeted: &[HeaderName]) -> (ResponseControl, bool) {
    let said = targeted.iter().find_map(|name| match name {
        name if *name == SURROGATE_CONTROL => surrogate(headers),
        name => structured(headers, name),
    });
    match said {
        Some(control) => (control, true),
        None => (ResponseControl::of(headers), false),
    }
}

fn structured(headers: &HeaderMap, name: &HeaderName) -> Option<ResponseControl> {
    let lines: Option<Vec<&str>> = headers.get_all(name).iter().map(|line| line.to_str().ok()).collect();
    let text = lines?.join(",");
    let members: Dictionary = Parser::new(&text).parse().ok().filter(|members: &Dictionary| !members.is_empty())?;
    let mut control = ResponseControl::default();
    for (name, entry) in &members {
        // What is of a type that no directive has is said all the same, and what it says cannot be read: so the whole
        // response is private, and no time is left.
        let argument = match entry {
            ListEntry::Item(item) => match &item.bare_item {
                BareItem::Boolean(true) => None,
                // Said to be not so.
                BareItem::Boolean(false) => continue,
                BareItem::Integer(number) => Some(Argument::number(i64::from(*number))),
                BareItem::String(text) => Some(Argument::Quoted(text.as_str().into())),
                BareItem::Token(text) => Some(Argument::Token(text.as_str())),
                _ => Some(Argument::Invalid),
            },
            ListEntry::InnerList(_) => Some(Argument::Invalid),
        };
        control.set(name.as_str(), argument.as_ref());
    }
    Some(control)
}

/// `max-age=60;target, no-store`: without a target for every surrogate, else for the one named.
fn surrogate(headers: &HeaderMap) -> Option<ResponseControl> {
    let mut control = None;
    for line in headers.get_all(SURROGATE_CONTROL) {
        for member in line.to_str().ok()?.split(',') {
            let (directive, target) = member.split_once(';').map_or((member, None), |(one, other)| (one, Some(other)));
            if target.is_none_or(|target| target.trim() == SURROGATE_NAME) {
                control.get_or_insert_with(ResponseControl::default).read(directive.trim());
            }
        }
    }
    control
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rfc9111::{SECONDS_MAX, testing::headers};

    fn read(lines: &[(&str, &str)]) -> (ResponseControl, bool) {
        control(&headers(lines), &[CDN_CACHE_CONTROL, SURROGATE_CONTROL])
    }

    fn check(lines: &[(&str, &str)], max_age: Option<u64>, is_targeted: bool) {
        let (control, targeted) = read(lines);
        assert_eq!((control.max_age, targeted), (max_age, is_targeted), "{lines:?}");
    }

    #[test]
    fn a_targeted_field_takes_the_place_of_cache_control() {
        let general = ("cache-control", "max-age=1, no-store");
        check(&[general, ("cdn-cache-control", "max-age=60")], Some(60), true);
        check(&[general, ("cdn-cache-control", "max-age=60;x=1, foo=(1 2)")], Some(60), true);
        assert!(!read(&[general, ("cdn-cache-control", "max-age=60")]).0.no_store);
        assert!(read(&[("cdn-cache-control", "no-store")]).0.no_store);
        assert!(!read(&[("cdn-cache-control", "no-store=?0, max-age=60")]).0.no_store);
        for private in ["private=\"a\"", "private=a"] {
            assert!(read(&[("cdn-cache-control", private)]).0.unkept_fields(true).count() == 1, "{private}");
        }
    }

    #[test]
    fn a_field_that_is_empty_or_malformed_is_not_there() {
        let general = ("cache-control", "max-age=1");
        for spoiled in ["", "max-age=", "max-age=60,", "Max-Age=60", "max-age=60 no-store", "\u{e9}", "&"] {
            check(&[general, ("cdn-cache-control", spoiled)], Some(1), false);
        }
        check(&[general, ("cdn-cache-control", "max-age=60"), ("cdn-cache-control", "&")], Some(1), false);
    }

    #[test]
    fn a_number_of_the_wrong_kind_is_no_life() {
        for wrong in ["max-age=1.5", "max-age=-5", "max-age", "max-age=(60)", "max-age=(60 60);x", "max-age=@60"] {
            check(&[("cdn-cache-control", wrong)], Some(0), true);
        }
        check(&[("cdn-cache-control", "max-age=999999999999999")], Some(SECONDS_MAX), true);
    }

    /// The field is a dictionary, so it counts (RFC 9213, 2.1). What the value means is not known: so the directive says the
    /// most that it can.
    #[test]
    fn a_directive_whose_value_is_of_another_type_is_said_all_the_same() {
        for value in ["(\"a\")", "(\"a\" b);x=1", "()", "1", "1.5", ":YQ==:", "@1", "%\"a\""] {
            let said = |name: &str| read(&[("cdn-cache-control", &format!("{name}={value}, max-age=60"))]).0;
            assert!(said("private").is_private(), "private={value}");
            assert!(said("no-cache").is_no_cache(), "no-cache={value}");
            assert!(said("no-store").no_store && said("must-revalidate").must_revalidate, "{value}");
            assert_eq!(said("private").max_age, Some(60));
        }
    }

    #[test]
    fn surrogate_control_may_name_whom_it_concerns() {
        check(&[("cache-control", "max-age=1"), ("surrogate-control", "foobar, MaX-aGe=60")], Some(60), true);
        check(&[("surrogate-control", "max-age=60;unstale")], Some(60), true);
        check(&[("cache-control", "max-age=1"), ("surrogate-control", "max-age=60;other")], Some(1), false);
        check(&[("surrogate-control", "max-age=60;unstale, max-age=5")], Some(60), true);
        assert!(read(&[("surrogate-control", "no-store")]).0.no_store);
        assert_eq!(control(&headers(&[("surrogate-control", "no-store")]), &[]).0, ResponseControl::default());
    }
}
