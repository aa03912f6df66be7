//! Tenants and projects.

use serde_json::json;

use crate::support::{Call, TestStack, people::Person};

#[tokio::test]
async fn a_tenant_is_made_used_and_deleted() {
    let stack = TestStack::start_with_people().await;
    let root = stack.log_in(Person::ROOT).await;
    let put = |name: &str| Call::put("/v1/tenants/acme").json(&json!({ "display_name": name }));
    root.send(put("Acme")).await.expect(200);
    let renamed = root.send(put("Acme Ltd")).await.expect(200).json();
    assert_eq!(renamed["tenant"]["display_name"], "Acme Ltd");
    let tenants = root.get("/v1/tenants").await.expect(200).json();
    let names: Vec<_> =
        tenants["tenants"].as_array().unwrap().iter().map(|t| t["tenant"].as_str().unwrap()).collect();
    assert_eq!(names, ["acme", "example"]);
    // Others see their own.
    let own = stack.log_in(Person::VIEWER).await.get("/v1/tenants").await.expect(200).json();
    assert_eq!(own["tenants"].as_array().unwrap().len(), 1);
    let project = json!({ "tenant": "acme" });
    let created = root.send(Call::put("/v1/projects/rockets").json(&project)).await.expect(201);
    root.send(Call::delete("/v1/tenants/acme")).await.problem(409, "conflict");
    let etag = created.header("etag").unwrap().to_owned();
    root.send(Call::delete("/v1/projects/rockets").header("if-match", etag)).await.expect(204);
    root.send(Call::delete("/v1/tenants/acme")).await.expect(204);
    root.send(Call::delete("/v1/tenants/acme")).await.problem(404, "not-found");
    stack.stop().await;
}

#[tokio::test]
async fn a_project_is_edited_by_those_who_may() {
    let stack = TestStack::start_with_people().await;
    let admin = stack.log_in(Person::ADMIN).await;
    let body = json!({ "description": "Money", "accepted_services": ["worker"] });
    let created = admin.send(Call::put("/v1/projects/payments").json(&body)).await.expect(201);
    assert_eq!(created.json()["project"]["tenant"], "example");
    admin.send(Call::put("/v1/projects/payments").json(&body)).await.problem(428, "precondition-required");
    let etag = created.header("etag").unwrap().to_owned();
    let moved = json!({ "tenant": "other" });
    let moved = Call::put("/v1/projects/payments").json(&moved).header("if-match", etag.clone());
    admin.send(moved).await.problem(422, "validation-failed");
    let wider = json!({ "accepted_services": ["worker", "web"] });
    let wider = Call::put("/v1/projects/payments").json(&wider).header("if-match", etag.clone());
    admin.send(wider.clone()).await.expect(200);
    admin.send(wider).await.problem(412, "precondition-failed");
    // The names of others' projects cannot be had, and are not shown.
    let other = stack.log_in(Person::OTHER_ADMIN).await;
    other.get("/v1/projects/payments").await.problem(404, "not-found");
    other.send(Call::put("/v1/projects/payments").json(&json!({}))).await.problem(409, "conflict");
    other
        .send(Call::put("/v1/projects/new").json(&json!({ "tenant": "example" })))
        .await
        .problem(403, "forbidden");
    for reserved in ["auth", "v1", "services"] {
        let call = Call::put(format!("/v1/projects/{reserved}")).json(&json!({}));
        admin.send(call).await.problem(422, "validation-failed");
    }
    let names: Vec<_> =
        admin.all("/v1/projects?limit=1", "projects").await.iter().map(|p| p["project"].clone()).collect();
    assert_eq!(names, [json!("example"), json!("payments")]);
    stack.stop().await;
}

#[tokio::test]
async fn a_project_accepts_the_services_that_it_names() {
    let stack = TestStack::start_with_people().await;
    let admin = stack.log_in(Person::ADMIN).await;
    let body = json!({ "accepted_services": ["worker"] });
    let created = admin.send(Call::put("/v1/projects/payments").json(&body)).await.expect(201);
    let mint =
        |service: &str| Call::post("/v1/tokens").json(&json!({ "project": "payments", "service": service }));
    let problem = admin.send(mint("stranger")).await.problem(422, "validation-failed");
    assert_eq!(problem["errors"][0]["pointer"], "/service");
    let minted = admin.send(mint("worker")).await.expect(201).json();
    // A live token keeps its project; a revoked one does not.
    let etag = created.header("etag").unwrap().to_owned();
    let delete = Call::delete("/v1/projects/payments").header("if-match", etag);
    admin.send(delete.clone()).await.problem(409, "conflict");
    let jti = minted["jti"].as_str().unwrap();
    admin.send(Call::post(format!("/v1/tokens/{jti}/revoke"))).await.expect(200);
    admin.send(delete).await.expect(204);
    stack.stop().await;
}
