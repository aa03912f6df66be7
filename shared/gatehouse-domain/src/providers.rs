//! Providers: the CI systems that are registered, and the rules for registering them.

use std::collections::BTreeSet;

use async_trait::async_trait;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::{
    audit::{Action, AuditContext, AuditTarget, Entry, Outcome},
    ci::{Account, Connection, KeptSecret, ProviderKind, Scopes, Sharing},
    clock::{System, random_id},
    idempotency::Fingerprint,
    name::ProviderName,
    revision::{EditOutcome, Precondition, PreconditionError, Revision},
    secret::{ChangeSecret, DeleteSecret, SecretError, SecretName},
    store::StoreError,
    validation::FieldError,
};

/// A CI system that is registered, as it is stored too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provider {
    /// Unique in the installation.
    pub name: ProviderName,
    /// How to speak with it.
    pub kind: ProviderKind,
    /// Where it is, without a trailing slash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Who we are there; the secret half is kept in the secret store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<Account>,
    /// A certificate authority in PEM to trust beside the public ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_certificate: Option<String>,
    /// Which tenants may use what of it.
    #[serde(default, skip_serializing_if = "Sharing::is_not_asked")]
    pub sharing: Sharing,
    /// Changes with every edit, for optimistic locking.
    pub revision: Revision,
    /// Changes when the credentials change, so that tokens made from older ones are not used.
    pub credentials_version: String,
    /// When it was last edited.
    pub updated_at: Timestamp,
    pub updated_by: String,
}

impl Provider {
    /// What its credentials are given for: the CI system, where it is, whom it is known by, and who we are there.
    pub fn place(&self) -> Fingerprint {
        let account = self.account.as_ref().and_then(|account| serde_json::to_string(account).ok());
        let url = self.url.as_deref().map(same_url);
        let parts = [url, account, self.ca_certificate.clone()].map(Option::unwrap_or_default);
        Fingerprint::of(&[self.kind.as_str(), &parts[0], &parts[1], &parts[2]])
    }
}

/// The URL in one spelling: without a trailing slash, scheme and host in lower case.
fn same_url(url: &str) -> String {
    let url = url.trim_end_matches('/');
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let host = rest.find('/').unwrap_or(rest.len());
    format!("{}://{}{}", scheme.to_ascii_lowercase(), rest[..host].to_ascii_lowercase(), &rest[host..])
}

/// The secret half of an account, as it is kept in the secret store.
#[derive(Debug)]
pub struct Credentials {
    /// The account it belongs to.
    pub account: Account,
    /// The password or the client's secret.
    pub secret: SecretString,
    /// The [`Provider::place`] that they were given for; unknown of those that were kept before it was noted.
    pub given_for: Option<Fingerprint>,
}

#[derive(Serialize, Deserialize)]
struct StoredCredentials {
    #[serde(flatten)]
    account: Account,
    secret: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    given_for: Option<Fingerprint>,
}

/// Credentials that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the stored credentials are unreadable")]
pub struct UnreadableCredentials;

impl Credentials {
    /// The text that is kept in the secret store.
    pub fn to_secret(&self) -> SecretString {
        let stored = StoredCredentials {
            account: self.account.clone(),
            secret: self.secret.expose_secret().to_owned(),
            given_for: self.given_for.clone(),
        };
        serde_json::to_string(&stored).unwrap_or_default().into()
    }

    /// Reads what [`Credentials::to_secret`] wrote.
    ///
    /// # Errors
    ///
    /// When the text is something else; what it is stays secret.
    pub fn from_secret(text: &SecretString) -> Result<Self, UnreadableCredentials> {
        let stored: StoredCredentials =
            serde_json::from_str(text.expose_secret()).map_err(|_| UnreadableCredentials)?;
        Ok(Self { account: stored.account, secret: stored.secret.into(), given_for: stored.given_for })
    }

