//! How an origin is asked: anew, whether what is stored is still good (RFC 9110, 13), or for the rest of it (RFC 9110, 14).

use http::{HeaderMap, header};
use unstale::Cached;

use super::seeker::Seeker;
use crate::{
    decide::Wanted,
    rfc9111::{partial::Held, validation::Validators},
    stored::StoredResponse,
};

/// How a load has asked.
pub(super) enum Asking {
    Anew,
    /// Whether what is stored is still good.
    Validating(Cached<StoredResponse>),
    /// For the rest of the whole.
    Completing(Cached<StoredResponse>, Held),
}

/// Makes the request ask what is to be known, in place of what the client asked of its own copy.
pub(super) fn asking(seeker: &Seeker, request: &mut HeaderMap, old: Option<Cached<StoredResponse>>) -> Asking {
    let Some(old) = old else { return Asking::Anew };
    let Some(kept) = old.origin() else { return Asking::Anew };
    let mut validators = validators(&old);
    if old.is_outdated() {
        // A date is too coarse to tell what was written within its second (RFC 9110, 8.8.2.2), and a weak tag says that
        // it is as good: of what a write has declared wrong, only the very same bytes are still right.
        validators = Validators { etag: validators.strong().cloned(), last_modified: None };
    }
    match kept.part {
        None if validators.is_any() && seeker.asked.wanted == Some(Wanted::Get) => {
            validators.ask(request);
            Asking::Validating(old)
        }
        Some(held) if seeker.asked.wanted == Some(Wanted::Get) && !seeker.asked.range.is_any() => {
            match (validators.strong(), held.missing()) {
                (Some(etag), Some(range)) => {
                    request.insert(header::RANGE, range);
                    request.insert(header::IF_RANGE, etag.clone());
                    Asking::Completing(old.clone(), held)
                }
                _ => Asking::Anew,
            }
        }
        _ => Asking::Anew,
    }
}

/// By what the origin can tell a stored response again.
pub(super) fn validators(stored: &StoredResponse) -> Validators {
    Validators {
        etag: stored.header(&header::ETAG).cloned(),
        last_modified: stored.header(&header::LAST_MODIFIED).cloned(),
    }
}
