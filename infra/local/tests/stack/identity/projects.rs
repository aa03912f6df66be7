//! Projects and the tokens of their services.

use serde_json::json;

use crate::support::{Call, TestStack, people::Person};

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
