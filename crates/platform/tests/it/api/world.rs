//! An application in this process, and people who use it.

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Method, Request, StatusCode, header},
};
use http_body_util::BodyExt as _;
use platform::{api, app::App, demo, settings::Settings};
use serde_json::{Value, json};
use tower::ServiceExt as _;
use unstale::testing::Folder;
use unstale_server::settings::Sources;

pub(super) const ADMIN: &str = "admin@acme.test";
pub(super) const ANALYST: &str = "analyst@acme.test";
pub(super) const OTHER_ADMIN: &str = "admin@globex.test";
pub(super) const OTHER_ANALYST: &str = "analyst@globex.test";
pub(super) const OPERATOR: &str = "operator@platform.test";
pub(super) const PASSWORD: &str = "demo-password";
/// An id that nobody has.
pub(super) const UNKNOWN: &str = "01a1fa72-0000-7000-8000-000000000000";

/// The application with the demonstration's data.
pub(super) struct World {
    pub(super) router: Router,
    pub(super) data_dir: Folder,
    pub(super) app: App,
}

/// Somebody who is signed in.
#[derive(Clone)]
pub(super) struct Person {
    router: Router,
    pub(super) token: String,
    pub(super) id: String,
    /// The client they act for, if they name one.
    acting_for: Option<String>,
    /// Whether they ask as a browser's page does, with the session's cookie.
    has_cookie: bool,
}

/// What was answered.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Value,
}

impl World {
    pub(super) async fn new() -> Self {
        Self::with(&[]).await
    }

    /// With further settings.
    pub(super) async fn with(settings: &[(&str, &str)]) -> Self {
        Self::start(Folder::new(), settings).await
    }

    /// Another node of the same installation: its own folder, the same secret. `settings` name what they share.
    pub(super) async fn beside(first: &Self, settings: &[(&str, &str)]) -> Self {
        let data_dir = Folder::new();
        std::fs::copy(first.data_dir.path().join("secret.key"), data_dir.path().join("secret.key")).unwrap();
        Self::start(data_dir, settings).await
    }

    async fn start(data_dir: Folder, settings: &[(&str, &str)]) -> Self {
        let path = data_dir.path().to_str().unwrap().to_owned();
        let own = [("DATA_DIR", path.as_str()), ("PASSWORD_COST", "low"), ("LISTEN_ADDR", "127.0.0.1:0")];
        let env = own.iter().chain(settings).copied();
        let app = App::build(Settings::read(Sources::default().with_env(env)).unwrap()).await.unwrap();
        demo::seed(app.platform()).await.unwrap();
        Self { router: app.router.clone(), data_dir, app }
    }

    /// The trail of this node.
    pub(super) fn audit(&self) -> &unstale_server::audit::Audit {
        self.app.platform().audit()
    }

    pub(super) async fn sign_in(&self, email: &str) -> Person {
        let answer = self.login(email, PASSWORD).await;
        assert_eq!(answer.status, StatusCode::OK, "{email}: {answer:?}");
        Person {
            router: self.router.clone(),
            token: answer.body["access_token"].as_str().unwrap().to_owned(),
            id: answer.body["user"]["id"].as_str().unwrap().to_owned(),
            acting_for: None,
            has_cookie: false,
        }
    }

    /// Somebody who is not signed in.
    pub(super) fn nobody(&self) -> Person {
        let (token, id) = (String::new(), UNKNOWN.to_owned());
        Person { router: self.router.clone(), token, id, acting_for: None, has_cookie: false }
    }

    pub(super) async fn login(&self, email: &str, password: &str) -> Answer {
        let body = json!({ "email": email, "password": password });
        self.send(post("/auth/login", &body)).await
    }

    /// What Prometheus is told.
    pub(super) async fn metrics(&self) -> String {
        let request = Request::get("/metrics").body(Body::empty()).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
    }

    pub(super) async fn send(&self, request: Request<Body>) -> Answer {
        send(&self.router, request).await
    }
}

