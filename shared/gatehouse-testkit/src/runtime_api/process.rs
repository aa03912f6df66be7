//! The function's process: how it is started, asked and measured.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::error::FunctionError;
use super::life::Life;
use super::measure;
use super::server::{Event, Stub};
use super::source::Source;
use super::streaming::{self, StreamingInvocation};

/// What Lambda allows a function to take before it asks for its first event.
const INIT_LIMIT: Duration = Duration::from_secs(10);

/// What it cost to start.
#[derive(Clone, Copy, Debug)]
pub struct Startup {
    /// From the start of the process to its first question for an event.
    pub wall: Duration,
    /// Time on a CPU until then.
    pub cpu: Duration,
}

/// An answer that came in one piece.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// The id that the function was given.
    pub request_id: String,
    /// The answer as posted; a streamed one with its prelude.
    pub body: Bytes,
    /// Whether the function streamed.
    pub streamed: bool,
    /// From the event to the end of the answer.
    pub wall: Duration,
    /// Time on a CPU from the event until the function asked for the next.
    pub cpu: Duration,
}

/// A function's binary, running as on Lambda.
#[derive(Debug)]
pub struct FunctionProcess {
    pid: u32,
    startup: Startup,
    stub: Arc<Stub>,
    events: mpsc::UnboundedSender<Event>,
    sent: usize,
    life: Life,
    /// Ends with this handle, and the process with it.
    _tasks: JoinSet<()>,
}

impl FunctionProcess {
    /// Starts `binary` with Lambda's environment and `variables`, and waits until it asks for an event.
    ///
    /// The function is named after the file, or after its folder if the file is called `bootstrap`.
    ///
    /// # Errors
    ///
    /// Fails when the binary cannot be run, ends or takes longer than Lambda allows.
    pub async fn spawn(binary: impl AsRef<Path>, variables: &[(&str, &str)]) -> Result<Self, FunctionError> {
        let binary = std::path::absolute(binary)?;
        let name = function_name(&binary);
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let mut command = command(&binary, &name);
        command.env("AWS_LAMBDA_RUNTIME_API", listener.local_addr()?.to_string());
        command.envs(variables.iter().copied());

        let (events, receiver) = mpsc::unbounded_channel();
        let arn = format!("arn:aws:lambda:eu-central-1:123456789012:function:{name}");
        let stub = Arc::new(Stub::new(receiver, arn));
        let mut tasks = JoinSet::new();
        tasks.spawn(stub.clone().serve(listener));
        let started = Instant::now();
        let child = command.spawn()?;
        let pid = child.id().ok_or_else(|| io::Error::other("the process is gone"))?;
        let life = Life::watch(child, &mut tasks);
        let startup = Startup { wall: Duration::ZERO, cpu: Duration::ZERO };
        let mut function = Self { pid, startup, stub, events, sent: 0, life, _tasks: tasks };
        function.startup = function.started(started).await?;
        Ok(function)
    }

    async fn started(&self, started: Instant) -> Result<Startup, FunctionError> {
        let mut init_error = self.stub.init_error.subscribe();
        let failed = async {
            let error = init_error.wait_for(Option::is_some).await;
            error.ok().and_then(|error| error.clone()).unwrap_or_default()
        };
        tokio::select! {
            error = failed => Err(FunctionError::Init(error)),
            idle = self.idle() => {
                let wall = idle?.duration_since(started);
                Ok(Startup { wall, cpu: self.cpu_time()? })
            }
            () = tokio::time::sleep(INIT_LIMIT) => Err(FunctionError::TimedOut),
        }
    }

    /// What it cost to start.
    pub fn startup(&self) -> Startup {
        self.startup
    }

    /// The id of the process.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Everything that the function printed so far, a line each, both outputs together.
    pub fn log_lines(&self) -> Vec<String> {
        self.life.lines()
    }

    /// Returns the time that all its threads were on a CPU.
    ///
    /// # Errors
    ///
    /// Fails when the process is gone or the system is not Linux.
    pub fn cpu_time(&self) -> io::Result<Duration> {
        measure::cpu_time(self.pid)
    }

    /// Returns the most memory it ever had resident, in bytes.
    ///
    /// # Errors
    ///
    /// Fails when the process is gone or the system is not Linux.
    pub fn peak_memory(&self) -> io::Result<u64> {
        measure::peak_memory(self.pid)
    }

