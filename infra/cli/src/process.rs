//! A command in this process: its environment, its streams and its terminal.

use std::io::{self, BufRead, IsTerminal, Write};

use gatehouse_runtime::clock::{SystemClock, SystemIds};
use secrecy::SecretString;

use crate::{
    command::{Command, run},
    dependencies::{Ask, Dependencies, Stream},
    environment::Environment,
    exit::Exit,
};

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
    let dependencies = Dependencies {
        environment: Environment::read(),
        stdin: &mut stdin,
        stdout: Stream { is_terminal: stdout.is_terminal(), writer: &mut stdout },
        stderr: Stream { is_terminal: stderr.is_terminal(), writer: &mut stderr },
        ask: &Terminal,
        clock: &SystemClock,
        ids: &SystemIds,
        interrupted: Box::pin(interrupted()),
    };
    run(command, dependencies).await
}

async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        // Where the signal cannot be heard it ends the process by itself.
        std::future::pending::<()>().await;
    }
}
