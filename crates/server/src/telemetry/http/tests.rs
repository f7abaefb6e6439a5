use std::convert::Infallible;

use axum::{Extension, Router, body::Body, routing::get};
use futures_util::{FutureExt as _, future::BoxFuture};
use http_body_util::BodyExt as _;
use parking_lot::Mutex;
use tower::ServiceExt as _;

use super::*;
use crate::telemetry::BuildInfo;

fn app(metrics: &Arc<Metrics>) -> Router {
    Router::new()
        .route(
            "/flows/{id}",
            get(|Extension(context): Extension<TraceContext>| async move {
                assert_eq!(current_trace_id(), Some(context.trace_id()));
                ([("x-cache", "HIT")], context.to_string())
            }),
        )
        .route("/slow", get(std::future::pending::<()>))
        .layer(HttpTelemetry::new(metrics.clone()))
}

fn metrics() -> Arc<Metrics> {
    Arc::new(Metrics::new(&BuildInfo { version: "1", commit: "c" }))
}

fn request(path: &str, traceparent: &str) -> Request<Body> {
    Request::get(path).header("traceparent", traceparent).body(Body::empty()).unwrap()
}

async fn text(response: Response<Body>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

#[tokio::test]
async fn the_callers_trace_goes_on_and_a_malformed_one_does_not() {
    let metrics = metrics();
    let sent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let got = text(app(&metrics).oneshot(request("/flows/1", sent)).await.unwrap()).await;
    assert!(got.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-") && !got.contains("00f067aa0ba902b7"), "{got}");
    let got = text(app(&metrics).oneshot(request("/flows/1", "nonsense")).await.unwrap()).await;
    assert!(TraceContext::parse(&got).is_some() && !got.contains("4bf92f"), "{got}");
}

#[tokio::test]
async fn requests_are_counted_by_matched_route_and_by_verdict() {
    let metrics = metrics();
    for id in 0..3 {
        app(&metrics).oneshot(request(&format!("/flows/{id}"), "")).await.unwrap();
    }
    app(&metrics).oneshot(Request::builder().method("BREW").uri("/pot").body(Body::empty()).unwrap()).await.unwrap();
    let told = metrics.render();
    assert!(told.contains(r#"http_requests_total{method="GET",route="/flows/{id}",status="200"} 3"#), "{told}");
    assert!(told.contains(r#"http_requests_total{method="OTHER",route="(unmatched)",status="404"} 1"#), "{told}");
    assert!(told.contains(r#"cache_hit_rate{endpoint="/flows/{id}",cache_type="http"} 1.0"#), "{told}");
}

/// An answer of a service that may have it at once.
enum Answer {
    There(Option<Response<()>>),
    Coming(BoxFuture<'static, Result<Response<()>, Infallible>>),
}

impl AtOnce for Answer {
    fn at_once(&self) -> Option<Told<'_>> {
        match self {
            Self::There(response) => response.as_ref().map(Told::of),
            Self::Coming(_) => None,
        }
    }
}

impl Future for Answer {
    type Output = Result<Response<()>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::There(response) => Poll::Ready(Ok(response.take().unwrap())),
            Self::Coming(answer) => answer.as_mut().poll(cx),
        }
    }
}

fn watched(metrics: &Arc<Metrics>, call: impl FnOnce() -> Answer) -> WatchedAnswer<Answer> {
    let route = Arc::new(WatchedRoute::new("/items/{id}".into()));
    HttpTelemetry::new(metrics.clone()).watch(Some(route), request("/items/7", "").into_parts().0, |_| call())
}

#[tokio::test]
async fn an_answer_is_counted_once_whether_it_is_there_or_to_come() {
    let hit = || Response::builder().header("x-cache", "HIT").body(()).unwrap();
    for coming in [false, true] {
        let metrics = metrics();
        let answer = watched(&metrics, || {
            if coming { Answer::Coming(std::future::ready(Ok(hit())).boxed()) } else { Answer::There(Some(hit())) }
        });
        let told_of = metrics.render().contains("/items/{id}");
        assert_eq!(told_of, !coming, "what is to come is not told of yet");
        answer.await.unwrap();
        let told = metrics.render();
        assert!(told.contains(r#"http_requests_total{method="GET",route="/items/{id}",status="200"} 1"#), "{told}");
        assert!(told.contains(r#"cache_hit_rate{endpoint="/items/{id}",cache_type="http"} 1.0"#), "{told}");
    }
}

#[tokio::test]
async fn a_trace_that_begins_while_a_service_is_called_goes_on_while_its_answer_is_waited_for() {
    let (asked, ids) = (Arc::new(Mutex::new(Vec::new())), || current_trace_id().unwrap());
    let noted = asked.clone();
    let answer = watched(&metrics(), || {
        noted.lock().push(ids());
        Answer::Coming(Box::pin(async move {
            noted.lock().extend([ids(), ids()]);
            Ok(Response::new(()))
        }))
    });
    assert_eq!(current_trace_id(), None);
    answer.await.unwrap();
    let asked = asked.lock();
    assert!(asked.len() == 3 && asked.iter().all(|id| *id == asked[0]), "{asked:?}");
}

#[tokio::test]
async fn a_caller_who_hangs_up_is_counted() {
    let metrics = metrics();
    let mut answer = app(&metrics).oneshot(request("/slow", "")).boxed();
    assert!((&mut answer).now_or_never().is_none());
    drop(answer);
    assert!(metrics.render().contains(r#"route="/slow",status="499"} 1"#));
}
