//! The tables `[tenant]` and `[credentials]`, and the list `[[identity]]`.

use std::{collections::BTreeMap, path::PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::values::Span;

/// How requests are told apart by tenant where the identity does not say it. Give one of the two.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct TenantRule {
    /// Everybody is of this one.
    pub fixed: Option<String>,
    /// By the host of the request, without its port. The client chooses it: on routes with `sharing = "tenant"`, every way
    /// of verifying but introspection has to name the tenant itself.
    pub hosts: BTreeMap<String, String>,
}

/// By what the backends know who is asking. What an identity does not account for of these becomes part of the
/// principal, as a keyed hash: so nobody gets an answer that was made for other credentials.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Credentials {
    /// Request headers, besides `Cookie`.
    #[schemars(extend("x-each" = "header"))]
    pub headers: Vec<String>,
    /// Names of cookies; `"*"`: every cookie.
    pub cookies: Vec<String>,
    /// What becomes of a request whose credentials are not good.
    pub bad: OnCredentials,
    /// What becomes of a request without credentials.
    pub none: OnCredentials,
}

/// What becomes of a request that has no verified identity.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum OnCredentials {
    /// It gets what is public; everything else is passed on, so that the backend decides.
    #[default]
    Anonymous,
    /// It is answered with 401, but for what is public.
    Unauthorized,
}

/// One way to verify identities: a name and exactly one of the kinds.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct IdentityFile {
    /// Its name; a part of the principals that it verifies.
    pub name: String,
    /// A signed token.
    pub jwt: Option<JwtFile>,
    /// The backend is asked who it is.
    pub introspection: Option<IntrospectionFile>,
    /// The client's certificate.
    pub mutual_tls: Option<MutualTlsFile>,
    /// A header that a proxy in front has set.
    pub trusted_header: Option<TrustedHeaderFile>,
}

/// A signed token. Give its keys as one of `jwks_file`, `jwks_url`, `secret_env` and `secret_file`.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct JwtFile {
    /// A file with the public keys (JWKS).
    pub jwks_file: Option<PathBuf>,
    /// A URL with the public keys (JWKS).
    #[schemars(extend("x-text" = "url"))]
    pub jwks_url: Option<String>,
    /// The environment variable that holds the shared secret (HMAC), at least 32 bytes.
    pub secret_env: Option<String>,
    /// A file that holds the shared secret.
    pub secret_file: Option<PathBuf>,
    /// The algorithms that are accepted. For public keys `RS256`, `ES256` and `EdDSA` if nothing is said, for a secret `HS256`.
    #[serde(default)]
    pub algorithms: Vec<JwtAlgorithm>,
    /// Who may have issued it (`iss`).
    #[schemars(length(min = 1))]
    pub issuers: Vec<String>,
    /// For whom it may have been issued (`aud`); one of them has to be there.
    #[schemars(length(min = 1))]
    pub audiences: Vec<String>,
    /// By how much clocks may differ.
    #[serde(default = "leeway")]
    pub leeway: Span,
    /// Where it is, if not in `Authorization: Bearer`: a cookie.
    pub cookie: Option<String>,
    /// The claim that names the principal.
    #[serde(default = "sub")]
    pub principal: String,
    /// The claim that names the tenant.
    pub tenant: Option<String>,
    /// The claim that names the session.
    pub session: Option<String>,
    /// The claims that tell answers apart, besides the principal. If nothing is said: all but times and ids of the
    /// token itself.
    pub distinguish: Option<Vec<String>>,
    /// How often keys are fetched anew.
    #[serde(default = "refresh")]
    pub refresh: Span,
    /// How long fetching them may take.
    #[serde(default = "timeout")]
    pub fetch_timeout: Span,
}

/// An algorithm of signatures.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq)]
#[allow(missing_docs, reason = "they are the names of RFC 7518 and RFC 8037")]
pub enum JwtAlgorithm {
    HS256,
    HS384,
    HS512,
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    EdDSA,
}

