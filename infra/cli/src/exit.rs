//! How a command ended, as its exit code says it.

use std::process::ExitCode;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// It is done; a run or an operation that was watched succeeded.
    Done = 0,
    /// A run that was watched failed, or an operation did not succeed.
    RunFailed = 1,
    /// The command line, or a file that it names, cannot be used.
    Usage = 2,
    /// The server refused, or refused a part.
    Refused = 3,
    /// The server failed, or cannot be reached.
    Unavailable = 4,
    /// Nobody is logged in, or who is may not do this.
    NotAllowed = 5,
    /// A run that was watched could not be brought to its end.
    RunErrored = 6,
    /// A run that was watched was cancelled.
    RunCancelled = 7,
    Interrupted = 130,
    /// Whoever read the output stopped reading.
    OutputClosed = 141,
}

/// The codes, for `--help`.
pub const EXIT_CODES: &str = "\
Exit codes:
  0    done; a watched run or operation succeeded
  1    a watched run failed, or a watched operation did not succeed
  2    the command line, or a file that it names, cannot be used
  3    the server refused, or refused a part (4xx)
  4    the server failed (5xx), or cannot be reached
  5    not logged in, or not allowed (401, 403)
  6    a watched run errored: it could not be brought to its end
  7    a watched run was cancelled
  130  interrupted; a watched run or operation goes on
  141  whoever read the output stopped reading";

impl Exit {
    pub fn code(self) -> u8 {
        self as u8
    }

    /// What the end of a run means; `None` while it goes on.
    pub(crate) fn of_run(status: &str) -> Option<Self> {
        match status {
            "succeeded" => Some(Self::Done),
            "failed" => Some(Self::RunFailed),
            "errored" => Some(Self::RunErrored),
            "cancelled" => Some(Self::RunCancelled),
            _ => None,
        }
    }

    /// What the end of an operation means; `None` while it goes on.
    pub(crate) fn of_operation(status: &str) -> Option<Self> {
        match status {
            "succeeded" => Some(Self::Done),
            "failed" | "cancelled" | "rejected" | "timed_out" => Some(Self::RunFailed),
            _ => None,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_names_every_code() {
        let all = [
            Exit::Done,
            Exit::RunFailed,
            Exit::Usage,
            Exit::Refused,
            Exit::Unavailable,
            Exit::NotAllowed,
            Exit::RunErrored,
            Exit::RunCancelled,
            Exit::Interrupted,
            Exit::OutputClosed,
        ];
        let named: Vec<u8> = EXIT_CODES
            .lines()
            .skip(1)
            .map(|line| line.split_whitespace().next().unwrap().parse().unwrap())
            .collect();
        assert_eq!(named, all.map(Exit::code));
    }
}
