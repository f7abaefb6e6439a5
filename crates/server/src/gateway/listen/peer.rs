//! What a request carries of where it came from: extensions that the listener puts.

use std::{
    fmt::{self, Write as _},
    net::SocketAddr,
    sync::{Arc, OnceLock},
};

use http::HeaderMap;
use rustls::pki_types::{CertificateDer, UnixTime};
use x509_parser::{extensions::GeneralName, prelude::FromDer as _, x509::AttributeTypeAndValue};

use super::{hints::StreamHints, state::ConnectionState, tls::Shown};
use crate::gateway::{
    identity::LastToken,
    proxy::forwarded::{Hop, HopText},
};

/// The address of who connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerAddress(pub SocketAddr);

/// The certificate that the client showed. The listener has verified it against its authorities.
#[derive(Clone, Debug)]
pub struct PeerCertificate(pub(crate) Arc<CertificateFacts>);

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CertificateFacts {
    subject: String,
    subject_der: Vec<u8>,
    common_name: Option<String>,
    organization: Option<String>,
    organizational_unit: Option<String>,
    names: Vec<AlternativeName>,
    fingerprint: String,
}

/// A name of a certificate's holder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AlternativeName {
    /// A host name.
    Dns(String),
    /// A URI, as of SPIFFE.
    Uri(String),
    /// An e-mail address.
    Email(String),
    /// An IP address.
    Ip(std::net::IpAddr),
}

impl PeerCertificate {
    /// Reads a certificate; nothing if it is none.
    pub(crate) fn read(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, read) = x509_parser::certificate::X509Certificate::from_der(certificate).ok()?;
        let subject = read.subject().to_string();
        let text = |part: Option<&AttributeTypeAndValue<'_>>| Some(part?.as_str().ok()?.to_owned());
        let common_name = text(read.subject().iter_common_name().next());
        let organization = text(read.subject().iter_organization().next());
        let organizational_unit = text(read.subject().iter_organizational_unit().next());
        let subject_der = read.subject().as_raw().to_vec();
        let names = read.subject_alternative_name().ok().flatten();
        let names = names.iter().flat_map(|names| &names.value.general_names).filter_map(alternative).collect();
        // BLAKE3 would do as well, but SHA-256 is what everybody else's tools show.
        let digest = rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256
            .tls13()
            .map(|suite| suite.common.hash_provider.hash(certificate))?;
        let fingerprint = digest.as_ref().iter().fold(String::with_capacity(64), |mut text, byte| {
            write!(text, "{byte:02x}").expect("a string takes all that is written");
            text
        });
        Some(Self(Arc::new(CertificateFacts {
            subject,
            subject_der,
            common_name,
            organization,
            organizational_unit,
            names,
            fingerprint,
        })))
    }

    /// The whole subject: `CN=billing, O=Example`.
    pub fn subject(&self) -> &str {
        &self.0.subject
    }

    /// The common name of the subject.
    pub fn common_name(&self) -> Option<&str> {
        self.0.common_name.as_deref()
    }

    /// The subject as it is written in the certificate (DER): tells apart what looks alike as text.
    pub fn subject_der(&self) -> &[u8] {
        &self.0.subject_der
    }

    /// The organization of the subject.
    pub fn organization(&self) -> Option<&str> {
        self.0.organization.as_deref()
    }

    /// The organizational unit of the subject.
    pub fn organizational_unit(&self) -> Option<&str> {
        self.0.organizational_unit.as_deref()
    }

    /// The subject's alternative names.
    pub fn names(&self) -> &[AlternativeName] {
        &self.0.names
    }

    /// The certificate's SHA-256, in lower-case hexadecimal.
    pub fn fingerprint(&self) -> &str {
        &self.0.fingerprint
    }
}

fn alternative(name: &GeneralName<'_>) -> Option<AlternativeName> {
    match name {
        GeneralName::DNSName(name) => Some(AlternativeName::Dns((*name).to_owned())),
        GeneralName::URI(name) => Some(AlternativeName::Uri((*name).to_owned())),
        GeneralName::RFC822Name(name) => Some(AlternativeName::Email((*name).to_owned())),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes).ok().map(|bytes| AlternativeName::Ip(bytes.into())),
            _ => <[u8; 16]>::try_from(*bytes).ok().map(|bytes| AlternativeName::Ip(bytes.into())),
        },
        _ => None,
    }
}

