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
    clues::CLUES,
    evidence::{confidence, telling_kind},
    format::{Meaning, SourceFormat},
    profile::ColumnProfile,
    reader::Inspection,
    reason::{self, HeaderMatch, NoTarget},
    targets::{self, TargetAttribute},
    vocabulary::words,
};

/// Below this a suggestion would be wrong more often than it helps.
const CONFIDENCE_MIN: f64 = 0.5;

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
    let columns: Vec<Column<'_>> = inspection
        .shape
        .headers
        .iter()
        .zip(&inspection.profiles)
        .enumerate()
        .map(|(position, (header, profile))| Column { position, header, profile, format: inspection.shape.format })
        .collect();
    let candidates = ranked(&columns);
    let chosen = assigned(&candidates, columns.len());
    columns
        .iter()
        .map(|column| match chosen[column.position] {
            Some(candidate) => column.matched(candidate),
            None => column.unmatched(&column.why_unmatched(&candidates, &chosen, &columns)),
        })
        .collect()
}

#[derive(Debug, Clone, Copy)]
struct Column<'a> {
    position: usize,
    header: &'a str,
    profile: &'a ColumnProfile,
    format: SourceFormat,
}

/// A column and an attribute it could be.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    position: usize,
    /// Place of the attribute in the catalogue.
    target: usize,
    confidence: f64,
    header: HeaderMatch,
}

/// All candidates worth considering, the surest first.
fn ranked(columns: &[Column<'_>]) -> Vec<Candidate> {
    let mut candidates: Vec<Candidate> = columns.iter().flat_map(Column::candidates).collect();
    candidates.sort_by(|a, b| {
        let surest = b.confidence.total_cmp(&a.confidence);
        surest.then(a.position.cmp(&b.position)).then(a.target.cmp(&b.target))
    });
    candidates
}

/// Per column the candidate that got it. Going from the surest down gives every attribute to the
/// column that fits it best, and the columns left over their next best.
fn assigned(candidates: &[Candidate], columns: usize) -> Vec<Option<&Candidate>> {
    let mut chosen = vec![None; columns];
    let mut taken = HashSet::new();
    for candidate in candidates {
        let column = &mut chosen[candidate.position];
        if column.is_none() && taken.insert(candidate.target) {
            *column = Some(candidate);
        }
    }
    chosen
}

impl Column<'_> {
    fn candidates(&self) -> Vec<Candidate> {
        let words = words(self.header);
        let meaning = self.format.meaning_of(self.header);
        CLUES
            .iter()
            .enumerate()
            .filter_map(|(target, clues)| {
                let (confidence, header) = confidence(&words, meaning, self.profile, clues);
                let candidate = Candidate { position: self.position, target, confidence, header };
                (confidence >= CONFIDENCE_MIN).then_some(candidate)
            })
            .collect()
    }

    fn matched(&self, candidate: &Candidate) -> Suggestion {
        let target = &targets::all()[candidate.target];
        let kind = telling_kind(CLUES[candidate.target].values, self.profile);
        let reason = reason::matched(self.header, target, candidate.header, self.format, kind, self.profile);
        // Two digits are all the confidence there is in a confidence.
        self.suggestion(Some(target), (candidate.confidence * 100.0).round() / 100.0, reason)
    }

    fn unmatched(&self, why: &NoTarget<'_>) -> Suggestion {
        self.suggestion(None, 0.0, reason::unmatched(self.header, why))
    }

    fn suggestion(&self, target: Option<&'static TargetAttribute>, confidence: f64, reason: String) -> Suggestion {
        Suggestion {
            position: self.position,
            source_column: self.header.to_owned(),
            target,
            confidence,
            reason,
            sample_values: self.profile.samples.clone(),
        }
    }

    fn why_unmatched<'a>(
        &self,
        candidates: &[Candidate],
        chosen: &[Option<&Candidate>],
        columns: &'a [Column<'_>],
    ) -> NoTarget<'a> {
        if self.format.meaning_of(self.header) == Meaning::NoTarget {
            return NoTarget::KnownWithout(self.format);
        }
        let Some(best) = candidates.iter().find(|candidate| candidate.position == self.position) else {
            return if self.profile.values == 0 { NoTarget::Empty } else { NoTarget::Unknown };
        };
        let winner = chosen
            .iter()
            .position(|winner| winner.is_some_and(|winner| winner.target == best.target))
            .expect("a candidate loses only to a column that was given its target");
        NoTarget::Taken { target: &targets::all()[best.target], by: columns[winner].header }
    }
}

#[cfg(test)]
#[path = "suggest_tests.rs"]
mod tests;
