use std::fs;

use gatehouse_cli::Exit;
use serde_json::{Value, json};

use crate::support::{Asked, Person, Ran, Reply, Server};

fn tenant() -> Value {
    json!({
        "tenant": "acme", "display_name": "Acme", "require_second_factor": true, "default_project": "web",
        "created_at": "2026-01-01T00:00:00Z", "created_by": "user:root",
    })
}

fn begun() -> Value {
    json!({
        "tenant": "acme", "display_name": "Acme", "require_second_factor": false,
        "created_at": "2026-02-01T00:00:00Z", "created_by": "user:root",
    })
}

fn project(name: &str) -> Value {
    json!({ "project": name, "tenant": "acme", "created_at": "2026-01-01T00:00:00Z" })
}

fn user(name: &str, state: &str) -> Value {
    json!({
        "user_name": name, "roles": { "acme": "developer" }, "state": state, "must_change_password": false,
        "second_factor": true, "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-02T00:00:00Z",
        "updated_by": "user:root",
    })
}

fn provider() -> Value {
    json!({
        "name": "ci", "kind": "concourse", "url": "https://ci.example.com", "scopes": { "acme": ["main"] },
        "open_to_all": false, "auth": { "grant": "client_credentials", "client_id": "gatehouse" },
        "capabilities": { "rerun": true }, "updated_at": "2026-01-02T00:00:00Z", "updated_by": "user:root",
    })
}

fn service(secret_inputs: &Value) -> Value {
    json!({
        "id": "svc_1", "tenant": "acme", "name": "shop", "project": "web", "owner": "group:platform",
        "lifecycle": "production", "links": [], "described_by": "component:default/shop", "tags": ["java"],
        "environments": [{
            "name": "dev", "category": "dev", "module": "db",
            "inputs": { "size": 1 }, "secret_inputs": secret_inputs,
        }],
        "created_at": "2026-01-01T00:00:00Z", "created_by": "user:root", "updated_at": "2026-01-02T00:00:00Z",
        "updated_by": "user:root",
    })
}

fn key(name: &str, state: &str) -> Value {
    json!({
        "key_id": format!("key_{name}"), "name": name, "scopes": ["jobs:read"], "tenants": ["acme"],
        "state": state, "minted_by": "user:ada", "created_at": "2026-01-01T00:00:00Z", "created_by": "user:ada",
    })
}

fn page(member: &str, entries: &Value) -> Reply {
    Reply::ok(&json!({ member: entries }))
}

/// The file that `export` writes of these.
fn file(members: &Value) -> String {
    let mut file = json!({ "gatehouse": 1 });
    file.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    file.to_string()
}

/// Imports a file that has these.
async fn import(server: &Server, members: &Value, flags: &[&str]) -> Ran {
    let mut person = Person::with_token(server);
    person.stdin = file(members);
    person.run(&[&["import", "-"], flags].concat()).await
}

/// What the server was asked to change.
fn changes(server: &Server) -> Vec<String> {
    server.lines().into_iter().filter(|line| !line.starts_with("GET ")).collect()
}

/// What the server was asked to change last.
fn last_change(server: &Server) -> Asked {
    server.asked().into_iter().rfind(|asked| !asked.line.starts_with("GET ")).unwrap()
}