/// The connection that a request came on. A clone is of the request that was not answered when it was made: early hints go
/// out by it as long as that is so.
pub struct ClientConnection {
    pub(crate) state: Arc<ConnectionState>,
    pub(crate) peer: PeerAddress,
    pub(crate) certificate: Option<PeerCertificate>,
    /// The same, to be judged again.
    pub(crate) shown: Option<Arc<Shown>>,
    asked: Asked,
}

/// Which request of the connection it is.
enum Asked {
    /// The one of HTTP/1.1 with this number; none: the one that is not answered.
    Number(Option<u32>),
    /// The one of HTTP/2 whose hints these are, which are made when somebody may have some: most requests are answered from memory.
    Stream(OnceLock<Arc<StreamHints>>),
}

impl Clone for ClientConnection {
    fn clone(&self) -> Self {
        let Self { state, peer, certificate, shown, asked } = self;
        let asked = match asked {
            Asked::Number(number) => Asked::Number(Some(number.unwrap_or_else(|| state.hints().asked()))),
            Asked::Stream(hints) => Asked::Stream(hints.get_or_init(Arc::default).clone().into()),
        };
        Self { state: state.clone(), peer: *peer, certificate: certificate.clone(), shown: shown.clone(), asked }
    }
}

impl fmt::Debug for ClientConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { state, peer, certificate, .. } = self;
        f.debug_struct("ClientConnection")
            .field("state", state)
            .field("peer", peer)
            .field("certificate", certificate)
            .finish_non_exhaustive()
    }
}

impl ClientConnection {
    /// One that has just been accepted.
    pub(crate) fn new(state: Arc<ConnectionState>, peer: PeerAddress) -> Self {
        Self { state, peer, certificate: None, shown: None, asked: Asked::Number(None) }
    }

    /// The address of who connected.
    pub fn peer(&self) -> PeerAddress {
        self.peer
    }

    /// The certificate that the client showed, if it showed one.
    pub fn certificate(&self) -> Option<&PeerCertificate> {
        self.certificate.as_ref()
    }

    /// Whether its client would be let in now: of who has shown no certificate nothing more is known than at the start.
    pub(crate) fn is_accepted(&self) -> bool {
        self.shown.as_ref().is_none_or(|shown| shown.is_accepted(UnixTime::now()))
    }

    /// Whether it is TLS.
    pub fn is_tls(&self) -> bool {
        self.state.is_tls()
    }

    /// The token that came last on it.
    pub(crate) fn last_token(&self) -> &LastToken {
        self.state.last_token()
    }

    /// It speaks HTTP/2.
    pub(crate) fn set_http2(&mut self) {
        self.asked = Asked::Stream(OnceLock::new());
    }

    /// What the request that was handed on last is sent ahead of its answer, if there may be anything. The next one has its own.
    pub(crate) fn take_hints(&mut self) -> Option<Arc<StreamHints>> {
        match &mut self.asked {
            Asked::Number(_) => None,
            Asked::Stream(hints) => hints.take(),
        }
    }

    /// Sends 103 with these fields ahead of the answer, unless that has begun or the client takes nothing.
    pub(crate) fn hint(&self, headers: HeaderMap) {
        match &self.asked {
            Asked::Number(number) => {
                self.state.hint(number.unwrap_or_else(|| self.state.hints().asked()), &headers);
            }
            Asked::Stream(hints) => hints.get_or_init(Arc::default).push(headers),
        }
    }

    /// How this hop is told to servers; made once, unless the client asks for many hosts.
    pub(crate) fn hop_text(&self, hop: &Hop<'_>) -> HopText {
        self.state.hop_text(hop)
    }

    /// Is over when the listener closes the connection.
    pub(crate) async fn closed(&self) {
        self.state.closed().await;
    }
}
