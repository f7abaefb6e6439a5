//! What stands in one column, and what of it is doubtful.

use std::collections::HashMap;

use super::judge::doubt;
use crate::{
    imports::{DataType, TargetAttribute, identifies},
    views::{IssueKind, QualityIssue},
};

/// Most different values of a column that are told apart. Beyond, a value is judged only by itself: spellings and
/// duplicates need them all.
const DISTINCT_MAX: usize = 50_000;
/// Most different values among which spellings are looked for: a column with more of them holds prose.
const SPELLINGS_AMONG_MAX: usize = 2_000;
/// Most issues of a column that are listed.
pub(super) const ISSUES_MAX: usize = 200;
/// Most rows that are named for an issue.
const ROWS_NAMED_MAX: usize = 5;
/// The attribute by which people tell assets apart.
const NAME: &str = "name";

/// Gathers the values of a column, a row at a time.
#[derive(Debug)]
pub(super) struct ColumnTally<'a> {
    target: &'a TargetAttribute,
    filled: u64,
    missing: Seen,
    values: HashMap<String, Seen>,
    is_cut: bool,
}

/// What a column holds.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ColumnFindings {
    pub(super) filled: u64,
    pub(super) distinct: u64,
    /// Cells with an issue.
    pub(super) doubtful: u64,
    /// Those of the most rows first, [`ISSUES_MAX`] at most.
    pub(super) issues: Vec<QualityIssue>,
    pub(super) issues_left_out: u64,
}

/// Where a value was seen.
#[derive(Clone, Debug, Default, PartialEq)]
struct Seen {
    rows: u64,
    first: Vec<u64>,
}

impl Seen {
    fn at(&mut self, row: u64) {
        self.rows += 1;
        if self.first.len() < ROWS_NAMED_MAX {
            self.first.push(row);
        }
    }
}

impl<'a> ColumnTally<'a> {
    pub(super) fn new(target: &'a TargetAttribute) -> Self {
        Self { target, filled: 0, missing: Seen::default(), values: HashMap::new(), is_cut: false }
    }

    /// Takes a value as it is shown, and its row's number in the file.
    pub(super) fn observe(&mut self, row: u64, value: &str) {
        if value.is_empty() {
            return self.missing.at(row);
        }
        self.filled += 1;
        if let Some(seen) = self.values.get_mut(value) {
            return seen.at(row);
        }
        if self.values.len() >= DISTINCT_MAX {
            self.is_cut = true;
            // What is doubtful by itself is known still, up to as many again.
            if self.values.len() >= 2 * DISTINCT_MAX || doubt(value, self.target).is_none() {
                return;
            }
        }
        self.values.entry(value.to_owned()).or_default().at(row);
    }

    pub(super) fn finish(self) -> ColumnFindings {
        let Self { target, filled, missing, values, is_cut } = self;
        let distinct = values.len() as u64;
        let mut issues = Vec::new();
        if target.required && missing.rows > 0 {
            issues.push(issue(IssueKind::Missing, String::new(), missing, None));
        }
        let mut good: Vec<(String, Seen)> = Vec::new();
        for (value, seen) in values {
            match doubt(&value, target) {
                Some(doubt) => issues.push(issue(doubt.kind, value, seen, doubt.suggestion)),
                None => good.push((value, seen)),
            }
        }
        let is_prose = target.name == "description" || good.len() > SPELLINGS_AMONG_MAX;
        if target.name == NAME && !is_cut {
            issues.extend(duplicates(good));
        } else if target.data_type == DataType::Text {
            issues.extend(spellings(good, is_cut || is_prose || identifies(target.name)));
        }
        issues.sort_by(|one, other| other.rows.cmp(&one.rows).then_with(|| one.value.cmp(&other.value)));
        let doubtful = issues.iter().map(|issue| issue.rows).sum();
        let issues_left_out = issues.len().saturating_sub(ISSUES_MAX) as u64;
        issues.truncate(ISSUES_MAX);
        ColumnFindings { filled, distinct, doubtful, issues, issues_left_out }
    }
}

