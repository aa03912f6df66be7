//! Every operation against every kind of caller: one reviewed table. An operation without a row fails.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use gatehouse_domain::access::ENDPOINTS;
use http::Method;
use serde_json::{Value, json};

use super::previous_owner::{OwnedBefore, REBORN};
use crate::support::{
    Anonymous, Call, Client, Key, Resume, TestStack,
    catalog::deployed_by,
    events::EventReader,
    forger::{self, Forger, with},
    people::{Bearer, Person},
};

/// What each caller gets. `+` is admitted: whatever the operation says of the request then, it is neither
/// 401 nor 403 nor 404. `.` is 404, as if the thing had never been. `x` is 403. `-` is 401.
///
/// Nobody stands for everybody whose credential opens nothing: none at all, malformed, expired, revoked,
/// of a wrong audience, of a wrong kind, a key of somebody who may not log in or holds less by now. The other admin stands
/// for everybody of another tenant, which also had the names of the job and the project that requests are about before.
const TABLE: &str = "
                       nobody viewer developer admin other-admin root key key-without service
    list_jobs              -      +       +       +       +       +    +       x         x
    show_job               -      +       +       +       .       +    +       x         x
    put_job                -      x       x       +       +       +    +       x         x
    delete_job             -      x       x       +       .       +    +       x         x
    import_jobs            -      x       x       +       +       +    +       x         x
    discover_jobs          -      x       x       x       x       +    x       x         x
    list_providers         -      +       +       +       +       +    +       x         x
    show_provider          -      +       +       +       +       +    +       x         x
    put_provider           -      x       x       x       x       +    x       x         x
    delete_provider        -      x       x       x       x       +    x       x         x
    check_provider         -      x       x       x       x       +    x       x         x
    trigger_run            -      x       +       +       .       +    +       x         x
    list_runs              -      +       +       +       .       +    +       x         x
    show_run               -      +       +       +       .       +    +       x         x
    stream_run_events      -      +       +       +       .       +    +       x         x
    show_run_log           -      +       +       +       .       +    +       x         x
    cancel_run             -      x       +       +       .       +    +       x         x
    rerun_run              -      x       +       +       .       +    +       x         x
    show_caller            -      +       +       +       +       +    +       +         +
    log_out                -      +       +       +       +       +    x       x         x
    reauthenticate         -      +       +       +       +       +    x       x         x
    list_sessions          -      +       +       +       +       +    x       x         x
    end_other_sessions     -      +       +       +       +       +    x       x         x
    end_session            -      +       +       +       +       +    x       x         x
    enrol_second_factor    -      +       +       +       +       +    x       x         x
    confirm_second_factor  -      +       +       +       +       +    x       x         x
    renew_recovery_codes   -      +       +       +       +       +    x       x         x
    remove_second_factor   -      +       +       +       +       +    x       x         x
    change_password        -      +       +       +       +       +    x       x         x
    list_users             -      x       x       x       x       +    x       x         x
    create_user            -      x       x       x       x       +    x       x         x
    show_user              -      x       x       x       x       +    x       x         x
    edit_user              -      x       x       x       x       +    x       x         x
    reset_password         -      x       x       x       x       +    x       x         x
    end_user_sessions      -      x       x       x       x       +    x       x         x
    reset_second_factor    -      x       x       x       x       +    x       x         x
    list_api_keys          -      x       x       x       x       +    x       x         x
    mint_api_key           -      x       x       x       x       +    x       x         x
    show_api_key           -      x       x       x       x       +    x       x         x
    revoke_api_key         -      x       x       x       x       +    x       x         x
    list_tokens            -      x       x       +       +       +    +       x         x
    mint_token             -      x       x       +       +       +    +       x         x
    show_token             -      x       x       +       .       +    +       x         x
    revoke_token           -      x       x       +       .       +    +       x         x
    rotate_token           -      x       x       +       .       +    +       x         x
    list_signing_keys      -      x       x       x       x       +    x       x         x
    rotate_signing_key     -      x       x       x       x       +    x       x         x
    list_audit             -      x       x       +       +       +    +       x         x
    list_tenants           -      +       +       +       +       +    +       x         x
    put_tenant             -      x       x       x       x       +    x       x         x
    delete_tenant          -      x       x       x       x       +    x       x         x
    list_projects          -      +       +       +       +       +    +       x         x
    show_project           -      +       +       +       .       +    +       x         x
    put_project            -      x       x       +       +       +    +       x         x
    delete_project         -      x       x       +       .       +    +       x         x
    list_services          -      +       +       +       +       +    +       x         x
    create_service         -      x       +       +       +       +    +       x         x
    show_service           -      +       +       +       .       +    +       x         x
    show_status            -      +       +       +       .       +    +       x         x
    show_deploy_status     -      +       +       +       .       +    +       x         x
    list_all_operations    -      +       +       +       +       +    +       x         x
    find_operation         -      +       +       +       .       +    +       x         x
    list_operations        -      +       +       +       .       +    +       x         x
    show_operation         -      +       +       +       .       +    +       x         x
    put_service            -      x       +       +       .       +    +       x         x
    delete_service         -      x       +       +       .       +    +       x         x
    import_entities        -      x       +       +       +       +    +       x         x
    list_modules           -      +       +       +       +       +    +       x         x
    show_module            -      +       +       +       +       +    +       x         x
    put_module             -      x       x       x       x       +    x       x         x
    delete_module          -      x       x       x       x       +    x       x         x
    list_entities          -      +       +       +       +       +    +       x         x
    show_entity            -      +       +       +       .       +    +       x         x
    delete_entity          -      x       +       +       .       +    +       x         x
    provision_service      -      x       +       +       .       +    +       x         x
    deprovision_service    -      x       +       +       .       +    +       x         x
    check_drift            -      x       +       +       .       +    +       x         x
    extend_environment     -      x       +       +       .       +    +       x         x
    deploy_service         -      x       +       +       .       +    +       x         x
    approve_operation      -      x       +       +       .       +    +       x         x
    reject_operation       -      x       +       +       .       +    +       x         x
    cancel_operation       -      x       +       +       .       +    +       x         x
