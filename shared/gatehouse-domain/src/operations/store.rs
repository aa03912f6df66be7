//! Where operations are kept.

use async_trait::async_trait;

use crate::{
    announcement::Announcement,
    audit::Entry,
    catalog::Settled,
    id::OperationId,
    operations::{OperationStatus, operation::Operation},
    revision::{EditOutcome, Revision},
    store::StoreError,
};

/// Looks operations up. Needs `dynamodb:GetItem` and `dynamodb:BatchGetItem`.
#[async_trait]
pub trait FindOperation: Send + Sync {
    /// Returns `None` when no such operation exists. Strongly consistent.
    async fn find_operation(&self, id: &OperationId) -> Result<Option<Operation>, StoreError>;

    /// Those of these that exist, in any order, in one call for up to 100. Strongly consistent.
    async fn find_operations(&self, ids: &[OperationId]) -> Result<Vec<Operation>, StoreError>;
}

/// Whether an operation was recorded.
#[derive(Debug)]
pub enum BeginOutcome {
    /// It was, and the environment is locked.
    Begun,
    /// There is one of this id, as it stands now.
    Exists(Box<Operation>),
    /// Another one is open in the environment.
    Busy(OperationId),
    /// The service is not as the caller saw it.
    ServiceChanged,
    /// The environment, whose time was over, was extended or is gone: it is not deprovisioned.
    NotExpired,
}

/// How lists over all services follow a change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Listing {
    /// They show it as they did.
    #[default]
    Kept,
    /// They show it anew; it was among those that stand so, or where that is not known, may be among any.
    Moved { from: Option<OperationStatus> },
}

/// What is written together with a change of an operation.
#[derive(Debug, Default)]
pub struct Effects<'a> {
    /// What its end changes about its environment, which is unlocked with it.
    pub settled: Option<&'a Settled>,
    /// What somebody did, for the trail.
    pub entry: Option<&'a Entry>,
    pub listing: Listing,
    /// What is to be published.
    pub announcements: Vec<Announcement>,
}

/// Records operations. Needs `dynamodb:PutItem`, `UpdateItem`, `DeleteItem` and `ConditionCheckItem`.
#[async_trait]
pub trait SaveOperation: Send + Sync {
    /// In one transaction: records the operation, lists it as open, locks its environment where that is
    /// free, and writes the entry, where `service` is still the service's revision. One that
    /// [expires](Operation::is_expiry) the environment begins only where its end is not after the operation was asked
    /// for.
    async fn begin_operation(
        &self,
        operation: &Operation,
        service: &Revision,
        entry: &Entry,
    ) -> Result<BeginOutcome, StoreError>;

    /// Writes `operation` where the record still has the version before it, with what the change brings with it. An
    /// operation that has ended and has no signal pending leaves the list of open ones; one that ends in this
    /// change unlocks its environment and settles it: all in one transaction.
    async fn save_operation(
        &self,
        operation: &Operation,
        effects: &Effects<'_>,
    ) -> Result<EditOutcome, StoreError>;
}
