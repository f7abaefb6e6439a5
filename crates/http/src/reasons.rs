//! Why a request is passed on, and why a response is not kept.

use std::fmt;

/// Why a request is passed on without a look at the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BypassReason {
    /// Nobody was verified.
    NoIdentity,
    /// No route covers the path, or its policy keeps nothing.
    Route,
    /// The route was switched off.
    Off,
    /// The identity's tenant is the one that public responses are kept in.
    PublicTenant,
    /// Neither GET nor HEAD.
    Method,
    /// The request says `no-store`.
    NoStore,
    /// The request has a body, which is no part of the key.
    RequestBody,
    /// The request wants another protocol.
    Upgrade,
    /// The request wants to be read as another method or URL.
    OverrideHeader,
    /// Servers read the URL in more than one way.
    Url,
    /// The URL is longer than the limit.
    UrlTooLong,
    /// The request is marked as [`Uncached`](crate::Uncached).
    Uncached,
    /// The cache itself could not take part.
    Engine,
}

/// Why a response is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotStoredReason {
    /// Its status is not 200.
    Status,
    /// The origin said `no-store`.
    NoStore,
    /// The origin said `no-cache`.
    NoCache,
    /// The origin said `private`, and the route shares.
    Private,
    /// The origin said `must-revalidate`, and the policy may serve stale.
    MustRevalidate,
    /// The origin gave it no life.
    Expired,
    /// It sets a cookie.
    SetCookie,
    /// It varies on everything.
    VaryAny,
    /// It varies on a request header that is no part of the key.
    VaryUncounted,
    /// It is a stream of events.
    EventStream,
    /// Its body is larger than the limit.
    TooLarge,
    /// Its headers are larger than the limit.
    HeadersTooLarge,
    /// It has trailers.
    Trailers,
    /// A write was made while it was produced.
    Written,
    /// Its body broke off.
    BodyFailed,
    /// Its status is not one that is known, and the origin says that it must be.
    NotUnderstood,
    /// The request said `no-store`.
    RequestNoStore,
    /// It answers an `Authorization`, and the origin does not say that others may have it.
    Authorization,
    /// The origin gave it no life, and nothing to validate it by or a status of which nothing may be assumed.
    NoLifetime,
    /// It answers a HEAD, and so has no body.
    Head,
    /// It is a part that was not asked for.
    Unasked,
    /// It names more groups than the limit.
    TooManyGroups,
    /// It names a group that is longer than the limit.
    GroupTooLong,
    /// The header that names its groups cannot be read.
    BadGroups,
}

impl NotStoredReason {
    /// Whether it speaks against what is stored of the same URL, too. The origin has said that nobody, or no other, may have what
    /// it answers with (RFC 9111, 4.3.4); or it does not complete the part that is there, and would be asked to again.
    pub(crate) fn ends_what_is_stored(self) -> bool {
        let is_told =
            matches!(self, Self::NoStore | Self::Private | Self::SetCookie | Self::VaryAny | Self::Authorization);
        is_told || self == Self::Unasked
    }
}

macro_rules! reasons {
    ($type:ident: $($variant:ident => $text:literal),* $(,)?) => {
        impl $type {
            /// The reason as a short stable word, for headers and metrics.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

reasons!(BypassReason: NoIdentity => "no-identity", Route => "route", Off => "off", PublicTenant => "public-tenant", Method => "method", NoStore => "no-store",
    RequestBody => "request-body", Upgrade => "upgrade", OverrideHeader => "override-header", Url => "url",
    UrlTooLong => "url-too-long", Uncached => "uncached", Engine => "engine");
reasons!(NotStoredReason: Status => "status", NoStore => "origin-no-store", NoCache => "origin-no-cache",
    Private => "origin-private", MustRevalidate => "origin-must-revalidate", Expired => "origin-expired",
    SetCookie => "set-cookie", VaryAny => "vary-any", VaryUncounted => "vary-uncounted", EventStream => "event-stream",
    TooLarge => "too-large", HeadersTooLarge => "headers-too-large", Trailers => "trailers", Written => "written",
    BodyFailed => "body-failed", TooManyGroups => "too-many-groups", GroupTooLong => "group-too-long",
    BadGroups => "bad-groups", NotUnderstood => "not-understood", RequestNoStore => "request-no-store",
    Authorization => "authorization", NoLifetime => "no-lifetime", Head => "head",
    Unasked => "unasked");
