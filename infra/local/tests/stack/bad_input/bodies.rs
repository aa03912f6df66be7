//! Bodies, as a whole and member by member.

use serde_json::{Value, json};

use super::{INVALID, MALFORMED, Settled, UNREADABLE, assert_refused, case, json_operations, process};
use crate::support::{Call, Key, TestStack};

/// What a body may measure, in bytes.
const MEBIBYTE: usize = 1024 * 1024;

/// `base` with one member set.
fn with(mut base: Value, pointer: &str, value: Value) -> Value {
    let (parent, member) = pointer.rsplit_once('/').unwrap();
    base.pointer_mut(parent).unwrap()[member] = value;
    base
}

#[tokio::test]
async fn bodies_that_are_not_what_they_should_be_are_refused() {
    let settled = Settled::start().await;
    let deep = "[".repeat(10_000);
    let bodies: [(&[u8], &[&str]); 16] = [
        (b"{", MALFORMED),
        (b"{\"pro", MALFORMED),
        (b"{} x", UNREADABLE),
        (b"}", MALFORMED),
        (b"\xff\xfe", MALFORMED),
        (b"{\"\xff\": 1}", MALFORMED),
        (b"nul", MALFORMED),
        (b"\"\\ud800\"", UNREADABLE),
        (deep.as_bytes(), UNREADABLE),
        (b"null", INVALID),
        (b"true", INVALID),
        (b"17", INVALID),
        (b"\"text\"", INVALID),
        (b"[]", INVALID),
        (b"[{}]", INVALID),
        (b"{\"no_such_member\": 1}", INVALID),
    ];
    let cases = json_operations(&settled.run).into_iter().flat_map(|call| {
        bodies.map(|(body, slugs)| case(call.clone().body("application/json", body.to_vec()), slugs, ""))
    });
    assert_refused(&settled.client(), cases.collect()).await;
    settled.assert_nothing_was_written().await;
}

#[tokio::test]
async fn members_of_a_job_are_refused_by_name() {
    let settled = Settled::start().await;
    let good = process(&json!(["true"]));
    let long = "x".repeat(5000);
    let huge = "x".repeat(600_000);
    let parameter = json!({ "name": "p", "type": "string", "deliver": { "as": "env", "name": "P" } });
    let with_parameter = |pointer: &str, value: Value| {
        with(good.clone(), "/parameters", json!([with(parameter.clone(), pointer, value)]))
    };
    let set = |pointer: &str, value: Value| with(good.clone(), pointer, value);
    let concourse = json!({ "project": "example", "provider": { "kind": "concourse",
        "ref": { "team": "main", "pipeline": "app", "job": "deploy" } } });
    let jobs = [
        (json!({}), ""),
        (json!({ "project": "example" }), "provider"),
        (set("/project", json!(1)), "/project"),
        (set("/project", json!("")), "/project"),
        (set("/project", json!("Bad!")), "/project"),
        (set("/project", json!("a#b")), "/project"),
        (set("/project", json!("..")), "/project"),
        (set("/project", json!("v1")), "/project"),
        (set("/project", json!(long)), "/project"),
        (set("/display_name", json!("")), "/display_name"),
        (set("/display_name", json!("a\u{0}b")), "/display_name"),
        (set("/display_name", json!(long)), "/display_name"),
        (set("/display_name", json!(["x"])), "/display_name"),
        (set("/description", json!(long)), "/description"),
        (set("/environment", json!("Prod")), "/environment"),
        (set("/environment", json!(true)), "/environment"),
        (set("/no_such_member", json!(1)), "no_such_member"),
        (set("/provider", json!("process")), "/provider"),
        (set("/provider/kind", json!("jenkins")), "/provider/kind"),
        (set("/provider/name", json!("a/b")), "/provider/name"),
        (set("/provider/extra", json!(1)), "extra"),
        (set("/provider", json!(["process", null, { "command": ["true"] }])), "/provider"),
        (set("/provider/ref", json!([])), "/provider/ref"),
        (set("/provider/ref/command", json!("true")), "/provider/ref/command"),
        (set("/provider/ref/command", json!([])), "/provider/ref"),
        (set("/provider/ref/command", json!([1])), "/provider/ref/command/0"),
        (set("/provider/ref/command", json!(["true", "a\u{0}b"])), "/provider/ref"),
        (set("/provider/ref/command", json!(["true", huge])), "/provider/ref"),
        (set("/provider/ref/directory", json!(1)), "/provider/ref/directory"),
        (set("/provider/ref/team", json!("main")), "team"),
        (set("/parameters", json!({})), "/parameters"),
        (set("/parameters", json!([1])), "/parameters/0"),
        (with_parameter("/name", json!("a b")), "/parameters/0/name"),
        (with_parameter("/type", json!("float")), "/parameters/0/type"),
        (with_parameter("/options", json!(["a"])), "/parameters/0"),
        (with_parameter("/default", json!(17)), "/parameters/0/default"),
        (with_parameter("/deliver", json!({ "as": "instance_var", "name": "x" })), "/parameters/0"),
        (with_parameter("/deliver", json!({ "as": "env", "name": "A=B" })), "/parameters/0"),
        (with_parameter("/deliver", json!({ "as": "env", "name": "" })), "/parameters/0"),
        (with_parameter("/deliver", json!({ "as": "pigeon" })), "/parameters/0"),
        (set("/parameters", json!([parameter, parameter])), "/parameters/1"),
        (set("/parameters", json!(vec![parameter.clone(); 51])), "/parameters"),
        (with_parameter("/description", json!(huge)), "/parameters/0"),
        (
            with(with_parameter("/type", json!("choice")), "/parameters/0/options", json!(vec![long; 100])),
            "/parameters/0",
        ),
        (with(concourse.clone(), "/provider/ref/vars", json!("x")), "/provider/ref/vars"),
        (with(concourse.clone(), "/provider/ref/vars", json!({ "x": huge })), "/provider/ref/vars"),
        (with(concourse.clone(), "/provider/ref/team", json!("")), "/provider/ref/team"),
        (with(concourse.clone(), "/provider/ref/job", json!("a\u{7}b")), "/provider/ref/job"),
        (
            with(
                with(concourse.clone(), "/provider/ref/job", json!("é".repeat(120))),
                "/provider/ref/team",
                json!("é".repeat(120)),
            ),
            "/provider/ref",
        ),
        (with(concourse, "/provider/ref/command", json!(["true"])), "command"),
    ];
    let mut cases = Vec::new();
    for (job, says) in &jobs {
        cases.push(case(Call::put("/v1/jobs/new?tenant=example").json(job), INVALID, *says));
    }
    let platform = settled.client();
    assert_refused(&platform, cases).await;
    // The same entries of a jobs file are refused one by one.
    for (job, says) in jobs {
        let mut entry = job;
        entry["job_id"] = json!("new");
        let call = Call::post("/v1/jobs/import?tenant=example").json(&json!({ "jobs": [entry] }));
        let report = platform.send(call).await.expect(200).json();
        assert_eq!(report["summary"]["refused"], 1, "{says}: {report}");
        let errors = report["entries"][0]["errors"].to_string();
        assert!(errors.contains(says) && errors.contains("/jobs/0"), "{says}: {report}");
    }
    settled.assert_nothing_was_written().await;
}

