//! The ring of signing keys: public halves only.

use async_trait::async_trait;
use gatehouse_domain::{
    audit::Entry,
    revision::{EditOutcome, Revision},
    signing::{FindKeyRing, KeyRing, SaveKeyRing, SigningKey},
    store::StoreError,
};
use serde::{Deserialize, Serialize};

use crate::{
    Table,
    item::{IF_ABSENT, IF_REVISION, Item, compose, decompose, text},
    keys,
    transaction::{Outcome, Transaction},
};

/// The ring as it is stored.
#[derive(Serialize, Deserialize)]
struct StoredRing {
    signing_keys: Vec<SigningKey>,
    revision: Revision,
}

/// The ring that an item holds.
pub(crate) fn read(item: Item) -> Result<KeyRing, StoreError> {
    let StoredRing { signing_keys, revision } = decompose(item)?;
    Ok(KeyRing { keys: signing_keys, revision })
}

#[async_trait]
impl FindKeyRing for Table {
    async fn find_key_ring(&self) -> Result<Option<KeyRing>, StoreError> {
        self.find(keys::signing_keys()).await?.map(read).transpose()
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
        let stored = StoredRing { signing_keys: ring.keys.clone(), revision: ring.revision.clone() };
        let put = self.transact_put(compose(keys::signing_keys(), None, &stored)?);
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
