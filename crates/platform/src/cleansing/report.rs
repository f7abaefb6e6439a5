//! How good the values of an import are: every row is read once.

use std::collections::HashMap;

use uuid::Uuid;

use super::tally::ColumnTally;
use crate::{
    coherence::ClientId,
    imports,
    store::{
        Reading, StoreError,
        repositories::corrections::{self, Cells},
    },
    views::{AttributeQuality, DataQuality},
};

/// Most rows that are read: the first ones of a larger file.
const ROWS_MAX: u64 = 200_000;

/// The quality of what `import` shows, and what was corrected in it.
pub(crate) async fn report(db: Reading<'_>, client: ClientId, import: Uuid) -> Result<DataQuality, StoreError> {
    let found = corrections::of_import(db, client, import).await?;
    let mut columns: Vec<_> = found
        .approved
        .iter()
        .filter_map(|mapping| {
            let target = imports::find_target(&mapping.target_attribute)?;
            Some((mapping, usize::try_from(mapping.position).ok()?, target, ColumnTally::new(target)))
        })
        .collect();
    let mut corrected: HashMap<u32, HashMap<&str, u64>> = HashMap::new();
    for correction in &found.corrections {
        corrected.entry(correction.position).or_default().insert(&correction.original, 0);
    }
    let mut rows_inspected = 0;
    let inspect = |Cells { row_number, raw, shown }: Cells<'_>| {
        rows_inspected += 1;
        for (_, at, _, tally) in &mut columns {
            tally.observe(row_number, shown.get(*at).map_or("", String::as_str));
        }
        for (position, rows_by_value) in &mut corrected {
            let original = usize::try_from(*position).ok().and_then(|at| raw.get(at));
            if let Some(rows) = original.and_then(|original| rows_by_value.get_mut(original.as_str())) {
                *rows += 1;
            }
        }
    };
    corrections::visit(db, import, ROWS_MAX, inspect).await?;
    let (mut values, mut doubtful) = (0, 0);
    let mut attributes = Vec::with_capacity(columns.len());
    for (mapping, _, target, tally) in columns {
        let findings = tally.finish();
        values += findings.filled;
        doubtful += findings.doubtful;
        attributes.push(AttributeQuality {
            position: mapping.position,
            source_column: mapping.source_column.clone(),
            target_attribute: mapping.target_attribute.clone(),
            label: target.label.to_owned(),
            data_type: target.data_type.as_str().to_owned(),
            required: target.required,
            filled: findings.filled,
            distinct: findings.distinct,
            issues: findings.issues,
            issues_left_out: findings.issues_left_out,
        });
    }
    let rows_of: Vec<u64> = found
        .corrections
        .iter()
        .map(|correction| corrected[&correction.position][correction.original.as_str()])
        .collect();
    let mut corrections = found.corrections;
    corrections.iter_mut().zip(rows_of).for_each(|(correction, rows)| correction.rows = rows);
    Ok(DataQuality {
        import_id: import,
        engagement_id: found.engagement_id,
        file_name: found.file_name,
        rows: found.rows,
        rows_inspected,
        values,
        doubtful,
        attributes,
        corrections,
    })
}
