//! Service tokens: their records. The tokens themselves are kept nowhere.

use std::collections::BTreeSet;

use async_trait::async_trait;
use aws_sdk_dynamodb::{operation::update_item::UpdateItemError, types::AttributeValue};
use gatehouse_domain::{
    audit::Entry,
    caller::Tenants,
    id::TokenId,
    name::TenantId,
    paging::{InvalidCursor, Limit, ListError, Page, PageRequest},
    project::Project,
    revision::EditOutcome,
    store::StoreError,
    tokens::{
        FindToken, KEPT_AFTER_END, ListTokens, RecordUse, SaveToken, ServiceToken, StateFilter, TokenFilter,
        TokenState, TokenStatus, Use,
    },
};
use jiff::Timestamp;

use crate::{
    Table,
    error::conditional,
    item::{
        EXPIRES_AT, IF_ABSENT, Item, UNLESS_USED_LATER, compose, corrupt, decompose, key_attributes, number,
        text,
    },
    keys,
    lists::{Bounds, Section},
    transaction::{Outcome, Transaction},
};

/// The attribute with the state of a token.
const STATE: &str = "state";

/// The tag of [`STATE`]: `active`, `rotated` or `revoked`.
const IS: &str = "is";

/// Who revokes a rotated token when its successor is first used.
const ENDED_BY: &str = "gatehouse";

const ENDED_BECAUSE: &str = "the token that replaces it is in use";

fn item(token: &ServiceToken) -> Result<Item, StoreError> {
    let mut item = compose(keys::token(&token.jti), Some(keys::token_in_list(token)), token)?;
    item.insert(EXPIRES_AT.to_owned(), number((token.expires_at + KEPT_AFTER_END).as_second()));
    Ok(item)
}

fn state(state: &TokenState) -> Result<AttributeValue, StoreError> {
    serde_dynamo::to_attribute_value(state).map_err(corrupt)
}

#[async_trait]
impl FindToken for Table {
    async fn find_token(&self, jti: &TokenId) -> Result<Option<ServiceToken>, StoreError> {
        self.find(keys::token(jti)).await?.map(decompose).transpose()
    }
}

#[async_trait]
impl SaveToken for Table {
    async fn save_new_token(&self, token: &ServiceToken, entry: &Entry) -> Result<EditOutcome, StoreError> {
        let mut transaction = Transaction::default();
        transaction.put(self.transact_put(item(token)?).condition_expression(IF_ABSENT))?;
        self.write_with_entry(transaction, entry).await.map(Outcome::of_edit)
    }

    async fn save_rotation(
        &self,
        token: &ServiceToken,
        older: &ServiceToken,
        entry: &Entry,
    ) -> Result<EditOutcome, StoreError> {
        let update = self
            .transact_update(key_attributes(keys::token(&older.jti)))
            .update_expression("SET #state = :state")
            .condition_expression("#state.#is = :active")
            .expression_attribute_names("#state", STATE)
            .expression_attribute_names("#is", IS)
            .expression_attribute_values(":state", state(&older.state)?)
            .expression_attribute_values(":active", text("active"));
        let mut transaction = Transaction::default();
        transaction.update(update)?;
        transaction.put(self.transact_put(item(token)?).condition_expression(IF_ABSENT))?;
        match self.write_with_entry(transaction, entry).await? {
            Outcome::Written => Ok(EditOutcome::Done),
            Outcome::Refused { place: 0, .. } => Ok(EditOutcome::Conflict),
            Outcome::Refused { .. } => Err(taken()),
        }
    }

    async fn save_revocation(&self, token: &ServiceToken, entry: &Entry) -> Result<EditOutcome, StoreError> {
        let TokenState::Revoked { at, .. } = &token.state else { return Ok(EditOutcome::Conflict) };
        let update = self
            .transact_update(key_attributes(keys::token(&token.jti)))
            .update_expression("SET #state = :state")
            .condition_expression("attribute_exists(pk) AND #state.#is <> :revoked")
            .expression_attribute_names("#state", STATE)
            .expression_attribute_names("#is", IS)
            .expression_attribute_values(":state", state(&token.state)?)
            .expression_attribute_values(":revoked", text("revoked"));
        let mut transaction = Transaction::default();
        transaction.update(update)?;
        self.mark_flush_pending(&mut transaction, *at)?;
        self.write_with_entry(transaction, entry).await.map(Outcome::of_edit)
    }
}

/// An id that exists already: they have 128 random bits, so this is no accident.
fn taken() -> StoreError {
    StoreError::Unavailable("there is a token with this id already".into())
}

#[async_trait]
impl RecordUse for Table {
    async fn record_use(&self, used: &Use) -> Result<(), StoreError> {
        match &used.ends {
            Some(older) if self.revoke_older(used, older).await? => Ok(()),
            _ => self.record_last_use(used).await,
        }
    }
}

