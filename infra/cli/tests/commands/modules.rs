use gatehouse_cli::Exit;
use serde_json::{Value, json};

use crate::support::{Person, Reply, Server};

fn bucket() -> Value {
    json!({
        "name": "bucket", "published_at": "2026-01-01T00:00:00Z", "published_by": "user:root",
        "inputs": {
            "key": { "required": true, "sensitive": true },
            "size": { "type": "number", "required": false, "sensitive": false, "default": 3, "description": "How much." },
        },
        "outputs": { "url": { "sensitive": false, "description": "Where it is." } },
    })
}

fn published() -> Reply {
    Reply::ok(&json!({ "module": bucket() }))
}

const MODULE: &str = r#"
variable "gatehouse" {}
variable "key" {
  sensitive = true
}
variable "size" {
  type        = number
  default     = 12345678901234567890
  description = "How much."
}
output "url" {
  value = "x"
}
"#;

/// A directory with these files.
fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = directory.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    directory
}

#[tokio::test]
async fn modules_are_listed_with_the_names_of_their_inputs() {
    let server = Server::start().await;
    server.on("GET /v1/modules", Reply::ok(&json!({ "modules": [bucket()] })));
    let ran = Person::with_token(&server).run(&["modules", "list"]).await.done();
    assert_eq!(
        ran.stdout,
        "NAME    INPUTS     PUBLISHED\n\
         bucket  key, size  2026-01-01T00:00:00Z\n"
    );
}

#[tokio::test]
async fn a_module_is_shown_with_what_it_takes_and_gives() {
    let server = Server::start().await;
    server.on("GET /v1/modules/bucket", published());
    let ran = Person::with_token(&server).run(&["modules", "show", "bucket"]).await.done();
    for line in [
        "name          bucket",
        "INPUT  TYPE    REQUIRED  SENSITIVE  DEFAULT  DESCRIPTION",
        "key    -       true      true       -        -",
        "size   number  false     false      3        How much.",
        "OUTPUT  SENSITIVE  DESCRIPTION",
        "url     false      Where it is.",
    ] {
        assert!(ran.stdout.lines().any(|printed| printed.trim_end() == line), "{line}: {}", ran.stdout);
    }
}

#[tokio::test]
async fn each_folder_is_published_and_others_are_withdrawn_when_asked() {
    let server = Server::start().await;
    server.on("PUT /v1/modules/bucket", published());
    server.on("GET /v1/modules", Reply::ok(&json!({ "modules": [bucket(), { "name": "old" }] })));
    server.on("DELETE /v1/modules/old", Reply::empty(204));
    let modules = directory(&[("bucket/main.tf", MODULE), ("README.md", "")]);
    let publish = ["modules", "publish", modules.path().to_str().unwrap(), "--withdraw-others"];
    let ran = Person::with_token(&server).run(&publish).await.done();
    assert_eq!(ran.stderr, "bucket is published\nold is withdrawn\n");
    assert_eq!(server.lines(), ["PUT /v1/modules/bucket", "GET /v1/modules", "DELETE /v1/modules/old"]);
    let sent = String::from_utf8(server.asked()[0].body.clone()).unwrap();
    assert_eq!(
        sent,
        r#"{"inputs":{"key":{"required":true,"sensitive":true},"size":{"type":"number","description":"How much.","default":12345678901234567890}},"outputs":{"url":{}}}"#
    );
}

#[tokio::test]
async fn a_module_that_cannot_be_used_leaves_all_as_it_was() {
    let server = Server::start().await;
    let broken = directory(&[("bucket/main.tf", MODULE), ("queue/main.tf", "variable {")]);
    let empty = directory(&[("notes/README.md", "")]);
    let missing = empty.path().join("missing");
    for (path, said) in [
        (broken.path(), "queue cannot be published: `main.tf` of the module cannot be understood"),
        (empty.path(), "there is no module in"),
        (&missing, "cannot be read"),
    ] {
        let ran = Person::with_token(&server).run(&["modules", "publish", path.to_str().unwrap()]).await;
        assert_eq!(ran.exit, Exit::Usage, "{ran:?}");
        assert!(ran.stderr.contains(said), "{said}: {}", ran.stderr);
    }
    assert!(server.lines().is_empty(), "{:?}", server.lines());
}

#[tokio::test]
async fn a_module_is_withdrawn_by_its_name() {
    let server = Server::start().await;
    server.on("DELETE /v1/modules/bucket", Reply::empty(204));
    let ran = Person::with_token(&server).run(&["modules", "withdraw", "bucket"]).await.done();
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", "bucket is withdrawn\n"));
}
