//! Serving a built web application: files with hashed names for ever, its page always revalidated.
//!
//! ```
//! use unstale_server::assets::{Asset, Assets};
//!
//! // An application embeds its files and looks them up here.
//! let files = |path: &str| (path == "index.html").then(|| Asset::new("<!doctype html>", "text/html; charset=utf-8"));
//! let app: axum::Router = axum::Router::new().fallback_service(Assets::new(files).service());
//! # drop(app);
//! ```
//!
//! # Invariants
//! - A file under `/assets/` has a hash in its name, so it is immutable; everything else is revalidated by its `ETag`.
//! - Only a navigation gets the page in place of a file that is not there: a missing script is a 404 and never HTML,
//!   which a browser would keep under the script's name.
//! - Nothing under `/api` is answered with HTML.
//! - No script runs but those of this host's files (`script-src 'self'`); inline *styles* are allowed because the
//!   component library sets them.

use std::{borrow::Cow, convert::Infallible, sync::Arc};

use axum::{body::Body, response::IntoResponse as _, response::Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use tower::Service;

use crate::problem::Problem;

/// Longest path that is looked up, in bytes.
const PATH_BYTES_MAX: usize = 1024;
const PAGE: &str = "index.html";
const HASHED: &str = "assets/";
const IMMUTABLE: &str = "public, max-age=31536000, immutable";
const REVALIDATED: &str = "no-cache";
/// Content codings in the order in which they are preferred, with the suffix of the files that have them.
const CODINGS: [(&str, &str); 2] = [("br", ".br"), ("gzip", ".gz")];

const SECURITY_HEADERS: [(HeaderName, &str); 7] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; \
         font-src 'self' data:; connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; \
         frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    // Not `no-referrer`: with it browsers send `Origin: null` where the server looks for its own.
    (header::REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
];

const NOT_BUILT: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>The web part is not built</title>\
    <h1>The web part is not built</h1><p>This server was built without its pages. Build them and then the server \
    again:</p><pre>cd web\nnpm ci\nnpm run build\ncd ..\ncargo build</pre><p>The API works without them.</p></html>\n";

/// One file.
#[derive(Clone, Debug)]
pub struct Asset {
    bytes: Bytes,
    media_type: Cow<'static, str>,
    etag: HeaderValue,
}

impl Asset {
    /// A file whose entity tag is the hash of its bytes. Computing it takes time: make an asset once, or give the
    /// hash that is known ([`with_etag`](Self::with_etag)).
    pub fn new(bytes: impl Into<Bytes>, media_type: impl Into<Cow<'static, str>>) -> Self {
        let bytes = bytes.into();
        let hash = blake3::hash(&bytes).to_hex();
        Self::with_etag(bytes, media_type, &hash[..32])
    }

    /// A file with a hash of its bytes that is known: letters and digits.
    pub fn with_etag(bytes: impl Into<Bytes>, media_type: impl Into<Cow<'static, str>>, hash: &str) -> Self {
        let plain: String = hash.chars().filter(char::is_ascii_alphanumeric).collect();
        let etag = HeaderValue::from_str(&format!("\"{plain}\"")).expect("letters and digits make a header");
        Self { bytes: bytes.into(), media_type: media_type.into(), etag }
    }
}

/// Where the files come from.
pub trait AssetSource: Send + Sync + 'static {
    /// The file at `path`, which has no leading `/` and no `..`.
    fn get(&self, path: &str) -> Option<Asset>;
}

impl<F: Fn(&str) -> Option<Asset> + Send + Sync + 'static> AssetSource for F {
    fn get(&self, path: &str) -> Option<Asset> {
        self(path)
    }
}

/// Serves the files of a web application.
#[derive(Clone)]
pub struct Assets {
    source: Arc<dyn AssetSource>,
}

impl Assets {
    /// Serves the files of `source`.
    pub fn new(source: impl AssetSource) -> Self {
        Self { source: Arc::new(source) }
    }

    /// As a service, for `Router::fallback_service`.
    pub fn service(
        self,
    ) -> impl Service<Request<Body>, Response = Response, Error = Infallible, Future: Send> + Clone + Send + Sync + 'static
    {
        tower::service_fn(move |request: Request<Body>| {
            std::future::ready(Ok(self.respond(request.method(), request.uri().path(), request.headers())))
        })
    }

