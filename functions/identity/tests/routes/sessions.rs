use std::time::Duration;

use futures_util::future::join_all;
use gatehouse_domain::{access::Scope, clock::Clock, users::LONGEST_WAIT};
use gatehouse_testkit::app::{Call, Client, TestApp, callers};
use insta::assert_snapshot;
use serde_json::json;

use crate::{log_in, start, with_grace};

mod login {
    use super::*;

    #[tokio::test]
    async fn answers_a_session_for_twelve_hours() {
        let (app, _) = with_grace().await;
        let mut answer = log_in(&app, "grace", "blue canary only").await;
        let token = answer.body["token"].as_str().unwrap().to_owned();
        assert_eq!(token.split('.').count(), 3, "{token}");
        answer.body["token"] = json!("(a token)");
        assert_snapshot!(answer, @r#"
        200 OK
        {
          "expires_at": "2026-09-22T02:13:20Z",
          "required_action": "change_password",
          "token": "(a token)",
          "token_type": "Bearer",
          "user": {
            "created_at": "2026-09-21T14:13:20Z",
            "display_name": "Grace",
            "must_change_password": true,
            "roles": {
              "acme": "developer"
            },
            "second_factor": false,
            "state": "active",
            "updated_at": "2026-09-21T14:13:20Z",
            "updated_by": "user:root",
            "user_name": "grace"
          }
        }
        "#);
    }

    #[tokio::test]
    async fn an_unknown_user_and_a_wrong_password_get_the_same_answer() {
        let (app, created) = with_grace().await;
        let wrong = log_in(&app, "grace", "not the password").await;
        assert_snapshot!(wrong, @"
        401 Unauthorized
        login-refused: The user name or the password is wrong.
        ");
        let cases = [
            ("nobody", "blue canary only"),
            ("grace", ""),
            ("GRACE", "blue canary only"),
            ("", ""),
            ("grace#", "blue canary only"),
        ];
        for (name, password) in cases {
            let answer = log_in(&app, name, password).await;
            assert_eq!((answer.status, &answer.body), (wrong.status, &wrong.body), "{name}");
        }
        let disable = app.as_platform_admin().patch("/v1/users/grace").if_match(created.etag());
        assert_eq!(disable.json(&json!({ "state": "disabled" })).await.status, 200);
        let disabled = log_in(&app, "grace", "blue canary only").await;
        assert_eq!((disabled.status, disabled.body), (wrong.status, wrong.body));
    }

    #[tokio::test]
    async fn failed_attempts_are_limited_and_attempts_that_succeed_are_not() {
        let (app, _) = with_grace().await;
        let mut statuses = Vec::new();
        for _ in 0..25 {
            statuses.push(log_in(&app, "grace", "blue canary only").await.status.as_u16());
        }
        assert_eq!(statuses, [200; 25]);
        // However many come at once: the six of where she is known, and the five that strangers have at once.
        let guesses = join_all((0..40).map(async |_| log_in(&app, "grace", "a wrong guess").await)).await;
        assert_eq!(guesses.iter().filter(|answer| answer.status == 401).count(), 11);
        assert_eq!(guesses.iter().filter(|answer| answer.problem() == "throttled").count(), 29);
        // The right password makes no difference, until the window ends.
        let throttled = log_in(&app, "grace", "blue canary only").await;
        assert_snapshot!(throttled, @"
        429 Too Many Requests
        retry-after: 41
        throttled: Too many attempts failed; try again later.
        ");
        app.system.advance(LONGEST_WAIT);
        assert_eq!(log_in(&app, "grace", "blue canary only").await.status, 200);
    }

    #[tokio::test]
    async fn the_limit_of_an_account_does_not_touch_other_accounts() {
        let (app, _) = with_grace().await;
        for _ in 0..5 {
            assert_eq!(log_in(&app, "nobody", "a wrong guess").await.status, 401);
        }
        assert_eq!(log_in(&app, "nobody", "a wrong guess").await.problem(), "throttled");
        assert_eq!(log_in(&app, "grace", "blue canary only").await.status, 200);
    }

    #[tokio::test]
    async fn an_owner_gets_in_from_where_they_did_before_while_their_account_is_attacked() {
        let (app, _) = with_grace().await;
        let from = |address: &str, password: &str| log_in(&app, "grace", password).from_address(address);
        assert_eq!(from("198.51.100.7", "blue canary only").await.status, 200);
        assert_eq!(from("2001:db8:1:2::3", "blue canary only").await.status, 200);
        for guess in 0..60 {
            from(&format!("203.0.113.{guess}"), "a wrong guess").await;
        }
        let stranger = from("203.0.113.200", "blue canary only").await;
        assert_eq!(stranger.problem(), "throttled");
        let wait = stranger.header("retry-after").parse().map(Duration::from_secs).unwrap();
        assert!(wait <= LONGEST_WAIT + Duration::from_secs(1), "{wait:?}");
        for address in ["198.51.100.7", "2001:db8:1:2::3", "2001:db8:1:2:ffff::1"] {
            assert_eq!(from(address, "blue canary only").await.status, 200, "{address}");
        }
        assert_eq!(from("2001:db8:1:3::3", "blue canary only").await.problem(), "throttled");
    }

    #[tokio::test]
    async fn a_password_that_is_reset_makes_every_network_strange() {
        let (app, _) = with_grace().await;
        assert_eq!(log_in(&app, "grace", "blue canary only").await.status, 200);
        let reset = json!({ "password": "green canary only" });
        let root = app.as_platform_admin();
        assert_eq!(root.post("/v1/users/grace/password").json(&reset).await.status, 200);
        let guesses = join_all((0..40).map(async |_| log_in(&app, "grace", "a wrong guess").await)).await;
        assert_eq!(guesses.iter().filter(|answer| answer.status == 401).count(), 5);
    }

    #[tokio::test]
    async fn attempts_that_are_throttled_are_counted_in_one_entry_of_the_trail() {
        let (app, _) = with_grace().await;
        join_all((0..40).map(async |_| log_in(&app, "grace", "a wrong guess").await)).await;
        let trail = app.as_platform_admin().get("/v1/audit?actor=user:grace&limit=100").await;
        let entries = trail.body["entries"].as_array().unwrap();
        let (counted, single): (Vec<_>, Vec<_>) = entries.iter().partition(|entry| entry["count"].is_u64());
        assert_eq!((counted.len(), single.len()), (1, 5), "{trail}");
        let entry = counted[0];
        assert_eq!((&entry["count"], &entry["detail"]), (&json!(35), &json!("too many attempts")));
        assert_eq!((&entry["action"], &entry["outcome"]), (&json!("session.login"), &json!("refused")));
        assert_eq!(entry["at"], "2026-09-21T14:00:00Z", "it is of its window");
    }

    #[tokio::test]
    async fn takes_the_form_of_a_page_and_of_oauth() {
        const FORM: &str = "application/x-www-form-urlencoded";
        let (app, _) = with_grace().await;
        let login = async |form: &'static str| app.anonymous().post("/auth/login").body(FORM, form).await;
        let oauth = "grant_type=password&username=grace&password=blue+canary%20only&scope=&client_id=web";
        for form in ["username=grace&password=blue+canary+only", oauth] {
            let answer = login(form).await;
            assert_eq!(
                (answer.status.as_u16(), &answer.body["token_type"]),
                (200, &json!("Bearer")),
                "{answer}"
            );
        }
        let body = json!({
            "username": "grace", "password": "blue canary only", "code": null,
            "grant_type": "password", "scope": "", "client_id": null, "client_secret": null,
        });
        assert_eq!(app.anonymous().post("/auth/login").json(&body).await.status, 200);
        assert_snapshot!(login("username=grace&password=blue+canary").await, @"
        401 Unauthorized
        login-refused: The user name or the password is wrong.
        ");
        assert_snapshot!(login("email=grace&password=blue+canary+only").await, @r#"
        422 Unprocessable Entity
        validation-failed: Refused: `/email`.
          "/email": unknown field `email`, expected one of `username`, `password`, `code`
        "#);
        assert_snapshot!(login("username=grace&username=ada&password=blue+canary+only").await, @r#"
        422 Unprocessable Entity
        validation-failed: Refused: `/username`.
          "/username": this member is there more than once
        "#);
        assert_snapshot!(login("username=grace").await, @r#"
        422 Unprocessable Entity
        validation-failed: Refused: the body itself.
          "": missing field `password`
        "#);
        assert_snapshot!(login("").await, @r#"
        422 Unprocessable Entity
        validation-failed: Refused: the body itself.
          "": missing field `username`
        "#);
    }

    #[tokio::test]
    async fn refuses_bodies_that_are_no_login() {
        let app = start().await;
        let login = || app.anonymous().post("/auth/login");
        assert_snapshot!(login().json(&json!({ "user": "grace" })).await, @r#"
        422 Unprocessable Entity
        validation-failed: Refused: `/user`.
          "/user": unknown field `user`, expected one of `username`, `password`, `code`
        "#);
        assert_snapshot!(login().body("text/plain", "grace").await, @"
        415 Unsupported Media Type
        unsupported-media-type: Send the body as `Content-Type: application/json`.
        ");
        assert_eq!(login().body("application/json", "{").await.problem(), "malformed-body");
        let query =
            app.anonymous().post("/auth/login?next=/").json(&json!({ "username": "", "password": "" }));
        assert_eq!(query.await.problem(), "invalid-query");
    }
}

mod show_caller {
    use super::*;

    #[tokio::test]
    async fn says_who_is_calling() {
        let app = start().await;
        let me = async |client: Client<'_>| client.get("/auth/me").await;
        assert_snapshot!(me(app.as_person("dev", "acme=developer,beta=viewer")).await, @r#"
        200 OK
        {
          "kind": "user",
          "roles": {
            "acme": "developer",
            "beta": "viewer"
          },
          "subject": "dev",
          "tenants": [
            "acme",
            "beta"
          ]
        }
        "#);
        assert_snapshot!(me(app.as_platform_admin()).await, @r#"
        200 OK
        {
          "kind": "user",
          "roles": {
            "*": "admin"
          },
          "subject": "root",
          "tenants": "*"
        }
        "#);
        assert_snapshot!(me(app.as_api_key(&[Scope::JobsRead], "acme")).await, @r#"
        200 OK
        {
          "kind": "api_key",
          "scopes": [
            "jobs:read"
          ],
          "subject": "key_test",
          "tenants": [
            "acme"
          ]
        }
        "#);
        assert_snapshot!(me(app.as_service("acme", "payments", "worker")).await, @r#"
        200 OK
        {
          "kind": "service",
          "project": "payments",
          "service": "worker",
          "subject": "tok_#1",
          "tenants": [
            "acme"
          ]
        }
        "#);
    }

    #[tokio::test]
    async fn a_token_that_ends_soon_is_told_so() {
        let app = start().await;
        let days = |days: u64| app.system.now() + std::time::Duration::from_hours(days * 24);
        let service = || app.as_service("acme", "payments", "worker");
        let soon = service().expiring_at(days(13)).get("/auth/me").await;
        assert_eq!(soon.header("x-token-expires-at"), days(13).to_string());
        let later = service().expiring_at(days(15)).get("/auth/me").await;
        assert_eq!(later.header("x-token-expires-at"), "");
    }

    #[tokio::test]
    async fn refuses_nobody_and_queries() {
        let app = start().await;
        assert_eq!(app.anonymous().get("/auth/me").await.problem(), "unauthorized");
        assert_eq!(app.as_viewer("acme").get("/auth/me?all").await.problem(), "invalid-query");
    }
}

mod log_out {
    use super::*;

    /// `grace`, in the session that began last.
    async fn as_grace(app: &TestApp) -> Client<'_> {
        use gatehouse_domain::users::FindUser;

        assert_eq!(log_in(app, "grace", "blue canary only").await.status, 200);
        let user = app.table.table.find_user(&"grace".parse().unwrap()).await.unwrap().unwrap();
        let session = user.sessions.keys().next_back().expect("a session");
        app.as_caller(callers::person("grace", "acme=developer", session.as_str()))
    }

    #[tokio::test]
    async fn ends_the_callers_session_and_flushes() {
        use gatehouse_domain::users::FindAccount;

        let (app, _) = with_grace().await;
        let grace = as_grace(&app).await;
        assert_snapshot!(grace.post("/auth/logout").await, @r#"
        200 OK
        {
          "effective_by": "2026-09-21T14:13:20Z",
          "flushed": true
        }
        "#);
        assert_eq!(app.flushes.count(), 1);
        let account = app.table.table.find_account(&"grace".parse().unwrap()).await.unwrap().unwrap();
        assert!(account.sessions.is_empty(), "{:?}", account.sessions);
        // Again is fine.
        assert_eq!(grace.post("/auth/logout").await.status, 200);
    }

    #[tokio::test]
    async fn is_for_people() {
        let app = start().await;
        assert_eq!(app.anonymous().post("/auth/logout").await.problem(), "unauthorized");
        assert_snapshot!(app.as_api_key(&[Scope::All], "*").post("/auth/logout").await, @"
        403 Forbidden
        forbidden: This takes the session of a person.
        ");
        assert_eq!(
            app.as_service("acme", "payments", "worker").post("/auth/logout").await.problem(),
            "forbidden"
        );
    }
}

mod change_password {
    use super::*;

    fn change<'a>(app: &'a TestApp, current: &str, new: &str) -> Call<'a> {
        let body = json!({ "current_password": current, "new_password": new });
        app.as_person("grace", "acme=developer").post("/auth/password").json(&body)
    }

    #[tokio::test]
    async fn replaces_the_password_and_flushes() {
        let (app, _) = with_grace().await;
        assert_snapshot!(change(&app, "blue canary only", "green canary only").await, @r#"
        200 OK
        {
          "effective_by": "2026-09-21T14:13:20Z",
          "flushed": true
        }
        "#);
        assert_eq!(log_in(&app, "grace", "blue canary only").await.problem(), "login-refused");
        assert_eq!(log_in(&app, "grace", "green canary only").await.status, 200);
    }

    #[tokio::test]
    async fn refuses_a_wrong_password_and_one_that_is_too_weak() {
        let (app, _) = with_grace().await;
        assert_snapshot!(change(&app, "wrong", "green canary only").await, @"
        401 Unauthorized
        login-refused: The current password is wrong.
        ");
        assert_snapshot!(change(&app, "blue canary only", "password").await, @r#"
        422 Unprocessable Entity
        validation-failed: Refused: `/new_password`.
          "/new_password": is one of the first that anybody would try: it is, or resembles, a common password
        "#);
        let body = json!({ "current_password": "blue canary only" });
        let incomplete = app.as_person("grace", "acme=developer").post("/auth/password").json(&body);
        assert_eq!(incomplete.await.problem(), "validation-failed");
        assert_eq!(log_in(&app, "grace", "blue canary only").await.status, 200);
    }

    #[tokio::test]
    async fn whoever_has_a_session_cannot_guess_its_password_for_long() {
        let (app, _) = with_grace().await;
        let guesses = (0..40).map(async |_| change(&app, "a wrong guess", "green canary only").await);
        let guesses = join_all(guesses).await;
        assert_eq!(guesses.iter().filter(|answer| answer.problem() == "login-refused").count(), 6);
        assert_eq!(guesses.iter().filter(|answer| answer.problem() == "throttled").count(), 34);
        assert_snapshot!(change(&app, "blue canary only", "green canary only").await, @"
        429 Too Many Requests
        retry-after: 2801
        throttled: Too many attempts failed; try again later.
        ");
    }

    #[tokio::test]
    async fn guesses_with_a_session_are_in_the_trail_and_take_nothing_from_logging_in() {
        let (app, _) = with_grace().await;
        join_all((0..9).map(async |_| change(&app, "a wrong guess", "green canary only").await)).await;
        let trail = app.as_platform_admin().get("/v1/audit?actor=user:grace&limit=100").await;
        let entries = trail.body["entries"].as_array().unwrap();
        let refused =
            entries.iter().filter(|it| it["action"] == "user.password_change" && it["outcome"] == "refused");
        let counts: Vec<_> = refused.map(|entry| entry["count"].as_u64().unwrap_or(1)).collect();
        assert_eq!((counts.len(), counts.iter().sum::<u64>()), (7, 9), "{trail}");
        let logins = join_all((0..5).map(async |_| log_in(&app, "grace", "a wrong guess").await)).await;
        assert!(logins.iter().all(|answer| answer.problem() == "login-refused"));
    }

    #[tokio::test]
    async fn is_for_people() {
        let app = start().await;
        let body = json!({ "current_password": "blue canary only", "new_password": "green canary only" });
        assert_eq!(app.anonymous().post("/auth/password").json(&body).await.problem(), "unauthorized");
        let key = app.as_api_key(&[Scope::All], "*").post("/auth/password").json(&body).await;
        assert_eq!(key.problem(), "forbidden");
        // Whose user was deleted meanwhile.
        assert_snapshot!(app.as_viewer("acme").post("/auth/password").json(&body).await, @"
        404 Not Found
        not-found: There is no such user.
        ");
    }
}
