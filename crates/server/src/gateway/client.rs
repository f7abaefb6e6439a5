//! Calling the API for backends: what `unstale invalidate` does.

use std::path::PathBuf;

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use serde_json::Value;
use tower::ServiceExt as _;

use super::{
    proxy::{Forward, ForwardSettings},
    upstream::{SentHost, ServerAddress, Target, Upstream, UpstreamError, UpstreamSettings, UpstreamTls},
};

/// Longest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Why a call was not made or not understood.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The address is none.
    #[error("{0:?} is not the address of a gateway's [control]: expected http://host:port or https://host:port")]
    Address(String),
    /// TLS cannot be set up.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// The token cannot be sent.
    #[error("the token holds characters that no token has")]
    Token,
    /// There is no answer, or no whole one.
    #[error("the gateway's answer cannot be read: {0}")]
    Answer(String),
}

/// Where a gateway's API for backends is, and whom to believe that it is that.
#[derive(Clone, Debug)]
pub struct Api {
    /// `http://127.0.0.1:8081`, or with https.
    pub address: String,
    /// A PEM file with the authorities that vouch for it; without one, those that the system trusts.
    pub ca: Option<PathBuf>,
}

/// Posts `body` to a path of the API.
pub async fn call(api: &Api, path: &str, token: &str, body: &Value) -> Result<(StatusCode, Value), CallError> {
    let Api { address, ca } = api;
    let bad = || CallError::Address(address.to_owned());
    let server: ServerAddress = address.trim_end_matches('/').parse().map_err(|_| bad())?;
    let tls = UpstreamTls { ca: ca.clone(), ..UpstreamTls::default() };
    let settings = UpstreamSettings { host: SentHost::Server, tls, ..UpstreamSettings::new("the gateway", [server]) };
    let upstream = Upstream::new(settings)?;
    let mut authorization = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| CallError::Token)?;
    authorization.set_sensitive(true);
    let uri: Uri = path.parse().map_err(|_| bad())?;
    let mut request = Request::post(uri)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::AUTHORIZATION, authorization)
        .body(Full::new(Bytes::from(body.to_string())))
        .map_err(|_| bad())?;
    request.extensions_mut().insert(Target(upstream));
    let Ok(response) = Forward::new(ForwardSettings::default()).oneshot(request).await;
    let (head, body) = response.into_parts();
    let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
    let body = body.map_err(|error| CallError::Answer(error.to_string()))?.to_bytes();
    let value = serde_json::from_slice(&body).map_err(|error| CallError::Answer(error.to_string()))?;
    Ok((head.status, value))
}
