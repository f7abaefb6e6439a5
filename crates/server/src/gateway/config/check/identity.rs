//! The tables `[tenant]` and `[credentials]`, and the list `[[identity]]`.

use std::{collections::HashSet, time::Duration};

use http::HeaderName;
use unstale::CacheVersion;
use unstale_http::PUBLIC_TENANT;

use super::{
    super::{
        fault::Path,
        file::{
            File, IdentityFile, IntrospectionFile, JwtAlgorithm, JwtFile, MutualTlsFile, RouteFile, SharingOf,
            TrustedHeaderFile,
        },
        secret::Material,
        structure::quoted,
        values::Span,
    },
    Checker,
};

/// Most that clocks may differ.
const LEEWAY_MAX: Duration = Duration::from_secs(300);
/// Longest that the answer of an introspection is remembered.
const MAX_AGE_MAX: Duration = Duration::from_secs(300);

/// Where the keys of tokens are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// A shared secret.
    Secret(Material),
    /// The text of a file of public keys.
    Jwks(String),
    /// A URL of public keys.
    Url(String),
}

impl Checker<'_, '_> {
    pub(super) fn identities(&mut self, file: &File) -> Vec<Option<KeySource>> {
        let rule = &file.tenant;
        if rule.fixed.is_some() && !rule.hosts.is_empty() {
            self.fault(&Path::of("tenant").key("fixed"), "stands beside hosts", "one of fixed and hosts");
        }
        let has_rule = rule.fixed.is_some() || !rule.hosts.is_empty();
        for (host, tenant) in &rule.hosts {
            if tenant.is_empty() || host.contains([':', '/']) {
                let path = Path::of("tenant").key("hosts").key(host);
                self.fault(&path, format!("is {}", quoted(tenant)), "a host without port, and the name of its tenant");
            }
            self.not_reserved(&Path::of("tenant").key("hosts").key(host), tenant);
        }
        if rule.fixed.as_deref() == Some("") {
            self.fault(&Path::of("tenant").key("fixed"), "is empty", "the name of a tenant");
        }
        rule.fixed.iter().for_each(|tenant| self.not_reserved(&Path::of("tenant").key("fixed"), tenant));
        for (place, name) in file.credentials.headers.iter().enumerate() {
            self.reaches_upstreams(&Path::of("credentials").key("headers").item(place), name, file);
        }
        let mut names = HashSet::new();
        let mut keys = Vec::new();
        for (place, identity) in file.identity.iter().enumerate() {
            let at = Path::of("identity").item(place);
            if CacheVersion::new(&identity.name).is_err() || !names.insert(identity.name.as_str()) {
                let expected = "a name of its own: 1 to 32 letters, digits, '-', '_' or '.'";
                self.fault(&at.key("name"), format!("is {}", quoted(&identity.name)), expected);
            }
            keys.push(self.identity(&at, identity, file, has_rule));
        }
        keys
    }

    /// Public answers are kept in a tenant of their own, in which nobody may act: of whoever would, nothing is kept.
    fn not_reserved(&mut self, path: &Path, tenant: &str) {
        if tenant == PUBLIC_TENANT {
            let advice = Some("for what everybody may see, give routes sharing = \"public\"".to_owned());
            let found = format!("is {}, the name under which public answers are kept", quoted(tenant));
            self.advise(path, found, "another name", advice);
        }
    }

    fn identity(&mut self, at: &Path, identity: &IdentityFile, file: &File, has_rule: bool) -> Option<KeySource> {
        let IdentityFile { jwt, introspection, mutual_tls, trusted_header, .. } = identity;
        let kinds = [jwt.is_some(), introspection.is_some(), mutual_tls.is_some(), trusted_header.is_some()];
        if kinds.iter().filter(|is_there| **is_there).count() != 1 {
            let expected = "exactly one of the tables jwt, introspection, mutual_tls and trusted_header";
            let found = if kinds.contains(&true) { "has more than one kind" } else { "has no kind" };
            self.fault(at, found, expected);
            return None;
        }
        let names_tenant = jwt.as_ref().is_some_and(|jwt| jwt.tenant.is_some())
            || introspection.as_ref().is_some_and(|introspection| introspection.tenant.is_some())
            || mutual_tls.as_ref().is_some_and(|mutual_tls| mutual_tls.tenant.is_some())
            || trusted_header.as_ref().is_some_and(|trusted| trusted.tenant.is_some());
        if !names_tenant && !has_rule {
            let advice = Some("add tenant to it, or a rule for all: [tenant] fixed or hosts".to_owned());
            self.advise(at, "does not say the tenant", "where the tenant's name is", advice);
        }
        if !names_tenant && introspection.is_none() {
            self.not_shared_by_host(at, file);
        }
        if let Some(introspection) = introspection {
            self.introspection(&at.key("introspection"), introspection);
        }
        if let Some(mutual_tls) = mutual_tls {
            self.mutual_tls(&at.key("mutual_tls"), mutual_tls, file);
        }
        if let Some(trusted) = trusted_header {
            self.trusted_header(&at.key("trusted_header"), trusted, file);
        }
        jwt.as_ref().and_then(|jwt| self.jwt(&at.key("jwt"), jwt))
    }

