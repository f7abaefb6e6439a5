//! What a client's certificate says. It was verified when the connection began; here it is only read.
//!
//! *Decides*, does no IO.

use std::sync::Arc;

use x509_parser::{certificate::X509Certificate, extensions::GeneralName, prelude::FromDer as _, x509::X509Name};

use super::{credentials::HashKey, tenancy, verified::Verified};
use crate::gateway::config::file::{CertificateField, MutualTlsFile};

/// Who has a certificate; none if it does not say.
pub(crate) fn verified(way: &Arc<str>, rule: &MutualTlsFile, der: &[u8], key: &HashKey) -> Option<Verified> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let subject = field(&certificate, rule.principal, der)?;
    let tenant = match rule.tenant {
        None => None,
        Some(part) => Some(tenancy::tenant(&field(&certificate, part, der)?)?),
    };
    // The text of a name leaves out how it is written; its bytes tell apart what looks alike.
    let apart = key.digest(&[certificate.subject().as_raw()]);
    Some(Verified { way: way.clone(), subject, apart: Some(apart), tenant, session: None })
}

/// The names of a certificate that a rule may trust: its common name and its DNS names.
pub(crate) fn names(der: &[u8]) -> Vec<String> {
    let Ok((_, certificate)) = X509Certificate::from_der(der) else { return Vec::new() };
    let common = common_name(certificate.subject());
    let dns = alternatives(&certificate, |name| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        _ => None,
    });
    common.into_iter().chain(dns).collect()
}

fn field(certificate: &X509Certificate<'_>, part: CertificateField, der: &[u8]) -> Option<String> {
    let subject = certificate.subject();
    let text =
        |attribute: Option<&x509_parser::x509::AttributeTypeAndValue<'_>>| Some(attribute?.as_str().ok()?.to_owned());
    let found = match part {
        CertificateField::Subject => Some(subject.to_string()),
        CertificateField::CommonName => common_name(subject),
        CertificateField::Organization => text(subject.iter_organization().next()),
        CertificateField::OrganizationalUnit => text(subject.iter_organizational_unit().next()),
        CertificateField::Dns => alternatives(certificate, |name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            _ => None,
        })
        .into_iter()
        .next(),
        CertificateField::Uri => alternatives(certificate, |name| match name {
            GeneralName::URI(name) => Some((*name).to_owned()),
            _ => None,
        })
        .into_iter()
        .next(),
        CertificateField::Email => alternatives(certificate, |name| match name {
            GeneralName::RFC822Name(name) => Some((*name).to_owned()),
            _ => None,
        })
        .into_iter()
        .next(),
        CertificateField::Fingerprint => Some(blake3::hash(der).to_hex().to_string()),
    };
    found.filter(|text| !text.is_empty())
}

fn common_name(name: &X509Name<'_>) -> Option<String> {
    Some(name.iter_common_name().next()?.as_str().ok()?.to_owned())
}

fn alternatives(certificate: &X509Certificate<'_>, pick: impl Fn(&GeneralName<'_>) -> Option<String>) -> Vec<String> {
    let extension = certificate.subject_alternative_name().ok().flatten();
    extension.into_iter().flat_map(|extension| extension.value.general_names.iter()).filter_map(pick).collect()
}
