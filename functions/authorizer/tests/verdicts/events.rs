//! What API Gateway is answered for the sample events.

use std::{collections::BTreeSet, sync::atomic::Ordering};

use authorizer::{Answer, AuthorizeError};
use gatehouse_domain::{access::Scope, api_key::ApiKey};
use serde_json::{Value, json};

use crate::support::{START, Stage, at, token};

fn key(scopes: &[Scope], tenants: &str) -> Stage {
    let scopes: BTreeSet<Scope> = scopes.iter().copied().collect();
    let stage = Stage::new();
    stage.key(ApiKey::of_text("dev-key-12345", "test".into(), scopes, tenants.parse().unwrap(), at(START)));
    stage
}

async fn authorize(stage: Stage, event: &str) -> Result<Answer, AuthorizeError> {
    stage.authorizer.authorize(serde_json::from_str(event).unwrap()).await
}

/// What stands behind `Bearer ` in an event.
fn credential(event: &str) -> String {
    let event: Value = serde_json::from_str(event).unwrap();
    event["headers"]["Authorization"].as_str().unwrap().strip_prefix("Bearer ").unwrap().to_owned()
}

const API_KEY: &str = include_str!("../../../../events/authorizer/api-key.json");
const UNKNOWN_KEY: &str = include_str!("../../../../events/authorizer/unknown-key.json");
const SESSION: &str = include_str!("../../../../events/authorizer/session.json");
const SERVICE_TOKEN: &str = include_str!("../../../../events/authorizer/service-token.json");
const NOT_A_BEARER_TOKEN: &str = include_str!("../../../../events/authorizer/not-a-bearer-token.json");

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
              "arn:aws:execute-api:eu-west-1:000000000000:api0example/dev/GET/auth/me"
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
async fn a_key_that_may_nothing_may_still_ask_who_it_is() {
    // Providers are the platform's: a scope alone does not reach them.
    let answer = authorize(key(&[Scope::ProvidersWrite], "acme"), API_KEY).await.unwrap();
    let statement = serde_json::to_value(answer).unwrap()["policyDocument"]["Statement"][0].clone();
    assert_eq!(statement["Effect"], "Allow");
    let expected = "arn:aws:execute-api:eu-west-1:000000000000:api0example/dev/GET/auth/me";
    assert_eq!(statement["Resource"], json!([expected]));
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
    let stage = key(&[Scope::All], "*");
    stage.store.no_records.store(true, Ordering::SeqCst);
    let error = authorize(stage, API_KEY).await.unwrap_err();
    assert!(matches!(error, AuthorizeError::Unavailable(_)), "{error:?}");
    assert_ne!(error.to_string(), "Unauthorized", "API Gateway would remember it as an answer");
}

#[tokio::test]
async fn the_sample_tokens_are_what_is_signed_with_the_sample_key() {
    let stage = Stage::new();
    assert_eq!(credential(SESSION), stage.session("ada", ""));
    assert_eq!(credential(SERVICE_TOKEN), stage.service(token('0')));
}

#[tokio::test]
async fn a_person_may_reach_what_their_roles_say_and_nothing_else() {
    let stage = Stage::new();
    stage.session("ada", "acme=viewer");
    let answer = authorize(stage, SESSION).await.unwrap();
    insta::assert_json_snapshot!(answer, @r#"
    {
      "principalId": "user:ada",
      "policyDocument": {
        "Version": "2012-10-17",
        "Statement": [
          {
            "Action": "execute-api:Invoke",
            "Effect": "Allow",
            "Resource": [
              "arn:aws:execute-api:eu-west-1:000000000000:api0example/dev/GET/v1/jobs",
              "arn:aws:execute-api:eu-west-1:000000000000:api0example/dev/GET/v1/jobs/*",
              "arn:aws:execute-api:eu-west-1:000000000000:api0example/dev/GET/v1/providers",
              "arn:aws:execute-api:eu-west-1:000000000000:api0example/dev/GET/v1/providers/*",
              "arn:aws:execute-api:eu-west-1:000000000000:api0example/dev/GET/v1/runs/*",
              "arn:aws:execute-api:eu-west-1:000000000000:api0example/dev/GET/auth/*",
              "arn:aws:execute-api:eu-west-1:000000000000:api0example/dev/POST/auth/*",
              "arn:aws:execute-api:eu-west-1:000000000000:api0example/dev/DELETE/auth/*",
              "arn:aws:execute-api:eu-west-1:000000000000:api0example/dev/GET/v1/tenants",
              "arn:aws:execute-api:eu-west-1:000000000000:api0example/dev/GET/v1/projects",
              "arn:aws:execute-api:eu-west-1:000000000000:api0example/dev/GET/v1/projects/*",
              "arn:aws:execute-api:eu-west-1:000000000000:api0example/dev/GET/services",
              "arn:aws:execute-api:eu-west-1:000000000000:api0example/dev/GET/services/*",
              "arn:aws:execute-api:eu-west-1:000000000000:api0example/dev/GET/v1/modules",
              "arn:aws:execute-api:eu-west-1:000000000000:api0example/dev/GET/v1/modules/*",
              "arn:aws:execute-api:eu-west-1:000000000000:api0example/dev/GET/v1/catalog/*",
              "arn:aws:execute-api:eu-west-1:000000000000:api0example/dev/GET/v1/operations",
              "arn:aws:execute-api:eu-west-1:000000000000:api0example/dev/GET/v1/operations/*"
            ]
          }
        ]
      },
      "context": {
        "authenticated_at": "2026-01-01T00:00:00Z",
        "kind": "user",
        "roles": "acme=viewer",
        "session": "ses_00000000000000000000000000",
        "subject": "ada",
        "tenants": "acme",
        "token_id": "ses_00000000000000000000000000"
      }
    }
    "#);
}

#[tokio::test]
async fn a_service_may_ask_who_it_is() {
    let stage = Stage::new();
    stage.service(token('0'));
    let answer = authorize(stage, SERVICE_TOKEN).await.unwrap();
    insta::assert_json_snapshot!(answer, @r#"
    {
      "principalId": "service:payments/worker",
      "policyDocument": {
        "Version": "2012-10-17",
        "Statement": [
          {
            "Action": "execute-api:Invoke",
            "Effect": "Allow",
            "Resource": [
              "arn:aws:execute-api:eu-west-1:000000000000:api0example/dev/GET/auth/me"
            ]
          }
        ]
      },
      "context": {
        "kind": "service",
        "project": "payments",
        "service": "worker",
        "subject": "tok_00000000000000000000000000",
        "tenant": "acme",
        "tenants": "acme",
        "token_ends_at": "2026-04-01T00:00:00Z",
        "token_id": "tok_00000000000000000000000000"
      }
    }
    "#);
}
