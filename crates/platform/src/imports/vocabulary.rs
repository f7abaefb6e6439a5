//! Turns a column name into words with one spelling: `VMware.MoRefId`, `u_ip_addr`, `Anz. CPUs`.
//!
//! Names are split at punctuation, at camelCase and between letters and digits; words that are
//! still unknown are tried as compounds (`ipaddress`, `Rechnername`). Each known word, English or
//! German, abbreviated or not, stands for its canonical words; fillers vanish. Everything that is
//! known about *words* is here, what is known about *attributes* is in [`clues`](super::clues).

/// The canonical words of `header`, in order; unknown words as they are, in lower case.
pub(super) fn words(header: &str) -> Vec<String> {
    let mut words = Vec::new();
    let marked = header.replace('#', " count ").replace('%', " percent ");
    for chunk in marked.split(|c: char| !c.is_alphanumeric()).filter(|chunk| !chunk.is_empty()) {
        add_chunk(&fold_umlauts(chunk), &mut words);
    }
    settle_numbers(words)
}

/// `Number of disks` counts disks, `Serial number` is an id; `of` has done its work then.
fn settle_numbers(mut words: Vec<String>) -> Vec<String> {
    for at in 0..words.len() {
        if words[at] == "number" {
            let counts = words.get(at + 1).is_some_and(|next| next == "of");
            let settled = if counts { "count" } else { "id" };
            settled.clone_into(&mut words[at]);
        }
    }
    words.retain(|word| word != "of");
    words
}

fn add_chunk(chunk: &str, words: &mut Vec<String>) {
    let whole = chunk.to_lowercase();
    if let Some(canonical) = canonical(&whole) {
        words.extend(canonical.iter().map(|&word| word.to_owned()));
        return;
    }
    // Compounds first: `OSname` falls apart wrongly where its capitals are.
    let parts = split_compound(&whole).unwrap_or_else(|| split_case_and_digits(chunk));
    if parts.len() > 1 {
        for part in parts {
            add_chunk(part, words);
        }
    } else {
        words.push(whole);
    }
}

fn fold_umlauts(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            'ä' => folded.push_str("ae"),
            'ö' => folded.push_str("oe"),
            'ü' => folded.push_str("ue"),
            'Ä' => folded.push_str("Ae"),
            'Ö' => folded.push_str("Oe"),
            'Ü' => folded.push_str("Ue"),
            'ß' => folded.push_str("ss"),
            _ => folded.push(c),
        }
    }
    folded
}

/// `IPAddress2` → `IP`, `Address`, `2`.
fn split_case_and_digits(word: &str) -> Vec<&str> {
    let chars: Vec<(usize, char)> = word.char_indices().collect();
    let mut parts = Vec::new();
    let mut start = 0;
    for window in 1..chars.len() {
        let (before, (at, here)) = (chars[window - 1].1, chars[window]);
        let next_is_lower = chars.get(window + 1).is_some_and(|(_, next)| next.is_lowercase());
        let border = before.is_lowercase() && here.is_uppercase()
            || before.is_uppercase() && here.is_uppercase() && next_is_lower
            || before.is_numeric() != here.is_numeric();
        if border {
            parts.push(&word[start..at]);
            start = at;
        }
    }
    parts.push(&word[start..]);
    parts
}

/// Longer words, and more parts, are no names but noise; bounding both bounds the search, which
/// would be exponential on a hostile header such as `ipsipsipsips…`.
const COMPOUND_BYTES_MAX: usize = 40;
const COMPOUND_PARTS_MAX: usize = 4;

/// Known words that make up `word` without a rest, the longest first word preferred.
fn split_compound(word: &str) -> Option<Vec<&str>> {
    if word.len() > COMPOUND_BYTES_MAX {
        return None;
    }
    known_parts(word, COMPOUND_PARTS_MAX)
}

fn known_parts(word: &str, parts_max: usize) -> Option<Vec<&str>> {
    const SHORTEST: usize = 2;
    if canonical(word).is_some() {
        return Some(vec![word]);
    }
    if parts_max < 2 {
        return None;
    }
    let borders = (SHORTEST..=word.len().checked_sub(SHORTEST)?).rev();
    borders.filter(|&at| word.is_char_boundary(at)).find_map(|at| {
        let (head, tail) = word.split_at(at);
        canonical(head)?;
        // German puts an `s` between some words.
        let tails = [Some(tail), tail.strip_prefix('s')];
        let mut parts = tails.into_iter().flatten().find_map(|tail| known_parts(tail, parts_max - 1))?;
        parts.insert(0, head);
        Some(parts)
    })
}

/// How much a word tells: fillers of names (`name`, `total`, `server`) fit many attributes.
pub(super) fn weight(word: &str) -> f64 {
    match word {
        "name" | "machine" | "size" | "type" | "id" | "address" | "total" | "value" | "1" => 0.4,
        "mb" | "gb" | "count" | "percent" | "average" | "primary" | "max" => 0.5,
        _ => 1.0,
    }
}

