//! The tables `[listen]`, `[control]`, `[cache]` and `[log]`.

use std::{collections::HashSet, path::PathBuf, time::Duration};

use http::HeaderName;
use tracing_subscriber::EnvFilter;
use unstale::CacheVersion;

use super::{
    super::{
        fault::Path,
        file::{Cache, ControlCredential, File, Listen, ListenTls},
        secret::Material,
        structure::quoted,
        values::Span,
    },
    Checker,
};

/// Shortest token of the API for backends, in bytes: they are stored as plain hashes, so they must not be guessable.
const TOKEN_BYTES_MIN: usize = 32;
/// How often records are written, at the most and at the least: hours are made of them.
const WRITE_EVERY_MIN: Duration = Duration::from_millis(100);
const WRITE_EVERY_MAX: Duration = Duration::from_secs(600);

impl Checker<'_, '_> {
    pub(super) fn listen(&mut self, file: &File) {
        let at = Path::of("listen");
        self.tls(&at, file.listen.tls.as_ref());
        let Listen { head_timeout, idle_timeout, write_timeout, .. } = file.listen;
        for (name, time) in
            [("head_timeout", head_timeout), ("idle_timeout", idle_timeout), ("write_timeout", write_timeout)]
        {
            self.some_time(&at.key(name), time);
        }
        if EnvFilter::try_new(&file.log.filter).is_err() {
            let found = format!("is {}", quoted(&file.log.filter));
            self.fault(&Path::of("log").key("filter"), found, "a filter such as \"info\", or \"warn,unstale=debug\"");
        }
    }

    fn tls(&mut self, at: &Path, tls: Option<&ListenTls>) {
        let Some(tls) = tls else { return };
        let at = at.key("tls");
        self.read(&at.key("certificate"), &tls.certificate);
        self.read(&at.key("key"), &tls.key);
        match (&tls.client_crl, &tls.client_ca) {
            (Some(client_crl), Some(_)) => drop(self.read(&at.key("client_crl"), client_crl)),
            (Some(_), None) => {
                let expected = "client_ca beside it: a file with the authorities of clients";
                self.fault(&at.key("client_crl"), "says whom to refuse, but nobody vouches for clients", expected);
            }
            (None, _) => {}
        }
        match &tls.client_ca {
            Some(client_ca) => drop(self.read(&at.key("client_ca"), client_ca)),
            None if tls.client_required => {
                let expected = "client_ca beside it: a file with the authorities of clients";
                self.fault(&at.key("client_required"), "is true, but nobody vouches for clients", expected);
            }
            None => {}
        }
    }

    pub(super) fn control(&mut self, file: &File) -> Vec<blake3::Hash> {
        let Some(control) = &file.control else { return Vec::new() };
        let at = Path::of("control");
        self.tls(&at, control.tls.as_ref());
        if control.address == file.listen.address && !control.address.ends_with(":0") {
            self.fault(&at.key("address"), "is that of [listen]", "an address of its own");
        }
        let mut names = HashSet::new();
        let mut tokens = Vec::new();
        for (place, credential) in control.credentials.iter().enumerate() {
            let at = at.key("credentials").item(place);
            if !names.insert(credential.name.as_str()) {
                let found = format!("is {}, as another's", quoted(&credential.name));
                self.fault(&at.key("name"), found, "a name of its own");
            }
            for (place, tenant) in credential.tenants.iter().enumerate().filter(|(_, tenant)| tenant.is_empty()) {
                let found = format!("is {}", quoted(tenant));
                self.fault(&at.key("tenants").item(place), found, "the name of a tenant, or \"*\" for all");
            }
            if credential.operates && !credential.tenants.iter().any(|tenant| tenant == "*") {
                let advice = Some("give who invalidates for some tenants a credential of its own".to_owned());
                let expected = "tenants = [\"*\"], as operating concerns all tenants";
                self.advise(&at.key("operates"), "is true beside some tenants", expected, advice);
            }
            match self.token(&at, credential) {
                Some(token) if tokens.contains(&token) => {
                    self.fault(&at, "has the token of another", "a token of its own");
                }
                Some(token) => tokens.push(token),
                None => {}
            }
        }
        tokens
    }

    fn token(&mut self, at: &Path, credential: &ControlCredential) -> Option<blake3::Hash> {
        match (&credential.token_blake3, &credential.token_file) {
            (Some(hash), None) => blake3::Hash::from_hex(hash).ok(),
            (None, Some(file)) => {
                let path = at.key("token_file");
                let token = Material::new(&self.read(&path, file)?);
                let bytes = token.expose().len();
                if bytes < TOKEN_BYTES_MIN {
                    let found = format!("leads to a token of {bytes} bytes");
                    let advice = Some("`unstale gateway token` makes one".to_owned());
                    self.advise(&path, found, format!("at least {TOKEN_BYTES_MIN} bytes"), advice);
                    return None;
                }
                Some(blake3::hash(token.expose()))
            }
            (hash, _) => {
                let found = if hash.is_some() { "has two tokens" } else { "has no token" };
                let advice = Some("`unstale gateway token` makes a token and prints its hash".to_owned());
                self.advise(at, found, "one of token_blake3 and token_file", advice);
                None
            }
        }
    }

