//! TLS on both sides, with certificates made for the test.

use std::{path::Path, sync::Arc, time::Duration};

use axum::{Router, extract::Request, routing::any};
use http::header;
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType, IsCa, KeyIdMethod,
    KeyPair, KeyUsagePurpose, RevokedCertParams, SanType, SerialNumber, date_time_ymd,
};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};
use tokio_rustls::{TlsConnector, client::TlsStream};
use unstale::testing::Folder;
use unstale_server::gateway::{
    listen::{
        AlternativeName, ClientAuthority, ClientConnection, ListenSettings, ListenTls, Listener, Mounted, RequestBody,
    },
    proxy::ForwardSettings,
    upstream::{CertificateFiles, ServerAddress, UpstreamTls},
};

use super::support::{Gateway, RawUpstream, app, local, soon, upstream_of};

/// An authority, and files with what it signed.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    dir: Folder,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let dir = Folder::new();
        std::fs::write(dir.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, dir }
    }

    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn sign(&self, file: &str, name: &str) -> CertificateFiles {
        self.sign_for(file, name, "acme")
    }

    pub(crate) fn sign_for(&self, file: &str, name: &str, organization: &str) -> CertificateFiles {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.serial_number = Some(serial(file));
        params.distinguished_name.push(DnType::CommonName, name);
        params.distinguished_name.push(DnType::OrganizationName, organization);
        params.subject_alt_names.push(SanType::URI(format!("spiffe://test/{name}").try_into().unwrap()));
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let files =
            CertificateFiles { certificate: self.path(&format!("{file}.pem")), key: self.path(&format!("{file}.key")) };
        std::fs::write(&files.certificate, certificate.pem()).unwrap();
        std::fs::write(&files.key, key.serialize_pem()).unwrap();
        files
    }
}

/// The number of the certificate in these files.
fn serial(file: &str) -> SerialNumber {
    let text = file.as_bytes();
    SerialNumber::from_slice(&[&[1], text].concat())
}

impl Authority {
    /// Writes a revocation list of the certificates in these files, which is over in this year.
    pub(crate) fn revoke(&self, files: &[&str], over: i32) -> std::path::PathBuf {
        let revoked = |file: &&str| RevokedCertParams {
            serial_number: serial(file),
            revocation_time: date_time_ymd(2020, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(over, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: files.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let path = self.path("crl.pem");
        std::fs::write(&path, list.signed_by(&self.issuer).unwrap().pem().unwrap()).unwrap();
        path
    }
}

pub(crate) fn client(ca: &Path, identity: Option<&CertificateFiles>, alpn: &[&str]) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let builder = builder.with_root_certificates(roots);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(files) => {
            let chain = vec![CertificateDer::from_pem_file(&files.certificate).unwrap()];
            builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(&files.key).unwrap()).unwrap()
        }
    };
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    TlsConnector::from(Arc::new(config))
}

pub(crate) async fn connect(
    connector: &TlsConnector,
    addr: std::net::SocketAddr,
) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(addr).await?;
    soon(connector.connect(ServerName::try_from("gateway.test").unwrap(), stream)).await
}

/// The end of what is answered on HTTP/1.1.
async fn ask(mut stream: TlsStream<TcpStream>) -> std::io::Result<String> {
    use tokio::io::AsyncReadExt as _;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: gateway.test\r\nConnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    soon(stream.read_to_string(&mut answer)).await?;
    Ok(answer)
}

pub(super) fn listen(files: CertificateFiles) -> ListenSettings {
    ListenSettings { tls: Some(ListenTls::new(files)), ..local() }
}

#[tokio::test]
async fn the_listener_speaks_tls_and_the_version_that_the_client_asks_for() {
    let authority = Authority::new();
    let (addr, mut asked) = RawUpstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").await;
    let listen = listen(authority.sign("gateway", "gateway.test"));
    let gateway = Gateway::start(upstream_of([addr]), listen, ForwardSettings::default()).await;
    let one = connect(&client(&authority.path("ca.pem"), None, &["http/1.1"]), gateway.addr).await.unwrap();
    assert!(ask(one).await.unwrap().ends_with("hi"));
    assert!(soon(asked.recv()).await.unwrap().contains("x-forwarded-proto: https\r\n"));
    let two = connect(&client(&authority.path("ca.pem"), None, &["h2"]), gateway.addr).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(two)).await.unwrap();
    tokio::spawn(connection);
    let request = http::Request::get("https://gateway.test/").body(Empty::<bytes::Bytes>::new()).unwrap();
    let answer = soon(sender.send_request(request)).await.unwrap();
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "hi");
}

