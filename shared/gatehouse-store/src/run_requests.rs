//! Requests for runs.

use async_trait::async_trait;
use aws_sdk_dynamodb::{operation::update_item::UpdateItemError, types::ReturnValuesOnConditionCheckFailure};
use gatehouse_domain::{
    audit::Entry,
    idempotency::RequestKey,
    name::JobId,
    runs::{
        Run,
        start::{BeginOutcome, FinishOutcome, REPLAY_FOR, RunRequest, RunRequestState, RunRequests},
    },
    store::StoreError,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    Table,
    error::conditional,
    item::{EXPIRES_AT, IF_ABSENT, Item, compose, corrupt, decompose, key_attributes, number, text},
    keys, runs,
    transaction::{Outcome, Transaction},
};

/// How far the request is.
const STATE: &str = "state";
/// Which invocation works on it.
const HOLDER: &str = "holder";

/// The condition under which an invocation may change a request: it is still as the invocation read it.
const IF_HELD: &str = "#state.#holder = :holder AND #state.held_until = :held_until";

/// The pointer from a job to one of its open requests.
#[derive(Serialize, Deserialize)]
struct StoredPointer {
    key: RequestKey,
    expires_at: i64,
}

fn expiry(request: &RunRequest) -> i64 {
    (request.created_at + REPLAY_FOR).as_second()
}

fn item(request: &RunRequest) -> Result<Item, StoreError> {
    let mut item = compose(keys::start(&request.key), None, request)?;
    item.insert(EXPIRES_AT.to_owned(), number(expiry(request)));
    Ok(item)
}

/// The holder and the end of the hold, as [`IF_HELD`] compares them; nothing for a finished request.
fn hold(request: &RunRequest) -> Option<(String, String)> {
    match &request.state {
        RunRequestState::Open { holder, held_until, .. } => Some((holder.clone(), held_until.to_string())),
        RunRequestState::Finished { .. } => None,
    }
}

#[async_trait]
impl RunRequests for Table {
    async fn find_request(&self, key: &RequestKey, now: Timestamp) -> Result<Option<RunRequest>, StoreError> {
        // One that has expired may still be there for days, and must not answer any more.
        let request = self.find(keys::start(key)).await?.map(decompose::<RunRequest>).transpose()?;
        Ok(request.filter(|request| expiry(request) > now.as_second()))
    }

    async fn begin_request(&self, request: &RunRequest, entry: &Entry) -> Result<BeginOutcome, StoreError> {
        let mut transaction = Transaction::default();
        let put = self
            .transact_put(item(request)?)
            // DynamoDB deletes what has expired up to days later.
            .condition_expression("attribute_not_exists(pk) OR expires_at <= :now")
            .expression_attribute_values(":now", number(self.epoch_seconds()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        transaction.put(put)?;
        let pointer = StoredPointer { key: request.key.clone(), expires_at: expiry(request) };
        // No condition: the pointer belongs to the request, whose own condition decides.
        let pointer = compose(keys::open_start(&request.job_id, &request.key), None, &pointer)?;
        transaction.put(self.transact_put(pointer))?;
        match self.write_with_entry(transaction, entry).await? {
            Outcome::Written => Ok(BeginOutcome::Begun),
            Outcome::Refused { item: Some(item), .. } => Ok(BeginOutcome::Exists(Box::new(decompose(item)?))),
            Outcome::Refused { item: None, .. } => {
                Err(StoreError::Unavailable("the table did not return the request that exists".into()))
            }
        }
    }

    async fn hold_request(&self, request: &RunRequest, state: &RunRequestState) -> Result<bool, StoreError> {
        let Some((holder, held_until)) = hold(request) else { return Ok(false) };
        let state = serde_dynamo::to_attribute_value(state).map_err(corrupt)?;
        let call = self
            .client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(key_attributes(keys::start(&request.key))))
            .update_expression("SET #state = :state")
            .condition_expression(IF_HELD)
            .expression_attribute_names("#state", STATE)
            .expression_attribute_names("#holder", HOLDER)
            .expression_attribute_values(":state", state)
            .expression_attribute_values(":holder", text(holder))
            .expression_attribute_values(":held_until", text(held_until));
        conditional(call.send().await, UpdateItemError::is_conditional_check_failed_exception)
    }

    async fn finish_request(&self, request: &RunRequest, run: &Run) -> Result<FinishOutcome, StoreError> {
        let Some((holder, held_until)) = hold(request) else { return Ok(FinishOutcome::HoldLost) };
        let finished = RunRequestState::Finished { run: Box::new(run.clone()) };
        let mut transaction = Transaction::default();
        let update = self
            .transact_update(key_attributes(keys::start(&request.key)))
            .update_expression("SET #state = :state, expires_at = :expires_at")
            .condition_expression(IF_HELD)
            .expression_attribute_names("#state", STATE)
            .expression_attribute_names("#holder", HOLDER)
            .expression_attribute_values(
                ":state",
                serde_dynamo::to_attribute_value(finished).map_err(corrupt)?,
            )
            .expression_attribute_values(":expires_at", number(expiry(request)))
            .expression_attribute_values(":holder", text(holder))
            .expression_attribute_values(":held_until", text(held_until));
        // The refusals below are distinguished by the order of the parts.
        transaction.update(update)?;
        transaction.put(self.transact_put(runs::item(run)?).condition_expression(IF_ABSENT))?;
        let pointer = key_attributes(keys::open_start(&request.job_id, &request.key));
        transaction.delete(self.transact_delete(pointer))?;
        match transaction.write(self).await? {
            Outcome::Written => Ok(FinishOutcome::Finished),
            Outcome::Refused { place: 0, .. } => Ok(FinishOutcome::HoldLost),
            Outcome::Refused { .. } => Ok(FinishOutcome::BuildTaken),
        }
    }

    async fn abandon_request(&self, request: &RunRequest) -> Result<(), StoreError> {
        let Some((holder, held_until)) = hold(request) else { return Ok(()) };
        let mut transaction = Transaction::default();
        let delete = self
            .transact_delete(key_attributes(keys::start(&request.key)))
            .condition_expression(IF_HELD)
            .expression_attribute_names("#state", STATE)
            .expression_attribute_names("#holder", HOLDER)
            .expression_attribute_values(":holder", text(holder))
            .expression_attribute_values(":held_until", text(held_until));
        transaction.delete(delete)?;
        let pointer = key_attributes(keys::open_start(&request.job_id, &request.key));
        transaction.delete(self.transact_delete(pointer))?;
        // Refused means that somebody else works on it by now: then it is theirs to abandon.
        transaction.write(self).await.map(drop)
    }

    async fn open_requests(&self, job: &JobId) -> Result<Vec<RunRequest>, StoreError> {
        let pointers = self.query_partition(keys::open_starts_of(job)).await?;
        let wanted = pointers
            .into_iter()
            .map(|item| decompose::<StoredPointer>(item).map(|pointer| keys::start(&pointer.key)));
        let items = self.find_all(wanted.collect::<Result<_, _>>()?).await?;
        items.into_iter().map(decompose).collect()
    }
}
