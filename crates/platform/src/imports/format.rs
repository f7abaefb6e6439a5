//! Recognises the exports of known tools by their column names.
//!
//! Order, case, spaces and the `*` of required columns do not matter, and columns may be missing or
//! added: people trim exports before they upload them. Enough of the names must be there, and one
//! that no other tool writes.

use std::collections::HashSet;

/// Where a file comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SourceFormat {
    AzureMigrate,
    AwsMigrationHub,
    Unknown,
}

/// What a column is in a known export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Somebody added it, or the format is not known.
    NotOfFormat,
    /// A column of the format that has no counterpart among the targets.
    NoTarget,
    Target(&'static str),
}

/// Column names of a format and the targets they mean.
type Columns = &'static [(&'static str, Option<&'static str>)];

/// Names a file needs at least before it is taken for a known export.
const MATCHES_MIN: usize = 4;

impl SourceFormat {
    /// The name as it stands in the API (`Import.format`).
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::AzureMigrate => "azure_migrate",
            Self::AwsMigrationHub => "aws_migration_hub",
            Self::Unknown => "unknown",
        }
    }

    /// For people.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::AzureMigrate => "Azure Migrate",
            Self::AwsMigrationHub => "AWS Migration Hub",
            Self::Unknown => "unknown",
        }
    }

    /// Half of the columns must be known ones, one of them unmistakable.
    pub(crate) fn recognise(headers: &[String]) -> Self {
        let names: HashSet<String> = headers.iter().map(|header| normalise(header)).collect();
        let fits = |format: Self, marks: &[&str]| {
            let known = format.columns();
            let matches = known.iter().filter(|(name, _)| names.contains(&normalise(name))).count();
            let marked = marks.iter().any(|mark| names.contains(&normalise(mark)));
            marked && matches >= MATCHES_MIN && matches * 2 >= names.len()
        };
        if fits(Self::AzureMigrate, &["Memory (In MB)", "Storage in use (In GB)", "Disk 1 size (In GB)"]) {
            Self::AzureMigrate
        } else if fits(Self::AwsMigrationHub, &["SMBiosId", "VMware.MoRefId", "RAM.TotalSizeInMB"]) {
            Self::AwsMigrationHub
        } else {
            Self::Unknown
        }
    }

    /// What `header` means in this format.
    pub(super) fn meaning_of(self, header: &str) -> Meaning {
        let wanted = normalise(header);
        self.columns()
            .iter()
            .find(|(name, _)| normalise(name) == wanted)
            .map_or(Meaning::NotOfFormat, |&(_, target)| target.map_or(Meaning::NoTarget, Meaning::Target))
    }

    fn columns(self) -> Columns {
        match self {
            Self::AzureMigrate => AZURE_MIGRATE,
            Self::AwsMigrationHub => AWS_MIGRATION_HUB,
            Self::Unknown => &[],
        }
    }
}

