//! What must hold of every parser, for whatever bytes. Each function takes one input and panics if something does not
//! hold; the tests here and the fuzz targets (`fuzz/`) both call them.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, header, uri::PathAndQuery};
use unstale::Cacheable as _;
use unstale_http::{
    Query, RoutePolicies, RoutePolicy, StoredResponse,
    conditional::{Condition, Preconditions},
    decide::may_look_up,
    headers::{CACHE_GROUPS, SURROGATE_KEY, WRITTEN_POSITION},
    parsers,
    range::{Part, WantedRange},
    rfc9111::{
        Defaults, Received, SECONDS_MAX, Terms,
        age::age_value,
        control::{RequestControl, ResponseControl},
        freshness, invalidation,
        no_vary_search::{NO_VARY_SEARCH, Search},
        partial::Held,
        storing::{Asked, Keeper, may_keep},
        targeted::{self, CDN_CACHE_CONTROL, SURROGATE_CONTROL},
        vary,
    },
    url,
};

/// By this name each is called with bytes.
pub(crate) type Property = (&'static str, fn(&[u8]));

pub(crate) const ALL: [Property; 17] = [
    ("cache-control", cache_control),
    ("age-expires", age_expires),
    ("vary", vary_names),
    ("cdn-cache-control", cdn_cache_control),
    ("no-vary-search", no_vary_search),
    ("surrogate", surrogate),
    ("cache-groups", cache_groups),
    ("range", range),
    ("content-range", content_range),
    ("preconditions", preconditions),
    ("accept-encoding", accept_encoding),
    ("locations", locations),
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

/// What is for other caches says nothing to this one, and `no-store` binds wherever it stands. The words of `Surrogate-Key`
/// read the same again.
pub(crate) fn surrogate(data: &[u8]) {
    let headers = lines(&SURROGATE_CONTROL, data);
    let with = |line: &'static str| {
        let mut more = headers.clone();
        more.append(SURROGATE_CONTROL, HeaderValue::from_static(line));
        targeted::control(&more, &[SURROGATE_CONTROL])
    };
    assert_eq!(with("no-store;another, max-age=1;another"), targeted::control(&headers, &[SURROGATE_CONTROL]));
    if headers.get_all(SURROGATE_CONTROL).iter().all(|line| line.to_str().is_ok()) {
        assert!(with("no-store").0.no_store && with("no-store;unstale").1, "{headers:?}");
    }
    let keys = |data: &[u8]| parsers::surrogate_keys(&lines(&SURROGATE_KEY, data));
    if let Some(words) = keys(data) {
        assert!(words.iter().all(|word| !word.is_empty() && !word.contains([' ', '\t'])), "{words:?}");
        assert_eq!(keys(words.join(" ").as_bytes()), Some(words));
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

/// A part lies within its whole, and what is written again reads the same; two parts together hold the bytes of the whole
/// where they say.
pub(crate) fn content_range(data: &[u8]) {
    const WHOLE: usize = 4096;
    let text = String::from_utf8_lossy(data);
    let mut parts = text.split('\n').filter_map(Held::parse);
    let (Some(one), other) = (parts.next(), parts.next()) else { return };
    let Held { first, end, whole } = one;
    assert!(first < end && end <= whole, "{one:?}");
    let written = format!("bytes {first}-{}/{whole}", end - 1);
    assert_eq!(Held::parse(&written), Some(one));
    let headers = lines(&header::CONTENT_RANGE, written.as_bytes());
    let of = |status, bytes| Held::of(status, &headers, bytes);
    if let Ok(bytes) = usize::try_from(end - first) {
        assert_eq!(of(StatusCode::PARTIAL_CONTENT, bytes), Some(one));
        assert_eq!((of(StatusCode::OK, bytes), of(StatusCode::PARTIAL_CONTENT, bytes.wrapping_add(1))), (None, None));
    }
    let Some((other, joined)) = other.and_then(|other| Some((other, one.joined(&other)?))) else { return };
    assert!(joined.held.first == first.min(other.first) && joined.held.end == end.max(other.end));
    if whole <= WHOLE as u64 {
        let bytes: Vec<u8> = (0..=250).cycle().take(WHOLE).collect();
        let place = |held: &Held| {
            let at = |place: u64| usize::try_from(place).expect("the whole is small");
            &bytes[at(held.first)..at(held.end)]
        };
        assert_eq!(joined.bytes(place(&one), place(&other)), place(&joined.held), "{one:?} {other:?}");
    }
}

/// What refuses an encoding is not given it, nor who does not name it; and what means the same selects the same variant.
pub(crate) fn accept_encoding(data: &[u8]) {
    let headers = lines(&header::ACCEPT_ENCODING, data);
    let text = data.to_ascii_lowercase();
    let names = |word: &[u8]| text.windows(word.len()).any(|window| window == word);
    assert!(!parsers::takes_encoded(&headers) || names(b"gzip") || names(b"*"), "{headers:?}");
    let mut refusing = headers.clone();
    refusing.append(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip;q=0"));
    assert!(!parsers::takes_encoded(&refusing), "{headers:?}");
    // Quotes have no meaning there; within them, blanks beside a comma would count.
    if headers.get_all(header::ACCEPT_ENCODING).iter().count() == 1 && !data.contains(&b'"') {
        let digest = |data: &[u8]| vary::digest(&[header::ACCEPT_ENCODING], &lines(&header::ACCEPT_ENCODING, data));
        let line = headers[header::ACCEPT_ENCODING].as_bytes();
        let mut members: Vec<&[u8]> = line.split(|byte| *byte == b',').collect();
        members.reverse();
        assert_eq!(digest(line), digest(&members.join(&b" ,\t"[..]).to_ascii_uppercase()), "{headers:?}");
    }
}

/// A write spoils its own URL, and of what its answer names only paths of the same origin.
pub(crate) fn locations(data: &[u8]) {
    let (reference, base) = data.split_at(data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len()));
    let base = format!("/{}", String::from_utf8_lossy(base).trim());
    // As a request's target is read.
    let Ok(base) = base.parse::<PathAndQuery>().map(|base| base.to_string()) else { return };
    let spoiled = |method: Method, status, text: &[u8]| {
        invalidation::targets(&method, status, "a.example", &base, &lines(&header::LOCATION, text))
    };
    let all = spoiled(Method::POST, StatusCode::CREATED, reference);
    assert_eq!(all.first(), Some(&base));
    for named in &all[1..] {
        let path = named.split('?').next().expect("a split has a first");
        assert!(path.starts_with('/') && !named.contains('#'), "{named}");
        // What is only a query is of the path that was asked for, as it stands.
        let is_own = base.split('?').next() == Some(path);
        assert!(is_own || !path.split('/').any(|segment| segment == ".." || segment == "."), "{named}");
    }
    for elsewhere in ["https://b.example/", "//b.example/", "http://a.example.b/", "mailto:a.example/"] {
        let text = [elsewhere.as_bytes(), reference].concat();
        assert_eq!(spoiled(Method::PUT, StatusCode::OK, &text).len(), 1, "{elsewhere} {reference:?}");
    }
    assert!(spoiled(Method::GET, StatusCode::OK, reference).is_empty());
    assert!(spoiled(Method::POST, StatusCode::NOT_FOUND, reference).is_empty());
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
    head.method = Method::POST;
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
