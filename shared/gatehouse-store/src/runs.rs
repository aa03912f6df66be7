//! Runs.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use aws_sdk_dynamodb::{
    operation::{put_item::PutItemError, update_item::UpdateItemError},
    types::AttributeValue,
};
use gatehouse_domain::{
    ci::{RunStatus, WantedVersion},
    name::{JobId, ParameterName},
    paging::{InvalidCursor, ListError, Page, PageRequest},
    parameter::Undelivered,
    runs::{FindRun, ListRuns, RecordRun, Run, RunId},
    store::StoreError,
};
use jiff::Timestamp;
use serde::{Serialize, Serializer, ser::Error as _};
use serde_json::Value;

use crate::{
    Table,
    error::{conditional, unavailable},
    item::{
        EXPIRES_AT, IF_ABSENT, INDEX, INDEX_PK, INDEX_SK, Item, compose, corrupt, decompose, key_attributes,
        number, text,
    },
    keys,
};

/// How long a run is kept after it was asked for, in seconds: 90 days. A build that its CI system still
/// has can be shown for longer.
const RETENTION_SECONDS: i64 = 90 * 24 * 60 * 60;

/// The condition that keeps a run as it ended: a look at the CI system that began before the end may be
/// written after it.
const UNLESS_ENDED: &str =
    "attribute_exists(pk) AND NOT #status IN (:succeeded, :failed, :errored, :cancelled)";

/// The item of a run.
pub(crate) fn item(run: &Run) -> Result<Item, StoreError> {
    let mut item = compose(keys::run(&run.id), Some(keys::run_in_list(run)), run)?;
    item.insert(EXPIRES_AT.to_owned(), number(run.created_at.as_second() + RETENTION_SECONDS));
    Ok(item)
}

#[async_trait]
impl FindRun for Table {
    async fn find_run(&self, id: &RunId) -> Result<Option<Run>, StoreError> {
        self.find(keys::run(id)).await?.map(decompose).transpose()
    }

    async fn find_runs(&self, ids: &BTreeSet<RunId>) -> Result<Vec<Run>, StoreError> {
        let items = self.find_all(ids.iter().map(keys::run).collect()).await?;
        items.into_iter().map(decompose).collect()
    }
}

#[async_trait]
impl ListRuns for Table {
    async fn list_runs(&self, job: &JobId, page: &PageRequest) -> Result<Page<Run>, ListError> {
        let list = keys::runs_of(job);
        let mut call = self
            .client
            .query()
            .table_name(&self.name)
            .index_name(INDEX)
            .key_condition_expression("gsi1pk = :list")
            .expression_attribute_values(":list", text(list.clone()))
            .scan_index_forward(false)
            .limit(page.limit.get().into());
        if let Some(sort_key) = self.place(&list, page).await? {
            call = call.set_exclusive_start_key(Some(list_position(&list, &sort_key)?));
        }
        let answer = call.send().await.map_err(unavailable)?;
        let items = answer.items.unwrap_or_default().into_iter().map(decompose);
        let end = answer.last_evaluated_key.as_ref().and_then(|key| key.get(INDEX_SK)?.as_s().ok().cloned());
        Ok(Page { items: items.collect::<Result<_, _>>()?, next: self.next(&list, page, end).await? })
    }
}

/// The key of the item in the index that has this sort key.
fn list_position(list: &str, sort_key: &str) -> Result<Item, InvalidCursor> {
    let (_, id) = sort_key.split_once('#').ok_or(InvalidCursor)?;
    let mut position = key_attributes(keys::run(&id.parse().map_err(|_| InvalidCursor)?));
    position.insert(INDEX_PK.to_owned(), text(list));
    position.insert(INDEX_SK.to_owned(), text(sort_key));
    Ok(position)
}

/// What of a run is written about its parameters, as [`Run`] stores it.
#[derive(Serialize)]
struct StoredDelivery<'a> {
    parameters: &'a BTreeMap<ParameterName, Value>,
    #[serde(serialize_with = "as_text")]
    undelivered: &'a Undelivered,
    awaited: &'a [WantedVersion],
}

fn as_text<S: Serializer>(undelivered: &Undelivered, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&serde_json::to_string(undelivered).map_err(S::Error::custom)?)
}

