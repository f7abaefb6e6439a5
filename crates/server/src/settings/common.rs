//! The settings that every application with this server needs.

use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use tracing_subscriber::EnvFilter;
use unstale::{BreakerLimits, CacheVersion, RedisLogin, RedisTls};

use crate::sealing::SealingSettings;

use super::{Reader, Setting, parse_bool, parse_duration};

const LISTEN_ADDR: Setting<SocketAddr> =
    Setting::new("LISTEN_ADDR", "an IP address and a port, such as 127.0.0.1:8080, [::1]:8080 or 0.0.0.0:80", |text| {
        text.parse().ok()
    });
const DATA_DIR: Setting<PathBuf> = Setting::new("DATA_DIR", "a directory", |text| Some(PathBuf::from(text)));
const DATABASE_URL: Setting<DatabaseUrl> =
    Setting::new("DATABASE_URL", "a URL that begins with sqlite: or postgres://", DatabaseUrl::parse).secret();
const REDIS_URL: Setting<RedisUrl> = Setting::new(
    "REDIS_URL",
    "a URL that begins with redis://, redis+sentinel:// or redis+cluster://, or the same with rediss for TLS",
    RedisUrl::parse,
)
.secret();
const REDIS_ENABLED: Setting<bool> = Setting::new("REDIS_ENABLED", "true or false", parse_bool);
const REDIS_NAMESPACE: Setting<String> =
    Setting::new("REDIS_NAMESPACE", "1 to 32 letters, digits, '-', '_' or '.', such as unstale", |text| {
        // The same words as a version's.
        CacheVersion::new(text).is_ok().then(|| text.to_owned())
    });
const REDIS_CA_FILE: Setting<PathBuf> = Setting::new("REDIS_CA_FILE", PEM_FILE, |text| Some(PathBuf::from(text)));
const REDIS_CERT_FILE: Setting<PathBuf> = Setting::new("REDIS_CERT_FILE", PEM_FILE, |text| Some(PathBuf::from(text)));
const REDIS_KEY_FILE: Setting<PathBuf> = Setting::new("REDIS_KEY_FILE", PEM_FILE, |text| Some(PathBuf::from(text)));
const PEM_FILE: &str = "a file in PEM format";
const REDIS_SENTINEL_USER: Setting<String> =
    Setting::new("REDIS_SENTINEL_USER", "the name of a user", |text| Some(text.to_owned()));
const REDIS_SENTINEL_PASSWORD: Setting<String> =
    Setting::new("REDIS_SENTINEL_PASSWORD", "a password", |text| Some(text.to_owned())).secret();
const REDIS_BREAKER_FAILURES: Setting<u32> = Setting::new("REDIS_BREAKER_FAILURES", "1 to 1000", |text| {
    text.parse().ok().filter(|failures| (1..=1000).contains(failures))
});
const REDIS_BREAKER_OPEN: Setting<Duration> = Setting::new(
    "REDIS_BREAKER_OPEN",
    "100ms to 1h: a whole number with its unit (ms, s, m or h), such as 60s",
    |text| {
        let allowed = Duration::from_millis(100)..=Duration::from_secs(3600);
        parse_duration(text).filter(|open_for| allowed.contains(open_for))
    },
);
const CACHE_VERSION: Setting<CacheVersion> =
    Setting::new("CACHE_VERSION", "1 to 32 letters, digits, '-', '_' or '.', such as v1 or v1-dev", |text| {
        CacheVersion::new(text).ok()
    });
const DEMO: Setting<bool> = Setting::new("DEMO", "true or false", parse_bool);
const LOG: Setting<String> = Setting::new("LOG", "a filter such as info, or warn,unstale=debug", |text| {
    EnvFilter::try_new(text).is_ok().then(|| text.to_owned())
});
const LOG_FORMAT: Setting<LogFormat> = Setting::new("LOG_FORMAT", "text or json", LogFormat::parse);