";

/// The table by operation and caller.
fn table() -> BTreeMap<&'static str, BTreeMap<&'static str, char>> {
    let mut lines = TABLE.lines().filter(|line| !line.trim().is_empty());
    let callers: Vec<_> = lines.next().expect("a head").split_whitespace().collect();
    let rows = lines.map(|line| {
        let mut words = line.split_whitespace();
        let operation = words.next().expect("an operation");
        let verdicts: Vec<_> = words.map(|word| word.chars().next().expect("a verdict")).collect();
        assert_eq!(verdicts.len(), callers.len(), "{line}");
        (operation, callers.iter().copied().zip(verdicts).collect())
    });
    rows.collect()
}

#[test]
fn every_operation_has_a_row() {
    let rows: Vec<_> = table().into_keys().collect();
    let mut operations: Vec<_> = ENDPOINTS.iter().map(|operation| operation.id).collect();
    operations.sort_unstable();
    assert_eq!(rows, operations);
}

/// Things of the tenant `example` that requests are about.
pub(super) struct Things {
    pub run: String,
    jti: String,
    key_id: String,
    service: String,
    operation: String,
}

/// A request of each operation about things of the tenant `example`, which changes nothing even when it is
/// admitted, so that it can be sent by everybody: it lacks a precondition, or holds a field that is refused.
pub(super) fn call(operation: &str, things: &Things) -> Call {
    let op = ENDPOINTS.iter().find(|endpoint| endpoint.id == operation).expect("an operation of the table");
    let path = op
        .path
        .replace("{job_id}", REBORN)
        .replace("{kind}/{namespace}/{name}", &format!("component/default/{REBORN}"))
        .replace("{name}", "process")
        .replace("{run_id}", &things.run)
        .replace("{user_name}", "viewer")
        .replace("{session_id}", "ses_00000000000000000000000000")
        .replace("{key_id}", &things.key_id)
        .replace("{jti}", &things.jti)
        .replace("{service_id}", &things.service)
        .replace("{operation_id}", &things.operation)
        .replace("{module}", "example")
        .replace("{tenant}", "example")
        .replace("{project}", REBORN);
    let method: Method = op.methods[0].parse().expect("a method");
    match (operation, body(operation)) {
        // Whoever is in several tenants says whose entity they mean.
        ("show_entity" | "delete_entity", _) => Call::new(method, format!("{path}?tenant=example")),
        ("import_entities", Some(body)) => Call::new(method, format!("{path}?tenant=example")).json(&body),
        ("list_audit", _) => Call::get("/v1/audit?actor=user:nobody"),
        // These take nothing that could be refused but a query.
        (
            "delete_module"
            | "end_session"
            | "end_other_sessions"
            | "end_user_sessions"
            | "enrol_second_factor"
            | "renew_recovery_codes"
            | "remove_second_factor"
            | "reset_second_factor",
            _,
        ) => Call::new(method, format!("{path}?unknown=1")),
        // A run that goes on would keep the stream open; this one has ended.
        (_, None) => Call::new(method, path),
        (_, Some(body)) => Call::new(method, path).json(&body),
    }
}

