//! The environment, read once at start-up. A missing variable fails the start by name.

use std::{env, fmt, num::NonZeroU16, time::Duration};

use gatehouse_domain::{plain_http::PlainHttp, revocation::Stage};

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
    Unknown { allowed: &'static [&'static str] },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("is not set"),
            Self::NotDays => f.write_str("must be a whole number of days, at least 1"),
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

/// `GATEHOUSE_TABLE`: the name of the `DynamoDB` table.
///
/// # Errors
///
/// When it is not set.
pub fn table() -> Result<String, EnvError> {
    required("GATEHOUSE_TABLE")
}

/// `GATEHOUSE_SECRET_PREFIX`: what the names of all secrets begin with, without a trailing slash.
///
/// # Errors
///
/// When it is not set.
pub fn secret_prefix() -> Result<String, EnvError> {
    required("GATEHOUSE_SECRET_PREFIX")
}

/// `GATEHOUSE_ISSUER`: the name of this installation, which stands in every token: another one's tokens open
/// nothing here.
///
/// # Errors
///
/// When it is not set.
pub fn issuer() -> Result<String, EnvError> {
    required("GATEHOUSE_ISSUER")
}

/// `GATEHOUSE_CALLBACK_URL`: the API's base URL for those who report on operations, stage included, without a
/// slash at the end.
///
/// # Errors
///
/// When it is not set.
pub fn callback_url() -> Result<String, EnvError> {
    Ok(required("GATEHOUSE_CALLBACK_URL")?.trim_end_matches('/').to_owned())
}

/// `GATEHOUSE_AUTHORIZER_CACHE_SECONDS`: for how long API Gateway remembers an answer of the authorizer.
///
/// # Errors
///
/// When it is not set, or not a number of seconds.
pub fn authorizer_cache() -> Result<Duration, EnvError> {
    const NAME: &str = "GATEHOUSE_AUTHORIZER_CACHE_SECONDS";
    let seconds = required(NAME)?.parse();
    let seconds = seconds.map_err(|_| EnvError { name: NAME, problem: Problem::NotSeconds })?;
    Ok(Duration::from_secs(seconds))
}

/// `GATEHOUSE_LOOPBACK_PROVIDERS`: whether CI systems may be on this very machine. Only `allowed` lets them, for
/// proofs on one machine: on Lambda, the runtime's own API listens there.
pub fn allows_loopback_providers() -> bool {
    optional("GATEHOUSE_LOOPBACK_PROVIDERS").as_deref() == Some("allowed")
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