impl Person {
    /// The same person, naming the client they act for.
    pub(super) fn acting_for(&self, client: &str) -> Self {
        Self { acting_for: Some(client.to_owned()), ..self.clone() }
    }

    /// The same person, with another token.
    pub(super) fn with_token(&self, token: String) -> Self {
        Self { token, ..self.clone() }
    }

    /// The same person in a browser.
    pub(super) fn by_cookie(&self) -> Self {
        Self { has_cookie: true, ..self.clone() }
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, None, &[]).await
    }

    /// The same person, at another node.
    pub(super) fn at(&self, node: &World) -> Self {
        Self { router: node.router.clone(), ..self.clone() }
    }

    pub(super) async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.ask(Method::GET, path, None, headers).await
    }

    pub(super) async fn post(&self, path: &str, body: Value) -> Answer {
        self.ask(Method::POST, path, Some(body), &[]).await
    }

    pub(super) async fn put(&self, path: &str, body: Value) -> Answer {
        self.ask(Method::PUT, path, Some(body), &[]).await
    }

    pub(super) async fn patch(&self, path: &str, body: Value) -> Answer {
        self.ask(Method::PATCH, path, Some(body), &[]).await
    }

    pub(super) async fn delete(&self, path: &str) -> Answer {
        self.ask(Method::DELETE, path, None, &[]).await
    }

    pub(super) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", api::BASE));
        if self.has_cookie {
            request = request.header(header::COOKIE, format!("platform_session={}", self.token));
            request = request.header("sec-fetch-site", "same-origin");
        } else if !self.token.is_empty() {
            request = request.header(header::AUTHORIZATION, format!("Bearer {}", self.token));
        }
        if let Some(client) = &self.acting_for {
            request = request.header("x-client-account-id", client);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = match body {
            Some(body) => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                Body::from(body.to_string())
            }
            None => Body::empty(),
        };
        send(&self.router, request.body(body).unwrap()).await
    }

    /// Uploads a file into an engagement.
    pub(super) async fn upload(&self, engagement: &str, name: &str, bytes: &[u8]) -> Answer {
        self.upload_to(&format!("/imports?engagement_id={engagement}"), name, bytes).await
    }

    pub(super) async fn upload_to(&self, path: &str, name: &str, bytes: &[u8]) -> Answer {
        let mut body = format!(
            "--end\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
             Content-Type: text/csv\r\n\r\n"
        )
        .into_bytes();
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n--end--\r\n");
        let mut request = Request::post(format!("{}{path}", api::BASE))
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token))
            .header(header::CONTENT_TYPE, "multipart/form-data; boundary=end");
        if let Some(client) = &self.acting_for {
            request = request.header("x-client-account-id", client);
        }
        send(&self.router, request.body(Body::from(body)).unwrap()).await
    }

    /// Waits until an import has ended, and returns it.
    pub(super) async fn finished(&self, import: &str) -> Value {
        let asked = async {
            loop {
                let answer = self.get(&format!("/imports/{import}")).await;
                assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
                if matches!(answer.body["status"].as_str(), Some("completed" | "failed")) {
                    return answer.body;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(60), asked).await.expect("the import ends")
    }

    /// The ids that this person's client has.
    pub(super) async fn ids(&self) -> Ids {
        let import = self.get("/imports").await.body["items"][0].clone();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let import_id = text(&import["id"]);
        let mappings = self.get(&format!("/field-mappings/{import_id}")).await.body;
        let quality = self.get(&format!("/data-cleansing/{import_id}")).await.body;
        Ids {
            user: self.id.clone(),
            client: text(&import["client_account_id"]),
            engagement: text(&import["engagement_id"]),
            flow: text(&import["flow_id"]),
            mapping: text(&mappings["items"][0]["id"]),
            value: text(&mappings["items"][0]["sample_values"][0]),
            correction: quality["corrections"][0]["id"].as_str().unwrap_or(UNKNOWN).to_owned(),
            import: import_id,
        }
    }
}

/// One of each kind, all of one client.
#[derive(Clone, Debug)]
pub(super) struct Ids {
    pub(super) user: String,
    pub(super) client: String,
    pub(super) engagement: String,
    pub(super) flow: String,
    pub(super) import: String,
    pub(super) mapping: String,
    /// A value of the import's first column.
    pub(super) value: String,
    /// A correction of the import, if it has one.
    pub(super) correction: String,
}

impl Ids {
    pub(super) fn unknown() -> Self {
        let id = || UNKNOWN.to_owned();
        Self {
            user: id(),
            client: id(),
            engagement: id(),
            flow: id(),
            import: id(),
            mapping: id(),
            value: id(),
            correction: id(),
        }
    }

    /// A documented path with these ids in it, below the base.
    pub(super) fn fill(&self, path: &str) -> String {
        let path = path.strip_prefix(api::BASE).unwrap();
        let filled = path
            .replace("{user_id}", &self.user)
            .replace("{client_id}", &self.client)
            .replace("{engagement_id}", &self.engagement)
            .replace("{flow_id}", &self.flow)
            .replace("{import_id}", &self.import)
            .replace("{mapping_id}", &self.mapping);
        assert!(!filled.contains('{'), "{filled}: teach Ids this parameter");
        filled
    }
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(super) fn is_hit(&self) -> bool {
        self.header("x-cache") == "HIT"
    }

    /// The only answer within an answer to a batch.
    pub(super) fn batched(&self) -> Self {
        let answer = &self.body["responses"][0];
        let status = u16::try_from(answer["status"].as_u64().unwrap()).unwrap();
        let headers = answer["headers"].as_object().unwrap().iter();
        let headers = headers.map(|(name, value)| (name.parse().unwrap(), value.as_str().unwrap().parse().unwrap()));
        let (status, headers) = (StatusCode::from_u16(status).unwrap(), headers.collect());
        Self { status, headers, body: answer["body"].clone() }
    }

    pub(super) fn id(&self) -> String {
        self.body["id"].as_str().unwrap_or_else(|| panic!("{self:?} has no id")).to_owned()
    }

    #[track_caller]
    pub(super) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        self
    }
}

