use gatehouse_cli::Exit;
use serde_json::{Value, json};

use crate::support::{Person, Reply, Server};

const YAML: &str =
    "name: shop\nproject: web\nowner: team-pay\nenvironments:\n  - { name: dev, category: dev }\n";

fn service(id: &str, name: &str, tenant: &str) -> Value {
    json!({
        "id": id, "tenant": tenant, "name": name, "project": "web", "owner": "team-pay",
        "lifecycle": "production", "links": [],
        "environments": [{
            "name": "dev", "category": "dev", "approval_required": false, "module": "example", "inputs": {},
            "ttl_hours": 24, "drift_hours": 12, "deploy": { "job": "deploy-shop" },
        }],
    })
}

fn page(services: &[Value]) -> Reply {
    Reply::ok(&json!({ "services": services }))
}

fn shop() -> Reply {
    Reply::ok(&json!({ "service": service("svc_1", "shop", "acme") })).with("etag", "\"rev_1\"")
}

#[tokio::test]
async fn services_are_listed_as_they_are_asked_for() {
    let server = Server::start().await;
    server.on("GET /services", page(&[service("svc_1", "shop", "acme")]));
    let list = [
        "services",
        "list",
        "--tenant",
        "acme",
        "--owner",
        "pay",
        "--lifecycle",
        "production",
        "--text",
        "sh",
    ];
    let ran = Person::with_token(&server).run(&list).await.done();
    assert_eq!(
        ran.stdout,
        "ID     NAME  TENANT  PROJECT  OWNER     LIFECYCLE\n\
         svc_1  shop  acme    web      team-pay  production\n"
    );
    let asked = "GET /services?tenant=acme&owner=pay&lifecycle=production&text=sh&limit=100";
    assert_eq!(server.only().line, asked);
}

#[tokio::test]
async fn a_service_is_shown_with_its_environments() {
    let server = Server::start().await;
    server.on("GET /services/svc_1", shop());
    let ran = Person::with_token(&server).run(&["services", "show", "svc_1"]).await.done();
    let (head, environments) = ran.stdout.split_once("\n\n").unwrap();
    assert!(head.lines().any(|line| line == "owner      team-pay"), "{head}");
    assert_eq!(
        environments,
        "ENVIRONMENT  CATEGORY  APPROVAL  MODULE   TTL  DRIFT CHECK  DEPLOY\n\
         dev          dev       false     example  24   12           job=deploy-shop\n"
    );
}

#[tokio::test]
async fn a_service_is_found_by_its_name() {
    let server = Server::start().await;
    let first = json!({ "services": [], "next_cursor": "c1" });
    server
        .on("GET /services", Reply::ok(&first))
        .on("GET /services", page(&[service("svc_1", "shop", "acme")]))
        .on("GET /services/svc_1", shop());
    Person::with_token(&server).run(&["services", "show", "shop"]).await.done();
    let query = "GET /services?name=shop&limit=100";
    assert_eq!(
        server.lines(),
        [query.to_owned(), format!("{query}&cursor=c1"), "GET /services/svc_1".to_owned()]
    );
}

#[tokio::test]
async fn a_name_that_means_no_service_or_several_is_not_guessed() {
    let server = Server::start().await;
    let both = [service("svc_1", "shop", "acme"), service("svc_2", "shop", "beta")];
    server.on("GET /services", page(&[])).on("GET /services", page(&both));
    let ada = Person::with_token(&server);
    let none = ada.run(&["services", "show", "shop"]).await;
    assert_eq!(none.exit, Exit::Refused);
    assert_eq!(none.stderr, "gatehouse: there is no service `shop`, or you may not see it\n");
    let several = ada.run(&["services", "show", "shop"]).await;
    assert_eq!(several.exit, Exit::Usage);
    assert!(several.stderr.contains("svc_1 of acme, svc_2 of beta"), "{several:?}");
}

