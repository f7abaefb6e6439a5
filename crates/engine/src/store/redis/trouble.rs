//! What an error of Redis means: what to do next, and what to tell.
//!
//! *Decides*, does no IO.

use redis::{ErrorKind, RedisError, ServerErrorKind};

use super::address::Address;
use crate::store::StoreError;

/// What to do next about an operation that failed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Another server owns the slot: ask it from now on.
    Moved(Address),
    /// Another server has the key already: ask it this once.
    Ask(Address),
    /// The keys of the operation are in two places just now: wait a moment.
    Wait,
    /// The server does not know the script.
    LoadScripts,
    /// There is no state of the run that the scripts were loaded for: look at the run, and begin an epoch.
    Begin,
    /// The server, or its role, is not what it was: find it anew, and give up this operation.
    Rediscover,
    /// Give it up.
    Fail,
}

/// What to do next, about an error that `asked` answered with (or the connection to it).
pub(super) fn next(error: &RedisError, asked: &Address) -> Next {
    let redirected = || error.redirect_node().and_then(|(text, _)| Address::redirected(text, asked));
    match error.kind() {
        ErrorKind::Server(ServerErrorKind::Moved) => redirected().map_or(Next::Rediscover, Next::Moved),
        ErrorKind::Server(ServerErrorKind::Ask) => redirected().map_or(Next::Rediscover, Next::Ask),
        ErrorKind::Server(ServerErrorKind::TryAgain) => Next::Wait,
        ErrorKind::Server(ServerErrorKind::NoScript) => Next::LoadScripts,
        ErrorKind::Server(ServerErrorKind::ReadOnly | ServerErrorKind::ClusterDown | ServerErrorKind::MasterDown)
        | ErrorKind::Io => Next::Rediscover,
        ErrorKind::Extension => match error.code() {
            // What stands in the place of the state: the sign of a server that was replaced.
            Some("OTHERRUN" | "WRONGTYPE") => Next::Begin,
            Some("NOREPLICAS" | "REPLACED") => Next::Rediscover,
            _ => Next::Fail,
        },
        _ => Next::Fail,
    }
}

/// Whether only somebody who changes something on this side can help: then asking again soon is no use, and hammers.
pub(super) fn is_refusal(error: &RedisError) -> bool {
    match error.kind() {
        ErrorKind::AuthenticationFailed
        | ErrorKind::InvalidClientConfig
        | ErrorKind::Server(ServerErrorKind::NoPerm) => true,
        _ => {
            matches!(error.code(), Some("NOAUTH" | "WRONGPASS" | "NOPERM" | "DENIED" | "PARTITIONS"))
                || said(error).contains("cluster support disabled")
                || of_certificates(error).is_some()
        }
    }
}

/// Whether the server is well and has no room for what it was asked to store.
pub(super) fn is_full(error: &RedisError) -> bool {
    let is_given_up = error.kind() == ErrorKind::Server(ServerErrorKind::ExecAbort);
    error.code() == Some("OOM") || is_given_up && error.detail().is_some_and(|detail| detail.contains("OOM"))
}

/// The error as callers of a store see it.
pub(super) fn told(error: &RedisError) -> StoreError {
    let said = said(error);
    let advice = advice(error, &said);
    let text = if advice.is_empty() { said } else { format!("{advice} ({said})") };
    if is_refusal(error) { StoreError::Refused(text) } else { StoreError::Unavailable(text) }
}

fn said(error: &RedisError) -> String {
    let detail = error.detail().unwrap_or_default();
    match error.code() {
        Some("ERR" | "PARTITIONS") => detail.to_owned(),
        Some(code) => format!("{code} {detail}"),
        None => error.to_string(),
    }
}

/// An error of a sentinel, whose users are not the data servers': what is said of those would be wrong advice.
pub(super) fn of_sentinel(error: RedisError) -> RedisError {
    let code = match error.kind() {
        ErrorKind::AuthenticationFailed => "WRONGPASS",
        _ => error.code().unwrap_or_default(),
    };
    let advice = match code {
        "NOAUTH" => "the sentinels want a login of their own, beside the data servers' in the URL; set it",
        "WRONGPASS" => {
            "the sentinels refuse their user and password, which are not the data servers' in the URL; correct them"
        }
        "NOPERM" => {
            "the sentinels' user may not ask them; give it at least +auth +hello +client|setinfo +sentinel|master \
             +sentinel|get-master-addr-by-name +sentinel|replicas"
        }
        _ => return error,
    };
    RedisError::from((ErrorKind::InvalidClientConfig, advice, said(&error)))
}

