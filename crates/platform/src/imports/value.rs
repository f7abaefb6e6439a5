//! What a single value looks like: the kinds it could be, all at once.
//!
//! A value may be several kinds (`1` is an integer, a decimal, a percentage and a boolean). Which
//! one a column is, the shares over all its values tell.

use std::net::IpAddr;

/// Kinds that are evidence for a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ValueKind {
    Ip,
    Mac,
    Uuid,
    Integer,
    Decimal,
    Percent,
    Date,
    OsName,
    Fqdn,
    Hostname,
    Environment,
    Criticality,
    Architecture,
    Hypervisor,
    BootType,
    PowerState,
    AssetType,
}

impl ValueKind {
    pub(super) const COUNT: usize = 17;

    pub(super) const ALL: [Self; Self::COUNT] = [
        Self::Ip,
        Self::Mac,
        Self::Uuid,
        Self::Integer,
        Self::Decimal,
        Self::Percent,
        Self::Date,
        Self::OsName,
        Self::Fqdn,
        Self::Hostname,
        Self::Environment,
        Self::Criticality,
        Self::Architecture,
        Self::Hypervisor,
        Self::BootType,
        Self::PowerState,
        Self::AssetType,
    ];

    /// For reasons: “99 % of 20,000 values are …”.
    pub(super) fn plural(self) -> &'static str {
        match self {
            Self::Ip => "IP addresses",
            Self::Mac => "MAC addresses",
            Self::Uuid => "UUIDs",
            Self::Integer => "integers",
            Self::Decimal => "numbers",
            Self::Percent => "numbers from 0 to 100",
            Self::Date => "dates",
            Self::OsName => "operating systems",
            Self::Fqdn => "names with a domain",
            Self::Hostname => "host names",
            Self::Environment => "environments",
            Self::Criticality => "levels of criticality",
            Self::Architecture => "architectures",
            Self::Hypervisor => "hypervisors",
            Self::BootType => "boot types",
            Self::PowerState => "power states",
            Self::AssetType => "types of asset",
        }
    }
}

/// A set of kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Kinds(u32);

impl Kinds {
    fn with(self, kind: ValueKind) -> Self {
        Self(self.0 | 1 << kind as u32)
    }

    fn with_if(self, kind: ValueKind, holds: bool) -> Self {
        if holds { self.with(kind) } else { self }
    }

    pub(super) fn contains(self, kind: ValueKind) -> bool {
        self.0 & 1 << kind as u32 != 0
    }
}

/// Longer values are prose; looking into them tells nothing.
const CLASSIFIED_BYTES_MAX: usize = 200;

/// The kinds `value` could be; it is trimmed and not empty.
pub(super) fn classify(value: &str) -> Kinds {
    let none = Kinds::default();
    if value.len() > CLASSIFIED_BYTES_MAX {
        return none;
    }
    if let Some(number) = parse_number(value) {
        return none
            .with_if(ValueKind::Integer, number.is_integer)
            .with_if(ValueKind::Decimal, !number.has_percent_sign)
            .with_if(ValueKind::Percent, (0.0..=100.0).contains(&number.value));
    }
    let digits = value.bytes().filter(u8::is_ascii_digit).count();
    let has_letter = value.bytes().any(|byte| byte.is_ascii_alphabetic());
    if digits > 0 || value.contains(':') {
        if every_part(value, |part| part.parse::<IpAddr>().is_ok()) {
            return none.with(ValueKind::Ip);
        }
        if every_part(value, is_mac) {
            return none.with(ValueKind::Mac);
        }
        if is_uuid(value) {
            return none.with(ValueKind::Uuid);
        }
        if is_date(value) {
            return none.with(ValueKind::Date);
        }
    }
    if !has_letter {
        return none;
    }
    let lower = value.to_lowercase();
    let word = strip_rank(&lower);
    none.with_if(ValueKind::Fqdn, is_fqdn(value))
        .with_if(ValueKind::Hostname, is_hostname(value))
        .with_if(ValueKind::OsName, names_os(&lower))
        .with_if(ValueKind::Environment, is_environment(word))
        .with_if(ValueKind::Criticality, is_criticality(word))
        .with_if(ValueKind::Architecture, is_architecture(&lower))
        .with_if(ValueKind::Hypervisor, names_hypervisor(&lower))
        .with_if(ValueKind::BootType, matches!(word, "bios" | "uefi" | "efi" | "legacy" | "legacy bios"))
        .with_if(ValueKind::PowerState, is_power_state(word))
        .with_if(ValueKind::AssetType, is_asset_type(word))
}

