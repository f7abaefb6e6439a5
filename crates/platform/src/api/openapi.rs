//! The OpenAPI document: what the handlers say, and what holds for all of them.
//!
//! Handlers document only what is theirs. [`complete`] adds what follows from the shape of an operation: the problem
//! responses, the validators of reads, the header that names the acting client, the two ways to sign in. So no
//! handler can forget it, and none needs to repeat it.

use utoipa::{
    OpenApi, PartialSchema,
    openapi::{
        Components, Content, HttpMethod, PathItem, Ref, RefOr, Required, Response, ResponseBuilder, Schema,
        header::HeaderBuilder,
        path::{Operation, Parameter, ParameterBuilder, ParameterIn},
        schema::{ObjectBuilder, SchemaType, Type},
        security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityRequirement, SecurityScheme},
    },
};

use unstale_server::problem::{FieldError, Problem};

use crate::auth::acting;

/// What stands at the head of the document.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Migration platform",
        description = "Clients, engagements, discovery flows, imports and field mappings. Every GET is conditional: \
            send the ETag as If-None-Match. A write answers with Unstale-Position; a read that sends it back sees at \
            least that write."
    ),
    tags(
        (name = "auth", description = "Signing in and out"),
        (name = "context", description = "Who the caller is and where they stand"),
        (name = "users", description = "Defaults, roles, access"),
        (name = "engagements", description = "Engagements of the acting client"),
        (name = "flows", description = "Discovery flows"),
        (name = "imports", description = "CSV files"),
        (name = "field-mappings", description = "What columns mean"),
        (name = "data-cleansing", description = "How good imported values are, and corrections of them"),
        (name = "assets", description = "What the imports brought"),
        (name = "admin", description = "Administration"),
        (name = "cache", description = "The cache itself"),
        (name = "batch", description = "Several reads in one request"),
        (name = "events", description = "Live events"),
        (name = "telemetry", description = "What browsers measured"),
    )
)]
pub struct Head;

const COOKIE_SCHEME: &str = "session_cookie";
const BEARER_SCHEME: &str = "bearer";
const PROBLEM: &str = "Problem";

/// Adds what follows from the shape of the operations.
pub fn complete(mut document: utoipa::openapi::OpenApi) -> utoipa::openapi::OpenApi {
    let components = document.components.get_or_insert_with(Components::new);
    components.add_security_scheme(COOKIE_SCHEME, session_cookie());
    components.add_security_scheme(BEARER_SCHEME, SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    components.schemas.insert(PROBLEM.to_owned(), Problem::schema());
    components.schemas.insert("FieldError".to_owned(), FieldError::schema());
    for (name, schema) in &mut components.schemas {
        // The server writes every field of what it answers, absent ones as null. Requests may leave them out.
        if !name.ends_with("Request") && name != PROBLEM {
            require_all(schema);
        }
    }
    document.security =
        Some([COOKIE_SCHEME, BEARER_SCHEME].map(|scheme| SecurityRequirement::new(scheme, [""; 0])).into());
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations(item) {
            complete_operation(path, &method, operation);
        }
    }
    document
}

/// The document's operations with their methods.
pub fn operations(item: &mut PathItem) -> impl Iterator<Item = (HttpMethod, &mut Operation)> {
    let methods = [
        (HttpMethod::Get, item.get.as_mut()),
        (HttpMethod::Post, item.post.as_mut()),
        (HttpMethod::Put, item.put.as_mut()),
        (HttpMethod::Patch, item.patch.as_mut()),
        (HttpMethod::Delete, item.delete.as_mut()),
    ];
    methods.into_iter().filter_map(|(method, operation)| Some((method, operation?)))
}

fn complete_operation(path: &str, method: &HttpMethod, operation: &mut Operation) {
    let reads = matches!(method, HttpMethod::Get);
    let is_public = operation.security.as_ref().is_some_and(|security| !security.is_empty())
        && operation
            .security
            .as_ref()
            .is_some_and(|security| security.iter().all(|one| *one == SecurityRequirement::default()));
    let has_input =
        operation.request_body.is_some() || operation.parameters.as_ref().is_some_and(|all| !all.is_empty());
    let mut problems = vec![("500", "The server failed; the log says why")];
    if has_input {
        problems.push(("400", "The request is not well formed"));
    }
    if operation.request_body.is_some() {
        problems.push(("422", "A field is not acceptable; `errors` says which and why"));
    }
    if !is_public {
        problems.push(("401", "Not signed in, or no longer"));
        problems.push(("404", "There is no such thing for this caller"));
        operation.parameters.get_or_insert_default().push(RefOr::T(acting_client()));
    }
    if !reads || path.contains("/admin/") {
        problems.push(("403", "The caller's role does not allow it, or the request came from another site"));
    }
    if reads && !is_public && !path.starts_with(super::EVENTS_PATH) && !path.contains("/admin/audit") {
        operation.parameters.get_or_insert_default().push(RefOr::T(if_none_match()));
        let unchanged = Response::new("Unchanged since the ETag in If-None-Match");
        operation.responses.responses.entry("304".to_owned()).or_insert(RefOr::T(unchanged));
        if let Some(RefOr::T(found)) = operation.responses.responses.get_mut("200") {
            let etag = HeaderBuilder::new().schema(Some(text())).description(Some("A strong validator")).build();
            found.headers.insert("ETag".to_owned(), etag.into());
        }
    }
    for answer in operation.responses.responses.values_mut() {
        if let RefOr::T(answer) = answer
            && answer.description.is_empty()
        {
            answer.description = operation.summary.clone().unwrap_or_default();
        }
    }
    for (status, description) in problems {
        operation.responses.responses.entry(status.to_owned()).or_insert_with(|| RefOr::T(problem(description)));
    }
}

/// A response of problem details.
fn problem(description: &str) -> Response {
    let content = Content::new(Some(Ref::from_schema_name(PROBLEM)));
    ResponseBuilder::new().description(description).content("application/problem+json", content).build()
}

fn acting_client() -> Parameter {
    ParameterBuilder::new()
        .name(acting::HEADER)
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some("The client to act for; the user's default one if left out"))
        .schema(Some(text()))
        .build()
}

fn if_none_match() -> Parameter {
    ParameterBuilder::new()
        .name("If-None-Match")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some("The ETag of the answer the caller has"))
        .schema(Some(text()))
        .build()
}

fn text() -> Schema {
    ObjectBuilder::new().schema_type(SchemaType::Type(Type::String)).build().into()
}

fn session_cookie() -> SecurityScheme {
    SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::new(crate::auth::cookie::NAME)))
}

fn require_all(schema: &mut RefOr<Schema>) {
    match schema {
        RefOr::T(Schema::Object(object)) => object.required = object.properties.keys().cloned().collect(),
        RefOr::T(Schema::AllOf(all)) => all.items.iter_mut().for_each(require_all),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");

    #[test]
    fn the_file_in_the_repository_is_the_document() {
        let document = super::super::document().to_pretty_json().unwrap() + "\n";
        if std::env::var_os("UPDATE_OPENAPI").is_some() {
            std::fs::write(FILE, document).unwrap();
        } else {
            let file = std::fs::read_to_string(FILE).unwrap_or_default();
            assert!(file == document, "openapi.json is out of date: run the test again with UPDATE_OPENAPI=1");
        }
    }
}
