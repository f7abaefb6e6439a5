//! What became of a read, and why: values with reasons, never booleans.

use std::fmt;

/// The outcome of a read as far as the cache is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A stored value, valid by the rule and within its time.
    Hit,
    /// A stored value that its policy allows although it is not fresh.
    Stale(StaleReason),
    /// The value was loaded.
    Miss(MissReason),
    /// The value was loaded, and the cache took no part or could not ask its store: nothing is known of what it holds.
    Bypass(BypassReason),
}

/// Why a value that is not fresh was served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StaleReason {
    /// Its time was over, within the policy's grace; a refresh runs.
    Grace,
    /// Its time was over and loading a new value failed.
    FailSafe,
    /// One of its tags was invalidated, and the policy is [`Mode::StaleOk`](crate::Mode::StaleOk).
    Invalidated,
    /// The node could not confirm its view of the log in time, and the policy is `StaleOk`.
    Unconfirmed,
}

/// Why there was nothing to serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissReason {
    /// There was no entry.
    Absent,
    /// The entry's time was over.
    Expired,
    /// One of its tags was invalidated after its base.
    Invalidated,
    /// Its base lay below the partition's floor, so its tags' clocks are no longer known.
    BelowFloor,
    /// It belonged to an earlier epoch.
    EpochChanged,
    /// The reader asked for a position that the entry's node has not reached.
    Behind,
    /// The node could not confirm its view of the log within the policy's bound.
    Unconfirmed,
    /// It was written by a build with another schema, or did not decode.
    Schema,
    /// The store held it sealed, and a key that opens it is not at hand: it was destroyed, it is not in this node's ring,
    /// or where keys are kept did not answer.
    NoKey,
    /// What the store held does not open: it was altered, it was sealed for another key, tenant or version, or it was
    /// not sealed.
    Unauthentic,
    /// It was right by the rule and within its time, and the reader refused it
    /// ([`Cache::fetch_accepting`](crate::Cache::fetch_accepting)).
    Unsuitable,
}

/// Why the cache took no part, or its store none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BypassReason {
    /// The policy has switched the cache off.
    Off,
    /// The key's text is longer than [`KEY_BYTES_MAX`](crate::key::KEY_BYTES_MAX).
    KeyTooLong,
    /// More readers than the limit wait for the running load.
    TooManyWaiters,
    /// The position that the reader needs could not be reached, because the store did not answer.
    OutOfReach,
    /// The store was not asked, because it failed too often.
    StoreOpen,
    /// The store was asked and failed.
    StoreFailed,
    /// The store did not answer within the time that a read waits for it.
    StoreSlow,
}

/// Why a loaded value was not kept. The caller has it all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotStored {
    /// A tag was invalidated, or the epoch ended, while the value was loaded.
    Overtaken,
    /// Facts of it were read before its load began ([`Loaded::read_since`](crate::Loaded::read_since)), and have changed
    /// since, or nobody knows since when.
    ReadBefore,
    /// The load recorded more tags than the limit.
    TooManyTags,
    /// The load read a fact of another tenant, whose clock is not in this partition; or it was given an entry of
    /// another tenant that was not loaded for it, and that other clocks have judged.
    ForeignTag,
    /// The load was given a value that was itself not fresh.
    FromStale,
    /// The loader said that its value must not be kept.
    Declined,
    /// The value is larger than the limit.
    TooLarge,
    /// There was no value, and the policy keeps no absences.
    AbsenceNotKept,
    /// Its time was over at once.
    NoLifetime,
    /// The policy has switched the cache off.
    Off,
    /// Kept in memory only: it is sensitive or about somebody, and there is no sealing
    /// ([`CacheBuilder::sealing`](crate::CacheBuilder::sealing)).
    Unsealed,
    /// Kept in memory only: it is about more subjects than the limit ([`SUBJECTS_MAX`](crate::SUBJECTS_MAX)).
    TooManySubjects,
    /// Kept in memory only: a key to seal it with was not at hand.
    NoKey,
}

