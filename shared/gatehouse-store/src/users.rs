//! Users, and who of them are platform admins.

use std::collections::BTreeMap;

use async_trait::async_trait;
use aws_sdk_dynamodb::types::{AttributeValue, builders::UpdateBuilder};
use gatehouse_domain::{
    audit::Entry,
    caller::Tenants,
    name::UserName,
    paging::{ListError, Page, PageRequest},
    revision::Revision,
    store::StoreError,
    users::{
        Account, CreateFirstAdmin, FindAccount, FindUser, PasswordHash, SaveUser, SecondFactor, User,
        UserEdit, UserEditOutcome,
    },
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    Table,
    error::unavailable,
    item::{IF_ABSENT, IF_REVISION, Item, compose, corrupt, decompose, key_attributes, number, text},
    keys,
    lists::{Bounds, Section},
    transaction::{Outcome, Transaction},
};

/// The attribute with what a user may do.
const ROLES: &str = "roles";
/// The attribute that says whether a user may log in.
pub(crate) const STATE: &str = "state";
/// The attribute that says whether a user has to change their password before anything else.
const MUST_CHANGE_PASSWORD: &str = "must_change_password";
/// The attribute that says since when a user has a second factor.
const SECOND_FACTOR_SINCE: &str = "second_factor_since";
/// The attribute with the sessions of a user, by id.
pub(crate) const SESSIONS: &str = "sessions";

/// A user as they are stored. The domain's type has no serde, so that nothing but the table ever gets a password's
/// hash.
#[derive(Serialize, Deserialize)]
struct StoredUser {
    user_name: UserName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    display_name: Option<String>,
    password_hash: String,
    #[serde(flatten)]
    account: Account,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    second_factor: Option<SecondFactor>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    known_networks: BTreeMap<String, Timestamp>,
    revision: Revision,
    created_at: Timestamp,
    updated_at: Timestamp,
    updated_by: String,
}

impl StoredUser {
    fn item(user: &User) -> Result<Item, StoreError> {
        let account = Account {
            roles: user.roles.clone(),
            state: user.state,
            must_change_password: user.must_change_password,
            second_factor_since: user.second_factor_since,
            sessions: user.sessions.clone(),
        };
        let stored = Self {
            user_name: user.name.clone(),
            display_name: user.display_name.clone(),
            password_hash: user.password.expose().to_owned(),
            account,
            second_factor: user.second_factor.clone(),
            known_networks: user.known_networks.clone(),
            revision: user.revision.clone(),
            created_at: user.created_at,
            updated_at: user.updated_at,
            updated_by: user.updated_by.clone(),
        };
        compose(keys::user(&user.name), Some(keys::user_in_list(&user.name)), &stored)
    }

    fn read(item: Item) -> Result<User, StoreError> {
        let stored: Self = decompose(item)?;
        let Account { roles, state, must_change_password, second_factor_since, sessions } = stored.account;
        Ok(User {
            name: stored.user_name,
            display_name: stored.display_name,
            roles,
            state,
            password: PasswordHash::unverified(stored.password_hash),
            must_change_password,
            second_factor: stored.second_factor,
            second_factor_since,
            sessions,
            known_networks: stored.known_networks,
            revision: stored.revision,
            created_at: stored.created_at,
            updated_at: stored.updated_at,
            updated_by: stored.updated_by,
        })
    }
}

#[async_trait]
impl FindAccount for Table {
    async fn find_account(&self, name: &UserName) -> Result<Option<Account>, StoreError> {
        let call = self
            .client
            .get_item()
            .table_name(&self.name)
            .set_key(Some(key_attributes(keys::user(name))))
            .consistent_read(true)
            .projection_expression("#roles, #state, #must_change_password, #second_factor_since, #sessions")
            .expression_attribute_names("#roles", ROLES)
            .expression_attribute_names("#state", STATE)
            .expression_attribute_names("#must_change_password", MUST_CHANGE_PASSWORD)
            .expression_attribute_names("#second_factor_since", SECOND_FACTOR_SINCE)
            .expression_attribute_names("#sessions", SESSIONS);
        let item = call.send().await.map_err(unavailable)?.item;
        item.map(decompose).transpose()
    }
}