struct Number {
    value: f64,
    is_integer: bool,
    has_percent_sign: bool,
}

/// Numbers as exports write them: `4096`, `-1.5`, `1,5`, `1.024,00`, `12 %`.
fn parse_number(text: &str) -> Option<Number> {
    let digits = text.strip_suffix('%').map_or(text, str::trim_end);
    let unsigned = digits.strip_prefix(['-', '+']).unwrap_or(digits);
    if unsigned.len() > 24 || !unsigned.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    if !unsigned.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b',')) {
        return None;
    }
    let has_percent_sign = digits.len() < text.len();
    // The last separator is the decimal one, unless the same stands before it (`1,024,000`).
    let separators = unsigned.bytes().filter(|byte| !byte.is_ascii_digit()).count();
    let last = unsigned.rfind(['.', ',']);
    let (whole, fraction) = match last {
        None => (unsigned, ""),
        Some(at) if separators == 1 || !unsigned[..at].contains(&unsigned[at..=at]) => {
            (&unsigned[..at], &unsigned[at + 1..])
        }
        Some(_) => (unsigned, ""),
    };
    let mut groups = whole.split(['.', ',']);
    let leading = groups.next().unwrap_or_default().len();
    let grouped = whole.len() > leading;
    if grouped && (leading > 3 || groups.any(|group| group.len() != 3)) {
        return None; // An IP address, a version.
    }
    let plain: String = whole.chars().filter(char::is_ascii_digit).collect();
    let sign = if digits.starts_with('-') { "-" } else { "" };
    Some(Number {
        value: format!("{sign}{plain}.{fraction}").parse().ok()?,
        is_integer: fraction.is_empty() && !has_percent_sign && last != Some(unsigned.len() - 1),
        has_percent_sign,
    })
}

/// Lists hold several addresses in one cell: every one must be good.
fn every_part(value: &str, is_good: impl Fn(&str) -> bool) -> bool {
    let mut parts = value
        .split(|c: char| matches!(c, ',' | ';' | '|') || c.is_whitespace())
        .filter(|part| !part.is_empty())
        .peekable();
    parts.peek().is_some() && parts.all(is_good)
}

fn is_mac(text: &str) -> bool {
    let grouped = |separator: char, groups: usize, length: usize| {
        text.split(separator).count() == groups
            && text
                .split(separator)
                .all(|group| group.len() == length && group.bytes().all(|byte| byte.is_ascii_hexdigit()))
    };
    match text.len() {
        17 => grouped(':', 6, 2) || grouped('-', 6, 2),
        14 => grouped('.', 3, 4),
        _ => false,
    }
}

