use gatehouse_cli::Exit;
use serde_json::{Value, json};

use crate::support::{Person, Reply, Server};

const YAML: &str = "jobs:\n  - job_id: hello\n";

fn report(refused: u32) -> Value {
    let mut entries = vec![json!({ "job_id": "hello", "outcome": "created" })];
    if refused > 0 {
        let errors = json!([{ "pointer": "/jobs/1/project", "detail": "is required" }]);
        entries.push(json!({ "job_id": "broken", "outcome": "refused", "errors": errors }));
    }
    let summary = json!({ "created": 1, "changed": 0, "unchanged": 0, "refused": refused, "skipped": 0 });
    json!({ "summary": summary, "entries": entries })
}

#[tokio::test]
async fn jobs_are_listed_to_the_last_page() {
    let server = Server::start().await;
    let job = json!({
        "job_id": "hello", "project": "web", "tenant": "acme", "environment": "prod",
        "provider": { "kind": "concourse", "ref": {} }, "display_name": "Hello",
    });
    server
        .on("GET /v1/jobs", Reply::ok(&json!({ "jobs": [job], "next_cursor": "c1" })))
        .on("GET /v1/jobs", Reply::ok(&json!({ "jobs": [] })));
    let list = ["jobs", "list", "--project", "web", "--environment", "prod"];
    let ran = Person::with_token(&server).run(&list).await.done();
    assert_eq!(
        ran.stdout,
        "JOB    PROJECT  TENANT  ENVIRONMENT  PROVIDER   NAME\n\
         hello  web      acme    prod         concourse  Hello\n"
    );
    let query = "GET /v1/jobs?project=web&environment=prod&limit=100";
    assert_eq!(server.lines(), [query.to_owned(), format!("{query}&cursor=c1")]);
}

#[tokio::test]
async fn a_yaml_file_is_sent_as_it_is() {
    let server = Server::start().await;
    server.on("POST /v1/jobs/import", Reply::ok(&report(0)));
    let ada = Person::with_token(&server);
    let file = ada.home.path().join("jobs.yaml");
    std::fs::write(&file, YAML).unwrap();
    let import = ["jobs", "import", file.to_str().unwrap(), "--tenant", "acme", "--atomic"];
    let ran = ada.run(&import).await.done();
    assert_eq!(ran.stdout, "OUTCOME  JOB\ncreated  hello\n");
    let asked = server.only();
    assert_eq!(asked.line, "POST /v1/jobs/import?tenant=acme&atomic=true");
    assert_eq!(asked.header("content-type"), Some("application/yaml"));
    assert_eq!(asked.body, YAML.as_bytes());
}

#[tokio::test]
async fn json_on_standard_input_is_sent_as_json() {
    let server = Server::start().await;
    server.on("POST /v1/jobs/import", Reply::ok(&report(0)));
    let mut ada = Person::with_token(&server);
    ada.stdin = json!({ "jobs": [] }).to_string();
    ada.run(&["jobs", "import", "-"]).await.done();
    let asked = server.only();
    assert_eq!(asked.line, "POST /v1/jobs/import");
    assert_eq!(asked.header("content-type"), Some("application/json"));
    assert_eq!(asked.json(), json!({ "jobs": [] }));
}

#[tokio::test]
async fn an_import_with_refused_entries_says_why_and_fails() {
    let server = Server::start().await;
    server
        .on("POST /v1/jobs/import", Reply::ok(&report(1)))
        .on("POST /v1/jobs/import", Reply::ok(&report(1)));
    let mut ada = Person::with_token(&server);
    YAML.clone_into(&mut ada.stdin);
    let ran = ada.run(&["jobs", "import", "-"]).await;
    assert_eq!(ran.exit, Exit::Refused);
    assert_eq!(ran.stdout, "OUTCOME  JOB\ncreated  hello\nrefused  broken\n");
    assert!(ran.stderr.starts_with("broken: /jobs/1/project: is required\n"), "{ran:?}");
    let ran = ada.run(&["jobs", "import", "-", "--json"]).await;
    assert_eq!((ran.exit, ran.json()), (Exit::Refused, report(1)));
}

