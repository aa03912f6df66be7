//! Keys, what is presented as one, and how the two are compared.

use std::collections::BTreeSet;

use async_trait::async_trait;
use data_encoding::{BASE32HEX_NOPAD, HEXLOWER};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::{
    access::Scope,
    caller::{Caller, Grant, Tenants},
    clock::{IdSource, random_id},
    grants::{self, KeyRights},
    store::StoreError,
    tokens::USE_INTERVAL,
    users::{FindAccount, UserState},
};

/// With what every key that Gatehouse makes begins, so that secret scanners know it.
const PREFIX: &str = "gh_";

/// How many characters of a key are its checksum: 30 bits, so that a typing error gets through once in a
/// thousand million times.
const CHECKSUM_LENGTH: usize = 6;

/// The longest credential that is looked at, in bytes.
const MAX_LENGTH: usize = 512;

/// What a caller presented. Nothing is known of it but its form.
#[derive(Debug)]
pub struct PresentedKey(SecretString);

/// Where a key's record is found: made from its hash, safe to show and to log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKeyId(String);

impl ApiKeyId {
    /// Takes text of the store for an id.
    pub fn unverified(text: String) -> Self {
        Self(text)
    }

    /// `key_` and 20 hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Text that is no id of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key id is `key_` and 20 hexadecimal digits")]
pub struct InvalidApiKeyId;

impl std::str::FromStr for ApiKeyId {
    type Err = InvalidApiKeyId;

    fn from_str(raw: &str) -> Result<Self, InvalidApiKeyId> {
        let digits = raw.strip_prefix("key_").ok_or(InvalidApiKeyId)?;
        let valid =
            digits.len() == 20 && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if valid { Ok(Self(raw.to_owned())) } else { Err(InvalidApiKeyId) }
    }
}

/// SHA-256 of a key. The key has 160 random bits, so a slow hash would add nothing.
#[derive(Clone)]
pub struct KeyHash([u8; 32]);

impl KeyHash {
    /// Reads what [`KeyHash::to_hex`] wrote.
    pub fn from_hex(text: &str) -> Option<Self> {
        HEXLOWER.decode(text.as_bytes()).ok()?.try_into().ok().map(Self)
    }

    /// 64 hexadecimal digits, for the store.
    pub fn to_hex(&self) -> String {
        HEXLOWER.encode(&self.0)
    }

    fn of(key: &str) -> Self {
        Self(Sha256::digest(key.as_bytes()).into())
    }

    fn id(&self) -> ApiKeyId {
        ApiKeyId(format!("key_{}", HEXLOWER.encode(&self.0[..10])))
    }
}

impl std::fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyHash(..)")
    }
}

impl PresentedKey {
    /// Takes what stands behind `Bearer ` for a key, when it can be one: a `gh_` key with a wrong checksum
    /// is a typing error, which needs no look-up.
    pub fn parse(text: &str) -> Option<Self> {
        let plausible = (8..=MAX_LENGTH).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        let intact = match text.strip_prefix(PREFIX) {
            None => true,
            Some(body) => body
                .split_at_checked(body.len().saturating_sub(CHECKSUM_LENGTH))
                .is_some_and(|(body, sum)| checksum(body) == sum),
        };
        (plausible && intact).then(|| Self(text.to_owned().into()))
    }

    /// Where its record would be.
    pub fn id(&self) -> ApiKeyId {
        self.hash().id()
    }

    fn hash(&self) -> KeyHash {
        KeyHash::of(self.0.expose_secret())
    }
}

fn checksum(body: &str) -> String {
    let digest = Sha256::digest(format!("gatehouse-key-checksum:{body}").as_bytes());
    let mut text = BASE32HEX_NOPAD.encode(&digest[..5]);
    text.truncate(CHECKSUM_LENGTH);
    text.to_ascii_lowercase()
}

