//! What each function costs: size, start, first and warm invocation, memory; beside a function that does
//! nothing, in the same run.
//!
//! ```text
//! make build    # for another processor: cargo build --release, with -p for each folder of functions/
//! cargo build --release -p gatehouse-testkit --example do-nothing
//! cargo bench -p gatehouse-tests --bench functions
//! ```
//!
//! It takes `target/lambda/<name>/bootstrap` if this machine can run it, else `target/release/<name>`. The
//! functions run one at a time and take turns, so that a machine that gets slower is unfair to none of them.
//! `-- --rounds N` and `-- --warm N` say how often each is started, and invoked after its first invocation.

mod dependencies;
mod measure;
mod subject;
mod table;

use std::process::ExitCode;

use anyhow::{Context, bail};

use crate::dependencies::Dependencies;
use crate::measure::Measurements;
use crate::subject::{Missing, Subject};

const BUILD: &str = "    cargo build --release, with -p for each folder of functions/
    cargo build --release -p gatehouse-testkit --example do-nothing";

#[tokio::main]
async fn main() -> ExitCode {
    match Options::parse(std::env::args().skip(1)) {
        Ok(Some(options)) => match run(&options).await {
            Ok(()) => return ExitCode::SUCCESS,
            Err(error) => eprintln!("error: {error:#}"),
        },
        // `cargo test` builds and runs benchmarks too, and wants no numbers.
        Ok(None) => return ExitCode::SUCCESS,
        Err(error) => eprintln!("error: {error:#}"),
    }
    ExitCode::FAILURE
}

struct Options {
    rounds: usize,
    warm: usize,
}

impl Options {
    /// Returns `None` when this is not a run of `cargo bench`.
    fn parse(arguments: impl Iterator<Item = String>) -> anyhow::Result<Option<Self>> {
        let mut options = Self { rounds: 20, warm: 200 };
        let mut is_bench = false;
        let mut arguments = arguments;
        while let Some(argument) = arguments.next() {
            let mut number = || {
                let value = arguments.next().with_context(|| format!("{argument} needs a number"))?;
                let number = value.parse().ok().filter(|number| *number > 0);
                number.with_context(|| format!("{argument} {value}: not a number above 0"))
            };
            match argument.as_str() {
                "--bench" => is_bench = true,
                "--rounds" => options.rounds = number()?,
                "--warm" => options.warm = number()?,
                other => bail!("{other} is not known; there are --rounds N and --warm N"),
            }
        }
        Ok(is_bench.then_some(options))
    }
}

async fn run(options: &Options) -> anyhow::Result<()> {
    let mut subjects = Vec::new();
    for name in subject::NAMES {
        match Subject::find(name) {
            Ok(subject) => {
                eprintln!("{name}: {} with {}", subject.binary.display(), subject.event_name);
                subjects.push(subject);
            }
            Err(Missing(what)) => eprintln!("{name}: left out, there is no {what}"),
        }
    }
    if subjects.first().is_none_or(|first| first.name != subject::DO_NOTHING) || subjects.len() < 2 {
        bail!(
            "the function that does nothing and at least one other are needed; build them with\n\n{BUILD}\n"
        );
    }
    let dependencies = Dependencies::start().await?;
    let mut measured: Vec<_> = subjects.iter().map(|_| Measurements::default()).collect();
    for round in 1..=options.rounds {
        eprintln!("round {round} of {}", options.rounds);
        for (subject, measurements) in subjects.iter().zip(&mut measured) {
            let added = measurements.add(subject, &dependencies, options.warm).await;
            added.with_context(|| format!("{} in round {round}", subject.name))?;
        }
    }
    dependencies.stop().await;
    println!("{}", table::render(&subjects, &measured, options.rounds, options.warm)?);
    Ok(())
}
