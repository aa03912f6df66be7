//! Where operations are kept.

use async_trait::async_trait;

use crate::{
    audit::Entry,
    catalog::Settled,
    id::OperationId,
    operations::operation::Operation,
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
}

/// Records operations. Needs `dynamodb:PutItem`, `UpdateItem`, `DeleteItem` and `ConditionCheckItem`.
#[async_trait]
pub trait SaveOperation: Send + Sync {
    /// In one transaction: records the operation, lists it as open, locks its environment where that is
    /// free, and writes the entry, where `service` is still the service's revision.
    async fn begin_operation(
        &self,
        operation: &Operation,
        service: &Revision,
        entry: &Entry,
    ) -> Result<BeginOutcome, StoreError>;

    /// Writes `operation` where the record still has the version before it, with the entry. An operation
    /// that has ended and has no signal pending leaves the list of open ones; one that ends in this change
    /// unlocks its environment and settles it: all in one transaction.
    async fn save_operation(
        &self,
        operation: &Operation,
        settled: Option<&Settled>,
        entry: Option<&Entry>,
    ) -> Result<EditOutcome, StoreError>;
}
