//! Fields of heads that are read without a library's help: those of the plainest exchanges, with clients
//! ([`listen`](super::listen)) and with servers ([`upstream`](super::upstream)).
//!
//! *Decides*, does no IO.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

/// Where the name of a field begins and ends in its head, and its value.
pub(crate) type Place = [u16; 4];

/// Where these fields are in the head that they were read from, which is shorter than 64 KiB.
pub(crate) fn places<'a>(
    head: &[u8],
    fields: &'a [httparse::Header<'a>],
) -> impl ExactSizeIterator<Item = Place> + use<'a> {
    let begin = head.as_ptr().addr();
    let small = |place: usize| u16::try_from(place).expect("the head is short");
    fields.iter().map(move |field| {
        let [name, value] = [field.name.as_bytes(), field.value].map(|part| part.as_ptr().addr() - begin);
        [name, name + field.name.len(), value, value + field.value.len()].map(small)
    })
}

/// Puts the fields of a head that was read into a map; whether all of them could be.
pub(crate) fn fill(mut places: impl ExactSizeIterator<Item = Place>, head: &Bytes, headers: &mut HeaderMap) -> bool {
    headers.reserve(places.len());
    places.all(|place| {
        let [name, name_end, value, value_end] = place.map(usize::from);
        let name = HeaderName::from_bytes(&head[name..name_end]);
        let value = HeaderValue::from_maybe_shared(head.slice(value..value_end));
        let (Ok(name), Ok(value)) = (name, value) else { return false };
        headers.append(name, value);
        true
    })
}
