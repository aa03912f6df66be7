//! Nothing of another tenant through a name that is used again: what the owner before did is not shown to the next one,
//! by whichever endpoint, and no idempotency key of theirs leads there.

use gatehouse_domain::access::{Admission, ENDPOINTS, Reach};
use http::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Call, Client, Key, TestStack};

/// The name that the tenants `other` and `example` give, one after the other: of a job, a project and a service.
pub const REBORN: &str = "reborn";

/// What is in all that the owner before did, and in nothing else.
const CANARY: &str = "canary-of-the-owner-before";

/// What the tenant `other` had under the name.
pub struct OwnedBefore {
    pub run: String,
    service: String,
    operation: String,
    token: String,
}

impl Client {
    /// Makes the job and its project, for the caller's only tenant.
    pub async fn put_reborn_job(&self) {
        let job = json!({
            "project": REBORN, "display_name": REBORN,
            "provider": { "kind": "process", "ref": { "command": ["true"] } },
            "parameters": [{ "name": "word", "type": "string", "deliver": { "as": "env", "name": "WORD" } }],
        });
        self.send(Call::put(format!("/v1/jobs/{REBORN}")).json(&job)).await.expect(201);
    }

    /// Describes a component for the caller's only tenant.
    pub async fn import_reborn_component(&self) {
        self.import_component("team").await;
    }

    async fn import_component(&self, owner: &str) {
        let component = json!({
            "apiVersion": "backstage.io/v1alpha1", "kind": "Component", "metadata": { "name": REBORN },
            "spec": { "type": "service", "lifecycle": "production", "owner": owner },
        });
        let imported = self.send(Call::post("/v1/catalog/import").json(&component)).await.expect(200).json();
        assert_eq!(imported["summary"]["created"], 1, "{imported}");
    }

    async fn forget(&self, path: &str) {
        let etag = self.get(path).await.expect(200).header("etag").expect("an ETag").to_owned();
        let answer = self.send(Call::delete(path).header("if-match", etag)).await;
        assert!(answer.status.is_success(), "{path}: {}", answer.text());
    }
}

fn trigger(parameters: &Value) -> Call {
    let call = Call::post(format!("/v1/jobs/{REBORN}/runs")).json(&json!({ "parameters": parameters }));
    call.header("idempotency-key", "the-same-run")
}

fn service(tenant: &str) -> Call {
    let body = json!({
        "tenant": tenant, "name": REBORN, "project": REBORN, "owner": "team",
        "deploy": { "job": REBORN }, "environments": [{ "name": "dev", "category": "dev" }],
    });
    Call::post("/services").json(&body).header("idempotency-key", "the-same-service")
}

fn deploy(service: &str) -> Call {
    let body = json!({ "environment": "dev", "version": CANARY });
    let call = Call::post(format!("/services/{service}/actions/deploy")).json(&body);
    call.header("idempotency-key", "the-same-deploy")
}

fn mint() -> Call {
    let body = json!({ "project": REBORN, "service": "worker", "description": CANARY });
    Call::post("/v1/tokens").json(&body).header("idempotency-key", "the-same-token")
}

fn parameters() -> Value {
    json!({ "word": CANARY })
}

fn id(answer: &Answer, member: &str) -> String {
    answer.json()[member]["id"].as_str().expect("it has an id").to_owned()
}

impl OwnedBefore {
    /// Makes a job, a run, a service, an operation and a service token for the tenant `other`. All by one caller, whose
    /// idempotency keys would meet those of later.
    pub async fn begin(stack: &TestStack) -> Self {
        stack.client(&Key::OTHER).put_reborn_job().await;
        stack.client(&Key::OTHER).import_component(CANARY).await;
        let platform = stack.client(&Key::PLATFORM);
        let run = platform.send(trigger(&parameters())).await.expect(201).run_id();
        platform.ended(&run).await;
        let service = id(&platform.send(service("other")).await.expect(201), "service");
        let operation = id(&platform.send(deploy(&service)).await.expect(202), "operation");
        platform.operation_ended(&service, &operation).await;
        let minted = platform.send(mint()).await.expect(201).json();
        let token = minted["jti"].as_str().expect("a token has an id").to_owned();
        Self { run, service, operation, token }
    }