#[tokio::test]
async fn everything_is_exported_over_all_pages_in_the_order_of_names_and_without_secrets_and_history() {
    let server = Server::start().await;
    let first = json!({ "projects": [project("web")], "next_cursor": "c1" });
    let process = json!({ "name": "process", "kind": "process", "updated_at": "x", "updated_by": "x" });
    let status = json!({ "environments": [
        { "name": "dev", "infrastructure": { "state": "present" } },
        { "name": "prod", "infrastructure": { "state": "absent" } },
    ]});
    server
        .on("GET /v1/tenants", page("tenants", &json!([tenant()])))
        .on("GET /v1/projects", Reply::ok(&first))
        .on("GET /v1/projects", page("projects", &json!([project("api")])))
        .on("GET /v1/users", page("users", &json!([user("grace", "disabled"), user("ada", "active")])))
        .on("GET /v1/providers", page("providers", &json!([process, provider()])))
        .on("GET /v1/modules", page("modules", &json!([])))
        .on("GET /v1/jobs", page("jobs", &json!([])))
        .on("GET /v1/catalog/entities", page("entities", &json!([])))
        .on("GET /services", page("services", &json!([service(&json!(["token"]))])))
        .on("GET /services/svc_1/actions/status", Reply::ok(&status))
        .on("GET /v1/api-keys", page("api_keys", &json!([key("ci", "active"), key("old", "revoked")])))
        .on("GET /v1/tokens", page("tokens", &json!([])));
    let ran = Person::with_token(&server).run(&["export"]).await.done();
    let exported = ran.json();
    assert_eq!(exported["gatehouse"], 1);
    assert_eq!(
        exported["tenants"],
        json!([{
            "tenant": "acme", "display_name": "Acme", "require_second_factor": true, "default_project": "web",
        }])
    );
    let projects = json!([{ "project": "api", "tenant": "acme" }, { "project": "web", "tenant": "acme" }]);
    assert_eq!(exported["projects"], projects);
    assert_eq!(
        exported["users"],
        json!([
            { "user_name": "ada", "roles": { "acme": "developer" }, "state": "active" },
            { "user_name": "grace", "roles": { "acme": "developer" }, "state": "disabled" },
        ])
    );
    assert_eq!(
        exported["providers"],
        json!([{
            "name": "ci", "kind": "concourse", "url": "https://ci.example.com", "open_to_all": false,
            "scopes": { "acme": ["main"] }, "auth": { "grant": "client_credentials", "client_id": "gatehouse" },
        }])
    );
    assert_eq!(exported["services"][0]["infrastructure"], json!({ "dev": "present" }));
    assert_eq!(exported["services"][0]["environments"][0]["secret_inputs"], json!(["token"]));
    for left_out in ["id", "described_by", "tags", "created_at", "updated_by"] {
        assert_eq!(exported["services"][0].get(left_out), None, "{left_out}");
    }
    assert_eq!(
        exported["api_keys"],
        json!([{ "name": "ci", "scopes": ["jobs:read"], "tenants": ["acme"], "minted_by": "user:ada" }])
    );
    assert!(server.lines().contains(&"GET /v1/projects?limit=100&cursor=c1".to_owned()));
}

#[tokio::test]
async fn an_export_that_fails_writes_nothing() {
    let server = Server::start().await;
    server
        .on("GET /v1/tenants", page("tenants", &json!([tenant()])))
        .on("GET /v1/projects", Reply::problem(403, "forbidden", "Forbidden", &json!({})));
    let person = Person::with_token(&server);
    let path = person.home.path().join("export.json");
    let ran = person.run(&["export", "-o", path.to_str().unwrap()]).await;
    assert_eq!(ran.exit, Exit::NotAllowed);
    assert!(!path.exists());
    server.on("GET /v1/tenants", page("tenants", &json!([tenant()])));
    person.run(&["export", "--only", "tenants", "-o", path.to_str().unwrap()]).await.done();
    let written: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    assert_eq!(written["tenants"][0]["tenant"], "acme");
    assert_eq!(written.get("projects"), None);
}

#[tokio::test]
async fn a_tenant_is_completed_when_its_projects_are_there() {
    let server = Server::start().await;
    server
        .on("GET /v1/tenants", page("tenants", &json!([])))
        .on("PUT /v1/tenants/acme", Reply::ok(&json!({ "tenant": begun() })))
        .on("GET /v1/projects", page("projects", &json!([])))
        .on("PUT /v1/projects/web", Reply::json(201, &json!({ "project": project("web") })))
        .on("PUT /v1/tenants/acme", Reply::ok(&json!({ "tenant": tenant() })));
    let members = json!({ "tenants": [tenant()], "projects": [{ "project": "web", "tenant": "acme" }] });
    let ran = import(&server, &members, &[]).await.done();
    assert_eq!(ran.stdout, "OUTCOME  KIND     NAME\ncreated  tenant   acme\ncreated  project  web\n");
    assert_eq!(ran.stderr, "0 changed, 2 created, 0 refused, 0 unchanged\n");
    assert_eq!(changes(&server), ["PUT /v1/tenants/acme", "PUT /v1/projects/web", "PUT /v1/tenants/acme"]);
    let asked = server.asked();
    assert_eq!(asked[1].json(), json!({ "display_name": "Acme" }));
    assert_eq!((asked[3].header("if-none-match"), asked[3].json()), (Some("*"), json!({ "tenant": "acme" })));
    assert_eq!(asked[4].json()["default_project"], "web");
    assert_eq!(asked[4].json()["require_second_factor"], true);
}

