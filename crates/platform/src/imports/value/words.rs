//! Values told by their words, English and German. All take lower case.

pub(super) fn names_os(lower: &str) -> bool {
    lower.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| {
        matches!(
            word,
            "windows"
                | "linux"
                | "ubuntu"
                | "debian"
                | "redhat"
                | "rhel"
                | "centos"
                | "suse"
                | "sles"
                | "opensuse"
                | "aix"
                | "solaris"
                | "sunos"
                | "hpux"
                | "freebsd"
                | "openbsd"
                | "macos"
                | "rocky"
                | "almalinux"
                | "fedora"
                | "esxi"
                | "win2k"
                | "win2012"
                | "win2016"
                | "win2019"
                | "win2022"
                | "vms"
                | "photon"
        )
    }) || lower.contains("red hat")
        || lower.contains("hp-ux")
}

/// `1 - critical`, `p1: high` → what stands behind the rank.
pub(super) fn strip_rank(lower: &str) -> &str {
    let rest = lower.trim_start_matches(|c: char| c.is_ascii_digit());
    let rest = if rest.len() < lower.len() { rest.trim_start_matches([' ', '-', ':', '.']) } else { rest };
    if rest.is_empty() { lower } else { rest }
}

pub(super) fn is_environment(word: &str) -> bool {
    matches!(
        word,
        "prod"
            | "prd"
            | "production"
            | "produktion"
            | "produktiv"
            | "dev"
            | "development"
            | "entwicklung"
            | "test"
            | "testing"
            | "tst"
            | "qa"
            | "quality assurance"
            | "uat"
            | "acceptance"
            | "abnahme"
            | "stage"
            | "staging"
            | "stg"
            | "preprod"
            | "pre-prod"
            | "pre-production"
            | "preproduction"
            | "integration"
            | "int"
            | "sandbox"
            | "dr"
            | "disaster recovery"
            | "non-production"
            | "nonprod"
            | "non-prod"
            | "training"
            | "schulung"
            | "demo"
            | "lab"
    )
}

pub(super) fn is_criticality(word: &str) -> bool {
    matches!(
        word,
        "critical"
            | "most critical"
            | "somewhat critical"
            | "less critical"
            | "not critical"
            | "non-critical"
            | "mission critical"
            | "business critical"
            | "high"
            | "very high"
            | "medium"
            | "low"
            | "none"
            | "kritisch"
            | "hoch"
            | "sehr hoch"
            | "mittel"
            | "normal"
            | "niedrig"
            | "gering"
            | "gold"
            | "silver"
            | "bronze"
    ) || word
        .strip_prefix("tier")
        .or_else(|| word.strip_prefix('p'))
        .is_some_and(|rank| matches!(rank.trim_start_matches([' ', '-']), "0" | "1" | "2" | "3" | "4" | "5"))
}

pub(super) fn is_architecture(lower: &str) -> bool {
    matches!(
        lower,
        "x86_64"
            | "x86-64"
            | "amd64"
            | "x64"
            | "x86"
            | "i386"
            | "i686"
            | "arm64"
            | "aarch64"
            | "64-bit"
            | "32-bit"
            | "64 bit"
            | "32 bit"
            | "64bit"
            | "32bit"
            | "ppc64"
            | "ppc64le"
            | "s390x"
            | "sparc"
            | "x64-based pc"
            | "ia64"
            | "power"
    )
}

pub(super) fn names_hypervisor(lower: &str) -> bool {
    let first = lower.split([' ', ',', '/', '(']).next().unwrap_or_default();
    matches!(
        first,
        "vmware"
            | "hyper-v"
            | "hyperv"
            | "kvm"
            | "xen"
            | "xenserver"
            | "proxmox"
            | "nutanix"
            | "ahv"
            | "virtualbox"
            | "qemu"
            | "esx"
            | "esxi"
            | "vsphere"
    )
}

pub(super) fn is_power_state(word: &str) -> bool {
    matches!(
        word,
        "poweredon"
            | "poweredoff"
            | "powered on"
            | "powered off"
            | "on"
            | "off"
            | "running"
            | "stopped"
            | "suspended"
            | "shut down"
            | "up"
            | "down"
    )
}

pub(super) fn is_asset_type(word: &str) -> bool {
    matches!(
        word,
        "server"
            | "physical"
            | "physical server"
            | "virtual"
            | "virtual machine"
            | "virtual server"
            | "vm"
            | "physical machine"
            | "database"
            | "application"
            | "network device"
            | "router"
            | "switch"
            | "firewall"
            | "storage"
            | "appliance"
            | "container"
            | "host"
            | "workstation"
            | "desktop"
            | "laptop"
            | "notebook"
            | "client"
            | "linux server"
            | "windows server"
            | "virtueller server"
            | "physischer server"
    )
}

pub(super) fn is_boot_type(word: &str) -> bool {
    matches!(word, "bios" | "uefi" | "efi" | "legacy" | "legacy bios")
}
