//! Inventories as the tools of the demo's clients export them. Pure and always the same.

use std::fmt::Write as _;

/// Headers of an Azure Migrate server import.
const AZURE_HEADERS: &str = "*Server name,IP addresses,*Cores,*Memory (In MB),*OS name,OS version,OS architecture,\
    Server type,Hypervisor,CPU utilization percentage,Memory utilization percentage,Network adapters,\
    Network In throughput,Network Out throughput,Boot type,Number of disks,Storage in use (In GB),\
    Disk 1 size (In GB),Application,Environment,Business owner";

/// Headers of an AWS Migration Hub server import.
const AWS_HEADERS: &str = "ExternalId,SMBiosId,IPAddress,MACAddress,HostName,VMware.MoRefId,VMware.VCenterId,\
    CPU.NumberOfProcessors,CPU.NumberOfCores,CPU.NumberOfLogicalCores,OS.Name,OS.Version,VMware.VMName,\
    RAM.TotalSizeInMB,RAM.UsedSizeInMB.Avg,RAM.UsedSizeInMB.Max,CPU.UsagePct.Avg,CPU.UsagePct.Max,\
    DiskReadsOpsPerSecond.Max,DiskWritesOpsPerSecond.Max,Applications,ApplicationWave";

/// What runs on the machines, and who answers for it.
const WORKLOADS: &[(&str, &str, &str, &str)] = &[
    ("erp", "SAP ERP", "Red Hat Enterprise Linux 8", "Finance"),
    ("crm", "Customer portal", "Windows Server 2019", "Sales"),
    ("web", "Web shop", "Ubuntu Linux 22.04", "E-commerce"),
    ("sql", "Order database", "Windows Server 2016", "Logistics"),
    ("dwh", "Data warehouse", "Oracle Linux 8", "Controlling"),
    ("fil", "File services", "Windows Server 2012 R2", "IT operations"),
    ("mon", "Monitoring", "Debian GNU/Linux 11", "IT operations"),
];
const ENVIRONMENTS: &[(&str, &str)] = &[("p", "Production"), ("p", "Production"), ("t", "Test"), ("d", "Development")];
const CORES: &[u32] = &[2, 4, 4, 8, 16];

/// A server of an inventory, from which both formats are written.
struct Server {
    row: u32,
    workload: usize,
    environment: usize,
    cores: u32,
    used_percent: u32,
}

impl Server {
    fn all(count: u32) -> impl Iterator<Item = Self> {
        (0..count).map(|row| {
            // A small mixing function instead of randomness: the demo is the same on every machine.
            let mixed = row.wrapping_mul(2_654_435_761) >> 8;
            Self {
                row,
                workload: mixed as usize % WORKLOADS.len(),
                environment: (mixed >> 5) as usize % ENVIRONMENTS.len(),
                cores: CORES[(mixed >> 9) as usize % CORES.len()],
                used_percent: 12 + (mixed >> 13) % 75,
            }
        })
    }

    fn name(&self, site: &str) -> String {
        format!("{site}-{}-{}{:03}", WORKLOADS[self.workload].0, ENVIRONMENTS[self.environment].0, self.row + 1)
    }

    fn memory_mb(&self) -> u32 {
        self.cores * 4096
    }

    /// The environment as somebody typed it: not always in the same way.
    fn environment(&self) -> &'static str {
        match (self.row % 23, ENVIRONMENTS[self.environment].1) {
            (3, "Production") => "production",
            (11, "Production") => "PRODUCTION",
            (7, "Test") => "test ",
            (_, environment) => environment,
        }
    }

    /// The owner, where anybody knows one.
    fn owner(&self) -> &'static str {
        if self.row % 31 == 9 { "n/a" } else { WORKLOADS[self.workload].3 }
    }

    /// The memory in MB; some tools write it with another unit.
    fn memory(&self) -> String {
        if self.row % 47 == 20 { format!("{} GB", self.memory_mb() / 1024) } else { self.memory_mb().to_string() }
    }

    fn address(&self, network: u32) -> String {
        format!("10.{network}.{}.{}", self.row / 200 + 1, self.row % 200 + 10)
    }
}

/// An inventory as Azure Migrate imports it.
pub(super) fn azure_migrate(count: u32) -> String {
    let mut text = format!("{AZURE_HEADERS}\r\n");
    for server in Server::all(count) {
        let (_, application, os, _) = WORKLOADS[server.workload];
        let (cores, memory, used, owner) = (server.cores, server.memory(), server.used_percent, server.owner());
        let disk_gb = 60 + server.row % 12 * 40;
        let firmware = if server.row % 3 == 0 { "BIOS" } else { "UEFI" };
        write!(
            text,
            "{},{},{cores},{memory},{os},{}.{},x64,Virtual,VMware,{used},{},1,{}.4,{}.1,{firmware},{},{},{disk_gb},{application},{},{owner}\r\n",
            server.name("fra"),
            server.address(20),
            8 + server.row % 3,
            server.row % 7,
            (used + 17).min(96),
            server.row % 40,
            server.row % 25,
            1 + server.row % 3,
            disk_gb * used / 100,
            server.environment(),
        )
        .expect("writing to a String cannot fail");
    }
    text
}

/// An inventory as AWS Migration Hub imports it.
pub(super) fn aws_migration_hub(count: u32) -> String {
    let mut text = format!("{AWS_HEADERS}\n");
    for server in Server::all(count) {
        let (_, application, os, _) = WORKLOADS[server.workload];
        let (row, cores, memory, used) = (server.row, server.cores, server.memory_mb(), server.used_percent);
        let name = server.name("ams");
        writeln!(
            text,
            "glx-{:05},4219d0a1-1f5a-7c44-9e03-{:012x},{},00:50:56:9a:{:02x}:{:02x},{name}.globex.example,vm-{},vcenter-ams-1,\
             {},{cores},{cores},{os},{}.{},{name},{memory},{},{},{used},{},{},{},{application},Wave {}",
            row + 1,
            row * 7919 + 65_521,
            server.address(40),
            row / 256,
            row % 256,
            1000 + row,
            1 + cores / 16,
            7 + row % 3,
            row % 9,
            memory * used / 100,
            memory * (used + 10).min(95) / 100,
            (used + 22).min(99),
            row * 13 % 900,
            row * 7 % 600,
            1 + server.workload / 3,
        )
        .expect("writing to a String cannot fail");
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::imports::{Limits, SourceFormat, inspect, suggest};

    fn check(text: String, format: SourceFormat) {
        let inspection = inspect(&mut Cursor::new(text.into_bytes()), &Limits::default()).unwrap();
        assert_eq!((inspection.shape.rows, inspection.shape.format), (200, format));
        let mapped = suggest(&inspection).into_iter().filter(|suggestion| suggestion.target.is_some()).count();
        assert!(mapped >= 18, "only {mapped} columns were recognised");
    }

    #[test]
    fn the_import_recognises_what_the_demo_writes() {
        check(azure_migrate(200), SourceFormat::AzureMigrate);
        check(aws_migration_hub(200), SourceFormat::AwsMigrationHub);
    }
}
