//! What the header and the values of a column say for an attribute, as numbers from 0 to 1.
//!
//! The weights were set by reason and checked against the labelled sets in `tests/data/mappings`.

use std::collections::HashSet;

use super::{
    clues::{Clues, Look},
    format::Meaning,
    profile::ColumnProfile,
    reason::HeaderMatch,
    value::ValueKind,
    vocabulary::weight,
};

/// A header that overlaps less says nothing.
const HEADER_MIN: f64 = 0.6;
/// A header that overlaps this much is the same but for fillers.
const HEADER_SAME: f64 = 0.95;
/// What a phrase loses against the one before it.
const RANK_COST: f64 = 0.02;
/// Fewer distinct values than this share, and the column names groups, not single assets.
const UNIQUE_SHARE_MIN: f64 = 0.3;
/// Fewer values tell nothing about repetition.
const UNIQUE_VALUES_MIN: u64 = 20;
/// What is left of the confidence if the values of an identifying attribute repeat.
const REPEATED_LEFT: f64 = 0.5;
/// Nothing that was guessed is certain.
const CONFIDENCE_MAX: f64 = 0.99;

/// How sure it is that the column means what `clues` describe, and what the header had to do with
/// it. `words` are those of the header, `meaning` what a known format says of it.
pub(super) fn confidence(
    words: &[String],
    meaning: Meaning,
    profile: &ColumnProfile,
    clues: &Clues,
) -> (f64, HeaderMatch) {
    let (header, similarity) = match meaning {
        Meaning::Target(target) if target == clues.target => (HeaderMatch::Format, 1.0),
        // A column of a known export means what the export says, or nothing.
        Meaning::Target(_) | Meaning::NoTarget => return (0.0, HeaderMatch::None),
        Meaning::NotOfFormat => header_match(words, clues),
    };
    let doubt = if clues.identifies() && repeats(profile) { REPEATED_LEFT } else { 1.0 };
    let confidence = weigh(similarity, clues.values, profile) * doubt;
    (confidence.min(CONFIDENCE_MAX), header)
}

/// The best overlap of the header with a phrase; earlier phrases are the better ones.
fn header_match(words: &[String], clues: &Clues) -> (HeaderMatch, f64) {
    let best = clues
        .phrases
        .iter()
        .zip(0_u8..)
        .map(|(phrase, rank)| {
            let similarity = overlap(words, &phrase.split(' ').collect::<Vec<_>>());
            similarity * (1.0 - RANK_COST * f64::from(rank))
        })
        .fold(0.0, f64::max);
    match best {
        s if s >= HEADER_SAME => (HeaderMatch::Same, s),
        s if s >= HEADER_MIN => (HeaderMatch::Similar, s),
        _ => (HeaderMatch::None, 0.0),
    }
}

/// Weighted Dice coefficient: 1 for the same words, 0 for none in common.
fn overlap(header: &[String], phrase: &[&str]) -> f64 {
    let header: HashSet<&str> = header.iter().map(String::as_str).collect();
    let phrase: HashSet<&str> = phrase.iter().copied().collect();
    let total = |words: &HashSet<&str>| {
        let mut weights: Vec<f64> = words.iter().map(|word| weight(word)).collect();
        weights.sort_by(f64::total_cmp); // One order of summing, so that results are the same bits.
        weights.iter().sum::<f64>()
    };
    let both: HashSet<&str> = header.intersection(&phrase).copied().collect();
    let shares_only_weak_words = both.iter().all(|word| weight(word) < 1.0);
    if shares_only_weak_words && header != phrase {
        return 0.0; // `node type` and `machine name` have no meaning in common.
    }
    let all = total(&header) + total(&phrase);
    if all == 0.0 { 0.0 } else { 2.0 * total(&both) / all }
}

/// Joins what the header and what the values say.
fn weigh(similarity: f64, look: Look, profile: &ColumnProfile) -> f64 {
    if profile.values == 0 {
        return similarity * 0.7; // Only one witness.
    }
    match look {
        Look::Must { kind, alone } => {
            let share = profile.share(kind);
            let agreed = similarity * (0.2 + 0.8 * share);
            agreed.max(joined(similarity, alone * share * share))
        }
        Look::Often { kind, alone } => {
            let share = profile.share(kind);
            let agreed = similarity * (0.85 + 0.15 * share) * (1.0 - 0.7 * foreign_share(profile, Some(kind)));
            agreed.max(joined(similarity, alone * share * share))
        }
        Look::Prose => similarity * 0.95 * (1.0 - 0.7 * foreign_share(profile, None)),
        Look::Any => similarity * 0.95,
    }
}

/// `true` if the values cannot tell one asset from another.
#[expect(clippy::cast_precision_loss, reason = "row counts are far below 2^52")]
fn repeats(profile: &ColumnProfile) -> bool {
    profile.values >= UNIQUE_VALUES_MIN && (profile.distinct as f64) < profile.values as f64 * UNIQUE_SHARE_MIN
}

/// Independent hints add up without exceeding certainty.
fn joined(similarity: f64, alone: f64) -> f64 {
    if alone == 0.0 { 0.0 } else { 1.0 - (1.0 - similarity * 0.9) * (1.0 - alone) }
}

/// The largest share of values that are plainly something else than text.
fn foreign_share(profile: &ColumnProfile, but: Option<ValueKind>) -> f64 {
    [ValueKind::Ip, ValueKind::Mac, ValueKind::Uuid, ValueKind::Date, ValueKind::Decimal]
        .into_iter()
        .filter(|&kind| Some(kind) != but)
        .map(|kind| profile.share(kind))
        .fold(0.0, f64::max)
}

/// The kind worth telling in the reason.
pub(super) fn telling_kind(look: Look, profile: &ColumnProfile) -> Option<ValueKind> {
    match look {
        Look::Must { kind: kind @ (ValueKind::Decimal | ValueKind::MemoryMb), .. }
            if profile.share(ValueKind::Integer) > 0.95 && profile.share(kind) > 0.95 =>
        {
            Some(ValueKind::Integer)
        }
        Look::Must { kind, .. } => Some(kind),
        Look::Often { kind, .. } if profile.share(kind) >= 0.5 => Some(kind),
        Look::Often { .. } | Look::Prose | Look::Any => None,
    }
}
