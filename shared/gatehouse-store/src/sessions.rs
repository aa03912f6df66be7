//! Sessions: in the item of their user, so that one read decides on them.

use async_trait::async_trait;
use aws_sdk_dynamodb::{operation::update_item::UpdateItemError, types::builders::UpdateBuilder};
use gatehouse_domain::{
    audit::Entry,
    id::SessionId,
    name::UserName,
    store::StoreError,
    users::{
        Begun, Permit, Reauthenticated, RecordSessionUse, SaveSession, SessionUse, SpentCode, UserState,
    },
};

use crate::{
    Table,
    error::conditional,
    item::{corrupt, key_attributes, number, text},
    keys,
    transaction::{Outcome, Transaction},
    users::{SESSIONS, STATE},
};

#[async_trait]
impl SaveSession for Table {
    async fn begin_session(
        &self,
        begun: &Begun<'_>,
        permits: &[Permit],
        entry: &Entry,
    ) -> Result<bool, StoreError> {
        let forgotten = begun.forgotten.iter().enumerate();
        let removed: Vec<_> = forgotten.clone().map(|(place, _)| format!("#sessions.#old{place}")).collect();
        let change = Change {
            sets: "#sessions.#id = :session, known_networks = :known_networks".to_owned(),
            removed,
            // A password that was changed, or a right that was taken away, after the password was compared must not
            // find a session that it does not end.
            condition: "#state = :active AND password_hash = :seen AND revision = :revision".to_owned(),
        };
        let mut update = change
            .spending(begun.spent, self.transact_update(key_attributes(keys::user(&begun.user.name))))
            .expression_attribute_names("#sessions", SESSIONS)
            .expression_attribute_names("#state", STATE)
            .expression_attribute_names("#id", begun.id.as_str())
            .expression_attribute_values(
                ":session",
                serde_dynamo::to_attribute_value(begun.session).map_err(corrupt)?,
            )
            // Of two logins at the same moment the network of one is forgotten, and known again with the next.
            .expression_attribute_values(
                ":known_networks",
                serde_dynamo::to_attribute_value(&begun.known_networks).map_err(corrupt)?,
            )
            .expression_attribute_values(":active", text(UserState::Active.as_str()))
            .expression_attribute_values(":seen", text(begun.user.password.expose()))
            .expression_attribute_values(":revision", text(begun.user.revision.as_str()));
        for (place, id) in forgotten {
            update = update.expression_attribute_names(format!("#old{place}"), id.as_str());
        }
        let mut transaction = Transaction::default();
        transaction.update(update)?;
        for permit in permits {
            transaction.update(self.give_back(permit))?;
        }
        Ok(matches!(self.write_with_entry(transaction, entry).await?, Outcome::Written))
    }

    async fn end_sessions(
        &self,
        user: &UserName,
        sessions: &[SessionId],
        entry: &Entry,
    ) -> Result<(), StoreError> {
        let mut transaction = Transaction::default();
        if !sessions.is_empty() {
            let removed: Vec<_> = (0..sessions.len()).map(|place| format!("#sessions.#id{place}")).collect();
            let mut update = self
                .transact_update(key_attributes(keys::user(user)))
                .update_expression(format!("REMOVE {}", removed.join(", ")))
                .condition_expression("attribute_exists(pk)")
                .expression_attribute_names("#sessions", SESSIONS);
            for (place, session) in sessions.iter().enumerate() {
                update = update.expression_attribute_names(format!("#id{place}"), session.as_str());
            }
            transaction.update(update)?;
        }
        self.mark_flush_pending(&mut transaction, entry.at)?;
        // Refused means that there is no such user, and so no session of theirs.
        self.write_with_entry(transaction, entry).await.map(drop)
    }

    async fn save_reauthentication(
        &self,
        reauthenticated: &Reauthenticated<'_>,
        permit: &Permit,
        entry: &Entry,
    ) -> Result<bool, StoreError> {
        let Reauthenticated { user, session, at, spent } = reauthenticated;
        let change = Change {
            sets: "#sessions.#id.reauthenticated_at = :at".to_owned(),
            removed: Vec::new(),
            condition: "attribute_exists(#sessions.#id) AND #state = :active AND password_hash = :seen \
                        AND revision = :revision"
                .to_owned(),
        };
        let update = change
            .spending(*spent, self.transact_update(key_attributes(keys::user(&user.name))))
            .expression_attribute_values(":revision", text(user.revision.as_str()))
            .expression_attribute_names("#sessions", SESSIONS)
            .expression_attribute_names("#state", STATE)
            .expression_attribute_names("#id", session.as_str())
            .expression_attribute_values(":at", text(at.to_string()))
            .expression_attribute_values(":active", text(UserState::Active.as_str()))
            .expression_attribute_values(":seen", text(user.password.expose()));
        let mut transaction = Transaction::default();
        transaction.update(update)?;
        transaction.update(self.give_back(permit))?;
        self.mark_flush_pending(&mut transaction, entry.at)?;
        Ok(matches!(self.write_with_entry(transaction, entry).await?, Outcome::Written))
    }
}

/// A change of a user that takes a code.
struct Change {
    sets: String,
    removed: Vec<String>,
    condition: String,
}

impl Change {
    /// The change, which also spends the code: it is made where no later code was used, and the recovery code is there.
    fn spending(mut self, spent: Option<&SpentCode>, mut update: UpdateBuilder) -> UpdateBuilder {
        match spent {
            None => {}
            Some(SpentCode::Step(step)) => {
                self.sets.push_str(", second_factor.last_step = :step");
                self.condition.push_str(
                    " AND (attribute_not_exists(second_factor.last_step) OR second_factor.last_step < :step)",
                );
                update = update
                    .expression_attribute_values(":step", number(i64::try_from(*step).unwrap_or(i64::MAX)));
            }
            Some(SpentCode::Recovery(hash)) => {
                self.removed.push("second_factor.recovery_codes.#spent".to_owned());
                self.condition.push_str(" AND attribute_exists(second_factor.recovery_codes.#spent)");
                update = update.expression_attribute_names("#spent", hash.as_str());
            }
        }
        let removed = self.removed.join(", ");
        let removed = if removed.is_empty() { removed } else { format!(" REMOVE {removed}") };
        update.update_expression(format!("SET {}{removed}", self.sets)).condition_expression(self.condition)
    }
}

#[async_trait]
impl RecordSessionUse for Table {
    async fn record_session_use(&self, used: &SessionUse) -> Result<(), StoreError> {
        let call = self
            .client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(key_attributes(keys::user(&used.user))))
            .update_expression("SET #sessions.#id.last_used_at = :at")
            .condition_expression(
                "attribute_exists(#sessions.#id) AND (attribute_not_exists(#sessions.#id.last_used_at) \
                 OR #sessions.#id.last_used_at < :at)",
            )
            .expression_attribute_names("#sessions", SESSIONS)
            .expression_attribute_names("#id", used.session.as_str())
            .expression_attribute_values(":at", number(used.at.as_millisecond()));
        // Refused means that a later use is recorded, or that the session was ended.
        conditional(call.send().await, UpdateItemError::is_conditional_check_failed_exception).map(drop)
    }
}
