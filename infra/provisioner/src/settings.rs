//! What the worker is told by its environment, read once.

use std::{
    fmt,
    num::NonZeroU32,
    path::{self, PathBuf},
    str::FromStr,
    time::Duration,
};

use gatehouse_outbound::is_loopback;
use gatehouse_runtime::env::{self, EnvError};
use secrecy::SecretString;
use url::Url;

use crate::{location::Location, work::Phase};

/// How long one callback may take, where `GATEHOUSE_CALLBACK_SECONDS` does not say.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// How long Terraform waits for a locked state, where `GATEHOUSE_LOCK_SECONDS` does not say.
const LOCK_TIMEOUT: Duration = Duration::from_mins(2);

/// How long Terraform may take to end after it was interrupted, where `GATEHOUSE_STOP_SECONDS` does not say.
const STOP_TIMEOUT: Duration = Duration::from_mins(10);

/// Everything that one worker is told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What it works on, and to whom it reports.
    pub assignment: Assignment,
    /// What it works with. An error here is reported as the failure of the attempt.
    pub config: Result<WorkerConfig, SettingsError>,
}

/// The part that differs from attempt to attempt: the override of the container.
#[derive(Debug, Clone)]
pub struct Assignment {
    /// `GATEHOUSE_OPERATION_ID`.
    pub operation_id: String,
    /// `GATEHOUSE_PHASE`: `plan` or `apply`.
    pub phase: Phase,
    /// `GATEHOUSE_ATTEMPT`.
    pub attempt: NonZeroU32,
    /// `GATEHOUSE_CALLBACK_URL`: `https`, or `http` to this very machine.
    pub callback_url: Url,
    /// `GATEHOUSE_CALLBACK_TOKEN`.
    pub callback_token: SecretString,
    /// `GATEHOUSE_TASK_TOKEN`.
    pub task_token: SecretString,
    /// `GATEHOUSE_CALLBACK_SECONDS`: how long one callback may take; 10 without it.
    pub call_timeout: Duration,
}

/// The part that stays: what the task definition says.
#[derive(Debug, Clone)]
pub struct WorkerConfig {
    /// `GATEHOUSE_STATE`: where Terraform keeps state.
    pub state: Location,
    /// `GATEHOUSE_ARTIFACTS`: where plan files are kept.
    pub artifacts: Location,
    /// `GATEHOUSE_MODULES`: the directory of modules.
    pub modules: PathBuf,
    /// `GATEHOUSE_TERRAFORM`: the program; `terraform` without it.
    pub terraform: PathBuf,
    /// `AWS_REGION`: of the buckets.
    pub region: Option<String>,
    /// `GATEHOUSE_LOG_LINK`: a URL in which `{operation_id}`, `{phase}` and `{attempt}` are filled in.
    pub log_link: Option<String>,
    /// `GATEHOUSE_LOCK_SECONDS`: how long Terraform waits for a locked state; 120 without it.
    pub lock_timeout: Duration,
    /// `GATEHOUSE_STOP_SECONDS`: how long Terraform may take to end once interrupted; 600 without it.
    pub stop_timeout: Duration,
}

/// Why the environment cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// A variable is missing.
    #[error(transparent)]
    Missing(#[from] EnvError),
    /// A variable says something else than it may.
    #[error("environment variable {name} {problem}")]
    Invalid {
        name: &'static str,
        /// What it must be.
        problem: String,
    },
}

impl Settings {
    /// Reads the variables.
    ///
    /// # Errors
    ///
    /// When one is missing or unusable without which nothing can be reported.
    pub fn from_env() -> Result<Self, SettingsError> {
        Ok(Self { assignment: Assignment::from_env()?, config: WorkerConfig::from_env() })
    }
}

impl Assignment {
    fn from_env() -> Result<Self, SettingsError> {
        Ok(Self {
            operation_id: env::required("GATEHOUSE_OPERATION_ID")?,
            phase: parsed("GATEHOUSE_PHASE", &env::required("GATEHOUSE_PHASE")?)?,
            attempt: parsed("GATEHOUSE_ATTEMPT", &env::required("GATEHOUSE_ATTEMPT")?)?,
            callback_url: callback_url(&env::required("GATEHOUSE_CALLBACK_URL")?)?,
            callback_token: env::required("GATEHOUSE_CALLBACK_TOKEN")?.into(),
            task_token: env::required("GATEHOUSE_TASK_TOKEN")?.into(),
            call_timeout: seconds("GATEHOUSE_CALLBACK_SECONDS", CALL_TIMEOUT)?,
        })
    }
}

