//! What must hold of every parser of the gateway, for whatever bytes. Each function takes one input and panics if
//! something does not hold; the tests here and the fuzz targets (`fuzz/`) both call them.

use std::path::Path;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version, header};
use unstale_server::gateway::{
    config::{self, Surroundings, file::JwtFile},
    parsers,
};

/// By this name each is called with bytes.
pub(crate) type Property = (&'static str, fn(&[u8]));

pub(crate) const ALL: [Property; 3] =
    [("hygiene", hygiene), ("token-head", token_head), ("configuration", configuration)];

/// A head from a text in the form of HTTP/1, as far as the library's types can hold it.
fn head(data: &[u8]) -> Option<http::request::Parts> {
    let mut lines = data.split(|byte| *byte == b'\n');
    let mut first = lines.next()?.split(|byte| *byte == b' ');
    let method = Method::from_bytes(first.next()?).ok()?;
    let uri = Uri::try_from(first.next()?).ok()?;
    let mut headers = HeaderMap::new();
    for line in lines.take(100) {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?;
        headers.append(HeaderName::from_bytes(&line[..colon]).ok()?, value);
    }
    let (mut head, ()) = Request::new(()).into_parts();
    (head.method, head.uri, head.headers, head.version) = (method, uri, headers, Version::HTTP_11);
    Some(head)
}

/// What passes names one host, has one length and a path that is read in one way; and passes again, unchanged.
pub(crate) fn hygiene(data: &[u8]) {
    let Some(mut head) = head(data) else { return };
    if !parsers::hygiene(&mut head) {
        return;
    }
    let headers = &head.headers;
    assert_eq!(headers.get_all(header::HOST).iter().count(), 1);
    let host = headers[header::HOST].to_str().expect("a host is visible ASCII");
    assert!(head.uri.authority().is_none_or(|authority| authority.as_str().eq_ignore_ascii_case(host)));
    assert!(!host.contains(['@', '/', ',', ' ', '%']));
    assert!(headers.get_all(header::TRANSFER_ENCODING).iter().count() <= 1);
    assert!(!head.uri.path().contains(['\\', '\0', ' ']) && !head.uri.path().contains("%00"));
    let before = head.headers.clone();
    assert!(parsers::hygiene(&mut head), "what has passed passes again");
    assert_eq!(head.headers, before, "what Connection names was gone before");
}

/// No token is believed whose head names another algorithm than the rules do.
pub(crate) fn token_head(data: &[u8]) {
    let rules: JwtFile =
        serde_json::from_str(r#"{"secret_env": "S", "issuers": ["i"], "audiences": ["a"], "algorithms": ["HS256"]}"#)
            .expect("these are rules");
    if let Some(algorithm) = parsers::token_head(&rules, &String::from_utf8_lossy(data)) {
        assert_eq!(algorithm, "HS256");
    }
}

/// Every fault has a place in the text; a file is judged twice alike, and never shows a secret.
pub(crate) fn configuration(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let env = |_: &str| Some("planted-secret-of-32-bytes-and-more".to_owned());
    let read = || config::parse(&text, &Surroundings { directory: Path::new("/nowhere"), env: &env });
    let (once, twice) = (read(), read());
    assert_eq!(once.as_ref().err(), twice.as_ref().err());
    if let Err(faults) = once {
        assert!(!faults.is_empty());
        let lines = text.split('\n').count();
        for fault in &faults {
            assert!((1..=lines + 1).contains(&fault.place.line) && fault.place.column >= 1, "{fault:?}");
            assert!(!format!("{fault}{fault:?}").contains("planted-secret"), "{fault:?}");
        }
    }
}
