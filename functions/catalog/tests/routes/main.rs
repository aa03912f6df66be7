//! Streams of the function. Its other routes are tested on the whole stack, where operations go on.

mod endings;

use std::sync::Arc;

use aws_sdk_dynamodb::config::{Credentials, Region, SharedCredentialsProvider};
use catalog::AppState;
use gatehouse_domain::catalog::Modules;
use gatehouse_runtime::aws::Aws;
use gatehouse_testkit::app::TestApp;
use gatehouse_workflows::{Answers, Executions, Machines};

/// The function, with workflows that nobody begins.
async fn start() -> TestApp {
    let credentials = SharedCredentialsProvider::new(Credentials::new("test", "test", None, None, "test"));
    let nowhere = Some("http://127.0.0.1:9".to_owned());
    let aws = Aws::new(Some(Region::from_static("us-east-1")), credentials, nowhere).expect("clients");
    let executions = Arc::new(Executions::new(aws.step_functions(), Machines::of_arns(None, None)));
    let answer = Arc::new(Answers::new(aws.step_functions()));
    TestApp::start(|deps| {
        let (start, oversee) = (executions.clone(), executions);
        let (table, system) = (deps.table, deps.system);
        catalog::router(AppState { table, start, answer, oversee, modules: Modules::Unknown, system })
    })
    .await
}