#[tokio::test]
async fn an_import_that_was_interrupted_goes_on() {
    let server = Server::start().await;
    server
        .on("GET /v1/tenants", page("tenants", &json!([begun()])))
        .on("GET /v1/projects", page("projects", &json!([])))
        .on("PUT /v1/projects/web", Reply::problem(500, "internal", "Internal", &json!({})))
        .on("GET /v1/tenants", page("tenants", &json!([begun()])))
        .on("GET /v1/projects", page("projects", &json!([project("web")])))
        .on("PUT /v1/tenants/acme", Reply::ok(&json!({ "tenant": tenant() })));
    let members = json!({ "tenants": [tenant()], "projects": [{ "project": "web", "tenant": "acme" }] });
    let ran = import(&server, &members, &[]).await;
    assert_eq!(ran.exit, Exit::Unavailable);
    assert!(ran.stderr.contains("the same command again goes on"), "{ran:?}");
    let ran = import(&server, &members, &[]).await.done();
    assert_eq!(ran.stderr, "1 changed, 0 created, 0 refused, 1 unchanged\n");
}

#[tokio::test]
async fn what_is_there_and_otherwise_is_replaced_only_when_that_is_said() {
    let mine = json!({ "project": "web", "tenant": "acme", "description": "mine" });
    let members = json!({ "projects": [mine] });
    let server = Server::start().await;
    server.on("GET /v1/projects", page("projects", &json!([project("web")])));
    let ran = import(&server, &members, &[]).await;
    assert_eq!(ran.exit, Exit::Refused);
    assert!(ran.stderr.contains("project web: it is there, and otherwise than in the file"), "{ran:?}");
    assert!(changes(&server).is_empty());

    let shown = || Reply::ok(&json!({ "project": project("web") })).with("etag", "\"7\"");
    server
        .on("GET /v1/projects", page("projects", &json!([project("web")])))
        .on("GET /v1/projects/web", shown())
        .on("PUT /v1/projects/web", Reply::ok(&json!({ "project": mine })));
    let ran = import(&server, &members, &["--overwrite"]).await.done();
    assert_eq!(ran.stderr, "1 changed, 0 created, 0 refused, 0 unchanged\n");
    let put = server.asked().pop().unwrap();
    assert_eq!(put.header("if-match"), Some("\"7\""));
    assert_eq!(put.json(), json!({ "tenant": "acme", "description": "mine" }));

    // Somebody was faster.
    let theirs = json!({ "project": "web", "tenant": "acme", "description": "theirs" });
    server
        .on("GET /v1/projects", page("projects", &json!([project("web")])))
        .on("GET /v1/projects/web", Reply::ok(&json!({ "project": theirs })).with("etag", "\"8\""));
    let ran = import(&server, &members, &["--overwrite"]).await;
    assert_eq!(ran.exit, Exit::Refused);
    assert!(ran.stderr.contains("it was changed just now"), "{ran:?}");
    assert_eq!(changes(&server).len(), 1);
}

#[tokio::test]
async fn a_dry_run_changes_nothing() {
    let server = Server::start().await;
    server
        .on("GET /v1/tenants", page("tenants", &json!([])))
        .on("GET /v1/users", page("users", &json!([])))
        .on("GET /services", page("services", &json!([])));
    let members =
        json!({ "tenants": [tenant()], "users": [user("ada", "active")], "services": [service(&json!([]))] });
    let ran = import(&server, &members, &["--dry-run"]).await.done();
    assert!(
        ran.stderr.ends_with("0 changed, 3 created, 0 refused, 0 unchanged; nothing was written\n"),
        "{ran:?}"
    );
    assert!(changes(&server).is_empty());
}

