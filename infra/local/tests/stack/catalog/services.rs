//! Services: created, listed, shown, replaced, deleted.

use serde_json::{Value, json};

use crate::support::{Answer, Call, Client, Key, TestStack, catalog::deployed_by, people::Person};

async fn etag(client: &Client, service: &str) -> String {
    let shown = client.get(format!("/services/{service}")).await.expect(200);
    shown.header("etag").expect("a service has an ETag").to_owned()
}

async fn put(client: &Client, service: &str, etag: &str, body: &Value) -> Answer {
    client.send(Call::put(format!("/services/{service}")).header("if-match", etag).json(body)).await
}

async fn delete(client: &Client, service: &str, query: &str) -> Answer {
    let etag = etag(client, service).await;
    client.send(Call::delete(format!("/services/{service}{query}")).header("if-match", etag)).await
}

fn names(answer: &Answer) -> Vec<String> {
    let services = answer.json()["services"].take();
    let services = services.as_array().expect("a list");
    services.iter().map(|service| service["name"].as_str().expect("a name").to_owned()).collect()
}

#[tokio::test]
async fn a_service_lives_from_its_creation_to_its_deletion() {
    let stack = TestStack::start().await;
    let client = stack.client(&Key::EXAMPLE);
    let created = client.send(Call::post("/services").json(&deployed_by("hello"))).await.expect(201);
    let service = created.json()["service"].take();
    let id = service["id"].as_str().expect("an id").to_owned();
    assert_eq!(created.header("location"), Some(&*format!("services/{id}")));
    assert_eq!(client.get(format!("/services/{id}")).await.expect(200).json()["service"], service);
    let etag = etag(&client, &id).await;
    assert_eq!(created.header("etag"), Some(&*etag));
    let mut body = deployed_by("hello");
    body["owner"] = json!("somebody else");
    put(&client, &id, "\"rev_0\"", &body).await.problem(412, "precondition-failed");
    let replaced = put(&client, &id, &etag, &body).await.expect(200).json();
    assert_eq!(replaced["service"]["owner"], "somebody else");
    assert_eq!(replaced["service"]["created_at"], service["created_at"]);
    client.send(Call::delete(format!("/services/{id}"))).await.problem(428, "precondition-required");
    let deleted = delete(&client, &id, "").await.expect(200).json();
    assert_eq!(deleted, json!({ "deleted": id, "remains": [] }));
    client.get(format!("/services/{id}")).await.problem(404, "not-found");
    // Its name can be had again.
    client.create_service(&deployed_by("hello")).await;
    stack.stop().await;
}

#[tokio::test]
async fn creating_is_idempotent_under_a_key_and_names_are_unique() {
    let stack = TestStack::start().await;
    let client = stack.client(&Key::EXAMPLE);
    let create = |body: &Value| Call::post("/services").header("idempotency-key", "k").json(body);
    let first = client.send(create(&deployed_by("hello"))).await.expect(201);
    let again = client.send(create(&deployed_by("hello"))).await.expect(201);
    assert_eq!(first.json(), again.json());
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    let mut other = deployed_by("hello");
    other["owner"] = json!("another");
    client.send(create(&other)).await.problem(422, "idempotency-key-reused");
    let taken = client.send(Call::post("/services").json(&other)).await.problem(409, "conflict");
    assert_eq!(taken["service_id"], first.json()["service"]["id"]);
    stack.stop().await;
}

