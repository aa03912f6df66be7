//! The reports of workers and receivers, with each refusal.

mod forged;
mod report;
mod secret_inputs;

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use callbacks::AppState;
use gatehouse_domain::{
    catalog::DeployTarget,
    operations::{
        CallWebhook, FindOperation, Operation, TaskToken, Webhook, WebhookError, Work, attempt::CallbackKey,
        call_webhook,
    },
    secret::SecretName,
};
use gatehouse_inputs::InputSealer;
use gatehouse_testkit::app::{Answer, Call, ScriptedEngine, TestApp, catalog};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

const CALLBACK_KEY: &str = "canary-key-of-callbacks-in-these-tests";

const DEPLOYMENTS: &str = "/services/deployments/callback";

/// A webhook that keeps the token with which its receiver reports.
#[derive(Default)]
struct Receiver(Mutex<String>);

#[async_trait]
impl Webhook for Receiver {
    async fn post(&self, _url: &str, call: &CallWebhook) -> Result<(), WebhookError> {
        call.callback_token.expose_secret().clone_into(&mut self.0.lock().unwrap());
        Ok(())
    }
}

/// A deploy whose receiver has been called.
struct Deploy {
    app: TestApp,
    engine: Arc<ScriptedEngine>,
    operation: Operation,
    token: String,
}

impl Deploy {
    async fn start() -> Self {
        let engine = Arc::new(ScriptedEngine::default());
        let answer = engine.clone();
        let app = TestApp::start(|deps| {
            let (table, secrets, clock) = (deps.table, deps.secrets, deps.system);
            let open = Arc::new(InputSealer::new(secrets.clone(), clock.clone()));
            callbacks::router(AppState { table, answer, secrets, open, clock })
        })
        .await;
        app.secrets.put(&SecretName::callback_key(), &CALLBACK_KEY.into());
        let service = catalog::saved(&app.table, "acme", "shop").await;
        let target = DeployTarget::Webhook("https://deploy.example/canary-hook".to_owned());
        let operation = Operation {
            work: Work::Deploy { version: "1.0".to_owned(), target },
            ..catalog::operation(&app.table, &service, "dev")
        };
        catalog::begin(&app.table, &operation, &service).await;
        let (receiver, task) = (Receiver::default(), TaskToken::new("task".to_owned()).unwrap());
        let (table, clock, key) = (&*app.table.table, &*app.system, CallbackKey::new(&CALLBACK_KEY.into()));
        call_webhook(table, &receiver, clock, &key.unwrap(), &operation.id, &task).await.unwrap();
        let token = receiver.0.into_inner().unwrap();
        Self { app, engine, operation, token }
    }

    fn body(&self, sequence: u64, command: &str) -> Value {
        json!({ "operation_id": self.operation.id, "attempt": 1, "sequence": sequence, "command": command })
    }

    /// A report that lacks its body.
    fn call(&self, path: &str, token: &str) -> Call<'_> {
        self.app.anonymous().post(path).header("x-callback-token", token)
    }

    async fn report(&self, body: &Value) -> Answer {
        self.call(DEPLOYMENTS, &self.token).json(body).await
    }

    /// The record as it stands.
    async fn stands(&self) -> Operation {
        self.app.table.table.find_operation(&self.operation.id).await.unwrap().unwrap()
    }
}

fn with(mut body: Value, members: &Value) -> Value {
    body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    body
}
