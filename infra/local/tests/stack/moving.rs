//! Everything but secrets goes from one stack into another one, and comes out of that as it went in.

use std::{path::Path, process::Output};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use crate::support::{Call, Client, Key, TestStack, stack::PROGRAM};

const PROVIDER_SECRET: &str = "canary-secret-of-the-provider";
const INPUT: &str = "canary-secret-input";

/// Of an API, which lists of entities leave out.
const DEFINITION: &str = "openapi: 3.1.0";

/// Runs `gatehouse` as a platform admin of the stack.
async fn gatehouse(stack: &TestStack, arguments: &[&str]) -> Output {
    let url = format!("http://{}", stack.stack().address());
    let output = Command::new(PROGRAM)
        .args(arguments)
        .env("GATEHOUSE_URL", url)
        .env("GATEHOUSE_TOKEN", Key::PLATFORM.text)
        .output()
        .await
        .expect("the program starts");
    for said in [&output.stdout, &output.stderr] {
        let said = String::from_utf8_lossy(said);
        assert!(!said.contains(PROVIDER_SECRET) && !said.contains(INPUT), "{said}");
    }
    output
}

async fn export(stack: &TestStack, file: &Path) -> Value {
    let exported = gatehouse(stack, &["export", "-o", path(file)]).await;
    assert!(exported.status.success(), "{}", String::from_utf8_lossy(&exported.stderr));
    serde_json::from_str(&std::fs::read_to_string(file).expect("it is written")).expect("it is JSON")
}

/// What an import says, and its exit code.
async fn import(stack: &TestStack, arguments: &[&str]) -> (Value, Option<i32>) {
    let imported = gatehouse(stack, &[&["import", "--json"], arguments].concat()).await;
    let said = serde_json::from_slice(&imported.stdout);
    let report = said.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&imported.stderr)));
    (report, imported.status.code())
}

fn path(file: &Path) -> &str {
    file.to_str().expect("it is a text")
}

/// Something of every kind.
async fn fill(client: &Client) {
    let put = |path: &str, body: Value| client.send(Call::put(path).json(&body));
    put("/v1/tenants/acme", json!({ "display_name": "Acme" })).await.expect(200);
    put("/v1/projects/web", json!({ "tenant": "acme", "accepted_services": ["worker"] })).await.expect(201);
    let decided = json!({ "display_name": "Acme", "require_second_factor": true, "default_project": "web" });
    put("/v1/tenants/acme", decided).await.expect(200);
    for (name, roles) in [("ada", json!({ "*": "admin" })), ("grace", json!({ "acme": "developer" }))] {
        let user = json!({ "user_name": name, "password": "canary-skies-of-blue", "roles": roles });
        client.send(Call::post("/v1/users").json(&user)).await.expect(201);
    }
    let grace = client.get("/v1/users/grace").await;
    let tag = grace.header("etag").expect("a version").to_owned();
    let disabled =
        Call::patch("/v1/users/grace").json(&json!({ "state": "disabled" })).header("if-match", tag);
    client.send(disabled).await.expect(200);
    let provider = json!({
        "kind": "concourse", "url": "https://ci.example.com", "scopes": { "acme": ["main"] },
        "auth": { "grant": "password", "username": "gatehouse", "password": PROVIDER_SECRET },
    });
    put("/v1/providers/ci", provider).await.expect(201);
    let inputs = json!({
        "size": { "type": "number", "required": true },
        "token": { "type": "string", "required": false, "sensitive": true },
    });
    put("/v1/modules/db", json!({ "inputs": inputs, "outputs": {} })).await.expect(200);
    let job = json!({
        "project": "web",
        "provider": { "kind": "concourse", "name": "ci", "ref": { "team": "main", "pipeline": "shop", "job": "deploy" } },
        "parameters": [{ "name": "version", "type": "string", "deliver": { "as": "instance_var", "name": "version" } }],
    });
    put("/v1/jobs/deploy-shop", job).await.expect(201);
    let entities = json!([
        {
            "apiVersion": "backstage.io/v1alpha1", "kind": "Group", "metadata": { "name": "leads" },
            "spec": { "type": "team", "children": [], "members": ["ada"] },
        },
        {
            "apiVersion": "backstage.io/v1alpha1", "kind": "Component", "metadata": { "name": "shop", "tags": ["java"] },
            "spec": { "type": "service", "lifecycle": "production", "owner": "leads" },
        },
        {
            "apiVersion": "backstage.io/v1alpha1", "kind": "API", "metadata": { "name": "orders" },
            "spec": { "type": "openapi", "lifecycle": "production", "owner": "leads", "definition": DEFINITION },
        },
    ]);
    client.send(Call::post("/v1/catalog/import?tenant=acme").json(&entities)).await.expect(200);
    let service = json!({
        "tenant": "acme", "name": "shop", "owner": "leads", "deploy": { "job": "deploy-shop" },
        "environments": [
            { "name": "dev", "category": "dev", "module": "db", "inputs": { "size": 3, "token": INPUT } },
            { "name": "prod", "category": "prod", "approval_required": true, "approval_group": "leads" },
        ],
    });
    client.send(Call::post("/services").json(&service)).await.expect(201);
}

