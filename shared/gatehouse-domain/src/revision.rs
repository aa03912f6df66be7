//! Editing what others edit too: revisions, and what an edit expects to find.

use serde::{Deserialize, Serialize};

use crate::clock::{IdSource, random_id};

/// Which edit of a thing this is: a strong `ETag`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Revision(String);

impl Revision {
    /// A revision that no other edit has.
    pub fn new(ids: &dyn IdSource) -> Self {
        Self(random_id(ids, "rev"))
    }

    /// The revision of a thing that was written before such things had one.
    pub fn unwritten() -> Self {
        Self("rev_none".to_owned())
    }

    /// Takes text from a caller or the store for a revision; it is only ever compared.
    pub fn unverified(text: String) -> Self {
        Self(text)
    }

    /// The revision as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether an edit was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EditOutcome {
    Done,
    /// Somebody else's edit came first.
    Conflict,
}

/// What an edit expects to find.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Precondition {
    /// Nothing in particular was said.
    None,
    /// Nothing yet (`If-None-Match: *`).
    Absent,
    /// This revision (`If-Match`).
    Revision(Revision),
}

impl Precondition {
    /// Whether `current` is what was expected; an existing thing is replaced only knowingly.
    ///
    /// # Errors
    ///
    /// Which answer the caller gets instead.
    pub fn admit(&self, current: Option<&Revision>) -> Result<(), PreconditionError> {
        match (self, current) {
            (Self::None | Self::Absent, None) => Ok(()),
            (Self::Revision(expected), Some(current)) if expected == current => Ok(()),
            (Self::None, Some(current)) => Err(PreconditionError::Required { current: current.clone() }),
            (Self::Absent, Some(_)) | (Self::Revision(_), _) => Err(PreconditionError::Failed),
        }
    }
}

/// Why an edit is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PreconditionError {
    /// The thing exists, and the caller did not say which revision they saw.
    #[error("it exists already; send its ETag in If-Match to replace or delete it")]
    Required { current: Revision },
    /// The thing is not as the caller expects.
    #[error("it is not as expected any more; read it again and repeat the change")]
    Failed,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn existing_things_are_replaced_only_knowingly() {
        let current = Revision::unverified("r1".into());
        assert_eq!(Precondition::None.admit(None), Ok(()));
        let required = PreconditionError::Required { current: current.clone() };
        assert_eq!(Precondition::None.admit(Some(&current)), Err(required));
        assert_eq!(Precondition::Absent.admit(Some(&current)), Err(PreconditionError::Failed));
        assert_eq!(Precondition::Revision(current.clone()).admit(Some(&current)), Ok(()));
        assert_eq!(Precondition::Revision(current).admit(None), Err(PreconditionError::Failed));
    }
}
