//! What can be set.

use std::time::Duration;

use crate::settings::{Reader, Setting, parse_duration};

const OUTBOX_WINDOW: Setting<Duration> =
    Setting::new("OUTBOX_WINDOW", "0s to 24h: a whole number with its unit (s, m or h), such as 15m", |text| {
        parse_duration(text).filter(|window| *window <= Duration::from_secs(86_400))
    });
const OUTBOX_POLL: Setting<Duration> =
    Setting::new("OUTBOX_POLL", "20ms to 1m: a whole number with its unit (ms, s or m), such as 500ms", |text| {
        parse_duration(text).filter(|poll| (Duration::from_millis(20)..=Duration::from_secs(60)).contains(poll))
    });
const OUTBOX_GRACE: Setting<Duration> =
    Setting::new("OUTBOX_GRACE", "0ms to 1m: a whole number with its unit (ms, s or m), such as 2s", |text| {
        parse_duration(text).filter(|grace| *grace <= Duration::from_secs(60))
    });
const OUTBOX_ROWS_MAX: Setting<u32> = Setting::new("OUTBOX_ROWS_MAX", "a number from 1000 to 10000000", |text| {
    text.parse().ok().filter(|rows| (1_000..=10_000_000).contains(rows))
});

/// The limits of an outbox, each with its default.
#[derive(Clone, Copy, Debug)]
pub struct OutboxSettings {
    /// `OUTBOX_WINDOW`: how long what was published is kept, to be published again should the cache's store lose it;
    /// by default 15 minutes; `0s` keeps nothing.
    pub window: Duration,
    /// `OUTBOX_ROWS_MAX`: most published rows that are kept, whatever the window; by default 100,000.
    pub rows_max: u32,
    /// `OUTBOX_POLL`: how often the relay looks by itself; by default every 500 ms on `SQLite`, and every 5 s on
    /// PostgreSQL, which wakes it.
    pub poll: Option<Duration>,
    /// `OUTBOX_GRACE`: how long a writer has to publish its own rows before the relay does it; by default 2 s.
    pub grace: Duration,
    /// Rows that a relay takes at once.
    pub batch_rows: u32,
    /// How long a relay on PostgreSQL may hold rows without a word to the database: then that gives them to others, and ends
    /// the relay's session. It publishes for half of that at most, before it marks what it has done.
    pub held_max: Duration,
    /// The longest wait of a relay while the cache's store is away.
    pub backoff_max: Duration,
    /// Rows published by writers that wait to be marked so; beyond it the relay finds and publishes them once more.
    pub marks_max: usize,
    /// How often they are marked.
    pub mark_every: Duration,
    /// Omissions that are remembered, the newest.
    pub omissions_max: usize,
}

impl Default for OutboxSettings {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(15 * 60),
            rows_max: 100_000,
            poll: None,
            grace: Duration::from_secs(2),
            batch_rows: 256,
            held_max: Duration::from_secs(60),
            backoff_max: Duration::from_secs(30),
            marks_max: 8192,
            mark_every: Duration::from_millis(100),
            omissions_max: 100,
        }
    }
}

impl OutboxSettings {
    /// Reads them; faults stay with the reader, whose [`finish`](Reader::finish) the application calls.
    pub fn read(reader: &mut Reader) -> Self {
        let default = Self::default();
        Self {
            window: reader.read_or(&OUTBOX_WINDOW, default.window),
            rows_max: reader.read_or(&OUTBOX_ROWS_MAX, default.rows_max),
            poll: reader.read(&OUTBOX_POLL),
            grace: reader.read_or(&OUTBOX_GRACE, default.grace),
            ..default
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Sources;

    fn read(env: &[(&'static str, &'static str)]) -> Result<OutboxSettings, String> {
        let mut reader = Reader::new(Sources::default().with_env(env.iter().copied()));
        let settings = OutboxSettings::read(&mut reader);
        reader.finish().map(|()| settings).map_err(|error| error.to_string())
    }

    #[test]
    fn each_has_a_default_and_bounds() {
        assert_eq!(read(&[]).unwrap().window, Duration::from_secs(900));
        assert_eq!(read(&[("OUTBOX_POLL", "50ms")]).unwrap().poll, Some(Duration::from_millis(50)));
        for (name, value) in
            [("OUTBOX_WINDOW", "2d"), ("OUTBOX_POLL", "1ms"), ("OUTBOX_GRACE", "2m"), ("OUTBOX_ROWS_MAX", "9")]
        {
            assert!(read(&[(name, value)]).unwrap_err().contains("expected"), "{name}={value}");
        }
    }
}
