//! What gives an attribute away: phrases of its column names and the look of its values.
//!
//! Phrases are written in the canonical words of [`vocabulary`](super::vocabulary), so one phrase
//! covers every spelling, abbreviation and language the vocabulary knows.

use super::value::ValueKind;

/// What is known about the columns of one attribute.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clues {
    pub(super) target: &'static str,
    /// Each a possible column name, best first.
    pub(super) phrases: &'static [&'static str],
    pub(super) values: Look,
}

impl Clues {
    pub(super) fn identifies(&self) -> bool {
        identifies(self.target)
    }
}

/// Whether the values of an attribute tell one asset from another, so that they hardly repeat.
pub(crate) fn identifies(target: &str) -> bool {
    matches!(
        target,
        "name"
            | "hostname"
            | "fqdn"
            | "ip_address"
            | "mac_address"
            | "vm_id"
            | "smbios_uuid"
            | "external_id"
            | "serial_number"
    )
}

/// What the values must look like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Look {
    /// Of this kind; other values speak against the target. `alone` is the confidence that such
    /// values give on their own, whatever the column is called.
    Must { kind: ValueKind, alone: f64 },
    /// Often of this kind, but any text is possible.
    Often { kind: ValueKind, alone: f64 },
    /// Any text that is not plainly something else (an address, a date, a number).
    Prose,
    /// Anything: identifiers and versions look like everything.
    Any,
}

const fn must(kind: ValueKind) -> Look {
    Must { kind, alone: 0.0 }
}

const fn often(kind: ValueKind, alone: f64) -> Look {
    Look::Often { kind, alone }
}

use Look::{Any, Must, Prose};
use ValueKind as Kind;

