//! The ring of signing keys: public halves only.

use async_trait::async_trait;
use gatehouse_domain::{
    audit::Entry,
    revision::{EditOutcome, Revision},
    signing::{FindKeyRing, KeyRing, SaveKeyRing},
    store::StoreError,
};

use crate::{
    Table,
    item::{IF_ABSENT, IF_REVISION, compose, decompose, text},
    keys,
    transaction::{Outcome, Transaction},
};

#[async_trait]
impl FindKeyRing for Table {
    async fn find_key_ring(&self) -> Result<Option<KeyRing>, StoreError> {
        self.find(keys::signing_keys()).await?.map(decompose).transpose()
    }
}

#[async_trait]
impl SaveKeyRing for Table {
    async fn save_key_ring(
        &self,
        ring: &KeyRing,
        previous: Option<&Revision>,
        entry: &Entry,
    ) -> Result<EditOutcome, StoreError> {
        let put = self.transact_put(compose(keys::signing_keys(), None, ring)?);
        let put = match previous {
            None => put.condition_expression(IF_ABSENT),
            Some(revision) => put
                .condition_expression(IF_REVISION)
                .expression_attribute_values(":revision", text(revision.as_str())),
        };
        let mut transaction = Transaction::default();
        transaction.put(put)?;
        self.write_with_entry(transaction, entry).await.map(Outcome::of_edit)
    }
}
