//! Extractors as axum's own, whose refusals are problems that name the field and what was expected.

use std::error::Error;

use axum::{
    extract::{
        FromRequest, FromRequestParts, Request,
        path::ErrorKind,
        rejection::{BytesRejection, FailedToBufferBody, JsonRejection, PathRejection, QueryRejection},
    },
    response::{IntoResponse, Response},
};
use http::{StatusCode, request::Parts};
use serde::{Serialize, de::DeserializeOwned};

use super::{FieldError, Problem};

/// Longest part of a caller's value that a message repeats.
const QUOTED_CHARS_MAX: usize = 64;

/// A JSON body, in and out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Json<T>(pub T);

/// The parameters of the path.
#[derive(Clone, Copy, Debug, Default)]
pub struct Path<T>(pub T);

/// The parameters of the query.
#[derive(Clone, Copy, Debug, Default)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        match axum::Json::from_request(request, state).await {
            Ok(axum::Json(value)) => Ok(Self(value)),
            Err(rejection) => Err(of_json(&rejection)),
        }
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match axum::extract::Path::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(rejection) => Err(of_path(rejection)),
        }
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match axum::extract::Query::from_request_parts(parts, state).await {
            Ok(axum::extract::Query(value)) => Ok(Self(value)),
            Err(rejection) => Err(of_query(&rejection)),
        }
    }
}

impl From<BytesRejection> for Problem {
    fn from(rejection: BytesRejection) -> Self {
        of_body(&rejection)
    }
}

fn of_body(rejection: &BytesRejection) -> Problem {
    match rejection {
        BytesRejection::FailedToBufferBody(FailedToBufferBody::LengthLimitError(_)) => Problem::too_large(),
        _ => Problem::bad_request("The body ended before it was complete. Send it again."),
    }
}

fn of_json(rejection: &JsonRejection) -> Problem {
    match rejection {
        JsonRejection::MissingJsonContentType(_) => Problem::unsupported_media_type("application/json"),
        JsonRejection::BytesRejection(rejection) => of_body(rejection),
        rejection => match source::<serde_path_to_error::Error<serde_json::Error>>(rejection) {
            Some(error) if error.inner().is_data() => {
                Problem::unprocessable([FieldError::new(field(error.path()), reason(error.inner()))])
            }
            Some(error) => Problem::bad_request(format!("The body is no valid JSON: {}.", error.inner())),
            None => Problem::bad_request("The body is no valid JSON."),
        },
    }
}

fn of_query(rejection: &QueryRejection) -> Problem {
    match source::<serde_path_to_error::Error<serde::de::value::Error>>(rejection) {
        Some(error) => {
            let error = FieldError::new(field(error.path()), error.inner().to_string());
            Problem::bad_request("The query is not valid. See errors.").errors([error])
        }
        None => Problem::bad_request("The query is not valid."),
    }
}

/// A path that does not fit its type names nothing, so it is *not found*: the same answer as for an unknown id.
fn of_path(rejection: PathRejection) -> Problem {
    let PathRejection::FailedToDeserializePathParams(failed) = rejection else {
        return Problem::internal(&rejection);
    };
    if failed.status() == StatusCode::INTERNAL_SERVER_ERROR {
        return Problem::internal(&failed);
    }
    let error = match failed.into_kind() {
        ErrorKind::ParseErrorAtKey { key, value, expected_type } => {
            FieldError::new(key, expected(expected_type, &value))
        }
        ErrorKind::ParseErrorAtIndex { index, value, expected_type } => {
            FieldError::new(format!("parameter {}", index + 1), expected(expected_type, &value))
        }
        ErrorKind::ParseError { value, expected_type } => FieldError::new("path", expected(expected_type, &value)),
        ErrorKind::DeserializeError { key, value, message } => {
            FieldError::new(key, format!("{message}, got {:?}", quoted(&value)))
        }
        ErrorKind::InvalidUtf8InPathParam { key } => FieldError::new(key, "must be percent-encoded UTF-8"),
        other => FieldError::new("path", other.to_string()),
    };
    Problem::not_found().errors([error])
}

