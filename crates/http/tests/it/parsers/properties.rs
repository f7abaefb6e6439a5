//! What must hold of every parser, for whatever bytes. Each function takes one input and panics if something does not
//! hold; the tests here and the fuzz targets (`fuzz/`) both call them.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, Uri, header};
use unstale::Cacheable as _;
use unstale_http::{
    Query, RoutePolicies, RoutePolicy, StoredResponse,
    conditional::{Condition, Preconditions},
    decide::may_look_up,
    headers::{CACHE_GROUPS, WRITTEN_POSITION},
    parsers,
    range::{Part, WantedRange},
    rfc9111::{
        Defaults, Received, SECONDS_MAX, Terms,
        age::age_value,
        control::{RequestControl, ResponseControl},
        freshness,
        no_vary_search::{NO_VARY_SEARCH, Search},
        storing::{Asked, Keeper, may_keep},
        targeted::{self, CDN_CACHE_CONTROL},
        vary,
    },
    url,
};

/// By this name each is called with bytes.
pub(crate) type Property = (&'static str, fn(&[u8]));

pub(crate) const ALL: [Property; 13] = [
    ("cache-control", cache_control),
    ("age-expires", age_expires),
    ("vary", vary_names),
    ("cdn-cache-control", cdn_cache_control),
    ("no-vary-search", no_vary_search),
    ("cache-groups", cache_groups),
    ("range", range),
    ("preconditions", preconditions),
    ("url", urls),
    ("stored-response", stored_response),
    ("position", position),
    ("request-head", request_head),
    ("route-pattern", route_pattern),
];

/// Lines of a header from bytes; a line that is no value is left out.
fn lines(name: &HeaderName, data: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in data.split(|byte| *byte == b'\n') {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(name, value);
        }
    }
    headers
}

/// How willing a cache is to keep and reuse what such a head answers.
fn is_kept(headers: &HeaderMap, is_shared: bool) -> bool {
    let (control, is_targeted) = targeted::control(headers, &[CDN_CACHE_CONTROL]);
    let received =
        Received { status: StatusCode::OK, headers, control: &control, is_targeted, at: 1_700_000_000, delay: 0 };
    let (terms, life) = Terms::of(&received, is_shared, &Defaults::default());
    let keeper = Keeper { is_shared, keeps_cookies: false, header_bytes_max: 1 << 20 };
    may_keep(&Asked::default(), StatusCode::OK, headers, &control, (&terms, life), &keeper).is_ok()
}

/// No directive that is not known, and no second line, makes a response more cacheable; `no-store` and `private` bind
/// wherever they stand by themselves.
pub(crate) fn cache_control(data: &[u8]) {
    let headers = lines(&header::CACHE_CONTROL, data);
    let control = ResponseControl::of(&headers);
    let _ = RequestControl::of(&headers);
    for number in [control.max_age, control.s_maxage, control.stale_while_revalidate].into_iter().flatten() {
        assert!(number <= SECONDS_MAX);
    }
    let with = |line: &'static str| {
        let mut more = headers.clone();
        more.append(header::CACHE_CONTROL, HeaderValue::from_static(line));
        more
    };
    for is_shared in [false, true] {
        assert!(is_kept(&headers, is_shared) || !is_kept(&with("x-unknown=\"a, public\""), is_shared), "{headers:?}");
        assert!(!is_kept(&with("no-store"), is_shared) || ResponseControl::of(&headers).must_understand);
    }
    assert!(!is_kept(&with("private"), true), "{headers:?}");
    // Written in one line instead of many, it says the same, unless it is malformed.
    let texts: Option<Vec<&str>> =
        headers.get_all(header::CACHE_CONTROL).iter().map(|line| line.to_str().ok()).collect();
    if let Some(texts) = texts.filter(|_| !control.no_store) {
        let mut joined = HeaderMap::new();
        joined.insert(header::CACHE_CONTROL, HeaderValue::try_from(texts.join(",")).expect("lines were values"));
        assert_eq!(ResponseControl::of(&joined), control, "{headers:?}");
    }
}

/// Ages and dates are bounded, and a date that is not one is none.
pub(crate) fn age_expires(data: &[u8]) {
    assert!(age_value(&lines(&header::AGE, data)).is_none_or(|age| age <= SECONDS_MAX));
    let _ = freshness::date(&lines(&header::EXPIRES, data), &header::EXPIRES);
}

