//! Modules that were published.

use async_trait::async_trait;
use gatehouse_domain::{
    audit::Entry,
    modules::{FindModule, Module, SaveModule},
    name::ModuleName,
    revision::EditOutcome,
    store::StoreError,
};

use crate::{
    Table,
    item::{compose, decompose, key_attributes},
    keys,
    transaction::{Outcome, Transaction},
};

#[async_trait]
impl FindModule for Table {
    async fn find_module(&self, name: &ModuleName) -> Result<Option<Module>, StoreError> {
        self.find(keys::module(name)).await?.map(decompose).transpose()
    }

    async fn list_modules(&self) -> Result<Vec<Module>, StoreError> {
        let items = self.query_partition(keys::MODULES.to_owned()).await?;
        items.into_iter().map(decompose).collect()
    }
}

#[async_trait]
impl SaveModule for Table {
    async fn save_module(&self, module: &Module, entry: &Entry) -> Result<(), StoreError> {
        let put = self.transact_put(compose(keys::module(&module.name), None, module)?);
        let mut transaction = Transaction::default();
        transaction.put(put)?;
        self.write_with_entry(transaction, entry).await.map(drop)
    }

    async fn delete_module(&self, name: &ModuleName, entry: &Entry) -> Result<EditOutcome, StoreError> {
        let delete = self.transact_delete(key_attributes(keys::module(name)));
        let mut transaction = Transaction::default();
        transaction.delete(delete.condition_expression("attribute_exists(pk)"))?;
        self.write_with_entry(transaction, entry).await.map(Outcome::of_edit)
    }
}
