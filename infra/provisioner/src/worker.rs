//! The life of a worker: started, at work, ended.

use std::{future, process::ExitCode, sync::Arc, time::Duration};

use gatehouse_domain::error::Chain;
use gatehouse_runtime::{clock::SystemIds, env};
use secrecy::ExposeSecret;

use crate::{
    callbacks::{Callbacks, Command, Delivery, Link},
    job::{Job, JobError},
    mask::Mask,
    reporter::{IMPORTANT, Reporter, cut},
    settings::{Assignment, Settings, SettingsError, WorkerConfig},
    stop::{Stop, StopCause},
    terraform::TerraformError,
    work::{Phase, WorkOrder},
};

/// Gatehouse takes reasons of so many bytes.
const REASON_LIMIT: usize = 1000;

/// How a worker ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The work is done, and Gatehouse knows.
    Succeeded,
    /// The work is not done, and Gatehouse knows why.
    Failed,
    /// The worker was asked to stop, and Gatehouse knows.
    Cancelled,
    /// Gatehouse wants nothing of this attempt any more.
    Refused,
    /// Gatehouse does not know: it did not answer.
    Unreported,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Succeeded => Self::SUCCESS,
            Outcome::Failed => Self::FAILURE,
            Outcome::Cancelled => Self::from(2),
            Outcome::Refused => Self::from(3),
            Outcome::Unreported => Self::from(4),
        }
    }
}

/// Does the work of one attempt, and reports it.
///
/// It takes SIGTERM and SIGINT over: both mean that the work should be cancelled.
pub async fn run(settings: Settings) -> Outcome {
    // For the client of the artifacts' bucket, which has no TLS of its own.
    rustls::crypto::ring::default_provider().install_default().ok();
    let Settings { assignment, config } = settings;
    let mask = own_secrets(&assignment);
    let stop = Stop::default();
    let callbacks = Callbacks::new(&assignment, Arc::new(SystemIds));
    let callbacks = stop
        .on_signals()
        .map_err(|error| error.to_string())
        .and_then(|()| callbacks.map_err(|error| Chain(&error).to_string()));
    let mut callbacks = match callbacks {
        Ok(callbacks) => callbacks,
        Err(cause) => {
            tracing::error!(cause, "the worker could not start");
            return Outcome::Unreported;
        }
    };
    match begin(&mut callbacks, &assignment, config.as_ref().ok(), &stop, &mask).await {
        Ok(order) => {
            let reporter = Reporter::start(callbacks, &order, mask, stop.clone());
            carry_out(&order, &assignment, config, &reporter, &stop).await
        }
        Err(outcome) => outcome,
    }
}

/// What is never shown, whatever the work is.
fn own_secrets(assignment: &Assignment) -> Mask {
    let mask = Mask::default();
    mask.hide(assignment.callback_token.expose_secret());
    mask.hide(assignment.task_token.expose_secret());
    for name in ["AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"] {
        if let Some(secret) = env::optional(name) {
            mask.hide(&secret);
        }
    }
    mask
}

/// Tells Gatehouse that the worker is there, and gets the work order.
async fn begin(
    callbacks: &mut Callbacks,
    assignment: &Assignment,
    config: Option<&WorkerConfig>,
    stop: &Stop,
    mask: &Mask,
) -> Result<WorkOrder, Outcome> {
    let operation_id = assignment.operation_id.as_str();
    let task_token = assignment.task_token.expose_secret().to_owned();
    let links = config.and_then(|config| config.log_link.as_deref());
    let links = links.map(|template| log_link(template, assignment)).into_iter().collect();
    let started = Command::Started { task_token, links };
    let stopped = async {
        stop.asked().await;
        Duration::ZERO
    };
    match callbacks.send(&started, IMPORTANT, stopped).await {
        Delivery::Taken(answer) => {
            if answer.cancel {
                stop.ask(StopCause::Cancelled);
            }
            // From its text: on the way through a `Value`, large numbers would lose digits.
            match answer.work.and_then(|work| serde_json::from_str(work.get()).ok()) {
                Some(order) => Ok(order),
                None => Err(decline(callbacks, operation_id).await),
            }
        }
        Delivery::Refused(refusal) => {
            tracing::error!(
                operation_id,
                cause = mask.text(&refusal.to_string()),
                "the worker is not wanted"
            );
            Err(Outcome::Refused)
        }
        Delivery::Lost => {
            tracing::error!(operation_id, "Gatehouse did not answer, so nothing was done");
            Err(Outcome::Unreported)
        }
    }
}

/// Ends an attempt whose work order cannot be understood.
async fn decline(callbacks: &mut Callbacks, operation_id: &str) -> Outcome {
    // What is wrong with it is not told: that could repeat an input.
    let reason = "the work order cannot be understood".to_owned();
    tracing::error!(operation_id, reason, "the attempt failed");
    let failure = Command::Failure { reason, cancelled: false, unchanged: false };
    match callbacks.send(&failure, IMPORTANT, future::pending()).await {
        Delivery::Taken(_) => Outcome::Failed,
        Delivery::Refused(_) => Outcome::Refused,
        Delivery::Lost => Outcome::Unreported,
    }
}