/// What to do about certificates, if they are why there is no connection. Whose they are, servers' or sentinels', does
/// not matter: all are connected to with the same.
fn of_certificates(error: &RedisError) -> Option<&'static str> {
    let text = error.to_string();
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if !error.is_io_error() {
        None
    } else if says(&["alert: CertificateExpired"]) {
        Some("the client's certificate has expired; renew it, and start this node again")
    } else if says(&["alert: UnknownCA", "alert: BadCertificate", "alert: CertificateUnknown", "alert: DecryptError"]) {
        Some(
            "Redis does not accept the client's certificate; name one that was signed by an authority of its \
             tls-ca-cert-file",
        )
    } else if says(&["CertificateRequired"]) {
        Some("Redis asks for the client's own certificate; name the files of one and of its key")
    } else if says(&["xpired"]) {
        Some("Redis's certificate has expired, or this machine's clock is wrong; renew the one or set the other right")
    } else if says(&["NotValidForName", "not valid for"]) {
        Some(
            "Redis's certificate is not for the name or address that it is connected to by; use a name of the \
             certificate in the URL, and have sentinels or cluster announce names or addresses that stand in it",
        )
    } else if says(&["ertificate"]) {
        Some(
            "TLS could not be agreed on; name the file of the authority that signed Redis's certificate, and the \
             client's own certificate if Redis asks for one",
        )
    } else {
        None
    }
}

