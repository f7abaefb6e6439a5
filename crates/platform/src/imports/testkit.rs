//! Test files: deterministic exports of both known tools, and tables written in any way.

use std::io::Cursor;

use super::{dialect::Delimiter, encoding::TextEncoding};

/// Deterministic choices: the same seed, the same file.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `bound` (xorshift).
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    pub(super) fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        let index = self.below(from.len() as u64);
        from[usize::try_from(index).unwrap()]
    }
}

pub(super) type Table = Vec<Vec<String>>;

const OPERATING_SYSTEMS: [(&str, &str); 5] = [
    ("Microsoft Windows Server 2019 Standard", "10.0.17763"),
    ("Microsoft Windows Server 2016 Datacenter", "10.0.14393"),
    ("Red Hat Enterprise Linux", "8.6"),
    ("Ubuntu Linux", "22.04"),
    ("SUSE Linux Enterprise Server", "15.4"),
];

pub(super) const AZURE_HEADERS: [&str; 22] = [
    "*Server name",
    "IP addresses",
    "*Cores",
    "*Memory (In MB)",
    "*OS name",
    "OS version",
    "OS architecture",
    "Server type",
    "Hypervisor",
    "CPU utilization percentage",
    "Memory utilization percentage",
    "Network adapters",
    "Network In throughput",
    "Network Out throughput",
    "Boot type",
    "Number of disks",
    "Storage in use (In GB)",
    "Disk 1 size (In GB)",
    "Disk 1 read throughput (MB per second)",
    "Disk 1 write throughput (MB per second)",
    "Disk 1 read ops (operations per second)",
    "Disk 1 write ops (operations per second)",
];

pub(super) const AWS_HEADERS: [&str; 24] = [
    "ExternalId",
    "SMBiosId",
    "IPAddress",
    "MACAddress",
    "HostName",
    "VMware.MoRefId",
    "VMware.VCenterId",
    "CPU.NumberOfProcessors",
    "CPU.NumberOfCores",
    "CPU.NumberOfLogicalCores",
    "OS.Name",
    "OS.Version",
    "VMware.VMName",
    "RAM.TotalSizeInMB",
    "RAM.UsedSizeInMB.Avg",
    "RAM.UsedSizeInMB.Max",
    "CPU.UsagePct.Avg",
    "CPU.UsagePct.Max",
    "DiskReadsOpsPerSecond.Max",
    "DiskWritesOpsPerSecond.Max",
    "Applications",
    "ApplicationWave",
    "Tags",
    "ServerId",
];

/// An Azure Migrate import file with the gaps and lists real ones have.
pub(super) fn azure_migrate(rows: u64) -> Table {
    let mut dice = Dice::new(1);
    let mut table = vec![AZURE_HEADERS.map(str::to_owned).to_vec()];
    table.extend((0..rows).map(|row| {
        let (os, version) = OPERATING_SYSTEMS[usize::try_from(row % 5).unwrap()];
        let d = &mut dice;
        let second_ip = if d.below(10) == 0 { ";10.200.0.7" } else { "" };
        let utilization =
            |d: &mut Dice| if d.below(20) == 0 { String::new() } else { format!("{}.{}", d.below(100), d.below(10)) };
        vec![
            format!("{}-{}-{row:05}", d.pick(&["fra", "muc", "dub"]), d.pick(&["app", "db", "web"])),
            format!("10.{}.{}.{}{second_ip}", row / 65_536, row / 256 % 256, row % 256),
            d.pick(&["2", "4", "8", "16"]).to_owned(),
            d.pick(&["4096", "8192", "16384", "65536"]).to_owned(),
            os.to_owned(),
            version.to_owned(),
            d.pick(&["x64", "x86"]).to_owned(),
            d.pick(&["Physical", "Virtual"]).to_owned(),
            d.pick(&["VMware", "Hyper-V", ""]).to_owned(),
            utilization(d),
            utilization(d),
            d.pick(&["1", "2"]).to_owned(),
            format!("{}.{}", d.below(50), d.below(10)),
            format!("{}.{}", d.below(50), d.below(10)),
            d.pick(&["BIOS", "UEFI"]).to_owned(),
            d.pick(&["1", "2", "3"]).to_owned(),
            d.below(2000).to_string(),
            d.below(500).to_string(),
            format!("{}.{}", d.below(9), d.below(10)),
            format!("{}.{}", d.below(9), d.below(10)),
            d.below(900).to_string(),
            d.below(900).to_string(),
        ]
    }));
    table
}

