//! How a build stands, and why it waits.

use super::{
    fly,
    version::{ABORTS_PAUSED, ServerVersion},
    wire::{Preparation, Readiness},
};
use gatehouse_domain::ci::{ConcourseTarget, Reason, ReasonCode, RunStatus};

/// Concourse's word for a build that has not begun.
pub(super) const PENDING: &str = "pending";

/// The common word for Concourse's. A word that Concourse has learned since does not end a run.
pub(super) fn common(status: &str) -> RunStatus {
    match status {
        PENDING => RunStatus::Queued,
        "succeeded" => RunStatus::Succeeded,
        "failed" => RunStatus::Failed,
        "errored" => RunStatus::Errored,
        "aborted" => RunStatus::Cancelled,
        _ => RunStatus::Running,
    }
}

/// Why a pending build waits, where Concourse says so.
pub(super) fn reason(
    preparation: &Preparation,
    target: &ConcourseTarget,
    version: Option<&ServerVersion>,
) -> Option<Reason> {
    let blocks = |readiness| readiness == Readiness::Blocking;
    let (code, detail) = if blocks(preparation.paused_pipeline) {
        (ReasonCode::Paused, paused_pipeline(target, version))
    } else if blocks(preparation.paused_job) {
        (ReasonCode::Paused, paused_job(target, version))
    } else if blocks(preparation.max_running_builds) {
        (
            ReasonCode::WaitingForSlot,
            "as many builds of the job run as its pipeline allows at a time".to_owned(),
        )
    } else if blocks(preparation.inputs_satisfied) || preparation.inputs.values().any(|input| blocks(*input))
    {
        (ReasonCode::WaitingForInputs, missing_inputs(preparation))
    } else {
        return None;
    };
    Some(Reason { code, detail })
}

fn paused_pipeline(target: &ConcourseTarget, version: Option<&ServerVersion>) -> String {
    format!("{}{}", words_for_paused_pipeline(target), late_cancel(version))
}

fn paused_job(target: &ConcourseTarget, version: Option<&ServerVersion>) -> String {
    format!("{}{}", words_for_paused_job(target), late_cancel(version))
}

/// That a pipeline is paused, and what unpauses it.
pub(super) fn words_for_paused_pipeline(target: &ConcourseTarget) -> String {
    let command = fly::unpause_pipeline(target);
    format!("pipeline `{}` is paused in Concourse; unpause it: {command}", target.pipeline)
}

/// That a job is paused, and what unpauses it.
pub(super) fn words_for_paused_job(target: &ConcourseTarget) -> String {
    let command = fly::unpause_job(target);
    format!("job `{}` is paused in Concourse; unpause it: {command}", target.job)
}

fn late_cancel(version: Option<&ServerVersion>) -> &'static str {
    if version.is_some_and(|version| version.is_before(ABORTS_PAUSED)) {
        " (before 8.2 Concourse cancels a waiting build only after that, too)"
    } else {
        ""
    }
}

fn missing_inputs(preparation: &Preparation) -> String {
    let reasons = &preparation.missing_input_reasons;
    if reasons.is_empty() {
        return "it waits for its inputs".to_owned();
    }
    let inputs: Vec<_> = reasons.iter().map(|(input, reason)| format!("`{input}` ({reason})")).collect();
    format!("it waits for its inputs: {}", inputs.join(", "))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn told(preparation: Value, version: &str) -> Option<(ReasonCode, String)> {
        let target = ConcourseTarget {
            team: "main".into(),
            pipeline: "app".into(),
            job: "deploy".into(),
            vars: json!({"branch": "main", "n": 1}).as_object().unwrap().clone(),
        };
        let preparation = serde_json::from_value(preparation).unwrap();
        reason(&preparation, &target, Some(&ServerVersion::parse(version)))
            .map(|reason| (reason.code, reason.detail))
    }

    #[test]
    fn a_paused_pipeline_is_told_with_what_unpauses_it() {
        let (code, detail) =
            told(json!({"paused_pipeline": "blocking", "paused_job": "blocking"}), "8.3.0").unwrap();
        assert_eq!(code, ReasonCode::Paused);
        insta::assert_snapshot!(detail, @"pipeline `app` is paused in Concourse; unpause it: fly -t TARGET unpause-pipeline --team main -p app/branch:main,n:1");
    }

    #[test]
    fn old_versions_add_that_cancelling_waits_too() {
        let (_, detail) = told(json!({"paused_job": "blocking"}), "7.14.3").unwrap();
        insta::assert_snapshot!(detail, @"job `deploy` is paused in Concourse; unpause it: fly -t TARGET unpause-job --team main -j app/branch:main,n:1/deploy (before 8.2 Concourse cancels a waiting build only after that, too)");
    }

    #[test]
    fn slots_and_inputs_are_told() {
        let (code, _) = told(json!({"max_running_builds": "blocking"}), "8.3.0").unwrap();
        assert_eq!(code, ReasonCode::WaitingForSlot);
        let inputs = json!({"inputs_satisfied": "blocking", "inputs": {"repo": "blocking"},
            "missing_input_reasons": {"repo": "no versions available"}});
        let expected = "it waits for its inputs: `repo` (no versions available)".to_owned();
        assert_eq!(told(inputs, "8.3.0"), Some((ReasonCode::WaitingForInputs, expected)));
    }

    #[test]
    fn nothing_is_said_where_nothing_blocks() {
        assert_eq!(
            told(json!({"paused_pipeline": "unknown", "inputs": {"repo": "not_blocking"}}), "8.3.0"),
            None
        );
    }

    #[test]
    fn only_the_four_last_words_end_a_run() {
        let ended = ["succeeded", "failed", "errored", "aborted"].map(|word| common(word).is_terminal());
        assert_eq!(ended, [true; 4]);
        assert_eq!(["pending", "started", "new-word"].map(|word| common(word).is_terminal()), [false; 3]);
    }
}
