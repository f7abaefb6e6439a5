//! What a configuration makes of the code's defaults. *Decides*.

use std::time::Duration;

use unstale::{Mode, Policy};
use unstale_http::RouteSettings;

use super::document::{Configuration, EntrySettings, ModeSettings, Switches};

/// The version in force.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effective {
    /// Its number; 0 is before the first change.
    pub version: i64,
    /// What it says.
    pub configuration: Configuration,
    /// Whether policies are as the code says.
    is_plain: bool,
}

impl Effective {
    pub(super) fn new(version: i64, configuration: Configuration) -> Self {
        let Switches { cache, store, .. } = configuration.switches;
        let is_plain = cache && store && configuration.entries.is_empty();
        Self { version, configuration, is_plain }
    }

    /// The policy of a key pattern.
    #[inline]
    pub fn policy(&self, entity: &str, default: &Policy) -> Policy {
        if self.is_plain { *default } else { self.changed(entity, default) }
    }

    #[cold]
    fn changed(&self, entity: &str, default: &Policy) -> Policy {
        let own = self.configuration.entries.get(entity).copied().unwrap_or_default();
        policy(default, &own, self.configuration.switches)
    }

    /// The settings of a route, whose own policy is this, if it has one.
    pub fn route(&self, pattern: &str, default: Option<&Policy>) -> RouteSettings {
        let own = self.configuration.endpoints.get(pattern).copied().unwrap_or_default();
        let switches = self.configuration.switches;
        let policy = default.map(|default| policy(default, &own.entry(), switches));
        RouteSettings {
            is_on: switches.cache && own.cache != Some(false),
            policy: policy.filter(|policy| Some(policy) != default && policy.is_on),
            uses_store: switches.store && own.store != Some(false),
            tells: own.headers.unwrap_or(switches.headers),
        }
    }
}

fn policy(default: &Policy, own: &EntrySettings, switches: Switches) -> Policy {
    let seconds = |seconds: Option<u64>, default| seconds.map_or(default, Duration::from_secs);
    let ttl = own.ttl_seconds.map(Duration::from_secs);
    Policy {
        ttl: ttl.unwrap_or(default.ttl),
        // What was loaded before lives no longer than what is loaded from now on.
        age_max: ttl.or(default.age_max),
        grace: seconds(own.grace_seconds, default.grace),
        fail_safe: seconds(own.fail_safe_seconds, default.fail_safe),
        mode: match own.mode {
            None => default.mode,
            Some(ModeSettings::Strict) => Mode::Strict,
            Some(ModeSettings::Bounded { milliseconds }) => Mode::Bounded(Duration::from_millis(milliseconds)),
            Some(ModeSettings::StaleOk { seconds }) => Mode::StaleOk(Duration::from_secs(seconds)),
        },
        is_on: default.is_on && switches.cache && own.cache != Some(false),
        uses_store: default.uses_store && switches.store && own.store != Some(false),
        ..*default
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const DEFAULT: Policy = Policy::ttl(Duration::from_secs(300)).early_refresh(100);

    fn effective(configuration: serde_json::Value) -> Effective {
        Effective::new(1, serde_json::from_value(configuration).unwrap())
    }

    #[test]
    fn what_is_not_named_is_as_the_code_says() {
        let plain = effective(json!({ "retention": { "daily_days": 9 } }));
        assert_eq!(plain.policy("flow", &DEFAULT), DEFAULT);
        assert_eq!(plain.route("/flows", Some(&DEFAULT)), RouteSettings::default());
        let other = effective(json!({ "entries": { "user": { "ttl_seconds": 1 } } }));
        assert_eq!(other.policy("flow", &DEFAULT), DEFAULT);
    }

    #[test]
    fn what_is_named_replaces_that_and_nothing_else() {
        let named = effective(json!({ "entries": { "flow": { "ttl_seconds": 60, "mode": { "kind": "strict" } } } }));
        let expected = DEFAULT.mode(Mode::Strict).age_max(Duration::from_secs(60));
        assert_eq!(named.policy("flow", &DEFAULT), Policy { ttl: Duration::from_secs(60), ..expected });
        let named = effective(json!({ "endpoints": { "/flows": { "grace_seconds": 5 } } }));
        assert_eq!(named.route("/flows", Some(&DEFAULT)).policy, Some(DEFAULT.grace(Duration::from_secs(5))));
        assert_eq!(named.route("/flows", None), RouteSettings::default(), "of the service's lifetimes nothing changes");
        let own = effective(json!({ "endpoints": { "/flows": { "store": false } } })).route("/flows", None);
        assert_eq!(
            own,
            RouteSettings { uses_store: false, ..RouteSettings::default() },
            "who shares them is ours to say"
        );
    }

    #[test]
    fn off_everywhere_is_off_also_where_it_is_said_to_be_on() {
        let off = effective(json!({
            "switches": { "cache": false, "store": false, "headers": false },
            "entries": { "flow": { "cache": true, "store": true } },
            "endpoints": { "/flows": { "cache": true, "headers": true } },
        }));
        let policy = off.policy("flow", &DEFAULT);
        assert!(!policy.is_on && !policy.uses_store);
        assert!(!off.route("/flows", Some(&DEFAULT)).is_on && !off.route("/other", None).is_on);
        assert!(
            off.route("/flows", None).tells && !off.route("/other", None).tells,
            "headers of one route may be told"
        );
    }

    #[test]
    fn one_pattern_or_route_can_be_off_by_itself() {
        let one = effective(json!({
            "entries": { "flow": { "cache": false }, "user": { "store": false } },
            "endpoints": { "/flows": { "cache": false } },
        }));
        assert!(!one.policy("flow", &DEFAULT).is_on && one.policy("user", &DEFAULT).is_on);
        assert!(!one.policy("user", &DEFAULT).uses_store);
        assert!(!one.route("/flows", Some(&DEFAULT)).is_on && one.route("/other", Some(&DEFAULT)).is_on);
    }
}
