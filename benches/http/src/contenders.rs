//! Who is measured: how each is started, and what it is sent.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

use crate::{
    process::{LOAD_CORE, Process, SERVER_CORE, free_address, is_installed, on_core},
    serve::Kind,
};

/// What is asked for where it may be kept, and where not.
pub const KEPT: &str = "/items/7";
pub const PASSED: &str = "/passed/7";

/// What Varnish writes of each request into its log in memory, left out.
const UNLOGGED: &str = "vsl_mask=-Begin,-End,-Link,-Hit,-Length,-Timestamp,-ReqStart,-ReqMethod,-ReqURL,-ReqProtocol,\
    -ReqHeader,-ReqUnset,-ReqAcct,-RespProtocol,-RespStatus,-RespReason,-RespHeader,-RespUnset,-VCL_call,-VCL_return";

/// A server that is measured.
pub struct Contender {
    pub name: &'static str,
    pub process: Process,
    /// Its own validator of the bytes.
    pub etag: String,
}

/// The contenders that can be started here, and a line for each that cannot.
pub struct Field {
    folder: PathBuf,
    authorization: String,
    backend: Process,
    pub contenders: Vec<Contender>,
}

impl Field {
    /// Starts all of them. `gateway` is the program `unstale`.
    pub fn start(folder: &Path, gateway: Option<&Path>) -> Self {
        let secret = "a secret of thirty-two bytes, or more";
        std::fs::write(folder.join("secret"), secret).expect("the folder is ours");
        let authorization = format!("Authorization: Bearer {}", token(secret));
        let backend = rust(Kind::Axum, LOAD_CORE).expect("the backend starts");
        let mut field = Self { folder: folder.to_owned(), authorization, backend, contenders: Vec::new() };
        field.add("axum from memory", rust(Kind::Axum, SERVER_CORE));
        field.add("hyper from memory", rust(Kind::Hyper, SERVER_CORE));
        field.add("axum under the cache layer", rust(Kind::Layer, SERVER_CORE));
        let ours = gateway.ok_or_else(|| "UNSTALE_BIN does not name its program".to_owned());
        field.add("unstale gateway", ours.and_then(|program| field.gateway(program)));
        field.add("nginx", field.nginx("sendfile", "on"));
        field.add("nginx, sendfile off", field.nginx("copied", "off"));
        field.add("Varnish", field.varnish(&[]));
        let tuned = ["thread_pools=1", "thread_pool_min=200", "http_gzip_support=off", UNLOGGED];
        field.add("Varnish, tuned", field.varnish(&tuned));
        field
    }

    /// The headers that every request has.
    pub fn headers(&self) -> [&str; 1] {
        [&self.authorization]
    }

    pub fn get(&self, name: &str) -> Option<&Contender> {
        self.contenders.iter().find(|contender| contender.name == name)
    }

    fn add(&mut self, name: &'static str, started: Result<Process, String>) {
        let process = match started {
            Ok(process) => process,
            Err(why) => return println!("left out: {name}: {why}"),
        };
        let ask = |path| answer(process.address, path, &self.authorization);
        let (first, second, passed) = (ask(KEPT), ask(KEPT), ask(PASSED));
        let length = crate::serve::body().len();
        let all = [&first, &second, &passed];
        if !all.iter().all(|answer| answer.starts_with("HTTP/1.1 200") && answer.len() > length) {
            return println!("left out: {name}: it answers wrongly: {first}");
        }
        if name == "unstale gateway" || name.contains("layer") {
            assert!(second.contains("x-cache: HIT"), "the second read is a hit:\n{second}");
            assert!(!passed.contains("x-cache: HIT"), "what is not kept is no hit:\n{passed}");
        }
        let etag = second.lines().find_map(|line| {
            let (header, value) = line.split_once(':')?;
            header.eq_ignore_ascii_case("etag").then(|| value.trim().to_owned())
        });
        let etag = etag.unwrap_or_default();
        self.contenders.push(Contender { name, process, etag });
    }

