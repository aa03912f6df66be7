//! Points 1 to 4 of what a fake server must get right: tokens, scopes, roles and the order of refusals.

use gatehouse_testkit::concourse::{ConcourseTwin, JobBuilder, Role, Script, Version};
use serde_json::json;

use crate::client::{Client, FLY, JOB, SCOPES, one_job};

#[tokio::test]
async fn a_login_gives_an_opaque_token_that_works() {
    let twin = one_job(Script::quick()).start().await;
    let client = Client::anonymous(&twin);
    let mut tokens = Vec::new();
    for _ in 0..4 {
        let reply = client.password("ci-gateway", "s3cret", SCOPES).await;
        assert_eq!((reply.status.as_u16(), reply.header("cache-control")), (200, "no-store"));
        assert_eq!(reply.header("pragma"), "no-cache");
        assert_eq!(reply.json()["token_type"], "bearer");
        assert_eq!(reply.json()["expires_in"], 86_399);
        tokens.push(reply.json()["access_token"].as_str().unwrap().to_owned());
    }
    assert!(tokens.iter().all(|token| token.len() == 38));
    assert!(tokens.iter().any(|token| token.contains('+') && token.contains('/')));
    for token in tokens {
        assert_eq!(client.with_token(&token).get("/api/v1/user").await.status, 200);
    }
    assert_eq!(twin.token_requests(), 4);
}

#[tokio::test]
async fn the_id_token_is_no_bearer() {
    let twin = one_job(Script::quick()).start().await;
    let client = Client::anonymous(&twin);
    let reply = client.password("ci-gateway", "s3cret", SCOPES).await.json();
    let with_id_token = client.with_token(reply["id_token"].as_str().unwrap());
    assert_eq!(with_id_token.get("/api/v1/user").await.status, 401);
}

#[tokio::test]
async fn the_client_may_authenticate_in_the_form() {
    let twin = one_job(Script::quick()).start().await;
    let form = [
        ("grant_type", "password"),
        ("client_id", "fly"),
        ("client_secret", "Zmx5"),
        ("username", "ci-gateway"),
        ("password", "s3cret"),
        ("scope", SCOPES),
    ];
    let reply = Client::anonymous(&twin).token_request(None, &form).await;
    assert_eq!(reply.status, 200);
}

#[tokio::test]
async fn the_token_endpoint_says_what_is_wrong() {
    let twin = one_job(Script::quick()).start().await;
    let client = Client::anonymous(&twin);
    let grant = |scope, password| {
        [("grant_type", "password"), ("username", "ci-gateway"), ("password", password), ("scope", scope)]
    };
    let cases = [
        (Some(FLY), grant("openid", "wrong").to_vec(), 401, "access_denied"),
        (Some("Basic Zmx5OndyYW5n"), grant("openid", "s3cret").to_vec(), 401, "invalid_client"),
        (None, grant("openid", "s3cret").to_vec(), 401, "invalid_client"),
        (Some(FLY), grant("federated:id", "s3cret").to_vec(), 400, "invalid_request"),
        (Some(FLY), grant("openid nonsense", "s3cret").to_vec(), 400, "invalid_request"),
        (Some(FLY), vec![("grant_type", "magic")], 400, "unsupported_grant_type"),
    ];
    for (authorization, form, status, error) in cases {
        let reply = client.token_request(authorization, &form).await;
        assert_eq!(
            (reply.status.as_u16(), reply.json()["error"].as_str()),
            (status, Some(error)),
            "{form:?}"
        );
    }
    let reply = client.get("/sky/issuer/token").await;
    assert_eq!(
        (reply.status.as_u16(), reply.json()["error_description"].as_str()),
        (400, Some("method not allowed"))
    );
}

#[tokio::test]
async fn without_local_users_there_is_no_password_grant() {
    let twin = ConcourseTwin::builder().start().await;
    let reply = Client::anonymous(&twin).password("ci-gateway", "s3cret", SCOPES).await;
    assert_eq!(reply.status, 400);
    assert_eq!(reply.json()["error_description"], "Requested connector does not exist.");
}

#[tokio::test]
async fn a_client_may_have_a_role_of_its_own() {
    let twin = ConcourseTwin::builder()
        .client("gate way", "s&cret")
        .team("main", |team| team.role("client:gate way", Role::PipelineOperator))
        .start()
        .await;
    let client = Client::anonymous(&twin);
    let form = [("grant_type", "client_credentials"), ("scope", "openid federated:id")];
    // `gate+way:s%26cret`: both halves are escaped inside the Basic header.
    let reply = client.token_request(Some("Basic Z2F0ZSt3YXk6cyUyNmNyZXQ="), &form).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let client = client.with_token(reply.json()["access_token"].as_str().unwrap());
    let user = client.get("/api/v1/user").await.json();
    assert_eq!(user["connector"], "client");
    assert_eq!(user["teams"], json!({"main": ["pipeline-operator"]}));
}

