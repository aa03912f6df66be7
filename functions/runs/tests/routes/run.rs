use gatehouse_domain::{
    access::Scope,
    ci::{CiErrorKind, RunStatus},
};
use gatehouse_testkit::app::job_target;
use insta::assert_snapshot;
use serde_json::json;

use crate::{start, with_a_run};

mod list {
    use super::*;

    #[tokio::test]
    async fn shows_the_newest_first_as_they_stand_now() {
        let (app, ci, _) = with_a_run().await;
        app.as_developer("acme").post("/v1/jobs/deploy/runs").await;
        ci.set_status("1", RunStatus::Succeeded);
        assert_snapshot!(app.as_viewer("acme").get("/v1/jobs/deploy/runs").await, @r#"
        200 OK
        {
          "runs": [
            {
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
              "run_id": "main:app:deploy:2",
              "status": "queued",
              "triggered_by": "user:dev",
              "web_url": "https://ci.example.com/builds/2"
            },
            {
              "created_at": "2026-09-21T14:13:20Z",
              "job_id": "deploy",
              "parameters": {
                "branch": "main"
              },
              "project": "payments",
              "provider": {
                "kind": "concourse",
                "name": "concourse",
                "number": "1",
                "status": "succeeded"
              },
              "run_id": "main:app:deploy:1",
              "status": "succeeded",
              "triggered_by": "user:dev",
              "web_url": "https://ci.example.com/builds/1"
            }
          ]
        }
        "#);
    }

    #[tokio::test]
    async fn is_empty_without_runs() {
        let (app, _) = start().await;
        assert_snapshot!(app.as_viewer("acme").get("/v1/jobs/deploy/runs").await, @r#"
        200 OK
        {
          "runs": []
        }
        "#);
    }

    #[tokio::test]
    async fn looks_up_only_the_top_of_a_list() {
        let (app, ci) = start().await;
        for _ in 0..12 {
            app.as_developer("acme").post("/v1/jobs/deploy/runs").await;
        }
        for build in 1..=12 {
            ci.set_status(&build.to_string(), RunStatus::Running);
        }
        let listed = app.as_viewer("acme").get("/v1/jobs/deploy/runs").await;
        let runs = listed.body["runs"].as_array().unwrap();
        let statuses: Vec<_> = runs.iter().map(|run| run["status"].as_str().unwrap()).collect();
        assert_eq!(statuses, [vec!["running"; 10], vec!["queued"; 2]].concat());
    }

    #[tokio::test]
    async fn pages_from_the_newest_to_the_oldest() {
        let (app, _) = start().await;
        let acme = app.as_developer("acme");
        let trigger = async || {
            app.system.advance(std::time::Duration::from_secs(1));
            acme.post("/v1/jobs/deploy/runs").await.body["run"]["run_id"].as_str().unwrap().to_owned()
        };
        let mut runs = Vec::new();
        for _ in 0..7 {
            runs.insert(0, trigger().await);
        }
        for limit in 1..=3 {
            let (mut seen, mut next) = (Vec::new(), Some(format!("?limit={limit}")));
            while let Some(query) = next {
                let page = acme.get(format!("/v1/jobs/deploy/runs{query}")).await;
                let ids = page.body["runs"].as_array().unwrap().iter();
                seen.extend(ids.map(|run| run["run_id"].as_str().unwrap().to_owned()));
                let cursor = page.body["next_cursor"].as_str();
                next = cursor.map(|cursor| format!("?limit={limit}&cursor={cursor}"));
                let link = next.as_ref().map(|query| format!("<{query}>; rel=\"next\""));
                assert_eq!(page.header("link"), link.unwrap_or_default());
            }
            assert_eq!(seen, runs, "{limit} a page");
        }
        // A run that comes while somebody pages shifts nothing.
        let first = acme.get("/v1/jobs/deploy/runs?limit=3").await;
        trigger().await;
        let cursor = first.body["next_cursor"].as_str().unwrap();
        let second = acme.get(format!("/v1/jobs/deploy/runs?limit=3&cursor={cursor}")).await;
        let ids: Vec<_> = second.body["runs"].as_array().unwrap().iter().map(|run| &run["run_id"]).collect();
        assert_eq!(ids, runs[3..6].iter().collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn refuses_what_it_does_not_understand() {
        let (app, _) = start().await;
        let acme = app.as_viewer("acme");
        assert_snapshot!(acme.get("/v1/jobs/none/runs").await, @"
        404 Not Found
        not-found: There is no such job.
        ");
        assert_eq!(app.as_viewer("beta").get("/v1/jobs/deploy/runs").await.problem(), "not-found");
        for (query, says) in [
            ("limit=0", "limit"),
            ("limit=101", "limit"),
            ("limit=256", "limit"),
            ("limit=-1", "limit"),
            ("limit=1.5", "limit"),
            ("limit=abc", "limit"),
            ("limit=", "limit"),
            ("limit=1&limit=2", "limit"),
            ("cursor=", "cursor"),
            ("cursor=!", "cursor"),
            ("cursor=AAAA", "cursor"),
            ("cursor=%00", "cursor"),
            ("cursor=Sk9CUw", "cursor"),
            ("offset=1", "offset"),
            ("Limit=1", "Limit"),
        ] {
            let refused = acme.get(format!("/v1/jobs/deploy/runs?{query}")).await;
            assert_eq!(refused.problem(), "invalid-query", "{query}");
            assert!(refused.body["detail"].as_str().unwrap().contains(says), "{query}: {refused}");
        }
    }

    #[tokio::test]
    async fn is_for_those_who_may_read() {
        let (app, _) = start().await;
        assert_eq!(app.anonymous().get("/v1/jobs/deploy/runs").await.problem(), "unauthorized");
        let writer = app.as_api_key(&[Scope::RunsWrite], "acme").get("/v1/jobs/deploy/runs").await;
        assert_eq!(writer.problem(), "forbidden");
    }
}

mod show {
    use super::*;

    #[tokio::test]
    async fn shows_a_run_as_it_stands_now() {
        let (app, ci, run) = with_a_run().await;
        ci.set_status("1", RunStatus::Running);
        assert_snapshot!(app.as_viewer("acme").get(format!("/v1/runs/{run}")).await, @r#"
        200 OK
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
              "number": "1",
              "status": "running"
            },
            "run_id": "main:app:deploy:1",
            "status": "running",
            "triggered_by": "user:dev",
            "web_url": "https://ci.example.com/builds/1"
          }
        }
        "#);
    }

    #[tokio::test]
    async fn shows_it_as_last_seen_while_the_ci_system_is_down() {
        let (app, ci, run) = with_a_run().await;
        ci.fail(Some(CiErrorKind::Unavailable));
        let shown = app.as_viewer("acme").get(format!("/v1/runs/{run}")).await;
        assert_eq!(shown.body["run"]["status"], "queued");
        assert_eq!(shown.body["run"]["stale"], "the CI system says why");
    }

    #[tokio::test]
    async fn asks_no_more_about_a_run_that_has_ended() {
        let (app, ci, run) = with_a_run().await;
        ci.set_status("1", RunStatus::Succeeded);
        let ended = app.as_viewer("acme").get(format!("/v1/runs/{run}")).await;
        ci.fail(Some(CiErrorKind::Unavailable));
        assert_eq!(app.as_viewer("acme").get(format!("/v1/runs/{run}")).await.body, ended.body);
    }

    #[tokio::test]
    async fn shows_builds_that_others_started() {
        let (app, ci) = start().await;
        ci.begin(&job_target("deploy"));
        let acme = app.as_viewer("acme");
        assert_snapshot!(acme.get("/v1/runs/main:app:deploy:1").await, @r#"
        200 OK
        {
          "run": {
            "created_at": "2026-09-21T14:13:20Z",
            "job_id": "deploy",
            "project": "payments",
            "provider": {
              "kind": "concourse",
              "name": "concourse",
              "number": "1",
              "status": "pending"
            },
            "run_id": "main:app:deploy:1",
            "status": "queued",
            "web_url": "https://ci.example.com/builds/1"
          }
        }
        "#);
        // Of a pipeline job that none of the caller's jobs points at, there is nothing to see.
        ci.begin(&job_target("secret"));
        assert_eq!(acme.get("/v1/runs/main:app:secret:2").await.problem(), "not-found");
        assert_eq!(acme.get("/v1/runs/main:app:deploy:2").await.problem(), "not-found", "an untrue id");
        assert_eq!(acme.get("/v1/runs/main:app:deploy:01").await.problem(), "not-found");
        assert_eq!(acme.get("/v1/runs/main:app:deploy:3").await.problem(), "not-found");
        let stranger = app.as_viewer("beta").get("/v1/runs/main:app:deploy:1").await;
        assert_eq!(stranger.problem(), "not-found");
        ci.fail(Some(CiErrorKind::Unavailable));
        assert_snapshot!(acme.get("/v1/runs/main:app:deploy:1").await, @"
        503 Service Unavailable
        retry-after: 5
        provider-unavailable: The CI system says why.
        ");
    }

    #[tokio::test]
    async fn a_run_of_others_does_not_exist() {
        let (app, _, run) = with_a_run().await;
        let absent = app.as_viewer("beta").get("/v1/runs/run_none").await;
        assert_snapshot!(absent, @"
        404 Not Found
        not-found: There is no such run.
        ");
        let foreign = app.as_viewer("beta").get(format!("/v1/runs/{run}")).await;
        assert_eq!((foreign.status, foreign.body), (absent.status, absent.body));
    }

    #[tokio::test]
    async fn refuses_what_it_does_not_understand() {
        let (app, _) = start().await;
        assert_snapshot!(app.as_viewer("acme").get("/v1/runs/a%20b").await, @"
        400 Bad Request
        invalid-path: A run id is 1 to 1,024 characters of A-Z, a-z, 0-9, '.', '_', '-', '~', ':' and '@'.
        ");
        assert_eq!(app.as_viewer("acme").get("/v1/runs/run_1?x").await.problem(), "invalid-query");
    }

    #[tokio::test]
    async fn is_for_those_who_may_read() {
        let (app, _, run) = with_a_run().await;
        assert_eq!(app.anonymous().get(format!("/v1/runs/{run}")).await.problem(), "unauthorized");
        let writer = app.as_api_key(&[Scope::RunsWrite], "acme").get(format!("/v1/runs/{run}")).await;
        assert_eq!(writer.problem(), "forbidden");
    }
}

#[tokio::test]
async fn a_run_whose_build_is_gone_ends_and_blocks_nothing() {
    let (app, ci, run) = with_a_run().await;
    ci.set_status("1", RunStatus::Running);
    ci.forget_builds();
    let path = format!("/v1/runs/{run}");
    let gone = |run: &serde_json::Value| {
        (
            run["status"].as_str() == Some("errored"),
            run["reason"]["code"].as_str() == Some("gone_from_provider"),
        )
    };
    let listed = app.as_viewer("acme").get("/v1/jobs/deploy/runs").await;
    assert_eq!(gone(&listed.body["runs"][0]), (true, true), "{listed}");
    let shown = app.as_viewer("acme").get(&path).await;
    assert_eq!(
        (gone(&shown.body["run"]), &shown.body["run"]["stale"]),
        ((true, true), &json!(null)),
        "{shown}"
    );
    let cancelled = app.as_developer("acme").post(format!("{path}/cancel")).await;
    assert_eq!(cancelled.problem(), "run-ended");
    let again = app.as_developer("acme").post(format!("{path}/rerun")).await;
    assert_eq!((again.status.as_u16(), again.problem()), (409, "provider-refused"), "{again}");
    assert_eq!(ci.started().len(), 1);
}
