//! What is announced of an operation when it changes.

use super::{Operation, OperationStatus};
use crate::{
    announcement::{Announcement, News},
    catalog::{Drift, DriftState, Settled},
};

/// What a change makes known, after which the operation stands as it does and before which it stood as it `was`.
/// Written in the transaction of the change, so that neither is there without the other.
pub(super) fn news(
    operation: &Operation,
    was: OperationStatus,
    settled: Option<&Settled>,
) -> Vec<Announcement> {
    let standing = operation.standing();
    let of_status = match standing {
        _ if standing == was => None,
        OperationStatus::AwaitingApproval => Some(News::OperationAwaitingApproval),
        OperationStatus::Failed | OperationStatus::TimedOut => Some(News::OperationFailed),
        OperationStatus::Queued
        | OperationStatus::Planning
        | OperationStatus::Applying
        | OperationStatus::Deploying
        | OperationStatus::Cancelling
        | OperationStatus::Succeeded
        | OperationStatus::Cancelled
        | OperationStatus::Rejected => None,
    };
    let drift = settled.and_then(|settled| settled.drift.as_ref()?.as_ref());
    let is_news =
        |drift: &&Drift| drift.state == DriftState::Detected && operation.known_drift != Some(drift.summary);
    let found = drift.filter(is_news).map(|_| News::DriftFound);
    of_status.into_iter().chain(found).map(|news| announcement(operation, news)).collect()
}

/// Not why it failed: that is text of a worker, and the operation's own readers get it.
fn announcement(operation: &Operation, news: News) -> Announcement {
    let status = operation.status();
    Announcement {
        tenant: Some(operation.tenant.clone()),
        project: Some(operation.project.clone()),
        service: Some(operation.service_name.clone()),
        service_id: Some(operation.service.clone()),
        environment: Some(operation.environment.clone()),
        kind: Some(operation.work.kind().as_str().to_owned()),
        status: Some(status.to_owned()),
        requested_by: Some(operation.requested.by.clone()),
        ..Announcement::new(news, operation.id.as_str(), status, operation.updated_at)
    }
}