#[tokio::test]
async fn a_refresh_token_is_good_once() {
    let twin = one_job(Script::quick()).start().await;
    let client = Client::anonymous(&twin);
    let scope = format!("{SCOPES} offline_access");
    let first = client.password("ci-gateway", "s3cret", &scope).await.json();
    let refresh =
        [("grant_type", "refresh_token"), ("refresh_token", first["refresh_token"].as_str().unwrap())];
    let second = client.token_request(Some(FLY), &refresh).await;
    assert_eq!(second.status, 200);
    assert_ne!(second.json()["refresh_token"], first["refresh_token"]);
    assert_eq!(client.token_request(Some(FLY), &refresh).await.status, 400);
}

#[tokio::test]
async fn the_user_sees_roles_and_claims() {
    let twin =
        one_job(Script::quick()).team("ops", |team| team.role("ci-gateway", Role::Viewer)).start().await;
    let user = Client::login(&twin).await.get("/api/v1/user").await.json();
    assert_eq!(
        user,
        json!({
            "sub": "CgpjaS1nYXRld2F5EgVsb2NhbA", "name": "ci-gateway", "user_id": "ci-gateway", "user_name": "",
            "email": "ci-gateway", "is_admin": false, "is_system": false, "connector": "local",
            "teams": {"main": ["pipeline-operator"], "ops": ["viewer"]}, "display_user_id": "ci-gateway",
        })
    );
}

#[tokio::test]
async fn an_openid_only_token_logs_in_and_sees_nothing() {
    let twin = one_job(Script::quick()).start().await;
    let client = Client::login_with(&twin, "ci-gateway", "openid").await;
    let user = client.get("/api/v1/user").await.json();
    assert_eq!(
        (&user["teams"], &user["is_admin"], &user["connector"]),
        (&json!({}), &json!(false), &json!(""))
    );
    for path in ["teams", "pipelines", "teams/main/pipelines", "jobs", "builds"] {
        let reply = client.get(&format!("/api/v1/{path}")).await;
        assert_eq!((reply.status.as_u16(), reply.body.trim()), (200, "[]"), "{path}");
    }
    let reply = client.post(&format!("{JOB}/builds")).await;
    assert_eq!((reply.status.as_u16(), reply.body.as_str()), (403, "forbidden"));
    assert_eq!(client.get(JOB).await.status, 403);
}

#[tokio::test]
async fn a_server_that_grants_only_openid_ignores_better_scopes() {
    let twin = one_job(Script::quick()).grants_only_openid().start().await;
    let client = Client::login(&twin).await;
    assert_eq!(client.get("/api/v1/jobs").await.body.trim(), "[]");
    assert_eq!(client.post(&format!("{JOB}/builds")).await.status, 403);
}

#[tokio::test]
async fn a_role_without_members_is_open_to_everybody() {
    let twin = one_job(Script::quick()).team("old", |team| team.everybody(Role::Viewer)).start().await;
    let client = Client::login_with(&twin, "ci-gateway", "openid").await;
    assert_eq!(client.get("/api/v1/user").await.json()["teams"], json!({"old": ["viewer"]}));
}

#[tokio::test]
async fn groups_count_with_their_scope_only() {
    let twin = one_job(Script::quick())
        .group("ci-gateway", "robots")
        .team("ops", |team| team.group_role("local:robots", Role::Viewer))
        .start()
        .await;
    let with = Client::login(&twin).await.get("/api/v1/user").await.json();
    let without = Client::login_with(&twin, "ci-gateway", "openid federated:id").await;
    assert_eq!(with["teams"]["ops"], json!(["viewer"]));
    assert_eq!(without.get("/api/v1/user").await.json()["teams"].get("ops"), None);
}

#[tokio::test]
async fn an_expired_token_is_refused_even_where_none_is_needed() {
    let twin = one_job(Script::quick()).start().await;
    let client = Client::login(&twin).await;
    twin.expire_tokens();
    for path in ["info", "teams", "pipelines", "jobs", "builds", "user"] {
        let reply = client.get(&format!("/api/v1/{path}")).await;
        assert_eq!((reply.status.as_u16(), reply.body.as_str()), (401, "not authorized"), "{path}");
    }
    let anonymous = Client::anonymous(&twin);
    for path in ["info", "teams", "pipelines", "jobs", "builds"] {
        assert_eq!(anonymous.get(&format!("/api/v1/{path}")).await.status, 200, "{path}");
    }
    assert_eq!(anonymous.get("/api/v1/user").await.status, 401);
}

#[tokio::test]
async fn every_answer_names_the_version() {
    for version in Version::ALL {
        let twin = one_job(Script::quick()).version(version).start().await;
        let client = Client::anonymous(&twin);
        for path in ["info", "user", "teams/main/pipelines/p"] {
            let reply = client.get(&format!("/api/v1/{path}")).await;
            assert_eq!(reply.header("x-concourse-version"), version.as_str(), "{path}");
        }
        assert_eq!(client.get("/api/v1/info").await.json()["version"], version.as_str());
        let has_health = client.get("/api/v1/health").await.status == 200;
        assert_eq!(has_health, version >= Version::V8_3);
    }
}

