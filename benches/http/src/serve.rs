//! The contenders that are Rust: the same bytes from memory by hyper alone, by axum, by axum under the cache layer.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    body::Bytes,
    http::{HeaderValue, Request, Response, StatusCode, header},
    response::IntoResponse as _,
    routing::get,
};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use unstale::{Cache, MemoryStore, Policy, Tag, Tenant};
use unstale_http::{CacheLayer, Identity, RoutePolicies, RoutePolicy};

/// The validator of the bytes, where a contender does not make one.
pub const ETAG: &str = "\"of-the-bench\"";

/// What is served how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// hyper, and a function that makes the response.
    Hyper,
    /// axum, and a handler that returns the bytes: the yardstick. Also the backend of the proxies.
    Axum,
    /// The same handler under the cache layer, with a verified identity and ten tags.
    Layer,
}

impl Kind {
    /// By its name on the command line.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Hyper, Self::Axum, Self::Layer].into_iter().find(|kind| kind.name() == name)
    }

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hyper => "hyper",
            Self::Axum => "axum",
            Self::Layer => "layer",
        }
    }
}

/// 2 KB of JSON.
pub fn body() -> Bytes {
    let row = |id: usize| serde_json::json!({"id": id, "source": format!("column_{id}"), "target": "customer.name"});
    let mut rows = Vec::new();
    while serde_json::to_vec(&rows).expect("it is JSON").len() < 1960 {
        rows.push(row(rows.len()));
    }
    serde_json::to_vec(&rows).expect("it is JSON").into()
}

/// Serves until the process is ended.
#[tokio::main]
pub async fn serve(kind: Kind, address: SocketAddr) {
    let listener = TcpListener::bind(address).await.expect("the address is free");
    let body = body();
    // The request is looked at where it is: taking a copy of its headers would cost the yardstick.
    let handler = move |request: Request<axum::body::Body>| async move {
        if kind == Kind::Layer {
            // What repositories do while a handler runs.
            (0..10).for_each(|row| unstale::record(&Tag::shared("row", row)));
        }
        if request.headers().get(header::IF_NONE_MATCH).is_some_and(|known| known == ETAG) {
            return (StatusCode::NOT_MODIFIED, [(header::ETAG, ETAG)]).into_response();
        }
        ([(header::CONTENT_TYPE, "application/json"), (header::ETAG, ETAG)], body).into_response()
    };
    let app = Router::new().route("/items/{id}", get(handler.clone())).fallback(get(handler));
    match kind {
        Kind::Hyper => hyper(listener).await,
        Kind::Axum => axum::serve(nodelay(listener), app).await.expect("serving does not end"),
        Kind::Layer => axum::serve(nodelay(listener), over_cache(app).await).await.expect("serving does not end"),
    }
}

fn nodelay(listener: TcpListener) -> impl axum::serve::Listener<Io = tokio::net::TcpStream, Addr = SocketAddr> {
    use axum::serve::ListenerExt as _;
    listener.tap_io(|stream| stream.set_nodelay(true).expect("a socket takes the option"))
}

async fn hyper(listener: TcpListener) {
    let body = body();
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        stream.set_nodelay(true).expect("a socket takes the option");
        let body = body.clone();
        let answer = move |_: Request<Incoming>| {
            let mut response = Response::new(Full::new(body.clone()));
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            response.headers_mut().insert(header::ETAG, HeaderValue::from_static(ETAG));
            std::future::ready(Ok::<_, Infallible>(response))
        };
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer)));
    }
}

async fn over_cache(app: Router) -> Router {
    let cache = Cache::builder(Arc::new(MemoryStore::default())).build().await.expect("a store in memory takes it");
    let policy = RoutePolicy::cached("items", Policy::ttl(Duration::from_secs(3600)));
    let routes = RoutePolicies::builder().route("/items/{id}", policy).build().expect("the routes are right");
    let identity = Identity::new(Tenant::new("acme").expect("a name"), "user-42").session("session-7");
    app.layer(CacheLayer::new(cache, routes, b"a secret of 32 bytes, for a bench")).layer(Extension(identity))
}