    /// Whether they may be sent to `place`. Settings and credentials are kept apart, and are read some seconds apart:
    /// what was given for one place must not follow settings that lead to another.
    pub fn fit(&self, place: &Fingerprint) -> bool {
        self.given_for.as_ref().is_none_or(|given_for| given_for == place)
    }
}

/// Looks providers up. Needs `dynamodb:GetItem`.
#[async_trait]
pub trait FindProvider: Send + Sync {
    /// Returns `None` when no such provider is registered. Strongly consistent.
    async fn find_provider(&self, name: &ProviderName) -> Result<Option<Provider>, StoreError>;
}

/// Lists providers. Needs `dynamodb:Query`.
#[async_trait]
pub trait ListProviders: Send + Sync {
    /// Every provider, by name: an installation has a handful.
    async fn list_providers(&self) -> Result<Vec<Provider>, StoreError>;
}

/// Saves providers. Needs `dynamodb:PutItem`.
#[async_trait]
pub trait SaveProvider: Send + Sync {
    /// Writes `provider` where `previous` still stands; where nothing stands without it. Without an entry of the
    /// trail where no caller is behind it: the local stack registers its own, and the janitor fills in what is missing.
    async fn save_provider(
        &self,
        provider: &Provider,
        previous: Option<&Revision>,
        entry: Option<&Entry>,
    ) -> Result<EditOutcome, StoreError>;
}

/// Deletes providers. Needs `dynamodb:DeleteItem` and `dynamodb:PutItem`.
#[async_trait]
pub trait DeleteProvider: Send + Sync {
    /// Deletes the provider where `revision` still stands, with the entry of the trail.
    async fn delete_provider(
        &self,
        name: &ProviderName,
        revision: &Revision,
        entry: &Entry,
    ) -> Result<EditOutcome, StoreError>;
}

/// What a caller wants to register.
#[derive(Debug)]
pub struct ProviderDraft {
    pub name: ProviderName,
    /// How to speak with it.
    pub kind: ProviderKind,
    pub url: Option<String>,
    /// Who we are there. The secret may be left out when the account and the place stay the same.
    pub account: Option<(Account, Option<SecretString>)>,
    /// A certificate authority in PEM.
    pub ca_certificate: Option<String>,
    /// Which tenants may use which scopes. Where neither this nor `open_to_all` is said, what was said before stays.
    pub scopes: Option<Scopes>,
    /// Whether every tenant may use everything.
    pub open_to_all: Option<bool>,
}

