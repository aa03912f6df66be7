//! Each endpoint leaves in the trail what the table says that it leaves.

use std::collections::{BTreeMap, BTreeSet};

use gatehouse_domain::trail::{TRAIL, Trail};
use gatehouse_local::stack::find_terraform;
use serde_json::{Value, json};

use crate::support::{
    Answer, Call, Client, Key, TestStack,
    catalog::{deployed_by, operation_id, provisioned_with},
    people::{Bearer, Person, code_of},
};

/// Calls endpoints, and compares what each leaves in the trail with the table.
struct Driver {
    reader: Client,
    /// The entries that have been seen.
    seen: BTreeSet<String>,
    driven: BTreeSet<&'static str>,
}

impl Driver {
    async fn new(reader: Client) -> Self {
        let mut driver = Self { reader, seen: BTreeSet::new(), driven: BTreeSet::new() };
        driver.news().await;
        driver
    }

    /// The entries that have come since this was last asked, by id, that come from a request: what Gatehouse does
    /// by itself, or goes on to do for somebody, comes from no address.
    async fn news(&mut self) -> BTreeMap<String, Value> {
        let entries = self.reader.all("/v1/audit?limit=100", "entries").await;
        let by_somebody = entries.into_iter().filter(|entry| entry["source_ip"].is_string());
        let by_id = by_somebody.map(|entry| (entry["id"].as_str().expect("an id").to_owned(), entry));
        let news: BTreeMap<_, _> = by_id.filter(|(id, _)| !self.seen.contains(id)).collect();
        self.seen.extend(news.keys().cloned());
        news
    }

    /// Uses an endpoint, which does what it is for unless it leaves nothing.
    async fn drive(&mut self, endpoint: &str, client: &Client, call: Call) -> Answer {
        self.news().await;
        let answer = client.send(call).await;
        let news = self.news().await;
        let (found, trail) =
            TRAIL.iter().find(|(found, _)| found.id == endpoint).expect("an endpoint of the table");
        let left: Vec<_> = news.values().map(|entry| entry["action"].as_str().expect("an action")).collect();
        match trail {
            Trail::Nothing(_) => assert!(left.is_empty(), "{endpoint} left {left:?}"),
            Trail::Acts(actions) => {
                assert!(answer.status.is_success(), "{endpoint}: {} {}", answer.status, answer.text());
                let [action] = left[..] else { panic!("{endpoint} left {left:?}") };
                assert!(actions.iter().any(|named| named.as_str() == action), "{endpoint} left {action}");
            }
        }
        self.driven.insert(found.id);
        answer
    }
}

fn put(path: &str, body: &Value) -> Call {
    Call::put(path).json(body)
}

fn post(path: impl Into<String>) -> Call {
    Call::post(path)
}

/// The call with the `ETag` of what stands at its path.
async fn matching(client: &Client, path: &str, call: Call) -> Call {
    let etag = client.get(path).await.expect(200).header("etag").expect("an ETag").to_owned();
    call.header("if-match", etag)
}

fn text(answer: &Answer, pointer: &str) -> String {
    answer.json().pointer(pointer).and_then(Value::as_str).expect("a text").to_owned()
}

#[tokio::test]
async fn every_endpoint_leaves_what_the_table_says() {
    let stack = TestStack::start_with_people().await;
    let root = stack.log_in(Person::ROOT).await;
    let mut driver = Driver::new(stack.client(&Key::PLATFORM)).await;
    tenants_and_jobs(&mut driver, &root).await;
    credentials(&mut driver, &root).await;
    services(&mut driver, &stack, &root).await;
    if find_terraform().is_some() {
        environments(&mut driver, &root).await;
    } else {
        driver.driven.extend([
            "provision_service",
            "deprovision_service",
            "check_drift",
            "extend_environment",
        ]);
    }
    oneself(&mut driver, &stack).await;
    let expected: BTreeSet<_> = TRAIL.iter().map(|(endpoint, _)| endpoint.id).collect();
    assert_eq!(driver.driven, expected);
    stack.stop().await;
}