/// What to do about it.
fn advice(error: &RedisError, said: &str) -> &'static str {
    let code = match error.kind() {
        ErrorKind::AuthenticationFailed => "WRONGPASS",
        _ => error.code().unwrap_or_default(),
    };
    match code {
        "NOAUTH" => "Redis wants a password; put user:password@ before the host in its URL",
        "WRONGPASS" => "Redis refuses this user and password; correct them in its URL, or set them in Redis",
        "NOPERM" => {
            "the user may not do this in Redis; give it +@all or at least scripts, strings and pub/sub on the \
             namespace's keys and channels"
        }
        "DENIED" => "Redis is in protected mode; set a password, or let it bind to this network",
        "READONLY" => {
            "this Redis is a read-only replica; name the primary, or use redis+sentinel:// so that it is found"
        }
        "LOADING" => "Redis has just started and loads its data; it answers when that is done",
        "MASTERDOWN" => "this replica of Redis has lost its primary; wait for the failover",
        "CLUSTERDOWN" => "the cluster does not serve this slot: no majority of masters, or nobody owns it",
        "OOM" => {
            "Redis is full and evicts nothing; raise maxmemory, or set maxmemory-policy to allkeys-lru \
             (entries make room for each other then)"
        }
        "MISCONF" => {
            "Redis refuses writes because it could not save to disk; see its log and free the disk, or turn saving \
             off: this cache needs none"
        }
        "NOREPLICAS" => {
            "Redis has fewer good replicas than its min-replicas-to-write: it may have been replaced as the primary"
        }
        "REPLACED" => "this Redis was replaced as the primary and does not know it; the new one is looked for",
        "MOVED" => "this Redis is part of a cluster; use redis+cluster:// in its URL",
        _ if said.contains("cluster support disabled") => "this Redis is not a cluster; use redis:// in its URL",
        _ if said.contains("max number of clients") => "Redis has no connection left; raise its maxclients",
        _ => of_certificates(error).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use redis::Value;

    use super::*;

    /// As the client makes it of what a server says.
    fn error(line: &str) -> RedisError {
        let parsed = redis::parse_redis_value(format!("-{line}\r\n").as_bytes());
        match parsed.map(Value::extract_error) {
            Ok(Err(error)) | Err(error) => error,
            Ok(Ok(other)) => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn check(line: &str, expected: Next, refusal: bool, says: &str) {
        let (error, asked) = (error(line), Address { host: "here".into(), port: 1 });
        let told = told(&error);
        assert_eq!((next(&error, &asked), matches!(told, StoreError::Refused(_))), (expected, refusal), "{told}");
        assert!(told.to_string().contains(says), "{told}");
    }

    #[test]
    fn redirections_are_followed() {
        let there = || Address { host: "10.0.0.7".into(), port: 7001 };
        check("MOVED 3999 10.0.0.7:7001", Next::Moved(there()), false, "redis+cluster://");
        check("ASK 3999 10.0.0.7:7001", Next::Ask(there()), false, "ASK 3999");
        check("TRYAGAIN Multiple keys request during rehashing of slot", Next::Wait, false, "TRYAGAIN");
        check("CLUSTERDOWN The cluster is down", Next::Rediscover, false, "no majority");
    }

    #[test]
    fn scripts_say_what_they_lack() {
        check("NOSCRIPT No matching script.", Next::LoadScripts, false, "NOSCRIPT");
        check("OTHERRUN there is no state", Next::Begin, false, "OTHERRUN");
        check("WRONGTYPE Operation against a key", Next::Begin, false, "WRONGTYPE");
        check("REPLACED since configuration 3", Next::Rediscover, false, "was replaced");
        check("PARTITIONS the log has 16 partitions, this node is set to 32", Next::Fail, true, "the log has 16");
    }

    #[test]
    fn each_trouble_says_what_to_do() {
        check("READONLY You can't write against a read only replica.", Next::Rediscover, false, "redis+sentinel://");
        check("LOADING Redis is loading the dataset in memory", Next::Fail, false, "when that is done");
        check("OOM command not allowed when used memory > 'maxmemory'.", Next::Fail, false, "maxmemory-policy");
        check("MISCONF Redis is configured to save RDB snapshots", Next::Fail, false, "free the disk");
        check("NOREPLICAS Not enough good replicas to write.", Next::Rediscover, false, "min-replicas-to-write");
        check("NOAUTH Authentication required.", Next::Fail, true, "user:password@");
        check("WRONGPASS invalid username-password pair", Next::Fail, true, "correct them");
        check("NOPERM this user has no permissions", Next::Fail, true, "may not do this");
        check("ERR This instance has cluster support disabled", Next::Fail, true, "use redis://");
        check("ERR max number of clients reached", Next::Fail, false, "maxclients");
        check("ERR something else", Next::Fail, false, "something else");
    }

    #[test]
    fn a_server_that_is_full_is_no_server_that_fails() {
        for line in [
            "OOM command not allowed when used memory > 'maxmemory'.",
            "EXECABORT Transaction discarded because of: OOM command not allowed when used memory > 'maxmemory'.",
        ] {
            assert!(is_full(&error(line)), "{line}");
        }
        for line in ["EXECABORT Transaction discarded because of previous errors.", "LOADING it will be OOM"] {
            assert!(!is_full(&error(line)), "{line}");
        }
    }

    #[track_caller]
    fn check_sentinel(line: &str, refusal: bool, says: &str) {
        let told = told(&of_sentinel(error(line)));
        assert_eq!(matches!(told, StoreError::Refused(_)), refusal, "{told}");
        assert!(told.to_string().contains(says) && !told.to_string().contains("in its URL"), "{told}");
    }

    #[test]
    fn sentinels_have_logins_of_their_own() {
        check_sentinel("NOAUTH Authentication required.", true, "want a login of their own");
        check_sentinel("WRONGPASS invalid username-password pair", true, "refuse their user and password");
        check_sentinel("NOPERM this user has no permissions", true, "+sentinel|master");
        check_sentinel("LOADING Redis is loading the dataset in memory", false, "LOADING");
    }

    /// The client's own word for it, before any command.
    #[test]
    fn a_login_that_is_refused_while_connecting_says_the_same() {
        let refused = || RedisError::from((ErrorKind::AuthenticationFailed, "Password authentication failed"));
        let (servers, sentinels) = (told(&refused()).to_string(), told(&of_sentinel(refused())).to_string());
        assert!(servers.contains("correct them in its URL"), "{servers}");
        assert!(sentinels.contains("the sentinels refuse their user and password"), "{sentinels}");
    }

    #[track_caller]
    fn check_tls(text: &'static str, says: &str) {
        let told = told(&std::io::Error::new(std::io::ErrorKind::InvalidData, text).into());
        assert!(matches!(&told, StoreError::Refused(text) if text.contains(says)), "{told}");
    }

    #[test]
    fn each_trouble_of_tls_says_what_to_do() {
        check_tls("invalid peer certificate: UnknownIssuer", "name the file of the authority");
        check_tls("invalid peer certificate: certificate expired: verification time 9 (UNIX)", "renew the one");
        check_tls("invalid peer certificate: certificate not valid for name \"x\"", "stand in it");
        check_tls("received fatal alert: CertificateRequired", "the client's own certificate");
        check_tls("received fatal alert: UnknownCA", "tls-ca-cert-file");
        check_tls("received fatal alert: CertificateExpired", "the client's certificate has expired");
        let reset = RedisError::from(std::io::Error::from(std::io::ErrorKind::ConnectionReset));
        assert!(!is_refusal(&reset));
    }

    #[test]
    fn a_lost_connection_is_looked_for() {
        let lost = RedisError::from(std::io::Error::from(std::io::ErrorKind::BrokenPipe));
        assert_eq!(next(&lost, &Address { host: "here".into(), port: 1 }), Next::Rediscover);
        assert!(matches!(told(&lost), StoreError::Unavailable(_)));
    }
}
