//! Approvals: somebody else has to agree.

use serde_json::{Value, json};

use crate::support::{
    Call, Client, TestStack,
    catalog::{deployed_by, operation_id},
    people::Person,
};

fn guarded() -> Value {
    let mut body = deployed_by("hello");
    body["environments"] = json!([{ "name": "prod", "category": "prod", "approval_required": true }]);
    body
}

/// A deploy that the developer asked for and that waits.
async fn waiting(developer: &Client) -> (String, String) {
    let service = developer.create_service(&guarded()).await;
    let body = json!({ "environment": "prod", "version": "2" });
    let operation = operation_id(&developer.act(&service, "deploy", &body).await.expect(202));
    developer.operation_is(&service, &operation, "awaiting_approval").await;
    (service, operation)
}

#[tokio::test]
async fn somebody_else_approves_and_the_deploy_goes_on() {
    let stack = TestStack::start_with_people().await;
    let developer = stack.log_in(Person::DEVELOPER).await;
    let (service, operation) = waiting(&developer).await;
    stack.log_in(Person::VIEWER).await.say(&service, &operation, "approve").await.problem(403, "forbidden");
    let admin = stack.log_in(Person::ADMIN).await;
    let path = format!("/services/{service}/operations/{operation}/approve");
    let approved = admin.send(Call::post(path).json(&json!({ "comment": "go" }))).await.expect(200).json();
    assert_eq!(approved["operation"]["approval"]["by"], "user:admin");
    let ended = developer.operation_is(&service, &operation, "succeeded").await;
    assert_eq!(ended["approval"]["approved"], true);
    assert_eq!(ended["approval"]["comment"], "go");
    stack.stop().await;
}

#[tokio::test]
async fn a_rejection_ends_the_operation_and_nothing_is_deployed() {
    let stack = TestStack::start_with_people().await;
    let developer = stack.log_in(Person::DEVELOPER).await;
    let (service, operation) = waiting(&developer).await;
    let admin = stack.log_in(Person::ADMIN).await;
    let rejected = admin.say(&service, &operation, "reject").await.expect(200).json();
    assert_eq!(rejected["operation"]["status"], "rejected");
    let environment = developer.environment(&service).await;
    assert!(environment.get("running").is_none() && environment.get("deployed").is_none(), "{environment:#}");
    let ended = developer.operation(&service, &operation).await;
    assert!(ended.get("run_id").is_none(), "{ended:#}");
    stack.stop().await;
}

#[tokio::test]
async fn a_restart_loses_no_approval() {
    let stack = TestStack::start_with_people().await;
    let developer = stack.session(Person::DEVELOPER).await;
    let (service, operation) = waiting(&stack.client(&developer)).await;
    let admin = stack.session(Person::ADMIN).await;
    let stack = stack.restart().await;
    stack.client(&admin).say(&service, &operation, "approve").await.expect(200);
    stack.client(&developer).operation_is(&service, &operation, "succeeded").await;
    stack.stop().await;
}
