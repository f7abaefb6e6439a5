//! What a column can mean: an attribute of the catalogue, or one of its own.
//!
//! Units are part of the name and are not converted: a column in GB is mapped to an attribute in
//! GB. How columns are found for an attribute is in [`clues`](super::clues), not here.

use serde::Serialize;

use super::limits::Limits;

/// Before the name of an attribute that only the file knows: `custom:Site note` keeps a column as it is, whatever it
/// means. No name of the catalogue has a colon.
pub(crate) const CUSTOM: &str = "custom:";

/// One attribute of an asset, as `GET /target-attributes` lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct TargetAttribute {
    pub(crate) name: &'static str,
    pub(crate) label: &'static str,
    pub(crate) data_type: DataType,
    pub(crate) description: &'static str,
    /// An asset without it cannot be told from others.
    pub(crate) required: bool,
}

/// What the values of an attribute are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DataType {
    Text,
    Integer,
    Decimal,
    Date,
    Ip,
    Mac,
    List,
}

impl DataType {
    /// The name as it stands in the API (`TargetAttribute.data_type`).
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Integer => "integer",
            Self::Decimal => "decimal",
            Self::Date => "date",
            Self::Ip => "ip",
            Self::Mac => "mac",
            Self::List => "list",
        }
    }
}

/// All attributes, in the order in which they are shown.
pub(crate) fn all() -> &'static [TargetAttribute] {
    TARGETS
}

/// The attribute called `name`.
pub(crate) fn find(name: &str) -> Option<&'static TargetAttribute> {
    TARGETS.iter().find(|target| target.name == name)
}

/// Whether a column can be mapped to `name`.
pub(crate) fn is_target(name: &str) -> bool {
    let Some(own) = name.strip_prefix(CUSTOM) else { return find(name).is_some() };
    let is_short = own.len() <= Limits::default().header_bytes_max;
    is_short && !own.is_empty() && own.trim() == own && !own.contains(char::is_control)
}

/// What people call the attribute `name`.
pub(crate) fn label(name: &str) -> &str {
    find(name).map_or_else(|| name.strip_prefix(CUSTOM).unwrap_or(name), |target| target.label)
}

const fn target(
    name: &'static str,
    label: &'static str,
    data_type: DataType,
    description: &'static str,
) -> TargetAttribute {
    TargetAttribute { name, label, data_type, description, required: false }
}

use DataType::{Date, Decimal, Integer, Ip, List, Mac, Text};

