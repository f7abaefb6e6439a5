//! Encoded forms beside stored responses: made at the first use, bounded in bytes, gone with the response.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use bytes::Bytes;

/// In a request's extensions: who asks takes the encoded form, and whoever has a place to keep it may say so.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TakesEncoded;

/// A place beside a stored response for its encoded form; in the extensions of responses made of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct EncodedForm(Arc<OnceLock<Held>>);

#[derive(Debug)]
struct Held {
    /// None, if encoding makes it no shorter.
    bytes: Option<Bytes>,
    _place: Option<Place>,
}

/// What is known of an encoded form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known<'a> {
    Nothing,
    /// Encoding makes it no shorter.
    NoShorter,
    Form(&'a Bytes),
}

impl EncodedForm {
    pub(super) fn known(&self) -> Known<'_> {
        match self.0.get().map(|held| held.bytes.as_ref()) {
            None => Known::Nothing,
            Some(None) => Known::NoShorter,
            Some(Some(bytes)) => Known::Form(bytes),
        }
    }

    /// Keeps it, if there is room; who came first stays.
    pub(super) fn keep(&self, bytes: Option<&Bytes>, room: &Arc<Room>) {
        let place = match bytes {
            None => None,
            Some(bytes) => match Place::take(room, bytes.len()) {
                None => return,
                place => place,
            },
        };
        // If it is there already, the place is given back.
        let _ = self.0.set(Held { bytes: bytes.cloned(), _place: place });
    }
}

/// The bytes that encoded forms may take in all.
#[derive(Debug)]
pub(super) struct Room {
    free: AtomicUsize,
}

impl Room {
    pub(super) fn new(bytes: usize) -> Self {
        Self { free: AtomicUsize::new(bytes) }
    }
}

#[derive(Debug)]
struct Place {
    room: Arc<Room>,
    bytes: usize,
}

impl Place {
    fn take(room: &Arc<Room>, bytes: usize) -> Option<Self> {
        room.free.fetch_update(Relaxed, Relaxed, |free| free.checked_sub(bytes)).ok()?;
        Some(Self { room: room.clone(), bytes })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.room.free.fetch_add(self.bytes, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_take_no_more_room_than_there_is_and_give_it_back() {
        let room = Arc::new(Room::new(10));
        let (first, second) = (EncodedForm::default(), EncodedForm::default());
        let six = Bytes::from_static(b"123456");
        first.keep(Some(&six), &room);
        second.keep(Some(&six), &room);
        assert_eq!((first.known(), second.known()), (Known::Form(&six), Known::Nothing));
        // Kept once only.
        first.keep(Some(&Bytes::from_static(b"1234")), &room);
        assert_eq!(room.free.load(Relaxed), 4);
        drop(first);
        second.keep(Some(&six), &room);
        assert_eq!((second.known(), room.free.load(Relaxed)), (Known::Form(&six), 4));
    }

    #[test]
    fn that_there_is_none_is_known_and_takes_no_room() {
        let (room, form) = (Arc::new(Room::new(0)), EncodedForm::default());
        form.keep(None, &room);
        assert_eq!(form.known(), Known::NoShorter);
    }
}
