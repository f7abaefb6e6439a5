//! Clients that are known by their certificates, through the whole gateway; and TLS on the API for backends.

use serde_json::json;
use unstale_server::gateway::client::{Api, call};

use super::world::{Answer, CONTROL_TOKEN, World, ask, ask_over_tls};
use crate::gateway::tls::{Authority, client};

/// The path of a route whose answers say how often the backend was asked.
const PATH: &str = "/public/counted";
const ROUTES: &str = "
[[routes]]
path = \"/public/{name}\"
upstream = \"api\"
groups = [\"counted:{name}\"]
cache = { ttl = \"5m\" }
";

/// A gateway that asks clients for certificates, and names principal and tenant by them.
async fn world(authority: &Authority, required: bool) -> World {
    let own = authority.sign("gateway", "gateway.test");
    let (certificate, key, ca) = (own.certificate.display(), own.key.display(), authority.path("ca.pem"));
    let ca = ca.display();
    World::start(&format!(
        "[listen.tls]\ncertificate = \"{certificate}\"\nkey = \"{key}\"\nclient_ca = \"{ca}\"\nclient_required = {required}\n\
         [[identity]]\nname = \"certificates\"\n[identity.mutual_tls]\nprincipal = \"common_name\"\n\
         tenant = \"organization\"\n{ROUTES}"
    ))
    .await
}

/// A client with a certificate, or without one.
struct Client<'a> {
    world: &'a World,
    connector: tokio_rustls::TlsConnector,
}

impl<'a> Client<'a> {
    fn of(world: &'a World, trusts: &Authority, identity: Option<&Authority>, name: &str, organization: &str) -> Self {
        let files = identity.map(|authority| authority.sign_for(&format!("{name}-{organization}"), name, organization));
        Self { world, connector: client(&trusts.path("ca.pem"), files.as_ref(), &[]) }
    }

    async fn get(&self, headers: &[(&str, &str)]) -> Option<Answer> {
        ask_over_tls(&self.connector, self.world.addr, "GET", PATH, headers, "").await
    }

    /// Whether it was kept, and which call of the backend has made it.
    async fn asks(&self) -> (String, u64) {
        let answer = self.get(&[]).await.expect("the gateway takes the certificate");
        assert_eq!(answer.status, 200, "{answer:?}");
        (answer.cache().to_owned(), answer.json()["calls"].as_u64().unwrap())
    }
}

#[tokio::test]
async fn each_certificates_holder_has_answers_of_their_own() {
    let authority = Authority::new();
    let world = world(&authority, true).await;
    let known = |name, organization| Client::of(&world, &authority, Some(&authority), name, organization);
    let (ann, ben, other) = (known("ann", "acme"), known("ben", "acme"), known("ann", "globex"));
    for (holder, call) in [(&ann, 1), (&ben, 2), (&other, 3)] {
        assert_eq!(holder.asks().await, ("MISS".to_owned(), call));
    }
    for (holder, call) in [(&ann, 1), (&ben, 2), (&other, 3)] {
        assert_eq!(holder.asks().await, ("HIT".to_owned(), call));
    }
    // A new certificate of the same holder is the same principal.
    assert_eq!(known("ann", "acme").asks().await, ("HIT".to_owned(), 1));
    // The tenant is the certificate's organization: what is declared wrong there ends the answers of both, and no other.
    let told = world.call("/v1/invalidate", &json!({"tenant": "acme", "groups": ["counted:counted"]})).await;
    assert_eq!(told.status, 200, "{told:?}");
    assert_eq!(
        (ann.asks().await.0, ben.asks().await.0, other.asks().await.0),
        ("MISS".into(), "MISS".into(), "HIT".into())
    );
    // And by the principal's name: one holder's alone.
    world.call("/v1/invalidate", &json!({"tenant": "acme", "principals": ["ann"]})).await;
    assert_eq!((ann.asks().await.0, ben.asks().await.0), ("MISS".into(), "HIT".into()));
}

#[tokio::test]
async fn who_shows_no_certificate_or_a_strangers_is_refused() {
    let authority = Authority::new();
    let stranger = Authority::new();
    let world = world(&authority, true).await;
    let ann = Client::of(&world, &authority, Some(&authority), "ann", "acme");
    assert_eq!(ann.asks().await.0, "MISS");
    assert!(Client::of(&world, &authority, None, "ann", "acme").get(&[]).await.is_none());
    assert!(Client::of(&world, &authority, Some(&stranger), "ann", "acme").get(&[]).await.is_none());
    assert_eq!(world.backend.calls(PATH), 1);
}

#[tokio::test]
async fn where_certificates_are_not_required_who_shows_none_gets_nothing_that_was_kept() {
    let authority = Authority::new();
    let world = world(&authority, false).await;
    let ann = Client::of(&world, &authority, Some(&authority), "ann", "acme");
    assert_eq!(ann.asks().await, ("MISS".to_owned(), 1));
    let nobody = Client::of(&world, &authority, None, "", "");
    for call in 2..4 {
        assert_eq!(nobody.asks().await, ("BYPASS".to_owned(), call));
    }
    // What a proxy would say of a certificate means nothing.
    let lies =
        [("x-client-cert", "CN=ann"), ("client-cert", ":MIIB:"), ("x-forwarded-client-cert", "Subject=\"CN=ann\"")];
    assert_eq!(nobody.get(&lies).await.unwrap().cache(), "BYPASS");
    assert_eq!(ann.asks().await, ("HIT".to_owned(), 1));
}

#[tokio::test]
async fn the_api_for_backends_speaks_tls() {
    let authority = Authority::new();
    let own = authority.sign("control", "localhost");
    let (certificate, key) = (own.certificate.display(), own.key.display());
    let world = World::start(&format!("[control.tls]\ncertificate = \"{certificate}\"\nkey = \"{key}\"\n")).await;
    let ca = authority.path("ca.pem");
    let address = format!("https://localhost:{}", world.control.port());
    let body = json!({"tenant": "acme", "groups": ["a"]});
    let api = Api { address, ca: Some(ca) };
    let (status, answer) = call(&api, "/v1/invalidate", CONTROL_TOKEN, &body).await.unwrap();
    assert_eq!((status.as_u16(), &answer["names"]), (200, &json!(1)), "{answer}");
    assert_eq!(call(&api, "/v1/invalidate", "wrong", &body).await.unwrap().0.as_u16(), 401);
    // Whoever is not vouched for is not told the token.
    let stranger = Authority::new();
    let api = Api { ca: Some(stranger.path("ca.pem")), ..api };
    let (status, refused) = call(&api, "/v1/invalidate", CONTROL_TOKEN, &body).await.unwrap();
    assert_eq!((status.as_u16(), refused["status"].as_u64()), (502, Some(502)), "{refused}");
    // In clear nothing is answered.
    let clear = tokio::spawn(ask(world.control, "GET", "/healthz", &[], ""));
    assert!(clear.await.is_err(), "it answers in clear");
}

/// With authorities for clients, the API for backends is closed to whoever has no certificate, whatever token they have.
#[tokio::test]
async fn the_api_for_backends_may_want_a_certificate() {
    let authority = Authority::new();
    let own = authority.sign("control", "gateway.test");
    let (certificate, key, ca) = (own.certificate.display(), own.key.display(), authority.path("ca.pem"));
    let world = World::start(&format!(
        "[control.tls]\ncertificate = \"{certificate}\"\nkey = \"{key}\"\nclient_ca = \"{}\"\nclient_required = true\n",
        ca.display()
    ))
    .await;
    let token = format!("Bearer {CONTROL_TOKEN}");
    let headers = [("authorization", token.as_str())];
    let get = async |files: Option<&_>| {
        let connector = client(&ca, files, &[]);
        ask_over_tls(&connector, world.control, "GET", "/v1/status", &headers, "").await.map(|answer| answer.status)
    };
    assert_eq!(get(Some(&authority.sign("backend", "backend"))).await, Some(200));
    assert_eq!(get(None).await, None);
}
