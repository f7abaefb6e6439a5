//! When an answer was made (RFC 9110, 6.6.1).

use chrono::{DateTime, Utc};
use http::{HeaderMap, HeaderValue, header};

/// Says it of an answer that does not: whoever keeps it counts from then.
pub(crate) fn add(headers: &mut HeaderMap, now: impl FnOnce() -> DateTime<Utc>) {
    headers.entry(header::DATE).or_insert_with(|| {
        let text = now().format("%a, %d %b %Y %H:%M:%S GMT").to_string();
        HeaderValue::try_from(text).expect("a date makes a header")
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_without_a_date_has_that_of_its_receipt() {
        let now = || DateTime::from_timestamp(784_111_777, 0).expect("it is a time");
        let mut headers = HeaderMap::new();
        add(&mut headers, now);
        assert_eq!(headers[header::DATE], "Sun, 06 Nov 1994 08:49:37 GMT");
        headers.insert(header::DATE, HeaderValue::from_static("Sun, 06 Nov 1994 08:49:30 GMT"));
        add(&mut headers, now);
        assert_eq!(headers[header::DATE], "Sun, 06 Nov 1994 08:49:30 GMT");
    }
}
