//! Imports of CSV files: uploading, watching.

use axum::extract::{FromRequest as _, Multipart, Request};

use super::{import_job, prelude::*, upload};
use crate::{
    store::repositories::{Scope, imports::NewImport},
    views::Import,
};

/// Where an import goes.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct CreateImportQuery {
    pub engagement_id: Uuid,
    /// An existing flow without an import; one is begun if this is left out.
    pub flow_id: Option<Uuid>,
}

/// Which imports.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ImportsQuery {
    pub engagement_id: Option<Uuid>,
}

/// An upload.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes the multipart body, which is read as a stream")]
pub struct UploadRequest {
    /// The CSV file.
    #[schema(value_type = String, format = Binary, content_media_type = "application/octet-stream")]
    pub file: Vec<u8>,
}

/// An import that has begun.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct ImportAccepted {
    pub import_id: Uuid,
    pub flow_id: Uuid,
}

/// Upload a CSV file and begin to import it.
#[utoipa::path(post, path = "/imports", tag = "imports", params(CreateImportQuery),
    request_body(content = UploadRequest, content_type = "multipart/form-data"),
    responses((status = 202, description = "The file is here and will be read", body = ImportAccepted),
        (status = 413, description = "The file is larger than this server takes", body = Problem,
            content_type = "application/problem+json"),
        (status = 503, description = "Too many files are waiting; Retry-After says when to try again", body = Problem,
            content_type = "application/problem+json")))]
pub(crate) async fn create_import(
    State(platform): State<Platform>,
    caller: Caller,
    Query(query): Query<CreateImportQuery>,
    request: Request,
) -> WriteAnswer<ImportAccepted> {
    let client = caller.client()?;
    caller.require(Permission::WriteImports)?;
    // Before the file is taken: a long upload should not end in a refusal that was known at its beginning.
    read(platform.views.engagement(Scope::Client(client), query.engagement_id, &anything()).await)?;
    if let Some(flow) = query.flow_id {
        let flow = read(platform.views.flow(client, flow, &anything()).await)?;
        if flow.summary.engagement_id != query.engagement_id {
            return Err(Problem::not_found());
        }
    }
    let form = Multipart::from_request(request, &())
        .await
        .map_err(|_| Problem::unsupported_media_type("multipart/form-data"))?;
    let upload = upload::receive(form, &platform.uploads(), platform.settings.import_bytes_max).await?;
    let new = NewImport {
        engagement_id: query.engagement_id,
        flow_id: query.flow_id,
        file_name: upload.name,
        size_bytes: upload.size_bytes,
        created_by: caller.id(),
    };
    import_job::enqueue(&platform, client, &new, upload.file).await
}

/// The acting client's imports, newest first.
#[utoipa::path(get, path = "/imports", tag = "imports", params(ImportsQuery),
    responses((status = 200, body = Items<Import>)))]
pub(crate) async fn list_imports(
    State(platform): State<Platform>,
    caller: Caller,
    Query(query): Query<ImportsQuery>,
) -> ReadAnswer<Items<Import>> {
    View::of(platform.views.imports(caller.client()?, query.engagement_id, &anything()).await)
}

/// One import, as far as it has come.
#[utoipa::path(get, path = "/imports/{import_id}", tag = "imports", params(("import_id" = Uuid, Path)),
    responses((status = 200, body = Import)))]
pub(crate) async fn get_import(
    State(platform): State<Platform>,
    caller: Caller,
    Path(import): Path<Uuid>,
) -> ReadAnswer<Import> {
    View::of(platform.views.import(caller.client()?, import, &anything()).await)
}
