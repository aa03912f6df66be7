//! What a command works with: the environment, streams, a terminal, time.

use std::{
    io::{self, Read, Write},
    pin::Pin,
};

use gatehouse_domain::clock::{Clock, IdSource};
use secrecy::SecretString;

use crate::{environment::Environment, output::Printer};

/// What a command works with; tests make it up.
pub struct Dependencies<'a> {
    pub environment: Environment,
    pub stdin: &'a mut dyn Read,
    pub stdout: Stream<'a>,
    pub stderr: Stream<'a>,
    /// Asks the person at the terminal.
    pub ask: &'a dyn Ask,
    /// Tells the time and lets it pass.
    pub clock: &'a dyn Clock,
    /// Makes keys that never repeat.
    pub ids: &'a dyn IdSource,
    /// Ends when somebody pressed Ctrl-C.
    pub interrupted: Pin<Box<dyn Future<Output = ()> + 'a>>,
}

/// Something to print on.
pub struct Stream<'a> {
    /// Where the bytes go.
    pub writer: &'a mut dyn Write,
    /// Whether a person sees them at once.
    pub is_terminal: bool,
}

impl<'a> Stream<'a> {
    pub(crate) fn printer(self, no_color: bool) -> Printer<'a> {
        let Self { writer, is_terminal } = self;
        Printer { writer, is_terminal, colours: is_terminal && !no_color }
    }
}

/// Asks the person at the terminal.
pub trait Ask {
    /// Asks for a text that others may see; `None` without a terminal.
    fn text(&self, prompt: &str) -> io::Result<Option<String>>;

    /// Asks for a text that nobody may see; `None` without a terminal.
    fn secret(&self, prompt: &str) -> io::Result<Option<SecretString>>;
}