/// An AWS Migration Hub import file.
pub(super) fn aws_migration_hub(rows: u64) -> Table {
    let mut dice = Dice::new(2);
    let mut table = vec![AWS_HEADERS.map(str::to_owned).to_vec()];
    table.extend((0..rows).map(|row| {
        let (os, version) = OPERATING_SYSTEMS[usize::try_from(row % 5).unwrap()];
        let d = &mut dice;
        let name = format!("{}{row:05}", d.pick(&["srv", "lnx", "win"]));
        let (used, cores) = (d.below(3000), d.pick(&["2", "4", "8"]));
        vec![
            format!("ext-{row}"),
            format!("4219d0a1-1f5a-7c44-9e03-{:012x}", d.below(1 << 48)),
            format!("172.16.{}.{}", row / 256 % 256, row % 256),
            format!("00:50:56:{:02x}:{:02x}:{:02x}", row / 65_536, row / 256 % 256, row % 256),
            format!("{name}.corp.example.com"),
            format!("vm-{row}"),
            "vcenter-1".to_owned(),
            d.pick(&["1", "2"]).to_owned(),
            cores.to_owned(),
            cores.to_owned(),
            os.to_owned(),
            version.to_owned(),
            name,
            d.pick(&["4096", "8192"]).to_owned(),
            used.to_string(),
            (used + d.below(1000)).to_string(),
            format!("{}.{}", d.below(40), d.below(10)),
            d.below(101).to_string(),
            d.below(900).to_string(),
            d.below(900).to_string(),
            d.pick(&["Billing", "CRM, Sales", ""]).to_owned(),
            d.pick(&["Wave 1", "Wave 2"]).to_owned(),
            d.pick(&["env=prod,owner=\"ops\"", "env=dev\nteam=web", ""]).to_owned(),
            format!("d-server-{row:08}"),
        ]
    }));
    table
}

/// `table` as text, quoted where it must be.
pub(super) fn write_text(table: &Table, delimiter: Delimiter, line_end: csv::Terminator, quote_all: bool) -> String {
    let style = if quote_all { csv::QuoteStyle::Always } else { csv::QuoteStyle::Necessary };
    let mut writer = csv::WriterBuilder::new()
        .delimiter(delimiter.byte())
        .terminator(line_end)
        .quote_style(style)
        .flexible(true)
        .from_writer(Vec::new());
    for record in table {
        writer.write_record(record).unwrap();
    }
    String::from_utf8(writer.into_inner().unwrap()).unwrap()
}

/// `text` as bytes in `encoding`, which must be able to say it.
pub(super) fn encode(text: &str, encoding: TextEncoding, mark: bool) -> Vec<u8> {
    let marked =
        if mark && encoding != TextEncoding::Windows1252 { format!("\u{feff}{text}") } else { text.to_owned() };
    match encoding {
        TextEncoding::Utf8 => marked.into_bytes(),
        TextEncoding::Utf16Le => marked.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        TextEncoding::Utf16Be => marked.encode_utf16().flat_map(u16::to_be_bytes).collect(),
        TextEncoding::Windows1252 => {
            let (bytes, _, lossy) = encoding_rs::WINDOWS_1252.encode(&marked);
            assert!(!lossy, "{text:?} cannot be said in Windows-1252");
            bytes.into_owned()
        }
    }
}

/// `table` as a plain file: commas, UTF-8.
pub(super) fn plain_file(table: &Table) -> Cursor<Vec<u8>> {
    Cursor::new(write_text(table, Delimiter::Comma, csv::Terminator::CRLF, false).into_bytes())
}
