//! The platform's settings: the common ones and its own.

use unstale_server::{
    audit::AuditSettings,
    outbox::OutboxSettings,
    settings::{CommonSettings, Reader, Setting, SettingsError, Sources},
};

use crate::{auth::passwords::Cost, demo::Size, imports::Limits};

const IMPORT_BYTES_MAX: Setting<u64> =
    Setting::new("IMPORT_BYTES_MAX", "a number of bytes from 1024 to 268435456 (256 MiB)", |text| {
        text.parse().ok().filter(|bytes| (1024..=256 * 1024 * 1024).contains(bytes))
    });
const IMPORT_WORKERS: Setting<usize> = Setting::new("IMPORT_WORKERS", "a number from 1 to 16", |text| {
    text.parse().ok().filter(|workers| (1..=16).contains(workers))
});
const COOKIE_SECURE: Setting<bool> =
    Setting::new("COOKIE_SECURE", "true or false", unstale_server::settings::parse_bool);
const PASSWORD_COST: Setting<Cost> = Setting::new("PASSWORD_COST", "full or low", |text| match text {
    "full" => Some(Cost::Full),
    "low" => Some(Cost::Low),
    _ => None,
});

const DEMO_SIZE: Setting<Size> = Setting::new(
    "DEMO_SIZE",
    "organisations x clients of each x engagements of each x assets in all, such as 2x20x50x20000",
    Size::parse,
);

/// Everything that can be set.
#[derive(Clone, Debug)]
pub struct Settings {
    pub common: CommonSettings,
    /// `OUTBOX_…`: what is committed and maybe not announced yet.
    pub outbox: OutboxSettings,
    /// `IMPORT_BYTES_MAX`: the largest file that is taken; by default 256 MiB.
    pub import_bytes_max: u64,
    /// `IMPORT_WORKERS`: files that are read at once; by default 2.
    pub import_workers: usize,
    /// `COOKIE_SECURE`: whether browsers send the cookie over TLS only; by default not on a loopback address.
    pub cookie_secure: bool,
    /// `PASSWORD_COST`: `low` is for tests, on a loopback address only.
    pub password_cost: Cost,
    /// `AUDIT_…`: what is recorded, and how.
    pub audit: AuditSettings,
    /// `DEMO_SIZE`: how much data there is beside the demonstration's own; none by default, and without `DEMO`.
    pub demo_size: Option<Size>,
}

impl Settings {
    /// Reads them; every fault is told at once.
    pub fn read(sources: Sources) -> Result<Self, SettingsError> {
        let mut reader = Reader::new(sources);
        let common = CommonSettings::read(&mut reader);
        let is_local = common.listen_addr.ip().is_loopback();
        let password_cost = reader.read_or(&PASSWORD_COST, Cost::Full);
        if password_cost == Cost::Low && !is_local {
            reader.refuse(
                &PASSWORD_COST,
                "cheap password hashes are for tests on a loopback address; remove it, or set LISTEN_ADDR to one",
            );
        }
        let settings = Self {
            outbox: OutboxSettings::read(&mut reader),
            import_bytes_max: reader.read_or(&IMPORT_BYTES_MAX, Limits::default().file_bytes_max),
            import_workers: reader.read_or(&IMPORT_WORKERS, 2),
            cookie_secure: reader.read_or(&COOKIE_SECURE, !is_local),
            password_cost,
            audit: AuditSettings::read(&mut reader, &common.data_dir),
            demo_size: reader.read(&DEMO_SIZE),
            common,
        };
        reader.finish()?;
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(env: &[(&'static str, &'static str)]) -> Result<Settings, String> {
        Settings::read(Sources::default().with_env(env.iter().copied())).map_err(|error| error.to_string())
    }

    #[test]
    fn starts_without_any_setting_and_without_any_weakness() {
        let settings = read(&[]).unwrap();
        assert_eq!((settings.password_cost, settings.cookie_secure), (Cost::Full, false));
        assert!(read(&[("LISTEN_ADDR", "0.0.0.0:80")]).unwrap().cookie_secure);
    }

    #[test]
    fn cheap_hashes_are_refused_where_others_can_reach_them() {
        assert_eq!(read(&[("PASSWORD_COST", "low")]).unwrap().password_cost, Cost::Low);
        let told = read(&[("PASSWORD_COST", "low"), ("LISTEN_ADDR", "0.0.0.0:80")]).unwrap_err();
        assert!(told.contains("PASSWORD_COST (environment) is \"low\": cheap password hashes are for tests"), "{told}");
    }

    #[test]
    fn faults_name_the_setting_its_value_and_what_was_expected() {
        let told = read(&[("IMPORT_WORKERS", "0"), ("IMPORT_BYTES_MAX", "lots"), ("COOKIE_SECUER", "1")]).unwrap_err();
        assert!(told.contains("IMPORT_WORKERS (environment) is \"0\": expected a number from 1 to 16"), "{told}");
        assert!(told.contains("IMPORT_BYTES_MAX (environment) is \"lots\": expected a number of bytes"), "{told}");
        assert!(told.contains("did you mean COOKIE_SECURE?"), "{told}");
        let told = read(&[("DEMO_SIZE", "2x20x50")]).unwrap_err();
        assert!(told.contains("such as 2x20x50x20000"), "{told}");
    }

    #[test]
    fn no_secret_among_them_is_shown_whoever_prints_them() {
        const PLANTED: &str = "0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9";
        const DATABASE: &str = "postgres://app:0a1b2c3d4e5f6071@localhost/app";
        const REDIS: &str = "redis+sentinel://app:0a1b2c3d4e5f6071@localhost:26379/main";
        let sources = Sources::default().with_env([
            ("SEALING_KEY", PLANTED),
            ("DATABASE_URL", DATABASE),
            ("REDIS_URL", REDIS),
            ("REDIS_SENTINEL_USER", "node"),
            ("REDIS_SENTINEL_PASSWORD", PLANTED),
        ]);
        let shown = format!("{sources:?} {sources:#?}");
        let settings = Settings::read(sources).unwrap();
        let told = format!("{shown} {settings:?} {settings:#?} {:?}", settings.common);
        assert!(!told.contains("0a1b2c3d"), "{told}");
        assert!(told.contains("REDIS_SENTINEL_PASSWORD"), "names are no secret");
        let fault =
            read(&[("SEALING_KEY", "0a1b2c3d"), ("DATABASE_URL", "nosql://0a1b2c3d"), ("REDIS_URL", "x://0a1b2c3d")]);
        let told = fault.unwrap_err();
        assert!(!told.contains("0a1b2c3d"), "{told}");
    }
}