fn expected(expected_type: &str, value: &str) -> String {
    format!("expected {expected_type}, got {:?}", quoted(value))
}

fn quoted(value: &str) -> String {
    value.chars().take(QUOTED_CHARS_MAX).collect()
}

/// The path from the top; the body itself is named so.
fn field(path: &serde_path_to_error::Path) -> String {
    let text = path.to_string();
    if text == "." { "body".to_owned() } else { text }
}

/// serde's message without its place in the text, which the field tells better.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(at) => text[..at].to_owned(),
        None => text,
    }
}

fn source<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut at = Some(error);
    while let Some(error) = at {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        at = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use axum::{
        Router,
        body::Body,
        extract::DefaultBodyLimit,
        routing::{get, post},
    };
    use http_body_util::BodyExt as _;
    use serde::Deserialize;
    use tower::ServiceExt as _;

    use super::*;

    #[derive(Deserialize)]
    struct Item {
        #[allow(dead_code)]
        name: String,
    }

    #[derive(Deserialize)]
    struct Order {
        #[allow(dead_code)]
        items: Vec<Item>,
    }

    #[derive(Deserialize)]
    struct Page {
        #[allow(dead_code)]
        page: u32,
    }

    fn app() -> Router {
        Router::new()
            .route("/orders", post(|_: Json<Order>| async {}))
            .route("/pages", get(|_: Query<Page>| async {}))
            .route("/pages/{page}", get(|_: Path<Page>| async {}))
            .route("/rows/{number}", get(|_: Path<u32>| async {}))
            .layer(DefaultBodyLimit::max(256))
    }

    async fn refused(request: http::Request<Body>) -> (u16, Vec<(String, String)>) {
        let response = app().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        assert_eq!(response.headers()[http::header::CONTENT_TYPE], super::super::PROBLEM_JSON);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let problem: Problem = serde_json::from_slice(&body).unwrap();
        assert_eq!(problem.status().as_u16(), status);
        (status, problem.field_errors().iter().map(|error| (error.field.clone(), error.message.clone())).collect())
    }

    fn json(body: impl Into<Body>) -> http::Request<Body> {
        http::Request::post("/orders").header("content-type", "application/json").body(body.into()).unwrap()
    }

    fn get_of(uri: &str) -> http::Request<Body> {
        http::Request::get(uri).body(Body::empty()).unwrap()
    }

    #[tokio::test]
    async fn a_body_names_the_field_and_what_was_expected() {
        let (status, errors) = refused(json(r#"{"items":[{"name":"a"},{"name":7}]}"#)).await;
        assert_eq!(status, 422);
        assert_eq!(errors, [("items[1].name".into(), "invalid type: integer `7`, expected a string".into())]);
        let (status, errors) = refused(json(r"{}")).await;
        assert_eq!((status, errors[0].1.as_str()), (422, "missing field `items`"));
    }

    #[tokio::test]
    async fn a_body_that_is_no_json_or_too_large_is_told_apart() {
        assert_eq!(refused(json("{")).await.0, 400);
        assert_eq!(refused(json("x".repeat(257))).await.0, 413);
        let untyped = http::Request::post("/orders").body(Body::from("{}")).unwrap();
        assert_eq!(refused(untyped).await.0, 415);
    }

    #[tokio::test]
    async fn a_query_names_the_parameter() {
        let (status, errors) = refused(get_of("/pages?page=x")).await;
        assert_eq!((status, errors), (400, vec![("page".into(), "invalid digit found in string".into())]));
    }

    #[tokio::test]
    async fn a_path_that_fits_no_type_is_not_found() {
        let (status, errors) = refused(get_of("/pages/x")).await;
        assert_eq!((status, errors), (404, vec![("page".into(), "expected u32, got \"x\"".into())]));
        assert_eq!(refused(get_of("/rows/-1")).await.0, 404);
    }
}
