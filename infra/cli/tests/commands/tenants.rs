use gatehouse_cli::Exit;
use serde_json::{Value, json};

use crate::support::{Person, Reply, Server};

fn tenant() -> Value {
    json!({
        "tenant": "acme", "display_name": "Acme", "require_second_factor": false, "default_project": "payments",
        "created_at": "2026-01-01T00:00:00Z", "created_by": "user:root",
    })
}

fn listed() -> Reply {
    let beta = json!({
        "tenant": "beta", "display_name": "Beta", "require_second_factor": true,
        "created_at": "2026-01-02T00:00:00Z", "created_by": "user:root",
    });
    Reply::ok(&json!({ "tenants": [tenant(), beta] }))
}

#[tokio::test]
async fn tenants_are_listed() {
    let server = Server::start().await;
    server.on("GET /v1/tenants", listed());
    let ran = Person::with_token(&server).run(&["tenants", "list"]).await.done();
    assert_eq!(
        ran.stdout,
        "NAME  DISPLAY NAME  SECOND FACTOR  DEFAULT PROJECT  CREATED               BY\n\
         acme  Acme          false          payments         2026-01-01T00:00:00Z  user:root\n\
         beta  Beta          true           -                2026-01-02T00:00:00Z  user:root\n"
    );
    assert_eq!(server.lines(), ["GET /v1/tenants"]);
}

#[tokio::test]
async fn one_tenant_is_shown_out_of_all() {
    let server = Server::start().await;
    server.on("GET /v1/tenants", listed()).on("GET /v1/tenants", listed()).on("GET /v1/tenants", listed());
    let ada = Person::with_token(&server);
    let ran = ada.run(&["tenants", "show", "acme"]).await.done();
    assert!(ran.stdout.contains("default_project        payments\n"), "{}", ran.stdout);
    assert!(!ran.stdout.contains("beta"), "{}", ran.stdout);
    let ran = ada.run(&["tenants", "show", "acme", "--json"]).await.done();
    assert_eq!(ran.json(), json!({ "tenant": tenant() }));
    let ran = ada.run(&["tenants", "show", "acm"]).await;
    assert_eq!(ran.exit, Exit::Refused);
    assert!(ran.stderr.contains("there is no tenant `acm`"), "{ran:?}");
}

#[tokio::test]
async fn a_tenant_is_created_with_what_is_said_and_no_more() {
    let server = Server::start().await;
    server.on("PUT /v1/tenants/acme", Reply::ok(&json!({ "tenant": tenant() })));
    let ran = Person::with_token(&server).run(&["tenants", "put", "acme", "--display-name", "Acme"]).await;
    let ran = ran.done();
    assert!(ran.stdout.contains("tenant                 acme\n"), "{}", ran.stdout);
    assert_eq!(server.only().json(), json!({ "display_name": "Acme" }));
}

#[tokio::test]
async fn an_edit_without_a_display_name_keeps_the_one_there_is() {
    let cases: [(&[&str], Value); 3] = [
        (&["--default-project", "web"], json!({ "display_name": "Acme", "default_project": "web" })),
        (&["--no-default-project"], json!({ "display_name": "Acme", "default_project": null })),
        (
            &["--require-second-factor", "true"],
            json!({ "display_name": "Acme", "require_second_factor": true }),
        ),
    ];
    for (said, body) in cases {
        let server = Server::start().await;
        server
            .on("GET /v1/tenants", listed())
            .on("PUT /v1/tenants/acme", Reply::ok(&json!({ "tenant": tenant() })));
        let command = [&["tenants", "put", "acme"], said].concat();
        Person::with_token(&server).run(&command).await.done();
        assert_eq!(server.lines(), ["GET /v1/tenants", "PUT /v1/tenants/acme"]);
        assert_eq!(server.asked()[1].json(), body);
    }
}

#[tokio::test]
async fn a_new_tenant_takes_a_display_name() {
    let server = Server::start().await;
    server.on("GET /v1/tenants", listed());
    let ran = Person::with_token(&server).run(&["tenants", "put", "gamma"]).await;
    assert_eq!(ran.exit, Exit::Usage);
    assert!(ran.stderr.contains("--display-name"), "{ran:?}");
    assert_eq!(server.lines(), ["GET /v1/tenants"]);
}

#[tokio::test]
async fn what_is_decided_about_a_tenant_takes_a_password_of_late() {
    let server = Server::start().await;
    let wanted = Reply::problem(403, "reauthentication-required", "Say your password again", &json!({}));
    server
        .on("PUT /v1/tenants/acme", wanted)
        .on("POST /auth/reauthenticate", Reply::ok(&json!({})))
        .on("PUT /v1/tenants/acme", Reply::ok(&json!({ "tenant": tenant() })));
    let ada = Person::with_token(&server).types(&["correct horse"]);
    let ran = ada.run(&["tenants", "put", "acme", "--display-name", "Acme"]).await.done();
    ran.never_says(&["correct horse"]);
    assert_eq!(server.asked()[2].json(), json!({ "display_name": "Acme" }));
}

#[tokio::test]
async fn a_tenant_is_deleted_where_it_has_no_projects() {
    let server = Server::start().await;
    server
        .on("DELETE /v1/tenants/acme", Reply::problem(409, "conflict", "Conflict", &json!({})))
        .on("DELETE /v1/tenants/acme", Reply::empty(204));
    let ada = Person::with_token(&server);
    assert_eq!(ada.run(&["tenants", "delete", "acme"]).await.exit, Exit::Refused);
    let ran = ada.run(&["tenants", "delete", "acme"]).await.done();
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", "acme is deleted\n"));
}