#[tokio::test]
async fn a_long_file_is_sent_in_parts_and_reported_as_one() {
    let server = Server::start().await;
    let answer = |count: usize, refused: bool| {
        let mut entries: Vec<_> =
            (0..count).map(|_| json!({ "job_id": "x", "outcome": "created" })).collect();
        if refused {
            let detail = "project `p` does not exist yet: say with ?tenant= which tenant it is to belong to";
            let errors = json!([{ "pointer": "/jobs/2/project", "detail": detail }]);
            entries[2] = json!({ "job_id": "third", "outcome": "refused", "errors": errors });
        }
        Reply::ok(
            &json!({ "summary": { "created": count, "refused": u8::from(refused) }, "entries": entries }),
        )
    };
    let parts = || {
        server.on("POST /v1/jobs/import", answer(500, false));
        server.on("POST /v1/jobs/import", answer(101, true));
    };
    let mut ada = Person::with_token(&server);
    ada.stdin =
        (0..601).fold("version: 1\njobs:\n".to_owned(), |file, id| file + &format!("- job_id: j{id}\n"));
    parts();
    let ran = ada.run(&["jobs", "import", "-"]).await;
    assert_eq!(ran.exit, Exit::Refused);
    let says =
        "third: /jobs/502/project: project `p` does not exist yet: say with --tenant which tenant it is to";
    assert!(ran.stderr.starts_with(says), "{}", ran.stderr);
    assert!(ran.stderr.ends_with("601 created, 1 refused\n"), "{}", ran.stderr);
    let sent: Vec<_> =
        server.asked().iter().map(|asked| asked.json()["jobs"].as_array().unwrap().len()).collect();
    assert_eq!(sent, [500, 101]);
    parts();
    let ran = ada.run(&["jobs", "import", "-", "--json"]).await;
    assert_eq!(ran.json()["summary"], json!({ "created": 601, "refused": 1 }));
    // The same id twice is for the server to tell.
    ada.stdin.push_str("- job_id: j0\n");
    server.on("POST /v1/jobs/import", Reply::ok(&report(0)));
    ada.run(&["jobs", "import", "-"]).await.done();
    assert_eq!(server.asked().len(), 5);
}