async fn tenants_and_jobs(driver: &mut Driver, root: &Client) {
    driver.drive("put_tenant", root, put("/v1/tenants/third", &json!({ "display_name": "Third" }))).await;
    driver.drive("put_project", root, put("/v1/projects/rockets", &json!({ "tenant": "third" }))).await;
    let job = json!({
        "project": "rockets", "provider": { "kind": "process", "ref": { "command": ["sh", "-c", "sleep 1000"] } },
    });
    driver.drive("put_job", root, put("/v1/jobs/launch", &job)).await;
    let mut entry = job.clone();
    entry["job_id"] = json!("land");
    driver.drive("import_jobs", root, post("/v1/jobs/import").json(&json!({ "jobs": [entry] }))).await;
    let discover = json!({ "project": "rockets", "provider": "process" });
    driver.drive("discover_jobs", root, post("/v1/jobs/discover").json(&discover)).await;
    driver.drive("check_provider", root, post("/v1/providers/process/check")).await;
    let run = driver.drive("trigger_run", root, post("/v1/jobs/launch/runs")).await.run_id();
    driver.drive("cancel_run", root, post(format!("/v1/runs/{run}/cancel"))).await;
    root.ended(&run).await;
    let rerun = driver.drive("rerun_run", root, post(format!("/v1/runs/{run}/rerun"))).await.run_id();
    root.send(post(format!("/v1/runs/{rerun}/cancel"))).await.expect(202);
    root.ended(&rerun).await;
    for job in ["land", "launch"] {
        let path = format!("/v1/jobs/{job}");
        let delete = matching(root, &path, Call::delete(&path)).await;
        driver.drive("delete_job", root, delete).await;
    }
    let path = "/v1/projects/rockets";
    let delete = matching(root, path, Call::delete(path)).await;
    driver.drive("delete_project", root, delete).await;
    driver.drive("delete_tenant", root, Call::delete("/v1/tenants/third")).await;
    driver.drive("put_module", root, put("/v1/modules/trail", &json!({}))).await;
    driver.drive("delete_module", root, Call::delete("/v1/modules/trail")).await;
    let path = "/v1/providers/elsewhere";
    let provider = json!({
        "kind": "concourse", "url": "https://ci.example.com",
        "auth": { "grant": "password", "username": "ci", "password": "secret-of-the-test" },
    });
    driver.drive("put_provider", root, put(path, &provider)).await;
    let delete = matching(root, path, Call::delete(path)).await;
    driver.drive("delete_provider", root, delete).await;
}

async fn credentials(driver: &mut Driver, root: &Client) {
    let grace =
        json!({ "user_name": "grace", "password": "blue canary only", "roles": { "example": "viewer" } });
    driver.drive("create_user", root, post("/v1/users").json(&grace)).await;
    let path = "/v1/users/grace";
    for change in [
        json!({ "roles": { "example": "developer" } }),
        json!({ "state": "disabled" }),
        json!({ "state": "active" }),
    ] {
        let edit = matching(root, path, Call::patch(path).json(&change)).await;
        driver.drive("edit_user", root, edit).await;
    }
    let reset = json!({ "password": "green canary only" });
    driver.drive("reset_password", root, post("/v1/users/grace/password").json(&reset)).await;
    driver.drive("end_user_sessions", root, Call::delete("/v1/users/grace/sessions")).await;
    let key = json!({ "name": "trail", "scopes": ["jobs:read"], "tenants": ["example"] });
    let minted = driver.drive("mint_api_key", root, post("/v1/api-keys").json(&key)).await;
    let id = text(&minted, "/api_key/key_id");
    driver.drive("revoke_api_key", root, post(format!("/v1/api-keys/{id}/revoke"))).await;
    let token = json!({ "project": "example", "service": "worker" });
    let minted = driver.drive("mint_token", root, post("/v1/tokens").json(&token)).await;
    let rotate = post(format!("/v1/tokens/{}/rotate", text(&minted, "/jti")));
    let rotated = driver.drive("rotate_token", root, rotate).await;
    driver.drive("revoke_token", root, post(format!("/v1/tokens/{}/revoke", text(&rotated, "/jti")))).await;
    driver.drive("rotate_signing_key", root, post("/v1/signing-keys/rotate")).await;
}

