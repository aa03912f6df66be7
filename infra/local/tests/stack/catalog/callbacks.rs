//! Callbacks: how a receiver takes its deploy to the end. What of them is refused is in `functions/callbacks/tests`.
//!
//! The token is had as a webhook's receiver has it.

use serde_json::{Value, json};

use crate::support::{
    Anonymous, Answer, Call, Client, Key, TestStack, catalog::deployed_by, receiver::Receiver,
};

/// A deploy whose receiver has been called.
struct Deploy {
    stack: TestStack,
    platform: Client,
    service: String,
    operation: String,
    token: String,
}

impl Deploy {
    async fn start() -> Self {
        let stack = TestStack::start().await;
        let (receiver, url) = Receiver::start().await;
        let platform = stack.client(&Key::PLATFORM);
        let mut body = deployed_by("hello");
        body["deploy"] = json!({ "webhook": url });
        let service = platform.create_service(&body).await;
        let operation = platform.deploy(&service, "dev", "1.0").await;
        let call = receiver.call().await;
        assert_eq!((&call["operation_id"], &call["version"]), (&json!(operation), &json!("1.0")));
        let url = call["callback_url"].as_str().expect("a URL");
        assert!(url.ends_with("/services/deployments/callback"), "{url}");
        let token = call["callback_token"].as_str().expect("a token").to_owned();
        platform.operation_is(&service, &operation, "deploying").await;
        Self { stack, platform, service, operation, token }
    }

    fn body(&self, sequence: u64, command: &str) -> Value {
        json!({ "operation_id": self.operation, "attempt": 1, "sequence": sequence, "command": command })
    }

    async fn report(&self, body: &Value) -> Answer {
        let call =
            Call::post("/services/deployments/callback").header("x-callback-token", &self.token).json(body);
        self.stack.client(&Anonymous).send(call).await
    }

    async fn shown(&self) -> Value {
        self.platform.operation(&self.service, &self.operation).await
    }
}

fn with(mut body: Value, members: &Value) -> Value {
    let members = members.as_object().expect("members").clone();
    body.as_object_mut().expect("a body").extend(members);
    body
}

#[tokio::test]
async fn a_receiver_reports_to_the_end() {
    let deploy = Deploy::start().await;
    let progress = with(
        deploy.body(1, "progress"),
        &json!({ "step": "rollout", "percentage": 40, "log": ["two of five"] }),
    );
    let answer = deploy.report(&progress).await.expect(200).json();
    assert_eq!(answer, json!({ "applied": true, "cancel": false }));
    let shown = deploy.shown().await;
    assert_eq!((&shown["steps"][0]["percentage"], &shown["log"]), (&json!(40), &json!(["two of five"])));
    deploy.report(&deploy.body(2, "heartbeat")).await.expect(200);
    let success =
        with(deploy.body(3, "success"), &json!({ "links": [{ "name": "site", "url": "https://x.test" }] }));
    deploy.report(&success).await.expect(200);
    let ended = deploy.platform.operation_is(&deploy.service, &deploy.operation, "succeeded").await;
    assert_eq!(ended["links"][0]["name"], "site");
    assert_eq!(deploy.platform.environment(&deploy.service).await["deployed"]["version"], "1.0");
    // A repetition of the last word is answered as such, and everything else as late.
    assert_eq!(deploy.report(&success).await.expect(200).json()["applied"], false);
    deploy.report(&deploy.body(4, "heartbeat")).await.problem(409, "operation-ended");
    assert_eq!(deploy.shown().await, ended);
    deploy.stack.stop().await;
}

#[tokio::test]
async fn a_receiver_that_fails_says_why() {
    let deploy = Deploy::start().await;
    let failure = with(deploy.body(1, "failure"), &json!({ "reason": "no space left" }));
    deploy.report(&failure).await.expect(200);
    let ended = deploy.platform.operation_is(&deploy.service, &deploy.operation, "failed").await;
    assert_eq!(ended["reason"], "no space left");
    deploy.stack.stop().await;
}

#[tokio::test]
async fn a_cancelled_deploy_is_over_at_once_and_its_receiver_learns_of_it() {
    let deploy = Deploy::start().await;
    deploy.platform.say(&deploy.service, &deploy.operation, "cancel").await.expect(202);
    assert_eq!(deploy.shown().await["status"], "cancelled");
    deploy.report(&deploy.body(1, "heartbeat")).await.problem(409, "operation-ended");
    // Nothing is in the way of the next one.
    deploy.platform.deploy(&deploy.service, "dev", "2").await;
    deploy.stack.stop().await;
}
