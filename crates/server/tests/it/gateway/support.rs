//! A gateway before an upstream, raw connections to it, and upstreams that say exactly what a test wants.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use http::Request;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::{mpsc, oneshot},
    task::JoinHandle,
};
use tower::{ServiceExt as _, util::BoxCloneSyncService};
use unstale_server::gateway::{
    listen::{ListenHandle, ListenSettings, Listener, Mounted, RequestBody},
    proxy::{Forward, ForwardBody, ForwardSettings},
    upstream::{ServerAddress, Target, Upstream, UpstreamSettings},
};

/// How long a test waits for what must come.
pub(super) const LIMIT: Duration = Duration::from_secs(10);

/// Fails the test if it takes too long.
pub(super) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, what).await.expect("it takes too long")
}

/// Waits until it is so.
pub(super) async fn until(so: impl Fn() -> bool) {
    soon(async {
        while !so() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

/// A gateway that runs; it stops when it is dropped.
pub(super) struct Gateway {
    pub(super) addr: SocketAddr,
    pub(super) upstream: Arc<Upstream>,
    pub(super) forward: Forward,
    pub(super) handle: ListenHandle,
    stop: Option<oneshot::Sender<()>>,
    pub(super) task: Option<JoinHandle<()>>,
}

type Service = BoxCloneSyncService<Request<RequestBody>, http::Response<ForwardBody>, Infallible>;

impl Gateway {
    pub(super) async fn before(addr: SocketAddr) -> Self {
        Self::start(upstream_of([addr]), local(), ForwardSettings::default()).await
    }

    pub(super) async fn start(upstream: UpstreamSettings, listen: ListenSettings, forward: ForwardSettings) -> Self {
        let upstream = Upstream::new(upstream).unwrap();
        let forward = Forward::new(forward);
        let (target, inner) = (Target(upstream.clone()), forward.clone());
        let service: Service = BoxCloneSyncService::new(inner.map_request(move |mut request: Request<RequestBody>| {
            request.extensions_mut().insert(target.clone());
            request
        }));
        let listener = Listener::bind(listen).await.unwrap();
        let (addr, handle) = (listener.local_addr().unwrap(), listener.handle());
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(listener.run(Mounted(service), async move { drop(stopped.await) }));
        Self { addr, upstream, forward, handle, stop: Some(stop), task: Some(task) }
    }

    /// Says stop; the task ends when it has drained.
    pub(super) fn stop(&mut self) -> JoinHandle<()> {
        self.stop.take();
        self.task.take().unwrap()
    }

    pub(super) async fn connect(&self) -> Raw {
        Raw(TcpStream::connect(self.addr).await.unwrap())
    }

    /// Sends this text on a connection of its own and returns all that comes until the connection ends.
    pub(super) async fn send(&self, text: &str) -> String {
        let mut raw = self.connect().await;
        raw.write(text).await;
        raw.rest().await
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.task.iter().for_each(JoinHandle::abort);
    }
}

pub(super) fn local() -> ListenSettings {
    ListenSettings { drain_limit: Duration::from_secs(5), ..ListenSettings::new("127.0.0.1:0".parse().unwrap()) }
}

pub(super) fn upstream_of(servers: impl IntoIterator<Item = SocketAddr>) -> UpstreamSettings {
    let address = |addr: SocketAddr| ServerAddress { tls: false, host: addr.ip().to_string(), port: addr.port() };
    UpstreamSettings::new("backend", servers.into_iter().map(address))
}

/// A connection on which a test says and reads exactly what it wants.
pub(super) struct Raw(pub(super) TcpStream);

impl Raw {
    pub(super) async fn write(&mut self, text: impl AsRef<[u8]>) {
        self.0.write_all(text.as_ref()).await.unwrap();
    }

    /// All that comes until the connection ends, well or not.
    pub(super) async fn rest(&mut self) -> String {
        let mut read = Vec::new();
        let _ = soon(self.0.read_to_end(&mut read)).await;
        String::from_utf8_lossy(&read).into_owned()
    }

    /// All that comes until this was read.
    pub(super) async fn until(&mut self, end: &str) -> String {
        let mut read = Vec::new();
        soon(async {
            while !read.windows(end.len()).any(|window| window == end.as_bytes()) {
                let mut bytes = [0; 4096];
                let n = self.0.read(&mut bytes).await.unwrap_or(0);
                assert!(n > 0, "the connection ended; so far: {}", String::from_utf8_lossy(&read));
                read.extend_from_slice(&bytes[..n]);
            }
        })
        .await;
        String::from_utf8_lossy(&read).into_owned()
    }
}

/// An axum application as upstream.
pub(super) async fn app(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    addr
}

/// An upstream whose connections a test takes one by one.
pub(super) struct RawUpstream {
    pub(super) addr: SocketAddr,
    connections: mpsc::UnboundedReceiver<TcpStream>,
}

impl RawUpstream {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (sender, connections) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if sender.send(stream).is_err() {
                    return;
                }
            }
        });
        Self { addr, connections }
    }

    /// The next connection.
    pub(super) async fn accept(&mut self) -> Raw {
        Raw(soon(self.connections.recv()).await.unwrap())
    }

    /// Whether another connection came.
    pub(super) fn came(&mut self) -> bool {
        self.connections.try_recv().is_ok()
    }

    /// Answers each request that has no body with this text, for ever, and tells what was asked.
    pub(super) async fn answering(text: &'static str) -> (SocketAddr, mpsc::UnboundedReceiver<String>) {
        let mut upstream = Self::start().await;
        let (sender, asked) = mpsc::unbounded_channel();
        let addr = upstream.addr;
        tokio::spawn(async move {
            while let Some(stream) = upstream.connections.recv().await {
                let sender = sender.clone();
                tokio::spawn(async move {
                    let mut raw = Raw(stream);
                    let mut read = String::new();
                    let mut bytes = [0; 4096];
                    while let Ok(n @ 1..) = raw.0.read(&mut bytes).await {
                        read.push_str(&String::from_utf8_lossy(&bytes[..n]));
                        if let Some(end) = read.find("\r\n\r\n") {
                            let rest = read.split_off(end + 4);
                            let _ = sender.send(std::mem::replace(&mut read, rest));
                            raw.write(text).await;
                        }
                    }
                });
            }
        });
        (addr, asked)
    }
}
