use gatehouse_cli::Exit;
use serde_json::{Value, json};

use crate::support::{Person, Reply, Server};

const YAML: &str = "kind: Component\n";

fn report(refused: u32) -> Value {
    let mut entries = vec![
        json!({ "entity": "component:shop", "outcome": "created", "ignored": ["/0/spec/colour"] }),
        json!({ "entity": "location:all", "outcome": "not_kept", "reason": "import the files themselves" }),
    ];
    if refused > 0 {
        let errors = json!([{ "pointer": "/2/spec/owner", "detail": "is required" }]);
        entries.push(json!({ "entity": "api:orders", "outcome": "refused", "errors": errors }));
    }
    json!({ "summary": { "created": 1, "not_kept": 1, "refused": refused }, "entries": entries })
}

fn shop() -> Value {
    json!({
        "tenant": "acme", "ref": "component:default/shop", "kind": "Component",
        "spec": { "type": "service", "owner": "group:default/platform", "lifecycle": "production" },
    })
}

#[tokio::test]
async fn a_file_is_sent_as_it_is_and_each_entity_is_reported() {
    let server = Server::start().await;
    server.on("POST /v1/catalog/import", Reply::ok(&report(0)));
    let ada = Person::with_token(&server);
    let file = ada.home.path().join("catalog-info.yaml");
    std::fs::write(&file, YAML).unwrap();
    let import = ["catalog", "import", "-f", file.to_str().unwrap(), "--tenant", "acme", "--atomic"];
    let ran = ada.run(&import).await.done();
    assert_eq!(ran.stdout, "OUTCOME   ENTITY\ncreated   component:shop\nnot_kept  location:all\n");
    for note in ["component:shop: /0/spec/colour is not kept", "location:all: import the files", "1 not kept"]
    {
        assert!(ran.stderr.contains(note), "{note}: {}", ran.stderr);
    }
    let asked = server.only();
    assert_eq!(asked.line, "POST /v1/catalog/import?tenant=acme&atomic=true");
    assert_eq!(asked.header("content-type"), Some("application/yaml"));
    assert_eq!(asked.body, YAML.as_bytes());
}

#[tokio::test]
async fn a_refused_entity_is_named_with_the_reason_and_the_command_fails() {
    let server = Server::start().await;
    server.on("POST /v1/catalog/import", Reply::ok(&report(1)));
    let mut ada = Person::with_token(&server);
    ada.stdin = json!([]).to_string();
    let ran = ada.run(&["catalog", "import", "-f", "-", "--dry-run"]).await;
    assert_eq!(ran.exit, Exit::Refused);
    assert!(ran.stderr.contains("api:orders: /2/spec/owner: is required"), "{}", ran.stderr);
    let asked = server.only();
    assert_eq!(asked.line, "POST /v1/catalog/import?dry_run=true");
    assert_eq!(asked.header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn entities_are_listed_as_they_are_asked_for() {
    let server = Server::start().await;
    server.on("GET /v1/catalog/entities", Reply::ok(&json!({ "entities": [shop()] })));
    let list =
        ["catalog", "list", "--kind", "component", "--owner", "platform", "--tag", "java", "--member", "ada"];
    let ran = Person::with_token(&server).run(&list).await.done();
    assert_eq!(
        ran.stdout,
        "ENTITY                  TENANT  TYPE     OWNER                   LIFECYCLE\n\
         component:default/shop  acme    service  group:default/platform  production\n"
    );
    let asked = "GET /v1/catalog/entities?kind=component&owner=platform&tag=java&member=ada&limit=100";
    assert_eq!(server.only().line, asked);
}

#[tokio::test]
async fn an_entity_is_shown_with_its_relations() {
    let server = Server::start().await;
    let relations = json!([
        { "type": "ownedBy", "targetRef": "group:default/platform" },
        { "type": "dependsOn", "targetRef": "component:default/cart", "missing": true },
    ]);
    let shown = json!({ "entity": shop(), "relations": relations });
    server.on("GET /v1/catalog/entities/component/payments/shop", Reply::ok(&shown));
    let show = ["catalog", "show", "component:payments/shop", "--tenant", "acme"];
    let ran = Person::with_token(&server).run(&show).await.done();
    let (_, relations) = ran.stdout.split_once("\n\n").unwrap();
    assert_eq!(
        relations,
        "RELATION   ENTITY                  MISSING\n\
         ownedBy    group:default/platform  -\n\
         dependsOn  component:default/cart  true\n"
    );
    assert_eq!(server.only().line, "GET /v1/catalog/entities/component/payments/shop?tenant=acme");
}

#[tokio::test]
async fn what_is_deleted_is_what_was_there_a_moment_ago() {
    let server = Server::start().await;
    let path = "/v1/catalog/entities/component/default/shop";
    let shown = Reply::ok(&json!({ "entity": shop(), "relations": [] })).with("etag", "\"rev_1\"");
    let deleted = Reply::ok(&json!({ "deleted": "component:default/shop" }));
    server.on(&format!("GET {path}"), shown).on(&format!("DELETE {path}"), deleted);
    Person::with_token(&server).run(&["catalog", "delete", "component:shop"]).await.done();
    assert_eq!(server.lines(), [format!("GET {path}"), format!("DELETE {path}")]);
}

#[tokio::test]
async fn what_names_no_kind_is_no_entity() {
    let server = Server::start().await;
    for bad in ["shop", ":shop", "component:", "component:/shop", "component:a/"] {
        let ran = Person::with_token(&server).run(&["catalog", "show", bad]).await;
        assert_eq!(ran.exit, Exit::Usage, "{bad}: {}", ran.stderr);
    }
    assert_eq!(server.lines(), [""; 0]);
}
