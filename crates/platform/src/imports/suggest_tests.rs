//! Accuracy over column names of tools nobody wrote code for.
//!
//! `tests/data/mappings/*/*.tsv` holds one column per line: name, accepted targets (`a|b`, `-` for
//! none), sample values. The `tuned` sets were looked at while phrases and vocabulary were written;
//! the `held_out` sets were measured and never looked at since. Their floor is that first measure,
//! rounded down. Who looks into a held-out set moves it to `tuned` and writes a new one.

use super::*;
use crate::imports::{
    limits::Limits,
    reader::inspect,
    testkit::{self, AWS_HEADERS, AZURE_HEADERS, Table, plain_file},
};

fn suggestions(table: &Table) -> Vec<Suggestion> {
    suggest(&inspect(&mut plain_file(table), &Limits::default()).unwrap())
}

fn table(columns: &[(&str, &[&str])]) -> Table {
    let rows = columns.iter().map(|(_, values)| values.len()).max().unwrap();
    let mut table = vec![columns.iter().map(|(header, _)| (*header).to_owned()).collect()];
    table.extend((0..rows).map(|row| {
        columns
            .iter()
            .map(|(_, values)| values.get(row % values.len().max(1)).map_or("", |value| value.trim()).to_owned())
            .collect()
    }));
    table
}

fn targets_of(columns: &[(&str, &[&str])]) -> Vec<Option<&'static str>> {
    suggestions(&table(columns)).iter().map(|suggestion| suggestion.target.map(|target| target.name)).collect()
}

#[test]
fn every_column_of_a_known_export_is_found() {
    for (table, headers, without) in [
        (testkit::azure_migrate(200), &AZURE_HEADERS[..], &[][..]),
        (testkit::aws_migration_hub(200), &AWS_HEADERS[..], &["VMware.VCenterId", "ServerId"][..]),
    ] {
        let suggestions = suggestions(&table);
        assert_eq!(suggestions.len(), headers.len());
        for suggestion in suggestions {
            let expects_none = without.contains(&suggestion.source_column.as_str());
            assert_eq!(suggestion.target.is_none(), expects_none, "{suggestion:?}");
            assert!(expects_none || suggestion.confidence >= 0.8, "{suggestion:?}");
        }
    }
}

#[test]
fn the_reason_names_both_witnesses() {
    let suggestions = suggestions(&table(&[
        ("Memory (In MB)", &["1024", "2048", "4096"]),
        ("F2", &["10.0.0.1", "10.0.0.2", "unknown"]),
        ("F3", &["alpha", "beta"]),
    ]));
    let reasons: Vec<&str> = suggestions.iter().map(|suggestion| suggestion.reason.as_str()).collect();
    assert_eq!(
        reasons,
        [
            "header “Memory (In MB)” matches Memory (MB); all 3 values are integers",
            "header “F2” is not known and the values do not tell what they are",
            "header “F3” is not known and the values do not tell what they are",
        ]
    );
}

#[test]
fn conflicting_values_lower_the_confidence() {
    let good = &suggestions(&table(&[("IP address", &["10.0.0.1", "10.0.0.2"])]))[0];
    let bad = &suggestions(&table(&[("IP address", &["Berlin", "10.0.0.2"])]))[0];
    let wrong = &suggestions(&table(&[("IP address", &["Berlin", "Hamburg"])]))[0];
    assert!(good.confidence > bad.confidence && bad.confidence > wrong.confidence);
    assert_eq!(wrong.target, None);
}

#[test]
fn one_target_goes_to_one_column() {
    let columns: &[(&str, &[&str])] =
        &[("Backup IP", &["10.0.0.1"]), ("IP address", &["10.0.0.2"]), ("Gateway", &["10.0.0.3"])];
    assert_eq!(targets_of(columns), [None, Some("ip_address"), None]);
    assert_eq!(suggestions(&table(columns))[2].reason, "column “IP address” fits IP address better");
}

#[test]
fn the_same_file_gives_the_same_suggestions() {
    let table = testkit::aws_migration_hub(50);
    assert_eq!(suggestions(&table), suggestions(&table));
}

struct Score {
    columns: usize,
    right: usize,
    suggested: usize,
    suggested_right: usize,
}

fn measure(name: &str, set: &str, total: &mut Score) {
    let labelled: Vec<(&str, Vec<&str>, Vec<&str>)> = set
        .lines()
        .map(|line| {
            let cells: Vec<&str> = line.split('\t').collect();
            let values = cells.get(2).map_or(Vec::new(), |cell| cell.split(" | ").collect());
            (cells[0], cells[1].split('|').collect(), values)
        })
        .collect();
    let columns: Vec<(&str, &[&str])> = labelled.iter().map(|(header, _, values)| (*header, &values[..])).collect();
    for ((header, accepted, _), suggestion) in labelled.iter().zip(suggestions(&table(&columns))) {
        let got = suggestion.target.map_or("-", |target| target.name);
        let right = accepted.contains(&got);
        total.columns += 1;
        total.right += usize::from(right);
        total.suggested += usize::from(got != "-");
        total.suggested_right += usize::from(got != "-" && right);
        if !right {
            println!("{name}: {header:?} is {accepted:?}, got {got} ({})", suggestion.confidence);
        }
    }
}

macro_rules! sets {
    ($group:literal: $($name:literal),+ $(,)?) => {
        &[$(($name, include_str!(concat!("../../tests/data/mappings/", $group, "/", $name, ".tsv")))),+]
    };
}

/// Both in percent: columns judged right (“no target” included), and suggestions that are right.
fn accuracy(sets: &[(&str, &str)]) -> (usize, usize) {
    let mut total = Score { columns: 0, right: 0, suggested: 0, suggested_right: 0 };
    for (name, set) in sets {
        measure(name, set, &mut total);
    }
    println!(
        "{} of {} columns, {} of {} suggestions",
        total.right, total.columns, total.suggested_right, total.suggested
    );
    (total.right * 100 / total.columns, total.suggested_right * 100 / total.suggested)
}

#[test]
fn accuracy_on_tuned_sets() {
    let (columns, suggested) = accuracy(sets!["tuned":
        "app_portfolio", "azure_resource_graph", "checkmk", "device42", "disaster_recovery", "endpoint_inventory",
        "german_cmdb", "german_server_list", "homegrown_list", "hyperv", "idoit", "inspektion_excel", "lansweeper",
        "migration_tracker", "netbox_vms", "nutanix_collector", "ocs_inventory", "proxmox", "rvtools_vinfo", "sccm",
        "servicenow", "solarwinds_nodes", "terse_names", "values_only",
    ]);
    assert!(columns >= 95 && suggested >= 95, "{columns} %, {suggested} %");
}

#[test]
fn accuracy_on_held_out_sets() {
    let (columns, suggested) = accuracy(sets!["held_out":
        "fnt_deutsch", "glpi", "lpar_list", "manageengine", "questionnaire", "tanium", "vrops_report",
        "zabbix_inventory",
    ]);
    assert!(columns >= 88 && suggested >= 94, "{columns} %, {suggested} %");
}