fn log_link(template: &str, assignment: &Assignment) -> Link {
    let url = template
        .replace("{operation_id}", &assignment.operation_id)
        .replace("{phase}", &assignment.phase.to_string())
        .replace("{attempt}", &assignment.attempt.to_string());
    Link { name: "log".to_owned(), url }
}

/// Does the work, and says how it ended.
async fn carry_out(
    order: &WorkOrder,
    assignment: &Assignment,
    config: Result<WorkerConfig, SettingsError>,
    reporter: &Reporter,
    stop: &Stop,
) -> Outcome {
    let result = match order.check(&assignment.operation_id, assignment.phase) {
        Ok(()) => match &config {
            Ok(config) => Job { order, attempt: assignment.attempt, config, reporter, stop }.work().await,
            Err(error) => Err(error.clone().into()),
        },
        Err(error) => Err(error.into()),
    };
    let operation_id = order.operation_id.as_str();
    if stop.cause() == Some(StopCause::Refused) {
        tracing::error!(operation_id, "the attempt is no longer wanted, so its end is not reported");
        return Outcome::Refused;
    }
    let (ending, outcome) = match result {
        Ok(success) => (success, Outcome::Succeeded),
        Err(error) => failure(&error, assignment.phase, reporter.mask(), stop.cause()),
    };
    if let Command::Failure { reason, .. } = &ending {
        tracing::error!(operation_id, reason, "the attempt failed");
    }
    if reporter.finish(ending).await { outcome } else { unreported(stop, operation_id) }
}

fn unreported(stop: &Stop, operation_id: &str) -> Outcome {
    tracing::error!(operation_id, "Gatehouse did not take how the attempt ended");
    if stop.cause() == Some(StopCause::Refused) { Outcome::Refused } else { Outcome::Unreported }
}

fn failure(error: &JobError, phase: Phase, mask: &Mask, cause: Option<StopCause>) -> (Command, Outcome) {
    let text = Chain(error).to_string();
    let interrupted = matches!(
        error,
        JobError::Terraform(TerraformError::Interrupted { .. } | TerraformError::Killed { .. })
            | JobError::HalfDone(TerraformError::Interrupted { .. } | TerraformError::Killed { .. })
    );
    let (text, outcome) = match cause {
        Some(StopCause::Cancelled) if interrupted => (format!("cancelled: {text}"), Outcome::Cancelled),
        Some(_) if interrupted => (format!("the worker was told to end: {text}"), Outcome::Cancelled),
        _ => (text, Outcome::Failed),
    };
    let reason = cut(&mask.text(&text), REASON_LIMIT);
    // That a plan changes nothing goes without saying.
    let unchanged = phase == Phase::Apply && !matches!(error, JobError::HalfDone(_));
    (Command::Failure { reason, cancelled: outcome == Outcome::Cancelled, unchanged }, outcome)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terraform::Unapplied;

    #[test]
    fn a_reason_holds_no_secret_and_is_not_too_long() {
        let mask = Mask::default();
        mask.hide("hunter22");
        let reason = "x hunter22 ".repeat(500);
        let error = JobError::Terraform(TerraformError::Failed { command: "plan", reason });
        let (Command::Failure { reason, cancelled, unchanged }, outcome) =
            failure(&error, Phase::Apply, &mask, None)
        else {
            panic!()
        };
        assert!(reason.starts_with("terraform plan failed: x *** x *** "), "{reason}");
        assert!(reason.len() <= REASON_LIMIT && !reason.contains("hunter"), "{reason}");
        assert_eq!((cancelled, unchanged, outcome), (false, true, Outcome::Failed));
    }

    #[test]
    fn an_apply_that_began_may_have_changed_something() {
        let failed = || TerraformError::Failed { command: "apply", reason: "x".into() };
        let unchanged = |error: JobError, phase| match failure(&error, phase, &Mask::default(), None) {
            (Command::Failure { unchanged, .. }, _) => unchanged,
            _ => panic!("a failure is no other command"),
        };
        assert!(unchanged(Unapplied { error: failed(), changed: false }.into(), Phase::Apply));
        assert!(!unchanged(Unapplied { error: failed(), changed: true }.into(), Phase::Apply));
        // Of a plan nobody asks.
        assert!(!unchanged(failed().into(), Phase::Plan));
    }

    #[test]
    fn only_an_interrupted_attempt_is_a_cancelled_one() {
        let mask = Mask::default();
        let ended = |error: TerraformError, cause| match failure(&error.into(), Phase::Apply, &mask, cause) {
            (Command::Failure { reason, cancelled, .. }, _) => (reason, cancelled),
            _ => panic!("a failure is no other command"),
        };
        let interrupted = || TerraformError::Interrupted { command: "apply" };
        let cancelled = ("cancelled: terraform apply was interrupted".to_owned(), true);
        assert_eq!(ended(interrupted(), Some(StopCause::Cancelled)), cancelled);
        let told = ("the worker was told to end: terraform apply was interrupted".to_owned(), true);
        assert_eq!(ended(interrupted(), Some(StopCause::Signalled)), told);
        let missing = TerraformError::Missing("tf".into());
        assert!(!ended(missing, Some(StopCause::Cancelled)).1);
    }
}
