//! The key that cursors are sealed with, and the cursors of the table's lists.
//!
//! The key is an item of the table, shared by all functions of an installation. ADR 16 says why it may be there.

use aws_sdk_dynamodb::operation::put_item::PutItemError;
use data_encoding::BASE64;
use gatehouse_domain::{
    paging::{Cursor, InvalidCursor, ListError, PageRequest},
    store::StoreError,
};
use serde::{Deserialize, Serialize};

use crate::{
    Table,
    cursor::CursorKey,
    error::conditional,
    item::{IF_ABSENT, compose, corrupt, decompose},
    keys,
};

/// The key as it is stored.
#[derive(Serialize, Deserialize)]
struct StoredKey {
    secret: String,
}

/// A stored key that is none.
#[derive(Debug, thiserror::Error)]
#[error("the stored key of cursors is not base64")]
struct UnreadableKey;

/// What a cursor of this page is good for.
fn bound_to(list: &str, page: &PageRequest) -> String {
    format!("{list}\n{}", page.asked)
}

impl Table {
    /// The sort key of `list` that the page's cursor stands behind, if it has one.
    pub(crate) async fn place(&self, list: &str, page: &PageRequest) -> Result<Option<String>, ListError> {
        let Some(cursor) = &page.cursor else { return Ok(None) };
        // Where there is no key yet, nothing was ever sealed; and none is made for whatever somebody sends.
        let key = self.known_cursor_key().await?.ok_or(InvalidCursor)?;
        Ok(Some(key.open(&bound_to(list, page), cursor)?))
    }

    /// The cursor of the page behind the one that ended with this sort key of `list`, if one does.
    pub(crate) async fn next(
        &self,
        list: &str,
        page: &PageRequest,
        end: Option<String>,
    ) -> Result<Option<Cursor>, StoreError> {
        let Some(end) = end else { return Ok(None) };
        let salt = self.system.random();
        let sealed = self.cursor_key().await?.seal(salt, &bound_to(list, page), &end);
        sealed.map(Some).ok_or_else(|| corrupt(InvalidCursor))
    }

    /// The key that all functions of an installation share, made by the first that needs it.
    async fn cursor_key(&self) -> Result<&CursorKey, StoreError> {
        if let Some(key) = self.known_cursor_key().await? {
            return Ok(key);
        }
        let secret = self.make_cursor_key().await?;
        Ok(self.cursor_key.get_or_init(|| CursorKey::new(&secret)))
    }

    /// The same, if it was made: read once by each process that turns a page.
    async fn known_cursor_key(&self) -> Result<Option<&CursorKey>, StoreError> {
        if let Some(key) = self.cursor_key.get() {
            return Ok(Some(key));
        }
        let secret = self.stored_cursor_key().await?;
        Ok(secret.map(|secret| self.cursor_key.get_or_init(|| CursorKey::new(&secret))))
    }

    async fn stored_cursor_key(&self) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(item) = self.find(keys::cursor_key()).await? else { return Ok(None) };
        let StoredKey { secret } = decompose(item)?;
        BASE64.decode(secret.as_bytes()).map(Some).map_err(|_| corrupt(UnreadableKey))
    }

    async fn make_cursor_key(&self) -> Result<Vec<u8>, StoreError> {
        let secret = [self.system.random(), self.system.random()].concat();
        let stored = StoredKey { secret: BASE64.encode(&secret) };
        let call = self
            .client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(compose(keys::cursor_key(), None, &stored)?))
            .condition_expression(IF_ABSENT);
        let own = conditional(call.send().await, PutItemError::is_conditional_check_failed_exception)?;
        // Refused means that another process was faster: its key counts.
        if own { Ok(secret) } else { self.stored_cursor_key().await?.ok_or_else(|| corrupt(UnreadableKey)) }
    }
}
