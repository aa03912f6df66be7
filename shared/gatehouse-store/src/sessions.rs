//! Sessions: in the item of their user, so that one read decides on them.

use async_trait::async_trait;
use gatehouse_domain::{
    audit::Entry,
    id::SessionId,
    name::UserName,
    store::StoreError,
    users::{Begun, Permit, SaveSession, UserState},
};

use crate::{
    Table,
    item::{corrupt, key_attributes, text},
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
        let mut expression = "SET #sessions.#id = :session, known_networks = :known_networks".to_owned();
        if !removed.is_empty() {
            expression = format!("{expression} REMOVE {}", removed.join(", "));
        }
        let mut update = self
            .transact_update(key_attributes(keys::user(&begun.user.name)))
            .update_expression(expression)
            // A password that was changed, or a right that was taken away, after the password was compared must not
            // find a session that it does not end.
            .condition_expression("#state = :active AND password_hash = :seen AND revision = :revision")
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

    async fn end_session(
        &self,
        user: &UserName,
        session: &SessionId,
        entry: &Entry,
    ) -> Result<(), StoreError> {
        let update = self
            .transact_update(key_attributes(keys::user(user)))
            .update_expression("REMOVE #sessions.#id")
            .condition_expression("attribute_exists(pk)")
            .expression_attribute_names("#sessions", SESSIONS)
            .expression_attribute_names("#id", session.as_str());
        let mut transaction = Transaction::default();
        transaction.update(update)?;
        self.mark_flush_pending(&mut transaction, entry.at)?;
        // Refused means that there is no such user, and so no session of theirs.
        self.write_with_entry(transaction, entry).await.map(drop)
    }
}
