//! Where a CI system is, and who we are there.

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::validation::FieldError;

/// The longest name of an account, in bytes.
const MAX_ACCOUNT: usize = 255;

/// The longest password or client secret, in bytes: far more than anybody has.
const MAX_SECRET: usize = 4096;

/// The longest certificate authority in PEM, in bytes: some dozen certificates.
const MAX_CERTIFICATE: usize = 64 * 1024;

/// Who we are at a CI system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "grant", rename_all = "snake_case")]
pub enum Account {
    /// A local user and password.
    Password { username: String },
    /// An OAuth client of its own.
    ClientCredentials { client_id: String },
}

/// A secret that is kept already, and whether it may be used on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeptSecret {
    None,
    /// It was given for the same place and account.
    Fits,
    /// It was given for something that differs in these members of the request: whoever gave it has not agreed that
    /// it goes there.
    GivenForOther(Vec<&'static str>),
}

/// What somebody wants to register a CI system with. Each kind composes its rules from those below; their
/// pointers start at the body of the request.
#[derive(Debug)]
pub struct Connection<'a> {
    pub url: Option<&'a str>,
    pub account: Option<&'a Account>,
    /// The password or client secret, where one was given.
    pub secret: Option<&'a SecretString>,
    /// Whether a secret is kept already.
    pub kept: KeptSecret,
    pub ca_certificate: Option<&'a str>,
}

impl Connection<'_> {
    /// Requires a URL over HTTP.
    pub(super) fn check_url(&self) -> Vec<FieldError> {
        match self.url {
            None => vec![FieldError::new("/url", "is required")],
            Some(url) if !is_http_url(url) => {
                let detail = "must be an http or https URL without user, query or fragment";
                vec![FieldError::new("/url", detail)]
            }
            Some(_) => Vec::new(),
        }
    }

    /// Requires an account, of any grant, and its secret unless that is kept already.
    pub(super) fn check_account(&self) -> Vec<FieldError> {
        match (self.account, self.secret, &self.kept) {
            (None, _, _) => vec![FieldError::new("/auth", "is required")],
            (Some(_), None, KeptSecret::None) => {
                vec![FieldError::new("/auth", "a new account needs its password or client_secret")]
            }
            (Some(account), None, KeptSecret::GivenForOther(changed)) => {
                let pointer = format!("/auth/{}", account.secret_member());
                let detail =
                    format!("is needed again: what is kept was given for another {}", changed.join(" and "));
                vec![FieldError::new(pointer, detail)]
            }
            (Some(account), secret, _) => account.check(secret),
        }
    }

    /// Accepts one or more certificates in PEM, or none.
    pub(super) fn check_certificate(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if self.ca_certificate.is_some_and(|pem| !pem.contains("-----BEGIN CERTIFICATE-----")) {
            errors.push(FieldError::new("/ca_certificate", "must be a certificate in PEM"));
        }
        if self.ca_certificate.is_some_and(|pem| pem.len() > MAX_CERTIFICATE) {
            let detail = format!("must be at most {MAX_CERTIFICATE} bytes");
            errors.push(FieldError::new("/ca_certificate", detail));
        }
        errors
    }
}

impl Account {
    /// The member of `auth` that holds the secret half.
    fn secret_member(&self) -> &'static str {
        match self {
            Self::Password { .. } => "password",
            Self::ClientCredentials { .. } => "client_secret",
        }
    }

    fn check(&self, secret: Option<&SecretString>) -> Vec<FieldError> {
        let (field, name) = match self {
            Self::Password { username } => ("username", username),
            Self::ClientCredentials { client_id } => ("client_id", client_id),
        };
        let mut errors = Vec::new();
        if !(1..=MAX_ACCOUNT).contains(&name.len()) {
            let detail = format!("must be 1 to {MAX_ACCOUNT} bytes");
            errors.push(FieldError::new(format!("/auth/{field}"), detail));
        }
        if secret.is_some_and(|secret| !(1..=MAX_SECRET).contains(&secret.expose_secret().len())) {
            let detail = format!("must be 1 to {MAX_SECRET} bytes");
            errors.push(FieldError::new(format!("/auth/{}", self.secret_member()), detail));
        }
        errors
    }
}

/// A cheap test at the edge; the adapter parses the URL for good and guards where it leads.
fn is_http_url(url: &str) -> bool {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let forbidden = |c: char| c.is_control() || c.is_whitespace() || matches!(c, '@' | '?' | '#' | '\\');
    rest.is_some_and(|rest| {
        rest.len() <= 1024 && !rest.starts_with(['/', ':']) && !rest.is_empty() && !rest.contains(forbidden)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_with_tricks_are_refused() {
        for good in ["https://ci.example.com", "http://127.0.0.1:8080/prefix"] {
            assert!(is_http_url(good), "{good}");
        }
        for bad in
            ["ftp://x", "https://", "https://user@host", "https:///etc", "http://a b", "https://h/?q", "//h"]
        {
            assert!(!is_http_url(bad), "{bad}");
        }
    }
}
