//! What a flag is, for whom it is on, and why. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Users that a rule names one by one, at most.
pub const NAMED_USERS_MAX: usize = 1000;
/// Endpoints that a rule tells apart, at most.
pub const ENDPOINTS_MAX: usize = 100;
/// Longest name of a user or an endpoint, in bytes.
pub const NAME_BYTES_MAX: usize = 200;

/// A flag of the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Definition {
    /// Its name.
    pub key: &'static str,
    /// What it switches, for administrators.
    pub description: &'static str,
    /// Whether it is on without a rule.
    pub default: bool,
}

/// For whom a flag is on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The kill switch: off for everybody, whatever else the rule says.
    #[serde(default)]
    pub killed: bool,
    /// The share of users for whom it is on, 0 to 100. Who is in it stays in it while it grows.
    pub percentage: u8,
    /// Other shares, by endpoint.
    #[serde(default)]
    pub endpoints: BTreeMap<String, u8>,
    /// Users for whom it is on, whatever the share.
    #[serde(default)]
    pub on_for: BTreeSet<String>,
    /// Users for whom it is off, whatever the share.
    #[serde(default)]
    pub off_for: BTreeSet<String>,
}

/// Who asks, and for what.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asking<'a> {
    /// The user; none where nobody is signed in.
    pub user: Option<&'a str>,
    /// The endpoint, where it is asked for one.
    pub endpoint: Option<&'a str>,
}

/// What a flag is for somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evaluation {
    /// Whether it is on.
    pub value: bool,
    /// Why.
    pub reason: Reason,
}

/// Why a flag is what it is: the reasons of `OpenFeature` (specification, 1.4.7 and "types").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// There is no rule.
    Default,
    /// The same for everybody.
    Static,
    /// The rule names the user.
    TargetingMatch,
    /// The user is in the share, or is not.
    Split,
    /// The kill switch.
    Disabled,
}

/// What is wrong with a rule. The texts are made for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A share is no percentage.
    #[error("{field} is {given}; a percentage is from 0 to 100")]
    Percentage {
        /// Where.
        field: String,
        /// What it was.
        given: u8,
    },
    /// Too many.
    #[error("{field} names {given}; at most {limit} can be named, use a percentage instead")]
    TooMany {
        /// Where.
        field: &'static str,
        /// How many.
        given: usize,
        /// How many there may be.
        limit: usize,
    },
    /// A name that cannot be one.
    #[error("{field} holds a name of {bytes} bytes; a name has 1 to {NAME_BYTES_MAX}")]
    Name {
        /// Where.
        field: &'static str,
        /// Its length.
        bytes: usize,
    },
    /// A user is on both lists.
    #[error("the user {0} is in on_for and in off_for; name them in one of the two")]
    Both(String),
    /// There is no such endpoint.
    #[error("there is no endpoint {given}; there are: {known}")]
    UnknownEndpoint {
        /// What was named.
        given: String,
        /// Those that there are.
        known: String,
    },
}

impl Reason {
    /// As it stands on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Default => "DEFAULT",
            Self::Static => "STATIC",
            Self::TargetingMatch => "TARGETING_MATCH",
            Self::Split => "SPLIT",
            Self::Disabled => "DISABLED",
        }
    }
}

impl Definition {
    /// The rule that says what no rule says.
    pub fn default_rule(&self) -> Rule {
        Rule::share(if self.default { 100 } else { 0 })
    }
}

impl Rule {
    /// Whether it is on for nobody.
    pub fn is_off_for_all(&self) -> bool {
        let is_shared = self.percentage > 0 || self.endpoints.values().any(|share| *share > 0);
        self.killed || (!is_shared && self.on_for.is_empty())
    }

    /// On for a share of all users.
    pub fn share(percentage: u8) -> Self {
        Self {
            killed: false,
            percentage,
            endpoints: BTreeMap::new(),
            on_for: BTreeSet::new(),
            off_for: BTreeSet::new(),
        }
    }

