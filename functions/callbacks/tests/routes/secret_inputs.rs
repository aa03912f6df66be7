//! A worker is given the secret inputs of its operation with the answer to its first report, and with no other.

use std::sync::Arc;

use callbacks::AppState;
use gatehouse_domain::{
    catalog::{InputOwner, SealInputs},
    json::Json,
    operations::{Operation, Phase, Work, attempt::CallbackKey, steer::begin_attempt},
    secret::{DeleteSecret, SecretName},
};
use gatehouse_inputs::InputSealer;
use gatehouse_testkit::app::{Answer, ScriptedEngine, TestApp, catalog};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::CALLBACK_KEY;

/// An operation that provisions with a secret, and whose worker has been started.
struct Provisioning {
    app: TestApp,
    operation: Operation,
    token: String,
}

impl Provisioning {
    async fn start() -> Self {
        let engine = Arc::new(ScriptedEngine::default());
        let app = TestApp::start(|deps| {
            let (table, secrets, clock) = (deps.table, deps.secrets, deps.system);
            let open = Arc::new(InputSealer::new(secrets.clone(), clock.clone()));
            callbacks::router(AppState { table, answer: engine, secrets, open, clock })
        })
        .await;
        app.secrets.put(&SecretName::callback_key(), &CALLBACK_KEY.into());
        app.secrets.put(&SecretName::input_key(), &"canary-key-of-inputs-in-these-tests".into());
        let service = catalog::saved(&app.table, "acme", "shop").await;
        let plain = catalog::operation(&app.table, &service, "dev");
        let inputs = InputSealer::new(app.secrets.clone(), app.system.clone());
        let owner = InputOwner { service: &service.id, environment: &plain.environment, input: "password" };
        let sealed = inputs.seal(owner, &Json::from("canary-of-an-input")).await.unwrap();
        let secret_inputs = serde_json::from_value(json!({ "password": sealed })).unwrap();
        let given = gatehouse_domain::operations::Configuration { secret_inputs, ..catalog::configuration() };
        let operation = Operation { work: Work::Provision(given), ..plain };
        catalog::begin(&app.table, &operation, &service).await;
        let key = CallbackKey::new(&CALLBACK_KEY.into()).unwrap();
        let begun = begin_attempt(&*app.table.table, &*app.system, &key, &operation.id, Phase::Plan).await;
        let token = begun.unwrap().callback_token.expose_secret().to_owned();
        Self { app, operation, token }
    }

    async fn report(&self, sequence: u64, command: &str, more: Value) -> Answer {
        let mut body = json!({ "operation_id": self.operation.id, "attempt": 1, "sequence": sequence, "command": command });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let call = self.app.anonymous().post("/provisioning/callback");
        call.header("x-callback-token", &self.token).json(&body).await
    }
}

#[tokio::test]
async fn are_opened_for_the_first_report_and_its_repetition() {
    let provisioning = Provisioning::start().await;
    let started = json!({ "task_token": "task" });
    for applied in [true, false] {
        let answer = provisioning.report(1, "started", started.clone()).await;
        assert_eq!((answer.status.as_u16(), &answer.body["applied"]), (200, &json!(applied)), "{answer}");
        assert_eq!(answer.body["work"]["inputs"], json!({ "password": "canary-of-an-input", "size": 3 }));
        assert_eq!(answer.body["work"]["secret_inputs"], json!(["password"]));
    }
    let later = provisioning.report(2, "heartbeat", json!({})).await;
    assert_eq!(later.body, json!({ "applied": true, "cancel": false }));
}

#[tokio::test]
async fn without_their_key_the_worker_asks_again_and_is_told_nothing() {
    let provisioning = Provisioning::start().await;
    provisioning.app.secrets.delete(&SecretName::input_key()).await.unwrap();
    let started = json!({ "task_token": "task" });
    let answer = provisioning.report(1, "started", started.clone()).await;
    assert_eq!((answer.status.as_u16(), answer.problem()), (500, "internal"), "{answer}");
    assert!(!answer.to_string().contains("input-key"), "{answer}");
    provisioning.app.secrets.put(&SecretName::input_key(), &"canary-key-of-inputs-in-these-tests".into());
    let again = provisioning.report(1, "started", started).await;
    assert_eq!(again.body["work"]["secret_inputs"], json!(["password"]), "{again}");
}
