//! What is risky about the way a server is set up, told once at the start.
//!
//! *Decides*, does no IO: [`findings`] judges what `INFO` and `CONFIG GET` have answered. Nothing here has to be right
//! for the cache to be coherent: every policy of eviction and every kind of persistence is safe. What is told is what
//! costs hits, memory or availability, and what makes the time longer in which a failover can be missed.

use std::{collections::HashMap, fmt};

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Good to know.
    Note,
    /// Works, until something happens that it is badly prepared for.
    Risk,
    /// Does not work, or will not for long.
    Wrong,
}

/// Something about a server that whoever runs it should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisFinding {
    /// How much it matters.
    pub severity: Severity,
    /// Which server.
    pub server: String,
    /// What is so.
    pub what: String,
    /// What to do about it; empty if nothing has to be done.
    pub advice: &'static str,
}

impl fmt::Display for RedisFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { server, what, advice, .. } = self;
        write!(f, "{server}: {what}")?;
        if advice.is_empty() { Ok(()) } else { write!(f, "; {advice}") }
    }
}

/// What a server has answered.
pub(super) struct Answers<'a> {
    pub(super) server: &'a str,
    /// All of `INFO`.
    pub(super) info: &'a str,
    /// `CONFIG GET` of [`SETTINGS`]; none where it is forbidden.
    pub(super) settings: Option<&'a HashMap<String, String>>,
    /// Whether other servers stand by to take over.
    pub(super) has_failover: bool,
}

/// What is looked at of a server's settings.
pub(super) const SETTINGS: [&str; 6] = [
    "save",
    "stop-writes-on-bgsave-error",
    "min-replicas-to-write",
    "min-replicas-max-lag",
    "cluster-require-full-coverage",
    "cluster-allow-reads-when-down",
];

/// The oldest versions that have what the scripts use.
const REDIS_MIN: (u32, u32) = (7, 0);
const VALKEY_MIN: (u32, u32) = (7, 2);

/// Judges a server, the gravest first.
pub(super) fn findings(answers: &Answers<'_>) -> Vec<RedisFinding> {
    let mut judge = Judge { answers, found: Vec::new() };
    judge.version();
    judge.memory();
    judge.persistence();
    judge.replication();
    judge.cluster();
    if answers.settings.is_none() {
        let what = "its settings may not be looked at (CONFIG is forbidden, as managed services do)";
        judge.tell(Severity::Note, what, "");
    }
    judge.found.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    judge.found
}

struct Judge<'a> {
    answers: &'a Answers<'a>,
    found: Vec<RedisFinding>,
}