#[tokio::test]
async fn every_field_that_is_wrong_is_named() {
    let stack = TestStack::start().await;
    let client = stack.client(&Key::EXAMPLE);
    for (member, value, pointer) in [
        ("name", json!("Shop"), "/name"),
        ("project", json!("absent"), "/project"),
        ("owner", json!(" "), "/owner"),
        ("owner", json!("a\nb"), "/owner"),
        ("lifecycle", json!("retired"), "/lifecycle"),
        ("description", json!("x".repeat(4001)), "/description"),
        ("repository", json!("ssh://host/x"), "/repository"),
        ("repository", json!("https://user:pw@host/x"), "/repository"),
        ("links", json!([{ "name": "", "url": "https://x" }]), "/links/0/name"),
        ("links", json!([{ "name": "x", "url": "javascript:1" }]), "/links/0/url"),
        ("build_job", json!("absent"), "/build_job"),
        ("deploy", json!({ "job": "absent" }), "/deploy/job"),
        ("deploy", json!({ "webhook": "file:///etc/passwd" }), "/deploy/webhook"),
        ("deploy", json!({ "webhook": "http://hooks.example/x" }), "/deploy/webhook"),
        ("deploy", json!({ "webhook": "http://10.0.0.1/x" }), "/deploy/webhook"),
        ("tenant", json!("other"), "/tenant"),
        ("environments", json!([{ "name": "dev", "category": "playground" }]), "/environments/0/category"),
        (
            "environments",
            json!([{ "name": "dev", "category": "dev", "deploy": { "webhook": "http://hooks.example" } }]),
            "/environments/0/deploy/webhook",
        ),
        (
            "environments",
            json!([{ "name": "dev", "category": "dev", "module": "absent" }]),
            "/environments/0/module",
        ),
        (
            "environments",
            json!([{ "name": "dev", "category": "dev", "inputs": { "a": 1 } }]),
            "/environments/0/inputs",
        ),
        (
            "environments",
            json!([{ "name": "dev", "category": "dev", "module": "example", "ttl_hours": 0 }]),
            "/environments/0/ttl_hours",
        ),
        (
            "environments",
            json!([{ "name": "dev", "category": "dev" }, { "name": "dev", "category": "prod" }]),
            "/environments/1/name",
        ),
    ] {
        let mut body = deployed_by("hello");
        body[member] = value;
        let problem =
            client.send(Call::post("/services").json(&body)).await.problem(422, "validation-failed");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
    }
    assert_eq!(client.all("/services", "services").await, Vec::<Value>::new());
    stack.stop().await;
}

#[tokio::test]
async fn lists_are_filtered_and_paged() {
    let stack = TestStack::start().await;
    let client = stack.client(&Key::EXAMPLE);
    for (name, owner, lifecycle) in
        [("alpha", "red", "production"), ("beta", "blue", "production"), ("gamma", "red", "deprecated")]
    {
        let mut body = deployed_by("hello");
        body["name"] = json!(name);
        body["owner"] = json!(owner);
        body["lifecycle"] = json!(lifecycle);
        body["description"] = json!(format!("The {} service", name.to_uppercase()));
        client.create_service(&body).await;
    }
    for (query, expected) in [
        ("", &["alpha", "beta", "gamma"][..]),
        ("?owner=red", &["alpha", "gamma"]),
        ("?lifecycle=production", &["alpha", "beta"]),
        ("?owner=red&lifecycle=deprecated", &["gamma"]),
        ("?text=the%20BETA", &["beta"]),
        ("?tenant=example", &["alpha", "beta", "gamma"]),
        ("?tenant=other", &[]),
    ] {
        let answer = client.get(format!("/services{query}")).await.expect(200);
        assert_eq!(names(&answer), expected, "{query}");
    }
    let all = client.all("/services?limit=1", "services").await;
    assert_eq!(all.len(), 3);
    for bad in ["?owner=", "?lifecycle=retired", "?limit=0", "?cursor=x", "?unknown=1"] {
        client.get(format!("/services{bad}")).await.problem(400, "invalid-query");
    }
    assert_eq!(stack.client(&Key::OTHER).all("/services", "services").await, Vec::<Value>::new());
    stack.stop().await;
}

#[tokio::test]
async fn a_service_in_use_is_not_deleted_and_an_environment_in_use_is_not_taken_away() {
    let stack = TestStack::start_with_people().await;
    let platform = stack.client(&Key::PLATFORM);
    platform.put_script("waiting", "sleep 1000").await;
    let service = platform.create_service(&deployed_by("waiting")).await;
    let operation = platform.deploy(&service, "dev", "1").await;
    delete(&platform, &service, "").await.problem(409, "conflict");
    delete(&platform, &service, "?force=true").await.problem(409, "conflict");
    let mut without = deployed_by("waiting");
    without["environments"] = json!([]);
    let etag = etag(&platform, &service).await;
    put(&platform, &service, &etag, &without).await.problem(409, "conflict");
    let developer = stack.log_in(Person::DEVELOPER).await;
    platform.say(&service, &operation, "cancel").await.expect(202);
    platform.operation_is(&service, &operation, "cancelled").await;
    // Nothing is provisioned, so nobody needs force; but force is for admins all the same.
    delete(&developer, &service, "?force=true").await.problem(403, "forbidden");
    delete(&developer, &service, "").await.expect(200);
    stack.stop().await;
}
