//! Start, readiness and graceful stop of an HTTP server.
//!
//! ```no_run
//! # async fn start(app: axum::Router) -> Result<(), unstale_server::run::RunError> {
//! use std::time::Duration;
//! use unstale_server::run::{Readiness, Server, stop_signal};
//!
//! let readiness = Readiness::new().check("database", Duration::from_secs(2), || async { Ok(()) });
//! let server = Server::bind("127.0.0.1:8080".parse().unwrap()).await?.readiness(readiness);
//! server.run(app, stop_signal()).await
//! # }
//! ```
//!
//! # Invariants
//! - `/healthz` answers as long as the process lives; `/readyz` answers 200 only if every check passes within its
//!   limit and the server is not stopping.
//! - After the stop signal no new connection is accepted, what runs may end within the drain limit, and then `run`
//!   returns, whatever is still open.
//! - A client that is gone without a word, or takes nothing any more, is cut off after a while and not when TCP gives up,
//!   which is a quarter of an hour or never (on Linux; elsewhere the system decides).

use std::{
    future::IntoFuture as _,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use axum::{Router, response::IntoResponse, routing::get, serve::ListenerExt as _};
use futures_util::future::{BoxFuture, FutureExt as _, join_all};
use http::{HeaderValue, header};
use tokio::{net::TcpListener, sync::Notify};

use crate::problem::Problem;

/// How long requests that run may still take after the stop signal.
pub const DRAIN_LIMIT: Duration = Duration::from_secs(10);

/// How long what was sent to a client may stay without a sign that it has come, before its connection is cut off.
pub const UNACKNOWLEDGED_LIMIT: Duration = Duration::from_secs(60);

/// Why the server did not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The address cannot be listened on.
    #[error("cannot listen on {addr}: {source}; is another server running there?")]
    Bind {
        /// The address.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Serving ended.
    #[error("serving ended: {0}")]
    Serve(#[from] io::Error),
}

type Probe = Box<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// What must be well for the server to be given requests.
#[derive(Default)]
pub struct Readiness {
    checks: Vec<Check>,
    stopping: Arc<AtomicBool>,
}

struct Check {
    name: &'static str,
    limit: Duration,
    probe: Probe,
}

impl Readiness {
    /// Nothing is asked for yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a check. Its error is told to whoever asks `/readyz`, so it must hold no secret.
    #[must_use]
    pub fn check<F, P>(mut self, name: &'static str, limit: Duration, probe: F) -> Self
    where
        F: Fn() -> P + Send + Sync + 'static,
        P: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.checks.push(Check { name, limit, probe: Box::new(move || probe().boxed()) });
        self
    }

    /// Everything that is not ready, with the reason.
    pub async fn unready(&self) -> Vec<(&'static str, String)> {
        let asked = self.checks.iter().map(|check| async {
            let fault = match tokio::time::timeout(check.limit, (check.probe)()).await {
                Ok(Ok(())) => return None,
                Ok(Err(reason)) => reason,
                Err(_) => format!("did not answer within {} ms", check.limit.as_millis()),
            };
            Some((check.name, fault))
        });
        let mut unready: Vec<_> = join_all(asked).await.into_iter().flatten().collect();
        if self.stopping.load(Relaxed) {
            unready.push(("server", "is stopping".to_owned()));
        }
        unready
    }

    /// The same with `/healthz` and `/readyz`, for who answers by a listener of their own.
    pub(crate) fn around(self, app: Router) -> Answers {
        let stopping = self.stopping.clone();
        Answers { app: app.merge(self.routes()), stopping }
    }

    /// `/healthz` and `/readyz`.
    fn routes(self) -> Router {
        let readiness = Arc::new(self);
        let ready = move || {
            let readiness = readiness.clone();
            async move { answer(&readiness.unready().await) }
        };
        Router::new().route("/healthz", get(|| async { well("alive") })).route("/readyz", get(ready))
    }
}

/// What answers requests, and how it is told that it is to stop.
pub(crate) struct Answers {
    pub(crate) app: Router,
    /// From now on it is not ready.
    pub(crate) stopping: Arc<AtomicBool>,
}

fn answer(unready: &[(&'static str, String)]) -> axum::response::Response {
    if unready.is_empty() {
        return well("ready").into_response();
    }
    let names: Vec<&str> = unready.iter().map(|(name, _)| *name).collect();
    let reasons: serde_json::Map<_, _> =
        unready.iter().map(|(name, reason)| ((*name).to_owned(), reason.as_str().into())).collect();
    Problem::unavailable(format!("Not ready: {}.", names.join(", ")))
        .extension("unready", reasons)
        .retry_after(Duration::from_secs(1))
        .into_response()
}

fn well(status: &'static str) -> impl IntoResponse + use<> {
    let no_store = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    (no_store, axum::Json(serde_json::json!({ "status": status })))
}

/// A server that listens but does not answer yet.
pub struct Server {
    listener: TcpListener,
    readiness: Readiness,
    drain_limit: Duration,
    unacknowledged_limit: Duration,
    on_stop: Vec<Box<dyn FnOnce() + Send>>,
}

impl Server {
    /// Begins to listen.
    pub async fn bind(addr: SocketAddr) -> Result<Self, RunError> {
        let listener = TcpListener::bind(addr).await.map_err(|source| RunError::Bind { addr, source })?;
        Ok(Self {
            listener,
            readiness: Readiness::new(),
            drain_limit: DRAIN_LIMIT,
            unacknowledged_limit: UNACKNOWLEDGED_LIMIT,
            on_stop: Vec::new(),
        })
    }

    /// Where it listens; the port is known even if 0 was asked for.
    pub fn local_addr(&self) -> Result<SocketAddr, RunError> {
        Ok(self.listener.local_addr()?)
    }

    /// Sets what must be well.
    #[must_use]
    pub fn readiness(mut self, readiness: Readiness) -> Self {
        self.readiness = readiness;
        self
    }

    /// Sets how long requests may still take after the stop signal.
    #[must_use]
    pub fn drain_limit(mut self, limit: Duration) -> Self {
        self.drain_limit = limit;
        self
    }

    /// Sets how long a client may give no sign that what was sent to it has come, or take nothing of what it is to be sent.
    #[must_use]
    pub fn unacknowledged_limit(mut self, limit: Duration) -> Self {
        self.unacknowledged_limit = limit;
        self
    }

    /// Adds something to do at the stop signal, such as closing sockets; must not block.
    #[must_use]
    pub fn on_stop(mut self, action: impl FnOnce() + Send + 'static) -> Self {
        self.on_stop.push(Box::new(action));
        self
    }

    /// Answers requests until `stop` is over and what runs has ended. Handlers find the peer's address as
    /// `ConnectInfo<SocketAddr>`.
    pub async fn run(self, app: Router, stop: impl Future<Output = ()> + Send + 'static) -> Result<(), RunError> {
        let Self { listener, readiness, drain_limit, unacknowledged_limit, on_stop } = self;
        let stopping = readiness.stopping.clone();
        let stopped = Arc::new(Notify::new());
        let told = stopped.clone();
        let stop = async move {
            stop.await;
            tracing::info!("stopping");
            stopping.store(true, Relaxed);
            on_stop.into_iter().for_each(|action| action());
            told.notify_one();
        };
        let app = app.merge(readiness.routes()).into_make_service_with_connect_info::<SocketAddr>();
        // Small answers must not wait for more to come (Nagle); a socket that refuses the option still works.
        let listener = listener.tap_io(move |stream| {
            let _ = stream.set_nodelay(true);
            #[cfg(target_os = "linux")]
            let _ = socket2::SockRef::from(&*stream).set_tcp_user_timeout(Some(unacknowledged_limit));
            #[cfg(not(target_os = "linux"))]
            let _ = unacknowledged_limit;
        });
        let serving = axum::serve(listener, app).with_graceful_shutdown(stop).into_future();
        let too_late = async {
            stopped.notified().await;
            tokio::time::sleep(drain_limit).await;
        };
        tokio::select! {
            served = serving => served?,
            () = too_late => tracing::warn!(limit_s = drain_limit.as_secs(), "requests were cut off: the drain limit is over"),
        }
        tracing::info!("stopped");
        Ok(())
    }
}

/// Is over at Ctrl-C, and at SIGTERM where there are signals.
pub async fn stop_signal() {
    let interrupt = async {
        if tokio::signal::ctrl_c().await.is_err() {
            // No handler could be set: then nobody can stop us this way.
            std::future::pending::<()>().await;
        }
    };
    #[cfg(unix)]
    let terminate = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending::<()>().await,
        }
    };
    #[cfg(not(unix))]
    let terminate = std::future::pending::<()>();
    tokio::select! {
        () = interrupt => {}
        () = terminate => {}
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http::{Request, StatusCode};
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::*;

    async fn ask(readiness: Readiness, path: &str) -> (StatusCode, String) {
        let response = readiness.routes().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
        let status = response.status();
        (status, String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap())
    }

    #[tokio::test]
    async fn is_ready_when_every_check_passes() {
        let readiness = Readiness::new().check("database", Duration::from_secs(1), || async { Ok(()) });
        assert_eq!(ask(readiness, "/readyz").await.0, StatusCode::OK);
    }

    #[tokio::test(start_paused = true)]
    async fn names_what_is_not_ready_and_lives_all_the_same() {
        let readiness = || {
            Readiness::new()
                .check("database", Duration::from_secs(1), || async { Err("refused the connection".to_owned()) })
                .check("origin", Duration::from_secs(2), std::future::pending)
                .check("cache", Duration::from_secs(1), || async { Ok(()) })
        };
        let (status, body) = ask(readiness(), "/readyz").await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(body.contains("Not ready: database, origin.") && body.contains("within 2000 ms"), "{body}");
        assert_eq!(ask(readiness(), "/healthz").await.0, StatusCode::OK);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_client_that_takes_nothing_is_cut_off() {
        use futures_util::stream;
        use tokio::{io::AsyncWriteExt as _, net::TcpStream, sync::oneshot};

        let server = Server::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let addr = server.local_addr().unwrap();
        let (held, cut_off) = oneshot::channel::<()>();
        let held = Arc::new(std::sync::Mutex::new(Some(held)));
        // Gone with the body, when nobody can take it any more.
        let endless = get(move || {
            let held = held.lock().unwrap().take();
            async move {
                Body::from_stream(stream::repeat_with(move || {
                    let _ = &held;
                    Ok::<_, std::convert::Infallible>(vec![0; 65_536])
                }))
            }
        });
        let app = Router::new().route("/", endless);
        let running = server.unacknowledged_limit(Duration::from_millis(200)).run(app, std::future::pending());
        let running = tokio::spawn(running);
        let mut client = TcpStream::connect(addr).await.unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let gone = tokio::time::timeout(Duration::from_secs(30), cut_off).await;
        assert!(gone.expect("its connection is still held").is_err());
        running.abort();
    }

    #[tokio::test]
    async fn is_not_ready_while_it_stops() {
        let readiness = Readiness::new();
        readiness.stopping.store(true, Relaxed);
        let (status, body) = ask(readiness, "/readyz").await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(body.contains("is stopping"), "{body}");
    }
}
