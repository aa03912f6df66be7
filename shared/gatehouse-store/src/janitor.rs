//! What was announced of a thing, beside it; how far the janitor has looked; and the outbox, from which news is published.

use async_trait::async_trait;
use aws_sdk_dynamodb::types::AttributeValue;
use gatehouse_domain::{
    api_key::ApiKey,
    caller::Tenants,
    catalog::EnvironmentState,
    janitor::{Announce, Announcement, Marks, Outbox, RememberRound, Round, Subject, Watch, Watched},
    paging::{ListError, Page, PageRequest},
    revision::EditOutcome,
    signing::KeyRing,
    store::StoreError,
    tokens::ServiceToken,
};
use jiff::Timestamp;
use serde::Deserialize;

use crate::{
    Table, api_keys,
    error::unavailable,
    item::{IF_ABSENT, Item, compose, corrupt, decompose, key_attributes},
    keys::{self, Key},
    lists::{Bounds, Section},
    transaction::{Outcome, Transaction},
};

/// The attribute of a thing that says what was announced of it.
#[derive(Deserialize)]
struct StoredMarks {
    #[serde(default)]
    announced: Marks,
}

/// A thing from its item, with what was announced of it.
fn watched<T>(
    read: impl Fn(Item) -> Result<T, StoreError>,
) -> impl Fn(Item) -> Result<Watched<T>, StoreError> {
    move |item| {
        let StoredMarks { announced } = decompose(item.clone())?;
        Ok(Watched { thing: read(item)?, marks: announced })
    }
}

#[async_trait]
impl Watch for Table {
    async fn watched_tokens(&self, page: &PageRequest) -> Result<Page<Watched<ServiceToken>>, ListError> {
        let all = |tenant: &_| Bounds::all(keys::of_tenant(tenant));
        let section = Section::of(keys::TOKENS, &Tenants::All, self.place(keys::TOKENS, page).await?, all)?;
        self.list_section(section, page, |call| call, watched(decompose)).await
    }

    async fn watched_api_keys(&self, page: &PageRequest) -> Result<Page<Watched<ApiKey>>, ListError> {
        self.list_stored_api_keys(page, watched(api_keys::read)).await
    }

    async fn watched_environments(
        &self,
        until: Timestamp,
        page: &PageRequest,
    ) -> Result<Page<Watched<EnvironmentState>>, ListError> {
        let after = self.place(keys::ENVIRONMENTS_ENDING, page).await?;
        let section = Section::until(keys::ENVIRONMENTS_ENDING, &keys::sortable(until), after)?;
        self.list_section(Some(section), page, |call| call, watched(decompose)).await
    }

    async fn watched_key_ring(&self) -> Result<Option<Watched<KeyRing>>, StoreError> {
        self.find(keys::signing_keys()).await?.map(watched(decompose)).transpose()
    }
}

#[async_trait]
impl RememberRound for Table {
    async fn round(&self) -> Result<Round, StoreError> {
        let item = self.find(keys::sweep()).await?;
        Ok(item.map(decompose).transpose()?.unwrap_or_default())
    }

    async fn note_round(&self, round: &Round) -> Result<(), StoreError> {
        let item = compose(keys::sweep(), None, round)?;
        // No condition: of two sweeps that overlap each has looked at what is before its own place since its round began.
        let call = self.client.put_item().table_name(&self.name).set_item(Some(item));
        call.send().await.map(drop).map_err(unavailable)
    }
}

#[async_trait]
impl Announce for Table {
    /// One transaction. Publishing a key replaces the ring, and its marks with it.
    async fn announce(
        &self,
        subject: &Subject,
        previous: &Marks,
        marks: &Marks,
        announcements: &[Announcement],
    ) -> Result<EditOutcome, StoreError> {
        let update = self
            .transact_update(key_attributes(key_of(subject)))
            .update_expression("SET announced = :marks")
            .expression_attribute_values(":marks", attribute(marks)?);
        let update = if *previous == Marks::default() {
            update.condition_expression("attribute_exists(pk) AND attribute_not_exists(announced)")
        } else {
            update
                .condition_expression("announced = :previous")
                .expression_attribute_values(":previous", attribute(previous)?)
        };
        let mut transaction = Transaction::default();
        transaction.update(update)?;
        for announcement in announcements {
            let put = self.transact_put(to_publish(announcement)?);
            transaction.put(put.condition_expression(IF_ABSENT))?;
        }
        transaction.write(self).await.map(Outcome::of_edit)
    }
}

/// The item of the outbox.
pub(crate) fn to_publish(announcement: &Announcement) -> Result<Item, StoreError> {
    compose(keys::to_publish(announcement), None, announcement)
}

fn key_of(subject: &Subject) -> Key {
    match subject {
        Subject::Token(jti) => keys::token(jti),
        Subject::ApiKey(id) => keys::api_key(id),
        Subject::KeyRing => keys::signing_keys(),
        Subject::Environment(service, name) => keys::environment(service, name),
    }
}

fn attribute(marks: &Marks) -> Result<AttributeValue, StoreError> {
    serde_dynamo::to_attribute_value(marks).map_err(corrupt)
}

#[async_trait]
impl Outbox for Table {
    async fn to_publish(&self, page: &PageRequest) -> Result<Page<Announcement>, ListError> {
        self.list_partition(keys::OUTBOX, page, decompose).await
    }

    async fn published(&self, announcement: &Announcement) -> Result<(), StoreError> {
        let call = self.client.delete_item().table_name(&self.name);
        // No condition: what is gone was published too.
        let call = call.set_key(Some(key_attributes(keys::to_publish(announcement))));
        call.send().await.map(drop).map_err(unavailable)
    }
}
