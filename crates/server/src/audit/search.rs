//! Looking things up in the trail: newest first, a page at a time. *Does*.
//!
//! # Invariants
//! - A page begins after the last record of the one before (keyset), so that what is recorded meanwhile moves nothing.
//! - Whoever may see one tenant only says so in the [`Filter`]; nothing else decides about it.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sea_orm::{ConnectionTrait as _, DbErr, Value};

use super::{
    AuditTrail,
    record::{Record, Subject},
    sql::{signed, statement},
    table::{COLUMNS, read_row},
};

/// Records of a page at most.
pub const PAGE_MAX: u64 = 1000;

/// What is looked for; what is none or empty is not asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this tenant; the empty name is the installation's own chain.
    pub tenant: Option<String>,
    /// By this principal.
    pub principal: Option<String>,
    /// By this agent.
    pub agent: Option<String>,
    /// About this subject.
    pub subject: Option<Subject>,
    /// Of this operation.
    pub operation: Option<String>,
    /// With this outcome.
    pub outcome: Option<String>,
    /// Of this kind of thing.
    pub entity: Option<String>,
    /// With exactly this key.
    pub key: Option<String>,
    /// In this trace.
    pub trace: Option<u128>,
    /// At this time or later, in milliseconds since 1970.
    pub since_ms: Option<u64>,
    /// Before this time.
    pub until_ms: Option<u64>,
}

/// Where a page ended. Its text is opaque.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    at_ms: u64,
    tenant: String,
    number: u64,
}

/// A text that is no cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no cursor: send the one that the page before ended with, as it was")]
pub struct InvalidCursor;

/// Some of what was found.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The records, newest first.
    pub found: Vec<Found>,
    /// Where the next page begins; none if this was the last.
    pub next: Option<Cursor>,
}

/// A record and its number in its tenant's chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The number.
    pub number: u64,
    /// The record.
    pub record: Record,
}

impl AuditTrail {
    /// A page of at most `limit` records, and [`PAGE_MAX`].
    pub async fn search(&self, filter: &Filter, after: Option<&Cursor>, limit: u64) -> Result<Page, DbErr> {
        let limit = limit.clamp(1, PAGE_MAX);
        let (conditions, mut values) = filter.conditions(after);
        values.push(signed(limit + 1).into());
        let sql = format!(
            "SELECT {COLUMNS} FROM cache_audit{conditions} ORDER BY at_ms DESC, tenant DESC, number DESC LIMIT ${}",
            values.len()
        );
        let rows = self.pool.query_all_raw(statement(&self.pool, sql, values)).await?;
        let mut page = Page::default();
        for row in &rows {
            let row = read_row(row)?;
            page.found.push(Found { number: row.number, record: row.record });
        }
        if page.found.len() as u64 > limit {
            page.found.pop();
            page.next = page.found.last().map(|Found { number, record }| Cursor {
                at_ms: record.at_ms,
                tenant: record.tenant.clone(),
                number: *number,
            });
        }
        Ok(page)
    }
}

impl Filter {
    fn conditions(&self, after: Option<&Cursor>) -> (String, Vec<Value>) {
        let mut values: Vec<Value> = Vec::new();
        let mut conditions: Vec<String> = Vec::new();
        let mut add = |condition: &str, value: Value| {
            values.push(value);
            conditions.push(format!("{condition} ${}", values.len()));
        };
        let texts = [
            ("tenant =", &self.tenant),
            ("principal =", &self.principal),
            ("agent =", &self.agent),
            ("operation =", &self.operation),
            ("outcome =", &self.outcome),
            ("entity =", &self.entity),
            ("key =", &self.key),
        ];
        for (condition, text) in texts {
            if let Some(text) = text {
                add(condition, text.as_str().into());
            }
        }
        if let Some(subject) = self.subject {
            add("subject =", subject.hex().into());
        }
        if let Some(trace) = self.trace {
            add("trace_id =", format!("{trace:032x}").into());
        }
        if let Some(since_ms) = self.since_ms {
            add("at_ms >=", signed(since_ms).into());
        }
        if let Some(until_ms) = self.until_ms {
            add("at_ms <", signed(until_ms).into());
        }
        if let Some(Cursor { at_ms, tenant, number }) = after {
            let place = values.len();
            values.extend([signed(*at_ms).into(), tenant.as_str().into(), signed(*number).into()]);
            conditions.push(format!("(at_ms, tenant, number) < (${}, ${}, ${})", place + 1, place + 2, place + 3));
        }
        let joined = conditions.join(" AND ");
        (if joined.is_empty() { joined } else { format!(" WHERE {joined}") }, values)
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(format!("{}.{}.{}", self.at_ms, self.number, self.tenant)))
    }
}

impl std::str::FromStr for Cursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let read = || {
            let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
            let mut parts = text.splitn(3, '.');
            let (at_ms, number) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
            Some(Self { at_ms, number, tenant: parts.next()?.to_owned() })
        };
        read().ok_or(InvalidCursor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_it_went() {
        let cursor = Cursor { at_ms: 7, tenant: "a.b".into(), number: 9 };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for bad in ["", "x", "Ny4", "!"] {
            assert_eq!(bad.parse::<Cursor>(), Err(InvalidCursor), "{bad}");
        }
    }

    #[test]
    fn conditions_are_parameters_and_nothing_that_was_given_is_in_the_text() {
        let filter = Filter {
            tenant: Some("x' OR 1=1".into()),
            until_ms: Some(3),
            subject: Some(Subject([1; 16])),
            ..Filter::default()
        };
        let after = Cursor { at_ms: 1, tenant: "t'".into(), number: 1 };
        let (sql, values) = filter.conditions(Some(&after));
        assert_eq!(
            sql,
            " WHERE tenant = $1 AND subject = $2 AND at_ms < $3 AND (at_ms, tenant, number) < ($4, $5, $6)"
        );
        assert_eq!(values.len(), 6);
        assert_eq!(Filter::default().conditions(None), (String::new(), Vec::new()));
    }
}