fn body(operation: &str) -> Option<Value> {
    Some(match operation {
        "put_job" | "put_module" | "put_provider" | "create_user" | "mint_api_key" | "put_tenant"
        | "edit_user" => {
            json!({ "unknown": true })
        }
        "import_jobs" => json!({ "jobs": [] }),
        "import_entities" => json!([]),
        "discover_jobs" => json!({ "project": "example", "provider": "absent" }),
        "trigger_run" => json!({ "parameters": { "unknown": 1 } }),
        "reauthenticate" => json!({ "password": 1 }),
        "confirm_second_factor" => json!({ "code": 1 }),
        "change_password" => json!({ "current_password": "x", "new_password": "short" }),
        "reset_password" => json!({ "password": "short" }),
        "mint_token" => json!({ "project": "example", "service": "worker", "expiresInDays": 0 }),
        "revoke_token" | "revoke_api_key" => json!({ "reason": 1 }),
        "rotate_token" => json!({ "grace_seconds": "soon" }),
        "put_project" | "create_service" | "put_service" => json!({ "unknown": true }),
        "extend_environment" => json!({ "environment": "absent", "hours": 1 }),
        "provision_service" | "deprovision_service" | "check_drift" => json!({ "environment": "absent" }),
        "deploy_service" => json!({ "environment": "absent", "version": "1" }),
        _ => return None,
    })
}

/// Operations whose answer about a foreign thing would need a well-formed request first: what is wrong with
/// the request is said before whose the thing is, which tells nothing of the thing.
const REFUSED_BEFORE_THE_THING: [&str; 5] =
    ["revoke_token", "rotate_token", "mint_token", "put_project", "put_service"];

#[track_caller]
fn judge(operation: &str, caller: &str, expected: char, status: u16, body: &str) {
    let verdict = match status {
        401 if !body.contains("login-refused") => '-',
        403 => 'x',
        404 => '.',
        500.. => '!',
        _ => '+',
    };
    let early = expected == '.' && verdict == '+' && REFUSED_BEFORE_THE_THING.contains(&operation);
    assert!(verdict == expected || early, "{caller} at {operation}: {status}, expected `{expected}`\n{body}");
}