/// The names are in order and once each, and parse again to the same; whoever varies on everything is not kept.
pub(crate) fn vary_names(data: &[u8]) {
    let headers = lines(&header::VARY, data);
    if let Ok(names) = vary::names(&headers) {
        assert!(names.windows(2).all(|pair| pair[0].as_str() < pair[1].as_str()), "{names:?}");
        let text = names.iter().map(HeaderName::as_str).collect::<Vec<_>>().join(", ");
        assert_eq!(vary::names(&lines(&header::VARY, text.as_bytes())).as_ref(), Ok(&names));
        let star = lines(&header::VARY, [data, b"\n*"].concat().as_slice());
        assert!(vary::names(&star).is_err());
        // What selects is the values of these names and of no others.
        let request = lines(&header::ACCEPT, data);
        let mut more = request.clone();
        more.insert("x-not-named-at-all", HeaderValue::from_static("x"));
        if !names.iter().any(|name| *name == "x-not-named-at-all") {
            assert_eq!(vary::digest(&names, &request), vary::digest(&names, &more));
        }
    }
}

/// What is invalid is ignored (RFC 9213, 2.2): then `Cache-Control` counts. `no-store` in a valid one binds.
pub(crate) fn cdn_cache_control(data: &[u8]) {
    let mut headers = lines(&CDN_CACHE_CONTROL, data);
    let (control, is_targeted) = targeted::control(&headers, &[CDN_CACHE_CONTROL]);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let (again, is_again) = targeted::control(&headers, &[CDN_CACHE_CONTROL]);
    assert_eq!(is_targeted, is_again);
    if is_targeted {
        assert_eq!(control, again);
    } else {
        assert!(again.no_store);
    }
}

/// Equality of queries is one; a query is the same as itself; what is malformed lets everything count.
pub(crate) fn no_vary_search(data: &[u8]) {
    let (said, query) = data.split_at(data.len() / 2);
    let search = Search::of(&lines(&NO_VARY_SEARCH, said));
    let query = String::from_utf8_lossy(query);
    assert!(search.is_same(Some(&query), Some(&query)));
    // What is written again says the same, and one text stands for all that mean the same.
    assert_eq!(Search::parse(&search.to_string()).as_ref(), Some(&search));
    let other = format!("{query}&evil=1");
    let is_one = search.simplified(Some(&query)) == search.simplified(Some(&other));
    assert_eq!(is_one, search.is_same(Some(&query), Some(&other)), "{query}");
    assert_eq!(search.is_same(Some(&query), Some(&other)), search.is_same(Some(&other), Some(&query)));
    if search == Search::default() {
        assert!(!search.is_same(Some(&query), Some(&other)), "{query}");
    }
}

/// What is read and written again reads the same.
pub(crate) fn cache_groups(data: &[u8]) {
    let headers = lines(&CACHE_GROUPS, data);
    let Some(groups) = parsers::groups(&headers, &CACHE_GROUPS) else { return };
    let quoted = groups.iter().map(|group| format!("\"{}\"", group.replace('\\', "\\\\").replace('"', "\\\"")));
    let text = quoted.collect::<Vec<_>>().join(", ");
    assert_eq!(parsers::groups(&lines(&CACHE_GROUPS, text.as_bytes()), &CACHE_GROUPS), Some(groups), "{text}");
}

/// A part lies within the whole and is not empty.
pub(crate) fn range(data: &[u8]) {
    let wanted = WantedRange::of(&lines(&header::RANGE, data));
    let etag = HeaderValue::from_static("\"e\"");
    for length in [0, 1, 7, 1000, usize::MAX] {
        if let Part::Bytes(part) = wanted.part(&etag, length) {
            assert!(part.start < part.end && part.end <= length, "{part:?} of {length}");
            assert!(wanted.is_plain());
        }
    }
}

/// A condition on a validator that the list does not hold is never met by it.
pub(crate) fn preconditions(data: &[u8]) {
    let own = b"\"0123456789-that-no-input-has\"";
    let holds = |text: &[u8]| text.windows(own.len()).any(|window| window == own) || text.contains(&b'*');
    for name in [header::IF_MATCH, header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE, header::IF_UNMODIFIED_SINCE] {
        let headers = lines(&name, data);
        let condition = Preconditions::of(&headers).evaluate(own, None);
        if name == header::IF_NONE_MATCH && !holds(data) {
            assert_eq!(condition, Condition::Send, "{headers:?}");
        }
        if name == header::IF_MATCH && !holds(data) {
            assert_ne!(condition, Condition::NotModified);
        }
        let mut stripped = headers;
        Preconditions::strip(&mut stripped);
        assert!(stripped.is_empty());
    }
}