#[tokio::test]
async fn a_user_gets_a_password_that_nobody_knows_and_is_named() {
    let server = Server::start().await;
    let created = Reply::json(201, &json!({ "user": user("ada", "active") })).with("etag", "\"1\"");
    server
        .on("GET /v1/users", page("users", &json!([])))
        .on("POST /v1/users", created)
        .on("PATCH /v1/users/ada", Reply::ok(&json!({ "user": user("ada", "disabled") })));
    let kept = json!({ "user_name": "ada", "roles": { "acme": "developer" }, "state": "disabled" });
    let ran = import(&server, &json!({ "users": [kept] }), &[]).await.done();
    let asked = server.asked();
    let mut body = asked[1].json();
    let password = body["password"].take();
    let password = password.as_str().unwrap();
    assert!(password.len() > 50, "{password}");
    ran.never_says(&[password]);
    assert_eq!(body, json!({ "user_name": "ada", "roles": { "acme": "developer" }, "password": null }));
    assert_eq!(asked[2].header("if-match"), Some("\"1\""));
    assert_eq!(asked[2].json(), json!({ "state": "disabled" }));
    assert!(ran.stderr.contains("user ada: a password, by `gatehouse users password ada`"), "{ran:?}");
}

#[tokio::test]
async fn a_provider_waits_for_its_secret() {
    let members = json!({ "providers": [provider()] });
    let server = Server::start().await;
    server.on("GET /v1/providers", page("providers", &json!([])));
    let ran = import(&server, &members, &[]).await;
    assert_eq!(ran.exit, Exit::Refused);
    assert!(ran.stderr.contains("  provider ci: the secret of its account\n"), "{ran:?}");
    assert!(changes(&server).is_empty());

    server
        .on("GET /v1/providers", page("providers", &json!([])))
        .on("PUT /v1/providers/ci", Reply::json(201, &json!({ "provider": provider() })));
    let mut person = Person::with_token(&server);
    let secrets = person.home.path().join("secrets.yaml");
    fs::write(&secrets, "providers: { ci: canary-secret-of-ci }").unwrap();
    person.stdin = file(&members);
    let ran = person.run(&["import", "-", "--secrets", secrets.to_str().unwrap()]).await.done();
    ran.never_says(&["canary-secret-of-ci"]);
    let put = server.asked().pop().unwrap();
    assert_eq!(put.json()["auth"]["client_secret"], "canary-secret-of-ci");
    assert_eq!(put.json()["auth"]["client_id"], "gatehouse");
}

