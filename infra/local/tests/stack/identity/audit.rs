//! The audit trail: everything that was done is in it.

use serde_json::json;

use crate::support::{Anonymous, Call, Client, Key, TestStack, people::Person};

async fn actions(client: &Client, query: &str) -> Vec<String> {
    let entries = client.all(&format!("/v1/audit?limit=3{query}"), "entries").await;
    entries
        .iter()
        .map(|entry| {
            let text = |member: &str| entry[member].as_str().unwrap_or("-").to_owned();
            assert!(entry["request_id"].is_string() && entry["at"].is_string(), "{entry}");
            format!("{} {} {} {}", text("actor"), text("action"), text("target"), text("outcome"))
        })
        .rev()
        .collect()
}

#[tokio::test]
async fn what_people_do_is_in_the_trail_in_its_order() {
    let stack = TestStack::start_with_people().await;
    let admin = stack.log_in(Person::ADMIN).await;
    let wrong = json!({ "username": "admin", "password": "a wrong canary" });
    stack.client(&Anonymous).send(Call::post("/auth/login").json(&wrong)).await.expect(401);
    let token = admin.mint("worker").await;
    admin.send(Call::post(format!("/v1/tokens/{}/revoke", token.jti))).await.expect(200);
    let run = admin.trigger("hello").await;
    admin.ended(&run).await;
    admin.put_script("endless", "sleep 60").await;
    let endless = admin.trigger("endless").await;
    admin.send(Call::post(format!("/v1/runs/{endless}/cancel"))).await.expect(202);
    admin.send(Call::put("/v1/projects/payments").json(&json!({}))).await.expect(201);
    admin.send(Call::post("/auth/logout")).await.expect(200);
    let root = stack.client(&Key::PLATFORM);
    let jti = &token.jti;
    let expected = [
        "user:admin session.login user:admin done".to_owned(),
        "user:admin session.login user:admin refused".to_owned(),
        format!("user:admin token.mint token:{jti} done"),
        format!("user:admin token.revoke token:{jti} done"),
        "user:admin run.trigger job:hello requested".to_owned(),
        "user:admin job.put job:endless done".to_owned(),
        "user:admin run.trigger job:endless requested".to_owned(),
        format!("user:admin run.cancel run:{endless} requested"),
        "user:admin project.put project:payments done".to_owned(),
        "user:admin session.logout user:admin done".to_owned(),
    ];
    assert_eq!(actions(&root, "&actor=user:admin").await, expected);
    // By tenant: what belongs to it, and nothing of people's sessions.
    let example = actions(&stack.log_in(Person::ADMIN).await, "").await;
    let of_tenant: Vec<_> = expected.iter().filter(|line| !line.contains("session.")).cloned().collect();
    assert!(of_tenant.iter().all(|line| example.contains(line)), "{example:?}");
    assert!(example.iter().all(|line| !line.contains("session.")), "{example:?}");
    // Everything, and from where.
    let all = root.all("/v1/audit?limit=100", "entries").await;
    let login = all.iter().find(|entry| entry["outcome"] == "refused").expect("the refused login");
    assert_eq!(login["source_ip"], "127.0.0.1");
    stack.stop().await;
}