#[async_trait]
impl FindUser for Table {
    async fn find_user(&self, name: &UserName) -> Result<Option<User>, StoreError> {
        self.find(keys::user(name)).await?.map(StoredUser::read).transpose()
    }

    async fn list_users(&self, page: &PageRequest) -> Result<Page<User>, ListError> {
        // Users belong to no tenant, so the list is one section.
        let section =
            Section::of(keys::USERS, &Tenants::All, self.place(keys::USERS, page).await?, |tenant| {
                Bounds::all(keys::of_tenant(tenant))
            })?;
        self.list_section(section, page, |call| call, StoredUser::read).await
    }
}

#[async_trait]
impl SaveUser for Table {
    async fn create_user(&self, user: &User, entry: &Entry) -> Result<UserEditOutcome, StoreError> {
        let mut transaction = Transaction::default();
        transaction.put(self.transact_put(StoredUser::item(user)?).condition_expression(IF_ABSENT))?;
        if user.is_acting_platform_admin() {
            transaction.update(self.add_platform_admin(&user.name))?;
        }
        match self.write_with_entry(transaction, entry).await? {
            Outcome::Written => Ok(UserEditOutcome::Done),
            Outcome::Refused { .. } => Ok(UserEditOutcome::Conflict),
        }
    }

    async fn edit_user(&self, edit: &UserEdit, entry: &Entry) -> Result<UserEditOutcome, StoreError> {
        let mut transaction = Transaction::default();
        transaction.update(self.apply(edit)?)?;
        self.mark_flush_pending(&mut transaction, entry.at)?;
        // A refusal at this place is the last platform admin's; any other is a conflict of edits.
        let admins = transaction.len();
        match (edit.previous.is_acting_platform_admin(), edit.user.is_acting_platform_admin()) {
            (false, true) => transaction.update(self.add_platform_admin(&edit.user.name))?,
            (true, false) => transaction.update(self.remove_platform_admin(&edit.user.name))?,
            (false, false) | (true, true) => {}
        }
        match self.write_with_entry(transaction, entry).await? {
            Outcome::Written => Ok(UserEditOutcome::Done),
            Outcome::Refused { place, .. } if place == admins => Ok(UserEditOutcome::LastPlatformAdmin),
            Outcome::Refused { .. } => Ok(UserEditOutcome::Conflict),
        }
    }
}

#[async_trait]
impl CreateFirstAdmin for Table {
    async fn create_first_admin(&self, user: &User, entry: &Entry) -> Result<UserEditOutcome, StoreError> {
        let mut transaction = Transaction::default();
        let mut admins = key_attributes(keys::platform_admins());
        admins.insert("admins".to_owned(), names(&user.name));
        transaction.put(self.transact_put(admins).condition_expression(IF_ABSENT))?;
        transaction.put(self.transact_put(StoredUser::item(user)?).condition_expression(IF_ABSENT))?;
        match self.write_with_entry(transaction, entry).await? {
            Outcome::Written => Ok(UserEditOutcome::Done),
            Outcome::Refused { .. } => Ok(UserEditOutcome::Conflict),
        }
    }
}

