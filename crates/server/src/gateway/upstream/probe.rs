//! Asks servers whether they are well, and closes what is unused.

use std::{
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use http::{Request, header};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::{
    Upstream,
    link::{Link, Sending},
    multiplex::Multiplex,
    sent::SentBody,
    server::Server,
    settings::{HealthSettings, Timeouts},
};

/// How often unused connections are looked at.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// Works for an upstream until nobody holds it any more.
pub(crate) fn start(upstream: &Arc<Upstream>) {
    let swept = Arc::downgrade(upstream);
    tokio::spawn(sweep(swept));
    let Some(health) = &upstream.settings.health else { return };
    for server in &upstream.servers {
        tokio::spawn(ask(Arc::downgrade(server), health.clone(), upstream.settings.timeouts));
    }
}

async fn sweep(upstream: Weak<Upstream>) {
    let mut ticks = interval(SWEEP_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(upstream) = upstream.upgrade() else { return };
        let Some(oldest) = Instant::now().checked_sub(upstream.settings.timeouts.keep_alive) else { continue };
        upstream.servers.iter().for_each(|server| server.sweep(oldest));
    }
}

async fn ask(server: Weak<Server>, settings: HealthSettings, timeouts: Timeouts) {
    let mut ticks = interval(settings.every.max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(server) = server.upgrade() else { return };
        let good = timeout(settings.timeout, is_well(&server, &settings.path, &timeouts)).await.unwrap_or(false);
        server.probed(good);
    }
}

/// On a connection of its own: one that is kept says little of whether the server takes new ones.
async fn is_well(server: &Server, path: &str, timeouts: &Timeouts) -> bool {
    let request =
        Request::get(path).header(header::USER_AGENT, "unstale-health").header(header::HOST, &server.authority);
    let Ok(mut request) = request.body(SentBody::empty()) else { return false };
    let Ok(connected) = server.connector().connect().await else { return false };
    let answer = if connected.http2 {
        let multiplex = Multiplex::default();
        let Ok(mut stream) = multiplex.add(connected.stream, HEAD_BYTES_MAX).await else { return false };
        let scheme = if server.address.tls { "https" } else { "http" };
        let Ok(uri) = format!("{scheme}://{}{path}", server.address.authority()).parse() else { return false };
        *request.uri_mut() = uri;
        request.headers_mut().remove(header::HOST);
        stream.send(request, timeouts, false).await.map(|answer| answer.status())
    } else {
        let mut link = Link::new(connected.stream, HEAD_BYTES_MAX);
        let sending = Sending { timeouts, gated: false, keeps: false };
        link.send(request, sending, |_| ()).await.map(|answer| answer.status())
    };
    answer.is_ok_and(|status| status.is_success() || status.is_redirection())
}

/// Of an answer to a probe.
const HEAD_BYTES_MAX: usize = 16 * 1024;