fn issue(kind: IssueKind, value: String, seen: Seen, suggestion: Option<String>) -> QualityIssue {
    QualityIssue { kind, value, rows: seen.rows, suggestion, row_numbers: seen.first }
}

/// Names that several rows have, without regard to case and spaces.
fn duplicates(values: Vec<(String, Seen)>) -> Vec<QualityIssue> {
    let alike = grouped(values, |value| single_spaced(value).to_lowercase());
    let many = alike.into_values().filter(|same| same.iter().map(|(_, seen)| seen.rows).sum::<u64>() > 1);
    many.flatten().map(|(value, seen)| issue(IssueKind::Duplicate, value, seen, None)).collect()
}

/// Values that differ from another only in case, spaces, hyphens and underscores: meant is the one of the most rows. Only
/// superfluous spaces, where values are `unlike` each other on purpose.
fn spellings(values: Vec<(String, Seen)>, unlike: bool) -> Vec<QualityIssue> {
    let alike = grouped(values, |value| if unlike { single_spaced(value) } else { folded(value) });
    let mut issues = Vec::new();
    for same in alike.into_values() {
        let most = same.iter().max_by(|(one, seen), (other, theirs)| {
            // Of equals the one without superfluous spaces, then `Prod` before `prod` and that before `PROD`.
            let rank = |value: &str, seen: &Seen| {
                let has_small = value.contains(char::is_lowercase);
                (seen.rows, value == single_spaced(value), has_small, value.contains(char::is_uppercase))
            };
            rank(one, seen).cmp(&rank(other, theirs)).then_with(|| other.cmp(one))
        });
        let meant = most.map(|(value, _)| single_spaced(value)).unwrap_or_default();
        let others = same.into_iter().filter(|(value, _)| *value != meant);
        issues.extend(others.map(|(value, seen)| issue(IssueKind::Spelling, value, seen, Some(meant.clone()))));
    }
    issues
}

fn grouped(values: Vec<(String, Seen)>, key: impl Fn(&str) -> String) -> HashMap<String, Vec<(String, Seen)>> {
    let mut groups: HashMap<String, Vec<(String, Seen)>> = HashMap::new();
    values.into_iter().for_each(|(value, seen)| groups.entry(key(&value)).or_default().push((value, seen)));
    groups
}

