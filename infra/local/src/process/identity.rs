//! Which process a number stands for, so that none is ever ended because it got the number of another.

use std::fs;

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use serde::{Deserialize, Serialize};

/// Every command has this environment variable: the id of its build. What it starts inherits it.
pub const BUILD_VARIABLE: &str = "GATEHOUSE_BUILD_ID";

/// A process: its number, and what tells it from others that have had this number.
///
/// Without `/proc` (on macOS) the second half is unknown, and nothing is ever verifiably the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ProcessIdentity {
    pid: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    birth: Option<Birth>,
}

/// When a process came to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Birth {
    boot_id: String,
    ticks_since_boot: u64,
}

impl ProcessIdentity {
    /// The process that has this number now. It must not have been waited for yet.
    pub(super) fn of(pid: u32) -> Self {
        let pid = i32::try_from(pid).unwrap_or(i32::MAX);
        let birth = boot_id().zip(Stat::of(pid));
        let birth = birth.map(|(boot_id, stat)| Birth { boot_id, ticks_since_boot: stat.started });
        Self { pid, birth }
    }

    /// Whether it still runs; `false` where that cannot be known.
    pub(super) fn is_running(&self) -> bool {
        self.is_verified() && Stat::of(self.pid).is_some_and(|stat| !stat.is_zombie)
    }

    /// Ends it, if it is certain that it is the same.
    pub(super) fn kill(&self) {
        if self.is_verified() {
            let _already_gone = nix::sys::signal::kill(Pid::from_raw(self.pid), Signal::SIGKILL);
        }
    }

    /// Ends the process group that it leads, if it is certain that it is the group of `build`: its leader
    /// is the same, or, when that has ended, what is left carries the build's id in its environment.
    pub(super) fn kill_group(&self, build: &str) {
        if self.is_verified() || group_members(self.pid).any(|pid| carries(pid, build)) {
            let _already_gone = killpg(Pid::from_raw(self.pid), Signal::SIGKILL);
        }
    }

    fn is_verified(&self) -> bool {
        let Some(birth) = &self.birth else { return false };
        boot_id().is_some_and(|boot| boot == birth.boot_id)
            && Stat::of(self.pid).is_some_and(|stat| stat.started == birth.ticks_since_boot)
    }
}

/// What `/proc/<pid>/stat` says.
struct Stat {
    is_zombie: bool,
    group: i32,
    started: u64,
}

impl Stat {
    fn of(pid: i32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// The name in the second field may hold anything, so fields are counted from behind it.
    fn parse(line: &str) -> Option<Self> {
        let (_, behind_name) = line.rsplit_once(')')?;
        let fields: Vec<&str> = behind_name.split_ascii_whitespace().collect();
        Some(Self {
            is_zombie: matches!(*fields.first()?, "Z" | "X"),
            group: fields.get(2)?.parse().ok()?,
            started: fields.get(19)?.parse().ok()?,
        })
    }
}

fn boot_id() -> Option<String> {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(text.trim_end().to_owned())
}

fn group_members(group: i32) -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(move |pid| Stat::of(*pid).is_some_and(|stat| stat.group == group))
}

fn carries(pid: i32, build: &str) -> bool {
    let wanted = format!("{BUILD_VARIABLE}={build}");
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environment.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_spaces_does_not_shift_the_fields() {
        let line = "7 (a) S (b) Z 1 5 5 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 8812 1 1";
        let stat = Stat::parse(line).unwrap();
        assert!(stat.is_zombie);
        assert_eq!((stat.group, stat.started), (5, 8812));
    }

    #[test]
    fn a_process_is_not_taken_for_another_with_its_number() {
        let this = ProcessIdentity::of(std::process::id());
        assert!(this.is_running());
        let birth = this.birth.clone().unwrap();
        let earlier = Birth { ticks_since_boot: birth.ticks_since_boot - 1, ..birth.clone() };
        assert!(!ProcessIdentity { birth: Some(earlier), ..this.clone() }.is_running());
        let other_boot = Birth { boot_id: "another".into(), ..birth };
        assert!(!ProcessIdentity { birth: Some(other_boot), ..this.clone() }.is_running());
        assert!(!ProcessIdentity { birth: None, ..this }.is_running());
    }
}