const TARGETS: &[TargetAttribute] = &[
    TargetAttribute {
        required: true,
        ..target("name", "Name", Text, "What people call the asset; unique within an engagement.")
    },
    target("hostname", "Host name", Text, "Name the machine gives itself, without domain."),
    target("fqdn", "FQDN", Text, "Host name with its domain, as DNS knows it."),
    target("ip_address", "IP address", Ip, "IPv4 or IPv6 address, or a list of them."),
    target("mac_address", "MAC address", Mac, "Hardware address of the network adapter, or a list of them."),
    target("asset_type", "Asset type", Text, "Server, virtual machine, database, network device, …"),
    target("operating_system", "Operating system", Text, "Name of the operating system."),
    target("os_version", "OS version", Text, "Version or build of the operating system."),
    target("os_architecture", "OS architecture", Text, "x86_64, arm64, 32-bit, …"),
    target("cpu_cores", "CPU cores", Integer, "Cores, or virtual CPUs of a virtual machine."),
    target("cpu_sockets", "CPU sockets", Integer, "Physical processors."),
    target("cpu_logical_cores", "Logical CPU cores", Integer, "Hardware threads over all cores."),
    target("cpu_model", "CPU model", Text, "Product name of the processor."),
    target("memory_mb", "Memory (MB)", Integer, "Memory in MB."),
    target("memory_gb", "Memory (GB)", Decimal, "Memory in GB."),
    target("memory_used_mb", "Memory used (MB)", Decimal, "Memory in use on average, in MB."),
    target("memory_used_max_mb", "Memory used, peak (MB)", Decimal, "Memory in use at its peak, in MB."),
    target("storage_total_gb", "Storage, total (GB)", Decimal, "Capacity of all disks, in GB."),
    target("storage_used_gb", "Storage in use (GB)", Decimal, "Storage in use on all disks, in GB."),
    target("disk_count", "Disks", Integer, "Number of disks."),
    target("disk_size_gb", "Disk 1 size (GB)", Decimal, "Capacity of the first disk, in GB."),
    target("disk_read_mbps", "Disk reads (MB/s)", Decimal, "Read throughput of the first disk, in MB per second."),
    target("disk_write_mbps", "Disk writes (MB/s)", Decimal, "Write throughput of the first disk, in MB per second."),
    target("disk_read_iops", "Disk reads (IOPS)", Decimal, "Read operations per second."),
    target("disk_write_iops", "Disk writes (IOPS)", Decimal, "Write operations per second."),
    target("cpu_utilization_percent", "CPU utilization (%)", Decimal, "Average use of the processors."),
    target("cpu_utilization_max_percent", "CPU utilization, peak (%)", Decimal, "Peak use of the processors."),
    target("memory_utilization_percent", "Memory utilization (%)", Decimal, "Average use of the memory."),
    target("network_adapters", "Network adapters", Integer, "Number of network adapters."),
    target("network_in_mbps", "Network in (MB/s)", Decimal, "Traffic received, in MB per second."),
    target("network_out_mbps", "Network out (MB/s)", Decimal, "Traffic sent, in MB per second."),
    target("hypervisor", "Hypervisor", Text, "VMware, Hyper-V, KVM, … of a virtual machine."),
    target("boot_type", "Boot type", Text, "BIOS or UEFI."),
    target("power_state", "Power state", Text, "Running, stopped, suspended."),
    target("vm_id", "VM id", Text, "Identifier of the virtual machine in its hypervisor."),
    target("cluster", "Cluster", Text, "Cluster the asset belongs to."),
    target("application_name", "Application", Text, "Application the asset serves, or a list of them."),
    target("environment", "Environment", Text, "Production, test, development, …"),
    target("criticality", "Criticality", Text, "How much the business depends on the asset."),
    target("business_owner", "Business owner", Text, "Who answers for the asset on the business side."),
    target("technical_owner", "Technical owner", Text, "Person or team that operates the asset."),
    target("department", "Department", Text, "Department or cost centre that uses the asset."),
    target("location", "Location", Text, "Site, city or room of the asset."),
    target("datacenter", "Data centre", Text, "Data centre that houses the asset."),
    target("migration_wave", "Migration wave", Text, "Wave in which the asset moves."),
    target("external_id", "External id", Text, "Identifier of the asset in the system it comes from."),
    target("smbios_uuid", "SMBIOS UUID", Text, "Identifier the hardware or hypervisor gave the machine."),
    target("serial_number", "Serial number", Text, "Serial number of the hardware."),
    target("manufacturer", "Manufacturer", Text, "Who made the hardware."),
    target("model", "Model", Text, "Product name of the hardware."),
    target("status", "Status", Text, "Where the asset is in its life: in use, retired, …"),
    target("description", "Description", Text, "Free text."),
    target("tags", "Tags", List, "Labels, separated by commas or semicolons."),
    target("last_seen", "Last seen", Date, "When the asset was last heard of."),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_the_name_is_required() {
        for (index, target) in TARGETS.iter().enumerate() {
            assert!(TARGETS[..index].iter().all(|other| other.name != target.name), "{}", target.name);
        }
        assert!(find("name").is_some_and(|target| target.required));
    }

    #[test]
    fn a_column_can_be_mapped_to_the_catalogue_and_to_an_attribute_of_its_own() {
        let longest = format!("{CUSTOM}{}", "x".repeat(256));
        for name in ["hostname", "custom:Site note", "custom:hostname", "custom:a: b", longest.as_str()] {
            assert!(is_target(name), "{name}");
        }
        let longer = format!("{longest}x");
        for name in ["", "Site note", "custom", "custom:", "custom: x", "custom:x ", "custom:a\nb", longer.as_str()] {
            assert!(!is_target(name), "{name}");
        }
        assert!(TARGETS.iter().all(|target| !target.name.contains(':')));
        let labels = ["hostname", "custom:Site note", "custom:hostname", "of an older catalogue"].map(label);
        assert_eq!(labels, ["Host name", "Site note", "hostname", "of an older catalogue"]);
    }

    #[test]
    fn the_wire_type_is_the_contract_type() {
        for target in TARGETS {
            let wire = serde_json::to_value(target).unwrap();
            assert_eq!(wire["data_type"], target.data_type.as_str());
        }
    }
}