/// What is kept of a key.
#[derive(Debug, Clone)]
pub struct ApiKey {
    /// Made from its hash.
    pub id: ApiKeyId,
    pub hash: KeyHash,
    /// What it is for, for people.
    pub name: String,
    /// What it may do.
    pub scopes: BTreeSet<Scope>,
    pub tenants: Tenants,
    /// When it was made.
    pub created_at: Timestamp,
    pub created_by: String,
    /// The [`Caller::hand`] of whoever minted it: it counts for as long as they could mint it, and what is done with
    /// it counts as theirs. `None` of a key that came with the installation.
    pub minted_by: Option<String>,
    /// When it expires by itself, if ever.
    pub expires_at: Option<Timestamp>,
    /// When it was last seen in use, at most [`USE_INTERVAL`] ago more precisely.
    pub last_used_at: Option<Timestamp>,
    /// Who revoked it, when and why.
    pub revoked: Option<Revocation>,
}

/// That a key was revoked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    pub at: Timestamp,
    pub by: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl ApiKey {
    /// Makes a key: what is kept, and the key itself, which is shown once and never again.
    pub fn generate(
        ids: &dyn IdSource,
        name: String,
        scopes: BTreeSet<Scope>,
        tenants: Tenants,
        now: Timestamp,
    ) -> (Self, SecretString) {
        let body = format!("{}{}", &random_id(ids, "")[1..], &random_id(ids, "")[1..7]);
        let key = format!("{PREFIX}{body}{}", checksum(&body));
        (Self::of_text(&key, name, scopes, tenants, now), key.into())
    }

    /// What it may do.
    pub fn rights(&self) -> KeyRights<'_> {
        KeyRights { scopes: &self.scopes, tenants: &self.tenants, expires_at: self.expires_at }
    }

    /// How the key stands at `now`: `active`, `expired` or `revoked`.
    pub fn status(&self, now: Timestamp) -> crate::tokens::TokenStatus {
        use crate::tokens::TokenStatus;

        match (&self.revoked, self.expires_at) {
            (Some(_), _) => TokenStatus::Revoked,
            (None, Some(end)) if end <= now => TokenStatus::Expired,
            (None, _) => TokenStatus::Active,
        }
    }

    /// Who calls with this key.
    fn into_caller(self) -> Caller {
        let grant = Grant::ApiKey {
            scopes: self.scopes,
            tenants: self.tenants,
            expires_at: self.expires_at,
            minted_by: self.minted_by,
        };
        Caller { subject: self.id.0, grant }
    }

    /// What is kept of a key whose text somebody else chose: for the local stack's well-known key.
    pub fn of_text(
        key: &str,
        name: String,
        scopes: BTreeSet<Scope>,
        tenants: Tenants,
        now: Timestamp,
    ) -> Self {
        let hash = KeyHash::of(key);
        Self {
            id: hash.id(),
            hash,
            name,
            scopes,
            tenants,
            created_at: now,
            created_by: "gatehouse".to_owned(),
            minted_by: None,
            expires_at: None,
            last_used_at: None,
            revoked: None,
        }
    }
}

/// Looks API keys up. Needs `dynamodb:GetItem`.
#[async_trait]
pub trait FindApiKey: Send + Sync {
    /// Returns `None` when no such key exists. Strongly consistent.
    async fn find_api_key(&self, id: &ApiKeyId) -> Result<Option<ApiKey>, StoreError>;
}

/// Writes down that keys are used. Needs `dynamodb:UpdateItem`.
#[async_trait]
pub trait RecordKeyUse: Send + Sync {
    /// Writes it down, unless a later use is known.
    async fn record_key_use(&self, id: &ApiKeyId, at: Timestamp) -> Result<(), StoreError>;
}

