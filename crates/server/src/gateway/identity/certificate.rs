//! What a client's certificate says. It was verified when the connection began.
//!
//! *Decides*, does no IO.

use std::sync::Arc;

use super::{credentials::HashKey, tenancy, verified::Verified};
use crate::gateway::{
    config::file::{CertificateField, MutualTlsFile},
    listen::{AlternativeName, PeerCertificate},
};

/// Who has a certificate; none if it does not say.
pub(crate) fn verified(
    way: &Arc<str>,
    rule: &MutualTlsFile,
    certificate: &PeerCertificate,
    key: &HashKey,
) -> Option<Verified> {
    let subject = field(certificate, rule.principal)?;
    let tenant = match rule.tenant {
        None => None,
        Some(part) => Some(tenancy::tenant(field(certificate, part)?)?),
    };
    // The text of a name leaves out how it is written; its bytes tell apart what looks alike.
    let apart = key.digest(&[certificate.subject_der()]);
    Some(Verified { way: way.clone(), subject: subject.to_owned(), apart: Some(apart), tenant, session: None })
}

/// Whether a certificate has one of these names: as its common name or as a DNS name.
pub(crate) fn has_name(certificate: &PeerCertificate, names: &[String]) -> bool {
    let dns = certificate.names().iter().filter_map(|name| match name {
        AlternativeName::Dns(name) => Some(name.as_str()),
        _ => None,
    });
    certificate.common_name().into_iter().chain(dns).any(|own| names.iter().any(|name| name == own))
}

fn field(certificate: &PeerCertificate, part: CertificateField) -> Option<&str> {
    let mut names = certificate.names().iter();
    let found = match part {
        CertificateField::Subject => Some(certificate.subject()),
        CertificateField::CommonName => certificate.common_name(),
        CertificateField::Organization => certificate.organization(),
        CertificateField::OrganizationalUnit => certificate.organizational_unit(),
        CertificateField::Fingerprint => Some(certificate.fingerprint()),
        CertificateField::Dns => names.find_map(|name| match name {
            AlternativeName::Dns(name) => Some(name.as_str()),
            _ => None,
        }),
        CertificateField::Uri => names.find_map(|name| match name {
            AlternativeName::Uri(name) => Some(name.as_str()),
            _ => None,
        }),
        CertificateField::Email => names.find_map(|name| match name {
            AlternativeName::Email(name) => Some(name.as_str()),
            _ => None,
        }),
    };
    found.filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    fn certificate(name: &str, organization: &str) -> PeerCertificate {
        let mut params = CertificateParams::new(vec![format!("{name}.internal")]).unwrap();
        params.subject_alt_names.push(SanType::URI(format!("spiffe://acme/{name}").try_into().unwrap()));
        params.distinguished_name.push(DnType::CommonName, name);
        params.distinguished_name.push(DnType::OrganizationName, organization);
        let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        PeerCertificate::read(made.der()).unwrap()
    }

    fn verify(rule: serde_json::Value, certificate: &PeerCertificate) -> Option<Verified> {
        let rule = serde_json::from_value(rule).unwrap();
        verified(&"mtls".into(), &rule, certificate, &HashKey::derive(b"secret"))
    }

    #[test]
    fn each_part_may_name_principal_and_tenant() {
        let billing = certificate("billing", "acme");
        let check = |part: &str, expected: &str| {
            let found = verify(serde_json::json!({"principal": part, "tenant": "organization"}), &billing).unwrap();
            assert_eq!((found.subject.as_str(), found.tenant.unwrap().as_str()), (expected, "acme"), "{part}");
        };
        check("common_name", "billing");
        check("organization", "acme");
        check("dns", "billing.internal");
        check("uri", "spiffe://acme/billing");
        check("fingerprint", billing.fingerprint());
        check("subject", billing.subject());
        assert_eq!(verify(serde_json::json!({"principal": "email"}), &billing), None);
        assert!(has_name(&billing, &["billing.internal".into()]) && has_name(&billing, &["billing".into()]));
        assert!(!has_name(&billing, &["spiffe://acme/billing".into(), "other".into()]));
    }

    #[test]
    fn subjects_that_share_a_part_are_told_apart() {
        let rule = serde_json::json!({"principal": "common_name"});
        let (one, other) = (certificate("billing", "acme"), certificate("billing", "globex"));
        let apart = |certificate| verify(rule.clone(), certificate).unwrap().apart;
        assert_ne!(apart(&one), apart(&other));
    }
}