fn single_spaced(value: &str) -> String {
    value.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn folded(value: &str) -> String {
    let words = value.split(|sign: char| sign.is_whitespace() || matches!(sign, '-' | '_'));
    words.filter(|word| !word.is_empty()).map(str::to_lowercase).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imports::find_target;

    fn findings(target: &str, values: &[&str]) -> ColumnFindings {
        let mut tally = ColumnTally::new(find_target(target).unwrap());
        for (row, value) in (2..).zip(values) {
            tally.observe(row, value);
        }
        tally.finish()
    }

    /// Kind, value, rows and suggestion of each issue.
    fn issues(target: &str, values: &[&str]) -> Vec<(IssueKind, String, u64, Option<String>)> {
        let found = findings(target, values).issues;
        found.into_iter().map(|issue| (issue.kind, issue.value, issue.rows, issue.suggestion)).collect()
    }

    fn spelled(value: &str, rows: u64, meant: &str) -> (IssueKind, String, u64, Option<String>) {
        (IssueKind::Spelling, value.to_owned(), rows, Some(meant.to_owned()))
    }

    #[test]
    fn spellings_are_meant_to_be_the_one_of_the_most_rows() {
        let found = issues("environment", &["Prod", "prod", "Prod", "PROD", "Test", "PROD"]);
        assert_eq!(found, [spelled("PROD", 2, "Prod"), spelled("prod", 1, "Prod")]);
        let found = issues("operating_system", &["Windows Server-2019", "windows_server 2019 ", "Ubuntu"]);
        assert_eq!(found, [spelled("windows_server 2019 ", 1, "Windows Server-2019")]);
    }

    #[test]
    fn a_value_alone_has_a_spelling_if_its_spaces_are_superfluous() {
        assert_eq!(issues("environment", &[" Prod", "Test"]), [spelled(" Prod", 1, "Prod")]);
        assert_eq!(issues("environment", &["Prod ", "Prod"]), [spelled("Prod ", 1, "Prod")]);
    }

    #[test]
    fn identifiers_may_differ_in_a_hyphen() {
        assert_eq!(issues("hostname", &["web-01", "web_01", "WEB-01"]), []);
        assert_eq!(issues("hostname", &["web-01 "]), [spelled("web-01 ", 1, "web-01")]);
    }

    #[test]
    fn names_stand_once_and_are_never_missing() {
        let found = findings("name", &["web01", "WEB01", "db01", "", "db01", "app01"]);
        let of = |kind, value: &str, row_numbers: &[u64]| QualityIssue {
            kind,
            value: value.to_owned(),
            rows: row_numbers.len() as u64,
            suggestion: None,
            row_numbers: row_numbers.to_vec(),
        };
        let expected = [
            of(IssueKind::Duplicate, "db01", &[4, 6]),
            of(IssueKind::Missing, "", &[5]),
            of(IssueKind::Duplicate, "WEB01", &[3]),
            of(IssueKind::Duplicate, "web01", &[2]),
        ];
        assert_eq!(found.issues, expected);
        assert_eq!((found.filled, found.distinct, found.doubtful), (5, 4, 5));
    }

    #[test]
    fn what_is_not_required_may_be_missing() {
        let found = findings("environment", &["", "Prod", ""]);
        assert_eq!((found.filled, found.doubtful, found.issues), (1, 0, Vec::new()));
    }

    #[test]
    fn what_is_wrong_by_itself_is_not_a_spelling_too() {
        let found = issues("memory_gb", &["16", "16 GB", "n/a", "N/A"]);
        let wrong = (IssueKind::WrongType, "16 GB".to_owned(), 1, Some("16".to_owned()));
        let nothing = |value: &str| (IssueKind::Placeholder, value.to_owned(), 1, Some(String::new()));
        assert_eq!(found, [wrong, nothing("N/A"), nothing("n/a")]);
    }

    #[test]
    fn prose_has_no_spellings() {
        assert_eq!(issues("description", &["A server", "a server"]), []);
        let many: Vec<String> = (0..=SPELLINGS_AMONG_MAX).map(|number| format!("value {number}")).collect();
        let mut many: Vec<&str> = many.iter().map(String::as_str).collect();
        many.push("VALUE 1");
        assert_eq!(issues("location", &many), []);
        many.drain(2..1000);
        assert_eq!(issues("location", &many), [spelled("VALUE 1", 1, "value 1")]);
    }

    #[test]
    fn lists_and_memory_are_bounded() {
        let mut tally = ColumnTally::new(find_target("cpu_cores").unwrap());
        for row in 0..3 * DISTINCT_MAX as u64 {
            tally.observe(row, &format!("{row} x y z"));
        }
        assert_eq!(tally.values.len(), 2 * DISTINCT_MAX);
        let found = tally.finish();
        assert_eq!(found.issues.len(), ISSUES_MAX);
        assert_eq!(found.issues_left_out, (2 * DISTINCT_MAX - ISSUES_MAX) as u64);
        let mut tally = ColumnTally::new(find_target("name").unwrap());
        for row in 0..DISTINCT_MAX as u64 + 2 {
            tally.observe(row, &format!("server {row}"));
        }
        tally.observe(0, "server 1");
        assert_eq!(tally.finish().issues, [], "not all names are known, so nothing is said of duplicates");
    }
}