#[tokio::test]
async fn a_new_certificate_is_used_without_a_new_start() {
    let (old, new) = (Authority::new(), Authority::new());
    let files = old.sign("gateway", "gateway.test");
    let (addr, _asked) = RawUpstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").await;
    let mut settings = listen(files.clone());
    settings.tls.as_mut().unwrap().look_every = Duration::from_millis(5);
    let gateway = Gateway::start(upstream_of([addr]), settings, ForwardSettings::default()).await;
    let (trusts_old, trusts_new) = (client(&old.path("ca.pem"), None, &[]), client(&new.path("ca.pem"), None, &[]));
    assert!(connect(&trusts_old, gateway.addr).await.is_ok());
    // A file that is no certificate changes nothing.
    std::fs::write(&files.certificate, "no certificate").unwrap();
    let error = gateway.handle.reload_certificates().unwrap_err().to_string();
    assert!(error.contains("gateway.pem") && error.contains("PEM"), "{error}");
    assert!(connect(&trusts_old, gateway.addr).await.is_ok());
    let made = new.sign("gateway", "gateway.test");
    std::fs::copy(made.key, &files.key).unwrap();
    std::fs::copy(made.certificate, &files.certificate).unwrap();
    soon(async {
        while connect(&trusts_new, gateway.addr).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert!(connect(&trusts_old, gateway.addr).await.is_err());
}

#[tokio::test]
async fn a_client_may_have_to_prove_who_it_is() {
    let authority = Authority::new();
    let stranger = Authority::new();
    let mut settings = listen(authority.sign("gateway", "gateway.test"));
    settings.tls.as_mut().unwrap().client_ca =
        Some(ClientAuthority { ca: authority.path("ca.pem"), crl: None, required: true });
    let listener = Listener::bind(settings).await.unwrap();
    let addr = listener.local_addr().unwrap();
    let told = tower::service_fn(|request: http::Request<RequestBody>| async move {
        let shown = request.extensions().get::<ClientConnection>().unwrap().certificate().unwrap();
        assert_eq!(shown.fingerprint().len(), 64);
        assert!(shown.names().contains(&AlternativeName::Uri("spiffe://test/billing".into())), "{shown:?}");
        assert!(shown.names().contains(&AlternativeName::Dns("billing".into())), "{shown:?}");
        let text = format!("{} {}", shown.subject(), shown.common_name().unwrap());
        Ok::<_, std::convert::Infallible>(http::Response::new(http_body_util::Full::new(bytes::Bytes::from(text))))
    });
    let task = tokio::spawn(listener.run(Mounted(told), std::future::pending()));
    let ca = authority.path("ca.pem");
    let billing = authority.sign("billing", "billing");
    let answer = ask(connect(&client(&ca, Some(&billing), &[]), addr).await.unwrap()).await.unwrap();
    assert!(answer.contains("CN=billing") && answer.ends_with(" billing"), "{answer}");
    // In TLS 1.3 the client hears of the refusal when it first reads.
    let refused = async |connector: TlsConnector| match connect(&connector, addr).await {
        Ok(stream) => ask(stream).await.is_err(),
        Err(_) => true,
    };
    assert!(refused(client(&ca, None, &[])).await);
    assert!(refused(client(&ca, Some(&stranger.sign("billing", "billing")), &[])).await);
    task.abort();
}

/// Who was let in is not for ever: a list of who is revoked counts for connections that are open, too.
#[tokio::test]
async fn a_certificate_that_is_revoked_is_good_on_no_connection() {
    use tokio::io::AsyncReadExt as _;
    let authority = Authority::new();
    let (ca, crl) = (authority.path("ca.pem"), authority.revoke(&[], 2099));
    let (addr, _asked) = RawUpstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").await;
    let mut settings = listen(authority.sign("gateway", "gateway.test"));
    settings.tls.as_mut().unwrap().client_ca =
        Some(ClientAuthority { ca: ca.clone(), crl: Some(crl.clone()), required: true });
    let gateway = Gateway::start(upstream_of([addr]), settings, ForwardSettings::default()).await;
    let [ann, ben] = ["ann", "ben"].map(|name| client(&ca, Some(&authority.sign(name, name)), &["http/1.1"]));
    let answer = async |stream: &mut TlsStream<TcpStream>| {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: gateway.test\r\n\r\n").await.unwrap();
        let mut buffer = vec![0; 4096];
        let read = soon(stream.read(&mut buffer)).await.unwrap();
        String::from_utf8_lossy(&buffer[..read]).into_owned()
    };
    let [mut anns, mut bens] = [connect(&ann, gateway.addr).await.unwrap(), connect(&ben, gateway.addr).await.unwrap()];
    assert!(answer(&mut anns).await.starts_with("HTTP/1.1 200") && answer(&mut bens).await.starts_with("HTTP/1.1 200"));
    // A file that is no list changes nothing.
    std::fs::write(&crl, "no list").unwrap();
    let error = gateway.handle.reload_certificates().unwrap_err().to_string();
    assert!(error.contains("crl.pem") && error.contains("revocation list"), "{error}");
    assert!(answer(&mut anns).await.starts_with("HTTP/1.1 200"));

    authority.revoke(&["ann"], 2099);
    gateway.handle.reload_certificates().unwrap();
    let refused = answer(&mut anns).await;
    assert!(refused.starts_with("HTTP/1.1 403") && refused.contains("connection: close"), "{refused}");
    assert!(answer(&mut bens).await.starts_with("HTTP/1.1 200"));
    let is_let_in = async |connector: &TlsConnector| match connect(connector, gateway.addr).await {
        Ok(stream) => ask(stream).await.is_ok(),
        Err(_) => false,
    };
    assert!(!is_let_in(&ann).await && is_let_in(&ben).await);
    // A list that is over says nothing of who was revoked since.
    authority.revoke(&["ann"], 2021);
    gateway.handle.reload_certificates().unwrap();
    assert!(answer(&mut bens).await.starts_with("HTTP/1.1 403") && !is_let_in(&ben).await);
}

/// A TLS server: another gateway, whose upstream tells what it was asked.
async fn secured(authority: &Authority, http2: bool) -> Gateway {
    let told = any(|request: Request| async move {
        let via = request.headers()[header::VIA].to_str().unwrap().to_owned();
        format!("{} {via}", request.headers()[header::HOST].to_str().unwrap())
    });
    let addr = app(Router::new().fallback(told)).await;
    let listen = ListenSettings { http2, ..listen(authority.sign("backend", "backend.test")) };
    Gateway::start(upstream_of([addr]), listen, ForwardSettings { name: "inner".into(), ..ForwardSettings::default() })
        .await
}

#[tokio::test]
async fn servers_are_spoken_to_over_tls_in_the_version_they_agree_to() {
    let authority = Authority::new();
    for (ours, theirs, spoken) in [(true, true, "2.0"), (true, false, "1.1"), (false, true, "1.1")] {
        let backend = secured(&authority, theirs).await;
        let mut settings = upstream_of([]);
        settings.servers = vec![ServerAddress { tls: true, host: "127.0.0.1".into(), port: backend.addr.port() }];
        settings.tls = UpstreamTls {
            ca: Some(authority.path("ca.pem")),
            server_name: Some("backend.test".into()),
            identity: None,
        };
        settings.http2 = ours;
        let gateway = Gateway::start(settings.clone(), local(), ForwardSettings::default()).await;
        for _ in 0..3 {
            let answer = gateway.send("GET / HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n").await;
            assert!(answer.ends_with(&format!("shop.example 1.1 unstale, {spoken} inner")), "{answer}");
        }
        assert_eq!(backend.handle.connections(), 1, "one connection is enough");
        // Another name is refused.
        settings.tls.server_name = Some("other.test".into());
        let gateway = Gateway::start(settings, local(), ForwardSettings::default()).await;
        let answer = gateway.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 502") && answer.contains("error=tls_certificate_error"), "{answer}");
    }
}

#[tokio::test]
async fn http2_without_tls_is_spoken_by_prior_knowledge() {
    let told = any(|request: Request| async move { format!("{:?} {}", request.version(), request.uri()) });
    let addr = app(Router::new().fallback(told)).await;
    let mut settings = upstream_of([addr]);
    settings.http2 = true;
    let gateway = Gateway::start(settings, local(), ForwardSettings::default()).await;
    for _ in 0..3 {
        let answer = gateway
            .send("POST /x?y HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc")
            .await;
        assert!(answer.ends_with("HTTP/2.0 http://shop.example/x?y"), "{answer}");
    }
}
