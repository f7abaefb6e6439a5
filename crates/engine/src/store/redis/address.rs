//! Where the servers are, as a URL says it.
//!
//! *Decides*, does no IO. Four forms, each also with `rediss` in place of `redis` for TLS:
//!
//! | URL | what |
//! |---|---|
//! | `redis://[user:password@]host[:port][/database]` | one server |
//! | `redis+sentinel://[user:password@]host[:port],…/service[/database]` | the sentinels, and what they call the primary |
//! | `redis+cluster://[user:password@]host[:port],…` | some nodes of a cluster; the rest is learnt from them |
//!
//! User and password are the data servers'. Characters with a meaning in URLs are written as `%40`.

use std::fmt;

const PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;

/// Host and port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Address {
    pub(super) host: String,
    pub(super) port: u16,
}

/// How the servers are arranged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Arrangement {
    /// One server, whatever stands behind it.
    One(Address),
    /// A primary that sentinels know by the name of its service.
    Sentinel { sentinels: Vec<Address>, service: String },
    /// A cluster, of which some nodes are known.
    Cluster { seeds: Vec<Address> },
}

/// A URL, read.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) arrangement: Arrangement,
    pub(super) tls: bool,
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
    pub(super) database: i64,
}

impl Target {
    /// Reads a URL; else says what is wrong with it, without repeating the password.
    pub(super) fn parse(url: &str) -> Result<Self, String> {
        let (scheme, rest) = url.split_once("://").ok_or("it has no scheme")?;
        let (kind, tls) = match scheme.split_once('+').unwrap_or((scheme, "")) {
            ("redis", kind) => (kind, false),
            ("rediss", kind) => (kind, true),
            _ => return Err("its scheme is neither redis nor rediss".into()),
        };
        if rest.contains(['?', '#']) {
            return Err("it has a query or a fragment, which are not used".into());
        }
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, password, hosts) = login(authority)?;
        let mut path = path.split('/').filter(|part| !part.is_empty());
        let arrangement = match kind {
            "" => {
                let [address] = <[Address; 1]>::try_from(addresses(hosts, PORT)?)
                    .map_err(|_| "it names several hosts; use redis+sentinel or redis+cluster")?;
                Arrangement::One(address)
            }
            "sentinel" => {
                let sentinels = addresses(hosts, SENTINEL_PORT)?;
                let service = path.next().ok_or("it names no service: end it with /mymaster or your own name")?;
                Arrangement::Sentinel { sentinels, service: decoded(service)? }
            }
            "cluster" => Arrangement::Cluster { seeds: addresses(hosts, PORT)? },
            _ => return Err("after the + stands neither sentinel nor cluster".into()),
        };
        let database = match path.next() {
            None => 0,
            Some(_) if kind == "cluster" => return Err("a cluster has no databases but 0".into()),
            Some(number) => number.parse().map_err(|_| format!("{number:?} is no number of a database"))?,
        };
        if path.next().is_some() {
            return Err("its path is too long".into());
        }
        Ok(Self { arrangement, tls, user, password, database })
    }
}

fn login(authority: &str) -> Result<(Option<String>, Option<String>, &str), String> {
    let Some((login, hosts)) = authority.rsplit_once('@') else { return Ok((None, None, authority)) };
    let (user, password) = login.split_once(':').ok_or("before the @ stands no password; write user:password@")?;
    let user = if user.is_empty() { None } else { Some(decoded(user)?) };
    Ok((user, Some(decoded(password)?), hosts))
}

fn addresses(hosts: &str, port: u16) -> Result<Vec<Address>, String> {
    hosts.split(',').map(|host| Address::parse(host, port)).collect()
}

fn decoded(text: &str) -> Result<String, String> {
    let wrong = || "a % is not followed by two hexadecimal digits of a UTF-8 text".to_owned();
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16)).ok_or_else(wrong);
        let (high, low) = (digit(rest.next())?, digit(rest.next())?);
        bytes.push(u8::try_from(high * 16 + low).expect("two hexadecimal digits are a byte"));
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}