#[tokio::test]
async fn what_goes_from_one_stack_into_another_comes_out_as_it_went_in() {
    let (from, to) = (TestStack::start().await, TestStack::start().await);
    fill(&from.client(&Key::PLATFORM)).await;
    let folder = TempDir::new().expect("a directory can be made");
    let [file, copy, secrets] =
        ["file.json", "copy.json", "secrets.yaml"].map(|name| folder.path().join(name));
    let given = json!({
        "providers": { "ci": PROVIDER_SECRET },
        "secret_inputs": { "acme/shop": { "dev": { "token": INPUT } } },
    });
    std::fs::write(&secrets, given.to_string()).expect("a file can be written");

    let exported = export(&from, &file).await;
    let entities = exported["entities"].as_array().expect("a list");
    assert!(entities.iter().any(|entity| entity["spec"]["definition"] == DEFINITION), "{entities:#?}");
    let empty = export(&to, &copy).await;
    let with_secrets = [path(&file), "--secrets", path(&secrets)];
    let (report, code) = import(&to, &[&with_secrets[..], &["--dry-run"]].concat()).await;
    assert_eq!((code, &report["summary"]["refused"]), (Some(0), &json!(0)), "{report:#}");
    assert_eq!(export(&to, &copy).await, empty);

    let (report, code) = import(&to, &with_secrets).await;
    assert_eq!((code, &report["summary"]["refused"]), (Some(0), &json!(0)), "{report:#}");
    assert_eq!(report["summary"]["changed"], 0, "{report:#}");
    let of_users = |name| format!("user {name}: a password, by `gatehouse users password {name}`");
    assert_eq!(report["by_hand"], json!([of_users("ada"), of_users("grace")]));
    assert_eq!(export(&to, &copy).await, exported);
    let (first, second) = (std::fs::read(&file), std::fs::read(&copy));
    assert_eq!(first.expect("it is there"), second.expect("it is there"), "every byte");

    // Without the secrets, which are there by now.
    let (report, code) = import(&to, &[path(&file)]).await;
    let entries = report["entries"].as_array().expect("a list");
    assert!(entries.iter().all(|entry| entry["outcome"] == "unchanged"), "{report:#}");
    assert_eq!((code, &report["summary"]["unchanged"]), (Some(0), &json!(entries.len())));

    // Nobody logs in with the password that was made up, nor with the one from where they came.
    let login = json!({ "username": "ada", "password": "canary-skies-of-blue" });
    to.client(&Key::PLATFORM)
        .send(Call::post("/auth/login").json(&login))
        .await
        .problem(401, "login-refused");
    from.stop().await;
    to.stop().await;
}

#[tokio::test]
async fn what_is_otherwise_there_stays_unless_it_is_to_be_overwritten() {
    let (from, to) = (TestStack::start().await, TestStack::start().await);
    let body = |description: &str| json!({ "tenant": "example", "description": description });
    let put = |description: &str| Call::put("/v1/projects/web").json(&body(description));
    from.client(&Key::PLATFORM).send(put("theirs")).await.expect(201);
    to.client(&Key::PLATFORM).send(put("ours")).await.expect(201);
    let folder = TempDir::new().expect("a directory can be made");
    let file = folder.path().join("file.json");
    export(&from, &file).await;
    let description = async || {
        let shown = to.client(&Key::PLATFORM).get("/v1/projects/web").await.expect(200).json();
        shown["project"]["description"].clone()
    };

    let (report, code) = import(&to, &[path(&file)]).await;
    assert_eq!((code, &report["summary"]["refused"]), (Some(3), &json!(1)), "{report:#}");
    assert_eq!(description().await, "ours");
    let (report, code) = import(&to, &[path(&file), "--overwrite"]).await;
    assert_eq!((code, &report["summary"]["changed"]), (Some(0), &json!(1)), "{report:#}");
    assert_eq!(description().await, "theirs");
    from.stop().await;
    to.stop().await;
}

/// Somebody's own rights are the most that an import gives to others.
#[tokio::test]
async fn an_import_gives_nobody_more_than_the_caller_has() {
    let to = TestStack::start().await;
    let mint = json!({ "name": "import", "scopes": ["users:read", "users:write"], "tenants": "*" });
    let minted =
        to.client(&Key::PLATFORM).send(Call::post("/v1/api-keys").json(&mint)).await.expect(201).json();
    let folder = TempDir::new().expect("a directory can be made");
    let file = folder.path().join("file.json");
    let root = json!({ "user_name": "mallory", "roles": { "*": "admin" }, "state": "active" });
    std::fs::write(&file, json!({ "gatehouse": 1, "users": [root] }).to_string())
        .expect("a file can be written");
    let imported = Command::new(PROGRAM)
        .args(["import", path(&file)])
        .env("GATEHOUSE_URL", format!("http://{}", to.stack().address()))
        .env("GATEHOUSE_TOKEN", minted["key"].as_str().expect("a key"))
        .output()
        .await
        .expect("the program starts");
    assert_eq!(imported.status.code(), Some(3), "{}", String::from_utf8_lossy(&imported.stderr));
    to.client(&Key::PLATFORM).get("/v1/users/mallory").await.problem(404, "not-found");
    to.stop().await;
}
