//! Headers that a proxy in front has set, believed from that proxy alone.
//!
//! *Decides*, does no IO.

use std::{net::IpAddr, sync::Arc};

use http::{HeaderMap, HeaderName};

use super::{credentials::HashKey, tenancy, verified::Verified};
use crate::gateway::{
    config::file::{OnStrangers, TrustedHeaderFile},
    proxy::Network,
};

/// Longest value that is believed, in bytes.
const VALUE_BYTES_MAX: usize = 512;

/// A way of verifying by a header of a proxy in front.
#[derive(Clone, Debug)]
pub(crate) struct TrustedHeader {
    way: Arc<str>,
    principal: HeaderName,
    tenant: Option<HeaderName>,
    session: Option<HeaderName>,
    distinguish: Vec<HeaderName>,
    from: Vec<Network>,
    certificates: Vec<String>,
    from_others: OnStrangers,
}

/// What the headers of a believed proxy say.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// Nothing.
    Nothing,
    /// This.
    Verified(Verified),
    /// Something that cannot be: twice, empty, too long.
    Malformed,
}

impl TrustedHeader {
    pub(crate) fn of(way: &str, file: &TrustedHeaderFile) -> Self {
        let name = |text: &String| HeaderName::try_from(text.as_str()).ok();
        Self {
            way: way.into(),
            principal: name(&file.principal).expect("the file was checked"),
            tenant: file.tenant.as_ref().and_then(name),
            session: file.session.as_ref().and_then(name),
            distinguish: file.distinguish.iter().filter_map(name).collect(),
            from: file.from.iter().filter_map(|text| text.parse().ok()).collect(),
            certificates: file.certificates.clone(),
            from_others: file.from_others,
        }
    }

    /// Every header that is believed from the proxy alone.
    pub(crate) fn headers(&self) -> impl Iterator<Item = &HeaderName> {
        [&self.principal].into_iter().chain(&self.tenant).chain(&self.session).chain(&self.distinguish)
    }

    /// Whether a peer at this address is the proxy.
    pub(crate) fn trusts_address(&self, peer: Option<IpAddr>) -> bool {
        peer.is_some_and(|peer| self.from.iter().any(|network| network.contains(peer)))
    }

    /// The names of the proxy's certificate.
    pub(crate) fn certificates(&self) -> &[String] {
        &self.certificates
    }

    /// Whether a stranger's request with one of the headers is refused.
    pub(crate) fn refuses_strangers(&self) -> bool {
        self.from_others == OnStrangers::Refuse
    }

    /// What the headers of a request say that came from the proxy.
    pub(crate) fn read(&self, headers: &HeaderMap, key: &HashKey) -> Said {
        if !headers.contains_key(&self.principal) {
            return Said::Nothing;
        }
        self.verified(headers, key).map_or(Said::Malformed, Said::Verified)
    }

    fn verified(&self, headers: &HeaderMap, key: &HashKey) -> Option<Verified> {
        let subject = one(headers, &self.principal)?;
        let tenant = match &self.tenant {
            None => None,
            Some(name) => Some(tenancy::tenant(&one(headers, name)?)?),
        };
        let session = match &self.session {
            Some(name) if headers.contains_key(name) => Some(one(headers, name)?),
            _ => None,
        };
        let mut fields: Vec<&[u8]> = Vec::new();
        for name in &self.distinguish {
            for value in headers.get_all(name) {
                fields.extend([name.as_str().as_bytes(), value.as_bytes()]);
            }
        }
        let apart = (!fields.is_empty()).then(|| key.digest(&fields));
        Some(Verified { way: self.way.clone(), subject, apart, tenant, session })
    }
}

fn one(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => {
            let text = value.to_str().ok()?.trim();
            (1..=VALUE_BYTES_MAX).contains(&text.len()).then(|| text.to_owned())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn trusted() -> TrustedHeader {
        let file = serde_json::json!({
            "principal": "x-user", "tenant": "x-tenant", "distinguish": ["x-roles"],
            "from": ["10.0.0.0/8"], "certificates": ["proxy.internal"]
        });
        TrustedHeader::of("proxy", &serde_json::from_value(file).unwrap())
    }

    fn read(pairs: &[(&'static str, &'static str)]) -> Said {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        trusted().read(&headers, &HashKey::derive(b"secret"))
    }

    #[test]
    fn the_proxy_is_known_by_its_address() {
        let is_trusted = |peer: &str| trusted().trusts_address(peer.parse().ok());
        assert!(is_trusted("10.1.2.3") && is_trusted("::ffff:10.1.2.3"));
        assert!(!is_trusted("192.0.2.1") && !is_trusted("none"));
    }

    #[test]
    fn what_the_proxy_says_is_read_whole_or_not_at_all() {
        let Said::Verified(plain) = read(&[("x-user", "u1"), ("x-tenant", "acme")]) else { panic!("not believed") };
        assert_eq!((plain.subject.as_str(), plain.tenant.as_ref().unwrap().as_str()), ("u1", "acme"));
        let Said::Verified(admin) = read(&[("x-user", "u1"), ("x-tenant", "acme"), ("x-roles", "admin")]) else {
            panic!("not believed")
        };
        assert_ne!(plain.apart, admin.apart);
        assert_eq!(read(&[("x-tenant", "acme")]), Said::Nothing);
        for bad in [
            &[("x-user", "u1"), ("x-user", "u2"), ("x-tenant", "acme")][..],
            &[("x-user", ""), ("x-tenant", "acme")],
            &[("x-user", "u1")],
        ] {
            assert_eq!(read(bad), Said::Malformed, "{bad:?}");
        }
    }
}