impl WorkerConfig {
    fn from_env() -> Result<Self, SettingsError> {
        Ok(Self {
            state: location("GATEHOUSE_STATE")?,
            artifacts: location("GATEHOUSE_ARTIFACTS")?,
            modules: env::required("GATEHOUSE_MODULES")?.into(),
            terraform: program(
                &env::optional("GATEHOUSE_TERRAFORM").unwrap_or_else(|| "terraform".to_owned()),
            ),
            region: env::optional("AWS_REGION"),
            log_link: env::optional("GATEHOUSE_LOG_LINK"),
            lock_timeout: seconds("GATEHOUSE_LOCK_SECONDS", LOCK_TIMEOUT)?,
            stop_timeout: seconds("GATEHOUSE_STOP_SECONDS", STOP_TIMEOUT)?,
        })
    }
}

/// A program by its name, or by a path, which counts from where the worker was started and not from where
/// Terraform works.
fn program(text: &str) -> PathBuf {
    let absolute = text.contains('/').then(|| path::absolute(text).ok()).flatten();
    absolute.unwrap_or_else(|| text.into())
}

fn location(name: &'static str) -> Result<Location, SettingsError> {
    parsed(name, &env::required(name)?)
}

fn seconds(name: &'static str, otherwise: Duration) -> Result<Duration, SettingsError> {
    match env::optional(name) {
        Some(text) => parsed::<u32>(name, &text).map(|seconds| Duration::from_secs(seconds.into())),
        None => Ok(otherwise),
    }
}

fn parsed<T: FromStr<Err: fmt::Display>>(name: &'static str, text: &str) -> Result<T, SettingsError> {
    text.parse()
        .map_err(|problem| SettingsError::Invalid { name, problem: format!("cannot be used: {problem}") })
}

/// The token travels with every callback, so it goes in the clear to this machine alone.
fn callback_url(text: &str) -> Result<Url, SettingsError> {
    const NAME: &str = "GATEHOUSE_CALLBACK_URL";
    let url: Url = parsed(NAME, text)?;
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        _ => {
            let problem = "must begin with https://, or with http:// and a loopback address".to_owned();
            Err(SettingsError::Invalid { name: NAME, problem })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callbacks_go_in_the_clear_to_this_machine_alone() {
        for good in
            ["https://gatehouse.test/x", "http://127.0.0.1:8080/x", "http://[::1]/", "http://localhost/"]
        {
            assert!(callback_url(good).is_ok(), "{good}");
        }
        for bad in ["http://gatehouse.test/x", "http://10.0.0.1/", "ftp://127.0.0.1/", "callback", ""] {
            assert!(callback_url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_program_is_found_by_name_or_from_here() {
        assert_eq!(program("terraform"), PathBuf::from("terraform"));
        assert_eq!(program("/opt/terraform"), PathBuf::from("/opt/terraform"));
        assert!(program("bin/terraform").is_absolute());
    }

    #[test]
    fn an_error_names_the_variable() {
        let error = parsed::<NonZeroU32>("GATEHOUSE_ATTEMPT", "0").unwrap_err().to_string();
        assert!(error.starts_with("environment variable GATEHOUSE_ATTEMPT cannot be used: "), "{error}");
        let error = parsed::<Phase>("GATEHOUSE_PHASE", "destroy").unwrap_err().to_string();
        assert_eq!(error, "environment variable GATEHOUSE_PHASE cannot be used: must be `plan` or `apply`");
    }

    #[test]
    fn printing_an_assignment_prints_no_secret() {
        let assignment = Assignment {
            operation_id: "op_1".into(),
            phase: Phase::Plan,
            attempt: NonZeroU32::MIN,
            callback_url: "http://127.0.0.1/".parse().unwrap(),
            callback_token: "callback-secret".into(),
            task_token: "task-secret".into(),
            call_timeout: CALL_TIMEOUT,
        };
        let printed = format!("{assignment:?}");
        assert!(printed.contains("op_1") && !printed.contains("secret"), "{printed}");
    }
}
