//! Cursors of every list: what they tell, and where they lead.

use gatehouse_domain::access::ENDPOINTS;
use serde_json::{Value, json};

use crate::support::{Call, Client, TestStack, catalog::deployed_by, people::Person};

/// A list, as two different questions about it, and the member that holds its items.
struct List {
    operation: &'static str,
    questions: [String; 2],
    member: &'static str,
}

fn list<const N: usize>(operation: &'static str, member: &'static str, questions: [&str; N]) -> List {
    let mut all = questions.iter().map(|question| (*question).to_owned());
    let first = all.next().expect("a question");
    List { operation, questions: [first.clone(), all.next().unwrap_or(first)], member }
}

/// Every list that has pages, each with two things or more.
fn lists(service: &str) -> Vec<List> {
    let operations = format!("/services/{service}/operations?");
    vec![
        list("list_jobs", "jobs", ["/v1/jobs?", "/v1/jobs?project=example&"]),
        list("list_runs", "runs", ["/v1/jobs/hello/runs?", "/v1/jobs/again/runs?"]),
        list("list_users", "users", ["/v1/users?"]),
        list("list_api_keys", "api_keys", ["/v1/api-keys?"]),
        list("list_tokens", "tokens", ["/v1/tokens?", "/v1/tokens?state=active&"]),
        list("list_audit", "entries", ["/v1/audit?", "/v1/audit?actor=user%3Aroot&"]),
        list("list_projects", "projects", ["/v1/projects?"]),
        list("list_services", "services", ["/services?", "/services?owner=team&"]),
        list("list_all_operations", "operations", ["/v1/operations?", "/v1/operations?status=succeeded&"]),
        list("list_entities", "entities", ["/v1/catalog/entities?", "/v1/catalog/entities?kind=component&"]),
        list("list_operations", "operations", [operations.as_str()]),
    ]
}

/// Lists that are never so long that they need pages.
const WHOLE: [&str; 5] =
    ["list_modules", "list_providers", "list_tenants", "list_signing_keys", "list_sessions"];

/// A stack with two things or more in every list; the service that has operations.
async fn filled() -> (TestStack, Client, String) {
    let stack = TestStack::start_with_people().await;
    let root = stack.log_in(Person::ROOT).await;
    for job in ["again", "third"] {
        root.put_script(job, "true").await;
    }
    for job in ["hello", "hello", "again", "again"] {
        let run = root.trigger(job).await;
        root.ended(&run).await;
    }
    for worker in ["worker", "other-worker", "third-worker"] {
        root.mint(worker).await;
    }
    let other = json!({ "display_name": "Other" });
    root.send(Call::put("/v1/tenants/other").json(&other)).await;
    for (project, tenant) in [("second", "example"), ("elsewhere", "other"), ("further", "other")] {
        let body = json!({ "tenant": tenant });
        root.send(Call::put(format!("/v1/projects/{project}")).json(&body)).await.expect(201);
    }
    let component = |name: &str| {
        let spec = json!({ "type": "library", "lifecycle": "production", "owner": "platform" });
        json!({
            "apiVersion": "backstage.io/v1alpha1", "kind": "Component", "metadata": { "name": name }, "spec": spec,
        })
    };
    let components =
        json!([component("first-library"), component("second-library"), component("third-library")]);
    root.send(Call::post("/v1/catalog/import?tenant=example").json(&components)).await.expect(200);
    let service = root.create_service(&deployed_by("hello")).await;
    for job in ["again", "third"] {
        root.create_service(&deployed_by(job)).await;
    }
    for version in ["1", "2"] {
        let operation = root.deploy(&service, "dev", version).await;
        root.operation_ended(&service, &operation).await;
    }
    (stack, root, service)
}

async fn page(client: &Client, question: &str, cursor: Option<&str>) -> Value {
    let cursor = cursor.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
    client.get(format!("{question}limit=1{cursor}")).await.expect(200).json()
}

async fn assert_refused(client: &Client, question: &str, cursor: &str) {
    let problem =
        client.get(format!("{question}limit=1&cursor={cursor}")).await.problem(400, "invalid-query");
    assert_eq!(problem["detail"], "The cursor does not belong to this list.", "{question}");
}

/// Every text in an item that is long enough to be recognised.
fn texts(item: &Value, found: &mut Vec<String>) {
    match item {
        Value::String(text) if text.len() >= 5 => found.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
        Value::Object(members) => members.values().for_each(|item| texts(item, found)),
        _ => {}
    }
}

#[test]
fn every_list_is_tried() {
    let tried: Vec<_> = lists("x").iter().map(|list| list.operation).chain(WHOLE).collect();
    for id in ENDPOINTS.iter().map(|endpoint| endpoint.id).filter(|id| id.starts_with("list_")) {
        assert!(tried.contains(&id), "{id}");
    }
}

#[tokio::test]
async fn a_cursor_tells_nothing_and_leads_nowhere_but_on() {
    let (stack, root, service) = filled().await;
    let other = stack.log_in(Person::OTHER_ADMIN).await;
    let admin = stack.log_in(Person::ADMIN).await;
    let lists = lists(&service);
    let mut cursors = Vec::new();
    for list in &lists {
        for question in &list.questions {
            let first = page(&root, question, None).await;
            let cursor =
                first["next_cursor"].as_str().unwrap_or_else(|| panic!("{question}: {first}")).to_owned();
            let second = page(&root, question, Some(&cursor)).await;
            assert_ne!(first[list.member], second[list.member], "{question}");

            let bytes = data_encoding::BASE64URL_NOPAD.decode(cursor.as_bytes()).expect("a cursor is base64");
            let mut told = vec!["example".to_owned(), "2026-".to_owned(), list.member.to_uppercase()];
            texts(&first[list.member], &mut told);
            texts(&second[list.member], &mut told);
            for text in told {
                let found = bytes.windows(text.len()).any(|window| window == text.as_bytes());
                assert!(!found, "{question}: {text} is in the cursor");
            }
            cursors.push((list.operation, question.clone(), cursor));
        }
    }
    for (_, of, cursor) in &cursors {
        // On no other list, and for no other question.
        for question in lists.iter().flat_map(|list| &list.questions).filter(|question| *question != of) {
            assert_refused(&root, question, cursor).await;
        }
        // For nobody else's tenants: neither of more nor of fewer, whatever they see of the list.
        for stranger in [&admin, &other] {
            let answer = stranger.get(format!("{of}limit=1&cursor={cursor}")).await;
            // Of what is not theirs there is no list, whatever the cursor.
            let nothing = answer.status == 200 && answer.json() == json!({ "jobs": [] });
            let refused = [400, 403, 404].contains(&answer.status.as_u16());
            assert!(nothing || refused, "{of}: {} {}", answer.status, answer.text());
        }
        // Not with one character changed, wherever it is.
        for place in (0..cursor.len()).step_by(37) {
            let mut forged: Vec<char> = cursor.chars().collect();
            forged[place] = if forged[place] == 'A' { 'B' } else { 'A' };
            assert_refused(&root, of, &forged.into_iter().collect::<String>()).await;
        }
    }
    // Nor made by hand, as they once were.
    for text in ["JOBS\nexample#example#again", "JOBS\n", "AUDIT\n2026-09", "USERS\na", ""] {
        let forged = data_encoding::BASE64URL_NOPAD.encode(text.as_bytes());
        for question in lists.iter().flat_map(|list| &list.questions) {
            assert_refused(&root, question, &forged).await;
        }
    }
    stack.stop().await;
}
