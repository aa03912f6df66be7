//! Starts of runs.

use std::collections::BTreeMap;

use async_trait::async_trait;
use aws_sdk_dynamodb::{operation::update_item::UpdateItemError, types::ReturnValuesOnConditionCheckFailure};
use gatehouse_domain::{
    audit::Entry,
    ci::{Checkpoint, StartKind, Target},
    idempotency::{Fingerprint, RequestKey},
    name::{JobId, ParameterName},
    runs::{
        Run, RunId,
        start::{BeginOutcome, FinishOutcome, REPLAY_FOR, RunRequest, RunRequestState, RunRequests},
    },
    store::StoreError,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Table,
    error::conditional,
    item::{IF_ABSENT, Item, compose, corrupt, decompose, key_attributes, number, text},
    keys,
    runs::{self, StoredRun},
    transaction::{Outcome, Transaction},
};

/// How far the start is.
const STATE: &str = "state";
/// Which request works on it.
const HOLDER: &str = "holder";

/// The condition under which a request may change a start: it is still as the request read it.
const IF_HELD: &str = "#state.#holder = :holder AND #state.held_until = :held_until";

/// A start as it is stored.
#[derive(Serialize, Deserialize)]
struct StoredStart {
    key: RequestKey,
    start_id: String,
    fingerprint: Fingerprint,
    job_id: JobId,
    kind: StartKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rerun_of: Option<RunId>,
    target: Target,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    parameters: BTreeMap<ParameterName, Value>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    environment: BTreeMap<String, String>,
    checkpoint: Checkpoint,
    actor: String,
    created_at: Timestamp,
    state: StoredState,
    expires_at: i64,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
enum StoredState {
    Open {
        holder: String,
        held_until: Timestamp,
        called_at: Timestamp,
        #[serde(rename = "looking")]
        recovering: bool,
    },
    Finished {
        run: Box<StoredRun>,
    },
}

/// The pointer from a job to one of its open starts.
#[derive(Serialize, Deserialize)]
struct StoredPointer {
    key: RequestKey,
    expires_at: i64,
}

impl From<&RunRequestState> for StoredState {
    fn from(state: &RunRequestState) -> Self {
        match state.clone() {
            RunRequestState::Open { holder, held_until, called_at, recovering } => {
                Self::Open { holder, held_until, called_at, recovering }
            }
            RunRequestState::Finished(run) => Self::Finished { run: Box::new((*run).into()) },
        }
    }
}

impl From<StoredState> for RunRequestState {
    fn from(stored: StoredState) -> Self {
        match stored {
            StoredState::Open { holder, held_until, called_at, recovering } => {
                Self::Open { holder, held_until, called_at, recovering }
            }
            StoredState::Finished { run } => Self::Finished(Box::new((*run).into())),
        }
    }
}

fn expiry(start: &RunRequest) -> i64 {
    (start.created_at + REPLAY_FOR).as_second()
}

fn item(start: &RunRequest) -> Result<Item, StoreError> {
    let stored = StoredStart {
        key: start.key.clone(),
        start_id: start.id.clone(),
        fingerprint: start.fingerprint.clone(),
        job_id: start.job_id.clone(),
        kind: start.kind.clone(),
        rerun_of: start.rerun_of.clone(),
        target: start.target.clone(),
        parameters: start.parameters.clone(),
        environment: start.environment.clone(),
        checkpoint: start.checkpoint.clone(),
        actor: start.actor.clone(),
        created_at: start.created_at,
        state: (&start.state).into(),
        expires_at: expiry(start),
    };
    compose(keys::start(&start.key), None, &stored)
}

fn read(item: Item) -> Result<RunRequest, StoreError> {
    let stored: StoredStart = decompose(item)?;
    Ok(RunRequest {
        key: stored.key,
        id: stored.start_id,
        fingerprint: stored.fingerprint,
        job_id: stored.job_id,
        kind: stored.kind,
        rerun_of: stored.rerun_of,
        target: stored.target,
        parameters: stored.parameters,
        environment: stored.environment,
        checkpoint: stored.checkpoint,
        actor: stored.actor,
        created_at: stored.created_at,
        state: stored.state.into(),
    })
}

/// The holder and the end of the hold, as [`IF_HELD`] compares them; nothing for a finished start.
fn hold(start: &RunRequest) -> Option<(String, String)> {
    match &start.state {
        RunRequestState::Open { holder, held_until, .. } => Some((holder.clone(), held_until.to_string())),
        RunRequestState::Finished(_) => None,
    }
}

#[async_trait]
impl RunRequests for Table {
    async fn find_request(&self, key: &RequestKey, now: Timestamp) -> Result<Option<RunRequest>, StoreError> {
        let start = self.find(keys::start(key)).await?.map(read).transpose()?;
        Ok(start.filter(|start| expiry(start) > now.as_second()))
    }

