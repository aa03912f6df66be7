//! What a command has around it: the environment, streams, a terminal, time.

use std::{
    io::{self, BufRead, IsTerminal, Read, Write},
    pin::Pin,
};

use gatehouse_domain::clock::{Clock, IdSource};
use gatehouse_runtime::clock::{SystemClock, SystemIds};
use secrecy::SecretString;

use crate::{Command, Exit, environment::Environment, output::Printer, run};

/// What a command has around it.
pub struct World<'a> {
    /// The environment.
    pub environment: Environment,
    /// Standard input.
    pub stdin: &'a mut dyn Read,
    /// Standard output.
    pub stdout: Stream<'a>,
    /// Standard error.
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

/// The terminal of this process.
struct Terminal;

impl Ask for Terminal {
    fn text(&self, prompt: &str) -> io::Result<Option<String>> {
        if !io::stdin().is_terminal() {
            return Ok(None);
        }
        let mut stderr = io::stderr();
        write!(stderr, "{prompt}")?;
        stderr.flush()?;
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line)?;
        Ok(Some(line.trim().to_owned()))
    }

    fn secret(&self, prompt: &str) -> io::Result<Option<SecretString>> {
        if !io::stdin().is_terminal() {
            return Ok(None);
        }
        rpassword::prompt_password(prompt).map(|password| Some(password.into()))
    }
}

/// Does what a command asks for, with the environment and the streams of this process.
pub async fn run_here(command: Command) -> Exit {
    let (mut stdin, mut stdout, mut stderr) = (io::stdin(), io::stdout(), io::stderr());
    let world = World {
        environment: Environment::read(),
        stdin: &mut stdin,
        stdout: Stream { is_terminal: stdout.is_terminal(), writer: &mut stdout },
        stderr: Stream { is_terminal: stderr.is_terminal(), writer: &mut stderr },
        ask: &Terminal,
        clock: &SystemClock,
        ids: &SystemIds,
        interrupted: Box::pin(interrupted()),
    };
    run(command, world).await
}

async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        // Where the signal cannot be heard it ends the process by itself.
        std::future::pending::<()>().await;
    }
}