pub(super) const CLUES: &[Clues] = &[
    clues("name", &["machine name", "name", "machine", "external name"], Any),
    clues("hostname", &["host name", "host"], often(Kind::Hostname, 0.3)),
    clues("fqdn", &["fqdn", "dns name", "dns", "dns host name", "fqdn name"], often(Kind::Fqdn, 0.5)),
    clues(
        "ip_address",
        &["ip address", "ip", "primary ip address", "network address", "address"],
        Must { kind: Kind::Ip, alone: 0.6 },
    ),
    clues("mac_address", &["mac address", "mac"], Must { kind: Kind::Mac, alone: 0.65 }),
    clues("asset_type", &["machine type", "type", "external type"], often(Kind::AssetType, 0.45)),
    clues(
        "operating_system",
        &["os", "os name", "operating machine", "operating machine name"],
        often(Kind::OsName, 0.55),
    ),
    clues("os_version", &["os version", "operating machine version", "os name version"], Any),
    clues(
        "os_architecture",
        &["os architecture", "architecture", "machine architecture", "cpu architecture", "os type bit"],
        often(Kind::Architecture, 0.5),
    ),
    clues("cpu_cores", &["cpu core", "core", "core count", "cpu", "cpu core count", "cpu count"], must(Kind::Integer)),
    clues(
        "cpu_sockets",
        &["cpu socket", "socket", "socket count", "cpu socket count", "cpu", "cpu count"],
        must(Kind::Integer),
    ),
    clues(
        "cpu_logical_cores",
        &["logical cpu", "logical core", "cpu logical core", "logical cpu count"],
        must(Kind::Integer),
    ),
    clues("cpu_model", &["cpu model", "cpu type", "cpu name"], Prose),
    clues(
        "memory_mb",
        &["memory mb", "memory size mb", "memory total mb", "memory", "memory size"],
        must(Kind::MemoryMb),
    ),
    clues("memory_gb", &["memory gb", "memory size gb", "memory total gb", "memory"], must(Kind::MemoryGb)),
    clues("memory_used_mb", &["memory used mb", "memory used mb average"], must(Kind::Decimal)),
    clues("memory_used_max_mb", &["memory used mb max"], must(Kind::Decimal)),
    clues(
        "storage_total_gb",
        &[
            "storage total gb",
            "storage gb",
            "disk total gb",
            "disk size total gb",
            "disk space",
            "disk space gb",
            "disk space total gb",
            "storage",
        ],
        must(Kind::Decimal),
    ),
    clues(
        "storage_used_gb",
        &["storage used gb", "disk used gb", "disk size used gb", "storage used"],
        must(Kind::Decimal),
    ),
    clues("disk_count", &["disk count", "disk"], must(Kind::Integer)),
    clues("disk_size_gb", &["disk 1 size gb", "disk size gb", "disk size", "disk gb"], must(Kind::Decimal)),
    clues("disk_read_mbps", &["disk read throughput", "disk 1 read throughput mb"], must(Kind::Decimal)),
    clues("disk_write_mbps", &["disk write throughput", "disk 1 write throughput mb"], must(Kind::Decimal)),
    clues("disk_read_iops", &["disk read iops", "read iops"], must(Kind::Decimal)),
    clues("disk_write_iops", &["disk write iops", "write iops"], must(Kind::Decimal)),
    clues(
        "cpu_utilization_percent",
        &["cpu used percent", "cpu used", "cpu used percent average", "cpu percent"],
        must(Kind::Percent),
    ),
    clues("cpu_utilization_max_percent", &["cpu used percent max", "cpu used max"], must(Kind::Percent)),
    clues(
        "memory_utilization_percent",
        &["memory used percent", "memory used", "memory used percent average", "memory percent"],
        must(Kind::Percent),
    ),
    clues("network_adapters", &["network adapter", "network adapter count"], must(Kind::Integer)),
    clues(
        "network_in_mbps",
        &["network inbound", "network inbound throughput", "network read throughput"],
        must(Kind::Decimal),
    ),
    clues(
        "network_out_mbps",
        &["network outbound", "network outbound throughput", "network write throughput"],
        must(Kind::Decimal),
    ),
    clues("hypervisor", &["hypervisor", "hypervisor type"], often(Kind::Hypervisor, 0.5)),
    clues("boot_type", &["boot", "boot type"], often(Kind::BootType, 0.5)),
    clues("power_state", &["power status", "power"], often(Kind::PowerState, 0.45)),
    clues("vm_id", &["machine id", "moref", "machine moref id", "machine uuid"], Any),
    clues("cluster", &["cluster", "cluster name"], Prose),
    clues("application_name", &["application name", "application", "business application"], Prose),
    clues("environment", &["environment", "environment type", "machine environment"], often(Kind::Environment, 0.55)),
    clues(
        "criticality",
        &["criticality", "business criticality", "application criticality"],
        often(Kind::Criticality, 0.45),
    ),
    clues("business_owner", &["business owner", "owner", "application owner", "department owner", "owner name"], Prose),
    clues(
        "technical_owner",
        &[
            "technical owner",
            "managed",
            "technical group",
            "machine owner",
            "managed group",
            "owner group",
            "technical",
        ],
        Prose,
    ),
    clues("department", &["department", "business department", "cost center", "cost", "department name"], Any),
    clues("location", &["location", "location name", "machine location"], Prose),
    clues("datacenter", &["datacenter", "data center", "datacenter name"], Prose),
    clues("migration_wave", &["migration wave", "wave", "application wave", "migration phase"], Any),
    clues("external_id", &["external id", "machine tag", "external tag", "external machine id", "external", "id"], Any),
    clues("smbios_uuid", &["bios uuid", "machine bios uuid", "uuid", "bios id"], often(Kind::Uuid, 0.45)),
    clues("serial_number", &["serial id", "serial", "machine serial id", "bios serial id"], Any),
    clues("manufacturer", &["manufacturer", "manufacturer name"], Prose),
    clues("model", &["model", "model name", "machine model", "model id"], Prose),
    clues("status", &["status", "operating status", "machine status"], Prose),
    clues("description", &["description", "machine description", "short description"], Any),
    clues("tags", &["tags"], Any),
    clues("last_seen", &["latest seen", "seen", "latest seen date", "seen date"], must(Kind::Date)),
];

const fn clues(target: &'static str, phrases: &'static [&'static str], values: Look) -> Clues {
    Clues { target, phrases, values }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imports::{targets, vocabulary};

    #[test]
    fn every_attribute_has_clues_in_the_same_order() {
        let with_clues: Vec<&str> = CLUES.iter().map(|clues| clues.target).collect();
        let all: Vec<&str> = targets::all().iter().map(|target| target.name).collect();
        assert_eq!(with_clues, all);
    }

    /// A phrase the vocabulary would rewrite could never be matched.
    #[test]
    fn phrases_are_canonical() {
        for phrase in CLUES.iter().flat_map(|clues| clues.phrases) {
            assert_eq!(vocabulary::words(phrase).join(" "), *phrase);
        }
    }
}
