//! Whether a stored response suits a request: the right variant, enough of it, and fresh enough. Pure.

use http::HeaderMap;

use crate::{
    decide::Wanted,
    range::{Part, WantedRange},
    rfc9111::{
        control::RequestControl,
        reuse::{self, Reuse, StaleUse, Why},
    },
    searches::Searched,
    stored::StoredResponse,
};

/// What of a request counts for that.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sought<'a> {
    pub(crate) headers: &'a HeaderMap,
    pub(crate) control: &'a RequestControl,
    pub(crate) wanted: Wanted,
    pub(crate) range: &'a WantedRange,
    /// The query, where responses of the path are for more than one.
    pub(crate) searched: Option<&'a Searched>,
}

/// Whether a stored response suits a request, and if not, why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Suit {
    /// It does.
    Fresh,
    /// It does although it is not fresh.
    Stale(StaleUse),
    /// Another one of the URL may: with this digest of what selects it.
    OtherVariant(u128),
    /// It holds too little of the whole.
    TooLittle,
    /// It may, after the origin has been asked.
    Ask(Why),
}

impl Suit {
    /// Why it does not, as a short stable word, for headers and metrics; none if it does.
    pub(crate) fn reason(self) -> Option<&'static str> {
        match self {
            Self::Fresh | Self::Stale(_) => None,
            Self::OtherVariant(_) => Some("other-variant"),
            Self::TooLittle => Some("partial"),
            Self::Ask(why) => Some(why.as_str()),
        }
    }
}

impl Sought<'_> {
    /// Judges a stored response at `now`, in seconds since 1970.
    pub(crate) fn judge(&self, stored: &StoredResponse, now: u64) -> Suit {
        let Some(kept) = stored.origin() else { return Suit::Ask(Why::Stale) };
        if !kept.is_selected_by(self.headers, self.searched) {
            return Suit::OtherVariant(kept.other(self.headers, self.searched));
        }
        if kept.part.is_some() && self.place(stored).is_none() {
            return Suit::TooLittle;
        }
        match reuse::judge(&kept.terms, self.control, now) {
            Reuse::Fresh => Suit::Fresh,
            Reuse::Stale(how) => Suit::Stale(how),
            Reuse::Revalidate(why) => Suit::Ask(why),
        }
    }

    /// Where in a stored part the bytes are that the request wants; none if they are not in it.
    pub(crate) fn place(&self, stored: &StoredResponse) -> Option<std::ops::Range<usize>> {
        let held = stored.origin()?.part?;
        let whole = usize::try_from(held.whole).ok()?;
        match self.range.part(stored.etag(), whole) {
            Part::Bytes(wanted) if self.wanted == Wanted::Get => {
                held.place_of(&(wanted.start as u64..wanted.end as u64))
            }
            _ => None,
        }
    }

    /// Whether it may stand in for what the origin failed to give.
    pub(crate) fn may_stand_in(&self, stored: &StoredResponse, now: u64) -> bool {
        stored.origin().is_some_and(|kept| {
            kept.is_selected_by(self.headers, self.searched)
                && (kept.part.is_none() || self.place(stored).is_some())
                && reuse::may_stand_in(&kept.terms, self.control, now)
        })
    }
}
