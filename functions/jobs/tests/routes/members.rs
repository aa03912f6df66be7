//! What is wrong with a job or a provider is said member by member.

use serde_json::{Value, json};

use crate::{assert_nothing_was_written, assert_refused, start_with_ci};

fn process(command: &Value) -> Value {
    json!({ "project": "example", "provider": { "kind": "process", "ref": { "command": command } } })
}

/// `base` with one member set.
fn with(mut base: Value, pointer: &str, value: Value) -> Value {
    let (parent, member) = pointer.rsplit_once('/').unwrap();
    base.pointer_mut(parent).unwrap()[member] = value;
    base
}

#[tokio::test]
async fn members_of_a_job_are_refused_by_name() {
    let (app, _) = start_with_ci().await;
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
        (set("/environment", json!("-prod")), "/environment"),
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
        (set("/undeclared", json!("drop")), "/undeclared"),
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
    let platform = app.as_platform_admin();
    app.table.create_tenant("example").await;
    app.table.calls.take();
    for (job, says) in &jobs {
        let refused = platform.put("/v1/jobs/new?tenant=example").json(job).await;
        assert_refused(says, &refused, &["validation-failed"], says);
    }
    // The same entries of a jobs file are refused one by one.
    for (job, says) in jobs {
        let mut entry = job;
        entry["job_id"] = json!("new");
        let file = json!({ "jobs": [entry] });
        let report = platform.post("/v1/jobs/import?tenant=example").json(&file).await.body;
        assert_eq!(report["summary"]["refused"], 1, "{says}: {report}");
        let errors = report["entries"][0]["errors"].to_string();
        assert!(errors.contains(says) && errors.contains("/jobs/0"), "{says}: {report}");
    }
    assert_nothing_was_written(&app);
}

#[tokio::test]
async fn members_of_a_provider_are_refused_by_name() {
    let (app, _) = start_with_ci().await;
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
    for (body, says) in &providers {
        let refused = app.as_platform_admin().put("/v1/providers/new").json(body).await;
        assert_refused(says, &refused, &["validation-failed"], says);
    }
    assert_eq!(app.secrets.names(), [""; 0]);
    assert_nothing_was_written(&app);
}