#[tokio::test]
async fn members_of_a_provider_are_refused_by_name() {
    let settled = Settled::start().await;
    let good = json!({ "kind": "concourse", "url": "https://ci.example.com",
        "auth": { "grant": "password", "username": "u", "password": "p" } });
    let set = |pointer: &str, value: Value| with(good.clone(), pointer, value);
    let pem = |filling: &str| format!("-----BEGIN CERTIFICATE-----\n{filling}\n-----END CERTIFICATE-----\n");
    let providers = [
        (json!({}), "kind"),
        (set("/kind", json!("jenkins")), "/kind"),
        (set("/kind", json!("process")), "/kind"),
        (set("/url", Value::Null), "/url"),
        (set("/url", json!(17)), "/url"),
        (set("/url", json!("")), "/url"),
        (set("/url", json!("ftp://ci.example.com")), "/url"),
        (set("/url", json!("file:///etc/passwd")), "/url"),
        (set("/url", json!("https://user:pass@ci.example.com")), "/url"),
        (set("/url", json!("https://ci.example.com/?q")), "/url"),
        (set("/url", json!("https://ci.example.com/#f")), "/url"),
        (set("/url", json!("https://a b")), "/url"),
        (set("/url", json!(format!("https://{}", "x".repeat(2000)))), "/url"),
        (set("/auth", Value::Null), "/auth"),
        (set("/auth", json!({})), "/auth"),
        (set("/auth/grant", json!("magic")), "/auth"),
        (set("/auth", json!({ "grant": "password", "username": "u" })), "/auth"),
        (set("/auth/username", json!(1)), "/auth"),
        (set("/auth/extra", json!(1)), "extra"),
        (set("/auth/client_id", json!("both")), "client_id"),
        (set("/ca_certificate", json!("no PEM")), "/ca_certificate"),
        (set("/ca_certificate", json!(pem(&"A".repeat(600_000)))), "/ca_certificate"),
        (set("/auth/username", json!("x".repeat(500_000))), "/auth"),
        (set("/auth/password", json!("x".repeat(200_000))), "/auth"),
        (set("/no_such_member", json!(1)), "no_such_member"),
    ];
    let cases =
        providers.iter().map(|(body, says)| case(Call::put("/v1/providers/new").json(body), INVALID, *says));
    assert_refused(&settled.client(), cases.collect()).await;
    settled.assert_nothing_was_written().await;
}

