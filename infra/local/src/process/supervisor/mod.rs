//! The process between the stack and a command: it starts the command, writes its output down, passes on
//! orders, and ends the command when the stack dies.
//!
//! It is the `gatehouse` program itself under a hidden sub-command, so that there is nothing else to
//! install. The same sub-command has a second role: the process that becomes the command, see [`launch`].

mod launch;
mod output;
mod pipes;
mod stack;
mod supervise;
mod text;

use std::{
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use gatehouse_domain::clock::Clock;

use super::directory::RunDirectory;

/// The hidden sub-command.
pub const SUBCOMMAND: &str = "process-supervisor";

/// Followed by the run's directory and the grace in milliseconds.
const SUPERVISE: &str = "supervise";
/// Followed by nothing; the rest comes over standard input.
const LAUNCH: &str = "launch";

/// What the stack tells a supervisor: one byte each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Start the command: your record is written.
    Go,
    /// Ask the command to stop, and kill it if it has not after the grace.
    Terminate,
    /// Kill the command.
    Kill,
}

impl Order {
    pub(super) fn byte(self) -> u8 {
        match self {
            Self::Go => b'g',
            Self::Terminate => b't',
            Self::Kill => b'k',
        }
    }

    fn from_byte(byte: u8) -> Option<Self> {
        [Self::Go, Self::Terminate, Self::Kill].into_iter().find(|order| order.byte() == byte)
    }
}

/// The arguments that make this program the supervisor of `run`.
pub(super) fn arguments(run: &Path, grace: Duration) -> [OsString; 4] {
    [SUBCOMMAND.into(), SUPERVISE.into(), run.into(), grace.as_millis().to_string().into()]
}

/// Does the supervisor's work when the program's `arguments` ask for it; `None` when they do not. To be
/// called first in `main`, outside of any async runtime.
pub fn dispatch(arguments: impl IntoIterator<Item = OsString>, clock: &dyn Clock) -> Option<ExitCode> {
    let mut arguments = arguments.into_iter().skip(1);
    (arguments.next()? == SUBCOMMAND).then(|| main(&arguments.collect::<Vec<_>>(), clock))
}

fn main(arguments: &[OsString], clock: &dyn Clock) -> ExitCode {
    match arguments {
        [role] if role == LAUNCH => launch::become_command(),
        [role, run, grace] if role == SUPERVISE => supervise(run, grace, clock),
        _ => {
            eprintln!("`{SUBCOMMAND}` is for the local stack's own use");
            ExitCode::FAILURE
        }
    }
}

fn supervise(run: &OsStr, grace: &OsStr, clock: &dyn Clock) -> ExitCode {
    let run = RunDirectory::from(PathBuf::from(run));
    let grace = grace.to_str().and_then(|grace| grace.parse().ok()).map(Duration::from_millis);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let done = runtime
        .and_then(|runtime| runtime.block_on(supervise::supervise(&run, grace.unwrap_or_default(), clock)));
    // Standard error is the run's `supervisor.log`.
    done.map_or_else(
        |error| {
            eprintln!("{error}");
            ExitCode::FAILURE
        },
        |()| ExitCode::SUCCESS,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_survive_the_wire() {
        for order in [Order::Go, Order::Terminate, Order::Kill] {
            assert_eq!(Order::from_byte(order.byte()), Some(order));
        }
        assert_eq!(Order::from_byte(b'?'), None);
    }
}
