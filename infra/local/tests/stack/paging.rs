//! Cursors of lists of several functions.

use serde_json::{Value, json};

use crate::support::{Answer, Call, Key, TestStack};

fn ids(page: &Value, list: &str, id: &str) -> Vec<String> {
    page[list].as_array().unwrap().iter().map(|item| item[id].as_str().unwrap().to_owned()).collect()
}

async fn stack_with_jobs() -> TestStack {
    let stack = TestStack::start().await;
    let platform = stack.client(&Key::PLATFORM);
    let entry = |id: &str, project: &str, environment: Option<&str>| {
        json!({ "job_id": id, "project": project, "environment": environment,
            "provider": { "kind": "process", "ref": { "command": ["true"] } } })
    };
    for (tenant, jobs) in [
        (
            "example",
            vec![
                entry("a", "alpha", Some("dev")),
                entry("b", "alpha", Some("prod")),
                entry("c", "beta", Some("dev")),
                entry("d", "beta", None),
            ],
        ),
        ("other", vec![entry("e", "gamma", Some("dev")), entry("f", "gamma", Some("prod"))]),
    ] {
        let file = json!({ "jobs": jobs });
        let call = Call::post(format!("/v1/jobs/import?atomic=true&tenant={tenant}")).json(&file);
        platform.send(call).await.expect(200);
    }
    stack
}

#[tokio::test]
async fn a_cursor_opens_no_other_list() {
    let stack = stack_with_jobs().await;
    let (platform, other) = (stack.client(&Key::PLATFORM), stack.client(&Key::OTHER));
    for _ in 0..2 {
        let run = platform.trigger("hello").await;
        platform.ended(&run).await;
    }
    let cursor = |answer: Answer| answer.expect(200).json()["next_cursor"].as_str().unwrap().to_owned();
    let of_jobs = cursor(platform.get("/v1/jobs?limit=1").await);
    let of_runs = cursor(platform.get("/v1/jobs/hello/runs?limit=1").await);
    for path in [
        format!("/v1/jobs?cursor={of_runs}"),
        format!("/v1/jobs/hello/runs?cursor={of_jobs}"),
        format!("/v1/jobs/a/runs?cursor={of_runs}"),
    ] {
        let problem = platform.get(path).await.problem(400, "invalid-query");
        assert_eq!(problem["detail"], "The cursor does not belong to this list.");
    }
    // Somebody else's cursor, or one that was made by hand, shows nothing of others.
    let forged =
        ["JOBS\nexample#alpha#a", "JOBS\n", "JOBS\nexample#", "JOBS\n\u{10ffff}", "JOBS\nother#gamma#"]
            .map(|text| data_encoding::BASE64URL_NOPAD.encode(text.as_bytes()));
    for cursor in forged.iter().chain([&of_jobs]) {
        let answer = other.get(format!("/v1/jobs?cursor={cursor}")).await;
        if answer.status == 200 {
            let seen = ids(&answer.json(), "jobs", "job_id");
            assert!(seen.iter().all(|id| id == "e" || id == "f"), "{seen:?}");
        } else {
            answer.problem(400, "invalid-query");
        }
    }
    stack.stop().await;
}