/// Sends what an operation is called with under a credential in the `attempt`th spelling, so that API Gateway
/// has not seen it before, and the next operation under the same spelling, whose verdict is then remembered
/// from a request with another path.
async fn judge_twice(
    client: &Client,
    credential: Option<&str>,
    caller: &str,
    attempt: usize,
    pair: [(&'static str, char); 2],
    things: &Things,
) {
    for (operation, expected) in pair {
        let mut call = call(operation, things);
        if let Some(credential) = credential {
            let spelling = format!("Bearer{}{credential}", " ".repeat(attempt + 1));
            call = call.header("authorization", spelling);
        }
        let answer = client.send(call).await;
        judge(operation, caller, expected, answer.status.as_u16(), &answer.text());
    }
}

#[tokio::test]
async fn every_caller_gets_what_the_table_says() {
    let stack = TestStack::start_with_people().await;
    let things = things(&stack).await;
    let table = table();
    let operations: Vec<_> =
        ENDPOINTS.iter().map(|endpoint| endpoint.id).filter(|id| !is_about_oneself(id)).collect();
    let nobody = stack.client(&Anonymous);
    for (caller, name, credential) in callers(&stack).await {
        for (attempt, operation) in operations.iter().enumerate() {
            let next = operations[(attempt + 1) % operations.len()];
            let pair = [*operation, next].map(|operation| (operation, table[operation][caller]));
            judge_twice(&nobody, credential.as_deref(), &name, attempt, pair, &things).await;
        }
    }
    stack.stop().await;
}

/// Logging out ends the session that the other rows need.
fn is_about_oneself(operation: &str) -> bool {
    operation == "log_out"
}

#[tokio::test]
async fn only_people_log_out() {
    let stack = TestStack::start_with_people().await;
    let table = table();
    let nobody = stack.client(&Anonymous);
    for (caller, name, credential) in callers(&stack).await {
        let mut call = Call::post("/auth/logout");
        if let Some(credential) = &credential {
            call = call.header("authorization", format!("Bearer {credential}"));
        }
        let answer = nobody.send(call).await;
        judge("log_out", &name, table["log_out"][caller], answer.status.as_u16(), &answer.text());
    }
    stack.stop().await;
}

pub(super) async fn things(stack: &TestStack) -> Things {
    let platform = stack.client(&Key::PLATFORM);
    let before = OwnedBefore::begin(stack).await;
    before.end(stack).await;
    stack.client(&Key::EXAMPLE).put_reborn_job().await;
    let run = platform.trigger(REBORN).await;
    platform.ended(&run).await;
    let keys = platform.all("/v1/api-keys", "api_keys").await;
    let key_id = keys[0]["key_id"].as_str().expect("a key has an id").to_owned();
    let jti = platform.mint("worker").await.jti;
    stack.client(&Key::EXAMPLE).import_reborn_component().await;
    let service = platform.create_service(&deployed_by("hello")).await;
    let operation = platform.deploy(&service, "dev", "1").await;
    platform.operation_ended(&service, &operation).await;
    Things { run, jti, key_id, service, operation }
}

/// Everybody: the column of the table, a name for messages, and the credential.
async fn callers(stack: &TestStack) -> Vec<(&'static str, String, Option<String>)> {
    let mut callers = Vec::new();
    for (name, credential) in worthless(stack).await {
        callers.push(("nobody", name.to_owned(), credential));
    }
    for (column, person) in [
        ("viewer", Person::VIEWER),
        ("developer", Person::DEVELOPER),
        ("admin", Person::ADMIN),
        ("other-admin", Person::OTHER_ADMIN),
        ("root", Person::ROOT),
    ] {
        callers.push((column, person.name.to_owned(), Some(stack.session(person).await.0)));
    }
    callers.push(("key", "a key for one tenant".to_owned(), Some(Key::EXAMPLE.text.to_owned())));
    let without = Some(Key::SCOPELESS.text.to_owned());
    callers.push(("key-without", "a key without scopes that matter".to_owned(), without));
    let service = stack.client(&Key::PLATFORM).mint("worker").await;
    callers.push(("service", "a service".to_owned(), Some(service.bearer.0)));
    callers
}

/// Credentials that open nothing.
async fn worthless(stack: &TestStack) -> Vec<(&'static str, Option<String>)> {
    let platform = stack.client(&Key::PLATFORM);
    let revoked = platform.mint("worker").await;
    platform.send(Call::post(format!("/v1/tokens/{}/revoke", revoked.jti))).await.expect(200);
    let live = platform.mint("worker").await;
    let claims = forger::claims(&live.bearer);
    let session = stack.session(Person::ROOT).await;
    let session_claims = forger::claims(&session);
    let keys = keys_that_count_no_more(stack).await;
    let ended = stack.session(Person::ROOT).await;
    stack.client(&ended).send(Call::post("/auth/logout")).await.expect(200);
    let thief = Forger::new(&stack.data());
    let forged = |header: &str, claims: &Value| Some(thief.sign(&thief.header(header), claims).0);
    let expired =
        with(with(claims.clone(), "iat", json!(forger::now() - 7200)), "exp", json!(forger::now() - 60));
    let Bearer(truncated) = &live.bearer;
    let others = vec![
        ("nobody", None),
        ("a malformed token", Some(truncated[..truncated.len() - 2].to_owned())),
        ("a malformed key", Some("gh_00000000000000000000000000000000000000".to_owned())),
        ("an expired token", forged("service", &expired)),
        ("a revoked token", Some(revoked.bearer.0)),
        ("a session that was ended", Some(ended.0)),
        ("a token of another audience", forged("service", &with(claims.clone(), "aud", json!("elsewhere")))),
        ("a token of another installation", forged("service", &with(claims.clone(), "iss", json!("urn:x")))),
        ("a service token shown as a session", forged("session", &claims)),
        ("a session shown as a service token", forged("service", &session_claims)),
        (
            "a token that was never minted",
            forged("service", &with(claims, "jti", json!(format!("tok_{}", "0".repeat(26))))),
        ),
        (
            "a session that never began",
            forged("session", &with(session_claims, "jti", json!(format!("ses_{}", "0".repeat(26))))),
        ),
    ];
    others.into_iter().chain(keys).collect()
}

/// Keys whose person may not log in any more, or holds less than they do: each of an own person.
async fn keys_that_count_no_more(stack: &TestStack) -> Vec<(&'static str, Option<String>)> {
    let root = stack.log_in(Person::ROOT).await;
    let mut keys = Vec::new();
    for (what, user, change) in [
        ("a key of somebody who was disabled", "leaves", json!({ "state": "disabled" })),
        ("a key of somebody who was demoted", "falls", json!({ "roles": { "example": "admin" } })),
        ("a key of somebody without roles", "ends", json!({ "roles": {} })),
    ] {
        let body = json!({ "user_name": user, "password": "blue canary only", "roles": { "*": "admin" } });
        root.send(Call::post("/v1/users").json(&body)).await.expect(201);
        let body = json!({ "username": user, "password": "blue canary only" });
        let session = root.send(Call::post("/auth/login").json(&body)).await.expect(200).json();
        let session = Bearer(session["token"].as_str().expect("a session has a token").to_owned());
        // Somebody else chose the password.
        let chosen =
            json!({ "current_password": "blue canary only", "new_password": "their own canary only" });
        stack.client(&session).send(Call::post("/auth/password").json(&chosen)).await.expect(200);
        let body = json!({ "name": "theirs", "scopes": ["*"], "tenants": "*" });
        let minted =
            stack.client(&session).send(Call::post("/v1/api-keys").json(&body)).await.expect(201).json();
        let key = Bearer(minted["key"].as_str().expect("a key was minted").to_owned());
        // A key that their key minted is theirs as well.
        let minted = stack.client(&key).send(Call::post("/v1/api-keys").json(&body)).await.expect(201).json();
        let second = minted["key"].as_str().expect("a key was minted").to_owned();
        for key in [&key.0, &second] {
            stack.client(&Bearer(key.clone())).get("/v1/jobs").await.expect(200);
        }
        let path = format!("/v1/users/{user}");
        let etag = root.get(&path).await.expect(200).header("etag").expect("an ETag").to_owned();
        root.send(Call::patch(&path).header("if-match", etag).json(&change)).await.expect(200);
        keys.extend([(what, Some(key.0)), (what, Some(second))]);
    }
    keys
}

/// Who reads a stream while it is decided that they may not: their client, and what to change.
struct Watcher {
    name: &'static str,
    client: Client,
    /// Lets it happen.
    take_away: Call,
    reason: &'static str,
}

/// Everybody who can lose a stream: by each way to take a credential away, and to take away what it may do.
async fn watchers(stack: &TestStack) -> Vec<Watcher> {
    let platform = stack.client(&Key::PLATFORM);
    let root = stack.log_in(Person::ROOT).await;
    let minted =
        json!({ "name": "watcher", "scopes": ["runs:read", "catalog:read"], "tenants": ["example"] });
    let minted = platform.send(Call::post("/v1/api-keys").json(&minted)).await.expect(201).json();
    let key = Bearer(minted["key"].as_str().expect("a key").to_owned());
    let key_id = minted["api_key"]["key_id"].as_str().expect("an id");
    let patch = async |person: Person, body: Value| {
        let path = format!("/v1/users/{}", person.name);
        let etag = root.get(&path).await.expect(200).header("etag").expect("an ETag").to_owned();
        Call::patch(path).json(&body).header("if-match", etag)
    };
    let leaver = stack.session(Person::VIEWER).await;
    let log_out = Call::post("/auth/logout").header("authorization", format!("Bearer {}", leaver.0));
    vec![
        Watcher {
            name: "whose key is revoked",
            client: stack.client(&key),
            take_away: Call::post(format!("/v1/api-keys/{key_id}/revoke")),
            reason: "credential_ended",
        },
        Watcher {
            name: "who logs out",
            client: stack.client(&leaver),
            take_away: log_out,
            reason: "credential_ended",
        },
        Watcher {
            name: "who is disabled",
            client: stack.log_in(Person::ADMIN).await,
            take_away: patch(Person::ADMIN, json!({ "state": "disabled" })).await,
            reason: "credential_ended",
        },
        Watcher {
            name: "whose role is taken away",
            client: stack.log_in(Person::DEVELOPER).await,
            take_away: patch(Person::DEVELOPER, json!({ "roles": { "other": "admin" } })).await,
            reason: "role_lost",
        },
    ]
}

#[tokio::test]
async fn who_is_revoked_or_downgraded_in_mid_stream_is_told_so_and_reads_no_further() {
    let stack = TestStack::start_with_people().await;
    let platform = stack.client(&Key::PLATFORM);
    platform.put_script("waiting", "echo begun; sleep 1000").await;
    let run = platform.trigger("waiting").await;
    let service = platform.create_service(&deployed_by("waiting")).await;
    let operation = platform.deploy(&service, "dev", "1").await;
    let watchers = watchers(&stack).await;
    let streams = watchers.iter().map(async |watcher| {
        let status =
            Call::get(format!("/services/{service}/actions/status")).header("accept", "text/event-stream");
        let status = watcher.client.open(status).await.expect("it answers");
        [watcher.client.events(&run, Resume::Start).await, EventReader::new(status)]
    });
    let mut streams = join_all(streams).await;
    for reader in streams.iter_mut().flatten() {
        reader.next().await.expect("an event");
    }
    let root = stack.log_in(Person::ROOT).await;
    for watcher in &watchers {
        root.send(watcher.take_away.clone()).await.expect(200);
    }
    let ends = streams.into_iter().zip(&watchers).map(async |(readers, watcher)| {
        for mut reader in readers {
            let rest = reader.rest().await;
            let end = rest.last().unwrap_or_else(|| panic!("no end for one {}", watcher.name));
            assert_eq!((end.kind.as_str(), &end.id), ("end", &None), "{}", watcher.name);
            assert_eq!(end.json(), json!({ "reason": watcher.reason }), "{}", watcher.name);
        }
    });
    join_all(ends).await;
    platform.send(Call::post(format!("/v1/runs/{run}/cancel"))).await.expect(202);
    platform.say(&service, &operation, "cancel").await.expect(202);
    stack.stop().await;
}

#[tokio::test]
async fn what_is_open_is_open_to_everybody() {
    let stack = TestStack::start_with_people().await;
    let worthless = worthless(&stack).await;
    let nobody = stack.client(&Anonymous);
    for (name, credential) in &worthless {
        for path in ["/health", "/openapi.json", "/.well-known/jwks.json"] {
            let mut call = Call::get(path);
            if let Some(credential) = credential {
                call = call.header("authorization", format!("Bearer {credential}"));
            }
            let answer = nobody.send(call).await;
            assert_eq!(answer.status, 200, "{name} at {path}");
        }
    }
    stack.stop().await;
}
