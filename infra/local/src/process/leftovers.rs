//! What a stack that was killed has left running, and which process a number stands for: none is ever ended
//! because it got the number of another.

use std::{
    collections::BTreeSet, fs, os::unix::ffi::OsStrExt, path::Path, process::Command, thread, time::Duration,
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::{Pid, getpgid},
};
use serde::{Deserialize, Serialize};

/// Every command has this environment variable, which what it starts inherits: the id of its build.
pub const BUILD_VARIABLE: &str = "GATEHOUSE_BUILD_ID";

/// Likewise, the directory of its run: unlike the id it is unique on this machine.
pub const RUN_VARIABLE: &str = "GATEHOUSE_RUN_DIRECTORY";

/// A process that has just been started shows no environment for a moment, and one that is forked while the
/// processes are listed is not among them. So they are looked for several times.
const LOOKS: u32 = 5;
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// A process that leads a group of its own: its number, and what tells it from others that have had it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessIdentity {
    pid: i32,
    /// See [`birth`].
    birth: String,
}

impl ProcessIdentity {
    /// The process that has this number now. It must not have been waited for yet.
    pub fn of(pid: Pid) -> Option<Self> {
        Some(Self { pid: pid.as_raw(), birth: birth(pid.as_raw())? })
    }

    fn is_verified(&self) -> bool {
        birth(self.pid).is_some_and(|birth| birth == self.birth)
    }
}

/// Ends the process groups that are certainly those of the run in the directory `run`: the noted one, if its
/// leader is still the same or a member carries the run's directory in its environment. Where nothing is
/// noted, the stack died between a start and its note: the environment alone decides.
pub fn kill_leftovers(noted: Option<&ProcessIdentity>, run: &Path) {
    if let Some(leader) = noted.filter(|leader| leader.is_verified()) {
        return kill_group(leader.pid);
    }
    for _ in 0..LOOKS {
        let marked = marked_groups(run).into_iter();
        marked.filter(|group| noted.is_none_or(|noted| noted.pid == *group)).for_each(kill_group);
        thread::sleep(BETWEEN_LOOKS);
    }
}

fn kill_group(group: i32) {
    let _already_gone = killpg(Pid::from_raw(group), Signal::SIGKILL);
}

/// The groups of the processes that carry `run` in their environment; none without `/proc`.
fn marked_groups(run: &Path) -> BTreeSet<i32> {
    let wanted = [RUN_VARIABLE.as_bytes(), b"=", run.as_os_str().as_bytes()].concat();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let marked = pids.filter(|pid: &i32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == wanted)
    });
    marked.filter_map(|pid| getpgid(Some(Pid::from_raw(pid))).ok()).map(Pid::as_raw).collect()
}

/// When a process came to be: the boot and the tick since then, or the second that `ps` tells where there is
/// no `/proc`, on macOS. `None` when there is no such process.
fn birth(pid: i32) -> Option<String> {
    if let Ok(boot) = fs::read_to_string("/proc/sys/kernel/random/boot_id") {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        return Some(format!("{} {}", boot.trim_end(), started(&stat)?));
    }
    let listed = Command::new("ps").args(["-o", "lstart=", "-p", &pid.to_string()]).output().ok()?;
    let start = String::from_utf8(listed.stdout).ok()?;
    Some(start.trim().to_owned()).filter(|start| !start.is_empty())
}

/// Ticks from the boot to the start, the 22nd field of `/proc/<pid>/stat`. The name in the second may hold
/// anything, so fields are counted from behind it.
fn started(stat: &str) -> Option<&str> {
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(19)
}

#[cfg(test)]
mod tests {
    use std::{os::unix::process::CommandExt, process::Stdio};

    use super::*;

    #[test]
    fn a_name_with_parentheses_and_spaces_does_not_shift_the_fields() {
        let line = "7 (a) S (b) Z 1 5 5 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 8812 1 1";
        assert_eq!(started(line), Some("8812"));
    }

    #[test]
    fn a_process_is_not_taken_for_another_with_its_number() {
        let this = ProcessIdentity::of(Pid::this()).unwrap();
        assert!(this.is_verified());
        assert!(!ProcessIdentity { birth: "another boot 1".into(), ..this }.is_verified());
    }

    #[test]
    fn only_what_is_certainly_of_the_run_is_ended() {
        let sleep = |run: &str| {
            let mut command = Command::new("sleep");
            command.arg("1000").env(RUN_VARIABLE, run).process_group(0).stdout(Stdio::null());
            command.spawn().unwrap()
        };
        let [mut ours, mut elsewhere, mut verified] =
            ["/nowhere/runs/run_1", "/nowhere/runs/run_10", "/nowhere/runs/run_2"].map(sleep);
        let identity = |pid: u32| ProcessIdentity::of(Pid::from_raw(pid.try_into().unwrap())).unwrap();
        let unverified = ProcessIdentity { birth: "another".into(), ..identity(elsewhere.id()) };
        kill_leftovers(Some(&unverified), Path::new("/nowhere/runs/run_1"));
        assert_eq!((ours.try_wait().unwrap(), elsewhere.try_wait().unwrap()), (None, None));
        kill_leftovers(None, Path::new("/nowhere/runs/run_1"));
        assert!(!ours.wait().unwrap().success());
        kill_leftovers(Some(&identity(verified.id())), Path::new("/nowhere/runs/run_3"));
        assert!(!verified.wait().unwrap().success());
        assert_eq!(elsewhere.try_wait().unwrap(), None);
        elsewhere.kill().unwrap();
        elsewhere.wait().unwrap();
    }
}
