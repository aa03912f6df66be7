use serde_json::{Value, json};

use crate::support::{Person, Reply, Server};

fn entries(count: usize, next: Option<&str>) -> Reply {
    let entry = json!({
        "id": "aud_1", "at": "2026-01-01T00:00:00Z", "actor": "ada", "action": "token.mint",
        "target": "tok_1", "tenant": "acme", "outcome": "done", "request_id": "req-9",
        "source_ip": "192.0.2.1",
    });
    let mut page = json!({ "entries": vec![entry; count] });
    if let Some(next) = next {
        page["next_cursor"] = Value::from(next);
    }
    Reply::ok(&page)
}

#[tokio::test]
async fn the_trail_is_told_in_a_table() {
    let server = Server::start().await;
    server.on("GET /v1/audit", entries(1, None));
    let list = ["audit", "list", "--tenant", "acme", "--until", "2026-01-31T12:00:00Z"];
    let ran = Person::with_token(&server).run(&list).await.done();
    assert_eq!(
        ran.stdout,
        "AT                    ACTOR  ACTION      TARGET  TENANT  OUTCOME  FROM       DETAIL\n\
         2026-01-01T00:00:00Z  ada    token.mint  tok_1   acme    done     192.0.2.1  -\n"
    );
    assert_eq!(server.lines(), ["GET /v1/audit?tenant=acme&until=2026-01-31T12%3A00%3A00Z&limit=50"]);
}

#[tokio::test]
async fn no_more_is_asked_for_than_is_wanted() {
    let server = Server::start().await;
    server
        .on("GET /v1/audit", entries(100, Some("c1")))
        .on("GET /v1/audit", entries(20, Some("c2")))
        .on("GET /v1/audit", entries(30, Some("c3")));
    let list = ["audit", "list", "--actor", "ada", "--limit", "150"];
    let ran = Person::with_token(&server).run(&list).await.done();
    assert_eq!(ran.stdout.lines().count(), 151);
    let query = "GET /v1/audit?actor=ada&limit";
    let expected = [format!("{query}=100"), format!("{query}=50&cursor=c1"), format!("{query}=30&cursor=c2")];
    assert_eq!(server.lines(), expected);
}
