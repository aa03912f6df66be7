//! Pages of lists: a limit, an opaque cursor, and what is on the page.

use serde::{Deserialize, Serialize};

use crate::store::StoreError;

/// How many things a page may hold, 1 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit(u8);

impl Limit {
    pub const MAX: u8 = 100;

    /// A limit, when it is 1 to 100.
    pub fn new(limit: u8) -> Option<Self> {
        (1..=Self::MAX).contains(&limit).then_some(Self(limit))
    }

    pub fn get(self) -> u8 {
        self.0
    }
}

impl Default for Limit {
    /// 50.
    fn default() -> Self {
        Self(50)
    }
}

/// Where the next page starts. Opaque to callers; only the store writes and reads what is inside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cursor(String);

/// A cursor that no page of this list ended with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the cursor does not belong to this list")]
pub struct InvalidCursor;

impl Cursor {
    /// The longest cursor that is looked at, in characters.
    const MAX_LENGTH: usize = 2048;

    /// Encodes what the store wants to find again.
    pub fn encode(position: &[u8]) -> Self {
        Self(data_encoding::BASE64URL_NOPAD.encode(position))
    }

    /// What was encoded.
    ///
    /// # Errors
    ///
    /// When the text was not made by [`Cursor::encode`].
    pub fn decode(&self) -> Result<Vec<u8>, InvalidCursor> {
        if self.0.len() > Self::MAX_LENGTH {
            return Err(InvalidCursor);
        }
        data_encoding::BASE64URL_NOPAD.decode(self.0.as_bytes()).map_err(|_| InvalidCursor)
    }

    /// Takes a caller's text for a cursor, unread.
    pub fn unverified(text: String) -> Self {
        Self(text)
    }

    /// The text to give to the caller.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Which page of a list is asked for.
#[derive(Debug, Clone, Default)]
pub struct PageRequest {
    /// How many things at most.
    pub limit: Limit,
    /// Where to start; the beginning without it.
    pub cursor: Option<Cursor>,
    /// Who asks for what: the pages' cursors are good for the same and nothing else.
    pub asked: String,
}

/// One page of a list. A page may be short, or empty, and still have a next one.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// Where the next page starts; `None` on the last one.
    pub next: Option<Cursor>,
}

/// Why a list cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// The cursor is none of this list.
    #[error(transparent)]
    Cursor(#[from] InvalidCursor),
    #[error("could not read the list")]
    Store(#[from] StoreError),
}