/// Of two members of one name only one would reach the server, which refuses a file that has both.
#[tokio::test]
async fn a_long_file_with_a_member_twice_is_sent_as_it_is() {
    let entries: Vec<_> =
        (0..601).map(|id| format!(r#"{{"job_id":"j{id}","limits":[1,-1,1.5,null,true]}}"#)).collect();
    let file = format!(r#"{{"jobs":[{}]}}"#, entries.join(","));
    let cases = [
        file.replacen(r#""job_id":"j7","#, r#""job_id":"j7","job_id":"other","#, 1),
        file.replacen(r#""jobs":"#, r#""jobs":[],"jobs":"#, 1),
    ];
    for repeating in cases {
        let server = Server::start().await;
        server.on("POST /v1/jobs/import", Reply::ok(&report(0)));
        let mut ada = Person::with_token(&server);
        ada.stdin.clone_from(&repeating);
        ada.run(&["jobs", "import", "-"]).await.done();
        assert_eq!(server.only().body, repeating.as_bytes());
    }
    // Without one it goes in parts, as it was written.
    let file = file.replacen("1.5", "12345678901234567890123", 1).replacen("1.5", "1.50", 1);
    let server = Server::start().await;
    server
        .on("POST /v1/jobs/import", Reply::ok(&report(0)))
        .on("POST /v1/jobs/import", Reply::ok(&report(0)));
    let mut ada = Person::with_token(&server);
    ada.stdin.clone_from(&file);
    ada.run(&["jobs", "import", "-"]).await.done();
    let sent: Vec<_> =
        server.asked().into_iter().map(|asked| String::from_utf8(asked.body).unwrap()).collect();
    let (first, second) =
        (sent[0].strip_suffix("]}").unwrap(), sent[1].strip_prefix(r#"{"jobs":["#).unwrap());
    assert_eq!(format!("{first},{second}"), file);
}

#[tokio::test]
async fn what_was_imported_before_a_part_failed_is_reported() {
    let server = Server::start().await;
    let mut entries = vec![json!({ "job_id": "x", "outcome": "created" }); 500];
    let errors = json!([{ "pointer": "/jobs/2/project", "detail": "is required" }]);
    entries[2] = json!({ "job_id": "third", "outcome": "refused", "errors": errors });
    let first = json!({ "summary": { "created": 499, "refused": 1 }, "entries": entries });
    let parts = || {
        server.on("POST /v1/jobs/import", Reply::ok(&first));
        server.on("POST /v1/jobs/import", Reply::problem(403, "forbidden", "Forbidden", &json!({})));
    };
    let mut ada = Person::with_token(&server);
    ada.stdin = (0..601).fold("jobs:\n".to_owned(), |file, id| file + &format!("- job_id: j{id}\n"));
    parts();
    let ran = ada.run(&["jobs", "import", "-"]).await;
    assert!(!matches!(ran.exit, Exit::Done | Exit::Refused), "{:?}", ran.exit);
    assert!(ran.stdout.contains("\nrefused  third\n"), "{}", ran.stdout);
    let says = "third: /jobs/2/project: is required\n499 created, 1 refused\n";
    assert!(ran.stderr.starts_with(says), "{}", ran.stderr);
    assert!(ran.stderr.contains("499 of 601 entries were imported;"), "{}", ran.stderr);
    parts();
    let ran = ada.run(&["jobs", "import", "-", "--json"]).await;
    let report: Value = serde_json::from_str(ran.stdout.lines().next().unwrap()).unwrap();
    assert_eq!(report, first);
}

#[tokio::test]
async fn a_file_that_is_not_there_is_wrong_usage() {
    let server = Server::start().await;
    let ran = Person::with_token(&server).run(&["jobs", "import", "/nowhere/jobs.yaml"]).await;
    assert_eq!(ran.exit, Exit::Usage);
    assert!(ran.stderr.contains("/nowhere/jobs.yaml cannot be read"), "{ran:?}");
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn what_is_discovered_can_be_imported_as_it_is_printed() {
    let server = Server::start().await;
    let found = json!({
        "jobs": [{ "job_id": "hello", "project": "web", "provider": { "kind": "concourse", "ref": {} } }],
        "notes": [{ "job_id": "hello", "note": "is paused" }],
    });
    server
        .on("POST /v1/jobs/discover", Reply::ok(&found))
        .on("POST /v1/jobs/discover", Reply::ok(&found))
        .on("POST /v1/jobs/import", Reply::ok(&report(0)));
    let mut ada = Person::with_token(&server);
    let discover = ["jobs", "discover", "--project", "web", "--provider", "ci", "--teams", "main,other"];
    let ran = ada.run(&[&discover[..], &["--environment", "prod"]].concat()).await.done();
    assert_eq!(ran.stderr, "hello: is paused\n");
    ada.stdin = ran.stdout;
    ada.run(&["jobs", "import", "-"]).await.done();
    let asked = server.asked();
    let teams = json!(["main", "other"]);
    assert_eq!(
        asked[0].json(),
        json!({ "project": "web", "provider": "ci", "environment": "prod", "teams": teams })
    );
    assert_eq!(asked[1].json(), json!({ "jobs": found["jobs"] }));
    let ran = ada.run(&["jobs", "discover", "--project", "web", "--tenant", "acme", "--json"]).await.done();
    assert_eq!(server.asked()[2].json(), json!({ "project": "web", "tenant": "acme" }));
    assert_eq!(ran.json(), found);
}
