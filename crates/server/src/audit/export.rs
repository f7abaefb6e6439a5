//! The trail as a file: CSV or JSON Lines, page by page, so that it needs no more memory for a million records than for ten.

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat};
use futures_util::{Stream, stream};
use sea_orm::DbErr;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    AuditTrail,
    record::Subject,
    search::{Cursor, Filter, Found, PAGE_MAX},
};

/// A record, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct AuditRecord {
    /// Its number in its tenant's chain.
    pub number: u64,
    /// The tenant; empty for the installation's own chain.
    pub tenant: String,
    /// When, by RFC 3339: of the first, if it stands for several.
    pub at: String,
    /// Who, as it was verified; empty for the installation itself.
    pub principal: String,
    /// By which agent, as the caller said it.
    pub agent: String,
    /// What.
    pub operation: String,
    /// How it ended.
    pub outcome: String,
    /// The kind of thing.
    pub entity: String,
    /// The key, group or path.
    pub key: String,
    /// Whose data it is about: a keyed hash.
    pub subject: Option<String>,
    /// The status of the answer.
    pub status: Option<u16>,
    /// The trace: of the first, if it stands for several.
    pub trace_id: Option<String>,
    /// The position from which on it is seen.
    pub position: String,
    /// More of it, in words.
    pub detail: String,
    /// How many equal reads of one second it stands for.
    pub times: u32,
}

impl From<Found> for AuditRecord {
    fn from(found: Found) -> Self {
        let Found { number, record } = found;
        Self {
            number,
            at: at(record.at_ms),
            tenant: record.tenant,
            principal: record.principal,
            agent: record.agent,
            operation: record.operation,
            outcome: record.outcome,
            entity: record.entity,
            key: record.key,
            subject: record.subject.map(Subject::hex),
            status: (record.status != 0).then_some(record.status),
            trace_id: (record.trace != 0).then(|| format!("{:032x}", record.trace)),
            position: record.position,
            detail: record.detail,
            times: record.times,
        }
    }
}

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportFormat {
    /// RFC 4180, with a line of names.
    Csv,
    /// One JSON object per line.
    JsonLines,
}

impl ExportFormat {
    /// Of a word.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "csv" => Some(Self::Csv),
            "jsonl" => Some(Self::JsonLines),
            _ => None,
        }
    }

    /// The media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8",
            Self::JsonLines => "application/jsonl",
        }
    }

    /// How its files' names end.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::JsonLines => "jsonl",
        }
    }

    fn head(self) -> String {
        match self {
            Self::Csv => format!("{}\r\n", NAMES.join(",")),
            Self::JsonLines => String::new(),
        }
    }

    fn line(self, out: &mut String, record: &AuditRecord) {
        match self {
            Self::Csv => csv_line(out, record),
            Self::JsonLines => {
                out.push_str(&serde_json::to_string(record).expect("texts and numbers are JSON"));
                out.push('\n');
            }
        }
    }
}

const NAMES: [&str; 15] = [
    "number",
    "tenant",
    "at",
    "principal",
    "agent",
    "operation",
    "outcome",
    "entity",
    "key",
    "subject",
    "status",
    "trace_id",
    "position",
    "detail",
    "times",
];

/// Everything that a filter finds, newest first, piece by piece.
pub fn export(
    trail: AuditTrail,
    filter: Filter,
    format: ExportFormat,
) -> impl Stream<Item = Result<Bytes, DbErr>> + Send + 'static {
    enum Step {
        First,
        After(Cursor),
        End,
    }
    stream::try_unfold((trail, filter, Step::First), move |(trail, filter, step)| async move {
        let (mut text, after) = match step {
            Step::First => (format.head(), None),
            Step::After(cursor) => (String::new(), Some(cursor)),
            Step::End => return Ok(None),
        };
        let page = trail.search(&filter, after.as_ref(), PAGE_MAX).await?;
        page.found.into_iter().for_each(|found| format.line(&mut text, &found.into()));
        let next = page.next.map_or(Step::End, Step::After);
        Ok(Some((Bytes::from(text), (trail, filter, next))))
    })
}

fn csv_line(out: &mut String, record: &AuditRecord) {
    let number = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
    let cells = [
        number(Some(record.number)),
        record.tenant.clone(),
        record.at.clone(),
        record.principal.clone(),
        record.agent.clone(),
        record.operation.clone(),
        record.outcome.clone(),
        record.entity.clone(),
        record.key.clone(),
        record.subject.clone().unwrap_or_default(),
        number(record.status.map(u64::from)),
        record.trace_id.clone().unwrap_or_default(),
        record.position.clone(),
        record.detail.clone(),
        number(Some(record.times.into())),
    ];
    for (place, cell) in cells.iter().enumerate() {
        if place > 0 {
            out.push(',');
        }
        csv_cell(out, cell);
    }
    out.push_str("\r\n");
}

/// A cell in quotes. What a spreadsheet would take for a formula begins with an apostrophe.
fn csv_cell(out: &mut String, text: &str) {
    let begins = text.trim_start().chars().next();
    let is_formula = begins.is_some_and(|first| "=+-@＝＋－＠".contains(first)) || text.starts_with(['\t', '\r', '\n']);
    out.push('"');
    if is_formula {
        out.push('\'');
    }
    out.push_str(&text.replace('"', "\"\""));
    out.push('"');
}

fn at(at_ms: u64) -> String {
    let at = i64::try_from(at_ms).ok().and_then(DateTime::from_timestamp_millis).unwrap_or_default();
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::record::Record;

    fn shown(key: &str) -> AuditRecord {
        let record = Record { at_ms: 1_700_000_000_123, key: key.into(), times: 1, ..Record::default() };
        Found { number: 7, record }.into()
    }

    #[test]
    fn formulas_are_defused_and_quotes_doubled() {
        let cell = |text: &str| {
            let mut out = String::new();
            csv_cell(&mut out, text);
            out
        };
        for formula in ["=1+1", "+1", "-1", "@x", " =1", "\t1", "\r=1", "\n1", "＝1"] {
            assert!(cell(formula).starts_with("\"'"), "{formula:?} is a formula: {}", cell(formula));
        }
        assert_eq!(cell("a \"b\", c"), "\"a \"\"b\"\", c\"");
        assert_eq!(cell("flow:7=x"), "\"flow:7=x\"");
    }

    #[test]
    fn a_line_has_a_cell_for_each_name() {
        let mut line = String::new();
        ExportFormat::Csv.line(&mut line, &shown("a"));
        assert_eq!(line.matches("\",\"").count() + 1, NAMES.len());
        assert!(line.starts_with("\"7\",\"\",\"2023-11-14T22:13:20.123Z\"") && line.ends_with("\"1\"\r\n"), "{line}");
        let json = serde_json::to_value(shown("a")).unwrap();
        let mut names: Vec<_> = json.as_object().unwrap().keys().map(String::as_str).collect();
        let mut expected = NAMES.to_vec();
        names.sort_unstable();
        expected.sort_unstable();
        assert_eq!(names, expected);
    }
}
