//! What can go wrong in the store, in the words of the rules.

/// A failure of the store. "Not found" is not one: look-ups answer `Option`.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The store cannot be reached, throttles, or answered too late. Trying again may help.
    #[error("the store is unavailable")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// An item or an answer of the store was not what was written. Trying again does not help.
    #[error("the store holds something unreadable")]
    Corrupt(#[source] Box<dyn std::error::Error + Send + Sync>),
}