    pub(super) fn audit(&mut self, file: &File) -> Option<Material> {
        let audit = file.audit.as_ref()?;
        let at = Path::of("audit");
        if file.cache.secret_env.is_none() && file.cache.secret_file.is_none() {
            let expected = "cache.secret_env or cache.secret_file: a trail can be verified only with the secret it was written with";
            self.fault(&at, "has no secret", expected);
        }
        for (place, path) in audit.sensitive.iter().enumerate() {
            if !file.routes.iter().any(|route| route.path == *path) {
                let found = format!("is {}", quoted(path));
                self.fault(&at.key("sensitive").item(place), found, "the path of a route, as it is written there");
            }
        }
        self.database(&at, audit.database_url_env.as_ref(), audit.database_url_file.as_ref())
    }

    pub(super) fn records(&mut self, file: &File) -> Option<Material> {
        let records = file.records.as_ref()?;
        let at = Path::of("records");
        let every = records.write_every;
        if !(WRITE_EVERY_MIN..=WRITE_EVERY_MAX).contains(&every.0) {
            let expected = format!("{} to {}", Span(WRITE_EVERY_MIN), Span(WRITE_EVERY_MAX));
            self.fault(&at.key("write_every"), format!("is {every}"), expected);
        }
        self.database(&at, records.database_url_env.as_ref(), records.database_url_file.as_ref())
    }

    /// The URL of a database, from the one of two places that is given.
    fn database(&mut self, at: &Path, env: Option<&String>, file: Option<&PathBuf>) -> Option<Material> {
        if env.is_none() && file.is_none() {
            self.fault(&at.key("database_url_env"), "is missing", "one of database_url_env and database_url_file");
        }
        let (url, path) = self.secret(at, ("database_url_env", env), ("database_url_file", file))?;
        let is_url = |text: &str| ["sqlite:", "postgres://", "postgresql://"].iter().any(|kind| text.starts_with(kind));
        if !url.expose_text().is_some_and(is_url) {
            self.fault(&path, "leads to something else", "a URL that begins with sqlite: or postgres://");
            return None;
        }
        Some(url)
    }

    pub(super) fn cache(&mut self, file: &File) -> (Option<Material>, Option<Material>) {
        let (at, cache) = (Path::of("cache"), &file.cache);
        for (name, word) in [("namespace", &cache.namespace), ("version", &cache.version)] {
            if CacheVersion::new(word).is_err() {
                let found = format!("is {}", quoted(word));
                self.fault(&at.key(name), found, "1 to 32 letters, digits, '-', '_' or '.'");
            }
        }
        for (place, name) in cache.vary_on.iter().enumerate() {
            let path = at.key("vary_on").item(place);
            match HeaderName::try_from(name.as_str()) {
                Err(_) => self.fault(&path, format!("is {}", quoted(name)), "the name of a request header"),
                Ok(name) if name == "cookie" || name == "authorization" => {
                    let found = format!("is {:?}, for which the identity stands", name.as_str());
                    let advice = Some("name it in [credentials] if the backends go by it".to_owned());
                    self.advise(&path, found, "another header", advice);
                }
                Ok(_) => self.reaches_upstreams(&path, name, file),
            }
        }
        self.some_time(&at.key("redis_breaker_open"), cache.redis_breaker_open);
        let redis = self.redis_url(&at, cache);
        let secret = self.long_secret(
            &at,
            ("secret_env", cache.secret_env.as_ref()),
            ("secret_file", cache.secret_file.as_ref()),
        );
        if cache.secret_env.is_none() && cache.secret_file.is_none() && redis.is_some() {
            let expected = "one of secret_env and secret_file, the same on all nodes of one Redis";
            self.fault(&at.key("secret_file"), "is missing", expected);
        }
        (redis, secret)
    }

    fn redis_url(&mut self, at: &Path, cache: &Cache) -> Option<Material> {
        let file: Option<&PathBuf> = cache.redis_url_file.as_ref();
        if cache.redis_url.is_some() && (file.is_some() || cache.redis_url_env.is_some()) {
            self.fault(
                &at.key("redis_url"),
                "stands beside another",
                "one of redis_url, redis_url_env and redis_url_file",
            );
            return None;
        }
        if let Some(url) = &cache.redis_url {
            return Some(Material::new(url.as_bytes()));
        }
        let (url, path) = self.secret(at, ("redis_url_env", cache.redis_url_env.as_ref()), ("redis_url_file", file))?;
        let kind = super::super::texts::Text::Redis;
        if !url.expose_text().is_some_and(|text| kind.is_well_formed(text)) {
            self.fault(&path, "leads to something else", kind.expected());
            return None;
        }
        Some(url)
    }
}
