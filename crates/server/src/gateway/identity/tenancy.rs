//! From what a claim, a header or a host says to a tenant.
//!
//! *Decides*, does no IO.

use std::collections::HashMap;

use http::{header, request};
use unstale::Tenant;

use crate::gateway::config::file::TenantRule;

/// What every made-up name begins with. No other name does: those that would are made up as well.
const MADE_UP: &str = "..";

/// The tenant of this name, as the backends know it. Names that are none of ours (a space in them, too long) get one
/// made of their hash: different names never become one tenant.
pub(crate) fn tenant(name: &str) -> Option<Tenant> {
    if name.is_empty() {
        return None;
    }
    if !name.starts_with(MADE_UP)
        && let Ok(tenant) = Tenant::new(name)
    {
        return Some(tenant);
    }
    let digest = blake3::hash(name.as_bytes()).to_hex();
    Some(Tenant::new(format!("{MADE_UP}{}", &digest[..48])).expect("dots and digits make a name"))
}

/// How the tenant is known where the identity does not say it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tenancy {
    fixed: Option<Tenant>,
    hosts: HashMap<String, Tenant>,
}

impl Tenancy {
    pub(crate) fn of(rule: &TenantRule) -> Self {
        let hosts = rule.hosts.iter().filter_map(|(host, name)| Some((host.to_ascii_lowercase(), tenant(name)?)));
        Self { fixed: rule.fixed.as_deref().and_then(tenant), hosts: hosts.collect() }
    }

    /// The tenant of a request by this rule.
    pub(crate) fn find(&self, head: &request::Parts) -> Option<Tenant> {
        if self.fixed.is_some() || self.hosts.is_empty() {
            return self.fixed.clone();
        }
        self.hosts.get(&host(head)?).cloned()
    }
}

/// The request's host without port, in lower case; none if it has not exactly one.
fn host(head: &request::Parts) -> Option<String> {
    let host = if let Some(host) = head.uri.host() {
        host
    } else {
        let mut hosts = head.headers.get_all(header::HOST).iter();
        let (Some(only), None) = (hosts.next(), hosts.next()) else { return None };
        let text = only.to_str().ok()?;
        // An IPv6 address has colons of its own, in brackets.
        match text.rfind(':') {
            Some(colon) if !text[colon..].contains(']') => &text[..colon],
            _ => text,
        }
    };
    Some(host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[test]
    fn names_never_become_one_tenant() {
        assert_eq!(tenant("acme").unwrap().as_str(), "acme");
        let names = ["Acme Inc", "Acme  Inc", "..x", "acme", "a/b", &"x".repeat(100)];
        let tenants: Vec<Tenant> = names.iter().map(|name| tenant(name).unwrap()).collect();
        for (at, one) in tenants.iter().enumerate() {
            assert!(!tenants[..at].contains(one), "{one}");
        }
        // The name that was made up for one is not to be had by another.
        let made_up = tenant("Acme Inc").unwrap();
        assert_ne!(tenant(made_up.as_str()), Some(made_up));
        assert_eq!(tenant(""), None);
    }

    #[test]
    fn the_host_decides_whatever_its_case_and_port() {
        let hosts = [("acme.example", "acme"), ("globex.example", "globex")];
        let rule = TenantRule { fixed: None, hosts: hosts.map(|(host, name)| (host.into(), name.into())).into() };
        let tenancy = Tenancy::of(&rule);
        let find = |uri: &str, hosts: &[&str]| {
            let request = hosts.iter().fold(Request::get(uri), |request, host| request.header("host", *host));
            tenancy.find(&request.body(()).unwrap().into_parts().0).map(|tenant| tenant.to_string())
        };
        for host in ["acme.example", "ACME.example:8080", "acme.example."] {
            assert_eq!(find("/", &[host]).as_deref(), Some("acme"), "{host}");
        }
        assert_eq!(find("http://globex.example/", &[]).as_deref(), Some("globex"));
        assert_eq!(find("/", &["acme.example", "globex.example"]), None);
        assert_eq!(find("/", &["other.example"]), None);
        assert_eq!(find("/", &[]), None);
    }
}
