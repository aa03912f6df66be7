//! The log of a test's process, of which no line holds a secret.
//!
//! Secrets that tests make up have [`MARKER`] in them; those that Gatehouse makes are known by their form. Every line is
//! looked at, as [`LEVELS`] has them. One that shows a secret ends the test that wrote it, and is kept in
//! the directory that `GATEHOUSE_TEST_LOG` names, together with all others: a panic in a task that nobody waits for
//! fails no test, so CI looks there.

mod secrets;

use std::{
    fs::File,
    io::{self, Write},
    path::PathBuf,
    process::Stdio,
    sync::Once,
};

use gatehouse_runtime::{env, tracing::lines};
use tracing_subscriber::{filter::Targets, layer::SubscriberExt, util::SubscriberInitExt};

pub use self::secrets::{MARKER, secret_in};

/// Where CI wants the log of every process.
const DIRECTORY: &str = "GATEHOUSE_TEST_LOG";

/// In the one line that shows a secret on purpose, to see that it is found.
pub const PROBE: &str = "the probe of this log";

/// Which lines there are, in the words of `GATEHOUSE_LOG`: all of ours. Those that others write at `trace` are more than
/// the rest of the work of a test; one test has its stack write them.
pub const LEVELS: &str = "info,gatehouse=trace,authorizer=trace,callbacks=trace,catalog=trace,deployer=trace,\
                          identity=trace,janitor=trace,jobs=trace,meta=trace,runs=trace,streams=trace,\
                          tokens=trace";

/// From here on, looks at every line that this process logs. A second call changes nothing.
///
/// # Panics
///
/// When somebody else takes the lines, or the log cannot be kept.
pub fn watch() {
    static BEGUN: Once = Once::new();
    BEGUN.call_once(|| {
        let levels: Targets = LEVELS.parse().expect("these are levels");
        let subscriber = tracing_subscriber::registry().with(levels).with(lines(|| Line(Vec::new())));
        subscriber.try_init().expect("nobody else takes the lines of a test");
    });
}

/// Where a program that a test starts writes its log: into a file of the directory, if there is one.
///
/// # Panics
///
/// When the log cannot be kept.
pub fn of_program() -> Stdio {
    kept_in().map_or_else(Stdio::null, |directory| {
        let file = directory.join(format!("programs-of-{}.log", std::process::id()));
        File::options().append(true).create(true).open(file).expect("the log of a program can be kept").into()
    })
}

fn kept_in() -> Option<PathBuf> {
    env::optional(DIRECTORY).map(PathBuf::from)
}

/// One line, until it is whole.
struct Line(Vec<u8>);

impl Write for Line {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(piece);
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        keep(&self.0);
        let line = String::from_utf8_lossy(&self.0);
        if let Some(secret) = secret_in(&line)
            && !std::thread::panicking()
        {
            panic!("a line of the log shows {secret}: {line}");
        }
    }
}

fn keep(line: &[u8]) {
    static KEPT: std::sync::LazyLock<Option<File>> = std::sync::LazyLock::new(|| {
        let file = kept_in()?.join(format!("test-{}.log", std::process::id()));
        Some(File::options().append(true).create(true).open(file).expect("the log can be kept"))
    });
    if let Some(mut file) = KEPT.as_ref() {
        file.write_all(line).expect("the log can be kept");
    }
}
