//! The `gatehouse` program as a process of its own, which can be killed.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
};

use gatehouse_testkit::log;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    process::{Child, ChildStderr, Command},
};

use super::{
    client::{Caller, Client},
    people::Person,
    stack::{PROGRAM, write_seed},
    wait::{eventually, in_time},
};

/// Every process of a stack has this variable, which it inherits: the directory of the test.
const MARKER: &str = "GATEHOUSE_TEST_DIRECTORY";

/// A program that runs. Dropping it kills it.
pub struct Binary {
    process: Child,
    stderr: BufReader<ChildStderr>,
    address: SocketAddr,
}

/// How a program ended.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    pub stderr: String,
}

/// Starts the program on a free port, with the seed of the tests, and does not wait for anything.
pub fn spawn(directory: &Path) -> Child {
    spawn_on(directory, directory, 0)
}

/// As [`spawn`], with the data of another directory's stack and a port of choice.
pub fn spawn_on(directory: &Path, data_of: &Path, port: u16) -> Child {
    command(directory, data_of, port, &write_seed(directory, &[])).spawn().expect("the program starts")
}

fn command(directory: &Path, data_of: &Path, port: u16, seed: &Path) -> Command {
    let mut command = Command::new(PROGRAM);
    command
        .args(["--port", &port.to_string()])
        .arg("--data-dir")
        .arg(data_of.join("data"))
        .arg("--seed")
        .arg(seed)
        .env(MARKER, directory)
        .env("GATEHOUSE_LOG", log::LEVELS)
        .stdin(Stdio::null())
        .stdout(log::of_program())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Waits for a program that ends by itself.
pub async fn ended(mut process: Child) -> Ended {
    let mut stderr = String::new();
    let mut pipe = process.stderr.take().expect("it is piped");
    in_time("the end of the program", async {
        pipe.read_to_string(&mut stderr).await.expect("it can be read");
        Ended { status: process.wait().await.expect("it can be waited for"), stderr }
    })
    .await
}

impl Binary {
    /// Starts the program, and returns when it listens.
    pub async fn start(directory: &Path) -> Self {
        let mut process = spawn(directory);
        let mut stderr = BufReader::new(process.stderr.take().expect("it is piped"));
        let address = in_time("the program listens", address(&mut stderr)).await;
        Self { process, stderr, address }
    }

    /// Starts the program with the users of [`Person`], and what it logs, down to the last detail, in a file.
    pub async fn start_with_people(directory: &Path, log: &Path) -> Self {
        let people: Vec<_> = Person::ALL.iter().map(Person::seed).collect();
        let mut command = command(directory, directory, 0, &write_seed(directory, &people));
        let log = fs::File::create(log).expect("a file can be made");
        let command = command.env("GATEHOUSE_LOG", "trace").stdout(log);
        let mut process = command.spawn().expect("the program starts");
        let mut stderr = BufReader::new(process.stderr.take().expect("it is piped"));
        let address = in_time("the program listens", address(&mut stderr)).await;
        Self { process, stderr, address }
    }

    pub fn client(&self, caller: &impl Caller) -> Client {
        Client::new(self.address, caller)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn pid(&self) -> u32 {
        self.process.id().expect("it runs")
    }

    /// Kills the program, and nothing else.
    pub async fn kill(mut self) {
        self.process.kill().await.expect("it can be killed");
    }

    /// Does what Ctrl-C does, and waits for the end.
    pub async fn interrupt(mut self) -> Ended {
        let pid = i32::try_from(self.pid()).expect("a pid is an i32");
        kill(Pid::from_raw(pid), Signal::SIGINT).expect("it can be interrupted");
        let mut stderr = String::new();
        in_time("the end of the program", async {
            self.stderr.read_to_string(&mut stderr).await.expect("it can be read");
            Ended { status: self.process.wait().await.expect("it can be waited for"), stderr }
        })
        .await
    }

    /// The most memory that it has had, in bytes.
    pub fn peak_memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("there is /proc");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("there is a peak");
        let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("it is a number");
        kibibytes * 1024
    }
}

/// Reads what the program says until it says where it listens.
async fn address(stderr: &mut BufReader<ChildStderr>) -> SocketAddr {
    let mut said = String::new();
    loop {
        let start = said.len();
        let read = stderr.read_line(&mut said).await.expect("it can be read");
        assert!(read > 0, "the program ended: {said}");
        if let Some(address) = said[start..].trim_end().strip_prefix("Gatehouse is listening on http://") {
            return address.parse().expect("it is an address");
        }
    }
}

/// The processes that the stack of `directory` has started, its own included.
pub fn processes(directory: &Path) -> Vec<(u32, String)> {
    let marked = format!("{MARKER}={}", directory.display()).into_bytes();
    let entries = fs::read_dir("/proc").expect("there is /proc").flatten().map(|entry| entry.path());
    let carries = |process: &PathBuf| {
        let environment = fs::read(process.join("environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == marked)
    };
    let described = entries.filter(carries).filter_map(|process| {
        let pid = process.file_name()?.to_str()?.parse().ok()?;
        let command = fs::read(process.join("cmdline")).unwrap_or_default();
        Some((pid, String::from_utf8_lossy(&command).replace('\0', " ")))
    });
    described.collect()
}

/// Returns when no process of the stack of `directory` is left.
pub async fn nothing_is_left(directory: &Path) {
    eventually(&format!("no process is left in {}", directory.display()), || processes(directory).is_empty())
        .await;
}