impl Table {
    async fn record_last_use(&self, used: &Use) -> Result<(), StoreError> {
        let call = self
            .client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(key_attributes(keys::token(&used.jti))))
            .update_expression("SET last_used_at = :at")
            .condition_expression(UNLESS_USED_LATER)
            .expression_attribute_values(":at", number(used.at.as_millisecond()));
        // Refused means that a later use is recorded, or that the record has expired.
        conditional(call.send().await, UpdateItemError::is_conditional_check_failed_exception).map(drop)
    }

    /// Records the first use of a token and revokes the one that it replaces, in one transaction: a token whose
    /// successor is seen in use must not be valid on the next read. `false` when the older one was revoked otherwise,
    /// and the use is still to be recorded.
    async fn revoke_older(&self, used: &Use, older: &TokenId) -> Result<bool, StoreError> {
        let revoked = TokenState::Revoked {
            at: used.at,
            by: ENDED_BY.to_owned(),
            reason: Some(ENDED_BECAUSE.to_owned()),
        };
        let first_use = self
            .transact_update(key_attributes(keys::token(&used.jti)))
            .update_expression("SET last_used_at = :at")
            .condition_expression(UNLESS_USED_LATER)
            .expression_attribute_values(":at", number(used.at.as_millisecond()));
        let end = self
            .transact_update(key_attributes(keys::token(older)))
            .update_expression("SET #state = :state")
            .condition_expression("#state.#is = :rotated AND #state.#to = :newer")
            .expression_attribute_names("#state", STATE)
            .expression_attribute_names("#is", IS)
            .expression_attribute_names("#to", "to")
            .expression_attribute_values(":state", state(&revoked)?)
            .expression_attribute_values(":rotated", text("rotated"))
            .expression_attribute_values(":newer", text(used.jti.as_str()));
        let mut transaction = Transaction::default();
        transaction.update(first_use)?;
        transaction.update(end)?;
        self.mark_flush_pending(&mut transaction, used.at)?;
        // Refused at the first place means that a later use is recorded, which has revoked the older token.
        Ok(!matches!(transaction.write(self).await?, Outcome::Refused { place: 1, .. }))
    }

    /// Whether a token of the project is still valid. Read from the index, which is eventually consistent.
    pub(crate) async fn has_live_token(&self, project: &Project, now: Timestamp) -> Result<bool, StoreError> {
        let filter = TokenFilter {
            tenants: Tenants::Only(BTreeSet::from([project.tenant.clone()])),
            project: Some(project.name.clone()),
            service: None,
            state: StateFilter::Active,
            unused_since: None,
            expires_by: None,
            now,
        };
        let mut request = PageRequest { limit: Limit::new(Limit::MAX).unwrap_or_default(), cursor: None };
        loop {
            let page = match self.list_tokens(&filter, &request).await {
                Ok(page) => page,
                Err(ListError::Store(error)) => return Err(error),
                Err(ListError::Cursor(error @ InvalidCursor)) => return Err(corrupt(error)),
            };
            if !page.items.is_empty() || page.next.is_none() {
                return Ok(!page.items.is_empty());
            }
            request.cursor = page.next;
        }
    }
}

#[async_trait]
impl ListTokens for Table {
    /// One query. The end of a token is in its sort key, so that those of one tenant that have ended, or end
    /// later than asked for, are not read; the rest of the filter leaves out what was read.
    async fn list_tokens(
        &self,
        filter: &TokenFilter,
        page: &PageRequest,
    ) -> Result<Page<ServiceToken>, ListError> {
        let section = Section::of(keys::TOKENS, &filter.tenants, page, |tenant| bounds(filter, tenant))?;
        let mut page = self.list_section(section, page.limit, |call| call, decompose).await?;
        page.items.retain(|token| is_wanted(filter, token));
        Ok(page)
    }
}

fn bounds(filter: &TokenFilter, tenant: &TenantId) -> Bounds {
    let mut bounds = Bounds::all(keys::of_tenant(tenant));
    if filter.state == StateFilter::Active {
        bounds = bounds.behind(&keys::tokens_ending(tenant, filter.now));
    }
    if let Some(end) = filter.expires_by {
        bounds = bounds.until(&keys::tokens_ending(tenant, end));
    }
    bounds
}

fn is_wanted(filter: &TokenFilter, token: &ServiceToken) -> bool {
    let status = token.status(filter.now);
    let state = match filter.state {
        StateFilter::Active => status.is_valid(),
        StateFilter::Expired => status == TokenStatus::Expired,
        StateFilter::Revoked => status == TokenStatus::Revoked,
        StateFilter::All => true,
    };
    let unused = |since| token.last_used_at.unwrap_or(token.created_at) < since;
    state
        && filter.project.as_ref().is_none_or(|project| *project == token.project)
        && filter.service.as_ref().is_none_or(|service| *service == token.service)
        && filter.unused_since.is_none_or(unused)
        && filter.expires_by.is_none_or(|end| token.expires_at <= end)
}
