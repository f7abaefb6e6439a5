//! Suggests what each column means, with a confidence and the reason for it.
//!
//! Two witnesses are heard. The **header**: an exact table for known exports, else the overlap of
//! its canonical words with the phrases of each attribute. The **values**: whether they look as
//! the attribute demands. Agreement raises the confidence, conflict lowers it, and values that are
//! unmistakable (addresses, operating systems) may speak without a header.
//!
//! Each attribute goes to the one column that fits best, each column gets at most one; ties go to
//! the earlier column. The result depends on nothing but the arguments.

use std::collections::HashSet;

use super::{
    clues::{CLUES, Clues, Look},
    format::SourceFormat,
    profile::ColumnProfile,
    reader::Inspection,
    reason::{self, HeaderMatch, NoTarget},
    targets::{self, TargetAttribute},
    value::ValueKind,
    vocabulary::{weight, words},
};

/// Below this a suggestion would be wrong more often than it helps.
const CONFIDENCE_MIN: f64 = 0.5;
/// A header that overlaps less says nothing.
const HEADER_MIN: f64 = 0.6;
/// What a phrase loses against the one before it.
const RANK_COST: f64 = 0.02;
/// Fewer distinct values than this share, and the column names groups, not single assets.
const UNIQUE_SHARE_MIN: f64 = 0.3;
/// Fewer values tell nothing about repetition.
const UNIQUE_VALUES_MIN: u64 = 20;
/// Nothing that was guessed is certain.
const CONFIDENCE_MAX: f64 = 0.99;

/// What one column probably means.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Suggestion {
    /// Position of the column, from 0.
    pub(crate) position: usize,
    pub(crate) source_column: String,
    pub(crate) target: Option<&'static TargetAttribute>,
    /// 0 (no target) to 0.99.
    pub(crate) confidence: f64,
    pub(crate) reason: String,
    pub(crate) sample_values: Vec<String>,
}

/// One suggestion per column, in the order of the columns.
pub(crate) fn suggest(inspection: &Inspection) -> Vec<Suggestion> {
    let shape = &inspection.shape;
    let columns = || shape.headers.iter().zip(&inspection.profiles);
    let mut candidates: Vec<Candidate> = columns()
        .enumerate()
        .flat_map(|(position, (header, profile))| candidates(position, header, profile, shape.format))
        .collect();
    candidates.sort_by(|a, b| {
        b.confidence
            .total_cmp(&a.confidence)
            .then(a.position.cmp(&b.position))
            .then(a.order.cmp(&b.order))
    });

    let mut chosen: Vec<Option<&Candidate>> = vec![None; shape.headers.len()];
    let mut taken = HashSet::new();
    for candidate in &candidates {
        if chosen[candidate.position].is_none() && taken.insert(candidate.order) {
            chosen[candidate.position] = Some(candidate);
        }
    }

    columns()
        .enumerate()
        .map(|(position, (header, profile))| {
            let (target, confidence, reason) = match chosen[position] {
                Some(candidate) => candidate.explained(header, profile, shape.format),
                None => {
                    let best = candidates.iter().find(|candidate| candidate.position == position);
                    (None, 0.0, unmatched(best, header, profile, shape.format, &chosen, &shape.headers))
                }
            };
            Suggestion {
                position,
                source_column: header.clone(),
                target,
                confidence,
                reason,
                sample_values: profile.samples.clone(),
            }
        })
        .collect()
}

/// A column and an attribute it could be.
#[derive(Debug, Clone)]
struct Candidate {
    position: usize,
    /// Place of the attribute in the catalogue.
    order: usize,
    confidence: f64,
    header: HeaderMatch,
}

impl Candidate {
    fn explained(
        &self,
        header: &str,
        profile: &ColumnProfile,
        format: SourceFormat,
    ) -> (Option<&'static TargetAttribute>, f64, String) {
        let target = &targets::all()[self.order];
        let kind = shown_kind(CLUES[self.order].values, profile);
        let reason = reason::matched(header, target, self.header, format, kind, profile);
        let confidence = (self.confidence * 100.0).round() / 100.0;
        (Some(target), confidence, reason)
    }
}

fn unmatched(
    best: Option<&Candidate>,
    header: &str,
    profile: &ColumnProfile,
    format: SourceFormat,
    chosen: &[Option<&Candidate>],
    headers: &[String],
) -> String {
    let why = match best {
        _ if format.target_of(header) == Some(None) => NoTarget::KnownWithout(format),
        Some(best) => {
            let winner = chosen
                .iter()
                .position(|winner| winner.is_some_and(|winner| winner.order == best.order))
                .expect("a candidate loses only to a column that was given its target");
            NoTarget::Taken {
                target: &targets::all()[best.order],
                by: &headers[winner],
            }
        }
        None if profile.values == 0 => NoTarget::Empty,
        None => NoTarget::Unknown,
    };
    reason::unmatched(header, &why)
}

fn candidates(position: usize, header: &str, profile: &ColumnProfile, format: SourceFormat) -> Vec<Candidate> {
    let known = format.target_of(header);
    let words = words(header);
    CLUES
        .iter()
        .enumerate()
        .filter_map(|(order, clues)| {
            let (header, similarity) = match known {
                Some(target) if target == Some(clues.target) => (HeaderMatch::Format, 1.0),
                Some(_) => return None, // A known column means this or nothing.
                None => header_match(&words, clues),
            };
            let doubt = if clues.identifies() && repeats(profile) { 0.5 } else { 1.0 };
            let confidence = (weigh(similarity, clues.values, profile) * doubt).min(CONFIDENCE_MAX);
            (confidence >= CONFIDENCE_MIN).then_some(Candidate {
                position,
                order,
                confidence,
                header,
            })
        })
        .collect()
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
        s if s >= 0.95 => (HeaderMatch::Same, s),
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
fn shown_kind(look: Look, profile: &ColumnProfile) -> Option<ValueKind> {
    match look {
        Look::Must { kind: ValueKind::Decimal, .. } if profile.share(ValueKind::Integer) > 0.95 => Some(ValueKind::Integer),
        Look::Must { kind, .. } => Some(kind),
        Look::Often { kind, .. } if profile.share(kind) >= 0.5 => Some(kind),
        Look::Often { .. } | Look::Prose | Look::Any => None,
    }
}

#[cfg(test)]
#[path = "suggest_tests.rs"]
mod tests;