/// The settings that every application with this server needs.
#[derive(Clone, Debug)]
pub struct CommonSettings {
    /// `LISTEN_ADDR`: where the server listens; by default `127.0.0.1:8080`.
    pub listen_addr: SocketAddr,
    /// `DATA_DIR`: where the embedded database and the secret are; by default `./data`.
    pub data_dir: PathBuf,
    /// `DATABASE_URL`: by default an `SQLite` file in `DATA_DIR`.
    pub database_url: DatabaseUrl,
    /// `REDIS_…`: what nodes share; none if this process is the only one.
    pub redis: Option<RedisAccess>,
    /// `SEALING_…`: with what is encrypted what goes to Redis.
    pub sealing: SealingSettings,
    /// `CACHE_VERSION`: the generation of all cached values; by default `v1`.
    pub cache_version: CacheVersion,
    /// `DEMO`: whether demonstration data and sign-ins are there; only on a loopback address.
    pub demo: bool,
    /// `LOG`: which log lines are written; by default `info`.
    pub log: String,
    /// `LOG_FORMAT`: by default `text`.
    pub log_format: LogFormat,
}

impl CommonSettings {
    /// Reads them; faults stay with the reader, whose [`finish`](Reader::finish) the application calls.
    pub fn read(reader: &mut Reader) -> Self {
        let listen_addr = reader.read_or(&LISTEN_ADDR, SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)));
        let data_dir = reader.read_or(&DATA_DIR, PathBuf::from("./data"));
        let database_url = reader.read(&DATABASE_URL).unwrap_or_else(|| DatabaseUrl::sqlite_in(&data_dir));
        let redis = RedisAccess::read(reader);
        let sealing = SealingSettings::read(reader);
        let demo = reader.read_or(&DEMO, false);
        if demo && !listen_addr.ip().is_loopback() {
            reader.refuse(
                &DEMO,
                &format!(
                    "demonstration sign-ins are known to everybody, and LISTEN_ADDR {listen_addr} can be reached from \
                     other machines; set LISTEN_ADDR to a loopback address such as 127.0.0.1:8080, or DEMO=false"
                ),
            );
        }
        Self {
            listen_addr,
            data_dir,
            database_url,
            redis,
            sealing,
            cache_version: reader.read(&CACHE_VERSION).unwrap_or_default(),
            demo,
            log: reader.read_or(&LOG, "info".to_owned()),
            log_format: reader.read_or(&LOG_FORMAT, LogFormat::Text),
        }
    }
}

/// The Redis that the nodes of one application share.
#[derive(Clone, Debug)]
pub struct RedisAccess {
    /// Where it is.
    pub url: RedisUrl,
    /// `REDIS_NAMESPACE`: keeps applications on one server apart; by default `unstale`.
    pub namespace: String,
    /// `REDIS_CA_FILE`: who has signed the servers' certificates, if none of those that the system trusts;
    /// `REDIS_CERT_FILE` and `REDIS_KEY_FILE`: the client's own, if servers ask for one.
    pub tls: RedisTls,
    /// `REDIS_SENTINEL_USER` and `REDIS_SENTINEL_PASSWORD`: the sentinels' login, if they want one.
    pub sentinel_login: RedisLogin,
    /// `REDIS_BREAKER_FAILURES` (by default 5) in a row, and Redis is not asked for `REDIS_BREAKER_OPEN` (`60s`).
    pub breaker: BreakerLimits,
}

impl RedisAccess {
    /// A URL alone turns it on; `REDIS_ENABLED=false` turns it off and leaves the rest as it is.
    fn read(reader: &mut Reader) -> Option<Self> {
        let (url, enabled) = (reader.read(&REDIS_URL), reader.read(&REDIS_ENABLED));
        let namespace = reader.read_or(&REDIS_NAMESPACE, "unstale".to_owned());
        if enabled == Some(true) && url.is_none() {
            reader.refuse(&REDIS_ENABLED, "there is no REDIS_URL; set it, such as redis://127.0.0.1:6379");
        }
        let tls = RedisTls {
            authority_file: reader.read(&REDIS_CA_FILE),
            certificate_file: reader.read(&REDIS_CERT_FILE),
            key_file: reader.read(&REDIS_KEY_FILE),
        };
        let user = reader.read(&REDIS_SENTINEL_USER);
        let sentinel_login = RedisLogin { user, password: reader.read(&REDIS_SENTINEL_PASSWORD) };
        if let Some(url) = &url {
            Self::judge_tls(reader, url, &tls);
            Self::judge_sentinel_login(reader, url, &sentinel_login);
        }
        let mut breaker = BreakerLimits::default();
        breaker.failures_max = reader.read_or(&REDIS_BREAKER_FAILURES, breaker.failures_max);
        breaker.open_for = reader.read_or(&REDIS_BREAKER_OPEN, breaker.open_for);
        url.filter(|_| enabled.unwrap_or(true)).map(|url| Self { url, namespace, tls, sentinel_login, breaker })
    }