    fn gateway(&self, program: &Path) -> Result<Process, String> {
        let address = free_address();
        let file = self.write("gateway.toml", include_str!("../proxies/gateway.toml"), address, &[]);
        Process::start(on_core(SERVER_CORE, program).args(["gateway", "run"]).arg(file), address)
    }

    fn nginx(&self, name: &str, sendfile: &str) -> Result<Process, String> {
        installed("nginx", "nginx-light")?;
        let address = free_address();
        let more = [("name", name), ("sendfile", sendfile)];
        let file = self.write(&format!("nginx-{name}.conf"), include_str!("../proxies/nginx.conf"), address, &more);
        Process::start(on_core(SERVER_CORE, "/usr/sbin/nginx").arg("-c").arg(file), address)
    }

    fn varnish(&self, parameters: &[&str]) -> Result<Process, String> {
        installed("varnishd", "varnish")?;
        let address = free_address();
        let (host, port) = (self.backend.address.ip().to_string(), self.backend.address.port().to_string());
        let more = [("backend_host", host.as_str()), ("backend_port", port.as_str())];
        let name = format!("varnish-{}", address.port());
        let file = self.write(&format!("{name}.vcl"), include_str!("../proxies/varnish.vcl"), address, &more);
        let mut command = on_core(SERVER_CORE, "/usr/sbin/varnishd");
        command.arg("-F").args(["-a", &address.to_string(), "-s", "malloc,64m", "-T", "none"]);
        command.arg("-f").arg(file).arg("-n").arg(self.folder.join(name));
        command.args(parameters.iter().flat_map(|parameter| ["-p", parameter]));
        Process::start(&mut command, address)
    }

    /// Writes a configuration into the folder.
    fn write(&self, name: &str, template: &str, address: SocketAddr, more: &[(&str, &str)]) -> PathBuf {
        let (folder, address, backend) =
            (self.folder.display().to_string(), address.to_string(), self.backend.address.to_string());
        let usual = [("folder", folder.as_str()), ("address", address.as_str()), ("backend", backend.as_str())];
        let text = usual
            .iter()
            .chain(more)
            .fold(template.to_owned(), |text, (word, value)| text.replace(&format!("@{word}@"), value));
        let path = self.folder.join(name);
        std::fs::write(&path, text).expect("the folder is ours");
        path
    }
}

fn installed(program: &str, package: &str) -> Result<(), String> {
    let advice = || format!("it is not installed; scripts/setup bench installs {package}");
    is_installed(program).then_some(()).ok_or_else(advice)
}

fn rust(kind: Kind, core: u32) -> Result<Process, String> {
    let address = free_address();
    let this = std::env::current_exe().map_err(|error| error.to_string())?;
    Process::start(on_core(core, this).args(["serve", kind.name(), &address.to_string()]), address)
}

/// A token as issuers give them, of some 300 bytes.
fn token(secret: &str) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("it is after 1970").as_secs();
    let claims = serde_json::json!({
        "iss": "bench", "aud": "bench", "sub": "user-42", "client": "acme", "iat": now, "exp": now + 86_400,
        "jti": "0191f4c2-5a3e-7c1b-9d44-2f6a1b8c0e57", "scope": "context:read mappings:read",
    });
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let signed = format!("{}.{}", part(r#"{"alg":"HS256","typ":"JWT"}"#), part(&claims.to_string()));
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key may have any length");
    mac.update(signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

/// The whole answer to a GET.
fn answer(address: SocketAddr, path: &str, header: &str) -> String {
    let ask = || -> std::io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: bench.test\r\n{header}\r\nConnection: close\r\n\r\n")?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(answer)
    };
    ask().map_or_else(|error| error.to_string(), |answer| String::from_utf8_lossy(&answer).into_owned())
}
