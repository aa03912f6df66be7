//! Providers.

use async_trait::async_trait;
use gatehouse_domain::{
    audit::Entry,
    name::ProviderName,
    providers::{DeleteProvider, FindProvider, ListProviders, Provider, SaveProvider},
    revision::{EditOutcome, Revision},
    store::StoreError,
};

use crate::{
    Table,
    error::unavailable,
    item::{IF_ABSENT, IF_REVISION, Item, compose, decompose, key_attributes, text},
    keys,
    transaction::{Outcome, Transaction},
};

#[async_trait]
impl FindProvider for Table {
    async fn find_provider(&self, name: &ProviderName) -> Result<Option<Provider>, StoreError> {
        self.find(keys::provider(name)).await?.map(decompose).transpose()
    }
}

#[async_trait]
impl ListProviders for Table {
    async fn list_providers(&self) -> Result<Vec<Provider>, StoreError> {
        let items = self.query_partition(keys::PROVIDERS.to_owned()).await?;
        items.into_iter().map(decompose).collect()
    }
}

#[async_trait]
impl SaveProvider for Table {
    async fn save_provider(
        &self,
        provider: &Provider,
        previous: Option<&Revision>,
        entry: Option<&Entry>,
    ) -> Result<EditOutcome, StoreError> {
        let put = self.transact_put(compose(keys::provider(&provider.name), None, provider)?);
        let put = match previous {
            None => put.condition_expression(IF_ABSENT),
            Some(revision) => put
                .condition_expression(IF_REVISION)
                .expression_attribute_values(":revision", text(revision.as_str())),
        };
        let mut transaction = Transaction::default();
        transaction.put(put)?;
        self.write_with_entries(transaction, entry.map(std::slice::from_ref).unwrap_or_default())
            .await
            .map(Outcome::of_edit)
    }
}

#[async_trait]
impl DeleteProvider for Table {
    async fn delete_provider(
        &self,
        name: &ProviderName,
        revision: &Revision,
        entry: &Entry,
    ) -> Result<EditOutcome, StoreError> {
        let delete = self
            .transact_delete(key_attributes(keys::provider(name)))
            .condition_expression(IF_REVISION)
            .expression_attribute_values(":revision", text(revision.as_str()));
        let mut transaction = Transaction::default();
        transaction.delete(delete)?;
        self.write_with_entry(transaction, entry).await.map(Outcome::of_edit)
    }
}

impl Table {
    /// Every item of a partition that is known to be small, strongly consistent.
    pub(crate) async fn query_partition(&self, partition: String) -> Result<Vec<Item>, StoreError> {
        let mut items = Vec::new();
        let mut from = None;
        loop {
            let call = self
                .client
                .query()
                .table_name(&self.name)
                .key_condition_expression("pk = :pk")
                .expression_attribute_values(":pk", text(partition.clone()))
                .consistent_read(true)
                .set_exclusive_start_key(from);
            let page = call.send().await.map_err(unavailable)?;
            items.extend(page.items.unwrap_or_default());
            from = page.last_evaluated_key;
            if from.is_none() {
                return Ok(items);
            }
        }
    }
}