    /// The answer to a request.
    pub fn respond(&self, method: &Method, path: &str, headers: &HeaderMap) -> Response {
        let mut response = match self.find(method, path, headers) {
            Found::File(path, asset) => self.file(&path, asset, headers),
            Found::NotBuilt => not_built(),
            Found::Nothing => Problem::not_found().into_response(),
        };
        if *method == Method::HEAD {
            *response.body_mut() = Body::empty();
        }
        for (name, value) in SECURITY_HEADERS {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }

    fn find(&self, method: &Method, path: &str, headers: &HeaderMap) -> Found {
        if !matches!(*method, Method::GET | Method::HEAD) || is_api(path) {
            return Found::Nothing;
        }
        let Some(path) = plain_path(path) else { return Found::Nothing };
        let path = if path.is_empty() { PAGE } else { path };
        let is_variant = CODINGS.iter().any(|(_, suffix)| path.ends_with(suffix));
        if let Some(asset) = self.source.get(path).filter(|_| !is_variant) {
            return Found::File(path.to_owned(), asset);
        }
        let is_a_file = path.starts_with(HASHED) || path.rsplit('/').next().is_some_and(|name| name.contains('.'));
        if path != PAGE && (is_a_file || !is_navigation(headers)) {
            return Found::Nothing;
        }
        match self.source.get(PAGE) {
            Some(asset) => Found::File(PAGE.to_owned(), asset),
            None => Found::NotBuilt,
        }
    }

    fn file(&self, path: &str, asset: Asset, request: &HeaderMap) -> Response {
        let variants = CODINGS.map(|(coding, suffix)| (coding, self.source.get(&format!("{path}{suffix}"))));
        let varies = variants.iter().any(|(_, variant)| variant.is_some());
        let media_type = asset.media_type.clone();
        let chosen = variants
            .into_iter()
            .find_map(|(coding, variant)| variant.filter(|_| accepts(request, coding)).map(|asset| (coding, asset)));
        let (coding, asset) = match chosen {
            Some((coding, asset)) => (Some(coding), asset),
            None => (None, asset),
        };
        let mut response = Response::new(Body::empty());
        let headers = response.headers_mut();
        let lifetime = if path.starts_with(HASHED) { IMMUTABLE } else { REVALIDATED };
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(lifetime));
        headers.insert(header::ETAG, asset.etag.clone());
        if varies {
            headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        }
        if is_known(request, &asset.etag) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return response;
        }
        let binary = HeaderValue::from_static("application/octet-stream");
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_str(&media_type).unwrap_or(binary));
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(asset.bytes.len()));
        if let Some(coding) = coding {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding));
        }
        *response.body_mut() = Body::from(asset.bytes);
        response
    }
}

enum Found {
    File(String, Asset),
    NotBuilt,
    Nothing,
}

fn not_built() -> Response {
    let headers = [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CACHE_CONTROL, "no-store")];
    (StatusCode::SERVICE_UNAVAILABLE, headers, NOT_BUILT).into_response()
}

fn is_api(path: &str) -> bool {
    path == "/api" || path.starts_with("/api/")
}

/// The path as a source sees it. Files of a build have plain names: what is escaped, or would leave its directory,
/// is none of them.
fn plain_path(path: &str) -> Option<&str> {
    let path = path.strip_prefix('/')?;
    let plain = path.len() <= PATH_BYTES_MAX
        && !path.contains(['%', '\\', '\0'])
        && path.split('/').all(|segment| !matches!(segment, "." | ".."))
        && !path.starts_with('/')
        && !path.contains("//");
    plain.then_some(path)
}

/// Whether a person goes to the address, as against a page that loads a part.
fn is_navigation(headers: &HeaderMap) -> bool {
    match headers.get("sec-fetch-mode") {
        Some(mode) => mode == "navigate",
        None => headers
            .get_all(header::ACCEPT)
            .iter()
            .any(|accept| accept.to_str().is_ok_and(|accept| accept.contains("text/html"))),
    }
}

/// Whether `Accept-Encoding` names the coding with a weight above zero (RFC 9110, §12.5.3); `*` stands for those not
/// named.
fn accepts(headers: &HeaderMap, coding: &str) -> bool {
    let mut any = None;
    let values = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    for item in values.flat_map(|value| value.split(',')) {
        let mut parts = item.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        let is_wanted = weight.is_none_or(|weight| weight.parse::<f32>().is_ok_and(|weight| weight > 0.0));
        if name.eq_ignore_ascii_case(coding) {
            return is_wanted;
        }
        if name == "*" {
            any = Some(is_wanted);
        }
    }
    any.unwrap_or(false)
}