/// Normalised twice is normalised once; a text that counts every parameter has as many bytes as the URL.
pub(crate) fn urls(data: &[u8]) {
    let Ok(uri) = Uri::try_from(data) else { return };
    for query in [Query::All, Query::InOrder, Query::only(["a", "page"])] {
        let Ok(once) = url::normalise(&uri, &query, 2048).map(|url| url.to_string()) else { continue };
        let again: Uri = once.parse().expect("a text of a URL is a URL");
        assert_eq!(url::normalise(&again, &query, 2048).map(|url| url.to_string()), Ok(once.clone()), "{uri}");
        if query == Query::All {
            assert_eq!(once.len(), uri.path().len() + uri.query().map_or(0, |query| query.len() + 1));
        }
        let path = once.split('?').next().expect("a split has a first");
        assert!(!path.contains("//") && !path.contains("/../") && !path.contains(['\\', ';', '#']), "{once}");
        let lower = path.to_ascii_lowercase();
        assert!(!["%2e", "%2f", "%00", "%5c", "%25"].iter().any(|escape| lower.contains(escape)), "{once}");
    }
}

/// What is decoded and encoded again decodes to the same bytes.
pub(crate) fn stored_response(data: &[u8]) {
    let Ok(stored) = StoredResponse::decode(&Bytes::copy_from_slice(data)) else { return };
    let mut once = Vec::new();
    stored.encode(&mut once).expect("what was decoded can be encoded");
    let again = StoredResponse::decode(&once.clone().into()).expect("what was encoded can be decoded");
    let mut twice = Vec::new();
    again.encode(&mut twice).expect("what was decoded can be encoded");
    assert_eq!(once, twice);
}

/// What is read and written again reads the same.
pub(crate) fn position(data: &[u8]) {
    let Some(set) = parsers::position(&lines(&WRITTEN_POSITION, data)) else { return };
    let again = parsers::position(&lines(&WRITTEN_POSITION, set.to_string().as_bytes()));
    assert_eq!(again, Some(set));
}

/// Nothing in a head can make a method other than GET and HEAD one that is looked up, or a body none.
pub(crate) fn request_head(data: &[u8]) {
    let mut request = Request::new(());
    for (number, line) in data.split(|byte| *byte == b'\n').enumerate() {
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let (name, value) = line.split_at(colon);
        let value = HeaderValue::from_bytes(value.strip_prefix(b":").unwrap_or_default());
        if let (Ok(name), Ok(value), true) = (HeaderName::from_bytes(name), value, number < 100) {
            request.headers_mut().append(name, value);
        }
    }
    let (mut head, ()) = request.into_parts();
    let is_looked_up = may_look_up(&head).is_ok();
    head.headers.append(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    assert!(may_look_up(&head).is_err());
    head.headers.remove(header::TRANSFER_ENCODING);
    head.method = http::Method::POST;
    assert!(may_look_up(&head).is_err() && (is_looked_up || !data.is_empty()));
}

/// A pattern that is one finds what it means, and nothing of another number of segments; twice it is refused.
pub(crate) fn route_pattern(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.splitn(3, '\n');
    let mut line = || lines.next().unwrap_or_default();
    let (pattern, group, path) = (line(), line(), line());
    let policy = || RoutePolicy::uncached("a").groups([group]);
    let Ok(routes) = RoutePolicies::builder().route(pattern, policy()).build() else { return };
    assert!(RoutePolicies::builder().route(pattern, policy()).route(pattern, policy()).build().is_err());
    let open = pattern.strip_suffix("/*");
    let meant = open.map_or_else(|| pattern.to_owned(), |before| format!("{before}/x/y"));
    assert!(routes.find(&meant).is_some(), "{pattern} does not find {meant}");
    if routes.find(path).is_some() {
        let (wanted, got) = (pattern.split('/').count(), path.split('/').count());
        assert!(got == wanted || open.is_some() && got > wanted, "{pattern} finds {path}");
    }
}
