//! Where runs are kept: `runs/<build id>/`, one directory each.

use std::{
    fs::{self, DirBuilder, File},
    io::{self, Write},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use super::record::Record;

/// As many finished runs are kept; older ones are deleted when the stack starts.
pub const KEPT_FINISHED_RUNS: usize = 200;

/// A stack that is killed while it starts a process leaves its lock with that process until it has become
/// another program.
const LOCK_OUTLIVES: Duration = Duration::from_secs(1);

/// What begins with this was being deleted.
const TRASH_PREFIX: &str = ".trash-";

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
        let file = File::options().create(true).append(true).open(self.0.join(".lock"))?;
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
        let file = File::options().create(true).append(true).open(self.0.join(".settling"))?;
        file.lock()?;
        Ok(file)
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
            if !entry.file_type()?.is_dir() {
                continue;
            }
            let name = entry.file_name();
            match name.to_str().and_then(|name| self.run(name)) {
                Some(run) if run.exists() => runs.push(run),
                None if !name.as_encoded_bytes().starts_with(TRASH_PREFIX.as_bytes()) => {}
                Some(_) | None => fs::remove_dir_all(entry.path())?,
            }
        }
        Ok(runs)
    }

    /// Deletes all but the newest finished runs.
    pub fn retire(&self, mut finished: Vec<Record>) -> io::Result<()> {
        finished.sort_by(|a, b| (b.created_at, &b.id).cmp(&(a.created_at, &a.id)));
        for old in finished.iter().skip(KEPT_FINISHED_RUNS) {
            let trash = self.0.join(format!("{TRASH_PREFIX}{}", old.id));
            fs::rename(self.0.join(&old.id), &trash)?;
            fs::remove_dir_all(trash)?;
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
        File::create(self.events())?;
        // Last: what has no record was never started, and is deleted by the next start.
        self.write(record)?;
        Ok(true)
    }

    pub fn exists(&self) -> bool {
        self.record_file().exists()
    }

    /// Reads the record; `None` when there is no such run.
    pub fn read(&self) -> io::Result<Option<Record>> {
        match fs::read(self.record_file()) {
            Ok(json) => Ok(Some(serde_json::from_slice(&json)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Replaces the record. After a crash it is the old or the new one, whole.
    pub fn write(&self, record: &Record) -> io::Result<()> {
        let new = self.0.join("record.json.new");
        let mut file = File::create(&new)?;
        file.write_all(&serde_json::to_vec_pretty(record)?)?;
        file.sync_all()?;
        fs::rename(new, self.record_file())
    }

    fn record_file(&self) -> PathBuf {
        self.0.join("record.json")
    }

    /// The events, one in a line.
    pub fn events(&self) -> PathBuf {
        self.0.join("events.jsonl")
    }

    /// The directory that a command without one of its own runs in.
    pub fn workspace(&self) -> io::Result<PathBuf> {
        let workspace = self.0.join("workspace");
        private_directory(&workspace)?;
        Ok(workspace)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

fn private_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use gatehouse_domain::ci::ProcessTarget;
    use jiff::Timestamp;

    use super::{super::record::State, *};

    fn record(id: &str, created: i64) -> Record {
        Record {
            id: id.into(),
            target: ProcessTarget { command: vec!["true".into()], directory: None, merge_stderr: false },
            environment: BTreeMap::new(),
            created_at: Timestamp::from_second(created).unwrap(),
            process: None,
            state: State::Queued,
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
        fs::create_dir(runs.0.join(format!("{TRASH_PREFIX}x"))).unwrap();
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