impl Table {
    /// The update of an edit. Beginning or ending a session leaves the revision as it is, so an edit that keeps all
    /// sessions does not write them; one that ends some writes those that it keeps, each of which must still exist.
    fn apply(&self, edit: &UserEdit) -> Result<UpdateBuilder, StoreError> {
        let user = &edit.user;
        let mut sets = "SET #roles = :roles, #state = :state, password_hash = :password_hash, \
                        must_change_password = :must_change_password, known_networks = :known_networks, \
                        revision = :new_revision, updated_at = :updated_at, updated_by = :updated_by"
            .to_owned();
        let mut condition = IF_REVISION.to_owned();
        let mut update = self
            .transact_update(key_attributes(keys::user(&user.name)))
            .expression_attribute_names("#roles", ROLES)
            .expression_attribute_names("#state", STATE)
            .expression_attribute_values(":roles", text(user.roles.to_string()))
            .expression_attribute_values(":state", text(user.state.as_str()))
            .expression_attribute_values(":password_hash", text(user.password.expose()))
            .expression_attribute_values(
                ":must_change_password",
                AttributeValue::Bool(user.must_change_password),
            )
            .expression_attribute_values(":revision", text(edit.previous.revision.as_str()))
            .expression_attribute_values(
                ":known_networks",
                serde_dynamo::to_attribute_value(&user.known_networks).map_err(corrupt)?,
            )
            .expression_attribute_values(":new_revision", text(user.revision.as_str()))
            .expression_attribute_values(":updated_at", text(user.updated_at.to_string()))
            .expression_attribute_values(":updated_by", text(&user.updated_by));
        if let Some(keep) = &edit.keep_sessions {
            let mut kept = BTreeMap::new();
            for (id, session) in edit.previous.sessions.iter().filter(|(id, _)| keep.contains(id)) {
                let name = format!("#session{}", kept.len());
                condition = format!("{condition} AND attribute_exists(#sessions.{name})");
                update = update.expression_attribute_names(name, id.as_str());
                kept.insert(id.as_str(), session);
            }
            sets = format!("{sets}, #sessions = :sessions");
            let kept = serde_dynamo::to_attribute_value(kept).map_err(corrupt)?;
            update = update
                .expression_attribute_names("#sessions", SESSIONS)
                .expression_attribute_values(":sessions", kept);
        }
        let mut removed = Vec::new();
        match &user.display_name {
            None => removed.push("display_name"),
            Some(name) => {
                update = update.expression_attribute_values(":display_name", text(name));
                sets = format!("{sets}, display_name = :display_name");
            }
        }
        let factors = |user: &User| (user.second_factor.clone(), user.second_factor_since);
        // Otherwise it stays: a code that was spent meanwhile is good no more.
        if let Some(codes) = edit.renewed_recovery_codes() {
            let codes = serde_dynamo::to_attribute_value(codes).map_err(corrupt)?;
            update = update.expression_attribute_values(":recovery_codes", codes);
            sets = format!("{sets}, second_factor.recovery_codes = :recovery_codes");
        } else if factors(user) != factors(&edit.previous) {
            let named = [
                ("second_factor", attribute(user.second_factor.as_ref())?),
                ("second_factor_since", attribute(user.second_factor_since.as_ref())?),
            ];
            for (name, value) in named {
                match value {
                    None => removed.push(name),
                    Some(value) => {
                        update = update.expression_attribute_values(format!(":{name}"), value);
                        sets = format!("{sets}, {name} = :{name}");
                    }
                }
            }
        }
        if !removed.is_empty() {
            sets = format!("{sets} REMOVE {}", removed.join(", "));
        }
        Ok(update.update_expression(sets).condition_expression(condition))
    }

    fn add_platform_admin(&self, name: &UserName) -> UpdateBuilder {
        // No condition: one who is there already stays, and the user's own condition decides.
        self.transact_update(key_attributes(keys::platform_admins()))
            .update_expression("ADD admins :names")
            .expression_attribute_values(":names", names(name))
    }

    /// Removes a platform admin, unless they are the last one.
    fn remove_platform_admin(&self, name: &UserName) -> UpdateBuilder {
        self.transact_update(key_attributes(keys::platform_admins()))
            .update_expression("DELETE admins :names")
            .condition_expression("contains(admins, :name) AND size(admins) > :one")
            .expression_attribute_values(":names", names(name))
            .expression_attribute_values(":name", text(name.as_str()))
            .expression_attribute_values(":one", number(1))
    }
}

/// The value as an attribute has it.
fn attribute<T: Serialize>(value: Option<&T>) -> Result<Option<AttributeValue>, StoreError> {
    value.map(serde_dynamo::to_attribute_value).transpose().map_err(corrupt)
}

fn names(name: &UserName) -> AttributeValue {
    AttributeValue::Ss(vec![name.as_str().to_owned()])
}
