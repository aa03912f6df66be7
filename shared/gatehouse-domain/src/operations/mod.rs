//! Operations: provisioning, deprovisioning and deploying an environment, and looking for drift in it.
//!
//! The record of an operation is the truth; the workflow that drives it gets signals, and may be lost. Every
//! change of a record follows one pure rule of [`Operation`], and is written only where the record is still as
//! the rule saw it. The signal that a change sends to the workflow (start, succeed, fail, stop) is written with it
//! as pending, then delivered, then acknowledged; each can be delivered again without harm. So whoever dies in
//! between is followed up by the janitor.
//!
//! An operation locks its environment from the transaction that records it to the one that records its
//! outcome.

pub mod attempt;
pub mod change;
pub mod decide;
mod deploy;
pub mod drift_check;
mod lifecycle;
mod listing;
mod news;
mod operation;
pub mod reconcile;
pub mod report;
pub mod request;
mod show;
mod signal;
mod standing;
mod status;
pub mod steer;
mod store;
#[cfg(test)]
pub(crate) mod tests;
pub mod workflow;

pub use self::{
    attempt::{Attempt, Phase},
    deploy::{
        CallWebhook, DeployError, DeployStore, Followed, Webhook, WebhookError, call_webhook, follow_run,
        look_again_after, trigger_run,
    },
    lifecycle::{Changed, LOG_BYTES, LOG_LINES, MAX_LINKS, MAX_STEPS, Progress, StepRefused},
    listing::{ListAllOperations, ListedOperation, OperationLists, OperationQuery, Wanted, find, list_all},
    operation::{
        Asked, Configuration, OPEN_AT_MOST, Operation, OperationKind, OperationOutcome, State, Step,
        StepState, Verdict, Work,
    },
    show::{
        EnvironmentStatus, HistoryError, ListOperations, ServiceStatus, ShowOperationError, history, show,
        status,
    },
    signal::{NotATaskToken, Signal, TaskToken},
    status::OperationStatus,
    store::{BeginOutcome, Effects, FindOperation, Listing, SaveOperation},
};
