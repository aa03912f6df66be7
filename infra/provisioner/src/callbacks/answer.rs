//! What Gatehouse says to a callback.

use serde::Deserialize;
use serde_json::value::RawValue;

/// The answer to a message that was taken. It holds secrets, so it cannot be printed.
#[derive(Deserialize)]
pub(crate) struct Answer {
    /// Whether the worker should stop.
    #[serde(default)]
    pub(crate) cancel: bool,
    /// The work order, in the answer to the first message.
    #[serde(default)]
    pub(crate) work: Option<Box<RawValue>>,
}

/// The answer to a message that was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Gatehouse answered {status} {slug}: {detail}")]
pub(crate) struct Refusal {
    status: u16,
    /// The last part of the problem's type.
    slug: String,
    detail: String,
}

/// What a refusal means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RefusalKind {
    /// Nothing of this attempt is wanted any more.
    Final,
    /// A later message, or the end of the attempt, was taken before.
    OutOfOrder,
    /// This message is not wanted as it is.
    BadMessage,
}

#[derive(Deserialize)]
struct Problem {
    r#type: String,
    #[serde(default)]
    detail: Option<String>,
}

impl Refusal {
    pub(super) fn new(status: u16, body: &[u8]) -> Self {
        match serde_json::from_slice::<Problem>(body) {
            Ok(Problem { r#type, detail }) => {
                let slug = r#type.rsplit('/').next().unwrap_or_default().to_owned();
                Self { status, slug, detail: detail.unwrap_or_default() }
            }
            Err(_) => Self { status, slug: "without-problem".to_owned(), detail: String::new() },
        }
    }

    pub(crate) fn kind(&self) -> RefusalKind {
        match (self.status, self.slug.as_str()) {
            (_, "callback-out-of-order") => RefusalKind::OutOfOrder,
            (400 | 413 | 422, _) => RefusalKind::BadMessage,
            _ => RefusalKind::Final,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_final_unless_it_is_about_one_message() {
        let kind = |status, slug: &str| {
            Refusal::new(status, format!("{{\"type\":\"/problems/{slug}\"}}").as_bytes()).kind()
        };
        assert_eq!(kind(401, "callback-token-invalid"), RefusalKind::Final);
        assert_eq!(kind(403, "callback-token-mismatch"), RefusalKind::Final);
        assert_eq!(kind(410, "callback-token-expired"), RefusalKind::Final);
        assert_eq!(kind(409, "attempt-superseded"), RefusalKind::Final);
        assert_eq!(kind(409, "operation-ended"), RefusalKind::Final);
        assert_eq!(kind(409, "callback-out-of-order"), RefusalKind::OutOfOrder);
        assert_eq!(kind(413, "body-too-large"), RefusalKind::BadMessage);
        assert_eq!(kind(422, "invalid-body"), RefusalKind::BadMessage);
        assert_eq!(Refusal::new(404, b"<html>").kind(), RefusalKind::Final);
    }
}
