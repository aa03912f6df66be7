//! What stands in a command's way, and how people are told.

use std::{fmt::Write as _, io};

use gatehouse_domain::error::Chain;
use gatehouse_outbound::{ForbiddenDestination, HttpSetupError};
use serde::Deserialize;

use crate::{
    credentials::CredentialsError,
    exit::Exit,
    server_url::{BadSegment, ServerUrlError},
};

/// Why a command did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// What was asked for makes no sense.
    #[error("{0}")]
    Usage(String),
    /// The URL is none.
    #[error(transparent)]
    Site(#[from] ServerUrlError),
    /// An id is none.
    #[error(transparent)]
    Segment(#[from] BadSegment),
    /// A file that the command line names cannot be read.
    #[error("{path} cannot be read")]
    File { path: String, source: io::Error },
    /// Stored sessions cannot be used.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// There is no session for this site.
    #[error("not logged in at {site}; log in with `gatehouse login --url {site}`, or set GATEHOUSE_TOKEN")]
    NotLoggedIn { site: String },
    /// There is none of this name.
    #[error("there is no {0}, or you may not see it")]
    Missing(String),
    /// A password is needed, and there is nobody to ask.
    #[error("there is no terminal to ask for {what}; {instead}")]
    NobodyToAsk { what: &'static str, instead: &'static str },
    /// The server said no, or that it failed.
    #[error("{}", .0.title)]
    Problem(Box<Problem>),
    /// The server cannot be reached, or was lost.
    #[error("{site} cannot be reached")]
    Unreachable { site: String, source: reqwest::Error },
    /// A stream of events failed.
    #[error("{message}")]
    Stream { message: String, retryable: bool },
    /// Whoever watches was let in when they began to, and is not any more.
    #[error("{0}")]
    NotAdmitted(String),
    /// The server said something that no Gatehouse says.
    #[error("{0}")]
    Nonsense(String),
    /// The client could not be made.
    #[error(transparent)]
    Setup(#[from] HttpSetupError),
    /// The address may not be called. The guard of this client is off, so that this never happens.
    #[error(transparent)]
    Forbidden(#[from] ForbiddenDestination),
    /// Somebody pressed Ctrl-C where a password was asked for.
    #[error("interrupted")]
    Interrupted,
    /// The output cannot be written.
    #[error("the output cannot be written")]
    Output(#[from] io::Error),
}

/// A problem body, RFC 9457, as far as people are told of it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Problem {
    /// The HTTP status; the one of the answer, whatever the body says.
    #[serde(skip)]
    pub(crate) status: u16,
    /// The body as it came, where it is JSON.
    #[serde(skip)]
    pub(crate) body: Option<String>,
    /// After how many seconds the server may be asked again.
    #[serde(skip)]
    pub(crate) retry_after: Option<u64>,
    /// What to do about it, which the client knows better than the server.
    #[serde(skip)]
    pub(crate) hint: Option<String>,
    pub(crate) r#type: String,
    pub(crate) title: String,
    detail: Option<String>,
    errors: Vec<FieldError>,
    request_id: Option<String>,
    /// The operation that is in the way.
    operation: Option<String>,
    /// The key to repeat a trigger with whose outcome is not known.
    pub(crate) idempotency_key: Option<String>,
}

/// A field that was refused.
#[derive(Debug, Clone, Deserialize)]
struct FieldError {
    pointer: String,
    detail: String,
}

impl Failure {
    /// The exit code that says so.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Usage(_)
            | Self::Site(_)
            | Self::Segment(_)
            | Self::File { .. }
            | Self::NobodyToAsk { .. } => Exit::Usage,
            Self::Credentials(_) | Self::NotLoggedIn { .. } | Self::NotAdmitted(_) => Exit::NotAllowed,
            Self::Missing(_) => Exit::Refused,
            Self::Problem(problem) => match problem.status {
                401 | 403 => Exit::NotAllowed,
                400..=499 => Exit::Refused,
                _ => Exit::Unavailable,
            },
            Self::Interrupted => Exit::Interrupted,
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::OutputClosed,
            Self::Unreachable { .. }
            | Self::Stream { .. }
            | Self::Nonsense(_)
            | Self::Setup(_)
            | Self::Forbidden(_)
            | Self::Output(_) => Exit::Unavailable,
        }
    }

    /// Whether nobody can say that nothing happened.
    pub(crate) fn may_have_happened(&self) -> bool {
        match self {
            Self::Unreachable { source, .. } => !source.is_connect(),
            Self::Nonsense(_) => true,
            Self::Problem(problem) => match problem.status {
                500 | 504 => true,
                // Something on the way says so, and not a Gatehouse, which would say what it is about.
                502 => problem.r#type.is_empty(),
                _ => problem.r#type == "/problems/request-in-progress",
            },
            _ => false,
        }
    }

    /// What people read; nothing when nobody reads any more.
    pub(crate) fn text(&self) -> Option<String> {
        match self {
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => None,
            Self::Problem(problem) => Some(problem.text()),
            other => Some(format!("gatehouse: {}\n", Chain(other))),
        }
    }
}

impl Problem {
    /// The same with what to do about it.
    pub(crate) fn hinted(mut self, hint: &str) -> Self {
        self.hint = Some(hint.to_owned());
        self
    }

    /// Why, on one line: the detail, or the title without one, and each refused field.
    pub(crate) fn reason(&self) -> String {
        let detail = self.detail.as_ref().unwrap_or(&self.title).clone();
        let fields = self.errors.iter().map(|error| format!("{}: {}", error.pointer, error.detail));
        std::iter::once(detail).chain(fields).collect::<Vec<_>>().join("; ")
    }

    /// Title, detail, one line for each refused field, and what to quote when asking for help.
    fn text(&self) -> String {
        let mut text = format!("gatehouse: {} ({})\n", self.title, self.status);
        let details = self.detail.iter().map(String::clone);
        let fields = self.errors.iter().map(|error| match error.pointer.as_str() {
            "" => error.detail.clone(),
            pointer => format!("{pointer}: {}", error.detail),
        });
        let operation = self.operation.as_ref().map(|id| format!("operation: {id}"));
        let retry = self.retry_after.map(|seconds| format!("Try again after {seconds} s."));
        let request = self.request_id.iter().map(|id| format!("request_id: {id}"));
        let rest = operation.into_iter().chain(retry).chain(self.hint.clone()).chain(request);
        for line in details.chain(fields).chain(rest) {
            // Writing into a string never fails.
            let _ = writeln!(text, "  {line}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_told_that_nobody_reads() {
        let closed = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!((closed.exit(), closed.text()), (Exit::OutputClosed, None));
        let full = Failure::from(io::Error::from(io::ErrorKind::StorageFull));
        assert_eq!(full.exit(), Exit::Unavailable);
        assert!(full.text().is_some_and(|text| text.contains("cannot be written")));
    }
}
