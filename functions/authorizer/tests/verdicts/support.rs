//! A store in memory that counts what is asked of it, and tokens for it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use authorizer::{Answer, AuthorizeError, Authorizer};
use gatehouse_domain::{
    api_key::{ApiKey, ApiKeyId, FindApiKey, RecordKeyUse},
    claims::{ServiceClaims, SessionClaims},
    id::{SessionId, TokenId},
    name::UserName,
    revision::Revision,
    signing::{FindKeyRing, KeyRing, SigningKey},
    store::StoreError,
    tenant::{ListTenants, Tenant},
    tokens::{FindToken, RecordUse, ServiceToken, TokenState, Use},
    users::{Account, FindAccount, RecordSessionUse, Session, SessionUse, UserState},
};
use gatehouse_jwt::{Issuer, KeyPair, thumbprint};
use gatehouse_testkit::app::TestSystem;
use jiff::Timestamp;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

pub const ISSUER: &str = "urn:gatehouse:example:dev";

/// 2026-01-01T01:00:00Z: when every test begins.
pub const START: i64 = 1_767_229_200;

pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

/// What the store holds, and what was asked of it.
#[derive(Default)]
pub struct Store {
    pub accounts: Mutex<HashMap<String, Account>>,
    pub tokens: Mutex<HashMap<String, ServiceToken>>,
    pub keys: Mutex<HashMap<String, ApiKey>>,
    pub tenants: Mutex<Vec<Tenant>>,
    pub ring: Mutex<Option<KeyRing>>,
    pub no_records: AtomicBool,
    pub no_ring: AtomicBool,
    pub no_writes: AtomicBool,
    /// Whether it is silent when it is asked for a key, and when it is told that one was used.
    pub silent_about_keys: AtomicBool,
    pub silent_about_uses: AtomicBool,
    calls: Mutex<Vec<String>>,
}

impl Store {
    fn call(&self, call: String, broken: &AtomicBool) -> Result<(), StoreError> {
        self.calls.lock().unwrap().push(call);
        if broken.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("out of reach".into()));
        }
        Ok(())
    }

    async fn hear(silent: &AtomicBool) {
        if silent.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
    }

    /// What was asked since this was last called.
    pub fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.calls.lock().unwrap())
    }
}

#[async_trait]
impl FindAccount for Store {
    async fn find_account(&self, name: &UserName) -> Result<Option<Account>, StoreError> {
        self.call(format!("find account {name}"), &self.no_records)?;
        Ok(self.accounts.lock().unwrap().get(name.as_str()).cloned())
    }
}

#[async_trait]
impl ListTenants for Store {
    async fn list_tenants(&self) -> Result<Vec<Tenant>, StoreError> {
        self.call("list tenants".to_owned(), &self.no_records)?;
        Ok(self.tenants.lock().unwrap().clone())
    }
}

#[async_trait]
impl RecordSessionUse for Store {
    async fn record_session_use(&self, used: &SessionUse) -> Result<(), StoreError> {
        self.call(format!("record use of {}", used.session), &self.no_writes)?;
        let mut accounts = self.accounts.lock().unwrap();
        let account = accounts.get_mut(used.user.as_str()).unwrap();
        account.sessions.get_mut(&used.session).unwrap().last_used_at = Some(used.at);
        Ok(())
    }
}

#[async_trait]
impl FindToken for Store {
    async fn find_token(&self, jti: &TokenId) -> Result<Option<ServiceToken>, StoreError> {
        self.call(format!("find token {jti}"), &self.no_records)?;
        Ok(self.tokens.lock().unwrap().get(jti.as_str()).cloned())
    }
}

#[async_trait]
impl RecordUse for Store {
    async fn record_use(&self, used: &Use) -> Result<(), StoreError> {
        let ends = used.ends.as_ref().map(|older| format!(", which ends {older}")).unwrap_or_default();
        self.call(format!("record use of {}{ends}", used.jti), &self.no_writes)?;
        let mut tokens = self.tokens.lock().unwrap();
        tokens.get_mut(used.jti.as_str()).unwrap().last_used_at = Some(used.at);
        Ok(())
    }
}

#[async_trait]
impl FindApiKey for Store {
    async fn find_api_key(&self, id: &ApiKeyId) -> Result<Option<ApiKey>, StoreError> {
        self.call(format!("find key {}", id.as_str()), &self.no_records)?;
        Self::hear(&self.silent_about_keys).await;
        Ok(self.keys.lock().unwrap().get(id.as_str()).cloned())
    }
}

#[async_trait]
impl RecordKeyUse for Store {
    async fn record_key_use(&self, id: &ApiKeyId, at: Timestamp) -> Result<(), StoreError> {
        self.call(format!("record use of {}", id.as_str()), &self.no_writes)?;
        Self::hear(&self.silent_about_uses).await;
        self.keys.lock().unwrap().get_mut(id.as_str()).unwrap().last_used_at = Some(at);
        Ok(())
    }
}

#[async_trait]
impl FindKeyRing for Store {
    async fn find_key_ring(&self) -> Result<Option<KeyRing>, StoreError> {
        // Others come in between, as they do where a call takes time.
        tokio::task::yield_now().await;
        self.call("find key ring".to_owned(), &self.no_ring)?;
        Ok(self.ring.lock().unwrap().clone())
    }
}

/// An authorizer with its store and clock, and the key pair that signs for it.
pub struct Stage {
    pub store: Arc<Store>,
    pub clock: Arc<TestSystem>,
    pub authorizer: Authorizer<Store>,
    pub pair: KeyPair,
}

