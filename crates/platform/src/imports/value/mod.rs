//! What a single value looks like: the kinds it could be, all at once.
//!
//! A value may be several kinds (`1` is an integer, a decimal, a percentage and a boolean). Which
//! one a column is, the shares over all its values tell.

mod number;
mod shapes;
mod words;

use std::ops::RangeInclusive;

use number::parse_number;
use shapes::{every_part, is_date, is_fqdn, is_hostname, is_ip, is_mac, is_uuid};
use words::{
    is_architecture, is_asset_type, is_boot_type, is_criticality, is_environment, is_power_state, names_hypervisor,
    names_os, strip_rank,
};

/// Kinds that are evidence for a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ValueKind {
    Ip,
    Mac,
    Uuid,
    Integer,
    Decimal,
    Percent,
    MemoryMb,
    MemoryGb,
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
    pub(super) const COUNT: usize = 19;

    pub(super) const ALL: [Self; Self::COUNT] = [
        Self::Ip,
        Self::Mac,
        Self::Uuid,
        Self::Integer,
        Self::Decimal,
        Self::Percent,
        Self::MemoryMb,
        Self::MemoryGb,
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
            Self::MemoryMb => "sizes of memory in MB",
            Self::MemoryGb => "sizes of memory in GB",
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
pub(crate) struct Kinds(u32);

impl Kinds {
    fn with(self, kind: ValueKind) -> Self {
        Self(self.0 | 1 << kind as u32)
    }

    fn with_if(self, kind: ValueKind, holds: bool) -> Self {
        if holds { self.with(kind) } else { self }
    }

    pub(crate) fn contains(self, kind: ValueKind) -> bool {
        self.0 & 1 << kind as u32 != 0
    }
}

/// Longer values are prose; looking into them tells nothing.
const CLASSIFIED_BYTES_MAX: usize = 200;

/// Memory that machines have, so that GB and bytes are told from MB where the header does not say.
const MEMORY_MB: RangeInclusive<f64> = 128.0..=50_000_000.0;
const MEMORY_GB: RangeInclusive<f64> = 0.1..=4096.0;

/// The kinds `value` could be; it is trimmed and not empty.
pub(crate) fn classify(value: &str) -> Kinds {
    let none = Kinds::default();
    if value.len() > CLASSIFIED_BYTES_MAX {
        return none;
    }
    if let Some(number) = parse_number(value) {
        return none
            .with_if(ValueKind::Integer, number.is_integer)
            .with_if(ValueKind::Decimal, !number.has_percent_sign)
            .with_if(ValueKind::Percent, (0.0..=100.0).contains(&number.value))
            .with_if(ValueKind::MemoryMb, !number.has_percent_sign && MEMORY_MB.contains(&number.value))
            .with_if(ValueKind::MemoryGb, !number.has_percent_sign && MEMORY_GB.contains(&number.value));
    }
    let digits = value.bytes().filter(u8::is_ascii_digit).count();
    let has_letter = value.bytes().any(|byte| byte.is_ascii_alphabetic());
    if digits > 0 || value.contains(':') {
        if every_part(value, is_ip) {
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
        .with_if(ValueKind::BootType, is_boot_type(word))
        .with_if(ValueKind::PowerState, is_power_state(word))
        .with_if(ValueKind::AssetType, is_asset_type(word))
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
        use ValueKind::{Decimal, Integer, MemoryGb, MemoryMb, Percent};
        check("42", &[Integer, Decimal, Percent, MemoryGb]);
        check("4.00", &[Integer, Decimal, Percent, MemoryGb]);
        check("16384", &[Integer, Decimal, MemoryMb]);
        check("-5", &[Integer, Decimal]);
        check("1,5", &[Decimal, Percent, MemoryGb]);
        check("1.024,50", &[Decimal, MemoryMb, MemoryGb]);
        check("1,024,000", &[Integer, Decimal, MemoryMb]);
        check("12 %", &[Percent]);
        check("10.0.14393", &[]);
    }

    #[test]
    fn addresses_alone_and_in_lists() {
        check("10.0.0.1", &[ValueKind::Ip]);
        check("fe80::1; 10.0.0.2", &[ValueKind::Ip]);
        check("10.60.2.11/24", &[ValueKind::Ip]);
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
        check("HYPERV01", &[Hostname]);
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
