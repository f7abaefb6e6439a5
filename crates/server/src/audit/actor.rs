//! Who acts: carried with a request, so that what it changes is recorded as theirs.

use std::sync::Arc;

use http::{HeaderMap, HeaderName};

use super::record::{Entry, Operation, Outcome};

/// The header by which an agent says what it is.
const AGENT: HeaderName = HeaderName::from_static("x-agent");
/// Longest name of an agent, in bytes.
const AGENT_BYTES_MAX: usize = 64;

tokio::task_local! {
    static ACTOR: Actor;
}

/// Who acts, as it was verified, and by which agent, as the caller said it. The default is the installation itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Actor {
    /// The principal; empty for what nobody asked for.
    pub principal: Arc<str>,
    /// The agent; empty for none.
    pub agent: Arc<str>,
    /// The trace; zero for that of the request that runs.
    pub trace: u128,
}

impl Actor {
    /// A principal.
    pub fn new(principal: impl Into<Arc<str>>) -> Self {
        Self { principal: principal.into(), ..Self::default() }
    }

    /// With the agent that a request names.
    #[must_use]
    pub fn by(mut self, headers: &HeaderMap) -> Self {
        if let Some(agent) = agent_of(headers) {
            self.agent = agent.into();
        }
        self
    }

    /// Who acts now: whom [`scope`](Self::scope) says, or the installation itself.
    pub fn current() -> Self {
        let actor = ACTOR.try_with(Clone::clone).unwrap_or_default();
        let trace = if actor.trace == 0 { crate::telemetry::current_trace().unwrap_or_default() } else { actor.trace };
        Self { trace, ..actor }
    }

    /// Runs a future in which this is who acts.
    pub async fn scope<F: Future>(self, future: F) -> F::Output {
        ACTOR.scope(self, future).await
    }

    /// The beginning of a record of theirs.
    pub fn entry<'a>(&'a self, tenant: &'a str, operation: Operation, outcome: Outcome) -> Entry<'a> {
        Entry {
            principal: &self.principal,
            agent: &self.agent,
            trace: self.trace,
            ..Entry::new(tenant, operation, outcome)
        }
    }
}

/// The agent that a request names: a short word. Nobody verifies it.
pub fn agent_of(headers: &HeaderMap) -> Option<&str> {
    let agent = headers.get(AGENT)?.to_str().ok()?;
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    ((1..=AGENT_BYTES_MAX).contains(&agent.len()) && agent.bytes().all(is_word)).then_some(agent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_is_a_word() {
        let agent = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(AGENT, http::HeaderValue::from_static(text));
            agent_of(&headers).map(str::to_owned)
        };
        assert_eq!(agent("mapping_agent").as_deref(), Some("mapping_agent"));
        for bad in ["", "two words", "=cmd()", "a,b"] {
            assert_eq!(agent(bad), None, "{bad}");
        }
        assert_eq!(agent_of(&HeaderMap::new()), None);
    }

    #[tokio::test]
    async fn who_acts_is_whom_the_scope_says_and_else_the_installation() {
        assert_eq!(Actor::current(), Actor::default());
        let ada = Actor::new("ada");
        assert_eq!(ada.clone().scope(async { Actor::current() }).await, ada);
    }
}
