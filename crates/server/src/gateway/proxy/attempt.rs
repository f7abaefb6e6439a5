//! One request: prepared once, sent until a server answers or it may not be sent again.

use std::{convert::Infallible, future::ready, sync::Arc};

use bytes::Bytes;
use chrono::Utc;
use futures_util::future::BoxFuture;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version, header, request, response, uri,
};
use http_body::Body;
use hyper::upgrade::OnUpgrade;
use unstale_http::ForOthers;

use super::{
    Shared,
    body::ForwardBody,
    failure::{BadAnswer, Failure},
    forwarded::{self, Hop, HopText},
    hop,
    tunnel::Tunnel,
};
use crate::gateway::{
    date,
    listen::ClientConnection,
    upstream::{
        Arriving, BoxError, Channel, ConnectError, Failed, Lease, Reached, SendError, SendProgress, Sending, SentBody,
        SentHost, Server, Upstream, may_retry,
    },
};

/// An answer on its way.
type Forwarding = BoxFuture<'static, Result<Response<ForwardBody>, Infallible>>;

/// A request as it is sent, whichever server it goes to.
struct Prepared {
    method: Method,
    /// Path and query only.
    target: Uri,
    headers: HeaderMap,
    /// Whom the client asked for.
    host: Option<HeaderValue>,
    /// It is what the field says.
    host_is_field: bool,
    upgrade: Option<Upgrade>,
    connection: Option<ClientConnection>,
    /// Whether its client reads interim answers: those of HTTP/1.0 take them for the answer.
    takes_hints: bool,
    progress: Option<Arc<SendProgress>>,
    /// The body waits until the server wants it.
    gated: bool,
}

struct Upgrade {
    protocols: HeaderValue,
    client: OnUpgrade,
}

/// What was answered, and on what.
struct Answered {
    response: Response<Arriving>,
    channel: Channel,
    lease: Lease,
}

/// Forwards a request. Its head is made as it is called, so that the future holds no other.
pub(crate) fn forward<B>(
    shared: &Arc<Shared>,
    upstream: Arc<Upstream>,
    connection: Option<ClientConnection>,
    request: Request<B>,
) -> Forwarding
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let (mut head, body) = request.into_parts();
    upstream.began();
    let fields = hop::Fields::of(&head.headers);
    if fields.odd && !upstream.settings().any_header_name {
        hop::strip_odd(&mut head.headers);
    }
    let body = SentBody::new(body, fields.expect);
    match prepare(shared, connection, head, &body, fields) {
        Ok(prepared) => {
            let shared = shared.clone();
            Box::pin(async move {
                let mut prepared = prepared;
                let answered = answer(&shared, &upstream, &mut prepared, body).await;
                Ok(answered.unwrap_or_else(|failure| failed(&shared, &upstream, &failure)))
            })
        }
        Err(failure) => Box::pin(ready(Ok(failed(shared, &upstream, &failure)))),
    }
}

/// The answer to a request that says by no extension where it goes.
pub(crate) fn no_target(shared: &Shared) -> Forwarding {
    Box::pin(ready(Ok(Failure::NoTarget.response(shared.settings.name.as_str()))))
}

fn failed(shared: &Shared, upstream: &Upstream, failure: &Failure) -> Response<ForwardBody> {
    let response = failure.response(shared.settings.name.as_str());
    if response.status().is_server_error() {
        upstream.gave_up();
        tracing::warn!(upstream = upstream.name(), %failure, "a request was not forwarded");
    } else {
        tracing::debug!(upstream = upstream.name(), %failure, "a request was not forwarded");
    }
    response
}