impl Judge<'_> {
    fn tell(&mut self, severity: Severity, what: impl Into<String>, advice: &'static str) {
        let server = self.answers.server.to_owned();
        self.found.push(RedisFinding { severity, server, what: what.into(), advice });
    }

    fn info(&self, field: &str) -> Option<&str> {
        let mut lines = self.answers.info.lines();
        lines.find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).map(str::trim)
    }

    fn number(&self, field: &str) -> Option<u64> {
        self.info(field)?.parse().ok()
    }

    fn setting(&self, name: &str) -> Option<&str> {
        self.answers.settings?.get(name).map(String::as_str)
    }

    fn version(&mut self) {
        let valkey = self.info("valkey_version");
        let (name, version, min) = match (valkey, self.info("redis_version")) {
            (Some(version), _) => ("Valkey", version.to_owned(), VALKEY_MIN),
            (None, Some(version)) => ("Redis", version.to_owned(), REDIS_MIN),
            (None, None) => {
                let advice = "use Redis 7 or Valkey 7.2, or newer";
                return self.tell(Severity::Risk, "INFO names no version of Redis or Valkey", advice);
            }
        };
        let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
        let found = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
        if found < min {
            let what = format!("{name} {version} does not know what the scripts use");
            self.tell(Severity::Wrong, what, "use Redis 7 or Valkey 7.2, or newer");
        } else {
            self.tell(Severity::Note, format!("{name} {version}"), "");
        }
    }

    fn memory(&mut self) {
        let (Some(limit), Some(policy)) = (self.number("maxmemory"), self.info("maxmemory_policy")) else { return };
        let policy = policy.to_owned();
        if limit == 0 {
            let what = "it has no maxmemory: it grows until the machine has no memory left";
            return self.tell(Severity::Risk, what, "set maxmemory, and maxmemory-policy allkeys-lru");
        }
        match &policy[..] {
            "noeviction" => self.tell(
                Severity::Risk,
                "its maxmemory-policy is noeviction: when it is full, no entry is stored any more until others \
                 expire (invalidations go on: log and clocks have limits of their own)",
                "set maxmemory-policy to allkeys-lru, or to volatile-lru if other data are kept there",
            ),
            "allkeys-random" => self.tell(
                Severity::Risk,
                "its maxmemory-policy is allkeys-random: it evicts a partition's state as readily as an entry, and \
                 each such loss ends all entries of the partition",
                "set maxmemory-policy to allkeys-lru",
            ),
            // Every operation touches its partition's state, so it is the last that these would choose; what expires
            // are entries only, so it is none that those may choose.
            _ => self.tell(Severity::Note, format!("its maxmemory-policy is {policy}, which spares the state"), ""),
        }
    }

    fn persistence(&mut self) {
        let status = |judge: &Self, field| judge.info(field).is_some_and(|status| status != "ok");
        let saves = self.setting("save").map(|save| !save.is_empty());
        let stops = self.setting("stop-writes-on-bgsave-error") == Some("yes");
        if status(self, "rdb_last_bgsave_status") && stops && saves != Some(false) {
            let what = "it could not save to disk and refuses writes because of it: nothing can be invalidated";
            self.tell(Severity::Wrong, what, "free its disk; or turn saving off (save \"\"): this cache needs none");
        } else if saves == Some(true) && stops {
            let what = "it saves to disk and stops writes when it cannot (stop-writes-on-bgsave-error): a full disk \
                        would stop invalidations";
            self.tell(Severity::Risk, what, "turn saving off (save \"\"), or stop-writes-on-bgsave-error");
        }
        if status(self, "aof_last_write_status") {
            let what = "it could not append to its file and refuses writes because of it";
            self.tell(Severity::Wrong, what, "free its disk; or turn appendonly off: this cache needs none");
        }
        if saves == Some(true) || self.info("aof_enabled") == Some("1") {
            let what = "it keeps its data on disk, which is safe but of no use here: a restart, planned or not, begins \
                        a new epoch, and entries are loaded once more";
            self.tell(Severity::Note, what, "");
        }
    }

    fn replication(&mut self) {
        if self.info("role").is_some_and(|role| role != "master") {
            let what = "it is a read-only replica: nothing can be invalidated";
            return self.tell(Severity::Wrong, what, "name the primary, or use redis+sentinel:// so that it is found");
        }
        let Some(replicas) = self.number("connected_slaves") else { return };
        if replicas == 0 && self.answers.has_failover {
            let what = "it has no replica: nobody takes over when it is lost";
            self.tell(Severity::Risk, what, "start a replica");
        }
        let demanded = self.setting("min-replicas-to-write").and_then(|number| number.parse::<u64>().ok());
        let lag = self.setting("min-replicas-max-lag").unwrap_or("10").to_owned();
        match demanded {
            Some(0) if replicas > 0 => {
                let what = "it demands no replica (min-replicas-to-write 0): cut off from the others and replaced, it \
                            would go on answering to nodes that are cut off with it";
                self.tell(
                    Severity::Risk,
                    what,
                    "set min-replicas-to-write 1 and min-replicas-max-lag to a few seconds",
                );
            }
            Some(demanded) if demanded > 0 && replicas < demanded => {
                let what = format!("it demands {demanded} replicas and has {replicas}: it refuses writes");
                self.tell(Severity::Wrong, what, "start replicas, or lower min-replicas-to-write");
            }
            Some(demanded) if demanded > 0 => {
                let what = format!("cut off from its {replicas} replicas, it stops answering within {lag} s");
                self.tell(Severity::Note, what, "");
            }
            _ => {}
        }
    }

    fn cluster(&mut self) {
        if self.info("cluster_enabled") != Some("1") {
            return;
        }
        if self.setting("cluster-allow-reads-when-down") == Some("yes") {
            let what = "a minority of the cluster goes on answering reads (cluster-allow-reads-when-down)";
            self.tell(Severity::Risk, what, "set cluster-allow-reads-when-down no");
        }
        if self.setting("cluster-require-full-coverage") == Some("yes") {
            let what = "the whole cluster stops when some slots have no owner (cluster-require-full-coverage)";
            self.tell(Severity::Note, what, "set it to no, so that the partitions of other masters go on");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "redis_version:7.0.15\r\nmaxmemory:1000\r\nmaxmemory_policy:allkeys-lru\r\n\
                        rdb_last_bgsave_status:ok\r\naof_enabled:0\r\nrole:master\r\nconnected_slaves:0\r\n";

    fn told(info: &str, settings: Option<&[(&str, &str)]>, has_failover: bool) -> Vec<String> {
        let settings: Option<HashMap<String, String>> =
            settings.map(|pairs| pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect());
        let answers = Answers { server: "s", info, settings: settings.as_ref(), has_failover };
        findings(&answers).iter().map(|finding| format!("{:?} {finding}", finding.severity)).collect()
    }

    /// Exactly one finding above a note, and it has these words.
    #[track_caller]
    fn check(info: &str, settings: &[(&str, &str)], severity: Severity, words: &str) {
        let told = told(info, Some(settings), true);
        let grave: Vec<_> = told.iter().filter(|text| !text.starts_with("Note")).collect();
        let expected = format!("{severity:?}");
        let all = grave.len() == 1 && grave[0].starts_with(&expected) && grave[0].contains(words);
        assert!(all, "{told:#?}");
    }

    fn with(field: &str, value: &str) -> String {
        let others = GOOD.lines().filter(|line| !line.starts_with(&format!("{field}:")));
        let replica = if field == "connected_slaves" { value } else { "1" };
        let others = others.filter(|line| !line.starts_with("connected_slaves"));
        let more = if field == "connected_slaves" { String::new() } else { format!("{field}:{value}\r\n") };
        format!("{}\r\nconnected_slaves:{replica}\r\n{more}", others.collect::<Vec<_>>().join("\r\n"))
    }

    #[test]
    fn a_good_server_is_worth_notes_only() {
        let told = told(GOOD, Some(&[("save", "")]), false);
        assert_eq!(
            told,
            ["Note s: Redis 7.0.15", "Note s: its maxmemory-policy is allkeys-lru, which spares the state"]
        );
    }

    #[test]
    fn old_and_unknown_servers_are_told() {
        check(&with("redis_version", "6.2.14"), &[], Severity::Wrong, "Redis 6.2.14 does not know");
        let valkey = |version: &str| with("redis_version", "7.2.4") + "server_name:valkey\r\nvalkey_version:" + version;
        assert!(told(&valkey("8.0.1"), Some(&[]), true)[0].contains("Note s: Valkey 8.0.1"));
        check(&valkey("7.1.0"), &[], Severity::Wrong, "Valkey 7.1.0");
        assert!(told("other:1", None, false).iter().any(|text| text.contains("names no version")));
    }

    #[test]
    fn each_policy_is_judged() {
        check(&with("maxmemory", "0"), &[], Severity::Risk, "no maxmemory");
        check(&with("maxmemory_policy", "noeviction"), &[], Severity::Risk, "no entry is stored any more");
        check(&with("maxmemory_policy", "allkeys-random"), &[], Severity::Risk, "as readily as an entry");
        for policy in ["allkeys-lru", "allkeys-lfu", "volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl"]
        {
            let told = told(&with("maxmemory_policy", policy), Some(&[]), true);
            assert!(told.iter().all(|text| text.starts_with("Note")), "{told:?}");
        }
    }

    #[test]
    fn a_disk_that_can_stop_invalidations_is_a_risk() {
        let stops = ("stop-writes-on-bgsave-error", "yes");
        check(&with("rdb_last_bgsave_status", "err"), &[stops, ("save", "60 1")], Severity::Wrong, "could not save");
        check(&with("x", ""), &[stops, ("save", "60 1")], Severity::Risk, "a full disk");
        check(&with("aof_last_write_status", "err"), &[], Severity::Wrong, "could not append");
        let told = told(&with("aof_enabled", "1"), Some(&[("save", ""), stops]), true);
        assert!(told.iter().any(|text| text.contains("begins a new epoch")), "{told:?}");
    }

    #[test]
    fn replicas_are_counted() {
        check(&with("role", "slave"), &[], Severity::Wrong, "read-only replica");
        check(&with("connected_slaves", "0"), &[], Severity::Risk, "nobody takes over");
        check(&with("x", ""), &[("min-replicas-to-write", "0")], Severity::Risk, "would go on answering");
        check(&with("x", ""), &[("min-replicas-to-write", "2")], Severity::Wrong, "refuses writes");
        let told = told(&with("x", ""), Some(&[("min-replicas-to-write", "1"), ("min-replicas-max-lag", "3")]), true);
        assert!(told.iter().any(|text| text.contains("stops answering within 3 s")), "{told:?}");
    }

    #[test]
    fn a_cluster_that_answers_in_a_minority_is_a_risk() {
        let cluster = with("cluster_enabled", "1");
        check(&cluster, &[("cluster-allow-reads-when-down", "yes")], Severity::Risk, "a minority");
        assert!(
            told(&cluster, Some(&[("cluster-require-full-coverage", "yes")]), true)
                .iter()
                .any(|text| text.contains("the whole cluster stops"))
        );
    }

    #[test]
    fn settings_that_may_not_be_seen_are_admitted() {
        assert!(told(GOOD, None, false).iter().any(|text| text.contains("CONFIG is forbidden")));
    }
}