/// Whether `If-None-Match` names the tag, by weak comparison (RFC 9110, §13.1.2). Our tags hold no comma.
fn is_known(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok()).any(|value| {
        value.trim() == "*"
            || value.split(',').any(|tag| {
                let tag = tag.trim();
                tag.strip_prefix("W/").unwrap_or(tag).as_bytes() == etag.as_bytes()
            })
    })
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    fn built(path: &str) -> Option<Asset> {
        let (text, media_type) = match path {
            "index.html" => ("<!doctype html>page", "text/html; charset=utf-8"),
            "assets/app-1a2b.js" => ("code", "text/javascript"),
            "assets/app-1a2b.js.br" => ("br code", "application/octet-stream"),
            "assets/app-1a2b.js.gz" => ("gz code", "application/octet-stream"),
            "favicon.svg" => ("<svg/>", "image/svg+xml"),
            _ => return None,
        };
        Some(Asset::new(text, media_type))
    }

    struct Got {
        status: u16,
        headers: HeaderMap,
        body: String,
    }

    impl Got {
        fn header(&self, name: &str) -> &str {
            self.headers.get(name).map_or("", |value| value.to_str().unwrap())
        }
    }

    async fn ask(assets: &Assets, method: Method, path: &str, headers: &[(&str, &str)]) -> Got {
        let mut request = HeaderMap::new();
        for (name, value) in headers {
            request.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        let response = assets.respond(&method, path, &request);
        let (parts, body) = response.into_parts();
        let body = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        Got { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    async fn get(path: &str, headers: &[(&str, &str)]) -> Got {
        ask(&Assets::new(built), Method::GET, path, headers).await
    }

    const NAVIGATION: [(&str, &str); 1] = [("accept", "text/html,*/*;q=0.8")];

    #[tokio::test]
    async fn hashed_files_are_immutable_and_the_page_is_revalidated() {
        let script = get("/assets/app-1a2b.js", &[]).await;
        assert_eq!((script.status, script.body.as_str()), (200, "code"));
        assert_eq!(script.header("cache-control"), IMMUTABLE);
        for path in ["/", "/index.html", "/favicon.svg"] {
            let got = get(path, &[]).await;
            assert_eq!((got.status, got.header("cache-control")), (200, "no-cache"), "{path}");
            let etag = got.header("etag").to_owned();
            assert!(etag.starts_with('"'), "{etag} is not strong");
            let again = get(path, &[("if-none-match", &format!("\"other\", W/{etag}"))]).await;
            assert_eq!((again.status, again.body.as_str(), again.header("etag")), (304, "", etag.as_str()));
        }
    }

    #[tokio::test]
    async fn only_navigations_get_the_page_for_what_is_not_there() {
        let got = get("/flows/42", &NAVIGATION).await;
        assert_eq!((got.status, got.body.as_str()), (200, "<!doctype html>page"));
        assert_eq!(get("/flows/42", &[("sec-fetch-mode", "cors"), NAVIGATION[0]]).await.status, 404);
        assert_eq!(get("/flows/42", &[("accept", "*/*")]).await.status, 404);
        for path in ["/assets/gone-1.js", "/gone.png", "/api", "/api/v1/gone", "/../etc/passwd", "/a/%2e%2e/b", "//x"] {
            let got = get(path, &NAVIGATION).await;
            assert_eq!(got.status, 404, "{path}");
            assert_eq!(got.header("content-type"), "application/problem+json", "{path}");
        }
        assert_eq!(ask(&Assets::new(built), Method::POST, "/flows", &NAVIGATION).await.status, 404);
    }

    #[tokio::test]
    async fn compressed_files_are_chosen_by_what_the_client_accepts() {
        let path = "/assets/app-1a2b.js";
        let mut etags = Vec::new();
        for (accepted, coding, body) in [
            ("gzip, deflate, br", "br", "br code"),
            ("gzip", "gzip", "gz code"),
            ("br;q=0, gzip;q=0.5", "gzip", "gz code"),
            ("*", "br", "br code"),
            ("br;q=0, *;q=0", "", "code"),
            ("identity", "", "code"),
        ] {
            let got = get(path, &[("accept-encoding", accepted)]).await;
            assert_eq!((got.header("content-encoding"), got.body.as_str()), (coding, body), "{accepted}");
            assert_eq!((got.header("content-type"), got.header("vary")), ("text/javascript", "accept-encoding"));
            etags.push(got.header("etag").to_owned());
        }
        assert!(etags[0] != etags[1] && etags[1] != etags[5] && etags[0] != etags[5]);
        assert_eq!(get("/assets/app-1a2b.js.br", &[]).await.status, 404);
    }

    #[tokio::test]
    async fn every_answer_is_hardened() {
        for path in ["/", "/gone.js", "/assets/app-1a2b.js"] {
            let got = get(path, &[]).await;
            assert!(got.header("content-security-policy").contains("script-src 'self';"), "{path}");
            assert!(got.header("content-security-policy").contains("frame-ancestors 'none'"), "{path}");
            assert_eq!(got.header("x-content-type-options"), "nosniff", "{path}");
        }
    }

    #[tokio::test]
    async fn head_has_no_body_but_its_length() {
        let got = ask(&Assets::new(built), Method::HEAD, "/favicon.svg", &[]).await;
        assert_eq!((got.status, got.body.as_str(), got.header("content-length")), (200, "", "6"));
    }

    #[tokio::test]
    async fn without_a_build_the_page_says_how_to_make_one() {
        let empty = Assets::new(|_: &str| None);
        let got = ask(&empty, Method::GET, "/", &[]).await;
        assert_eq!(got.status, 503);
        assert!(got.body.contains("npm run build") && got.header("cache-control") == "no-store");
    }
}
