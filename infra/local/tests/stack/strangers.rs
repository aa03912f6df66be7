//! Who may speak to a stack, and with what, when others can reach it.

use std::net::{Ipv4Addr, SocketAddr};

use serde_json::json;

use crate::support::{Anonymous, Answer, Call, Client, TestStack, client::Caller};

const EVERYWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

struct WithKey(String);

impl Caller for WithKey {
    fn credential(&self) -> Option<String> {
        Some(self.0.clone())
    }
}

/// Speaks over loopback to a stack that listens everywhere.
fn client(stack: &TestStack, caller: &impl Caller) -> Client {
    Client::new(SocketAddr::from(([127, 0, 0, 1], stack.stack().address().port())), caller)
}

fn dev() -> WithKey {
    WithKey("dev-key-12345".to_owned())
}

async fn log_in(stack: &TestStack, name: &str) -> Answer {
    let body = json!({ "username": name, "password": name });
    client(stack, &Anonymous).send(Call::post("/auth/login").json(&body)).await
}

#[tokio::test]
async fn beyond_loopback_a_key_of_its_own_is_told_once_and_the_examples_opens_nothing() {
    let directory = tempfile::tempdir().expect("a directory can be made");
    let stack = TestStack::start_example_on(EVERYWHERE, directory).await;
    let own = stack.stack().example_key().expect("a key is told").to_owned();
    assert_ne!(own, "dev-key-12345");
    let own = WithKey(own);
    client(&stack, &own).get("/v1/jobs").await.expect(200);
    client(&stack, &dev()).get("/v1/jobs").await.problem(401, "unauthorized");
    for name in ["admin", "dev", "viewer"] {
        log_in(&stack, name).await.problem(401, "unauthorized");
    }

    let stack = TestStack::start_example_on(EVERYWHERE, stack.stop().await).await;
    assert_eq!(stack.stack().example_key(), None);
    client(&stack, &own).get("/v1/jobs").await.expect(200);
    client(&stack, &dev()).get("/v1/jobs").await.problem(401, "unauthorized");

    let stack = TestStack::start_example_on(LOOPBACK, stack.stop().await).await;
    assert_eq!(stack.stack().example_key(), Some("dev-key-12345"));
    client(&stack, &dev()).get("/v1/jobs").await.expect(200);
    log_in(&stack, "admin").await.expect(200);
    stack.stop().await;
}

#[tokio::test]
async fn a_page_that_has_its_name_resolve_to_loopback_reads_nothing() {
    let stack = TestStack::start_example().await;
    let dev = client(&stack, &dev());
    for path in ["/v1/jobs", "/health", "/ping", "/2015-03-31/functions/janitor/invocations", "/nowhere"] {
        for method in [Call::get, Call::post] {
            let rebound = dev.send(method(path.to_owned()).header("host", "evil.example:8080")).await;
            assert_eq!(rebound.expect(421).json()["type"], "/problems/misdirected-request");
            let beside = method(path.to_owned()).header("origin", "http://evil.example");
            let answer = dev.send(beside).await.expect(403);
            assert_eq!(answer.json()["type"], "/problems/cross-origin");
            let beside = method(path.to_owned()).header("sec-fetch-site", "cross-site");
            let answer = dev.send(beside).await.expect(403);
            assert_eq!(answer.json()["type"], "/problems/cross-origin");
        }
    }
    stack.stop().await;
}
