//! What API Gateway is answered for the sample events.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use async_trait::async_trait;
use authorizer::{Answer, AuthorizeError, Authorizer};
use gatehouse_domain::{
    access::Scope,
    api_key::{ApiKey, ApiKeyId, FindApiKey},
    clock::Clock,
    store::StoreError,
};
use jiff::Timestamp;

struct FixedClock;

#[async_trait]
impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    async fn sleep(&self, _pause: Duration) {}
}

/// A store with one key, or none that answers.
enum Keys {
    Only(Box<ApiKey>),
    OutOfReach,
}

#[async_trait]
impl FindApiKey for Keys {
    async fn find_api_key(&self, id: &ApiKeyId) -> Result<Option<ApiKey>, StoreError> {
        match self {
            Self::Only(key) => Ok((key.id == *id).then(|| (**key).clone())),
            Self::OutOfReach => Err(StoreError::Unavailable("out of reach".into())),
        }
    }
}

fn key(scopes: &[Scope], tenants: &str) -> Keys {
    let scopes: BTreeSet<Scope> = scopes.iter().copied().collect();
    let tenants = tenants.parse().unwrap();
    let key = ApiKey::of_text("dev-key-12345", "test".into(), scopes, tenants, Timestamp::UNIX_EPOCH);
    Keys::Only(Box::new(key))
}

async fn authorize(keys: Keys, event: &str) -> Result<Answer, AuthorizeError> {
    let authorizer = Authorizer { api_keys: Arc::new(keys), clock: Arc::new(FixedClock) };
    authorizer.authorize(serde_json::from_str(event).unwrap()).await
}

const API_KEY: &str = include_str!("../../../events/authorizer/api-key.json");
const UNKNOWN_KEY: &str = include_str!("../../../events/authorizer/unknown-key.json");
const NOT_A_BEARER_TOKEN: &str = include_str!("../../../events/authorizer/not-a-bearer-token.json");

#[tokio::test]
async fn a_key_may_reach_what_its_scopes_say_and_nothing_else() {
    let answer = authorize(key(&[Scope::RunsRead], "acme,beta"), API_KEY).await.unwrap();
    insta::assert_json_snapshot!(answer, @r#"
    {
      "principalId": "api_key:key_f82f3a6e3350334b18b0",
      "policyDocument": {
        "Version": "2012-10-17",
        "Statement": [
          {
            "Action": "execute-api:Invoke",
            "Effect": "Allow",
            "Resource": [
              "arn:aws:execute-api:eu-west-1:000000000000:api0example/dev/GET/v1/jobs/*/runs",
              "arn:aws:execute-api:eu-west-1:000000000000:api0example/dev/GET/v1/runs/*",
              "arn:aws:execute-api:eu-west-1:000000000000:api0example/dev/GET/v1/runs/*/events",
              "arn:aws:execute-api:eu-west-1:000000000000:api0example/dev/GET/v1/runs/*/log"
            ]
          }
        ]
      },
      "context": {
        "kind": "api_key",
        "scopes": "runs:read",
        "subject": "key_f82f3a6e3350334b18b0",
        "tenants": "acme,beta",
        "token_id": "key_f82f3a6e3350334b18b0"
      }
    }
    "#);
}

#[tokio::test]
async fn a_key_that_may_nothing_is_denied_everything() {
    // Providers are the platform's: a scope alone does not reach them.
    let answer = authorize(key(&[Scope::ProvidersWrite], "acme"), API_KEY).await.unwrap();
    let policy = serde_json::to_value(answer).unwrap()["policyDocument"]["Statement"][0].clone();
    assert_eq!(policy["Effect"], "Deny");
    assert_eq!(policy["Resource"][0], "arn:aws:execute-api:eu-west-1:000000000000:api0example/dev/*");
}

#[tokio::test]
async fn who_is_not_known_is_unauthorized_in_the_word_that_api_gateway_wants() {
    for event in [UNKNOWN_KEY, NOT_A_BEARER_TOKEN] {
        let error = authorize(key(&[Scope::All], "*"), event).await.unwrap_err();
        assert_eq!(error.to_string(), "Unauthorized");
    }
}

#[tokio::test]
async fn nobody_is_let_in_while_keys_cannot_be_read() {
    let error = authorize(Keys::OutOfReach, API_KEY).await.unwrap_err();
    assert!(matches!(error, AuthorizeError::Unavailable(_)), "{error:?}");
    assert_ne!(error.to_string(), "Unauthorized", "API Gateway would remember it as an answer");
}
