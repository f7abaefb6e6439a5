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
