//! The result, ready to paste into `docs/PERFORMANCE.md`.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use flate2::Compression;
use flate2::write::DeflateEncoder;

use crate::measure::{Measurements, median};
use crate::subject::Subject;

const HEAD: &str = "| Function | Binary | Deflated | Start, wall | Start, CPU | First invocation, CPU \
                    | Warm invocation, CPU | Peak memory | Event, answer |
|---|--:|--:|--:|--:|--:|--:|--:|---|";

pub fn render(
    subjects: &[Subject],
    measured: &[Measurements],
    rounds: usize,
    warm: usize,
) -> anyhow::Result<String> {
    let mut text = format!("{HEAD}\n");
    for (subject, values) in subjects.iter().zip(measured) {
        let (binary, deflated) = sizes(&subject.binary)?;
        writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {}: {} |",
            subject.name,
            kibibytes(binary),
            kibibytes(deflated),
            spread(&values.start_wall, milliseconds),
            spread(&values.start_cpu, milliseconds),
            spread(&values.first_cpu, milliseconds),
            spread(&values.warm_cpu, microseconds),
            spread(&values.peak_memory, kibibytes),
            subject.event_name,
            values.answer,
        )?;
    }
    writeln!(
        text,
        "\nMedian (least–most) of {rounds} starts each, taking turns; a warm invocation is the median of {warm} after \
         the first. Start: from the start of the process to its first `/next`. CPU: time on a processor, all \
         threads. Deflated: the binary compressed as in a zip, level 9. DynamoDB is embedded, on loopback, \
         without TLS.\n\n{}",
        machine()
    )?;
    Ok(text)
}

fn spread<T: Ord + Copy>(values: &[T], show: impl Fn(T) -> String) -> String {
    let least = values.iter().min().copied().map(&show).unwrap_or_default();
    let most = values.iter().max().copied().map(&show).unwrap_or_default();
    format!("{} ({least}–{most})", show(median(values)))
}

fn milliseconds(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}

fn microseconds(time: Duration) -> String {
    format!("{} µs", time.as_micros())
}

fn kibibytes(bytes: u64) -> String {
    format!("{} KiB", bytes / 1024)
}

fn sizes(binary: &Path) -> anyhow::Result<(u64, u64)> {
    let program = fs::read(binary)?;
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&program)?;
    Ok((u64::try_from(program.len())?, u64::try_from(encoder.finish()?.len())?))
}

fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ").map(|(_, it)| it));
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("unknown");
    let rustc = Command::new("rustc").arg("--version").output();
    let rustc =
        rustc.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    let (system, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    let model = model.unwrap_or("unknown processor");
    format!("Machine: {cores} cores, {model}, {system} {arch}, {rustc}; load {load} at the end.")
}
