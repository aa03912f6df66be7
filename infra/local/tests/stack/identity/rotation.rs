//! Replacing tokens and signing keys while they are in use.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::support::{
    Anonymous, Call, Client, TestStack,
    people::{Bearer, Person},
};

fn rotate(jti: &str, body: &Value) -> Call {
    Call::post(format!("/v1/tokens/{jti}/rotate")).json(body)
}

/// Somebody who calls all the time.
struct Load {
    stop: Arc<AtomicBool>,
    calls: Arc<AtomicUsize>,
    task: JoinHandle<Vec<u16>>,
}

impl Load {
    fn start(client: Client) -> Self {
        let (stop, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (until, counter) = (stop.clone(), calls.clone());
        let task = tokio::spawn(async move {
            let mut failures = Vec::new();
            while !until.load(Ordering::Relaxed) {
                let status = client.get("/auth/me").await.status.as_u16();
                counter.fetch_add(1, Ordering::Relaxed);
                if status != 200 {
                    failures.push(status);
                }
            }
            failures
        });
        Self { stop, calls, task }
    }

    /// Returns after so many calls more.
    async fn go_on(&self, calls: usize) {
        let until = self.calls.load(Ordering::Relaxed) + calls;
        crate::support::eventually("more calls", || self.calls.load(Ordering::Relaxed) >= until).await;
    }

    /// The statuses of calls that failed.
    async fn end(self) -> Vec<u16> {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.expect("a caller does not panic")
    }
}

#[tokio::test]
async fn nobody_notices_that_a_token_is_rotated() {
    let stack = TestStack::start_with_people().await;
    let admin = stack.log_in(Person::ADMIN).await;
    let old = admin.mint("worker").await;
    let load = Load::start(stack.client(&old.bearer));
    load.go_on(20).await;
    let rotated = admin.send(rotate(&old.jti, &json!({ "grace_seconds": 3600 }))).await.expect(201).json();
    assert_eq!(rotated["replaces"], *old.jti);
    load.go_on(20).await;
    let new = Load::start(stack.client(&Bearer(rotated["token"].as_str().unwrap().to_owned())));
    new.go_on(20).await;
    load.go_on(20).await;
    assert_eq!((load.end().await, new.end().await), (vec![], vec![]));
    let shown = admin.get(format!("/v1/tokens/{}", old.jti)).await.expect(200).json();
    assert_eq!(
        (&shown["token"]["state"], &shown["token"]["replaced_by"]),
        (&json!("rotated"), &rotated["jti"])
    );
    stack.stop().await;
}

#[tokio::test]
async fn the_old_token_ends_when_the_new_one_is_used() {
    let stack = TestStack::start_with_people().await;
    let admin = stack.log_in(Person::ADMIN).await;
    let old = admin.mint("worker").await;
    let rotated = admin.send(rotate(&old.jti, &json!({}))).await.expect(201).json();
    stack.client(&old.bearer).get("/auth/me").await.expect(200);
    let new = stack.client(&Bearer(rotated["token"].as_str().unwrap().to_owned()));
    new.get("/auth/me").await.expect(200);
    let shown = admin.get(format!("/v1/tokens/{}", old.jti)).await.expect(200).json();
    assert_eq!(shown["token"]["state"], "revoked", "{shown}");
    admin.send(rotate(&old.jti, &json!({}))).await.problem(409, "conflict");
    stack.stop().await;
}

#[tokio::test]
async fn nobody_notices_that_the_signing_key_is_rotated() {
    let stack = TestStack::start_with_people().await;
    let (root, admin) = (stack.log_in(Person::ROOT).await, stack.log_in(Person::ADMIN).await);
    let token = admin.mint("worker").await;
    let load = Load::start(stack.client(&token.bearer));
    load.go_on(20).await;
    let keys = root.send(Call::post("/v1/signing-keys/rotate")).await.expect(201).json();
    let states: Vec<_> = keys["signing_keys"].as_array().unwrap().iter().map(|key| &key["state"]).collect();
    assert_eq!(states, ["current", "next"]);
    // Published, before it signs anything.
    let jwks = stack.client(&Anonymous).get("/.well-known/jwks.json").await.expect(200);
    assert_eq!(jwks.header("cache-control"), Some("public, max-age=300"));
    assert_eq!(jwks.json()["keys"].as_array().unwrap().len(), 2);
    let newer = admin.mint("worker").await;
    stack.client(&newer.bearer).get("/auth/me").await.expect(200);
    load.go_on(20).await;
    assert_eq!(load.end().await, [0_u16; 0]);
    root.send(Call::post("/v1/signing-keys/rotate")).await.problem(409, "conflict");
    stack.stop().await;
}
