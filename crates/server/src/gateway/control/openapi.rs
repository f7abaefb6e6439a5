//! The OpenAPI document of the API for backends: what the calls say, and what holds for all of them.
//!
//! `docs/reference/gateway-api.json` is this document; a test compares them.

use utoipa::{
    OpenApi, PartialSchema,
    openapi::{
        Components, Content, Ref, RefOr, Response, ResponseBuilder,
        path::Operation,
        security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme},
    },
};

use crate::problem::{FieldError, PROBLEM_JSON, Problem};

#[derive(OpenApi)]
#[openapi(info(
    title = "unstale gateway: the API for backends",
    description = "What backends say to the cache before them. It is answered at the address of [control], besides \
        /healthz and /readyz. See gateway-api.md.",
))]
struct Head;

const BEARER_SCHEME: &str = "token";
const PROBLEM: &str = "Problem";
/// The tag of the calls for operators.
const OPERATORS: &str = "operators";
const NO_OPERATOR: &str = "The token does not operate the gateway";

/// What stands at the head of the document.
pub(super) fn head() -> utoipa::openapi::OpenApi {
    Head::openapi()
}

/// The whole document, as text.
pub fn openapi() -> String {
    document().to_pretty_json().expect("a document can be written") + "\n"
}

fn document() -> utoipa::openapi::OpenApi {
    let mut document = super::calls().into_openapi();
    let components = document.components.get_or_insert_with(Components::new);
    components.add_security_scheme(BEARER_SCHEME, SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    components.schemas.insert(PROBLEM.to_owned(), Problem::schema());
    components.schemas.insert("FieldError".to_owned(), FieldError::schema());
    document.security = Some(vec![SecurityRequirement::new(BEARER_SCHEME, [""; 0])]);
    for item in document.paths.paths.values_mut() {
        let calls = item.get.iter_mut().chain(item.post.iter_mut()).chain(item.put.iter_mut());
        calls.for_each(complete);
    }
    document
}

/// Adds how a call is refused.
fn complete(operation: &mut Operation) {
    if operation.security.is_some() {
        // Answered to everybody.
        return;
    }
    let mut problems = vec![
        ("401", "No token, or one that is not known"),
        ("429", "This credential calls too often, or this address has sent too many wrong tokens"),
    ];
    let is_operators = operation.tags.iter().flatten().any(|tag| tag == OPERATORS);
    if operation.request_body.is_some() {
        problems.extend([
            ("400", "The body is no JSON"),
            ("403", if is_operators { NO_OPERATOR } else { "The token is not for this tenant" }),
            ("413", "The body is too large"),
            ("422", "A field is not acceptable; `errors` says which and why"),
            ("503", "The audit trail or the cache cannot take it now; nothing is said to be done"),
        ]);
    }
    if is_operators {
        problems.extend([
            ("403", NO_OPERATOR),
            ("404", "The gateway keeps none of it: its file has no [records], or no [audit]"),
        ]);
        if operation.request_body.is_some() {
            problems.push(("409", "Another version is in force by now, or there is nothing to take back"));
        }
    }
    if operation.parameters.is_some() {
        problems.extend([
            ("400", "The query cannot be read"),
            ("422", "A parameter is not acceptable; `errors` says which and why"),
        ]);
    }
    for (status, description) in problems {
        operation.responses.responses.entry(status.to_owned()).or_insert_with(|| RefOr::T(problem(description)));
    }
}

/// A response of problem details.
fn problem(description: &str) -> Response {
    let content = Content::new(Some(Ref::from_schema_name(PROBLEM)));
    ResponseBuilder::new().description(description).content(PROBLEM_JSON, content).build()
}

#[cfg(test)]
mod tests {
    const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/gateway-api.json");

    #[test]
    fn the_file_in_the_repository_is_the_document() {
        let document = super::openapi();
        if std::env::var_os("UPDATE_OPENAPI").is_some() {
            std::fs::write(FILE, document).unwrap();
        } else {
            let file = std::fs::read_to_string(FILE).unwrap_or_default();
            assert!(file == document, "gateway-api.json is out of date: run the test again with UPDATE_OPENAPI=1");
        }
    }

    #[test]
    fn every_call_says_how_it_is_refused_and_who_may_make_it() {
        let document = serde_json::to_value(super::document()).unwrap();
        let paths = document["paths"].as_object().unwrap();
        assert_eq!(
            paths.keys().collect::<Vec<_>>(),
            [
                "/metrics",
                "/v1/audit",
                "/v1/configuration",
                "/v1/configuration/history",
                "/v1/configuration/undo",
                "/v1/invalidate",
                "/v1/metadata",
                "/v1/performance",
                "/v1/purge",
                "/v1/statistics",
                "/v1/status",
                "/v1/warm"
            ]
        );
        for (path, item) in paths.iter().filter(|(path, _)| path.starts_with("/v1/")) {
            for call in item.as_object().unwrap().values() {
                assert!(call["responses"].get("401").is_some() && call["summary"].is_string(), "{path}");
                let is_operators = call["tags"].as_array().is_some_and(|tags| tags.contains(&super::OPERATORS.into()));
                let of_backends = ["/v1/invalidate", "/v1/purge", "/v1/status", "/v1/warm"].contains(&path.as_str());
                assert!(is_operators != of_backends, "{path}");
            }
        }
    }
}