impl NotStored {
    /// Whether the value can still be judged by the rule: its tags are all known, and so is its base.
    pub(crate) fn is_judgeable(self) -> bool {
        match self {
            Self::Overtaken
            | Self::TooLarge
            | Self::AbsenceNotKept
            | Self::NoLifetime
            | Self::Unsealed
            | Self::TooManySubjects
            | Self::NoKey
            | Self::Off => true,
            Self::ReadBefore | Self::TooManyTags | Self::ForeignTag | Self::FromStale | Self::Declined => false,
        }
    }
}

macro_rules! reasons {
    ($type:ident: $($variant:ident => $text:literal),* $(,)?) => {
        impl $type {
            /// The reason as a short stable word, for headers and metrics.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

reasons!(StaleReason: Grace => "grace", FailSafe => "fail-safe", Invalidated => "invalidated", Unconfirmed => "unconfirmed");
reasons!(MissReason: Absent => "absent", Expired => "expired", Invalidated => "invalidated", BelowFloor => "below-floor",
    EpochChanged => "epoch-changed", Behind => "behind", Unconfirmed => "unconfirmed", Schema => "schema",
    NoKey => "no-key", Unauthentic => "unauthentic", Unsuitable => "unsuitable");
reasons!(BypassReason: Off => "off", KeyTooLong => "key-too-long", TooManyWaiters => "too-many-waiters", OutOfReach => "out-of-reach",
    StoreOpen => "store-open", StoreFailed => "store-failed", StoreSlow => "store-slow");
reasons!(NotStored: Overtaken => "overtaken", ReadBefore => "read-before", TooManyTags => "too-many-tags", ForeignTag => "foreign-tag",
    FromStale => "from-stale", Declined => "declined", TooLarge => "too-large", AbsenceNotKept => "absence-not-kept",
    NoLifetime => "no-lifetime", Unsealed => "unsealed", TooManySubjects => "too-many-subjects", NoKey => "no-key", Off => "off");

impl Verdict {
    /// `HIT`, `STALE`, `MISS` or `BYPASS`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "HIT",
            Self::Stale(_) => "STALE",
            Self::Miss(_) => "MISS",
            Self::Bypass(_) => "BYPASS",
        }
    }

    /// The reason as a short stable word; none for a hit.
    pub fn reason(self) -> Option<&'static str> {
        match self {
            Self::Hit => None,
            Self::Stale(reason) => Some(reason.as_str()),
            Self::Miss(reason) => Some(reason.as_str()),
            Self::Bypass(reason) => Some(reason.as_str()),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason() {
            Some(reason) => write!(f, "{} ({reason})", self.as_str()),
            None => f.write_str(self.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_is_told_with_its_reason() {
        let verdicts = [
            Verdict::Hit,
            Verdict::Stale(StaleReason::FailSafe),
            Verdict::Miss(MissReason::BelowFloor),
            Verdict::Bypass(BypassReason::StoreOpen),
        ];
        assert_eq!(verdicts.map(Verdict::as_str), ["HIT", "STALE", "MISS", "BYPASS"]);
        let told = verdicts.map(|verdict| verdict.to_string());
        assert_eq!(told, ["HIT", "STALE (fail-safe)", "MISS (below-floor)", "BYPASS (store-open)"]);
        assert_eq!(NotStored::TooManyTags.to_string(), "too-many-tags");
    }

    #[test]
    fn what_was_not_kept_for_reasons_of_its_own_can_still_be_judged() {
        let judgeable = [
            NotStored::Overtaken,
            NotStored::TooLarge,
            NotStored::AbsenceNotKept,
            NotStored::NoLifetime,
            NotStored::Unsealed,
            NotStored::TooManySubjects,
            NotStored::NoKey,
            NotStored::Off,
        ];
        assert!(judgeable.into_iter().all(NotStored::is_judgeable));
        let not = [
            NotStored::ReadBefore,
            NotStored::TooManyTags,
            NotStored::ForeignTag,
            NotStored::FromStale,
            NotStored::Declined,
        ];
        assert!(!not.into_iter().any(NotStored::is_judgeable), "the rule does not know all that it depends on");
    }
}