    /// Reads a rule as it is saved.
    pub fn read(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// Everything that is wrong with it. `endpoints`: those that there are.
    pub fn faults(&self, endpoints: &[String]) -> Vec<Fault> {
        let mut faults = Vec::new();
        let shares = self.endpoints.iter().map(|(name, share)| (format!("endpoints.{name}"), *share));
        for (field, given) in [("percentage".to_owned(), self.percentage)].into_iter().chain(shares) {
            if given > 100 {
                faults.push(Fault::Percentage { field, given });
            }
        }
        for (field, given, limit) in [
            ("on_for", self.on_for.len(), NAMED_USERS_MAX),
            ("off_for", self.off_for.len(), NAMED_USERS_MAX),
            ("endpoints", self.endpoints.len(), ENDPOINTS_MAX),
        ] {
            if given > limit {
                faults.push(Fault::TooMany { field, given, limit });
            }
        }
        for (field, users) in [("on_for", &self.on_for), ("off_for", &self.off_for)] {
            let unfit = users.iter().find(|name| name.is_empty() || name.len() > NAME_BYTES_MAX);
            faults.extend(unfit.map(|name| Fault::Name { field, bytes: name.len() }));
        }
        faults.extend(self.on_for.intersection(&self.off_for).next().cloned().map(Fault::Both));
        let unknown = self.endpoints.keys().filter(|name| !endpoints.contains(name));
        let tell = |given: &String| Fault::UnknownEndpoint { given: given.clone(), known: endpoints.join(", ") };
        faults.extend(unknown.map(tell));
        faults
    }
}

/// Evaluates a flag by its rule.
///
/// A user is in a share of `p` percent if the flag's bucket of the user, a hash from 0 to 9,999, is below `100 p`: the
/// same on every node and in every build, another for each flag, and growing shares only add users. Without a user
/// only a share of 100 is on.
pub fn evaluate(key: &str, rule: &Rule, asking: &Asking<'_>) -> Evaluation {
    let because = |value, reason| Evaluation { value, reason };
    if rule.killed {
        return because(false, Reason::Disabled);
    }
    if let Some(user) = asking.user {
        if rule.off_for.contains(user) {
            return because(false, Reason::TargetingMatch);
        }
        if rule.on_for.contains(user) {
            return because(true, Reason::TargetingMatch);
        }
    }
    let of_endpoint = asking.endpoint.and_then(|endpoint| rule.endpoints.get(endpoint));
    let percentage = *of_endpoint.unwrap_or(&rule.percentage);
    match (percentage, asking.user) {
        (0, _) => because(false, Reason::Static),
        (100.., _) => because(true, Reason::Static),
        (_, None) => because(false, Reason::Split),
        (share, Some(user)) => because(bucket(key, user) < u64::from(share) * 100, Reason::Split),
    }
}

fn bucket(key: &str, user: &str) -> u64 {
    let mut hasher = blake3::Hasher::new_derive_key("unstale 2026 buckets of feature flags");
    hasher.update(&(key.len() as u64).to_le_bytes());
    hasher.update(key.as_bytes());
    hasher.update(user.as_bytes());
    let mut first = [0; 8];
    hasher.finalize_xof().fill(&mut first);
    u64::from_le_bytes(first) % 10_000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(rule: &Rule, user: &str) -> bool {
        evaluate("CACHE", rule, &Asking { user: Some(user), endpoint: None }).value
    }

    #[test]
    fn a_share_is_as_large_as_it_says_and_only_grows() {
        let users: Vec<String> = (0..10_000).map(|id| format!("user {id}")).collect();
        let mut before: Vec<&String> = Vec::new();
        for share in [0, 1, 10, 50, 99, 100] {
            let within: Vec<&String> = users.iter().filter(|user| value(&Rule::share(share), user)).collect();
            assert!(before.iter().all(|user| within.contains(user)), "somebody fell out at {share} %");
            let expected = usize::from(share) * 100;
            assert!(within.len().abs_diff(expected) <= 150, "{} of 10,000 at {share} %", within.len());
            before = within;
        }
        assert_eq!(before.len(), users.len());
    }

    #[test]
    fn off_for_all_is_off_for_everybody_who_could_be_meant() {
        let of = |text: &str| Rule::read(text).unwrap().is_off_for_all();
        assert!(of(r#"{"percentage":0}"#) && of(r#"{"percentage":100,"killed":true}"#));
        let on_for_some = [
            r#"{"percentage":1}"#,
            r#"{"percentage":0,"endpoints":{"flows":5}}"#,
            r#"{"percentage":0,"on_for":["ada"]}"#,
        ];
        assert!(on_for_some.iter().all(|text| !of(text)));
    }

    #[test]
    fn a_user_is_in_the_same_share_in_every_build_and_in_another_of_another_flag() {
        assert_eq!(["ada", "bob", "eve"].map(|user| bucket("CACHE", user)), BUCKETS);
        assert_ne!(bucket("CACHE", "ada"), bucket("HEADERS", "ada"));
        assert_ne!(bucket("CACHE", "ada"), bucket("CACH", "Eada"));
    }

    /// Whoever changes them moves users between shares.
    const BUCKETS: [u64; 3] = [6434, 661, 6013];

    #[test]
    fn names_go_before_shares_and_the_kill_switch_before_all() {
        let named = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        let rule = Rule { on_for: named(&["ada"]), off_for: named(&["bob"]), ..Rule::share(0) };
        let because = |rule: &Rule, user| evaluate("CACHE", rule, &Asking { user: Some(user), endpoint: None });
        assert_eq!(because(&rule, "ada"), Evaluation { value: true, reason: Reason::TargetingMatch });
        assert_eq!(because(&rule, "eve"), Evaluation { value: false, reason: Reason::Static });
        let open = Rule { percentage: 100, ..rule };
        assert_eq!(because(&open, "bob"), Evaluation { value: false, reason: Reason::TargetingMatch });
        let killed = Rule { killed: true, ..open };
        for user in ["ada", "bob", "eve"] {
            assert_eq!(because(&killed, user), Evaluation { value: false, reason: Reason::Disabled });
        }
    }

    #[test]
    fn an_endpoint_can_have_a_share_of_its_own() {
        let rule = Rule { endpoints: [("flows".to_owned(), 0)].into(), ..Rule::share(100) };
        let at = |endpoint| evaluate("CACHE", &rule, &Asking { user: Some("ada"), endpoint }).value;
        assert_eq!([at(None), at(Some("context")), at(Some("flows"))], [true, true, false]);
    }

    #[test]
    fn nobody_is_in_a_share() {
        let nobody = Asking::default();
        assert!(!evaluate("CACHE", &Rule::share(99), &nobody).value);
        assert!(evaluate("CACHE", &Rule::share(100), &nobody).value);
    }

    #[test]
    fn everything_wrong_is_told_at_once() {
        let twice = BTreeSet::from(["ada".to_owned(), "x".repeat(201)]);
        let endpoints = [("flows".to_owned(), 101), ("moon".to_owned(), 5)].into();
        let rule = Rule { percentage: 200, endpoints, on_for: twice.clone(), off_for: twice, killed: false };
        let told: Vec<String> =
            rule.faults(&["flows", "context"].map(str::to_owned)).iter().map(ToString::to_string).collect();
        for expected in [
            "percentage is 200",
            "endpoints.flows is 101",
            "201 bytes",
            "the user ada is in on_for and in off_for",
            "there is no endpoint moon; there are: flows, context",
        ] {
            assert!(told.iter().any(|fault| fault.contains(expected)), "{expected} is not in {told:?}");
        }
        assert_eq!(Rule::share(10).faults(&[]), []);
    }
}
