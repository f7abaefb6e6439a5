//! The gateway's one configuration file: reading it, and telling everything that is wrong with it at once.
//!
//! Text → [`document`] (syntax, with places) → [`structure`] (names and types, by the generated schema) → [`file`]
//! (types) → [`check`] (what it means, and what it names outside of itself) → [`Plan`].
//!
//! # Invariants
//! - Every fault says where, what was found and what was expected; none holds a secret.
//! - The schema that is published is the one by which files are judged.

pub mod file;
pub mod values;

mod check;
mod document;
mod fault;
pub(crate) mod group;
mod secret;
mod structure;
#[cfg(test)]
mod tests;
pub(crate) mod texts;

use std::path::Path;

use serde_json::Value;

pub use self::{
    check::{KeySource, Plan, ReadFile, Surroundings},
    fault::{Fault, Faults, Place},
    file::File,
    secret::Material,
};
use self::{document::Document, fault::Path as ValuePath};

/// Reads a file and everything that it names. Blocks: call it at the start, and from a thread of its own later.
pub fn read(path: &Path) -> Result<Plan, Faults> {
    let file = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| {
        let fault = Fault {
            place: Place { line: 1, column: 1 },
            path: ValuePath::default().to_string(),
            found: format!("cannot be read ({error})"),
            expected: "a TOML file".to_owned(),
            advice: None,
        };
        Faults { file: file.clone(), faults: vec![fault] }
    })?;
    let directory = path.parent().unwrap_or(Path::new(""));
    let mut plan = parse(&text, &Surroundings { directory, env: &|name| std::env::var(name).ok() })
        .map_err(|faults| Faults { file, faults })?;
    plan.files.push(ReadFile::new(path, Some(text.as_bytes())));
    Ok(plan)
}

/// Reads a text, and the files that it names.
pub fn parse(text: &str, surroundings: &Surroundings<'_>) -> Result<Plan, Vec<Fault>> {
    let document = Document::parse(text)?;
    let mut judged = structure::judge(&document, &schema());
    let mut faults = std::mem::take(&mut judged.faults);
    let plan = match serde_json::from_value::<File>(judged.value.clone()) {
        Ok(file) => {
            let (plan, more) = check::check(file, &document, &judged, surroundings);
            // Where something below a value is malformed, what is said of the value itself may be a consequence.
            let is_consequence = |path: &str| {
                let below = faults.iter().filter_map(|fault| fault.path.strip_prefix(path));
                below.into_iter().any(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
            };
            let more: Vec<Fault> = more.into_iter().filter(|fault| !is_consequence(&fault.path)).collect();
            faults.extend(more);
            Some(plan)
        }
        Err(error) => {
            // Something that must be there is not, and was told; else the schema let through what the types do not.
            if faults.is_empty() {
                let path = ValuePath::default();
                let (place, path) = (document.place(&path), path.to_string());
                let (found, expected) = (format!("cannot be used ({error})"), "what the schema says".to_owned());
                faults.push(Fault { place, path, found, expected, advice: None });
            }
            None
        }
    };
    faults.sort_by_key(|fault| fault.place);
    match plan {
        Some(plan) if faults.is_empty() => Ok(plan),
        _ => Err(faults),
    }
}

/// The file's JSON schema.
pub fn schema() -> Value {
    let settings = schemars::generate::SchemaSettings::draft2020_12();
    settings.into_generator().into_root_schema_for::<File>().to_value()
}
