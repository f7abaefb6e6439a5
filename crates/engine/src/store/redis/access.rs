//! What every connection to a server needs: login, certificates, time-outs.

use std::{fs, path::Path, time::Duration};

use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, ConnectionAddr, IntoConnectionInfo as _, RedisConnectionInfo,
    RedisResult, TlsCertificates, aio::MultiplexedConnection, io::tcp::TcpSettings,
};

use super::{
    address::{Address, Target},
    settings::{InvalidRedisSettings, RedisLimits, RedisLogin, RedisTls},
};

/// How servers of one kind (the data's, or sentinels) are connected to.
#[derive(Clone)]
pub(super) struct Access {
    login: RedisConnectionInfo,
    certificates: Option<TlsCertificates>,
    connect_timeout: Duration,
    user_timeout: Duration,
    silence_max: Duration,
}

impl Access {
    /// To the servers of the data.
    pub(super) fn new(target: &Target, tls: &RedisTls, limits: &RedisLimits) -> Result<Self, InvalidRedisSettings> {
        let login = RedisLogin { user: target.user.clone(), password: target.password.clone() };
        let certificates = if target.tls { Some(certificates(tls)?) } else { None };
        Ok(Self {
            login: login_info(&login).set_db(target.database),
            certificates,
            connect_timeout: limits.connect_timeout,
            user_timeout: limits.operation_timeout * 2,
            // An operation may ask several times; whoever gives it up has waited for one answer about so long.
            silence_max: limits.operation_timeout / 2,
        })
    }

    /// To sentinels, which have users of their own and no databases.
    pub(super) fn to_sentinels(&self, login: &RedisLogin) -> Self {
        Self { login: login_info(login), ..self.clone() }
    }

    /// How long a connection on which somebody waits may be silent.
    pub(super) fn silence_max(&self) -> Duration {
        self.silence_max
    }

    /// Connects. `pushed` hears of messages and of the end of the connection.
    pub(super) async fn connect(
        &self,
        address: &Address,
        pushed: impl Fn(redis::PushInfo) -> Result<(), ()> + Send + Sync + 'static,
    ) -> RedisResult<MultiplexedConnection> {
        let (host, port) = (address.host.clone(), address.port);
        // What was sent and is not acknowledged for so long was sent to nobody: without it, a connection whose other
        // end vanished would be kept for a quarter of an hour. Nagle's algorithm stays on: it gathers the small
        // commands of many tasks; a fifth of the throughput is lost without it.
        let tcp = TcpSettings::default();
        #[cfg(target_os = "linux")]
        let tcp = tcp.set_user_timeout(self.user_timeout);
        let address = match &self.certificates {
            None => ConnectionAddr::Tcp(host, port),
            Some(_) => ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None },
        };
        let info = address.into_connection_info()?.set_tcp_settings(tcp).set_redis_settings(self.login.clone());
        let client = match &self.certificates {
            None => Client::open(info)?,
            Some(certificates) => Client::build_with_tls(info, certificates.clone())?,
        };
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.connect_timeout))
            // Each operation has its own time.
            .set_response_timeout(None)
            .set_push_sender(pushed);
        client.get_multiplexed_async_connection_with_config(&config).await
    }
}

fn login_info(login: &RedisLogin) -> RedisConnectionInfo {
    // The third protocol tells of the connection's end and of messages without another connection's help.
    let mut info = RedisConnectionInfo::default().set_protocol(redis::ProtocolVersion::RESP3);
    if let Some(user) = &login.user {
        info = info.set_username(user);
    }
    if let Some(password) = &login.password {
        info = info.set_password(password);
    }
    info
}

fn certificates(tls: &RedisTls) -> Result<TlsCertificates, InvalidRedisSettings> {
    // Some other part of the program may have chosen its cryptography already; any will do.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let read =
        |path: &Path| fs::read(path).map_err(|error| InvalidRedisSettings::File(path.to_owned(), error.to_string()));
    let root_cert = tls.authority_file.as_deref().map(read).transpose()?;
    let client_tls = match (&tls.certificate_file, &tls.key_file) {
        (None, None) => None,
        (Some(certificate), Some(key)) => {
            Some(ClientTlsConfig { client_cert: read(certificate)?, client_key: read(key)? })
        }
        _ => return Err(InvalidRedisSettings::HalfCertificate),
    };
    let certificates = TlsCertificates { client_tls, root_cert };
    // Read once now, so that a file that holds something else is refused at the start.
    let anywhere = ConnectionAddr::TcpTls { host: "localhost".into(), port: 1, insecure: false, tls_params: None };
    Client::build_with_tls(anywhere, certificates.clone())
        .map_err(|error| InvalidRedisSettings::Certificates(error.to_string()))?;
    Ok(certificates)
}