fn is_uuid(text: &str) -> bool {
    let text = text.trim_start_matches('{').trim_end_matches('}');
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// `2026-11-20`, `20.11.2026`, `11/20/2026`, `20-Nov-2026`, each with or without a time.
fn is_date(text: &str) -> bool {
    let day = text.split([' ', 'T']).next().unwrap_or_default();
    let Some(separator) = day.chars().find(|c| matches!(c, '-' | '.' | '/')) else {
        return false;
    };
    let mut parts = day.split(separator);
    let (Some(a), Some(b), Some(c), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let number = |part: &str, digits: std::ops::RangeInclusive<usize>, max: u32| {
        digits.contains(&part.len()) && part.parse::<u32>().is_ok_and(|number| (1..=max).contains(&number))
    };
    let year = |part: &str| number(part, 4..=4, 2999) && part >= "1900" || separator != '.' && number(part, 2..=2, 99);
    let month = |part: &str| number(part, 1..=2, 12) || is_month_name(part);
    let in_month = |part: &str| number(part, 1..=2, 31);
    let year_first = a.len() == 4 && year(a) && month(b) && in_month(c);
    let year_last = year(c) && (month(b) && in_month(a) || separator == '/' && month(a) && in_month(b));
    year_first || year_last
}

fn is_month_name(part: &str) -> bool {
    const MONTHS: [&str; 15] = [
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec", "mai", "okt", "dez",
    ];
    part.is_ascii() && part.len() >= 3 && MONTHS.contains(&part[..3].to_ascii_lowercase().as_str())
}

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

fn is_fqdn(text: &str) -> bool {
    let top = text.rsplit('.').next().unwrap_or_default();
    text.contains('.') && text.split('.').all(is_label) && top.len() >= 2 && top.bytes().all(|b| b.is_ascii_alphabetic())
}

/// One label that no ordinary word is: it has a digit or a hyphen in it.
fn is_hostname(text: &str) -> bool {
    is_label(text)
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().any(|byte| byte.is_ascii_digit() || byte == b'-')
}

fn names_os(lower: &str) -> bool {
    lower.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| {
        matches!(
            word,
            "windows" | "linux" | "ubuntu" | "debian" | "redhat" | "rhel" | "centos" | "suse" | "sles" | "opensuse"
                | "aix" | "solaris" | "sunos" | "hpux" | "freebsd" | "openbsd" | "macos" | "rocky" | "almalinux"
                | "fedora" | "esxi" | "win2k" | "win2012" | "win2016" | "win2019" | "win2022" | "vms" | "photon"
        )
    }) || lower.contains("red hat")
        || lower.contains("hp-ux")
}

/// `1 - critical`, `p1: high` → what stands behind the rank.
fn strip_rank(lower: &str) -> &str {
    let rest = lower.trim_start_matches(|c: char| c.is_ascii_digit());
    let rest = if rest.len() < lower.len() { rest.trim_start_matches([' ', '-', ':', '.']) } else { rest };
    if rest.is_empty() { lower } else { rest }
}

fn is_environment(word: &str) -> bool {
    matches!(
        word,
        "prod" | "prd" | "production" | "produktion" | "produktiv" | "dev" | "development" | "entwicklung" | "test"
            | "testing" | "tst" | "qa" | "quality assurance" | "uat" | "acceptance" | "abnahme" | "stage" | "staging"
            | "stg" | "preprod" | "pre-prod" | "pre-production" | "preproduction" | "integration" | "int" | "sandbox"
            | "dr" | "disaster recovery" | "non-production" | "nonprod" | "non-prod" | "training" | "schulung"
            | "demo" | "lab"
    )
}

fn is_criticality(word: &str) -> bool {
    matches!(
        word,
        "critical" | "most critical" | "somewhat critical" | "less critical" | "not critical" | "non-critical"
            | "mission critical" | "business critical" | "high" | "very high" | "medium" | "low" | "none" | "kritisch"
            | "hoch" | "sehr hoch" | "mittel" | "normal" | "niedrig" | "gering" | "gold" | "silver" | "bronze"
    ) || word
        .strip_prefix("tier")
        .or_else(|| word.strip_prefix('p'))
        .is_some_and(|rank| matches!(rank.trim_start_matches([' ', '-']), "0" | "1" | "2" | "3" | "4" | "5"))
}

fn is_architecture(lower: &str) -> bool {
    matches!(
        lower,
        "x86_64" | "x86-64" | "amd64" | "x64" | "x86" | "i386" | "i686" | "arm64" | "aarch64" | "64-bit" | "32-bit"
            | "64 bit" | "32 bit" | "64bit" | "32bit" | "ppc64" | "ppc64le" | "s390x" | "sparc" | "x64-based pc"
            | "ia64" | "power"
    )
}

fn names_hypervisor(lower: &str) -> bool {
    ["vmware", "hyper-v", "hyperv", "kvm", "xen", "proxmox", "nutanix", "ahv", "virtualbox", "qemu", "esx"]
        .iter()
        .any(|name| lower.starts_with(name))
}

fn is_power_state(word: &str) -> bool {
    matches!(
        word,
        "poweredon" | "poweredoff" | "powered on" | "powered off" | "on" | "off" | "running" | "stopped" | "suspended"
            | "shut down" | "up" | "down"
    )
}

fn is_asset_type(word: &str) -> bool {
    matches!(
        word,
        "server" | "physical" | "physical server" | "virtual" | "virtual machine" | "virtual server" | "vm"
            | "physical machine" | "database" | "application" | "network device" | "router" | "switch" | "firewall"
            | "storage" | "appliance" | "container" | "host" | "workstation" | "desktop" | "laptop" | "notebook"
            | "client" | "linux server" | "windows server" | "virtueller server" | "physischer server"
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(value: &str, expected: &[ValueKind]) {
        let kinds = classify(value);
        let got: Vec<ValueKind> = ValueKind::ALL.into_iter().filter(|&kind| kinds.contains(kind)).collect();
        assert_eq!(got, expected, "{value:?}");
    }

    #[test]
    fn numbers_as_exports_write_them() {
        use ValueKind::{Decimal, Integer, Percent};
        check("42", &[Integer, Decimal, Percent]);
        check("16384", &[Integer, Decimal]);
        check("-5", &[Integer, Decimal]);
        check("1,5", &[Decimal, Percent]);
        check("1.024,50", &[Decimal]);
        check("1,024,000", &[Integer, Decimal]);
        check("12 %", &[Percent]);
        check("10.0.14393", &[]);
    }

    #[test]
    fn addresses_alone_and_in_lists() {
        check("10.0.0.1", &[ValueKind::Ip]);
        check("fe80::1; 10.0.0.2", &[ValueKind::Ip]);
        check("10.0.0.256", &[]);
        check("00:50:56:AB:cd:01", &[ValueKind::Mac]);
        check("00-50-56-ab-cd-01,00-50-56-ab-cd-02", &[ValueKind::Mac]);
        check("0050.56ab.cd01", &[ValueKind::Mac]);
        check("4c4c4544-0042-3510-8054-b7c04f4e5a31", &[ValueKind::Uuid]);
    }

    #[test]
    fn dates_of_both_sides_of_the_ocean() {
        for date in ["2026-11-20", "2026-11-20T18:00:00Z", "20.11.2026 18:00", "11/20/2026", "20-Nov-2026", "3/1/26"] {
            check(date, &[ValueKind::Date]);
        }
        check("99.99.2026", &[]);
        check("6.2.9200", &[]);
    }

    #[test]
    fn names_and_words() {
        use ValueKind::{AssetType, Criticality, Environment, Fqdn, Hostname, Hypervisor, OsName};
        check("web01.corp.example.com", &[Fqdn]);
        check("SRV-DB-01", &[Hostname]);
        check("Windows Server 2019 Datacenter", &[OsName]);
        check("Red Hat Enterprise Linux 8.6", &[OsName]);
        check("Produktion", &[Environment]);
        check("1 - most critical", &[Criticality]);
        check("Tier 2", &[Criticality]);
        check("VMware ESXi, 7.0", &[OsName, Hypervisor]);
        check("Virtual Machine", &[AssetType]);
        check("Payroll", &[]);
    }

    proptest! {
        #[test]
        fn any_text_is_classified_without_panic(value in "\\PC{1,60}") {
            classify(value.trim());
        }

        #[test]
        fn every_integer_is_one(number in any::<i64>()) {
            prop_assert!(classify(&number.to_string()).contains(ValueKind::Integer));
        }
    }
}
