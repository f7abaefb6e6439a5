//! The tables `[upstreams.<name>]`.

use http::HeaderName;

use super::{
    super::{
        fault::Path,
        file::{File, UpstreamFile},
        structure::quoted,
        values::Span,
    },
    Checker,
};
use crate::gateway::proxy::hop::is_plain;

impl Checker<'_, '_> {
    pub(super) fn upstreams(&mut self, file: &File) {
        let at = Path::of("upstreams");
        if file.upstreams.is_empty() && self.document.top().iter().all(|(key, _)| key.get_ref() != "upstreams") {
            self.fault(&at, "is empty", "at least one backend, as [upstreams.<name>]");
        }
        for (name, upstream) in &file.upstreams {
            self.one_upstream(&at.key(name), upstream);
        }
        if let Some(fallback) = &file.fallback {
            self.upstream(&Path::of("fallback"), fallback);
        }
    }

    fn one_upstream(&mut self, at: &Path, upstream: &UpstreamFile) {
        for (place, server) in upstream.servers.iter().enumerate() {
            if upstream.servers[..place].contains(server) {
                self.fault(&at.key("servers").item(place), "stands there twice", "each server once");
            }
        }
        let tls = &upstream.tls;
        let files = [("ca", &tls.ca), ("certificate", &tls.certificate), ("key", &tls.key)];
        for (name, file) in files {
            if let Some(file) = file {
                self.read(&at.key("tls").key(name), file);
            }
        }
        if tls.certificate.is_some() != tls.key.is_some() {
            self.fault(&at.key("tls"), "has only one of certificate and key", "both or none");
        }
        let has_tls = files.iter().any(|(_, file)| file.is_some()) || tls.server_name.is_some();
        if has_tls && upstream.servers.iter().all(|server| server.starts_with("http://")) {
            let advice = Some("write https:// if they speak TLS, or remove the table".to_owned());
            self.advise(&at.key("tls"), "is there for servers without TLS", "a server with https://", advice);
        }
        let timeouts = &upstream.timeouts;
        let times = [("connect", timeouts.connect), ("head", timeouts.head), ("body_idle", timeouts.body_idle)];
        for (name, time) in times {
            self.some_time(&at.key("timeouts").key(name), time);
        }
        if let Some(health) = &upstream.health {
            let at = at.key("health");
            self.some_time(&at.key("every"), health.every);
            self.some_time(&at.key("timeout"), health.timeout);
        }
    }

    /// A header that answers are told apart by reaches those who make them.
    pub(super) fn reaches_upstreams(&mut self, path: &Path, name: &str, file: &File) {
        let is_taken_out = HeaderName::try_from(name).is_ok_and(|name| !is_plain(&name));
        if is_taken_out && !file.upstreams.values().any(|upstream| upstream.any_header_name) {
            let advice = Some("any_header_name = true of an upstream lets such names through".to_owned());
            let found = format!("is {}, which is taken out of what upstreams get", quoted(name));
            self.advise(path, found, "a name of letters, digits and '-'", advice);
        }
    }

    /// A time that is not nothing.
    pub(super) fn some_time(&mut self, path: &Path, time: Span) {
        if time.0.is_zero() {
            self.fault(path, "is 0s", "a longer time, such as \"5s\"");
        }
    }
}