#[tokio::test]
async fn secret_inputs_are_named_given_and_kept() {
    let kept = || {
        let mut kept = service(&json!(["token"]));
        let members = kept.as_object_mut().unwrap();
        members.retain(|name, _| {
            !["id", "described_by", "tags"].contains(&name.as_str())
                && !name.ends_with("_at")
                && !name.ends_with("_by")
        });
        members.insert("infrastructure".to_owned(), json!({ "dev": "present" }));
        json!({ "services": [kept] })
    };
    let server = Server::start().await;
    let status = |state: &str| {
        Reply::ok(&json!({ "environments": [{ "name": "dev", "infrastructure": { "state": state } }] }))
    };
    let created = || Reply::json(201, &json!({ "service": service(&json!([])) }));
    server.on("GET /services", page("services", &json!([]))).on("POST /services", created());
    let ran = import(&server, &kept(), &[]).await.done();
    assert!(ran.stderr.contains("service acme shop: the secret input `token` of `dev`\n"), "{ran:?}");
    assert!(ran.stderr.contains("service acme shop: `dev` is present where this was exported"), "{ran:?}");
    let posted = server.asked().pop().unwrap().json();
    assert_eq!(
        posted["environments"],
        json!([{ "name": "dev", "category": "dev", "module": "db", "inputs": { "size": 1 } }])
    );
    assert_eq!(posted.get("infrastructure"), None);

    // The same again is as it was; what is missing is still named.
    server
        .on("GET /services", page("services", &json!([service(&json!([]))])))
        .on("GET /services/svc_1/actions/status", status("absent"));
    let ran = import(&server, &kept(), &[]).await.done();
    assert!(ran.stderr.contains("the secret input `token`"), "{ran:?}");
    assert!(ran.stderr.contains("`dev` is present where this was exported"), "{ran:?}");
    assert!(ran.stderr.ends_with("1 unchanged\n"), "{ran:?}");

    // One that is given is a change.
    let shown = Reply::ok(&json!({ "service": service(&json!([])) })).with("etag", "\"3\"");
    server
        .on("GET /services", page("services", &json!([service(&json!([]))])))
        .on("GET /services/svc_1/actions/status", status("present"))
        .on("GET /services/svc_1", shown)
        .on("PUT /services/svc_1", created().status(200));
    let mut person = Person::with_token(&server);
    let secrets = person.home.path().join("secrets.yaml");
    fs::write(&secrets, "secret_inputs: { acme/shop: { dev: { token: canary-input } } }").unwrap();
    person.stdin = file(&kept());
    let ran =
        person.run(&["import", "-", "--overwrite", "--secrets", secrets.to_str().unwrap()]).await.done();
    ran.never_says(&["canary-input"]);
    let put = last_change(&server);
    assert_eq!(put.header("if-match"), Some("\"3\""));
    assert_eq!(put.json()["environments"][0]["inputs"], json!({ "size": 1, "token": "canary-input" }));

    // One that is there stays, with everything else that is replaced, whether the file knows of it or not.
    let mut other = kept();
    other["services"][0]["environments"][0]["secret_inputs"] = json!([]);
    other["services"][0]["owner"] = json!("group:others");
    let shown = Reply::ok(&json!({ "service": service(&json!(["token"])) })).with("etag", "\"4\"");
    server
        .on("GET /services", page("services", &json!([service(&json!(["token"]))])))
        .on("GET /services/svc_1/actions/status", status("present"))
        .on("GET /services/svc_1", shown)
        .on("PUT /services/svc_1", created().status(200));
    let ran = import(&server, &other, &["--overwrite"]).await.done();
    assert!(!ran.stderr.contains("the secret input"), "{ran:?}");
    let put = last_change(&server);
    assert_eq!(put.json()["environments"][0]["secret_inputs"], json!(["token"]));
}

#[tokio::test]
async fn a_secret_that_nothing_takes_is_refused_before_anything_is_asked() {
    for (secrets, named) in [
        ("providers: { cl: canary }", "`providers` `cl`"),
        (
            "secret_inputs: { acme/shop: { dev: { size: canary } } }",
            "`secret_inputs` `acme/shop` `dev` `size`",
        ),
        ("secret_inputs: { acme/shop: canary }", "environment and input"),
    ] {
        let server = Server::start().await;
        let mut person = Person::with_token(&server);
        let path = person.home.path().join("secrets.yaml");
        fs::write(&path, secrets).unwrap();
        person.stdin = file(&json!({ "services": [service(&json!(["token"]))], "providers": [provider()] }));
        let ran = person.run(&["import", "-", "--overwrite", "--secrets", path.to_str().unwrap()]).await;
        assert_eq!(ran.exit, Exit::Usage, "{ran:?}");
        assert!(ran.stderr.contains(named), "{ran:?}");
        ran.never_says(&["canary"]);
        assert!(server.lines().is_empty());
    }
}

#[tokio::test]
async fn the_definition_of_an_api_is_exported_with_it() {
    let api = |spec: Value| {
        json!({
            "tenant": "acme", "ref": "api:default/orders", "apiVersion": "backstage.io/v1alpha1", "kind": "API",
            "metadata": { "name": "orders" }, "spec": spec,
        })
    };
    let whole = api(json!({ "type": "openapi", "definition": "openapi: 3.1.0" }));
    let server = Server::start().await;
    server
        .on("GET /v1/catalog/entities", page("entities", &json!([api(json!({ "type": "openapi" }))])))
        .on("GET /v1/catalog/entities/api/default/orders", Reply::ok(&json!({ "entity": whole })));
    let ran = Person::with_token(&server).run(&["export", "--only", "entities"]).await.done();
    assert_eq!(ran.json()["entities"][0]["spec"]["definition"], "openapi: 3.1.0");
    assert!(server.lines()[1].ends_with("/orders?tenant=acme"), "{:?}", server.lines());
}