/// Makes the head as servers get it.
fn prepare(
    shared: &Shared,
    connection: Option<ClientConnection>,
    mut head: request::Parts,
    body: &SentBody,
    fields: hop::Fields,
) -> Result<Prepared, Failure> {
    let peer = connection.as_ref().map(|connection| connection.peer().0.ip());
    let wanted = || hop::wanted_upgrade(&head.method, head.version, &head.headers);
    let protocols = fields.upgrade.then(wanted).flatten();
    let upgrade =
        protocols.and_then(|protocols| Some(Upgrade { protocols, client: head.extensions.remove::<OnUpgrade>()? }));
    let trailers = fields.hop_by_hop && hop::accepts_trailers(&head.headers);
    let headers = &mut head.headers;
    if fields.hop_by_hop {
        hop::strip(headers);
    }
    if trailers {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
    if head.version == Version::HTTP_2 {
        hop::join_cookies(headers);
    }
    let asked = head.uri.authority().and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
    let host_is_field = asked.is_none();
    let host = asked.or_else(|| headers.get(header::HOST).cloned());
    let https = connection.as_ref().is_some_and(ClientConnection::is_tls);
    // What others may be given is made for nobody's address.
    let is_for_others = head.extensions.get::<ForOthers>().is_some();
    let told = peer.filter(|_| !is_for_others);
    let hop = Hop { peer: told, https, host: host.as_ref(), trusted: shared.trusts(peer) };
    let text = match &connection {
        Some(connection) if !is_for_others => connection.hop_text(&hop),
        _ => HopText::of(&hop),
    };
    forwarded::rewrite(headers, &hop, text, shared.settings.forwarded);
    forwarded::add_via(headers, head.version, &shared.via).map_err(|_| Failure::Circle)?;
    Ok(Prepared {
        target: origin_form(head.uri),
        method: head.method,
        headers: head.headers,
        host,
        host_is_field,
        upgrade,
        takes_hints: head.version > Version::HTTP_10,
        connection,
        progress: body.progress(),
        gated: fields.expect,
    })
}

/// Path and query only: the server knows by `Host` whom is meant.
fn origin_form(uri: Uri) -> Uri {
    if uri.authority().is_none() {
        return uri;
    }
    let mut parts = uri::Parts::default();
    parts.path_and_query = Some(uri.into_parts().path_and_query.unwrap_or(uri::PathAndQuery::from_static("/")));
    Uri::from_parts(parts).expect("a path alone is a URL")
}

async fn answer(
    shared: &Shared,
    upstream: &Arc<Upstream>,
    prepared: &mut Prepared,
    body: SentBody,
) -> Result<Response<ForwardBody>, Failure> {
    let Answered { response, channel, lease } = ask(upstream, prepared, body).await?;
    let timeouts = &upstream.settings().timeouts;
    let (mut head, body) = response.into_parts();
    if head.status == StatusCode::SWITCHING_PROTOCOLS {
        let (Some(Upgrade { client, .. }), Channel::Link(link)) = (prepared.upgrade.take(), channel) else {
            return Err(Failure::Answer(BadAnswer::Switched));
        };
        let protocol = head.headers.get(header::UPGRADE).cloned();
        hop::strip(&mut head.headers);
        head.headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        protocol.into_iter().for_each(|protocol| drop(head.headers.insert(header::UPGRADE, protocol)));
        head.extensions.remove::<OnUpgrade>();
        head.version = Version::HTTP_11;
        let (connection, counts) = (prepared.connection.take(), shared.tunnels.clone());
        Tunnel { client, connection, link, lease, idle: timeouts.tunnel_idle, counts }.spawn();
        return Ok(Response::from_parts(head, ForwardBody::empty()));
    }
    match &body {
        // Its length is said once, and no coding.
        Arriving::Counted(_) => hop::strip(&mut head.headers),
        Arriving::Driven(_) => clean(&mut head).map_err(Failure::Answer)?,
    }
    date::add(&mut head.headers, Utc::now);
    let idle = timeouts.body_idle;
    let body = match (channel, body) {
        (Channel::Link(link), body) => ForwardBody::link(body, link, lease, idle),
        (Channel::Stream(stream), Arriving::Driven(body)) => ForwardBody::stream(body, stream, lease, idle),
        (Channel::Stream(_), Arriving::Counted(_)) => unreachable!("what comes on a stream is the library's to read"),
    };
    Ok(Response::from_parts(head, body))
}

/// Removes what concerned the connection to the server.
pub(crate) fn clean(head: &mut response::Parts) -> Result<(), BadAnswer> {
    let headers = &mut head.headers;
    if headers.contains_key(header::TRANSFER_ENCODING) {
        let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
        let coding = codings.next().map_or(&b""[..], HeaderValue::as_bytes);
        let chunked = coding.eq_ignore_ascii_case(b"chunked");
        // A word that names no coding leaves the body as it is, up to the connection's end (RFC 9112 §6.3), where there
        // is no length beside it that says otherwise.
        let plain = names_no_coding(coding) && !headers.contains_key(header::CONTENT_LENGTH);
        if !(chunked || plain) || codings.next().is_some() {
            return Err(BadAnswer::TransferCoding);
        }
        // The body was read in chunks: another length, if one was given, is wrong (RFC 9112 §6.3).
        headers.remove(header::CONTENT_LENGTH);
    } else if headers.get_all(header::CONTENT_LENGTH).iter().nth(1).is_some() {
        // They are equal, else the answer was refused.
        let length = headers[header::CONTENT_LENGTH].clone();
        headers.insert(header::CONTENT_LENGTH, length);
    }
    hop::strip(headers);
    head.version = Version::HTTP_11;
    Ok(())
}

/// Whether a `Transfer-Encoding` is one word that has nothing of a registered coding's name in it. What has may be a
/// coding to somebody, and would be passed on without being undone.
fn names_no_coding(value: &[u8]) -> bool {
    let word = value.to_ascii_lowercase();
    let has = |coding: &&[u8]| word.windows(coding.len()).any(|part| part == *coding);
    !word.is_empty()
        && word.iter().all(u8::is_ascii_alphanumeric)
        && ![&b"chunked"[..], b"gzip", b"deflate", b"compress"].iter().any(has)
}

/// Asks servers until one answers.
async fn ask(upstream: &Arc<Upstream>, prepared: &mut Prepared, body: SentBody) -> Result<Answered, Failure> {
    let settings = upstream.settings();
    let attempts_max = settings.retry.attempts_max;
    // What a server may have got can be sent again only if it is kept, which is in vain for most.
    let may_replay = body.progress().is_none() && prepared.method.is_idempotent() && attempts_max > 1;
    let headers = std::mem::take(&mut prepared.headers);
    let mut request = prepared.request(headers, body);
    let mut tried: Vec<Arc<Server>> = Vec::new();
    let mut stale = false;
    loop {
        let Some(server) = upstream.pick(&tried) else { return Err(Failure::NoServer(upstream.retry_after())) };
        let lease = server.lease(&settings.timeouts).await?;
        let (failure, reached, again) = match connect(server, prepared, stale || !tried.is_empty()).await {
            Err(error) => {
                server.failed();
                (Failure::Connect(error), Reached::Nothing, Some(request))
            }
            Ok(mut channel) => {
                prepared.address(&mut request, server, &channel, &settings.host);
                let reused = channel.is_reused();
                let sending = Sending { timeouts: &settings.timeouts, gated: prepared.gated, keeps: may_replay };
                match channel.send(request, sending, |request| prepared.listen_for_interim(request)).await {
                    Ok(response) => {
                        server.succeeded();
                        return Ok(Answered { response, channel, lease });
                    }
                    // The server closed a connection that nobody used: no failure of anyone.
                    Err(SendError::Unsent(unsent)) if reused && !stale => {
                        stale = true;
                        request = *unsent;
                        continue;
                    }
                    Err(SendError::Unsent(unsent)) => {
                        (Failure::Send(SendError::Closed), Reached::Nothing, Some(*unsent))
                    }
                    Err(error) => {
                        let reached =
                            if matches!(error, SendError::Closed) { Reached::Closed } else { Reached::Server };
                        let of_client = matches!(error, SendError::ClientStalled | SendError::ClientBody(_));
                        if !(of_client || reused && reached == Reached::Closed) {
                            server.failed();
                        }
                        let replay = may_replay && reached == Reached::Closed;
                        let again = replay.then(|| prepared.request(channel.take_kept(), SentBody::empty()));
                        (Failure::Send(error), reached, again)
                    }
                }
            }
        };
        let attempts = u32::try_from(tried.len()).unwrap_or(u32::MAX) + 1;
        let body_whole = prepared.progress.as_ref().is_none_or(|progress| !progress.begun());
        let failed = Failed { method: &prepared.method, reached, body_whole, attempts };
        if let Err(refusal) = may_retry(failed, attempts_max, upstream.budget()) {
            tracing::debug!(upstream = upstream.name(), %failure, ?refusal, "a request is not sent again");
            return Err(failure);
        }
        let Some(again) = again else {
            // Some of its body was taken over by a connection that is gone.
            return Err(failure);
        };
        request = again;
        upstream.retried();
        tried.push(server.clone());
    }
}

async fn connect(server: &Server, prepared: &mut Prepared, fresh: bool) -> Result<Channel, ConnectError> {
    if prepared.upgrade.is_some() {
        if let Some(channel) = Box::pin(server.switchable_channel()).await? {
            return Ok(channel);
        }
        // The server speaks HTTP/2 only: it is asked without the wish.
        prepared.upgrade = None;
    }
    server.channel(fresh).await
}

impl Prepared {
    fn request(&self, headers: HeaderMap, body: SentBody) -> Request<SentBody> {
        let mut request = Request::new(body);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.target.clone();
        *request.headers_mut() = headers;
        request
    }

    /// Has interim answers told: "go on" opens the body's gate, early hints go to the client.
    fn listen_for_interim(&self, request: &mut Request<SentBody>) {
        let progress = self.progress.clone().filter(|_| self.gated);
        let hints = self.connection.clone().filter(|_| self.takes_hints);
        if progress.is_none() && hints.is_none() {
            return;
        }
        hyper::ext::on_informational(request, move |interim| match interim.status() {
            StatusCode::CONTINUE => progress.iter().for_each(|progress| progress.open()),
            StatusCode::EARLY_HINTS => {
                if let Some(connection) = &hints {
                    let mut headers = interim.headers().clone();
                    hop::strip(&mut headers);
                    connection.hint(headers);
                }
            }
            _ => {}
        });
    }

    /// Says whom the request is for, as this server and connection want it.
    fn address(&self, request: &mut Request<SentBody>, server: &Server, channel: &Channel, sent: &SentHost) {
        let host = match sent {
            SentHost::Preserved => self.host.as_ref().unwrap_or(&server.authority),
            SentHost::Server => &server.authority,
            SentHost::Named(name) => name,
        };
        match channel {
            Channel::Link(_) => {
                // It was made for HTTP/2 before.
                let is_other = request.uri().authority().is_some();
                if is_other {
                    *request.uri_mut() = self.target.clone();
                }
                let headers = request.headers_mut();
                if is_other || !(self.host_is_field && self.host.is_some() && matches!(sent, SentHost::Preserved)) {
                    headers.insert(header::HOST, host.clone());
                }
                if let Some(upgrade) = &self.upgrade {
                    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
                    headers.insert(header::UPGRADE, upgrade.protocols.clone());
                } else if headers.contains_key(header::TE) {
                    headers.insert(header::CONNECTION, HeaderValue::from_static("te"));
                }
            }
            Channel::Stream(_) => {
                let headers = request.headers_mut();
                headers.remove(header::HOST);
                headers.remove(header::CONNECTION);
                let mut parts = self.target.clone().into_parts();
                parts.scheme = Some(if server.address.tls { uri::Scheme::HTTPS } else { uri::Scheme::HTTP });
                parts.authority = host.to_str().ok().and_then(|host| host.parse().ok());
                if let Ok(uri) = Uri::from_parts(parts) {
                    *request.uri_mut() = uri;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_word_that_is_no_coding_leaves_a_body_as_it_is() {
        for (value, expected) in [
            ("AURYFVPNERYPVU", true),
            ("chunked", false),
            ("xchunked", false),
            ("Chunked", false),
            ("gzip", false),
            ("x-gzip", false),
            ("a, b", false),
            ("a;q=1", false),
            ("", false),
        ] {
            assert_eq!(names_no_coding(value.as_bytes()), expected, "{value:?}");
        }
    }
}