/// Letters and digits only, lower case.
fn normalise(header: &str) -> String {
    header.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

const AZURE_MIGRATE: Columns = &[
    ("Server name", Some("name")),
    ("IP addresses", Some("ip_address")),
    ("Cores", Some("cpu_cores")),
    ("Memory (In MB)", Some("memory_mb")),
    ("OS name", Some("operating_system")),
    ("OS version", Some("os_version")),
    ("OS architecture", Some("os_architecture")),
    ("Server type", Some("asset_type")),
    ("Hypervisor", Some("hypervisor")),
    ("CPU utilization percentage", Some("cpu_utilization_percent")),
    ("Memory utilization percentage", Some("memory_utilization_percent")),
    ("Network adapters", Some("network_adapters")),
    ("Network In throughput", Some("network_in_mbps")),
    ("Network Out throughput", Some("network_out_mbps")),
    ("Boot type", Some("boot_type")),
    ("Number of disks", Some("disk_count")),
    ("Storage in use (In GB)", Some("storage_used_gb")),
    ("Disk 1 size (In GB)", Some("disk_size_gb")),
    ("Disk 1 read throughput (MB per second)", Some("disk_read_mbps")),
    ("Disk 1 write throughput (MB per second)", Some("disk_write_mbps")),
    ("Disk 1 read ops (operations per second)", Some("disk_read_iops")),
    ("Disk 1 write ops (operations per second)", Some("disk_write_iops")),
];

const AWS_MIGRATION_HUB: Columns = &[
    ("ExternalId", Some("external_id")),
    ("SMBiosId", Some("smbios_uuid")),
    ("IPAddress", Some("ip_address")),
    ("MACAddress", Some("mac_address")),
    ("HostName", Some("hostname")),
    ("VMware.MoRefId", Some("vm_id")),
    ("VMware.VCenterId", None),
    ("CPU.NumberOfProcessors", Some("cpu_sockets")),
    ("CPU.NumberOfCores", Some("cpu_cores")),
    ("CPU.NumberOfLogicalCores", Some("cpu_logical_cores")),
    ("OS.Name", Some("operating_system")),
    ("OS.Version", Some("os_version")),
    ("VMware.VMName", Some("name")),
    ("RAM.TotalSizeInMB", Some("memory_mb")),
    ("RAM.UsedSizeInMB.Avg", Some("memory_used_mb")),
    ("RAM.UsedSizeInMB.Max", Some("memory_used_max_mb")),
    ("CPU.UsagePct.Avg", Some("cpu_utilization_percent")),
    ("CPU.UsagePct.Max", Some("cpu_utilization_max_percent")),
    ("DiskReadsBytesPerSecond.Avg", None),
    ("DiskReadsBytesPerSecond.Max", None),
    ("DiskReadsOpsPerSecond.Avg", None),
    ("DiskReadsOpsPerSecond.Max", Some("disk_read_iops")),
    ("DiskWritesBytesPerSecond.Avg", None),
    ("DiskWritesBytesPerSecond.Max", None),
    ("DiskWritesOpsPerSecond.Avg", None),
    ("DiskWritesOpsPerSecond.Max", Some("disk_write_iops")),
    ("NetworkReadsBytesPerSecond.Avg", None),
    ("NetworkReadsBytesPerSecond.Max", None),
    ("NetworkWritesBytesPerSecond.Avg", None),
    ("NetworkWritesBytesPerSecond.Max", None),
    ("Applications", Some("application_name")),
    ("ApplicationWave", Some("migration_wave")),
    ("Tags", Some("tags")),
    ("ServerId", None),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imports::targets;

    fn check(headers: &[&str], expected: SourceFormat) {
        let headers: Vec<String> = headers.iter().map(|&header| header.to_owned()).collect();
        assert_eq!(SourceFormat::recognise(&headers), expected, "{headers:?}");
    }

    #[test]
    fn trimmed_and_reordered_exports_are_recognised() {
        check(&["memory (in mb)", "CORES", "Server Name", "*OS name", "Owner"], SourceFormat::AzureMigrate);
        check(&["HostName", "IPAddress", "RAM.TotalSizeInMB", "OS.Name", "Cost center"], SourceFormat::AwsMigrationHub);
    }

    #[test]
    fn a_few_common_names_are_not_enough() {
        check(&["Server name", "OS name", "OS version", "Cores"], SourceFormat::Unknown);
        check(&["Memory (In MB)", "Name", "Owner", "Site"], SourceFormat::Unknown);
        check(&["HostName", "IPAddress", "MACAddress", "Tags"], SourceFormat::Unknown);
    }

    #[test]
    fn every_column_means_a_known_target_and_none_twice() {
        for format in [SourceFormat::AzureMigrate, SourceFormat::AwsMigrationHub] {
            let mut seen = HashSet::new();
            for target in format.columns().iter().filter_map(|(_, target)| *target) {
                assert!(targets::find(target).is_some(), "{target}");
                assert!(seen.insert(target), "{target} twice");
            }
        }
    }
}