/// Why a provider cannot be registered.
#[derive(Debug, thiserror::Error)]
pub enum PutProviderError {
    #[error("the provider is not valid")]
    Invalid(Vec<FieldError>),
    /// It is not as the caller expects.
    #[error(transparent)]
    Precondition(#[from] PreconditionError),
    #[error("could not save the provider")]
    Store(#[from] StoreError),
    /// The secret store failed.
    #[error("could not save the provider's credentials")]
    Secrets(#[from] SecretError),
}

/// A provider was registered.
#[derive(Debug)]
pub struct PutProvider {
    /// As it stands now.
    pub provider: Provider,
    /// Whether there was none before.
    pub created: bool,
}

/// Registers a provider, or changes one.
///
/// A secret goes only where it was given for: another place or account needs it again, and the token that was made
/// of the one before is forgotten.
///
/// The credentials are written before the settings that name them: a crash between the two leaves old settings with
/// credentials that are refused there when they were given for another place. `kinds` are those that this deployment
/// has.
pub async fn put<S: FindProvider + SaveProvider>(
    store: &S,
    secrets: &dyn ChangeSecret,
    system: &dyn System,
    kinds: &BTreeSet<ProviderKind>,
    audit: &AuditContext<'_>,
    draft: ProviderDraft,
    expected: &Precondition,
) -> Result<PutProvider, PutProviderError> {
    let previous = store.find_provider(&draft.name).await?;
    expected.admit(previous.as_ref().map(|provider| &provider.revision))?;
    let errors = check(&draft, previous.as_ref(), kinds);
    if !errors.is_empty() {
        return Err(PutProviderError::Invalid(errors));
    }
    let sharing = sharing(&draft, previous.as_ref());
    let (account, secret) = draft.account.map_or((None, None), |(account, secret)| (Some(account), secret));
    // New credentials get a new version, so that no function keeps using a token made from the old ones.
    let kept = previous.as_ref().filter(|_| secret.is_none()).map(|old| old.credentials_version.clone());
    let provider = Provider {
        name: draft.name,
        kind: draft.kind,
        url: draft.url.map(|url| url.trim_end_matches('/').to_owned()),
        account,
        ca_certificate: draft.ca_certificate,
        sharing,
        revision: Revision::new(system),
        credentials_version: kept.unwrap_or_else(|| random_id(system, "cred")),
        updated_at: system.now(),
        updated_by: audit.caller.actor(),
    };
    if let (Some(account), Some(secret)) = (provider.account.clone(), secret) {
        let credentials = Credentials { account, secret, given_for: Some(provider.place()) };
        secrets.write(&SecretName::provider_credentials(&provider.name), &credentials.to_secret()).await?;
    }
    let revision = previous.as_ref().map(|provider| &provider.revision);
    let detail = changes(previous.as_ref(), &provider);
    let entry = audit.entry(system, Action::PutProvider, Outcome::Done, target(&provider.name, Some(detail)));
    if store.save_provider(&provider, revision, Some(&entry)).await? == EditOutcome::Conflict {
        return Err(PreconditionError::Failed.into());
    }
    if previous.as_ref().is_some_and(|old| old.credentials_version != provider.credentials_version) {
        // Nobody would use it any more; here it is also gone.
        secrets.delete(&SecretName::provider_token(&provider.name)).await?;
    }
    Ok(PutProvider { provider, created: previous.is_none() })
}

fn target(name: &ProviderName, detail: Option<String>) -> AuditTarget {
    AuditTarget { target: format!("provider:{name}"), tenant: None, detail }
}

/// What the trail says of an edit: what is otherwise than before, and nothing of what is secret.
fn changes(previous: Option<&Provider>, provider: &Provider) -> String {
    let Some(old) = previous else { return "registered".to_owned() };
    let members = [
        ("kind", old.kind != provider.kind),
        ("url", old.url != provider.url),
        ("account", old.account != provider.account),
        ("ca_certificate", old.ca_certificate != provider.ca_certificate),
        ("credentials", old.credentials_version != provider.credentials_version),
    ];
    let changed: Vec<_> = members.into_iter().filter_map(|(name, changed)| changed.then_some(name)).collect();
    if changed.is_empty() { "nothing changed".to_owned() } else { format!("changed: {}", changed.join(", ")) }
}

fn check(
    draft: &ProviderDraft,
    previous: Option<&Provider>,
    kinds: &BTreeSet<ProviderKind>,
) -> Vec<FieldError> {
    if !kinds.contains(&draft.kind) {
        return vec![FieldError::new("/kind", "this deployment does not have this kind of provider")];
    }
    let mut errors = draft.kind.check_connection(&Connection {
        url: draft.url.as_deref(),
        account: draft.account.as_ref().map(|(account, _)| account),
        secret: draft.account.as_ref().and_then(|(_, secret)| secret.as_ref()),
        kept: kept(draft, previous),
        ca_certificate: draft.ca_certificate.as_deref(),
    });
    errors.extend(draft.scopes.iter().flat_map(Scopes::check));
    if draft.open_to_all == Some(true) && draft.scopes.is_some() {
        errors.push(FieldError::new("/open_to_all", "cannot be true where `scopes` says who may use what"));
    }
    errors
}

/// What the provider is to say of who may use it. What was said before stays unless something else is said, so that
/// an edit of an address opens nothing.
fn sharing(draft: &ProviderDraft, previous: Option<&Provider>) -> Sharing {
    match (&draft.scopes, draft.open_to_all) {
        (Some(scopes), _) => Sharing::Scopes(scopes.clone()),
        (None, Some(true)) => Sharing::OpenToAll,
        (None, Some(false)) => Sharing::Unsaid,
        (None, None) => previous.map_or(Sharing::Unsaid, |previous| previous.sharing.clone()),
    }
}

/// Whether the secret that is kept for the provider may be used for what the draft says.
fn kept(draft: &ProviderDraft, previous: Option<&Provider>) -> KeptSecret {
    let Some((old, old_account)) = previous.and_then(|old| Some((old, old.account.as_ref()?))) else {
        return KeptSecret::None;
    };
    let url = |url: Option<&String>| url.map(|url| same_url(url));
    let account = draft.account.as_ref().map(|(account, _)| account);
    let changed = [
        ("kind", old.kind != draft.kind),
        ("url", url(old.url.as_ref()) != url(draft.url.as_ref())),
        ("account", Some(old_account) != account),
        ("ca_certificate", old.ca_certificate != draft.ca_certificate),
    ];
    let changed: Vec<_> = changed.into_iter().filter(|(_, is)| *is).map(|(name, _)| name).collect();
    if changed.is_empty() { KeptSecret::Fits } else { KeptSecret::GivenForOther(changed) }
}

/// Why a provider cannot be deleted.
#[derive(Debug, thiserror::Error)]
pub enum DeleteProviderError {
    /// There is none under that name.
    #[error("there is no such provider")]
    NotFound,
    /// It is not as the caller expects.
    #[error(transparent)]
    Precondition(#[from] PreconditionError),
    #[error("could not delete the provider")]
    Store(#[from] StoreError),
    /// The secret store failed.
    #[error("could not delete the provider's credentials")]
    Secrets(#[from] SecretError),
}

/// Deletes a provider with its credentials and token. Jobs that use it stay and say so when triggered.
pub async fn delete<S: FindProvider + DeleteProvider>(
    store: &S,
    secrets: &dyn DeleteSecret,
    system: &dyn System,
    audit: &AuditContext<'_>,
    name: &ProviderName,
    expected: &Precondition,
) -> Result<(), DeleteProviderError> {
    let Some(current) = store.find_provider(name).await? else { return Err(DeleteProviderError::NotFound) };
    expected.admit(Some(&current.revision))?;
    let entry = audit.entry(system, Action::DeleteProvider, Outcome::Done, target(name, None));
    if store.delete_provider(name, &current.revision, &entry).await? == EditOutcome::Conflict {
        return Err(PreconditionError::Failed.into());
    }
    // After the settings: a crash in between leaves secrets that nothing names, which the next provider of
    // this name overwrites. The other order could leave a provider that is registered and cannot log in.
    secrets.delete(&SecretName::provider_credentials(name)).await?;
    secrets.delete(&SecretName::provider_token(name)).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_survive_the_secret_store_and_never_show() {
        let credentials = Credentials {
            account: Account::Password { username: "ci".into() },
            secret: "canary".to_owned().into(),
            given_for: None,
        };
        assert!(!format!("{credentials:?}").contains("canary"));
        let read = Credentials::from_secret(&credentials.to_secret()).unwrap();
        assert_eq!(read.secret.expose_secret(), "canary");
    }

    #[test]
    fn a_url_is_the_same_in_another_spelling_and_no_other() {
        let url = same_url("https://ci.example.com/concourse");
        assert_eq!(same_url("HTTPS://CI.example.com/concourse/"), url);
        for other in [
            "http://ci.example.com/concourse",
            "https://ci.example.org/concourse",
            "https://ci.example.com:8443/concourse",
            "https://ci.example.com/Concourse",
            "https://ci.example.com",
        ] {
            assert_ne!(same_url(other), url, "{other}");
        }
    }
}
