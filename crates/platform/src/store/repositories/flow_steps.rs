//! How far a flow has come, phase by phase: pure.

use crate::views::{FlowPhase, FlowStatus, FlowStep, Import, ImportStatus, MappingStatistics, StepStatus};

/// The steps of a flow at `phase`, with what its newest import and the review of its mappings say.
pub(super) fn steps(
    status: FlowStatus,
    phase: FlowPhase,
    import: Option<&Import>,
    review: Option<&MappingStatistics>,
) -> Vec<FlowStep> {
    let current = FlowPhase::ALL.iter().position(|other| *other == phase).expect("ALL holds every phase");
    let step = |(at, phase): (usize, &FlowPhase)| FlowStep {
        phase: *phase,
        status: match at.cmp(&current) {
            _ if status == FlowStatus::Completed => StepStatus::Done,
            std::cmp::Ordering::Less => StepStatus::Done,
            std::cmp::Ordering::Equal if matches!(status, FlowStatus::Running | FlowStatus::AwaitingReview) => {
                StepStatus::Active
            }
            _ => StepStatus::Pending,
        },
        detail: match phase {
            FlowPhase::DataImport => import.map(import_detail),
            FlowPhase::FieldMapping => review.map(review_detail),
            FlowPhase::DataCleansing | FlowPhase::AssetInventory => None,
        },
    };
    FlowPhase::ALL.iter().enumerate().map(step).collect()
}

fn import_detail(import: &Import) -> String {
    let Import { file_name, rows_done, .. } = import;
    match import.status {
        ImportStatus::Queued => format!("{file_name} is waiting to be read"),
        ImportStatus::Reading | ImportStatus::Mapping => format!("{rows_done} rows of {file_name} read so far"),
        ImportStatus::Completed => format!("{rows_done} rows imported from {file_name}"),
        ImportStatus::Failed => {
            let reason = import.error.as_ref().map_or("for an unknown reason", |error| &error.message);
            format!("{file_name} was not imported: {reason}")
        }
    }
}

fn review_detail(review: &MappingStatistics) -> String {
    let MappingStatistics { total, approved, rejected, .. } = review;
    format!("{approved} of {total} columns approved, {rejected} rejected")
}

#[cfg(test)]
mod tests {
    use super::*;
    use StepStatus::{Active, Done, Pending};

    fn check(status: FlowStatus, phase: FlowPhase, expected: [StepStatus; 4]) {
        let steps: Vec<_> = steps(status, phase, None, None).into_iter().map(|step| step.status).collect();
        assert_eq!(steps, expected, "{status:?} at {phase:?}");
    }

    #[test]
    fn steps_follow_from_the_phase_and_the_status() {
        check(FlowStatus::Draft, FlowPhase::DataImport, [Pending; 4]);
        check(FlowStatus::Running, FlowPhase::DataImport, [Active, Pending, Pending, Pending]);
        check(FlowStatus::AwaitingReview, FlowPhase::FieldMapping, [Done, Active, Pending, Pending]);
        check(FlowStatus::Cancelled, FlowPhase::DataCleansing, [Done, Done, Pending, Pending]);
        check(FlowStatus::Completed, FlowPhase::DataCleansing, [Done; 4]);
    }

    #[test]
    fn the_review_is_told_in_numbers() {
        let review = MappingStatistics {
            import_id: uuid::Uuid::nil(),
            total: 12,
            suggested: 7,
            approved: 4,
            rejected: 1,
            unmapped: 2,
            average_confidence: 0.5,
            approved_percent: 33.3,
        };
        let steps = steps(FlowStatus::AwaitingReview, FlowPhase::FieldMapping, None, Some(&review));
        assert_eq!(steps[1].detail.as_deref(), Some("4 of 12 columns approved, 1 rejected"));
        assert_eq!(steps[0].detail, None);
    }
}
