//! What stands between the SDK and the wire: it counts, notes, measures, and loses answers.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use aws_sdk_dynamodb::{
    config::{
        ConfigBag, Intercept, RuntimeComponents,
        interceptors::{
            AfterDeserializationInterceptorContextRef, BeforeDeserializationInterceptorContextMut,
            BeforeSerializationInterceptorContextMut, BeforeTransmitInterceptorContextRef,
        },
    },
    error::BoxError,
    operation::{
        delete_item::DeleteItemInput,
        put_item::PutItemInput,
        query::{QueryInput, QueryOutput},
        transact_write_items::TransactWriteItemsInput,
        update_item::UpdateItemInput,
    },
    types::{AttributeValue, ConsumedCapacity, ReturnConsumedCapacity},
};

/// The calls that reached the wire, by the name of the operation.
#[derive(Debug, Clone, Default)]
pub struct Calls(Arc<Mutex<Vec<String>>>);

impl Calls {
    /// The operations that were called since this was last asked.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().expect("nobody panicked"))
    }

    pub(super) fn forget(&self) {
        self.take();
    }
}

impl Intercept for Calls {
    fn name(&self) -> &'static str {
        "Calls"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let target = context.request().headers().get("x-amz-target").unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
        self.0.lock().expect("nobody panicked").push(operation);
        Ok(())
    }
}

/// The writes that were asked for: the name of the operation, and the partition key of its item; that of a transaction is
/// left empty.
#[derive(Debug, Clone, Default)]
pub struct Writes(Arc<Mutex<Vec<(&'static str, String)>>>);

impl Writes {
    /// Those since this was last asked.
    pub fn take(&self) -> Vec<(&'static str, String)> {
        std::mem::take(&mut *self.0.lock().expect("nobody panicked"))
    }

    fn note(&self, operation: &'static str, item: Option<&HashMap<String, AttributeValue>>) {
        let partition = item.and_then(|item| item.get("pk")?.as_s().ok()).cloned().unwrap_or_default();
        self.0.lock().expect("nobody panicked").push((operation, partition));
    }
}

impl Intercept for Writes {
    fn name(&self) -> &'static str {
        "Writes"
    }

    fn modify_before_serialization(
        &self,
        context: &mut BeforeSerializationInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let input = context.input_mut();
        if let Some(put) = input.downcast_mut::<PutItemInput>() {
            self.note("PutItem", put.item.as_ref());
        } else if let Some(update) = input.downcast_mut::<UpdateItemInput>() {
            self.note("UpdateItem", update.key.as_ref());
        } else if let Some(delete) = input.downcast_mut::<DeleteItemInput>() {
            self.note("DeleteItem", delete.key.as_ref());
        } else if input.downcast_mut::<TransactWriteItemsInput>().is_some() {
            self.note("TransactWriteItems", None);
        }
        Ok(())
    }
}

/// Loses the first answer to each call: the table has done what it was asked for, and the SDK tries again.
#[derive(Debug, Default)]
pub(super) struct LosesAnswers(AtomicU64);

impl Intercept for LosesAnswers {
    fn name(&self) -> &'static str {
        "LosesAnswers"
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if self.0.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) {
            *context.response_mut().status_mut() = 500.try_into()?;
        }
        Ok(())
    }
}

/// What a query cost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cost {
    /// How many items it looked at.
    pub looked_at: i32,
    /// How many read units it took.
    pub units: f64,
}

/// What the queries cost that were made.
#[derive(Debug, Clone, Default)]
pub struct Meter(Arc<Mutex<Vec<Cost>>>);

impl Meter {
    /// The costs since this was last asked.
    pub fn take(&self) -> Vec<Cost> {
        std::mem::take(&mut *self.0.lock().expect("nobody panicked"))
    }
}

impl Intercept for Meter {
    fn name(&self) -> &'static str {
        "Meter"
    }

    fn modify_before_serialization(
        &self,
        context: &mut BeforeSerializationInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(query) = context.input_mut().downcast_mut::<QueryInput>() {
            query.return_consumed_capacity = Some(ReturnConsumedCapacity::Total);
        }
        Ok(())
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let answer = context.output_or_error().ok();
        if let Some(answer) = answer.and_then(|answer| answer.downcast_ref::<QueryOutput>()) {
            let units = answer.consumed_capacity().and_then(ConsumedCapacity::capacity_units);
            let cost =
                Cost { looked_at: answer.scanned_count(), units: units.ok_or("the answer holds no units")? };
            self.0.lock().expect("nobody panicked").push(cost);
        }
        Ok(())
    }
}
