//! The list `[[routes]]`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::values::{Size, Span};

/// Which requests go where, and how their answers are kept.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct RouteFile {
    /// A path whose segments are literal, a `{name}` that stands for one segment, or a last `*` that stands for one or
    /// more. The most specific one decides; the order does not matter.
    #[schemars(extend("x-text" = "path"))]
    pub path: String,
    /// For which methods; all if nothing is said.
    #[serde(default)]
    #[schemars(extend("x-each" = "method"))]
    pub methods: Vec<String>,
    /// The upstream that answers.
    pub upstream: String,
    /// How answers to `GET` and `HEAD` are kept. Without it they are passed on, and get a validator.
    pub cache: Option<RouteCache>,
    /// Who shares one answer.
    #[serde(default)]
    pub sharing: SharingOf,
    /// Groups that its answers belong to, of the parameters of the path: `import:{import_id}`.
    #[serde(default)]
    pub groups: Vec<String>,
    /// Headers of the answer in which the upstream names further groups.
    #[serde(default)]
    pub groups_from: Vec<GroupSource>,
    /// Groups that a successful request by another method than `GET` and `HEAD` declares wrong.
    #[serde(default)]
    pub invalidates: Vec<String>,
    /// How the browser keeps the answers.
    #[serde(default)]
    pub browser: Browser,
    /// For how long, where the browser is to keep them without asking (`browser = "max_age"`).
    pub browser_max_age: Option<Span>,
    /// Which part of the query tells answers apart.
    #[serde(default)]
    pub query: QueryOf,
    /// The names of the parameters that do (`query = "only"`); the others are taken out of the request.
    #[serde(default)]
    pub query_names: Vec<String>,
    /// Bytes of a request's body.
    pub request_body_max: Option<Size>,
    /// Bytes of a request's header fields, names and values, where that is less than `head_bytes_max` of `[listen]`. With more
    /// it is refused before anything is looked up: set it to what the upstream takes, and none of its errors comes of that.
    pub request_headers_max: Option<Size>,
}

/// How answers are kept.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct RouteCache {
    /// Who says for how long an answer is fresh.
    #[serde(default)]
    pub lifetime: LifetimeOf,
    /// How long an answer is fresh. Of `lifetime = "origin"`: where the upstream says nothing, of an
    /// answer with a status of which that may be assumed (200, 404 and few others; no 302, 403 or 500).
    pub ttl: Option<Span>,
    /// How long at most, whatever the upstream says (`lifetime = "origin"`).
    pub ttl_max: Option<Span>,
    /// How long an answer is kept after its time, to be asked for again with its validator (`lifetime = "origin"`).
    pub retain: Option<Span>,
    /// What else is made of what the upstream says (`lifetime = "origin"`).
    pub origin: Option<OriginFile>,
    /// How long after its time an answer may still be given while a new one is loaded (stale-while-revalidate).
    pub grace: Option<Span>,
    /// How long after its time an answer may still be given when loading fails (stale-if-error).
    pub fail_safe: Option<Span>,
    /// How strictly invalidations bind.
    #[serde(default)]
    pub mode: CacheMode,
    /// Within which time another node's invalidation is heard of (`mode = "bounded"`, 1 s if nothing is said), or how
    /// old an answer may be although it was declared wrong (`mode = "stale_ok"`).
    pub bound: Option<Span>,
    /// How long a load may take before those who wait are told so.
    pub load_timeout: Option<Span>,
}

/// What is made of what the upstream says, beyond what is always right.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
#[allow(clippy::struct_excessive_bools, reason = "each is a choice of its own")]
pub struct OriginFile {
    /// An answer that says nothing but `Last-Modified` is fresh for a tenth of its age, a day at most.
    #[serde(default)]
    pub heuristics: bool,
    /// How long an answer may be given while a new one is loaded, where it does not say (`stale-while-revalidate`).
    pub stale_while_revalidate: Option<Span>,
    /// How long an answer may be given when loading fails, where it does not say (`stale-if-error`).
    pub stale_if_error: Option<Span>,
    /// `Surrogate-Control` goes before `Cache-Control`, and the upstream is told so.
    #[serde(default)]
    pub surrogate_control: bool,
    /// Answers say which part of the query does not matter (`No-Vary-Search`), and are given for all queries that differ in
    /// that alone. `true` if nothing is said.
    pub no_vary_search: Option<bool>,
    /// Answers that set a cookie are kept, and set it for everybody who is given them.
    #[serde(default)]
    pub keep_cookies: bool,
    /// `Authorization` reaches the upstream of a public route, and its answer is shared if it says `public`,
    /// `must-revalidate` or `s-maxage`.
    #[serde(default)]
    pub share_authorized: bool,
}

/// Who says for how long an answer is fresh.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum LifetimeOf {
    /// The route: an answer is fresh for `ttl` unless the upstream says less, or something it was made of changes.
    #[default]
    Route,
    /// The upstream, by `Cache-Control`, `CDN-Cache-Control` and `Expires`.
    Origin,
}

/// How strictly invalidations bind.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum CacheMode {
    /// This node's view is used while it was confirmed within `bound`.
    #[default]
    Bounded,
    /// Every read asks the shared store.
    Strict,
    /// An answer that was declared wrong may be given while it is no older than `bound`; a new one is loaded.
    StaleOk,
}

/// Who shares one answer.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum SharingOf {
    /// Each verified principal has their own.
    #[default]
    Principal,
    /// Everybody in the tenant gets the same. Only where the answer is the same for all who are let in.
    Tenant,
    /// Everybody gets the same. Credentials are taken out of `GET` and `HEAD` requests, so that the answer is nobody's.
    Public,
}

/// A header of the answer in which the upstream names groups.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum GroupSource {
    /// `Cache-Groups` (RFC 9875).
    CacheGroups,
    /// `Surrogate-Key`: names with spaces between them.
    SurrogateKey,
}

/// How the browser keeps the answers.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Browser {
    /// It asks each time, and is told that nothing has changed. The only coherent choice.
    #[default]
    Revalidate,
    /// It keeps nothing.
    NoStore,
    /// It does not ask for `browser_max_age`, and hides every invalidation meanwhile.
    MaxAge,
}

/// Which part of the query tells answers apart.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum QueryOf {
    /// Every parameter; their order does not matter but among those of one name.
    #[default]
    All,
    /// Every parameter, in the order given.
    InOrder,
    /// Those of `query_names` alone.
    Only,
}