#[tokio::test]
async fn roles_decide_who_may_do_what() {
    let roles = [Role::Viewer, Role::PipelineOperator, Role::Member, Role::Owner];
    let mut builder = one_job(Script::quick()).user("admin", "s3cret").user("nobody", "s3cret").pipeline(
        "t",
        "p",
        |pipeline| pipeline.job("j", |job| job),
    );
    for (name, role) in [("viewer", 0), ("operator", 1), ("member", 2), ("owner", 3)] {
        builder = builder.user(name, "s3cret").team("t", |team| team.role(name, roles[role]));
    }
    let twin = builder.team("main", |team| team.role("admin", Role::Owner)).start().await;
    let job = "/api/v1/teams/t/pipelines/p/jobs/j";
    let auth = r#"{"auth":{"owner":{"users":["local:owner"]}}}"#;
    // Status of: read, trigger, one-off build, set own team, make a team.
    for (user, expected) in [
        ("nobody", [403, 403, 403, 403, 403]),
        ("viewer", [200, 403, 403, 403, 403]),
        ("operator", [200, 200, 403, 403, 403]),
        ("member", [200, 200, 201, 403, 403]),
        ("admin", [200, 200, 201, 200, 201]),
        ("owner", [200, 200, 201, 200, 403]),
    ] {
        let client = Client::login_with(&twin, user, SCOPES).await;
        let got = [
            client.get(job).await.status,
            client.post(&format!("{job}/builds")).await.status,
            client.call(http::Method::POST, "/api/v1/teams/t/builds", "{}").await.status,
            client.put("/api/v1/teams/t", auth).await.status,
            client.put(&format!("/api/v1/teams/new-by-{user}"), auth).await.status,
        ];
        assert_eq!(got.map(|status| status.as_u16()), expected, "{user}");
        if user == "admin" {
            // Give back what the admin's new map took away, except to the owner, who is next.
            assert_eq!(
                client.get("/api/v1/teams/t").await.json()["auth"]["owner"]["users"][0],
                "local:owner"
            );
        }
    }
    let admin = Client::login_with(&twin, "admin", SCOPES).await;
    assert_eq!(admin.put("/api/v1/teams/t", r#"{"auth":{}}"#).await.status, 400);
}

#[tokio::test]
async fn unknown_things_are_404_before_401_and_403() {
    let twin = one_job(Script::quick()).user("nobody", "s3cret").start().await;
    let build = Client::login(&twin).await.trigger(JOB).await;
    let nobody = Client::login_with(&twin, "nobody", SCOPES).await;
    let anonymous = Client::anonymous(&twin);
    let elsewhere = "/api/v1/teams/main/pipelines/none/jobs/j";
    for client in [&anonymous, &nobody] {
        assert_eq!(client.post(&format!("{elsewhere}/builds")).await.status, 404);
        assert_eq!(client.get(&format!("{elsewhere}/builds")).await.status, 404);
        assert_eq!(client.get("/api/v1/builds/999").await.status, 404);
        assert_eq!(client.get("/api/v1/builds/abc").await.status, 400);
    }
    let cases = [
        (&anonymous, "/api/v1/builds/999/abort".to_owned(), 401),
        (&anonymous, format!("/api/v1/builds/{build}/abort"), 401),
        (&nobody, "/api/v1/builds/999/abort".to_owned(), 404),
        (&nobody, format!("/api/v1/builds/{build}/abort"), 403),
    ];
    for (client, path, status) in cases {
        assert_eq!(client.put(&path, "").await.status, status, "{path}");
    }
    assert_eq!(anonymous.post(&format!("{JOB}/builds")).await.status, 401);
    assert_eq!(nobody.post(&format!("{JOB}/builds")).await.status, 403);
    assert_eq!(anonymous.get(&format!("/api/v1/builds/{build}")).await.status, 401);
    assert_eq!(nobody.get(&format!("/api/v1/builds/{build}/events")).await.status, 403);
}

#[tokio::test]
async fn public_pipelines_are_open_and_their_logs_only_with_a_public_job() {
    let twin = ConcourseTwin::builder()
        .pipeline("main", "p", |pipeline| {
            pipeline.public().job("open", JobBuilder::public).job("closed", |job| job)
        })
        .start()
        .await;
    let anonymous = Client::anonymous(&twin);
    let [open, closed] = ["open", "closed"].map(|job| twin.schedule("main", "p", job));
    assert_eq!(anonymous.get(&format!("/api/v1/builds/{closed}")).await.status, 200);
    assert_eq!(anonymous.get(&format!("/api/v1/builds/{closed}/events")).await.status, 401);
    assert_eq!(anonymous.events(open, &[]).await.status, 200);
    assert_eq!(anonymous.post("/api/v1/teams/main/pipelines/p/jobs/open/builds").await.status, 401);
}

#[tokio::test]
async fn revoked_roles_are_gone_at_once() {
    let twin = one_job(Script::quick()).start().await;
    let client = Client::login(&twin).await;
    client.trigger(JOB).await;
    twin.revoke_roles("main", "ci-gateway");
    assert_eq!(client.post(&format!("{JOB}/builds")).await.status, 403);
    assert_eq!(client.get("/api/v1/user").await.json()["teams"], json!({}));
}
