//! What anybody may see.

use gatehouse_testkit::app::TestApp;

#[tokio::test]
async fn anybody_sees_that_gatehouse_is_up() {
    let app = TestApp::start(|_| meta::router()).await;
    insta::assert_snapshot!(app.anonymous().get("/health").await, @r#"
    200 OK
    {
      "status": "ok"
    }
    "#);
}

#[tokio::test]
async fn anybody_reads_the_description_that_is_checked_in() {
    let app = TestApp::start(|_| meta::router()).await;
    let answer = app.anonymous().get("/openapi.json").await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "application/json"));
    assert_eq!(answer.text, include_str!("../../../../infra/openapi.json"));
}