    /// The host is the client's word. A backend that is asked who somebody is hears it too; what a token, a certificate
    /// or a header proves is the same at every host, and would open the shared answers of every tenant.
    fn not_shared_by_host(&mut self, at: &Path, file: &File) {
        let tenants: HashSet<&String> = file.tenant.hosts.values().collect();
        let is_shared = |route: &RouteFile| route.sharing == SharingOf::Tenant && route.cache.is_some();
        let shared = file.routes.iter().position(is_shared).filter(|_| tenants.len() > 1);
        if let Some(place) = shared {
            let found = format!(
                "does not say the tenant, so that whom it verifies would get routes[{place}]'s shared answers of every \
                 tenant in tenant.hosts"
            );
            let advice = Some("add tenant to it, or give the route sharing = \"principal\"".to_owned());
            self.advise(at, found, "where the tenant's name is", advice);
        }
    }

    fn jwt(&mut self, at: &Path, jwt: &JwtFile) -> Option<KeySource> {
        self.at_most(&at.key("leeway"), jwt.leeway, LEEWAY_MAX);
        self.some_time(&at.key("refresh"), jwt.refresh);
        self.some_time(&at.key("fetch_timeout"), jwt.fetch_timeout);
        let has_secret = jwt.secret_env.is_some() || jwt.secret_file.is_some();
        let sources = [has_secret, jwt.jwks_file.is_some(), jwt.jwks_url.is_some()];
        if sources.iter().filter(|is_there| **is_there).count() != 1 {
            let found = if sources.contains(&true) { "has more than one source of keys" } else { "has no keys" };
            self.fault(at, found, "one of jwks_file, jwks_url, secret_env and secret_file");
            return None;
        }
        for (place, algorithm) in jwt.algorithms.iter().enumerate() {
            let is_shared = matches!(algorithm, JwtAlgorithm::HS256 | JwtAlgorithm::HS384 | JwtAlgorithm::HS512);
            if is_shared != has_secret {
                let expected = if has_secret {
                    "HS256, HS384 or HS512, as the key is a secret"
                } else {
                    "an algorithm of public keys"
                };
                self.fault(&at.key("algorithms").item(place), format!("is {algorithm:?}"), expected);
            }
        }
        if has_secret {
            let secret = self.long_secret(
                at,
                ("secret_env", jwt.secret_env.as_ref()),
                ("secret_file", jwt.secret_file.as_ref()),
            );
            return secret.map(KeySource::Secret);
        }
        if let Some(url) = &jwt.jwks_url {
            return Some(KeySource::Url(url.clone()));
        }
        let path = at.key("jwks_file");
        let bytes = self.read(&path, jwt.jwks_file.as_ref()?)?;
        let text = String::from_utf8(bytes).unwrap_or_default();
        match crate::gateway::identity::keys::KeySet::parse(&text) {
            Ok(_) => Some(KeySource::Jwks(text)),
            Err(reason) => {
                self.fault(&path, format!("leads to a file without usable keys ({reason})"), "a JWKS: {\"keys\": […]}");
                None
            }
        }
    }

    fn introspection(&mut self, at: &Path, introspection: &IntrospectionFile) {
        self.upstream(&at.key("upstream"), &introspection.upstream);
        self.some_time(&at.key("max_age"), introspection.max_age);
        self.at_most(&at.key("max_age"), introspection.max_age, MAX_AGE_MAX);
        self.some_time(&at.key("timeout"), introspection.timeout);
        if introspection.principal.is_empty() {
            self.fault(&at.key("principal"), "is empty", "a member of the answer, such as \"user.id\"");
        }
    }

    fn mutual_tls(&mut self, at: &Path, _mutual_tls: &MutualTlsFile, file: &File) {
        self.needs_client_ca(at, file);
    }

    fn trusted_header(&mut self, at: &Path, trusted: &TrustedHeaderFile, file: &File) {
        if trusted.from.is_empty() && trusted.certificates.is_empty() {
            let found = "would be believed from nobody";
            self.fault(at, found, "the proxy's addresses (from) or the names of its certificate (certificates)");
        }
        if !trusted.certificates.is_empty() {
            self.needs_client_ca(&at.key("certificates"), file);
        }
        let is_principal = |name: &HeaderName| name.as_str().eq_ignore_ascii_case(&trusted.principal);
        if HeaderName::try_from(trusted.principal.as_str()).as_ref().is_ok_and(|name| {
            is_principal(name) && (name == http::header::AUTHORIZATION || name == http::header::COOKIE)
        }) {
            let found = format!("is {}", quoted(&trusted.principal));
            self.fault(&at.key("principal"), found, "a header of its own, such as x-user-id");
        }
    }

    fn needs_client_ca(&mut self, at: &Path, file: &File) {
        if file.listen.tls.as_ref().is_none_or(|tls| tls.client_ca.is_none()) {
            self.fault(at, "needs the certificates of clients", "client_ca in [listen.tls]");
        }
    }

    fn at_most(&mut self, path: &Path, time: Span, most: Duration) {
        if time.0 > most {
            self.fault(path, format!("is {time}"), format!("at most {}", Span(most)));
        }
    }
}
