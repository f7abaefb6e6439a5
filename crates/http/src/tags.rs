//! The tags of responses: their groups, their URIs and their paths.

use unstale::{Tag, Tenant};

use crate::{route::Route, url};

/// The kind of tag of a group's name.
const GROUP: &str = "http-group";
/// The kind of tag of a URI.
const URI: &str = "http-uri";
/// The kind of tag of a path.
const PATH: &str = "http-path";

/// The tag of a group in a tenant: what declares wrong every response that its route or its service put in this group.
pub fn group_tag(tenant: &Tenant, name: &str) -> Tag {
    Tag::of(tenant, GROUP, name)
}

/// The tag of a target URI in a tenant: path and query as the route counts it.
///
/// Without the host: it is the client's word, and a write with an odd one must not leave wrong what was read with
/// another.
pub(crate) fn uri_tag(tenant: &Tenant, route: &Route, path: &str, query: Option<&str>) -> Tag {
    Tag::of(tenant, URI, url::text(path, query, &route.policy.query))
}

/// The tag of all URIs of a path in a tenant, for responses that are the answer for more than one query
/// (`No-Vary-Search`).
pub(crate) fn path_tag(tenant: &Tenant, path: &str) -> Tag {
    Tag::of(tenant, PATH, path)
}
