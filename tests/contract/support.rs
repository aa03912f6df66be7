//! What the rules need beside the table.

use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use aws_sdk_dynamodb::types::AttributeValue;
use gatehouse_domain::{
    audit::{AuditContext, Origin},
    caller::Caller,
    catalog::{InputOwner, SealError, SealInputs, SealedInput},
    claims::{ServiceClaims, SessionClaims},
    id::{KeyId, OperationId},
    idempotency::Fingerprint,
    json::Json,
    name::UserName,
    operations::workflow::{NotReady, StartWorkflow, Workflow, WorkflowError},
    paging::{Cursor, Limit, ListError, Page, PageRequest},
    secret::SecretError,
    sign::{SignError, SignToken},
    signing::MakeKeyPair,
    users::{
        CodesError, HashPassword, HashPasswordError, JudgePassword, OneTimeCodes, PasswordHash, SealedSecret,
        Weakness,
    },
};
pub use gatehouse_testkit::app::{
    Flushes, TestSystem, TestTable,
    callers::{origin, person, tenant_key as admin},
    job_draft as draft, job_target as target,
};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

/// The item with this key, as it is in the table.
pub async fn item(table: &TestTable, pk: &str, sk: &str) -> Value {
    let call = table.client.get_item().table_name(&table.name);
    let key = |text: &str| AttributeValue::S(text.to_owned());
    let answer = call.key("pk", key(pk)).key("sk", key(sk)).send().await.expect("an answer");
    json_of(&AttributeValue::M(answer.item.expect("there is an item")))
}

fn json_of(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::S(text) => json!(text),
        AttributeValue::N(number) => serde_json::from_str(number).expect("a number"),
        AttributeValue::Bool(value) => json!(value),
        AttributeValue::Null(_) => Value::Null,
        AttributeValue::L(list) => list.iter().map(json_of).collect(),
        AttributeValue::M(map) => map.iter().map(|(name, value)| (name.clone(), json_of(value))).collect(),
        other => panic!("{other:?}"),
    }
}

/// Something that `caller` does.
pub fn audit<'a>(caller: &'a Caller, origin: &'a Origin) -> AuditContext<'a> {
    AuditContext { caller, origin }
}

/// Every page of a list, read with a small limit.
pub async fn pages<T, F>(limit: u8, list: impl Fn(PageRequest) -> F) -> Vec<Vec<T>>
where
    F: Future<Output = Result<Page<T>, ListError>>,
{
    let limit = Limit::new(limit).expect("a limit");
    let mut pages = Vec::new();
    let mut cursor = None;
    loop {
        let page = list(PageRequest { limit, cursor, ..PageRequest::default() }).await.expect("a page");
        pages.push(page.items);
        cursor = page.next;
        if cursor.is_none() {
            return pages;
        }
        assert!(pages.len() < 1000, "the list never ends");
    }
}

/// A request for the page behind a cursor.
pub fn behind(cursor: Option<Cursor>) -> PageRequest {
    PageRequest { limit: Limit::new(1).expect("a limit"), cursor, ..PageRequest::default() }
}

/// What the rules need that the table is not: passwords compared without a hash, tokens without a
/// signature, key pairs without keys, and an API Gateway that forgets.
#[derive(Default)]
pub struct Pretend {
    pub flushes: Flushes,
    key_pairs: AtomicU64,
}

#[async_trait]
impl HashPassword for Pretend {
    async fn hash_password(&self, password: &SecretString) -> Result<PasswordHash, HashPasswordError> {
        Ok(PasswordHash::unverified(format!("hash of {}", password.expose_secret())))
    }

    async fn matches(
        &self,
        password: &SecretString,
        hash: Option<&PasswordHash>,
    ) -> Result<bool, HashPasswordError> {
        Ok(hash.is_some_and(|hash| hash.expose() == format!("hash of {}", password.expose_secret())))
    }
}

impl JudgePassword for Pretend {
    fn weakness(&self, _password: &SecretString, _about: &[&str]) -> Option<Weakness> {
        None
    }
}

/// The code of a time step is its number.
#[async_trait]
impl OneTimeCodes for Pretend {
    async fn new_secret(&self, user: &UserName) -> Result<(SealedSecret, SecretString), CodesError> {
        Ok((SealedSecret::unverified(format!("sealed for {user}")), "SECRET".into()))
    }

    async fn step_of(
        &self,
        _: &UserName,
        _: &SealedSecret,
        code: &SecretString,
        now: Timestamp,
    ) -> Result<Option<u64>, CodesError> {
        let current = u64::try_from(now.as_second()).unwrap() / 30;
        let step = code.expose_secret().parse().ok();
        Ok(step.filter(|step| current.abs_diff(*step) <= 1))
    }
}

#[async_trait]
impl SignToken for Pretend {
    async fn sign_service_token(&self, claims: &ServiceClaims) -> Result<SecretString, SignError> {
        Ok(format!("signed {}", claims.jti).into())
    }

    async fn sign_session(&self, claims: &SessionClaims) -> Result<SecretString, SignError> {
        Ok(format!("signed {}", claims.id.as_str()).into())
    }
}

#[async_trait]
impl MakeKeyPair for Pretend {
    async fn make_key_pair(&self) -> Result<(KeyId, String), SecretError> {
        let number = self.key_pairs.fetch_add(1, Ordering::Relaxed);
        Ok((format!("key-{number}").parse::<KeyId>().expect("an id"), "public".into()))
    }
}

/// Seals nothing: no module here calls an input sensitive.
pub struct NoSecrets;

#[async_trait]
impl SealInputs for NoSecrets {
    async fn seal(&self, owner: InputOwner<'_>, _value: &Json) -> Result<SealedInput, SealError> {
        panic!("`{}` was taken for a secret", owner.input)
    }

    async fn blind(&self, _fingerprint: &Fingerprint) -> Result<Fingerprint, SealError> {
        panic!("there are no secrets in the request")
    }
}

/// A workflow engine that begins whatever it is told to.
pub struct Begins;

#[async_trait]
impl StartWorkflow for Begins {
    fn ready(&self, _workflow: Workflow) -> Result<(), NotReady> {
        Ok(())
    }

    async fn start(&self, _workflow: Workflow, _operation: &OperationId) -> Result<(), WorkflowError> {
        Ok(())
    }
}