#[tokio::test]
async fn who_may_not_see_users_imports_the_rest() {
    let server = Server::start().await;
    server
        .on("GET /v1/projects", page("projects", &json!([])))
        .on("PUT /v1/projects/web", Reply::json(201, &json!({ "project": project("web") })))
        .on("GET /v1/users", Reply::problem(403, "forbidden", "Forbidden", &json!({})));
    let members = json!({ "projects": [project("web")], "users": [user("ada", "active")] });
    let ran = import(&server, &members, &[]).await;
    assert_eq!(ran.exit, Exit::Refused);
    assert!(ran.stderr.contains("user ada: what is there may not be seen"), "{ran:?}");
    assert_eq!(changes(&server), ["PUT /v1/projects/web"]);
}

#[tokio::test]
async fn entities_go_as_a_file_of_each_tenant() {
    let entity = |tenant: &str, name: &str| {
        json!({
            "tenant": tenant, "ref": format!("group:default/{name}"), "apiVersion": "backstage.io/v1alpha1",
            "kind": "Group", "metadata": { "name": name }, "spec": { "type": "team" },
        })
    };
    let server = Server::start().await;
    let refused = json!({
        "entity": "Group b", "outcome": "refused", "errors": [{ "pointer": "/1/spec", "detail": "must be more" }],
    });
    let of_acme =
        json!({ "summary": {}, "entries": [{ "entity": "Group a", "outcome": "created" }, refused] });
    server
        .on("GET /v1/catalog/entities", page("entities", &json!([entity("beta", "c")])))
        .on("POST /v1/catalog/import", Reply::ok(&of_acme));
    let members = json!({ "entities": [entity("acme", "a"), entity("acme", "b"), entity("beta", "c")] });
    let ran = import(&server, &members, &[]).await;
    assert_eq!(ran.exit, Exit::Refused);
    assert_eq!(
        ran.stderr,
        "entity acme group:default/b: /1/spec: must be more\n0 changed, 1 created, 1 refused, 1 unchanged\n"
    );
    let asked = server.asked();
    assert_eq!(asked[1].line, "POST /v1/catalog/import?tenant=acme");
    let sent = json!({
        "apiVersion": "backstage.io/v1alpha1", "kind": "Group", "metadata": { "name": "a" }, "spec": { "type": "team" },
    });
    assert_eq!((asked.len(), &asked[1].json()[0]), (2, &sent));
}

#[tokio::test]
async fn keys_and_tokens_are_named_and_never_made() {
    let server = Server::start().await;
    server
        .on("GET /v1/api-keys", page("api_keys", &json!([key("there", "active")])))
        .on("GET /v1/tokens", Reply::problem(403, "forbidden", "Forbidden", &json!({})));
    let told = |name: &str| json!({ "name": name, "scopes": ["jobs:read"], "tenants": ["acme"], "minted_by": "user:ada" });
    let token = json!({ "tenant": "acme", "project": "web", "service": "worker" });
    let members = json!({ "api_keys": [told("there"), told("ci")], "tokens": [token] });
    let ran = import(&server, &members, &["--json"]).await.done();
    assert_eq!(
        ran.json()["by_hand"],
        json!([
            "API key ci of user:ada: a new one, by `gatehouse keys mint`",
            "token web worker: a new one, by `gatehouse tokens mint`",
        ])
    );
    assert!(changes(&server).is_empty());
}

#[tokio::test]
async fn a_file_that_is_none_is_refused_before_anything_is_asked() {
    let server = Server::start().await;
    let mut person = Person::with_token(&server);
    person.stdin = json!({ "gatehouse": 2 }).to_string();
    let ran = person.run(&["import", "-"]).await;
    assert_eq!(ran.exit, Exit::Usage);
    assert!(ran.stderr.contains("it is of version 2"), "{ran:?}");
    assert!(server.lines().is_empty());
}

#[tokio::test]
async fn one_that_must_say_their_password_again_is_told_so_once() {
    let server = Server::start().await;
    let wanted = Reply::problem(403, "reauthentication-required", "Say your password again", &json!({}));
    server.on("GET /v1/users", page("users", &json!([]))).on("POST /v1/users", wanted);
    let members = json!({ "users": [user("ada", "active"), user("grace", "active")] });
    let ran = import(&server, &members, &[]).await;
    assert_eq!(ran.exit, Exit::NotAllowed);
    assert_eq!(changes(&server).len(), 1);
}