impl Stage {
    /// A stage with the sample key in its ring.
    pub fn new() -> Self {
        let (store, clock) = (Arc::new(Store::default()), Arc::new(TestSystem::at(at(START))));
        let authorizer = Authorizer::new(store.clone(), clock.clone(), Issuer::new(ISSUER));
        let (key, pair) = sample_key();
        *store.ring.lock().unwrap() = Some(ring([key]));
        Self { store, clock, authorizer, pair }
    }

    /// One whose start is over.
    pub async fn started() -> Self {
        let stage = Self::new();
        stage.authorizer.warm_up().await;
        assert_eq!(stage.store.calls(), ["find key ring"]);
        stage
    }

    /// Registers a service token and signs it.
    pub fn service(&self, token: ServiceToken) -> String {
        let claims = claims_of(&token);
        self.store.tokens.lock().unwrap().insert(token.jti.to_string(), token);
        self.sign(&claims)
    }

    pub fn sign(&self, claims: &ServiceClaims) -> String {
        let token = self.pair.sign_service_token(&Issuer::new(ISSUER), claims).unwrap();
        token.expose_secret().to_owned()
    }

    /// Registers a user with one session and signs that.
    pub fn session(&self, user: &str, roles: &str) -> String {
        let claims = session_claims(user);
        let session = Session::new(claims.issued_at, claims.expires_at);
        let account = Account {
            roles: roles.parse().unwrap(),
            state: UserState::Active,
            must_change_password: false,
            second_factor_since: Some(at(START - 86_400)),
            sessions: BTreeMap::from([(claims.id.clone(), session)]),
        };
        self.store.accounts.lock().unwrap().insert(user.to_owned(), account);
        let token = self.pair.sign_session(&Issuer::new(ISSUER), &claims).unwrap();
        token.expose_secret().to_owned()
    }

    pub fn key(&self, key: ApiKey) {
        self.store.keys.lock().unwrap().insert(key.id.as_str().to_owned(), key);
    }

    pub async fn ask(&self, credential: &str) -> Result<Answer, AuthorizeError> {
        let event = json!({
            "methodArn": "arn:aws:execute-api:eu-west-1:000000000000:api0example/dev/GET/v1/jobs",
            "headers": { "Authorization": format!("Bearer {credential}") },
        });
        self.authorizer.authorize(serde_json::from_value(event).unwrap()).await
    }

    /// The answer to a caller who is let in.
    pub async fn admits(&self, credential: &str) -> Value {
        serde_json::to_value(self.ask(credential).await.unwrap()).unwrap()
    }

    /// Makes sure that a caller is told that they are nobody.
    pub async fn refuses(&self, credential: &str, what: &str) {
        let error = self.ask(credential).await.expect_err(what);
        assert_eq!(error.to_string(), "Unauthorized", "{what}");
    }

    /// Makes sure that a caller is told to try again.
    pub async fn cannot_know(&self, credential: &str, what: &str) {
        let error = self.ask(credential).await.expect_err(what);
        assert!(matches!(error, AuthorizeError::Unavailable(_)), "{what}: {error:?}");
        assert_eq!(error.to_string(), "Unavailable", "API Gateway would take another word for an answer");
    }
}

pub fn jti(digit: char) -> TokenId {
    format!("tok_{}", digit.to_string().repeat(26)).parse().unwrap()
}

/// The record of a token that counts.
pub fn token(digit: char) -> ServiceToken {
    ServiceToken {
        jti: jti(digit),
        tenant: "acme".parse().unwrap(),
        project: "payments".parse().unwrap(),
        service: "worker".parse().unwrap(),
        description: None,
        created_at: at(START - 3600),
        created_by: "user:ada".into(),
        expires_at: at(START - 3600 + 90 * 86_400),
        last_used_at: None,
        replaces: None,
        state: TokenState::Active,
    }
}

pub fn claims_of(token: &ServiceToken) -> ServiceClaims {
    ServiceClaims {
        jti: token.jti.clone(),
        project: token.project.clone(),
        service: token.service.clone(),
        issued_at: token.created_at,
        expires_at: token.expires_at,
    }
}

pub fn session_claims(user: &str) -> SessionClaims {
    SessionClaims {
        id: "ses_00000000000000000000000000".parse::<SessionId>().unwrap(),
        user: user.parse().unwrap(),
        issued_at: at(START - 3600),
        expires_at: at(START - 3600 + 12 * 3600),
    }
}

pub fn ring(keys: impl IntoIterator<Item = SigningKey>) -> KeyRing {
    KeyRing { keys: keys.into_iter().collect(), revision: Revision::unverified("r".into()) }
}

/// A key that was just made.
pub fn new_key() -> (SigningKey, KeyPair) {
    let made = KeyPair::generate().unwrap();
    let pair = KeyPair::from_secret(&made.kid, &made.private_key).unwrap();
    (signing_key(made.public_key, &pair), pair)
}

/// The key of the sample events: the one that RFC 8037 prints in its appendix A.1, so no secret.
pub fn sample_key() -> (SigningKey, KeyPair) {
    use data_encoding::{BASE64, BASE64URL_NOPAD};

    let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
    let seed = BASE64URL_NOPAD.decode(b"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").unwrap();
    let public_key = BASE64URL_NOPAD.decode(x.as_bytes()).unwrap();
    // PKCS#8 version 2, RFC 5958.
    let head = b"\x30\x51\x02\x01\x01\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";
    let document = [&head[..], &seed, b"\x81\x21\x00", &public_key].concat();
    let kid = thumbprint(&public_key.try_into().unwrap());
    let pair = KeyPair::from_secret(&kid, &BASE64.encode(&document).into()).unwrap();
    (signing_key(x.to_owned(), &pair), pair)
}

fn signing_key(public_key: String, pair: &KeyPair) -> SigningKey {
    SigningKey {
        kid: pair.kid().clone(),
        public_key,
        published_at: at(START - 86_400),
        signs_from: at(START - 86_400),
    }
}
