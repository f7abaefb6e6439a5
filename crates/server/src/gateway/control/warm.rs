//! `POST /v1/warm`: reading what will be wanted before somebody waits for it, as a client of the gateway would.

use std::{sync::Arc, time::Duration};

use axum::{Json as Answer, extract::State, response::IntoResponse};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri, header};
use http_body_util::Empty;
use serde::{Deserialize, Serialize};
use tower::ServiceExt as _;
use utoipa::ToSchema;

use super::{Control, access::Caller};
use crate::{
    audit::{self, Entry, Operation},
    gateway::{
        assembly::GatewayService,
        identity::{Identified, Outcome, Peer},
        listen::hygiene,
    },
    problem::{FieldError, Json, Problem},
};

/// URLs of one call.
const URLS_MAX: usize = 1000;
/// Reads at once.
const READS_MAX: usize = 8;
/// How long a call may begin new reads.
const TIME_MAX: Duration = Duration::from_secs(30);

/// What is to be read.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::gateway) struct Warm {
    /// Whole URLs: the host is that by which clients ask.
    #[schema(max_items = 1000)]
    urls: Vec<String>,
    /// Headers of each request, such as the credentials of the principal for whom it is read. Without credentials only
    /// what is public is kept.
    #[serde(default)]
    headers: std::collections::BTreeMap<String, String>,
}

/// What became of it.
#[derive(Debug, Default, Serialize, ToSchema)]
struct Warmed {
    /// Were there already.
    present: usize,
    /// Were loaded and are kept.
    loaded: usize,
    /// Were answered, and may not be kept.
    not_kept: usize,
    /// Were answered with an error.
    failed: usize,
    /// Were not begun: the time was over.
    left_out: usize,
}

/// Read URLs before somebody waits for them, as a client would
#[utoipa::path(post, path = "/v1/warm", request_body = Warm, responses(
    (status = 200, description = "What became of them", body = Warmed),
))]
pub(super) async fn warm(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Json(warm): Json<Warm>,
) -> Result<impl IntoResponse, Problem> {
    if warm.urls.len() > URLS_MAX {
        let message = format!("are {}: at most {URLS_MAX} in one call", warm.urls.len());
        return Err(Problem::unprocessable([FieldError::new("urls", message)]));
    }
    let requests = warm.requests()?;
    for request in &requests {
        control.may_read(&caller, request).await?;
    }
    tracing::info!(caller = caller.name, urls = requests.len(), "warm by the API for backends");
    let count = format!("{} addresses", requests.len());
    let warms =
        Entry { principal: &caller.name, detail: &count, ..Entry::new("", Operation::WARM, audit::Outcome::Unknown) };
    let intents = control.shared.begin_recorded(&[warms]).await?;
    let until = tokio::time::Instant::now() + TIME_MAX;
    let reads = stream::iter(requests).map(|request| {
        let service = control.service.clone();
        async move {
            if tokio::time::Instant::now() >= until {
                return Warmed { left_out: 1, ..Warmed::default() };
            }
            read(service, request).await
        }
    });
    let warmed = reads.buffer_unordered(READS_MAX).fold(Warmed::default(), |sum, one| async move { sum.with(&one) });
    let warmed = warmed.await;
    intents.end(audit::Outcome::Done, 0, "");
    Ok(Answer(warmed))
}

impl Control {
    /// A caller may not read as somebody of a tenant that is not theirs.
    async fn may_read(&self, caller: &Caller, request: &Request<Empty<Bytes>>) -> Result<(), Problem> {
        let state = self.shared.current.load_full();
        let (head, _) = request.clone().into_parts();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let outcome = match state.identities.identify(&head, Peer::default(), now) {
            Identified::Now(outcome) => outcome,
            Identified::Later(outcome) => outcome.await,
        };
        match outcome {
            Outcome::Known(identity) if !caller.acts_for(identity.tenant()) => {
                Err(Problem::forbidden("This token is not for the tenant of these credentials."))
            }
            _ => Ok(()),
        }
    }
}

impl Warm {
    /// The requests that it means.
    pub(in crate::gateway) fn requests(&self) -> Result<Vec<Request<Empty<Bytes>>>, Problem> {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let wrong = || {
                let field = format!("headers.{name}");
                Problem::unprocessable([FieldError::new(field, "is no header of a request")])
            };
            let parsed = HeaderName::try_from(name.as_str()).map_err(|_| wrong())?;
            let mut value = HeaderValue::try_from(value.as_str()).map_err(|_| wrong())?;
            value.set_sensitive(true);
            if parsed == header::HOST || parsed == header::CONTENT_LENGTH || parsed == header::TRANSFER_ENCODING {
                return Err(wrong());
            }
            headers.append(parsed, value);
        }
        let request = |(at, url): (usize, &String)| {
            let wrong = || {
                let message = "expected a whole URL, such as https://app.example/flows/7";
                Problem::unprocessable([FieldError::new(format!("urls[{at}]"), message)])
            };
            let uri: Uri = url.parse().map_err(|_| wrong())?;
            let host = uri.authority().and_then(|host| HeaderValue::try_from(host.as_str()).ok()).ok_or_else(wrong)?;
            let path = uri.path_and_query().map_or("/", |path| path.as_str());
            let mut request = Request::get(path).body(()).map_err(|_| wrong())?;
            *request.headers_mut() = headers.clone();
            request.headers_mut().insert(header::HOST, host);
            let (mut head, ()) = request.into_parts();
            // It did not come by the listener, which refuses what servers read in different ways.
            hygiene::clean(&mut head).map_err(|refusal| {
                Problem::unprocessable([FieldError::new(format!("urls[{at}]"), refusal.detail())])
            })?;
            Ok(Request::from_parts(head, Empty::new()))
        };
        self.urls.iter().enumerate().map(request).collect()
    }
}

async fn read(service: GatewayService, request: Request<Empty<Bytes>>) -> Warmed {
    let Ok(response) = service.oneshot(request).await;
    let word = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_error = response.status().is_client_error() || response.status().is_server_error();
    match word("x-cache") {
        _ if is_error => Warmed { failed: 1, ..Warmed::default() },
        "HIT" | "STALE" => Warmed { present: 1, ..Warmed::default() },
        "MISS" if word("cache-status").contains("stored") => Warmed { loaded: 1, ..Warmed::default() },
        _ => Warmed { not_kept: 1, ..Warmed::default() },
    }
}

impl Warmed {
    fn with(self, other: &Self) -> Self {
        Self {
            present: self.present + other.present,
            loaded: self.loaded + other.loaded,
            not_kept: self.not_kept + other.not_kept,
            failed: self.failed + other.failed,
            left_out: self.left_out + other.left_out,
        }
    }
}