/// What `word` (lower case, umlauts folded) stands for; an empty list for fillers.
#[expect(clippy::too_many_lines, reason = "a dictionary")]
fn canonical(word: &str) -> Option<&'static [&'static str]> {
    Some(match word {
        // Fillers
        "in" | "the" | "to" | "for" | "from" | "by" | "on" | "is" | "and" | "a" | "u" | "ci" | "cmdb" | "col"
        | "column" | "field" | "der" | "die" | "das" | "des" | "von" | "und" | "fuer" | "am" | "im" | "zum"
        | "according" | "current" | "info" | "information" | "details" | "configured" | "attribute" | "0" => &[],
        "of" => &["of"],
        "number" | "nummer" | "no" | "nr" => &["number"],
        // Things
        "machine" | "srv" | "svr" | "server" | "servers" | "vm" | "vms" | "computer" | "device" | "system"
        | "systems" | "node" | "instance" | "rechner" | "geraet" | "geraete" | "maschine" | "guest" | "workload"
        | "endpoint" | "pc" => &["machine"],
        "hostname" => &["host", "name"],
        "host" | "netbios" => &["host"],
        "name" | "bezeichnung" | "label" | "titel" | "title" | "display" => &["name"],
        "id" | "ids" | "identifier" | "kennung" | "key" => &["id"],
        "uuid" | "guid" => &["uuid"],
        "fqdn" => &["fqdn"],
        "dns" => &["dns"],
        "primary" | "private" | "internal" | "interne" | "main" => &["primary"],
        "domain" | "domaene" => &["domain"],
        "ip" | "ips" | "ipv4" | "ip4" | "ipv6" | "ip6" | "inet" => &["ip"],
        "address" | "addresses" | "addr" | "adresse" | "adressen" => &["address"],
        "mac" | "macs" | "ethernet" => &["mac"],
        "adapter" | "adapters" => &["adapter"],
        "nic" | "nics" | "netzwerkkarte" | "netzwerkkarten" | "netzwerkadapter" => &["network", "adapter"],
        "network" | "net" | "netzwerk" | "netz" => &["network"],
        "type" | "typ" | "art" | "kind" | "class" | "klasse" | "category" | "kategorie" => &["type"],
        // Operating system
        "os" | "betriebssystem" | "operatingsystem" => &["os"],
        "operating" => &["operating"],
        "version" | "ver" | "vers" | "release" | "build" | "versionsnummer" => &["version"],
        "architecture" | "architektur" | "arch" | "bitness" => &["architecture"],
        // Processor
        "cpu" | "cpus" | "processor" | "processors" | "prozessor" | "prozessoren" | "proc" | "procs" => &["cpu"],
        "vcpu" | "vcpus" => &["cpu", "core"],
        "core" | "cores" | "kern" | "kerne" => &["core"],
        "socket" | "sockets" | "physical" | "physische" | "physisch" => &["socket"],
        "logical" | "logische" | "threads" | "thread" => &["logical"],
        // Memory and storage
        "memory" | "mem" | "ram" | "arbeitsspeicher" | "hauptspeicher" | "vram" => &["memory"],
        "storage" | "speicherplatz" | "speicher" => &["storage"],
        "disk" | "disks" | "drive" | "drives" | "hdd" | "platte" | "platten" | "festplatte" | "festplatten"
        | "laufwerk" | "laufwerke" => &["disk"],
        "size" | "groesse" | "capacity" | "kapazitaet" | "amount" => &["size"],
        "space" | "platz" => &["space"],
        "used" | "use" | "usage" | "consumed" | "belegt" | "belegter" | "genutzt" | "verwendet" | "benutzt" => {
            &["used"]
        }
        "utilization" | "utilisation" | "util" | "load" | "auslastung" | "nutzung" => &["used"],
        "free" | "frei" | "freier" | "available" => &["free"],
        "total" | "gesamt" | "overall" | "all" | "provisioned" | "allocated" => &["total"],
        "average" | "avg" | "mean" | "durchschnitt" | "mittelwert" => &["average"],
        "max" | "maximum" | "peak" | "maximal" | "spitze" => &["max"],
        "count" | "anzahl" | "anz" | "num" | "quantity" | "qty" | "cnt" => &["count"],
        "mb" | "mib" | "megabyte" | "megabytes" => &["mb"],
        "gb" | "gib" | "gigabyte" | "gigabytes" => &["gb"],
        "tb" | "tib" | "kb" | "kib" | "bytes" => &["other", "unit"],
        "percent" | "percentage" | "pct" | "prozent" | "perc" => &["percent"],
        "read" | "reads" | "lesen" => &["read"],
        "write" | "writes" | "schreiben" => &["write"],
        "ops" | "iops" | "operations" => &["iops"],
        "throughput" | "mbps" | "durchsatz" | "bandwidth" | "traffic" => &["throughput"],
        "inbound" | "received" | "rx" | "eingehend" => &["inbound"],
        "out" | "outbound" | "sent" | "tx" | "ausgehend" => &["outbound"],
        // Virtualisation
        "hypervisor" | "virtualization" | "virtualisation" | "virtualisierung" | "virtualisierungsplattform" => {
            &["hypervisor"]
        }
        "boot" | "firmware" => &["boot"],
        "bios" | "uefi" | "smbios" => &["bios"],
        "power" | "powerstate" => &["power"],
        "state" | "zustand" | "status" | "lifecycle" | "stage" => &["status"],
        "cluster" => &["cluster"],
        "moref" | "moid" | "mor" => &["moref"],
        // Business
        "application" | "applications" | "app" | "apps" | "anwendung" | "anwendungen" | "applikation"
        | "fachverfahren" | "service" | "workloads" | "verfahren" => &["application"],
        "environment" | "env" | "umgebung" | "stufe" | "landscape" => &["environment"],
        "criticality" | "critical" | "kritikalitaet" | "schutzbedarf" | "importance" | "tier" | "prioritaet"
        | "priority" | "wichtigkeit" => &["criticality"],
        "business" | "biz" | "bus" | "fachlich" | "fachlicher" | "fachliche" | "geschaeft" | "impact" => &["business"],
        "technical" | "technischer" | "technisch" | "it" | "support" | "betrieb" | "admin" | "administrator"
        | "sysadmin" | "operations_team" => &["technical"],
        "owner" | "owned" | "eigentuemer" | "besitzer" | "verantwortlicher" | "verantwortlich" | "responsible"
        | "ansprechpartner" | "contact" | "custodian" | "steward" => &["owner"],
        "team" | "teams" | "group" | "groups" | "gruppe" | "gruppen" => &["group"],
        "managed" | "assigned" | "maintained" | "betreut" => &["managed"],
        "department" | "dept" | "abteilung" | "fachbereich" | "division" | "unit" | "organization" | "organisation"
        | "bereich" => &["department"],
        "cost" | "kosten" | "kostenstelle" => &["cost"],
        "center" | "centre" => &["center"],
        "location" | "loc" | "standort" | "site" | "ort" | "city" | "stadt" | "building" | "gebaeude" | "office" => {
            &["location"]
        }
        "datacenter" | "datacentre" | "rechenzentrum" | "rz" | "dc" => &["datacenter"],
        "data" | "daten" => &["data"],
        "wave" | "welle" => &["wave"],
        "migration" | "move" => &["migration"],
        "phase" | "batch" => &["phase"],
        // Identity
        "external" | "asset" | "assets" | "extern" | "externe" | "source" | "sys" | "inventory" | "inventar"
        | "inventarnummer" | "object" | "objekt" | "correlation" => &["external"],
        "tag" => &["tag"],
        "serial" | "seriennummer" | "sn" | "serialnumber" | "serien" => &["serial"],
        "manufacturer" | "hersteller" | "vendor" | "make" | "fabrikat" => &["manufacturer"],
        "model" | "modell" | "product" | "produkt" => &["model"],
        "description" | "beschreibung" | "comment" | "comments" | "kommentar" | "notes" | "note" | "notizen"
        | "bemerkung" | "bemerkungen" | "annotation" | "remarks" | "purpose" | "zweck" => &["description"],
        "tags" | "labels" | "keywords" | "schlagworte" => &["tags"],
        "seen" | "gesehen" | "kontakt" | "scan" | "scanned" | "discovered" | "heartbeat" | "sync" | "logon"
        | "checkin" => &["seen"],
        "last" | "zuletzt" | "letzter" | "letzte" | "letztes" | "latest" => &["latest"],
        "date" | "datum" | "time" | "zeit" | "timestamp" | "zeitpunkt" => &["date"],
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(header: &str, expected: &[&str]) {
        assert_eq!(words(header), expected, "{header:?}");
    }

    #[test]
    fn every_way_of_joining_words_is_undone() {
        for header in ["IPAddress", "ip_address", "ip.address", "IP-Adresse", "ipaddress", "IPV4 Address", "u_ip_addr"]
        {
            check(header, &["ip", "address"]);
        }
    }

    #[test]
    fn compounds_and_abbreviations() {
        check("Rechnername", &["machine", "name"]);
        check("Betriebssystemversion", &["os", "version"]);
        check("Anz. CPUs", &["count", "cpu"]);
        check("# Cores", &["count", "core"]);
        check("Größe (GB)", &["size", "gb"]);
        check("RAMGB", &["memory", "gb"]);
    }

    #[test]
    fn unknown_words_stay() {
        check("Frobnication Level2", &["frobnication", "level", "2"]);
    }

    #[test]
    fn a_hostile_header_costs_no_time() {
        check(&format!("{}x", "ips".repeat(80)), &[&format!("{}x", "ips".repeat(80))]);
        check(&format!("{}x", "ips".repeat(13)), &[&format!("{}x", "ips".repeat(13))]);
    }

    proptest! {
        #[test]
        fn any_header_is_split_without_panic(header in "\\PC{0,60}") {
            for word in words(&header) {
                prop_assert!(!word.is_empty());
            }
        }
    }
}