async fn services(driver: &mut Driver, stack: &TestStack, root: &Client) {
    let developer = stack.log_in(Person::DEVELOPER).await;
    let mut service = deployed_by("hello");
    service["environments"] = json!([{ "name": "prod", "category": "prod", "approval_required": true }]);
    let created = driver.drive("create_service", root, post("/services").json(&service)).await;
    let id = text(&created, "/service/id");
    let path = format!("/services/{id}");
    let mut replaced = service.clone();
    replaced["description"] = json!("another");
    let replace = matching(root, &path, put(&path, &replaced)).await;
    driver.drive("put_service", root, replace).await;
    let component = json!({
        "apiVersion": "backstage.io/v1alpha1", "kind": "Component", "metadata": { "name": "trail" },
        "spec": { "type": "library", "lifecycle": "production", "owner": "platform" },
    });
    let import = post("/v1/catalog/import?tenant=example").json(&component);
    driver.drive("import_entities", root, import).await;
    let entity = "/v1/catalog/entities/component/default/trail?tenant=example";
    let delete = matching(root, entity, Call::delete(entity)).await;
    driver.drive("delete_entity", root, delete).await;
    let deploy = json!({ "environment": "prod", "version": "1" });
    for word in ["approve", "reject", "cancel"] {
        let asked = post(format!("{path}/actions/deploy")).json(&deploy);
        let operation = operation_id(&driver.drive("deploy_service", &developer, asked).await);
        developer.operation_is(&id, &operation, "awaiting_approval").await;
        let said = post(format!("{path}/operations/{operation}/{word}"));
        driver.drive(&format!("{word}_operation"), root, said).await;
        developer.operation_ended(&id, &operation).await;
    }
    let delete = matching(root, &path, Call::delete(format!("{path}?force=true"))).await;
    driver.drive("delete_service", root, delete).await;
}

/// What needs something that provisions. Each is stopped at once.
async fn environments(driver: &mut Driver, root: &Client) {
    let mut service = provisioned_with(&json!({ "greeting": "hello" }));
    service["environments"][0]["ttl_hours"] = json!(24);
    let id = root.create_service(&service).await;
    for (endpoint, action) in
        [("provision_service", "provision"), ("check_drift", "drift"), ("deprovision_service", "deprovision")]
    {
        let asked = post(format!("/services/{id}/actions/{action}")).json(&json!({ "environment": "dev" }));
        let operation = operation_id(&driver.drive(endpoint, root, asked).await);
        root.operation_ended(&id, &operation).await;
        if endpoint == "provision_service" {
            let longer = json!({ "environment": "dev", "hours": 24 });
            let extend = post(format!("/services/{id}/actions/extend")).json(&longer);
            driver.drive("extend_environment", root, extend).await;
        }
    }
}

async fn oneself(driver: &mut Driver, stack: &TestStack) {
    let viewer = stack.log_in(Person::VIEWER).await;
    let change = json!({ "current_password": "viewer-canary-password", "new_password": "green canary only" });
    driver.drive("change_password", &viewer, post("/auth/password").json(&change)).await;
    let again = json!({ "password": "green canary only" });
    driver.drive("reauthenticate", &viewer, post("/auth/reauthenticate").json(&again)).await;
    let log_in = json!({ "username": "viewer", "password": "green canary only" });
    viewer.send(post("/auth/login").json(&log_in)).await.expect(200);
    let sessions = viewer.get("/auth/sessions").await.expect(200).json();
    let other = sessions["sessions"].as_array().expect("a list").iter().find(|it| it["current"] == false);
    let id = other.and_then(|it| it["session_id"].as_str()).expect("another session");
    driver.drive("end_session", &viewer, Call::delete(format!("/auth/sessions/{id}"))).await;
    driver.drive("end_other_sessions", &viewer, Call::delete("/auth/sessions")).await;
    let root = stack.log_in(Person::ROOT).await;
    for removal in ["remove_second_factor", "reset_second_factor"] {
        let enrolled = driver.drive("enrol_second_factor", &viewer, post("/auth/second-factor")).await;
        let code = json!({ "code": code_of(&text(&enrolled, "/secret")) });
        let confirm = post("/auth/second-factor/confirm").json(&code);
        driver.drive("confirm_second_factor", &viewer, confirm).await;
        let renew = post("/auth/second-factor/recovery-codes");
        driver.drive("renew_recovery_codes", &viewer, renew).await;
        let (client, path) = match removal {
            "remove_second_factor" => (&viewer, "/auth/second-factor"),
            _ => (&root, "/v1/users/viewer/second-factor"),
        };
        driver.drive(removal, client, Call::delete(path)).await;
    }
    let again = viewer.send(post("/auth/login").json(&log_in)).await.expect(200);
    let viewer = stack.client(&Bearer(text(&again, "/token")));
    driver.drive("log_out", &viewer, post("/auth/logout")).await;
}
