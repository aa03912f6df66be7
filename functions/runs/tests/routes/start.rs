use std::sync::Arc;

use gatehouse_domain::{
    access::Scope,
    audit::{AuditFilter, ListAudit},
    ci::{BuildId, CiErrorKind, RunStatus, Target},
    clock::Clock,
    paging::PageRequest,
    parameter::Undeclared,
};
use gatehouse_testkit::app::{ScriptedCi, Start, TestApp, callers, job_draft};
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::{start, with_a_run};

mod trigger {
    use super::*;

    #[tokio::test]
    async fn parameters_that_are_null_are_none_and_a_body_need_not_say_what_it_is() {
        let (app, _) = start().await;
        let acme = app.as_developer("acme");
        let started = acme.post("/v1/jobs/deploy/runs").json(&json!({ "parameters": null })).await;
        assert_eq!(started.status, 201, "{started}");
        let untyped =
            acme.post("/v1/jobs/deploy/runs").untyped_body(r#"{"parameters":{"branch":"dev"}}"#).await;
        assert_eq!(
            (untyped.status.as_u16(), &untyped.body["run"]["parameters"]["branch"]),
            (201, &json!("dev"))
        );
        let form = acme.post("/v1/jobs/deploy/runs").body("application/x-www-form-urlencoded", "{}").await;
        assert_eq!(form.problem(), "unsupported-media-type");
    }

    #[tokio::test]
    async fn starts_a_run_and_says_where_it_is() {
        let (app, ci) = start().await;
        let body = json!({ "parameters": { "branch": "fix-canary" } });
        let started = app.as_developer("acme").post("/v1/jobs/deploy/runs").json(&body).await;
        assert_snapshot!(started, @r#"
        201 Created
        location: ../../runs/main:app:deploy:1
        {
          "run": {
            "created_at": "2026-09-21T14:13:20Z",
            "job_id": "deploy",
            "parameters": {
              "branch": "fix-canary"
            },
            "project": "payments",
            "provider": {
              "kind": "concourse",
              "name": "concourse",
              "number": "1",
              "status": "pending"
            },
            "run_id": "main:app:deploy:1",
            "status": "queued",
            "triggered_by": "user:dev",
            "web_url": "https://ci.example.com/builds/1"
          }
        }
        "#);
        let [build] = &ci.started()[..] else { panic!("{:?}", ci.started()) };
        let Target::Concourse(target) = &build.target else { panic!("{build:?}") };
        assert_eq!(
            (Value::from(target.vars.clone()), &build.rerun_of),
            (json!({ "branch": "fix-canary" }), &None)
        );
    }

    #[tokio::test]
    async fn takes_no_body_for_no_parameters() {
        let (app, ci) = start().await;
        let started = app.as_developer("acme").post("/v1/jobs/deploy/runs").await;
        assert_eq!(started.body["run"]["parameters"], json!({ "branch": "main" }), "the default");
        assert_eq!(ci.started().len(), 1);
    }

    #[tokio::test]
    async fn answers_a_repetition_with_the_same_run() {
        let (app, ci) = start().await;
        let trigger = || app.as_developer("acme").post("/v1/jobs/deploy/runs").idempotency_key("k");
        let first = trigger().await;
        ci.set_status("1", RunStatus::Running);
        let again = trigger().await;
        assert_eq!((again.status, &again.body), (first.status, &first.body));
        assert_eq!(
            (first.header("idempotency-replayed"), again.header("idempotency-replayed")),
            ("", "true")
        );
        assert_eq!(ci.started().len(), 1);
        assert_snapshot!(trigger().json(&json!({ "parameters": { "branch": "fix-canary" } })).await, @"
        422 Unprocessable Entity
        idempotency-key-reused: The Idempotency-Key was used for another request.
        ");
        let other = app.as_person("bob", "acme=developer").post("/v1/jobs/deploy/runs").idempotency_key("k");
        assert_ne!(other.await.body, first.body, "keys of different callers never meet");
    }

    #[tokio::test]
    async fn finds_the_build_whose_answer_was_lost() {
        let (app, ci) = start().await;
        ci.next_start(Start::AnswerLost);
        let started = app.as_developer("acme").post("/v1/jobs/deploy/runs").await;
        assert_eq!(
            (started.status.as_u16(), started.header("location")),
            (201, "../../runs/main:app:deploy:1")
        );
        assert_eq!(ci.started().len(), 1);
    }

    #[tokio::test]
    async fn gives_a_key_to_repeat_with_when_the_outcome_stays_unknown() {
        let (app, ci) = start().await;
        ci.next_start(Start::CallLost);
        let unknown = app.as_developer("acme").post("/v1/jobs/deploy/runs").await;
        assert_snapshot!(unknown, @r#"
        504 Gateway Timeout
        retry-after: 10
        outcome-unknown: The CI system's answer was lost: repeat the request with this Idempotency-Key to find out; it never starts a second run.
          idempotency_key: "key_#1"
        "#);
        assert_eq!(unknown.header("retry-after"), "10");
        let key = unknown.body["idempotency_key"].as_str().unwrap();
        let repeat = || app.as_developer("acme").post("/v1/jobs/deploy/runs").idempotency_key(key);
        // Until a minute is over, the lost call may still be carried out.
        assert_eq!(repeat().await.problem(), "outcome-unknown");
        assert_eq!(ci.started(), []);
        let mut answers = vec![repeat().await, repeat().await];
        let started = answers.pop().unwrap();
        assert_eq!(started.status, 201, "{answers:?} {started:?}");
        assert_eq!(ci.started().len(), 1);
    }

    #[tokio::test]
    async fn says_why_the_ci_system_started_nothing() {
        let (app, ci) = start().await;
        let trigger = || app.as_developer("acme").post("/v1/jobs/deploy/runs").idempotency_key("k");
        ci.next_start(Start::Refused(CiErrorKind::Refused));
        assert_snapshot!(trigger().await, @"
        409 Conflict
        provider-refused: The CI system says why.
        ");
        ci.next_start(Start::Refused(CiErrorKind::NotFound));
        assert_snapshot!(trigger().await, @"
        502 Bad Gateway
        provider-not-found: The CI system says why.
        ");
        ci.next_start(Start::Refused(CiErrorKind::Forbidden));
        assert_snapshot!(trigger().await, @"
        502 Bad Gateway
        provider-forbidden: The CI system says why.
        ");
        ci.next_start(Start::Refused(CiErrorKind::CredentialsRefused));
        assert_snapshot!(trigger().await, @"
        502 Bad Gateway
        provider-credentials: The CI system says why.
        ");
        ci.next_start(Start::Refused(CiErrorKind::Unavailable));
        assert_snapshot!(trigger().await, @"
        503 Service Unavailable
        retry-after: 5
        provider-unavailable: The CI system says why.
        ");
        ci.next_start(Start::Refused(CiErrorKind::Throttled));
        assert_snapshot!(trigger().await, @"
        503 Service Unavailable
        retry-after: 5
        provider-unavailable: The CI system says why.
        ");
        // Nothing was started, so that the key is free.
        assert_eq!(trigger().await.status, 201);
        ci.fail(Some(CiErrorKind::Unavailable));
        assert_eq!(trigger().await.header("idempotency-replayed"), "true", "a repetition needs no CI system");
    }

    #[tokio::test]
    async fn names_parameters_that_are_refused() {
        let (app, ci) = start().await;
        let trigger = |body: Value| app.as_developer("acme").post("/v1/jobs/deploy/runs").json(&body);
        let given = |parameters: Value| trigger(json!({ "parameters": parameters }));
        assert_snapshot!(given(json!({ "branch": 17, "a/b~c": 1 })).await, @r#"
        422 Unprocessable Entity
        validation-failed: Refused: `/parameters/a~1b~0c`, `/parameters/branch`.
          "/parameters/a~1b~0c": this job takes: branch
          "/parameters/branch": must be a string
        "#);
        assert_snapshot!(given(json!({ "branch": "x".repeat(5000) })).await, @r#"
        422 Unprocessable Entity
        validation-failed: Refused: `/parameters/branch`.
          "/parameters/branch": must be at most 4096 bytes
        "#);
        assert_snapshot!(given(json!({ "branch": "a\0b" })).await, @r#"
        422 Unprocessable Entity
        validation-failed: Refused: `/parameters/branch`.
          "/parameters/branch": must not hold NUL
        "#);
        assert_snapshot!(given(json!({ "branch": ["fix-canary"] })).await, @r#"
        422 Unprocessable Entity
        validation-failed: Refused: `/parameters/branch`.
          "/parameters/branch": must be a string
        "#);
        assert_snapshot!(trigger(json!({ "parameters": [] })).await, @r#"
        422 Unprocessable Entity
        validation-failed: Refused: `/parameters`.
          "/parameters": invalid type: sequence, expected a map at line 1 column 14
        "#);
        assert_snapshot!(trigger(json!({ "parameters": "branch=fix" })).await, @r#"
        422 Unprocessable Entity
        validation-failed: Refused: `/parameters`.
          "/parameters": invalid type: string "branch=fix", expected a map at line 1 column 26
        "#);
        assert_snapshot!(trigger(json!({ "branch": "main" })).await, @r#"
        422 Unprocessable Entity
        validation-failed: Refused: `/branch`.
          "/branch": unknown field `branch`, expected `parameters` at line 1 column 9
        "#);
        assert_eq!(ci.started(), []);
    }

    /// A job of a file from before there were declarations.
    async fn with_an_old_job() -> (TestApp, Arc<ScriptedCi>) {
        let (app, ci) = start().await;
        app.table.save_draft(&callers::tenant_key("acme"), job_draft("old", "payments")).await;
        (app, ci)
    }

    #[tokio::test]
    async fn keeps_and_names_what_cannot_reach_the_ci_system() {
        let (app, ci) = with_an_old_job().await;
        let given =
            json!({ "git_sha": "abc123", "matrix": [{ "go": 1.22 }, null], "Deploy Token": "canary" });
        let body = json!({ "parameters": given });
        let acme = app.as_developer("acme");
        let started = acme.post("/v1/jobs/old/runs").idempotency_key("k").json(&body).await;
        assert_eq!(started.status, 201, "{started:?}");
        let run = &started.body["run"];
        let kept =
            json!({ "git_sha": "abc123", "matrix": [{ "go": 1.22 }, null], "Deploy Token": "[not kept]" });
        assert_eq!(
            (&run["parameters"], &run["undelivered"]),
            (&kept, &json!(["Deploy Token", "git_sha", "matrix"]))
        );
        let [build] = &ci.started()[..] else { panic!("{:?}", ci.started()) };
        let Target::Concourse(target) = &build.target else { panic!("{build:?}") };
        assert!(target.vars.is_empty(), "{target:?}");

        let shown = acme.get("/v1/runs/main:app:old:1").await;
        assert_eq!(
            (&shown.body["run"]["parameters"], &shown.body["run"]["undelivered"]),
            (&kept, &run["undelivered"])
        );
        let again = acme.post("/v1/jobs/old/runs").idempotency_key("k").json(&body).await;
        assert_eq!((&again.body, again.header("idempotency-replayed")), (&started.body, "true"));
        let (everything, now) = (AuditFilter::Everything, app.system.now());
        let trail = app.table.table.list_audit(&everything, now, &PageRequest::default()).await;
        let entries = trail.unwrap().items;
        let details: Vec<_> = entries.iter().filter_map(|entry| entry.detail.as_deref()).collect();
        assert!(
            details.contains(
                &r#"not delivered: Deploy Token="[not kept]", git_sha="abc123", matrix=[{"go":1.22},null]"#
            ),
            "{details:?}"
        );

        ci.set_status("1", RunStatus::Failed);
        let rerun = acme.post("/v1/runs/main:app:old:1/rerun").await;
        assert_eq!(rerun.body["run"]["undelivered"], run["undelivered"], "as little is delivered as before");
    }

    #[tokio::test]
    async fn bounds_what_it_keeps() {
        let (app, ci) = with_an_old_job().await;
        let body = json!({ "parameters": { "": 1, "a\nb": 2, "notes": "x".repeat(5000) } });
        assert_snapshot!(app.as_developer("acme").post("/v1/jobs/old/runs").json(&body).await, @r#"
        422 Unprocessable Entity
        validation-failed: Refused: `/parameters/`, `/parameters/a
        b`, `/parameters/notes`.
          "/parameters/": the name must be 1 to 128 bytes without control characters
          "/parameters/a\nb": the name must be 1 to 128 bytes without control characters
          "/parameters/notes": must be at most 4096 bytes
        "#);
        assert_eq!(ci.started(), []);
    }

    #[tokio::test]
    async fn refuses_what_is_not_declared_where_the_job_says_so() {
        let (app, ci) = start().await;
        for (job, undeclared) in [("strict", Undeclared::Refuse), ("easy", Undeclared::Keep)] {
            let mut draft = job_draft(job, "payments");
            draft.spec.undeclared = Some(undeclared);
            app.table.save_draft(&callers::tenant_key("acme"), draft).await;
        }
        let body = json!({ "parameters": { "git_sha": "abc123" } });
        assert_snapshot!(app.as_developer("acme").post("/v1/jobs/strict/runs").json(&body).await, @r#"
        422 Unprocessable Entity
        validation-failed: Refused: `/parameters/git_sha`.
          "/parameters/git_sha": this job takes no parameters
        "#);
        assert_eq!(ci.started(), []);
        let started = app.as_developer("acme").post("/v1/jobs/easy/runs").json(&body).await;
        assert_eq!(started.body["run"]["undelivered"], json!(["git_sha"]));
    }

    #[tokio::test]
    async fn refuses_what_it_does_not_understand() {
        let (app, ci) = start().await;
        let trigger = || app.as_developer("acme").post("/v1/jobs/deploy/runs");
        assert_snapshot!(trigger().idempotency_key("a b").await, @"
        400 Bad Request
        invalid-header: Idempotency-Key must be 1 to 255 visible ASCII characters, quoted or bare.
        ");
        assert_snapshot!(trigger().body("application/json", "{").await, @"
        400 Bad Request
        malformed-body: The body is not JSON: EOF while parsing an object at line 1 column 1.
        ");
        assert_snapshot!(app.as_developer("acme").post("/v1/jobs/deploy/runs?dry").await, @"
        400 Bad Request
        invalid-query: This operation takes no query parameters, and `dry` was sent.
        ");
        assert_snapshot!(app.as_developer("acme").post("/v1/jobs/%23/runs").await, @"
        400 Bad Request
        invalid-path: A job id must be 1 to 128 characters of A-Z, a-z, 0-9, '_', '.' and '-', not starting with '.' or '-'.
        ");
        assert_eq!(ci.started(), []);
    }

    #[tokio::test]
    async fn needs_a_job_and_a_provider() {
        let (app, _) = start().await;
        let acme = app.as_developer("acme");
        assert_snapshot!(acme.post("/v1/jobs/none/runs").await, @"
        404 Not Found
        not-found: There is no such job.
        ");
        assert_eq!(app.as_developer("beta").post("/v1/jobs/deploy/runs").await.problem(), "not-found");
        let mut draft = job_draft("orphan", "payments");
        draft.spec.provider = "gone".parse().unwrap();
        app.table.save_draft(&callers::tenant_key("acme"), draft).await;
        assert_snapshot!(acme.post("/v1/jobs/orphan/runs").await, @"
        409 Conflict
        provider-not-configured: Provider `gone` is not configured: a platform admin can PUT /v1/providers/gone.
        ");
    }

    #[tokio::test]
    async fn is_for_those_who_may_trigger() {
        let (app, ci) = start().await;
        assert_eq!(app.anonymous().post("/v1/jobs/deploy/runs").await.problem(), "unauthorized");
        assert_snapshot!(app.as_viewer("acme").post("/v1/jobs/deploy/runs").await, @"
        403 Forbidden
        forbidden: This takes an API key with the scope `runs:write`, or the role `developer`.
        ");
        let reader = app.as_api_key(&[Scope::RunsRead], "acme").post("/v1/jobs/deploy/runs").await;
        assert_eq!(reader.problem(), "forbidden");
        // A role elsewhere does not help here.
        let mixed = app.as_person("ada", "acme=viewer,beta=developer").post("/v1/jobs/deploy/runs").await;
        assert_snapshot!(mixed, @"
        403 Forbidden
        forbidden: Your role in tenant `acme` does not allow this.
        ");
        assert_eq!(ci.started(), []);
    }
}

mod rerun {
    use super::*;

    #[tokio::test]
    async fn runs_a_run_again_with_its_inputs() {
        let (app, ci, run) = with_a_run().await;
        ci.set_status("1", RunStatus::Failed);
        let again = app.as_developer("acme").post(format!("/v1/runs/{run}/rerun")).idempotency_key("k");
        let again = again.await;
        assert_snapshot!(again, @r#"
        201 Created
        location: ../main:app:deploy:2
        {
          "run": {
            "created_at": "2026-09-21T14:13:20Z",
            "job_id": "deploy",
            "parameters": {
              "branch": "main"
            },
            "project": "payments",
            "provider": {
              "kind": "concourse",
              "name": "concourse",
              "number": "2",
              "status": "pending"
            },
            "rerun_of": "main:app:deploy:1",
            "run_id": "main:app:deploy:2",
            "status": "queued",
            "triggered_by": "user:dev",
            "web_url": "https://ci.example.com/builds/2"
          }
        }
        "#);
        let build = ci.started().pop().unwrap();
        assert_eq!(build.rerun_of, Some(BuildId("1".into())));
        let repeated = app.as_developer("acme").post(format!("/v1/runs/{run}/rerun")).idempotency_key("k");
        assert_eq!(repeated.await.body, again.body);
        assert_eq!(ci.started().len(), 2);
    }

    #[tokio::test]
    async fn refuses_runs_that_cannot_be_run_again() {
        let (app, ci, run) = with_a_run().await;
        let rerun = || app.as_developer("acme").post(format!("/v1/runs/{run}/rerun"));
        assert_snapshot!(rerun().await, @"
        409 Conflict
        run-not-ended: The run has not ended yet.
        ");
        ci.set_status("1", RunStatus::Succeeded);
        ci.set_capabilities(|can| can.rerun = false);
        assert_snapshot!(rerun().await, @"
        422 Unprocessable Entity
        not-supported: This CI system cannot run a run again.
        ");
        assert_snapshot!(app.as_developer("acme").post("/v1/runs/main:app:deploy:9/rerun").await, @"
        404 Not Found
        not-found: There is no such run.
        ");
        let stranger = app.as_developer("beta").post(format!("/v1/runs/{run}/rerun")).await;
        assert_eq!(stranger.problem(), "not-found");
        assert_eq!(ci.started().len(), 1);
    }

    #[tokio::test]
    async fn is_for_those_who_may_trigger() {
        let (app, ci, run) = with_a_run().await;
        ci.set_status("1", RunStatus::Succeeded);
        let path = format!("/v1/runs/{run}/rerun");
        assert_eq!(app.anonymous().post(&path).await.problem(), "unauthorized");
        assert_eq!(app.as_viewer("acme").post(&path).await.problem(), "forbidden");
        let mixed = app.as_person("ada", "acme=viewer,beta=developer").post(&path).await;
        assert_eq!(mixed.problem(), "forbidden");
    }
}