/// The backend is asked who it is, with the request's own credentials.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct IntrospectionFile {
    /// The upstream that is asked.
    pub upstream: String,
    /// The path that answers 200 and a JSON object for good credentials, and 401 or 403 for others.
    #[schemars(extend("x-text" = "path"))]
    pub path: String,
    /// Request headers that are sent along, besides those of `credentials`; such as the one that chooses the acting
    /// client.
    #[serde(default)]
    #[schemars(extend("x-each" = "header"))]
    pub headers: Vec<String>,
    /// The member of the answer that names the principal: `user.id`.
    pub principal: String,
    /// The member that names the tenant.
    pub tenant: Option<String>,
    /// The member that names the session.
    pub session: Option<String>,
    /// The members that tell answers apart, besides the principal. If nothing is said: the whole answer.
    pub distinguish: Option<Vec<String>>,
    /// Whether all credentials of a principal share answers. Only where nothing but the principal and what
    /// `distinguish` names shapes them.
    #[serde(default)]
    pub share_sessions: bool,
    /// How long an answer is remembered: within this time a credential that was revoked may still be good, unless the
    /// backend says so by an invalidation.
    #[serde(default = "max_age")]
    pub max_age: Span,
    /// How long asking may take.
    #[serde(default = "timeout")]
    pub timeout: Span,
    /// Answers that are remembered.
    #[serde(default = "answers_max")]
    #[schemars(range(min = 1, max = 10_000_000))]
    pub answers_max: usize,
}

/// The client's certificate. Needs `listen.tls.client_ca`.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct MutualTlsFile {
    /// The part that names the principal.
    #[serde(default)]
    pub principal: CertificateField,
    /// The part that names the tenant.
    pub tenant: Option<CertificateField>,
}

/// A part of a certificate.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum CertificateField {
    /// The whole subject.
    #[default]
    Subject,
    /// The subject's common name.
    CommonName,
    /// The subject's organization.
    Organization,
    /// The subject's organizational unit.
    OrganizationalUnit,
    /// The first DNS name.
    Dns,
    /// The first URI, such as a SPIFFE id.
    Uri,
    /// The first address of mail.
    Email,
    /// The certificate's SHA-256 hash: another one for each certificate.
    Fingerprint,
}

/// A header that a proxy in front has set. It is taken out of the requests of everybody else.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct TrustedHeaderFile {
    /// The header that names the principal.
    #[schemars(extend("x-text" = "header"))]
    pub principal: String,
    /// The header that names the tenant.
    #[schemars(extend("x-text" = "header"))]
    pub tenant: Option<String>,
    /// The header that names the session.
    #[schemars(extend("x-text" = "header"))]
    pub session: Option<String>,
    /// Headers of the same proxy that tell answers apart, such as one with roles.
    #[serde(default)]
    #[schemars(extend("x-each" = "header"))]
    pub distinguish: Vec<String>,
    /// The addresses of the proxy: `10.0.0.7` or `10.0.0.0/8`.
    #[serde(default)]
    #[schemars(extend("x-each" = "network"))]
    pub from: Vec<String>,
    /// The names of the proxy's certificate (common name or DNS name).
    #[serde(default)]
    pub certificates: Vec<String>,
    /// What becomes of a request of somebody else that has the header.
    #[serde(default)]
    pub from_others: OnStrangers,
}

/// What becomes of a trusted header that somebody else has sent.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum OnStrangers {
    /// It is taken out; the request goes on without it.
    #[default]
    Strip,
    /// The request is answered with 403.
    Refuse,
}

impl Default for Credentials {
    fn default() -> Self {
        Self {
            headers: vec!["authorization".to_owned(), "x-api-key".to_owned()],
            cookies: vec!["*".to_owned()],
            bad: OnCredentials::Anonymous,
            none: OnCredentials::Anonymous,
        }
    }
}

fn leeway() -> Span {
    Span::seconds(30)
}

fn sub() -> String {
    "sub".to_owned()
}

fn refresh() -> Span {
    Span::seconds(600)
}

fn timeout() -> Span {
    Span::seconds(2)
}

fn max_age() -> Span {
    Span::seconds(10)
}

fn answers_max() -> usize {
    50_000
}