    /// Gives all the names back.
    pub async fn end(&self, stack: &TestStack) {
        let platform = stack.client(&Key::PLATFORM);
        platform.send(Call::post(format!("/v1/tokens/{}/revoke", self.token))).await.expect(200);
        platform.forget(&format!("/services/{}", self.service)).await;
        platform.forget(&format!("/v1/jobs/{REBORN}")).await;
        platform.forget(&format!("/v1/projects/{REBORN}")).await;
    }
}

/// Each request that shows something of a tenant, about the name that is used again and about the things before.
fn requests(before: &OwnedBefore, service: &str) -> Vec<(&'static str, String)> {
    let shows = |admission| matches!(admission, Admission::Granted { reach: Reach::Tenant, .. });
    let endpoints = ENDPOINTS.iter().filter(|it| it.methods == ["GET"] && shows(it.admission));
    let mut requests = Vec::new();
    for endpoint in endpoints {
        for service in [service, &before.service] {
            let path = endpoint
                .path
                .replace("{job_id}", REBORN)
                .replace("{project}", REBORN)
                .replace("{run_id}", &before.run)
                .replace("{kind}/{namespace}/{name}", &format!("component/default/{REBORN}"))
                .replace("{name}", "process")
                .replace("{module}", "example")
                .replace("{jti}", &before.token)
                .replace("{service_id}", service)
                .replace("{operation_id}", &before.operation);
            assert!(!path.contains('{'), "no value for {path}");
            requests.push((endpoint.id, path));
        }
    }
    for filter in ["state=all&project=reborn", "state=all&service=worker"] {
        requests.push(("list_tokens", format!("/v1/tokens?{filter}")));
    }
    for filter in ["tenant=example", "actor=api_key:", "actor=user:other-admin"] {
        requests.push(("list_audit", format!("/v1/audit?{filter}")));
    }
    requests.push(("list_jobs", format!("/v1/jobs?project={REBORN}")));
    requests.push(("list_services", format!("/services?text={REBORN}")));
    requests
}

/// All that is shown, page by page.
async fn all_pages(client: &Client, path: &str) -> String {
    let mut text = String::new();
    let mut next = path.to_owned();
    loop {
        let answer = client.get(&next).await;
        text += &answer.text();
        let body: Value = serde_json::from_str(&answer.text()).unwrap_or_default();
        let Some(cursor) = body["next_cursor"].as_str() else { return text };
        let sign = if path.contains('?') { '&' } else { '?' };
        next = format!("{path}{sign}cursor={cursor}");
    }
}

#[tokio::test]
async fn what_the_owner_before_did_is_shown_to_nobody_of_the_next() {
    let stack = TestStack::start_with_people().await;
    let before = OwnedBefore::begin(&stack).await;
    // The test would find it: the owner is shown it.
    for path in [format!("/v1/jobs/{REBORN}/runs"), format!("/services/{}/operations", before.service)] {
        assert!(all_pages(&stack.client(&Key::OTHER), &path).await.contains(CANARY), "{path}");
    }
    before.end(&stack).await;
    let platform = stack.client(&Key::PLATFORM);
    let next = stack.client(&Key::EXAMPLE);
    next.put_reborn_job().await;
    next.import_reborn_component().await;
    // The same requests with the same keys, by the same caller, for the next owner.
    platform.send(trigger(&parameters())).await.problem(422, "idempotency-key-reused");
    let service = id(&platform.send(service("example")).await.expect(201), "service");
    platform.send(deploy(&service)).await.problem(422, "idempotency-key-reused");
    platform.send(mint()).await.problem(422, "idempotency-key-reused");
    let rerun = platform.send(Call::new(Method::POST, format!("/v1/runs/{}/rerun", before.run))).await;
    rerun.problem(404, "not-found");
    let mut shown = 0;
    for (endpoint, path) in requests(&before, &service) {
        let text = all_pages(&next, &path).await;
        for theirs in [CANARY, before.run.as_str(), before.operation.as_str(), before.token.as_str()] {
            let asked_for = path.contains(theirs);
            assert!(asked_for || !text.contains(theirs), "{endpoint} shows {theirs}: {path}\n{text}");
        }
        assert!(!text.contains(CANARY), "{endpoint} shows what the owner before did: {path}\n{text}");
        shown += usize::from(text.contains(REBORN));
    }
    assert!(shown >= 8, "the next owner's own things are shown by {shown} of them only");
    stack.stop().await;
}