#[async_trait]
impl RecordRun for Table {
    async fn record_observation(&self, run: &Run) -> Result<(), StoreError> {
        let mut call = self
            .client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(key_attributes(keys::run(&run.id))))
            .update_expression(
                "SET #status = :status, provider_status = :provider_status, reason = :reason, \
                 started_at = :started_at, finished_at = :finished_at, web_url = :web_url, #number = :number",
            )
            .condition_expression(UNLESS_ENDED)
            .expression_attribute_names("#status", "status")
            .expression_attribute_names("#number", "number");
        for (name, value) in observation(run)? {
            call = call.expression_attribute_values(name, value);
        }
        // Refused means that it has ended, or is forgotten: what was seen is old news.
        conditional(ended(call).send().await, UpdateItemError::is_conditional_check_failed_exception)
            .map(drop)
    }

    async fn record_delivery(&self, run: &Run) -> Result<(), StoreError> {
        let Run { parameters, undelivered, awaited, .. } = run;
        let delivery = StoredDelivery { parameters, undelivered, awaited };
        let delivery: Item = serde_dynamo::to_item(delivery).map_err(corrupt)?;
        let call = self
            .client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(key_attributes(keys::run(&run.id))))
            .update_expression(
                "SET #parameters = :parameters, undelivered = :undelivered, awaited = :awaited",
            )
            .expression_attribute_names("#parameters", "parameters")
            .condition_expression("attribute_exists(pk)");
        let values = delivery.into_iter().map(|(name, value)| (format!(":{name}"), value));
        let call = values.fold(call, |call, (name, value)| call.expression_attribute_values(name, value));
        // Refused means that the run is forgotten.
        conditional(call.send().await, UpdateItemError::is_conditional_check_failed_exception).map(drop)
    }

    async fn record_cancel_request(&self, run: &Run) -> Result<(), StoreError> {
        let call = self
            .client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(key_attributes(keys::run(&run.id))))
            .update_expression(
                "SET cancel_requested_at = if_not_exists(cancel_requested_at, :at), #status = :status",
            )
            .condition_expression(UNLESS_ENDED)
            .expression_attribute_names("#status", "status")
            .expression_attribute_values(":at", time(run.cancel_requested_at))
            .expression_attribute_values(":status", text(run.status.as_str()));
        // `if_not_exists`: of several requests, the first is when the run was asked to stop.
        let open =
            conditional(ended(call).send().await, UpdateItemError::is_conditional_check_failed_exception)?;
        if open { Ok(()) } else { self.record_foreign_run(run).await }
    }
}

impl Table {
    /// Records a run that was started elsewhere. One that is recorded by now has ended, and stays so.
    async fn record_foreign_run(&self, run: &Run) -> Result<(), StoreError> {
        let call = self
            .client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(item(run)?))
            .condition_expression(IF_ABSENT);
        conditional(call.send().await, PutItemError::is_conditional_check_failed_exception).map(drop)
    }
}

type UpdateCall = aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;

/// The values that [`UNLESS_ENDED`] needs.
fn ended(call: UpdateCall) -> UpdateCall {
    let statuses = [RunStatus::Succeeded, RunStatus::Failed, RunStatus::Errored, RunStatus::Cancelled];
    statuses.into_iter().fold(call, |call, status| {
        call.expression_attribute_values(format!(":{}", status.as_str()), text(status.as_str()))
    })
}

fn observation(run: &Run) -> Result<Vec<(&'static str, AttributeValue)>, StoreError> {
    let optional = |value: &Option<String>| value.clone().map_or(AttributeValue::Null(true), text);
    Ok(vec![
        (":status", text(run.status.as_str())),
        (":provider_status", text(run.provider_status.clone())),
        (":reason", serde_dynamo::to_attribute_value(&run.reason).map_err(corrupt)?),
        (":started_at", time(run.started_at)),
        (":finished_at", time(run.finished_at)),
        (":web_url", optional(&run.web_url)),
        (":number", optional(&run.number)),
    ])
}

fn time(time: Option<Timestamp>) -> AttributeValue {
    time.map_or(AttributeValue::Null(true), |time| text(time.to_string()))
}
