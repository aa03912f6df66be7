//! Secrets stay where they belong: none is in a log, an error, the trail or the table.

use std::path::Path;

use data_encoding::HEXLOWER;
use gatehouse_testkit::log::secret_in;
use ring::digest::{SHA256, digest};
use serde_json::json;

use crate::support::{
    Anonymous, Call, Client,
    binary::Binary,
    catalog::deployed_by,
    forger,
    people::{Bearer, Person},
    receiver::Receiver,
};

/// Every file below a directory, but those of the secret store.
fn files(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).expect("a directory").flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if !path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("secrets.json")) {
            found.push((path.display().to_string(), std::fs::read(&path).expect("a file can be read")));
        }
    }
    found
}

/// Things that may be kept and shown, and that no line of the log may have: the value of a parameter, where a webhook is,
/// what a provider is given and what it is called with.
async fn unlogged(client: &Client) -> Vec<(&'static str, String)> {
    let run = json!({ "parameters": { "who": "canary-as-a-parameter" } });
    client.send(Call::post("/v1/jobs/hello/runs").json(&run)).await.expect(201);
    let auth = json!({ "grant": "password", "username": "ci", "password": "canary-of-a-provider" });
    let provider = json!({ "kind": "concourse", "url": "http://127.0.0.1:1", "auth": auth });
    client.send(Call::put("/v1/providers/ci").json(&provider)).await.expect(201);
    client.send(Call::post("/v1/providers/ci/check")).await.expect(200);
    let mut service = deployed_by("hello");
    let (receiver, webhook) = Receiver::start().await;
    service["deploy"] = json!({ "webhook": webhook });
    let service = client.create_service(&service).await;
    client.deploy(&service, "dev", "1.2.3").await;
    let call = receiver.call().await;
    vec![
        ("a parameter", "canary-as-a-parameter".to_owned()),
        ("a provider's password", "canary-of-a-provider".to_owned()),
        ("a webhook", webhook),
        ("a callback token", call["callback_token"].as_str().expect("a token").to_owned()),
    ]
}

#[tokio::test]
async fn no_secret_is_kept_outside_the_secret_store() {
    let directory = tempfile::tempdir().expect("a directory can be made");
    let (data, log) = (directory.path().join("data"), directory.path().join("log"));
    let stack = Binary::start_with_people(directory.path(), &log).await;
    let root = stack.client(&stack.client(&Anonymous).session(Person::ROOT).await);
    let mut secrets = vec![("a password", Person::ROOT.password())];
    let session = stack.client(&Anonymous).session(Person::ADMIN).await;
    let admin = stack.client(&session);
    let token = admin.mint("worker").await;
    stack.client(&token.bearer).get("/auth/me").await.expect(200);
    let body = json!({ "name": "n", "scopes": ["*"], "tenants": "*" });
    let key = root.send(Call::post("/v1/api-keys").json(&body)).await.expect(201).json();
    let key = Bearer(key["key"].as_str().unwrap().to_owned());
    stack.client(&key).get("/v1/jobs").await.expect(200);
    let user = json!({ "user_name": "grace", "password": "canary-of-grace", "roles": {} });
    root.send(Call::post("/v1/users").json(&user)).await.expect(201);
    let wrong = json!({ "username": "canary-as-a-name!", "password": "canary-that-is-wrong" });
    let refused = stack.client(&Anonymous).send(Call::post("/auth/login").json(&wrong)).await;
    assert!(!refused.text().contains("canary"), "{}", refused.text());
    let mangled = stack.client(&Bearer(format!("{}x", token.bearer.0)));
    let refused = mangled.get("/auth/me").await;
    assert!(!refused.text().contains(&token.bearer.0[..20]), "{}", refused.text());
    let run = json!({ "parameters": { "who": "canary-of-a-parameter" } });
    let run = root.send(Call::post("/v1/jobs/hello/runs").json(&run)).await.expect(201).run_id();
    root.ended(&run).await;
    let service = json!({
        "tenant": "example", "name": "hooked", "project": "example", "owner": "team",
        "deploy": { "webhook": "https://hooks.example/canary-of-a-webhook" },
        "environments": [{
            "name": "dev", "category": "dev", "module": "example", "inputs": { "password": "canary-of-an-input" },
        }],
    });
    root.create_service(&service).await;
    // What the table may hold, and what the SDK and the emulators would write from `debug` on.
    let kept_and_not_logged = [
        ("a hash of a password", "$argon2id$".to_owned()),
        ("the hash of a key", HEXLOWER.encode(digest(&SHA256, key.0.as_bytes()).as_ref())),
        ("a session's id", forger::claims(&session)["jti"].as_str().unwrap().to_owned()),
        ("a run's parameter", "canary-of-a-parameter".to_owned()),
        ("a webhook's URL", "canary-of-a-webhook".to_owned()),
    ];
    let signature = |token: &Bearer| token.0.rsplit('.').next().unwrap().to_owned();
    secrets.extend([
        ("a session's signature", signature(&session)),
        ("a token's signature", signature(&token.bearer)),
        ("an API key", key.0),
        ("a new user's password", "canary-of-grace".to_owned()),
        ("a secret input", "canary-of-an-input".to_owned()),
        ("a wrong password", "canary-that-is-wrong".to_owned()),
        ("what was written for a name", "canary-as-a-name".to_owned()),
        ("the signing key", forger::private_key(&data)),
    ]);
    let unlogged = unlogged(&root).await;
    let trail = root.all("/v1/audit?limit=100", "entries").await;
    let trail = serde_json::to_vec(&trail).unwrap();
    stack.interrupt().await;
    let mut places = files(&data);
    assert!(places.iter().any(|(name, bytes)| name.contains("table.sqlite") && bytes.len() > 4096));
    let logged = std::fs::read(&log).expect("a file can be read");
    let log = String::from_utf8_lossy(&logged);
    assert!(log.contains("mint_token answered 201") && log.contains("/auth/login answered"), "{log}");
    for (what, secret) in &kept_and_not_logged {
        assert!(!log.contains(secret), "{what} is in the log");
    }
    // Whatever else is in it that looks like a secret.
    for line in log.lines() {
        assert_eq!(secret_in(line), None, "{line}");
    }
    for (what, secret) in &unlogged {
        assert!(!log.contains(secret), "{what} is in the log");
    }
    places.extend([("the trail".to_owned(), trail), ("the log".to_owned(), logged.clone())]);
    for (what, secret) in &secrets {
        for (place, bytes) in &places {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{what} is in {place}");
        }
    }
}