/// Finds out who presents a key: `None` when nobody does who may come in. The second part says whether
/// that it was used is to be written down, at most once in [`USE_INTERVAL`].
///
/// A person's key counts only while the person may log in and holds what the key holds, so their record is read after
/// the key's. To revoke the keys of whoever is disabled would take one read less, and miss a key that is minted at
/// the same moment.
pub async fn authenticate<S: FindApiKey + FindAccount>(
    store: &S,
    presented: &PresentedKey,
    now: Timestamp,
) -> Result<Option<(Caller, bool)>, StoreError> {
    let Some(key) = store.find_api_key(&presented.id()).await? else { return Ok(None) };
    if !bool::from(key.hash.0.ct_eq(&presented.hash().0)) {
        return Ok(None);
    }
    let is_news = key.last_used_at.is_none_or(|last| last + USE_INTERVAL <= now);
    Ok(admit(store, key, now).await?.map(|caller| (caller, is_news)))
}

/// Who calls with a key that was compared before: `None` when it does not count any more.
pub async fn with_key<S: FindApiKey + FindAccount>(
    store: &S,
    id: &ApiKeyId,
    now: Timestamp,
) -> Result<Option<Caller>, StoreError> {
    let Some(key) = store.find_api_key(id).await? else { return Ok(None) };
    admit(store, key, now).await
}

async fn admit<S: FindAccount>(store: &S, key: ApiKey, now: Timestamp) -> Result<Option<Caller>, StoreError> {
    let counts = key.status(now).is_valid() && is_backed(store, &key).await?;
    Ok(counts.then(|| key.into_caller()))
}

