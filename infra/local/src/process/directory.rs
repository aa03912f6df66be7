//! Where runs are kept: `runs/<build id>/`, one directory each.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use super::record::Record;
use crate::files::{private_directory, replace};

/// As many finished runs are kept; older ones are deleted when the stack starts.
pub const KEPT_FINISHED_RUNS: usize = 200;

/// A stack that is killed while it starts a process leaves its lock with that process until it has become
/// another program.
const LOCK_OUTLIVES: Duration = Duration::from_secs(1);

#[derive(Debug, Clone)]
pub struct RunsDirectory(PathBuf);

#[derive(Debug, Clone)]
pub struct RunDirectory(PathBuf);

impl RunsDirectory {
    /// The runs under `data`, which is created where it is missing.
    pub fn open(data: &Path) -> io::Result<Self> {
        let runs = data.join("runs");
        private_directory(&runs)?;
        Ok(Self(runs.canonicalize()?))
    }

    /// Held as long as the stack runs: two stacks would take each other's runs for leftovers. Refused with
    /// [`io::ErrorKind::WouldBlock`] while another stack holds it.
    pub fn lock(&self) -> io::Result<File> {
        let file = self.lock_file(".lock")?;
        let begun = Instant::now();
        while let Err(error) = file.try_lock() {
            if begun.elapsed() > LOCK_OUTLIVES {
                return Err(error.into());
            }
            thread::sleep(Duration::from_millis(2));
        }
        Ok(file)
    }

    /// Held while runs are settled, so that a new stack waits for the watcher of a killed one.
    pub fn lock_settling(&self) -> io::Result<File> {
        let file = self.lock_file(".settling")?;
        file.lock()?;
        Ok(file)
    }

    fn lock_file(&self, name: &str) -> io::Result<File> {
        File::options().create(true).append(true).open(self.0.join(name))
    }

    /// Where the run `id` is, or would be. `None` when no run can have this id.
    pub fn run(&self, id: &str) -> Option<RunDirectory> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        let valid = !id.is_empty() && id.len() <= 128 && id.bytes().all(plain);
        valid.then(|| RunDirectory(self.0.join(id)))
    }

    /// Every run. What a crash left half created or half deleted goes.
    pub fn all(&self) -> io::Result<Vec<RunDirectory>> {
        let mut runs = Vec::new();
        for entry in fs::read_dir(&self.0)? {
            let entry = entry?;
            let Some(run) = entry.file_name().to_str().and_then(|name| self.run(name)) else { continue };
            if run.exists() {
                runs.push(run);
            } else if entry.file_type()?.is_dir() {
                fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(runs)
    }

    /// Deletes all but the newest finished runs.
    pub fn retire(&self, mut finished: Vec<Record>) -> io::Result<()> {
        finished.sort_by(|a, b| (b.created_at, &b.id).cmp(&(a.created_at, &a.id)));
        for old in finished.iter().skip(KEPT_FINISHED_RUNS) {
            let run = RunDirectory(self.0.join(&old.id));
            // First: what has no record is not a run any more, and is deleted by the next start.
            fs::remove_file(run.record())?;
            fs::remove_dir_all(run.path())?;
        }
        Ok(())
    }
}

impl RunDirectory {
    /// Creates it with its record; `false` when there is such a run already. Parameters may be secrets, so
    /// it is for the user alone.
    pub fn create(&self, record: &Record) -> io::Result<bool> {
        if self.exists() {
            return Ok(false);
        }
        private_directory(&self.0)?;
        File::create(self.log())?;
        // Last: what has no record was never started, and is deleted by the next start.
        self.write(record)?;
        Ok(true)
    }

    pub fn exists(&self) -> bool {
        self.record().exists()
    }

    /// Reads the record. Fails with [`io::ErrorKind::NotFound`] when there is no such run.
    pub fn read(&self) -> io::Result<Record> {
        Ok(serde_json::from_slice(&fs::read(self.record())?)?)
    }

    /// Replaces the record.
    pub fn write(&self, record: &Record) -> io::Result<()> {
        replace(&self.record(), record)
    }

    /// The directory that a command without one of its own runs in.
    pub fn workspace(&self) -> io::Result<PathBuf> {
        let workspace = self.0.join("workspace");
        private_directory(&workspace)?;
        Ok(workspace)
    }

    fn record(&self) -> PathBuf {
        self.0.join("record.json")
    }

    pub fn log(&self) -> PathBuf {
        self.0.join("events.jsonl")
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use gatehouse_domain::ci::{ProcessTarget, RunStatus};
    use jiff::Timestamp;

    use super::*;

    fn record(id: &str, created: i64) -> Record {
        Record {
            id: id.into(),
            target: ProcessTarget { command: vec!["true".into()], directory: None, merge_stderr: false },
            environment: BTreeMap::new(),
            process: None,
            status: RunStatus::Queued,
            reason: None,
            exit_status: None,
            created_at: Timestamp::from_second(created).unwrap(),
            started_at: None,
            finished_at: None,
        }
    }

    #[test]
    fn ids_that_lead_elsewhere_are_no_runs() {
        let data = tempfile::tempdir().unwrap();
        let runs = RunsDirectory::open(data.path()).unwrap();
        for id in ["", ".", "..", "../x", "a/b", "a\0", "a b", ".lock", &"a".repeat(129)] {
            assert!(runs.run(id).is_none(), "{id:?}");
        }
        assert!(runs.run("run_0-Az").is_some());
    }

    #[test]
    fn only_the_newest_finished_runs_are_kept() {
        let data = tempfile::tempdir().unwrap();
        let runs = RunsDirectory::open(data.path()).unwrap();
        let mut records = Vec::new();
        for number in 0..KEPT_FINISHED_RUNS + 2 {
            let record = record(&format!("run_{number}"), i64::try_from(number).unwrap());
            runs.run(&record.id).unwrap().create(&record).unwrap();
            records.push(record);
        }
        runs.retire(records).unwrap();
        assert_eq!(runs.all().unwrap().len(), KEPT_FINISHED_RUNS);
        for (id, kept) in [("run_0", false), ("run_1", false), ("run_2", true)] {
            assert_eq!(runs.run(id).unwrap().exists(), kept, "{id}");
        }
    }

    #[test]
    fn what_a_crash_left_half_done_goes() {
        let data = tempfile::tempdir().unwrap();
        let runs = RunsDirectory::open(data.path()).unwrap();
        let _lock = runs.lock().unwrap();
        runs.run("whole").unwrap().create(&record("whole", 0)).unwrap();
        fs::create_dir(runs.0.join("without_record")).unwrap();
        fs::create_dir_all(runs.0.join("record_deleted/workspace")).unwrap();
        assert_eq!(runs.all().unwrap().len(), 1);
        let mut names: Vec<_> = fs::read_dir(&runs.0).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, [".lock", "whole"]);
    }

    #[test]
    fn a_second_stack_is_refused() {
        let data = tempfile::tempdir().unwrap();
        let runs = RunsDirectory::open(data.path()).unwrap();
        let lock = runs.lock().unwrap();
        assert_eq!(runs.lock().unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(lock);
        runs.lock().unwrap();
    }
}
