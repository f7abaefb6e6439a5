//! Positions on the wire: a write's answer says what it has reached, a read says what it must have seen.

use http::{HeaderMap, HeaderValue};
use unstale::{PositionSet, position::InvalidPosition};

use crate::headers::WRITTEN_POSITION;

/// What a write has reached. A handler puts it in its response's extensions; the layer writes the header
/// `Unstale-Position`.
#[derive(Clone, Debug)]
pub struct Written(pub PositionSet);

/// What the client demands that its answer has seen (the request's `Unstale-Position`). The layer puts it in the
/// request's extensions if anything is demanded, for handlers that read through the cache outside of a load.
#[derive(Clone, Debug, Default)]
pub struct AtLeast(pub PositionSet);

/// The position that a request demands; empty if it demands none.
pub(crate) fn demanded(headers: &HeaderMap) -> Result<PositionSet, InvalidPosition> {
    let mut demanded = PositionSet::default();
    for value in headers.get_all(WRITTEN_POSITION) {
        demanded.extend(&value.to_str().map_err(|_| InvalidPosition)?.trim().parse()?);
    }
    Ok(demanded)
}

/// The header for what a write has reached.
pub(crate) fn header(written: &Written) -> HeaderValue {
    HeaderValue::try_from(written.0.to_string()).expect("digits, '.' and '~' make a header")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(values: &[&str], expected: &Result<&str, InvalidPosition>) {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(WRITTEN_POSITION, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        assert_eq!(demanded(&headers).map(|set| set.to_string()).as_deref(), expected.as_deref(), "{values:?}");
    }

    #[test]
    fn reads_one_or_many_lines_and_refuses_what_is_no_position() {
        check(&[], &Ok(""));
        check(&[""], &Ok(""));
        check(&[" 1.2.3 "], &Ok("1.2.3"));
        check(&["1.2.3", "2.2.4"], &Ok("1.2.3~2.2.4"));
        check(&["1.2.3", "x"], &Err(InvalidPosition));
        check(&["1.2.3, 2.2.4"], &Err(InvalidPosition));
        check(&["\u{e9}"], &Err(InvalidPosition));
    }

    #[test]
    fn what_is_written_can_be_demanded() {
        let set: PositionSet = "1.2.3~2.2.4".parse().unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(WRITTEN_POSITION, header(&Written(set.clone())));
        assert_eq!(demanded(&headers), Ok(set));
    }
}