    fn judge_tls(reader: &mut Reader, url: &RedisUrl, tls: &RedisTls) {
        let files = [
            (&REDIS_CA_FILE, &tls.authority_file),
            (&REDIS_CERT_FILE, &tls.certificate_file),
            (&REDIS_KEY_FILE, &tls.key_file),
        ];
        for (setting, _) in files.iter().filter(|(_, file)| file.is_some() && !url.is_tls()) {
            reader.refuse(setting, "REDIS_URL does not ask for TLS; begin it with rediss, or remove this");
        }
        match (&tls.certificate_file, &tls.key_file) {
            (Some(_), None) => reader.refuse(&REDIS_KEY_FILE, "REDIS_CERT_FILE needs its private key; name its file"),
            (None, Some(_)) => reader.refuse(&REDIS_CERT_FILE, "REDIS_KEY_FILE needs its certificate; name its file"),
            _ => {}
        }
    }

    fn judge_sentinel_login(reader: &mut Reader, url: &RedisUrl, login: &RedisLogin) {
        let without = "REDIS_URL names no sentinels, and its own login is the server's; remove this";
        let is_sentinel = scheme_of(&url.0).ends_with("+sentinel");
        if login.user.is_some() && !is_sentinel {
            reader.refuse(&REDIS_SENTINEL_USER, without);
        }
        if login.password.is_some() && !is_sentinel {
            reader.refuse(&REDIS_SENTINEL_PASSWORD, without);
        }
        if login.user.is_some() && login.password.is_none() {
            reader.refuse(&REDIS_SENTINEL_PASSWORD, "REDIS_SENTINEL_USER needs a password; set it");
        }
    }
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

impl LogFormat {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "text" => Some(Self::Text),
            "json" => Some(Self::Json),
            _ => None,
        }
    }
}

/// The address of Redis, which may hold a password: `Debug` shows its scheme only.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl(String);

impl RedisUrl {
    fn parse(text: &str) -> Option<Self> {
        let kinds = ["redis", "rediss"].map(|scheme| text.strip_prefix(scheme));
        let arrangements = ["://", "+sentinel://", "+cluster://"];
        let is_known = |rest: &str| arrangements.iter().any(|arrangement| rest.starts_with(arrangement));
        kinds.into_iter().flatten().any(is_known).then(|| Self(text.to_owned()))
    }

    /// Whether connections use TLS.
    pub fn is_tls(&self) -> bool {
        self.0.starts_with("rediss")
    }

    /// The address, password included: for the connection only.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisUrl({}:…)", scheme_of(&self.0))
    }
}

/// A database's address, which may hold a password: `Debug` shows its scheme only.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(String);

impl DatabaseUrl {
    fn parse(text: &str) -> Option<Self> {
        let known = ["sqlite:", "postgres://", "postgresql://"].iter().any(|scheme| text.starts_with(scheme));
        known.then(|| Self(text.to_owned()))
    }

    /// The `SQLite` file of the embedded default, made if it is not there.
    pub fn sqlite_in(data_dir: &Path) -> Self {
        // `?` and `#` would end the path of the URL, `%` would begin an escape.
        let path = data_dir.join("unstale.db").display().to_string();
        let path = path.replace('%', "%25").replace('?', "%3F").replace('#', "%23");
        Self(format!("sqlite://{path}?mode=rwc"))
    }

