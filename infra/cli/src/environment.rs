//! What the commands take from the environment.

use std::path::PathBuf;

use gatehouse_runtime::env;
use secrecy::SecretString;

/// What the commands take from the environment.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// `GATEHOUSE_URL`: the Gatehouse to speak with.
    pub url: Option<String>,
    /// `GATEHOUSE_TOKEN`: an API key or a token, used instead of a stored session.
    pub token: Option<SecretString>,
    /// `XDG_CONFIG_HOME`: where people's settings are.
    pub config_home: Option<PathBuf>,
    /// `HOME`: whose `.config` is used otherwise.
    pub home: Option<PathBuf>,
    /// `NO_COLOR`: colours are not wanted, on terminals either.
    pub no_color: bool,
}

impl Environment {
    pub fn read() -> Self {
        Self {
            url: env::optional("GATEHOUSE_URL"),
            token: env::optional("GATEHOUSE_TOKEN").and_then(|token| secret(token.trim())),
            config_home: env::optional("XDG_CONFIG_HOME").map(Into::into),
            home: env::optional("HOME").map(Into::into),
            no_color: env::optional("NO_COLOR").is_some(),
        }
    }
}

fn secret(text: &str) -> Option<SecretString> {
    (!text.is_empty()).then(|| text.into())
}
