//! The environment, read once at start-up. A missing variable fails the start by name.

use std::{env, fmt, num::NonZeroU16, time::Duration};

use gatehouse_domain::{catalog::Modules, plain_http::PlainHttp, revocation::Stage};

/// A variable that is missing or not usable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("environment variable {name} {problem}")]
pub struct EnvError {
    name: &'static str,
    problem: Problem,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Problem {
    Missing,
    NotSeconds,
    NotDays,
    NotModules,
    Unknown { allowed: &'static [&'static str] },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("is not set"),
            Self::NotDays => f.write_str("must be a whole number of days, at least 1"),
            Self::NotModules => f.write_str("must be names of modules, separated by commas"),
            Self::NotSeconds => f.write_str("must be a whole number of seconds"),
            Self::Unknown { allowed } => write!(f, "must be one of: {}", allowed.join(", ")),
        }
    }
}

/// The variable's text; an empty one counts as not set.
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
pub fn optional(name: &'static str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// The variable's text.
///
/// # Errors
///
/// When it is not set.
pub fn required(name: &'static str) -> Result<String, EnvError> {
    optional(name).ok_or(EnvError { name, problem: Problem::Missing })
}

/// Where state is kept.
#[derive(Debug, Clone)]
pub struct TableConfig {
    /// `GATEHOUSE_TABLE`: name of the `DynamoDB` table.
    pub table: String,
}

impl TableConfig {
    /// Reads the variables.
    ///
    /// # Errors
    ///
    /// When one is not set.
    pub fn from_env() -> Result<Self, EnvError> {
        Ok(Self { table: required("GATEHOUSE_TABLE")? })
    }
}

/// Where secrets are kept.
#[derive(Debug, Clone)]
pub struct SecretsConfig {
    /// `GATEHOUSE_SECRET_PREFIX`: what the names of all secrets begin with, without a trailing slash.
    pub prefix: String,
}

impl SecretsConfig {
    /// Reads the variables.
    ///
    /// # Errors
    ///
    /// When one is not set.
    pub fn from_env() -> Result<Self, EnvError> {
        Ok(Self { prefix: required("GATEHOUSE_SECRET_PREFIX")? })
    }
}

/// How API Gateway asks the authorizer.
#[derive(Debug, Clone)]
pub struct AuthorizerCacheConfig {
    /// `GATEHOUSE_AUTHORIZER_CACHE_SECONDS`: for how long an answer is remembered.
    pub remembered_for: Duration,
}

impl AuthorizerCacheConfig {
    /// Reads the variable.
    ///
    /// # Errors
    ///
    /// When it is not set, or not a number of seconds.
    pub fn from_env() -> Result<Self, EnvError> {
        const NAME: &str = "GATEHOUSE_AUTHORIZER_CACHE_SECONDS";
        let seconds =
            required(NAME)?.parse().map_err(|_| EnvError { name: NAME, problem: Problem::NotSeconds })?;
        Ok(Self { remembered_for: Duration::from_secs(seconds) })
    }
}

/// What the janitor looks after.
#[derive(Debug, Clone)]
pub struct JanitorConfig {
    /// `GATEHOUSE_EVENT_BUS`: name of the bus that it announces on.
    pub event_bus: String,
    /// `GATEHOUSE_API_ID` and `GATEHOUSE_STAGE`: whose authorizer's answers it flushes.
    pub stage: Stage,
    /// `GATEHOUSE_UNUSED_DAYS`: after how many days without use a token is announced as unused.
    pub unused_days: NonZeroU16,
}

impl JanitorConfig {
    /// Reads the variables.
    ///
    /// # Errors
    ///
    /// When one is not set, or not a number of days.
    pub fn from_env() -> Result<Self, EnvError> {
        const DAYS: &str = "GATEHOUSE_UNUSED_DAYS";
        let days = required(DAYS)?;
        Ok(Self {
            event_bus: required("GATEHOUSE_EVENT_BUS")?,
            stage: Stage { api_id: required("GATEHOUSE_API_ID")?, name: required("GATEHOUSE_STAGE")? },
            unused_days: days.parse().map_err(|_| EnvError { name: DAYS, problem: Problem::NotDays })?,
        })
    }
}

#[derive(Debug, Clone)]
pub struct WorkflowsConfig {
    /// `STEP_FUNCTION_ARN`: what provisions.
    pub provision: Option<String>,
    /// `DEPLOY_STEP_FUNCTION_ARN`: what deploys.
    pub deploy: Option<String>,
}

impl WorkflowsConfig {
    /// Reads the variables. What is not set is said when it is needed.
    pub fn from_env() -> Self {
        Self { provision: optional("STEP_FUNCTION_ARN"), deploy: optional("DEPLOY_STEP_FUNCTION_ARN") }
    }
}

/// The modules that the provisioner has.
#[derive(Debug, Clone)]
pub struct ModulesConfig {
    /// `GATEHOUSE_MODULES`: their names, separated by commas; not known here without it.
    pub modules: Modules,
}

impl ModulesConfig {
    /// Reads the variable.
    ///
    /// # Errors
    ///
    /// When a name cannot be one.
    pub fn from_env() -> Result<Self, EnvError> {
        const NAME: &str = "GATEHOUSE_MODULES";
        let Some(names) = optional(NAME) else { return Ok(Self { modules: Modules::Unknown }) };
        let names = names.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::parse);
        let names = names.collect::<Result<_, _>>();
        let names = names.map_err(|_| EnvError { name: NAME, problem: Problem::NotModules })?;
        Ok(Self { modules: Modules::Known(names) })
    }
}

