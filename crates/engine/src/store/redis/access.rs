//! What every connection to a server needs: login, certificates, time-outs.

use std::{fs, path::Path, time::Duration};

use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, ConnectionAddr, ErrorKind, IntoConnectionInfo as _,
    RedisConnectionInfo, RedisError, RedisResult, TlsCertificates, aio::MultiplexedConnection, io::tcp::TcpSettings,
};
use rustls::{
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    sign::CertifiedKey,
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
        let connected = client.get_multiplexed_async_connection_with_config(&config).await;
        connected.map_err(|error| if self.certificates.is_some() { of_tls(error) } else { error })
    }
}

/// A server that does not speak TLS waits for more of what it takes for a command, and says nothing.
fn of_tls(error: RedisError) -> RedisError {
    if !error.is_timeout() {
        return error;
    }
    let told = "nothing was heard in time; if it goes on: does this port of Redis speak TLS? Name its tls-port \
                (sentinels name it with tls-replication yes, a cluster with tls-cluster yes)";
    RedisError::from((ErrorKind::Io, told))
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
    if let (Some(path), Some(bytes)) = (&tls.authority_file, &root_cert)
        && CertificateDer::pem_slice_iter(bytes).next().is_none_or(|certificate| certificate.is_err())
    {
        // Else nobody would be trusted, and each connection would be refused without saying why.
        return Err(InvalidRedisSettings::NoCertificate(path.clone()));
    }
    let client_tls = match (&tls.certificate_file, &tls.key_file) {
        (None, None) => None,
        (Some(certificate), Some(key)) => {
            Some(ClientTlsConfig { client_cert: read(certificate)?, client_key: read(key)? })
        }
        _ => return Err(InvalidRedisSettings::HalfCertificate),
    };
    let certificates = TlsCertificates { client_tls, root_cert };
    if let (Some(client), Some(path)) = (&certificates.client_tls, &tls.key_file) {
        matching(client).map_err(|error| InvalidRedisSettings::Key(path.clone(), error))?;
    }
    // Read once now, so that a file that holds something else is refused at the start.
    let anywhere = ConnectionAddr::TcpTls { host: "localhost".into(), port: 1, insecure: false, tls_params: None };
    Client::build_with_tls(anywhere, certificates.clone())
        .map_err(|error| InvalidRedisSettings::Certificates(error.to_string()))?;
    Ok(certificates)
}

/// Whether the client's key is its certificate's: servers would only say that they cannot decrypt something.
fn matching(client: &ClientTlsConfig) -> Result<(), String> {
    let certificates = CertificateDer::pem_slice_iter(&client.client_cert).collect::<Result<Vec<_>, _>>();
    let certificates = certificates.map_err(|error| error.to_string())?;
    let key = PrivateKeyDer::from_pem_slice(&client.client_key).map_err(|error| error.to_string())?;
    let provider = rustls::crypto::ring::default_provider();
    CertifiedKey::from_der(certificates, key, &provider).map(drop).map_err(|error| error.to_string())
}