#[tokio::test]
async fn parameters_of_a_run_are_refused_by_name() {
    let settled = Settled::start().await;
    let platform = settled.client();
    let trigger = |body: Value| Call::post("/v1/jobs/hello/runs").json(&body);
    let given = |parameters: Value| trigger(json!({ "parameters": parameters }));
    let mut cases = vec![
        case(trigger(json!({ "parameters": [] })), INVALID, "/parameters"),
        case(trigger(json!({ "parameters": "who=Ada" })), INVALID, "/parameters"),
        case(trigger(json!({ "who": "Ada" })), INVALID, "who"),
        case(given(json!({ "unknown": "x" })), INVALID, "/parameters/unknown"),
        case(given(json!({ "who": 17 })), INVALID, "/parameters/who"),
        case(given(json!({ "who": ["Ada"] })), INVALID, "/parameters/who"),
        case(given(json!({ "who": "a\u{0}b" })), INVALID, "/parameters/who"),
        case(given(json!({ "who": "x".repeat(5000) })), INVALID, "/parameters/who"),
        case(given(json!({ "a/b~c": 1 })), INVALID, "/parameters/a~1b~0c"),
    ];
    let cancel = Call::post(format!("/v1/runs/{}/cancel", settled.run));
    cases.extend([
        case(cancel.clone().json(&json!({ "force": "yes" })), INVALID, "/force"),
        case(cancel.json(&json!({ "force": true, "why": "" })), INVALID, "why"),
    ]);
    assert_refused(&platform, cases).await;
    settled.assert_nothing_was_written().await;
}

#[tokio::test]
async fn a_run_takes_as_many_parameters_as_fit_and_no_more() {
    let stack = TestStack::start().await;
    let platform = stack.client(&Key::PLATFORM);
    let parameters: Vec<_> = (0..50)
        .map(|number| {
            let name = format!("p{number}");
            json!({ "name": name, "type": "string", "deliver": { "as": "env", "name": name } })
        })
        .collect();
    let job = with(process(&json!(["sh", "-c", "echo ${#p0} ${#p49}"])), "/parameters", json!(parameters));
    platform.send(Call::put("/v1/jobs/many").json(&job)).await.expect(201);
    let trigger = |length: usize| {
        let value = "x".repeat(length);
        let values: serde_json::Map<_, _> =
            (0..50).map(|number| (format!("p{number}"), json!(value))).collect();
        platform.send(Call::post("/v1/jobs/many/runs").json(&json!({ "parameters": values })))
    };
    let run = trigger(1300).await.expect(201).run_id();
    platform.ended(&run).await;
    assert_eq!(platform.log(&run).await, "1300 1300\n");
    let rerun = platform.send(Call::post(format!("/v1/runs/{run}/rerun"))).await.expect(201).run_id();
    platform.ended(&rerun).await;
    assert_eq!(platform.log(&rerun).await, "1300 1300\n");
    let problem = trigger(4096).await.problem(422, "validation-failed");
    assert_eq!(problem["errors"][0]["pointer"], "/parameters");
    assert_eq!(platform.all("/v1/jobs/many/runs", "runs").await.len(), 2);
    stack.stop().await;
}

#[tokio::test]
async fn bodies_that_are_too_large_are_refused() {
    let settled = Settled::start().await;
    let padded = |size: usize| {
        let mut body = vec![b' '; size];
        body[..2].copy_from_slice(b"{}");
        body
    };
    let mut cases = Vec::new();
    for call in json_operations(&settled.run) {
        let call = call.body("application/json", padded(MEBIBYTE + 1));
        cases.push(case(call, &["body-too-large"], "larger"));
    }
    // Larger than the function takes, than Lambda does, than API Gateway does.
    for size in [4 * MEBIBYTE, 7 * MEBIBYTE, 10 * MEBIBYTE + 1] {
        let call = Call::post("/v1/jobs/import").body("application/yaml", padded(size));
        cases.push(case(call, &["body-too-large"], "larger"));
    }
    // Also where nobody reads the body.
    let get = Call::get("/v1/jobs").body("application/octet-stream", vec![0; 10 * MEBIBYTE + 1]);
    cases.push(case(get, &["body-too-large"], "larger"));
    let entries = |count: usize| json!({ "jobs": vec![json!({}); count] });
    let import = |query: &str, count| Call::post(format!("/v1/jobs/import?{query}")).json(&entries(count));
    cases.push(case(import("tenant=example", 501), &["body-too-large"], "500"));
    cases.push(case(import("atomic=true&tenant=example", 26), &["body-too-large"], "25"));
    let platform = settled.client();
    assert_refused(&platform, cases).await;
    // What is just small enough is read.
    let call = Call::put("/v1/jobs/new").body("application/json", padded(MEBIBYTE));
    platform.send(call).await.problem(422, "validation-failed");
    settled.assert_nothing_was_written().await;
}