#[tokio::test]
async fn a_service_is_created_from_yaml_and_from_json() {
    let expected = json!({
        "name": "shop", "project": "web", "owner": "team-pay",
        "environments": [{ "name": "dev", "category": "dev" }],
    });
    for file in [YAML.to_owned(), expected.to_string()] {
        let server = Server::start().await;
        let created = json!({ "service": service("svc_1", "shop", "acme") });
        server.on("POST /services", Reply::json(201, &created));
        let mut ada = Person::with_token(&server);
        ada.stdin = file;
        let ran = ada.run(&["services", "create", "-f", "-", "--idempotency-key", "once"]).await.done();
        assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("svc_1\n", "shop of acme is created\n"));
        let asked = server.only();
        assert_eq!(asked.json(), expected);
        assert_eq!(asked.header("idempotency-key"), Some("once"));
    }
}

#[tokio::test]
async fn a_file_that_is_no_service_is_sent_nowhere() {
    let server = Server::start().await;
    let mut ada = Person::with_token(&server);
    for broken in ["{\"name\": ", "a: b: c", "just words", "[1]", ""] {
        broken.clone_into(&mut ada.stdin);
        let ran = ada.run(&["services", "create", "-f", "-"]).await;
        assert_eq!(ran.exit, Exit::Usage, "{broken}: {ran:?}");
        assert!(ran.stderr.starts_with("gatehouse: - is no service: "), "{broken}: {ran:?}");
    }
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn a_lost_answer_tells_the_key_that_creates_no_second_service() {
    let server = Server::start().await;
    server.on("POST /services", Reply::stream(&["{\"service\":"]).cut());
    let mut ada = Person::with_token(&server);
    YAML.clone_into(&mut ada.stdin);
    let ran = ada.run(&["services", "create", "-f", "-"]).await;
    assert_eq!(ran.exit, Exit::Unavailable);
    let key = server.only().header("idempotency-key").unwrap().to_owned();
    assert!(ran.stderr.contains(&format!("--idempotency-key {key}")), "{ran:?}");
}

#[tokio::test]
async fn what_is_replaced_is_what_was_read() {
    let server = Server::start().await;
    server.on("GET /services/svc_1", shop()).on("PUT /services/svc_1", shop());
    let ada = Person::with_token(&server);
    let file = ada.home.path().join("shop.yaml");
    std::fs::write(&file, YAML).unwrap();
    ada.run(&["services", "put", "svc_1", "-f", file.to_str().unwrap()]).await.done();
    let put = &server.asked()[1];
    assert_eq!(put.header("if-match"), Some("\"rev_1\""));
    assert_eq!(put.json()["owner"], "team-pay");
}

#[tokio::test]
async fn who_deletes_by_force_is_told_what_remains() {
    let server = Server::start().await;
    let remains = json!([{
        "environment": "dev", "state": "present", "module": "example", "operation": "op_1",
        "outputs": { "url": { "value": "https://shop.example" } },
    }]);
    server
        .on("GET /services/svc_1", shop())
        .on("DELETE /services/svc_1", Reply::ok(&json!({ "deleted": "svc_1", "remains": remains })));
    let ran = Person::with_token(&server).run(&["services", "delete", "svc_1", "--force"]).await.done();
    assert_eq!(
        ran.stdout,
        "ENVIRONMENT  STATE    MODULE   OUTPUTS\n\
         dev          present  example  url=value=https://shop.example\n"
    );
    assert!(ran.stderr.starts_with("svc_1 is deleted\nwarning: "), "{ran:?}");
    let delete = &server.asked()[1];
    assert_eq!(delete.line, "DELETE /services/svc_1?force=true");
    assert_eq!(delete.header("if-match"), Some("\"rev_1\""));
}

#[tokio::test]
async fn who_deletes_what_is_empty_is_told_no_more() {
    let server = Server::start().await;
    server
        .on("GET /services/svc_1", shop())
        .on("DELETE /services/svc_1", Reply::ok(&json!({ "deleted": "svc_1", "remains": [] })));
    let ran = Person::with_token(&server).run(&["services", "delete", "svc_1"]).await.done();
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", "svc_1 is deleted\n"));
    assert_eq!(server.lines()[1], "DELETE /services/svc_1");
}