    async fn begin_request(&self, start: &RunRequest, entry: &Entry) -> Result<BeginOutcome, StoreError> {
        let mut transaction = Transaction::default();
        let put = self
            .transact_put(item(start)?)
            .condition_expression("attribute_not_exists(pk) OR expires_at <= :now")
            .expression_attribute_values(":now", number(self.epoch_seconds()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        transaction.put(put)?;
        let pointer = StoredPointer { key: start.key.clone(), expires_at: expiry(start) };
        // No condition: the pointer belongs to the start, whose own condition decides.
        let pointer = compose(keys::open_start(&start.job_id, &start.key), None, &pointer)?;
        transaction.put(self.transact_put(pointer))?;
        match self.write_with_entry(transaction, entry).await? {
            Outcome::Written => Ok(BeginOutcome::Begun),
            Outcome::Refused { item: Some(item), .. } => Ok(BeginOutcome::Exists(Box::new(read(item)?))),
            Outcome::Refused { item: None, .. } => {
                Err(StoreError::Unavailable("the table did not return the start that exists".into()))
            }
        }
    }

    async fn hold_request(&self, start: &RunRequest, state: &RunRequestState) -> Result<bool, StoreError> {
        let Some((holder, held_until)) = hold(start) else { return Ok(false) };
        let state = serde_dynamo::to_attribute_value(StoredState::from(state)).map_err(corrupt)?;
        let call = self
            .client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(key_attributes(keys::start(&start.key))))
            .update_expression("SET #state = :state")
            .condition_expression(IF_HELD)
            .expression_attribute_names("#state", STATE)
            .expression_attribute_names("#holder", HOLDER)
            .expression_attribute_values(":state", state)
            .expression_attribute_values(":holder", text(holder))
            .expression_attribute_values(":held_until", text(held_until));
        conditional(call.send().await, UpdateItemError::is_conditional_check_failed_exception)
    }

    async fn finish_request(&self, start: &RunRequest, run: &Run) -> Result<FinishOutcome, StoreError> {
        let Some((holder, held_until)) = hold(start) else { return Ok(FinishOutcome::HoldLost) };
        let finished = StoredState::from(&RunRequestState::Finished(Box::new(run.clone())));
        let mut transaction = Transaction::default();
        let update = self
            .transact_update(key_attributes(keys::start(&start.key)))
            .update_expression("SET #state = :state, expires_at = :expires_at")
            .condition_expression(IF_HELD)
            .expression_attribute_names("#state", STATE)
            .expression_attribute_names("#holder", HOLDER)
            .expression_attribute_values(
                ":state",
                serde_dynamo::to_attribute_value(finished).map_err(corrupt)?,
            )
            .expression_attribute_values(":expires_at", number(expiry(start)))
            .expression_attribute_values(":holder", text(holder))
            .expression_attribute_values(":held_until", text(held_until));
        transaction.update(update)?;
        transaction.put(self.transact_put(runs::item(run)?).condition_expression(IF_ABSENT))?;
        let pointer = key_attributes(keys::open_start(&start.job_id, &start.key));
        transaction.delete(self.transact_delete(pointer))?;
        match transaction.write(self).await? {
            Outcome::Written => Ok(FinishOutcome::Finished),
            Outcome::Refused { place: 0, .. } => Ok(FinishOutcome::HoldLost),
            Outcome::Refused { .. } => Ok(FinishOutcome::BuildTaken),
        }
    }

    async fn abandon_request(&self, start: &RunRequest) -> Result<(), StoreError> {
        let Some((holder, held_until)) = hold(start) else { return Ok(()) };
        let mut transaction = Transaction::default();
        let delete = self
            .transact_delete(key_attributes(keys::start(&start.key)))
            .condition_expression(IF_HELD)
            .expression_attribute_names("#state", STATE)
            .expression_attribute_names("#holder", HOLDER)
            .expression_attribute_values(":holder", text(holder))
            .expression_attribute_values(":held_until", text(held_until));
        transaction.delete(delete)?;
        let pointer = key_attributes(keys::open_start(&start.job_id, &start.key));
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
        items.into_iter().map(read).collect()
    }
}