/// A request without credentials.
pub(super) fn post(path: &str, body: &Value) -> Request<Body> {
    Request::post(format!("{}{path}", api::BASE))
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body.to_string()))
        .unwrap()
}

/// Every documented operation on what the platform is about: method and path.
pub(super) fn operations() -> Vec<(Method, String)> {
    all_operations().into_iter().filter(|(_, path)| !path.starts_with(CACHE_ADMINISTRATION)).collect()
}

/// Where the cache itself is administered, by administrators of the platform.
pub(super) const CACHE_ADMINISTRATION: &str = "/api/v1/admin/cache/";

/// Every documented operation but those on sockets: method and path.
pub(super) fn all_operations() -> Vec<(Method, String)> {
    let document = serde_json::to_value(api::document()).unwrap();
    let paths = document["paths"].as_object().unwrap();
    let each = paths.iter().filter(|(path, _)| !path.starts_with(api::EVENTS_PATH)).flat_map(|(path, item)| {
        let methods = item.as_object().unwrap().keys();
        methods.map(|method| (method.to_uppercase().parse().unwrap(), path.clone()))
    });
    each.collect()
}

async fn send(router: &Router, request: Request<Body>) -> Answer {
    let response = router.clone().oneshot(request).await.unwrap();
    let (head, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    let is_json = |kind: &str| kind == "application/json" || kind == "application/problem+json";
    let kind = head.headers.get(header::CONTENT_TYPE).map_or("", |kind| kind.to_str().unwrap());
    let body = match bytes.is_empty() {
        true => Value::Null,
        false if is_json(kind) => serde_json::from_slice(&bytes).unwrap(),
        false => Value::String(String::from_utf8(bytes.to_vec()).unwrap()),
    };
    Answer { status: head.status, headers: head.headers, body }
}
