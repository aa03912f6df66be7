//! Services and their operations.

use serde_json::{Value, json};

use super::{
    client::{Answer, Call, Client},
    wait::found,
};

/// A service with an environment `dev`, deployed by this job.
pub fn deployed_by(job: &str) -> Value {
    json!({
        "tenant": "example", "name": format!("by-{job}"), "project": "example", "owner": "team",
        "deploy": { "job": job }, "environments": [{ "name": "dev", "category": "dev" }],
    })
}

/// A service whose environment is made by the built-in module, with these inputs.
pub fn provisioned_with(inputs: &Value) -> Value {
    json!({
        "tenant": "example", "name": "shop", "project": "example", "owner": "team", "deploy": { "job": "hello" },
        "environments": [{ "name": "dev", "category": "dev", "module": "example", "inputs": inputs }],
    })
}

impl Client {
    /// Creates a service, and returns its id.
    pub async fn create_service(&self, service: &Value) -> String {
        let answer = self.send(Call::post("/services").json(service)).await.expect(201);
        answer.json()["service"]["id"].as_str().expect("a service has an id").to_owned()
    }

    /// Asks for an operation.
    pub async fn act(&self, service: &str, action: &str, body: &Value) -> Answer {
        self.send(Call::post(format!("/services/{service}/actions/{action}")).json(body)).await
    }

    /// Asks for a deploy, and returns its operation.
    pub async fn deploy(&self, service: &str, environment: &str, version: &str) -> String {
        let body = json!({ "environment": environment, "version": version });
        operation_id(&self.act(service, "deploy", &body).await.expect(202))
    }

    pub async fn operation(&self, service: &str, operation: &str) -> Value {
        let path = format!("/services/{service}/operations/{operation}");
        self.get(path).await.expect(200).json()["operation"].take()
    }

    /// The operation, once it stands so.
    pub async fn operation_is(&self, service: &str, operation: &str, status: &str) -> Value {
        found(&format!("{operation} is {status}"), || async {
            let shown = self.operation(service, operation).await;
            let over = shown.get("ended_at").is_some();
            assert!(!over || shown["status"] == status, "not {status}: {shown:#}");
            (shown["status"] == status).then_some(shown)
        })
        .await
    }

    /// The operation, once it has ended.
    pub async fn operation_ended(&self, service: &str, operation: &str) -> Value {
        found(&format!("the end of {operation}"), || async {
            let shown = self.operation(service, operation).await;
            shown.get("ended_at").is_some().then_some(shown)
        })
        .await
    }

    /// How the service's environment stands.
    pub async fn environment(&self, service: &str) -> Value {
        let status = self.get(format!("/services/{service}/actions/status")).await.expect(200);
        status.json()["environments"][0].take()
    }

    /// Says something to an operation.
    pub async fn say(&self, service: &str, operation: &str, word: &str) -> Answer {
        self.send(Call::post(format!("/services/{service}/operations/{operation}/{word}"))).await
    }
}

/// The operation that an answer is about.
#[track_caller]
pub fn operation_id(answer: &Answer) -> String {
    answer.json()["operation"]["id"].as_str().expect("an operation has an id").to_owned()
}