    /// The address, password included: for the connection only.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether it is the embedded kind.
    pub fn is_sqlite(&self) -> bool {
        self.0.starts_with("sqlite:")
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({}:…)", scheme_of(&self.0))
    }
}

fn scheme_of(url: &str) -> &str {
    url.split(':').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Sources;

    fn read(env: &[(&'static str, &'static str)]) -> Result<CommonSettings, String> {
        let mut reader = Reader::new(Sources::default().with_env(env.iter().copied()));
        let settings = CommonSettings::read(&mut reader);
        reader.finish().map(|()| settings).map_err(|error| error.to_string())
    }

    fn refused(env: &[(&'static str, &'static str)], part: &str) {
        let told = read(env).unwrap_err();
        assert!(told.contains(part), "{told}");
    }

    #[test]
    fn starts_on_this_machine_without_any_setting() {
        let settings = read(&[]).unwrap();
        assert_eq!(settings.listen_addr.to_string(), "127.0.0.1:8080");
        assert_eq!(settings.database_url.expose(), "sqlite://./data/unstale.db?mode=rwc");
        assert_eq!((settings.cache_version.as_str(), settings.log.as_str()), ("v1", "info"));
        assert!(!settings.demo && settings.log_format == LogFormat::Text);
    }

    #[test]
    fn redis_is_used_when_it_is_named_and_not_turned_off() {
        let redis = |env: &[_]| read(env).unwrap().redis;
        assert!(redis(&[]).is_none());
        let url = ("REDIS_URL", "redis://localhost");
        assert_eq!(redis(&[url]).unwrap().namespace, "unstale");
        assert_eq!(redis(&[url, ("REDIS_NAMESPACE", "blue")]).unwrap().namespace, "blue");
        assert!(redis(&[url, ("REDIS_ENABLED", "true")]).is_some());
        assert!(redis(&[url, ("REDIS_ENABLED", "false")]).is_none());
        assert!(redis(&[("REDIS_ENABLED", "false")]).is_none());
        refused(&[("REDIS_ENABLED", "true")], "there is no REDIS_URL");
        refused(&[("REDIS_URL", "localhost:6379")], "expected a URL that begins with redis://");
        refused(&[("REDIS_NAMESPACE", "a}b")], "such as unstale");
    }

    #[test]
    fn every_arrangement_of_redis_may_use_tls() {
        for kind in ["", "+sentinel", "+cluster"] {
            for (scheme, is_tls) in [("redis", false), ("rediss", true)] {
                let url: &'static str = format!("{scheme}{kind}://h/main").leak();
                assert_eq!(read(&[("REDIS_URL", url)]).unwrap().redis.unwrap().url.is_tls(), is_tls);
            }
        }
        refused(&[("REDIS_URL", "redisss://h")], "or the same with rediss for TLS");
        refused(&[("REDIS_URL", "rediss+ring://h")], "or the same with rediss for TLS");
    }

    #[test]
    fn certificates_belong_to_a_url_that_asks_for_tls_and_a_key_to_its_certificate() {
        let url = ("REDIS_URL", "rediss://h");
        let all = [url, ("REDIS_CA_FILE", "ca.crt"), ("REDIS_CERT_FILE", "me.crt"), ("REDIS_KEY_FILE", "me.key")];
        let tls = read(&all).unwrap().redis.unwrap().tls;
        let files = [tls.authority_file, tls.certificate_file, tls.key_file].map(|file| file.unwrap());
        assert_eq!(files.map(|file| file.display().to_string()), ["ca.crt", "me.crt", "me.key"]);
        refused(&all[..3], "REDIS_CERT_FILE needs its private key");
        refused(&[url, all[3]], "REDIS_KEY_FILE needs its certificate");
        let told = read(&[("REDIS_URL", "redis://h"), all[1], all[2], all[3]]).unwrap_err();
        assert_eq!(told.matches("does not ask for TLS").count(), 3, "{told}");
        // Turned off, but checked all the same; and without a URL there is nothing that they could be wrong for.
        refused(&[url, ("REDIS_ENABLED", "false"), all[2]], "needs its private key");
        assert!(read(&all[1..]).unwrap().redis.is_none());
    }

    #[test]
    fn sentinels_have_a_login_of_their_own() {
        let url = ("REDIS_URL", "redis+sentinel://u:p@h/main");
        let (user, password) = (("REDIS_SENTINEL_USER", "watch"), ("REDIS_SENTINEL_PASSWORD", "hunter2"));
        let redis = read(&[url, user, password]).unwrap().redis.unwrap();
        assert_eq!(redis.sentinel_login.user.as_deref(), Some("watch"));
        assert_eq!(redis.sentinel_login.password.as_deref(), Some("hunter2"));
        assert!(!format!("{redis:?}").contains("hunter2"));
        assert!(read(&[url, password]).is_ok(), "the default user's");
        refused(&[url, user], "REDIS_SENTINEL_USER needs a password");
        let told = read(&[("REDIS_URL", "redis+cluster://h"), user, password]).unwrap_err();
        assert_eq!(told.matches("names no sentinels").count(), 2, "{told}");
        assert!(!told.contains("hunter2"), "{told}");
    }

    #[test]
    fn the_breaker_is_a_setting_with_bounds() {
        let url = ("REDIS_URL", "redis://h");
        let breaker = |more: &[_]| read(&[&[url], more].concat()).unwrap().redis.unwrap().breaker;
        assert_eq!((breaker(&[]).failures_max, breaker(&[]).open_for), (5, Duration::from_secs(60)));
        let set = breaker(&[("REDIS_BREAKER_FAILURES", "20"), ("REDIS_BREAKER_OPEN", "500ms")]);
        assert_eq!((set.failures_max, set.open_for), (20, Duration::from_millis(500)));
        refused(&[url, ("REDIS_BREAKER_FAILURES", "0")], "1 to 1000");
        refused(&[url, ("REDIS_BREAKER_OPEN", "60")], "such as 60s");
        refused(&[url, ("REDIS_BREAKER_OPEN", "2h")], "100ms to 1h");
    }

    #[test]
    fn the_demonstration_stays_on_this_machine() {
        refused(&[("DEMO", "true"), ("LISTEN_ADDR", "0.0.0.0:80")], "can be reached from other machines");
        assert!(read(&[("DEMO", "true"), ("LISTEN_ADDR", "[::1]:80")]).unwrap().demo);
        assert!(read(&[("LISTEN_ADDR", "0.0.0.0:80")]).is_ok());
    }

    #[test]
    fn passwords_are_never_told() {
        let told = read(&[("DATABASE_URL", "mysql://u:hunter2@h/d"), ("REDIS_URL", "http://:hunter2@h")]).unwrap_err();
        assert!(!told.contains("hunter2") && told.contains("sqlite: or postgres://"), "{told}");
        let settings = read(&[("DATABASE_URL", "postgres://u:hunter2@h/d")]).unwrap();
        assert!(!format!("{settings:?}").contains("hunter2"));
        assert!(!settings.database_url.is_sqlite());
        let settings = read(&[("REDIS_URL", "redis://u:hunter2@h")]).unwrap();
        assert!(!format!("{settings:?}").contains("hunter2"));
    }

    #[test]
    fn malformed_values_and_slips_are_refused() {
        refused(&[("LISTEN_ADDR", "localhost")], "expected an IP address and a port");
        refused(&[("LISTEN_ADRR", "127.0.0.1:1")], "did you mean LISTEN_ADDR?");
        refused(&[("REDIS_ULR", "redis://h")], "did you mean REDIS_URL?");
        refused(&[("LOG", "unstale=loud")], "expected a filter such as info");
        refused(&[("LOG_FORMAT", "xml")], "expected text or json");
        refused(&[("CACHE_VERSION", "v 1")], "such as v1 or v1-dev");
    }

    #[test]
    fn odd_characters_in_the_data_directory_stay_in_the_path() {
        let url = DatabaseUrl::sqlite_in(Path::new("/srv/50%?#"));
        assert_eq!(url.expose(), "sqlite:///srv/50%25%3F%23/unstale.db?mode=rwc");
    }
}
