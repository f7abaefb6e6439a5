//! From the file's words to the settings of listener and upstreams.

use http::Uri;

use crate::gateway::{
    config::{
        Plan,
        file::{self, Control, UpstreamFile},
    },
    listen::{ClientAuthority, ListenSettings, ListenTls},
    upstream::{
        CertificateFiles, HealthSettings, RetrySettings, SentHost, ServerAddress, Timeouts, UpstreamSettings,
        UpstreamTls,
    },
};

/// Connections to the API for backends at a time.
const CONTROL_CONNECTIONS_MAX: usize = 1000;

/// The listener's settings.
pub(crate) fn listen_settings(plan: &Plan) -> ListenSettings {
    let file = &plan.file.listen;
    ListenSettings {
        tls: file.tls.as_ref().map(|tls| listen_tls(plan, tls)),
        http2: file.http2,
        connections_max: file.connections_max,
        head_bytes_max: file.head_bytes_max.as_usize(),
        headers_max: file.headers_max,
        head_timeout: file.head_timeout.0,
        idle_timeout: file.idle_timeout.0,
        write_timeout: file.write_timeout.0,
        drain_limit: file.drain_timeout.0,
        ..ListenSettings::new(file.address.parse().expect("the file was checked"))
    }
}

/// The settings of the listener of the API for backends.
pub(crate) fn control_settings(plan: &Plan, file: &Control) -> ListenSettings {
    ListenSettings {
        tls: file.tls.as_ref().map(|tls| listen_tls(plan, tls)),
        connections_max: CONTROL_CONNECTIONS_MAX,
        ..ListenSettings::new(file.address.parse().expect("the file was checked"))
    }
}

fn listen_tls(plan: &Plan, file: &file::ListenTls) -> ListenTls {
    let files = CertificateFiles { certificate: plan.path(&file.certificate), key: plan.path(&file.key) };
    let client_ca = file.client_ca.as_ref().map(|ca| ClientAuthority {
        ca: plan.path(ca),
        crl: file.client_crl.as_ref().map(|crl| plan.path(crl)),
        required: file.client_required,
    });
    ListenTls { client_ca, ..ListenTls::new(files) }
}

/// An upstream's settings.
pub(crate) fn upstream_settings(plan: &Plan, name: &str, file: &UpstreamFile) -> UpstreamSettings {
    let path = |path: &std::path::PathBuf| plan.path(path);
    let servers = file.servers.iter().map(|server| server.parse::<ServerAddress>().expect("the file was checked"));
    let own = UpstreamSettings::new(name, servers);
    let identity = file.tls.certificate.as_ref().zip(file.tls.key.as_ref());
    let health = file.health.as_ref().map(|health| HealthSettings {
        every: health.every.0,
        timeout: health.timeout.0,
        unhealthy_after: health.unhealthy_after,
        healthy_after: health.healthy_after,
        ..HealthSettings::new(health.path.as_str())
    });
    UpstreamSettings {
        tls: UpstreamTls {
            ca: file.tls.ca.as_ref().map(path),
            server_name: file.tls.server_name.clone(),
            identity: identity
                .map(|(certificate, key)| CertificateFiles { certificate: path(certificate), key: path(key) }),
        },
        http2: file.http2,
        connections_max: file.connections_max,
        timeouts: Timeouts {
            connect: file.timeouts.connect.0,
            head: file.timeouts.head.0,
            body_idle: file.timeouts.body_idle.0,
            ..own.timeouts
        },
        retry: RetrySettings { attempts_max: file.retry.attempts_max, budget_percent: file.retry.budget_percent },
        health,
        any_header_name: file.any_header_name,
        host: if file.preserve_host { SentHost::Preserved } else { SentHost::Server },
        ..own
    }
}

/// The server of a URL, as an upstream that is asked now and then.
pub(crate) fn url_settings(url: &Uri) -> Option<UpstreamSettings> {
    let origin = format!("{}://{}", url.scheme_str()?, url.authority()?);
    let own = UpstreamSettings::new(format!("the keys of {origin}"), [origin.parse::<ServerAddress>().ok()?]);
    Some(UpstreamSettings { connections_max: 2, host: SentHost::Server, ..own })
}
