//! What Linux says of a process.

use std::io;
use std::time::Duration;

/// Returns the time that all threads of the process were on a CPU.
pub(super) fn cpu_time(pid: u32) -> io::Result<Duration> {
    let mut nanoseconds = 0;
    for task in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread may end while we look.
        let Ok(stat) = std::fs::read_to_string(task?.path().join("schedstat")) else { continue };
        let on_cpu = stat.split_whitespace().next().and_then(|field| field.parse::<u64>().ok());
        nanoseconds += on_cpu.ok_or_else(|| malformed("schedstat"))?;
    }
    Ok(Duration::from_nanos(nanoseconds))
}

/// Returns the most memory the process ever had resident, in bytes.
pub(super) fn peak_memory(pid: u32) -> io::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kibibytes.map(|it| it * 1024).ok_or_else(|| malformed("status"))
}

fn malformed(file: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{file} of a process does not look as expected"))
}