/// Who makes and accepts tokens.
#[derive(Debug, Clone)]
pub struct IssuerConfig {
    /// `GATEHOUSE_ISSUER`: the name of this installation, which stands in every token: another one's
    /// tokens open nothing here.
    pub issuer: String,
}

impl IssuerConfig {
    /// Reads the variables.
    ///
    /// # Errors
    ///
    /// When one is not set.
    pub fn from_env() -> Result<Self, EnvError> {
        Ok(Self { issuer: required("GATEHOUSE_ISSUER")? })
    }
}

/// Where those report who work on operations.
#[derive(Debug, Clone)]
pub struct CallbackConfig {
    /// `GATEHOUSE_CALLBACK_URL`: the API's base URL, stage included, without a slash at the end.
    pub base_url: String,
}

impl CallbackConfig {
    /// Reads the variable.
    ///
    /// # Errors
    ///
    /// When it is not set.
    pub fn from_env() -> Result<Self, EnvError> {
        Ok(Self { base_url: required("GATEHOUSE_CALLBACK_URL")?.trim_end_matches('/').to_owned() })
    }
}

/// How a function's answers leave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseMode {
    /// Byte by byte, as API Gateway's streaming integrations want it.
    Stream,
    Buffered,
}

impl ResponseMode {
    /// Reads `GATEHOUSE_RESPONSE_MODE`: `stream` or `buffered`.
    ///
    /// # Errors
    ///
    /// When it is not set, or something else.
    pub fn from_env() -> Result<Self, EnvError> {
        const NAME: &str = "GATEHOUSE_RESPONSE_MODE";
        match required(NAME)?.as_str() {
            "stream" => Ok(Self::Stream),
            "buffered" => Ok(Self::Buffered),
            _ => Err(EnvError { name: NAME, problem: Problem::Unknown { allowed: &["stream", "buffered"] } }),
        }
    }
}

/// Reads `GATEHOUSE_PLAIN_HTTP`: `allowed` says that the network is private; anything else, or nothing, that it is not.
pub fn plain_http() -> PlainHttp {
    match optional("GATEHOUSE_PLAIN_HTTP").as_deref() {
        Some("allowed") => PlainHttp::Allowed,
        _ => PlainHttp::OnLoopback,
    }
}

/// Whether CI systems may be on this very machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoopbackProviders {
    /// They may: for the local stack and for proofs on one machine.
    Allowed,
    /// They may not: on Lambda, the runtime's own API listens there.
    Refused,
}

impl LoopbackProviders {
    /// Reads `GATEHOUSE_LOOPBACK_PROVIDERS`: `allowed`; anything else, or nothing, refuses them.
    pub fn from_env() -> Self {
        match optional("GATEHOUSE_LOOPBACK_PROVIDERS").as_deref() {
            Some("allowed") => Self::Allowed,
            _ => Self::Refused,
        }
    }
}