impl Address {
    /// `host`, `host:port`, `[ip6]` or `[ip6]:port`.
    pub(super) fn parse(text: &str, port: u16) -> Result<Self, String> {
        let (host, rest) = match text.strip_prefix('[') {
            Some(text) => text.split_once(']').ok_or("a [ is not closed")?,
            None => text.find(':').map_or((text, ""), |at| text.split_at(at)),
        };
        let port = match rest.strip_prefix(':') {
            None if rest.is_empty() => port,
            Some(port) => port.parse().map_err(|_| format!("{port:?} is no port"))?,
            None => return Err(format!("{text:?} is no host and port")),
        };
        if host.is_empty() { Err("a host is missing".into()) } else { Ok(Self { host: host.into(), port }) }
    }

    /// The address of a redirection. Without a host, it is the one that redirects.
    pub(super) fn redirected(text: &str, by: &Self) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let host = if host.is_empty() || host == "?" { &by.host } else { host };
        Some(Self { host: host.trim_matches(['[', ']']).into(), port: port.parse().ok()? })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |addresses: &[Address]| addresses.iter().map(Address::to_string).collect::<Vec<_>>().join(",");
        let scheme = if self.tls { "rediss" } else { "redis" };
        match &self.arrangement {
            Arrangement::One(address) => write!(f, "{scheme}://{address}"),
            Arrangement::Sentinel { sentinels, service } => {
                write!(f, "{scheme}+sentinel://{}/{service}", list(sentinels))
            }
            Arrangement::Cluster { seeds } => write!(f, "{scheme}+cluster://{}", list(seeds)),
        }
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(url: &str, expected: &str) {
        let told = Target::parse(url).map(|target| {
            let login = target.user.iter().chain(&target.password).cloned().collect::<Vec<_>>().join(" ");
            format!("{target} {} {login}", target.database)
        });
        assert_eq!(told.unwrap_or_else(|error| format!("no: {error}")).trim(), expected);
    }

    #[test]
    fn each_form_is_read() {
        check("redis://localhost", "redis://localhost:6379 0");
        check("rediss://:secret@cache.example:7000/3", "rediss://cache.example:7000 3 secret");
        check("redis://me:p%40s%2Fs@[::1]:7000", "redis://[::1]:7000 0 me p@s/s");
        check("redis+sentinel://a,b:7,[::2]/mymaster", "redis+sentinel://a:26379,b:7,[::2]:26379/mymaster 0");
        check("rediss+sentinel://u:p@a/main/2", "rediss+sentinel://a:26379/main 2 u p");
        check("redis+cluster://a,b:7001", "redis+cluster://a:6379,b:7001 0");
    }

    #[test]
    fn what_cannot_be_meant_is_refused_and_passwords_are_not_repeated() {
        check("localhost:6379", "no: it has no scheme");
        check("http://x", "no: its scheme is neither redis nor rediss");
        check("redis+ring://x", "no: after the + stands neither sentinel nor cluster");
        check("redis://a,b", "no: it names several hosts; use redis+sentinel or redis+cluster");
        check("redis+sentinel://a", "no: it names no service: end it with /mymaster or your own name");
        check("redis+cluster://a/1", "no: a cluster has no databases but 0");
        check("redis://a:x", "no: \"x\" is no port");
        check("redis://u:secret@", "no: a host is missing");
        check("redis://secret@a", "no: before the @ stands no password; write user:password@");
        check("redis://:se%zz@a", "no: a % is not followed by two hexadecimal digits of a UTF-8 text");
        check("redis://a/one", "no: \"one\" is no number of a database");
        check("redis://a?protocol=3", "no: it has a query or a fragment, which are not used");
    }

    #[test]
    fn a_redirection_without_a_host_means_the_one_who_redirects() {
        let by = Address { host: "here".into(), port: 1 };
        let told = |text| Address::redirected(text, &by).map(|address| address.to_string());
        assert_eq!(told(":7"), Some("here:7".into()));
        assert_eq!(told("there:7"), Some("there:7".into()));
        assert_eq!(told("::1:7"), Some("[::1]:7".into()));
        assert_eq!(told("there"), None);
    }

    #[test]
    fn what_is_left_over_is_refused() {
        check("redis://a/1/2", "no: its path is too long");
        check("redis+sentinel://a/main/2/3", "no: its path is too long");
        check("redis://[::1]x", "no: \"[::1]x\" is no host and port");
    }

    #[test]
    fn it_is_printed_without_its_login() {
        let target = Target::parse("rediss://me:secret@a:7/3").unwrap();
        assert_eq!(format!("{target:?}"), "rediss://a:7");
    }
}
