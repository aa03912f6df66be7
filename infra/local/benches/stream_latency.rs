//! How long a line takes from being written by a command to being read by those who watch the run.
//!
//! `cargo bench -p gatehouse-local --bench stream_latency`: the program runs as a process of its own, the
//! readers here, all on this machine, so that both compete for its processors.

#![expect(clippy::disallowed_methods, reason = "a measurement asks the system for the time")]

use std::{
    env,
    error::Error,
    io::Write,
    path::Path,
    thread::sleep,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use futures_util::future::join_all;
use serde_json::json;

use support::{Call, Key, Resume, binary::Binary};

#[path = "../tests/stack/support/mod.rs"]
#[expect(dead_code, unused_imports, reason = "tests need more of it")]
mod support;

/// The role in which this program is the command that is watched, followed by the file it waits for and by
/// the milliseconds between two lines.
const WRITE: &str = "write-stamps";

const LINES: usize = 200;

/// How many readers there are, and how many milliseconds lie between two lines: enough for each line to be
/// delivered to all before the next one comes.
const ROUNDS: [(usize, u64); 3] = [(1, 20), (20, 20), (200, 100)];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = env::args().collect();
    match &arguments[1..] {
        [role, gate, pause] if role == WRITE => write_stamps(Path::new(gate), pause.parse()?),
        _ => tokio::runtime::Runtime::new()?.block_on(measure()),
    }
}

/// Writes the time, line by line, once the file `gate` exists.
fn write_stamps(gate: &Path, pause: u64) -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout().lock();
    while !gate.exists() {
        sleep(Duration::from_millis(1));
    }
    for _ in 0..LINES {
        sleep(Duration::from_millis(pause));
        writeln!(out, "{}", now())?;
    }
    Ok(())
}

/// Nanoseconds since 1970.
fn now() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos()
}

async fn measure() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let binary = Binary::start(directory.path()).await;
    println!("readers  lines  p50 (ms)  p99 (ms)  max (ms)");
    for (readers, pause) in ROUNDS {
        let mut delays = delays(&binary, directory.path(), readers, pause).await?;
        delays.sort_unstable();
        let at = |share: usize| milliseconds(delays[(delays.len() - 1) * share / 100]);
        let lines = delays.len();
        println!("{readers:7}  {lines:5}  {:8.2}  {:8.2}  {:8.2}", at(50), at(99), at(100));
    }
    println!("peak memory of the program: {} MiB", binary.peak_memory() >> 20);
    binary.interrupt().await;
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "a delay has few digits")]
fn milliseconds(nanoseconds: u128) -> f64 {
    nanoseconds as f64 / 1e6
}

/// The delay of each line at each of `readers` readers.
async fn delays(
    binary: &Binary,
    directory: &Path,
    readers: usize,
    pause: u64,
) -> Result<Vec<u128>, Box<dyn Error>> {
    let client = binary.client(&Key::PLATFORM);
    let (job, gate) = (format!("stamps-{readers}"), directory.join(format!("gate-{readers}")));
    let body = json!({ "project": "example", "provider": { "kind": "process",
        "ref": { "command": [env::current_exe()?, WRITE, gate, pause.to_string()] } } });
    client.send(Call::put(format!("/v1/jobs/{job}")).json(&body)).await.expect(201);
    let run = client.trigger(&job).await;
    let mut streams = Vec::new();
    for _ in 0..readers {
        let mut stream = client.events(&run, Resume::Start).await;
        stream.take(1).await;
        streams.push(stream);
    }
    std::fs::write(&gate, "")?;
    let reading = streams.into_iter().map(|mut stream| {
        tokio::spawn(async move {
            let mut delays = Vec::with_capacity(LINES);
            while let Some(event) = stream.next().await {
                let received = now();
                let text = event.text().unwrap_or_default();
                delays.extend(
                    text.lines().filter_map(|line| Some(received.saturating_sub(line.parse().ok()?))),
                );
            }
            assert_eq!(delays.len(), LINES, "a line was lost");
            delays
        })
    });
    let mut all = Vec::new();
    for delays in join_all(reading).await {
        all.extend(delays?);
    }
    Ok(all)
}