/// Whether the person behind the key, where there is one, could still mint it.
async fn is_backed<S: FindAccount>(store: &S, key: &ApiKey) -> Result<bool, StoreError> {
    let Some(name) = key.minted_by.as_deref().and_then(|hand| hand.strip_prefix("user:")) else {
        return Ok(true);
    };
    let Ok(name) = name.parse() else { return Ok(false) };
    let account = store.find_account(&name).await?;
    Ok(account.is_some_and(|it| it.state == UserState::Active && grants::could_mint(&it.roles, key.rights())))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{name::UserName, test_support::Fixed, users::Account};

    fn minted() -> (ApiKey, SecretString) {
        ApiKey::generate(
            &Fixed(42),
            "test".into(),
            BTreeSet::from([Scope::All]),
            Tenants::All,
            Timestamp::UNIX_EPOCH,
        )
    }

    /// A key, and the person behind it.
    struct Keys(ApiKey, Option<Account>);

    #[async_trait]
    impl FindAccount for Keys {
        async fn find_account(&self, name: &UserName) -> Result<Option<Account>, StoreError> {
            Ok(self.1.clone().filter(|_| name.as_str() == "ada"))
        }
    }

    #[async_trait]
    impl FindApiKey for Keys {
        async fn find_api_key(&self, id: &ApiKeyId) -> Result<Option<ApiKey>, StoreError> {
            Ok((*id == self.0.id).then(|| self.0.clone()))
        }
    }

    async fn who(key: ApiKey, text: &str, now: Timestamp) -> Option<Caller> {
        let admitted = authenticate(&Keys(key, None), &PresentedKey::parse(text)?, now).await.unwrap();
        admitted.map(|(caller, _)| caller)
    }

    fn now() -> Timestamp {
        Timestamp::from_second(100).unwrap()
    }

    #[test]
    fn a_typing_error_is_seen_without_a_look_up() {
        let (_, key) = minted();
        let text = key.expose_secret();
        assert!(PresentedKey::parse(text).is_some());
        for index in PREFIX.len()..text.len() {
            let mut wrong = text.to_owned().into_bytes();
            wrong[index] = if wrong[index] == b'z' { b'y' } else { b'z' };
            let wrong = String::from_utf8(wrong).unwrap();
            assert!(PresentedKey::parse(&wrong).is_none(), "{wrong} was taken");
        }
    }

    #[test]
    fn impossible_credentials_are_refused() {
        for bad in ["", "short", "with space", "nul\0nulnul", &"x".repeat(513)] {
            assert!(PresentedKey::parse(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn debug_output_shows_neither_key_nor_hash() {
        let (record, key) = minted();
        let shown = format!("{record:?} {key:?} {:?}", PresentedKey::parse(key.expose_secret()));
        assert!(!shown.contains(key.expose_secret()) && !shown.contains(&record.hash.to_hex()));
    }

    #[test]
    fn a_key_opens_until_it_ends() {
        let (record, key) = minted();
        let ended = ApiKey { expires_at: Some(now()), ..record.clone() };
        let text = key.expose_secret();
        assert_eq!(ready(who(record, text, now())).map(|caller| caller.tenants()), Some(Tenants::All));
        assert_eq!(ready(who(ended, text, now())), None);
    }

    #[test]
    fn a_revoked_key_does_not_open() {
        let (record, key) = minted();
        let revoked = Some(Revocation { at: now(), by: "user:ada".into(), reason: None });
        assert_eq!(ready(who(ApiKey { revoked, ..record }, key.expose_secret(), now())), None);
    }

    fn account(roles: &str, state: UserState) -> Account {
        let (roles, sessions) = (roles.parse().unwrap(), BTreeMap::new());
        Account { roles, state, must_change_password: false, second_factor_since: None, sessions }
    }

    #[test]
    fn a_persons_key_counts_for_as_long_as_they_could_mint_it() {
        let (record, key) = minted();
        let presented = PresentedKey::parse(key.expose_secret()).unwrap();
        let opens = |minted_by: &str, scopes: &[Scope], tenants: &str, account: Option<Account>| {
            let key = ApiKey {
                minted_by: Some(minted_by.to_owned()),
                scopes: scopes.iter().copied().collect(),
                tenants: tenants.parse().unwrap(),
                ..record.clone()
            };
            ready(authenticate(&Keys(key, account), &presented, now())).unwrap().is_some()
        };
        let active = |roles| Some(account(roles, UserState::Active));
        assert!(opens("user:ada", &[Scope::All], "*", active("*=admin")));
        assert!(opens("user:ada", &[Scope::RunsWrite], "acme", active("acme=developer")));
        assert!(opens("api_key:key_0", &[Scope::All], "*", None), "nobody is behind it");
        for (why, scopes, tenants, account) in [
            ("disabled", Scope::JobsRead, "acme", Some(account("*=admin", UserState::Disabled))),
            ("deleted", Scope::JobsRead, "acme", None),
            ("demoted", Scope::All, "*", active("acme=admin")),
            ("demoted in the tenant", Scope::RunsWrite, "acme", active("acme=viewer")),
            ("out of one of the tenants", Scope::RunsWrite, "acme,beta", active("acme=developer")),
        ] {
            assert!(!opens("user:ada", &[scopes], tenants, account), "a key of a person who is {why}");
        }
        assert!(!opens("user:bob", &[Scope::JobsRead], "acme", active("*=admin")), "somebody else's account");
        assert!(!opens("user:", &[Scope::JobsRead], "acme", active("*=admin")));
    }

    #[test]
    fn a_use_is_news_once_in_five_minutes() {
        let (record, key) = minted();
        let presented = PresentedKey::parse(key.expose_secret()).unwrap();
        let is_news = |last_used_at, now| {
            let key = ApiKey { last_used_at, ..record.clone() };
            ready(authenticate(&Keys(key, None), &presented, now)).unwrap().unwrap().1
        };
        assert!(is_news(None, now()));
        assert!(!is_news(Some(now()), now() + USE_INTERVAL - std::time::Duration::from_millis(1)));
        assert!(is_news(Some(now()), now() + USE_INTERVAL));
    }

    #[test]
    fn a_record_with_another_hash_does_not_open() {
        let (record, key) = minted();
        let forged = ApiKey { hash: KeyHash([0; 32]), ..record };
        assert_eq!(ready(who(forged, key.expose_secret(), now())), None);
    }

    /// Runs a future that never waits.
    fn ready<T>(future: impl Future<Output = T>) -> T {
        let mut future = std::pin::pin!(future);
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match future.as_mut().poll(&mut context) {
            std::task::Poll::Ready(value) => value,
            std::task::Poll::Pending => panic!("the future waits"),
        }
    }
}
