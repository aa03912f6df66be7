use gatehouse_domain::{
    access::Scope,
    ci::{CheckReport, CiErrorKind, Outlook, ScopeCheck},
};
use insta::assert_snapshot;

use crate::start_with_ci;

fn report(trigger: bool) -> CheckReport {
    let scope = ScopeCheck {
        scope: "main".to_owned(),
        roles: vec!["viewer".to_owned()],
        list: true,
        trigger,
        watch: true,
        cancel: trigger,
        remedy: (!trigger).then(|| "give the role `pipeline-operator`".to_owned()),
    };
    CheckReport {
        version: Some("7.11.0".to_owned()),
        identity: Some("local:ci".to_owned()),
        scopes: vec![scope],
        ..CheckReport::default()
    }
}

#[tokio::test]
async fn says_what_will_work() {
    let (app, ci) = start_with_ci().await;
    ci.set_report(report(true));
    assert_snapshot!(app.as_platform_admin().post("/v1/providers/ci/check").await, @r#"
    200 OK
    {
      "check": {
        "identity": "local:ci",
        "jobs": [],
        "ok": true,
        "problems": [],
        "teams": [
          {
            "cancel": true,
            "list": true,
            "roles": [
              "viewer"
            ],
            "team": "main",
            "trigger": true,
            "watch": true
          }
        ],
        "version": "7.11.0"
      }
    }
    "#);
}

#[tokio::test]
async fn says_what_would_mend_what_does_not() {
    let (app, ci) = start_with_ci().await;
    ci.set_report(report(false));
    assert_snapshot!(app.as_platform_admin().post("/v1/providers/ci/check").await, @r#"
    200 OK
    {
      "check": {
        "identity": "local:ci",
        "jobs": [],
        "ok": false,
        "problems": [],
        "teams": [
          {
            "cancel": false,
            "list": true,
            "remedy": "give the role `pipeline-operator`",
            "roles": [
              "viewer"
            ],
            "team": "main",
            "trigger": false,
            "watch": true
          }
        ],
        "version": "7.11.0"
      }
    }
    "#);
    ci.set_report(CheckReport { problems: vec!["too old".to_owned()], ..report(true) });
    assert_eq!(app.as_platform_admin().post("/v1/providers/ci/check").await.body["check"]["ok"], false);
}

#[tokio::test]
async fn says_of_each_job_what_a_trigger_would_do() {
    let (app, ci) = start_with_ci().await;
    for id in ["a", "b", "c", "d"] {
        let mut job = crate::job("payments");
        job["provider"]["name"] = "ci".into();
        assert_eq!(app.as_admin("acme").put(format!("/v1/jobs/{id}")).json(&job).await.status, 201);
    }
    let outlooks = vec![
        Outlook::Begins,
        Outlook::Waits("it is paused".to_owned()),
        Outlook::Fails("there is no such pipeline".to_owned()),
        Outlook::Unknown("nobody knows".to_owned()),
    ];
    ci.set_report(CheckReport { outlooks, ..report(true) });
    let check = app.as_platform_admin().post("/v1/providers/ci/check").await.body["check"].clone();
    assert_eq!(check["ok"], false);
    assert_snapshot!(serde_json::to_string_pretty(&[&check["jobs"], &check["problems"]]).unwrap(), @r#"
    [
      [
        {
          "detail": "it is paused",
          "job_id": "b",
          "trigger": "waits"
        },
        {
          "detail": "there is no such pipeline",
          "job_id": "c",
          "trigger": "fails"
        },
        {
          "detail": "nobody knows",
          "job_id": "d",
          "trigger": "unknown"
        }
      ],
      [
        "job `c`: there is no such pipeline"
      ]
    ]
    "#);
}

#[tokio::test]
async fn reports_what_stands_in_the_way_of_the_check() {
    let (app, ci) = start_with_ci().await;
    ci.fail(Some(CiErrorKind::Unavailable));
    assert_snapshot!(app.as_platform_admin().post("/v1/providers/ci/check").await, @r#"
    200 OK
    {
      "check": {
        "jobs": [],
        "ok": false,
        "problems": [
          "the CI system says why"
        ],
        "teams": []
      }
    }
    "#);
    ci.fail(Some(CiErrorKind::Unsupported));
    assert_snapshot!(app.as_platform_admin().post("/v1/providers/ci/check").await, @"
    422 Unprocessable Entity
    not-supported: The CI system says why.
    ");
}

#[tokio::test]
async fn needs_a_provider() {
    let (app, _) = start_with_ci().await;
    assert_snapshot!(app.as_platform_admin().post("/v1/providers/gone/check").await, @"
    404 Not Found
    not-found: There is no such provider.
    ");
    let query = app.as_platform_admin().post("/v1/providers/ci/check?who=Ada").await;
    assert_eq!(query.problem(), "invalid-query");
    assert_eq!(app.as_platform_admin().post("/v1/providers/a%00/check").await.problem(), "invalid-path");
}

#[tokio::test]
async fn is_for_platform_admins() {
    let (app, _) = start_with_ci().await;
    let path = "/v1/providers/ci/check";
    assert_eq!(app.anonymous().post(path).await.problem(), "unauthorized");
    assert_snapshot!(app.as_admin("acme").post(path).await, @"
    403 Forbidden
    forbidden: This takes an API key for all tenants with the scope `providers:write`, or a platform admin.
    ");
    assert_eq!(app.as_api_key(&[Scope::ProvidersRead], "*").post(path).await.problem(), "forbidden");
}