    /// Hands `event` over and waits for the answer and for the question for the next event.
    ///
    /// # Errors
    ///
    /// Fails when the function does, or does not answer within `deadline`; then it is killed.
    pub async fn invoke(
        &mut self,
        event: impl Into<Bytes>,
        deadline: Duration,
    ) -> Result<Invocation, FunctionError> {
        let (request_id, mut source, cpu_before) = self.send(event.into(), deadline).await?;
        let started = Instant::now();
        let (body, streamed) = source.collect().await?;
        let wall = started.elapsed();
        self.idle().await?;
        let cpu = self.cpu_time()?.saturating_sub(cpu_before);
        Ok(Invocation { request_id, body, streamed, wall, cpu })
    }

    /// Hands `event` over and waits until the function has sent the status and headers of its answer.
    ///
    /// The chunks can be read while the function goes on; it is asked nothing else until it is done.
    ///
    /// # Errors
    ///
    /// Fails when the function does, answers without a prelude, or not within `deadline`; then it is killed.
    pub async fn invoke_streaming(
        &mut self,
        event: impl Into<Bytes>,
        deadline: Duration,
    ) -> Result<StreamingInvocation, FunctionError> {
        let (request_id, source, _) = self.send(event.into(), deadline).await?;
        streaming::begin(request_id, source).await
    }

    /// Waits until the function has nothing to do: it has answered everything and asks for an event.
    ///
    /// # Errors
    ///
    /// Fails when the process ends first.
    pub async fn idle(&self) -> Result<Instant, FunctionError> {
        let mut polls = self.stub.polls.subscribe();
        let idle = async { polls.wait_for(|(polls, _)| *polls > self.sent).await.map(|polls| polls.1) };
        tokio::select! {
            idle = idle => idle.map_err(io::Error::other).map_err(FunctionError::Io),
            error = self.life.ended() => Err(error),
        }
    }

    /// Ends the process and waits for it.
    pub async fn stop(self) {
        self.life.kill();
        let _ = self.life.ended().await;
    }

    async fn send(
        &mut self,
        body: Bytes,
        deadline: Duration,
    ) -> Result<(String, Source, Duration), FunctionError> {
        self.idle().await?;
        self.sent += 1;
        let request_id = format!("6d0f2a4c-0000-4000-8000-{:012}", self.sent);
        let messages = self.stub.expect(&request_id);
        let cpu = self.cpu_time()?;
        let event = Event { request_id: request_id.clone(), deadline: SystemTime::now() + deadline, body };
        self.events.send(event).map_err(|_| io::Error::other("the stub is gone"))?;
        Ok((request_id, Source::new(messages, self.life.clone(), deadline), cpu))
    }
}

fn function_name(binary: &Path) -> String {
    let file = binary.file_name().unwrap_or_default();
    let folder = binary.parent().and_then(Path::file_name);
    let name = if file == "bootstrap" { folder.unwrap_or(file) } else { file };
    name.to_string_lossy().into_owned()
}

/// The environment of a custom runtime, and nothing of ours.
fn command(binary: &PathBuf, name: &str) -> Command {
    let root = binary.parent().unwrap_or(Path::new("/"));
    let mut command = Command::new(binary);
    command
        .env_clear()
        .envs([
            ("AWS_LAMBDA_FUNCTION_NAME", OsStr::new(name)),
            ("AWS_LAMBDA_FUNCTION_VERSION", OsStr::new("$LATEST")),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", OsStr::new("256")),
            ("AWS_LAMBDA_INITIALIZATION_TYPE", OsStr::new("on-demand")),
            ("AWS_LAMBDA_LOG_GROUP_NAME", OsStr::new("/aws/lambda/test")),
            ("AWS_LAMBDA_LOG_STREAM_NAME", OsStr::new("2026/01/01/[$LATEST]00000000")),
            ("AWS_REGION", OsStr::new("eu-central-1")),
            ("AWS_DEFAULT_REGION", OsStr::new("eu-central-1")),
            ("AWS_ACCESS_KEY_ID", OsStr::new("AKIAIOSFODNN7EXAMPLE")),
            ("AWS_SECRET_ACCESS_KEY", OsStr::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")),
            ("LAMBDA_TASK_ROOT", root.as_os_str()),
            ("LAMBDA_RUNTIME_DIR", OsStr::new("/var/runtime")),
            ("_HANDLER", OsStr::new("bootstrap")),
            ("PATH", OsStr::new("/usr/local/bin:/usr/bin:/bin")),
            ("LANG", OsStr::new("en_US.UTF-8")),
            ("TZ", OsStr::new(":UTC")),
        ])
        .current_dir(root)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}
