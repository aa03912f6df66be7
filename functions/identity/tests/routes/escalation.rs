//! Nobody grants, mints, resets, disables or changes beyond what they hold: each endpoint that could, against
//! callers who hold little, as much, and more, and targets who do.

use std::collections::BTreeSet;

use gatehouse_domain::access::{ENDPOINTS, Role, Scope};
use gatehouse_testkit::app::{Answer, Client, TestApp};
use serde_json::{Value, json};

use crate::{all, start, texts};

/// Somebody who calls, by what they hold.
#[derive(Debug, Clone)]
enum Holder {
    /// In these tenants, or in all (`*`).
    Key(Vec<Scope>, &'static str),
    Person(&'static str),
}

impl Holder {
    fn client<'a>(&self, app: &'a TestApp) -> Client<'a> {
        match self {
            Self::Key(scopes, tenants) => app.as_api_key(scopes, tenants),
            Self::Person(roles) => app.as_person("grantor", roles),
        }
    }

    /// Whether they hold the scope in the tenant, or in all (`*`), said once more than in the rules: a person by
    /// the greatest of their roles there, a key by its own list.
    fn holds(&self, scope: Scope, place: &str) -> bool {
        match self {
            Self::Key(scopes, tenants) => {
                let there = *tenants == "*" || tenants.split(',').any(|tenant| tenant == place);
                there && (scopes.contains(&Scope::All) || scopes.contains(&scope))
            }
            Self::Person(roles) => {
                let counts = |tenant: &str| tenant == "*" || tenant == place;
                let roles = roles.split(',').filter_map(|role| role.split_once('='));
                let roles = roles.filter(|(tenant, _)| counts(tenant));
                roles.map(|(_, role)| scopes_of(role)).any(|scopes| scopes.contains(&scope))
            }
        }
    }

    fn holds_all(&self, scopes: &BTreeSet<Scope>, place: &str) -> bool {
        scopes.iter().all(|scope| self.holds(*scope, place))
    }

    /// Whether the endpoint lets them in at all, for the scope that it asks keys for.
    fn is_admitted(&self, scope: Scope) -> bool {
        self.holds(scope, "*")
    }
}

/// What the endpoints give a role, and to admins whatever there is.
fn scopes_of(role: &str) -> BTreeSet<Scope> {
    let role: Role = role.parse().unwrap();
    let opens =
        |scope: &Scope| ENDPOINTS.iter().filter_map(|it| it.role_for(*scope)).all(|asked| asked <= role);
    let opened = Scope::ALL.iter().copied().filter(|scope| *scope != Scope::All && opens(scope));
    if role == Role::Admin { Scope::ALL.iter().copied().collect() } else { opened.collect() }
}

fn holders() -> Vec<Holder> {
    let key = |scopes: &[Scope], tenants| Holder::Key(scopes.to_vec(), tenants);
    let with = |role: &str| {
        let granted = scopes_of(role).into_iter().chain([Scope::UsersWrite, Scope::KeysWrite]);
        Holder::Key(granted.collect(), "*")
    };
    vec![
        key(&[Scope::KeysWrite], "*"),
        key(&[Scope::UsersWrite], "*"),
        key(&[Scope::UsersWrite, Scope::KeysWrite, Scope::ProjectsWrite, Scope::TokensWrite], "*"),
        with("viewer"),
        with("developer"),
        key(&Scope::ALL[1..], "*"),
        key(&[Scope::All], "*"),
        key(&[Scope::All], "acme"),
        Holder::Person("acme=admin"),
        Holder::Person("*=developer,acme=admin"),
        Holder::Person("*=admin"),
    ]
}

const PLACES: [&str; 3] = ["acme", "beta", "*"];

/// What `caller` has to be answered who wants what is worth these scopes in `place`.
fn verdict(
    caller: &Holder,
    endpoint: Scope,
    worth: &BTreeSet<Scope>,
    place: &str,
    done: u16,
) -> (u16, &'static str) {
    if !caller.is_admitted(endpoint) {
        (403, "forbidden")
    } else if caller.holds_all(worth, place) {
        (done, "")
    } else {
        (403, "beyond-own-rights")
    }
}

#[track_caller]
fn assert_verdict(answer: &Answer, expected: (u16, &str), what: &str) {
    assert_eq!((answer.status.as_u16(), answer.problem()), expected, "{what}\n{answer}");
}

async fn names(app: &TestApp, path: &str, member: &str, name: &str) -> Vec<String> {
    texts(&all(&app.as_platform_admin(), path, member).await, name)
}

/// The endpoints below that grant something or change somebody. One that is new has to be tried as well.
#[test]
fn each_endpoint_that_grants_is_tried() {
    let grants = [Scope::UsersWrite, Scope::KeysWrite, Scope::ProjectsWrite];
    let here = ENDPOINTS.iter().filter(|endpoint| endpoint.function == "identity");
    let granting = here.filter(|endpoint| grants.iter().any(|scope| endpoint.role_for(*scope).is_some()));
    let granting: Vec<_> = granting.map(|endpoint| endpoint.id).collect();
    assert_eq!(
        granting,
        [
            "create_user",
            "edit_user",
            "reset_password",
            "end_user_sessions",
            "reset_second_factor",
            "mint_api_key",
            "revoke_api_key",
            "put_tenant",
            "delete_tenant",
            "put_project",
            "delete_project",
        ]
    );
}

#[tokio::test]
async fn nobody_mints_a_key_beyond_their_own_rights() {
    let app = start().await;
    let mut minted = Vec::new();
    for caller in holders() {
        for scope in Scope::ALL {
            for place in PLACES {
                let tenants = if place == "*" { json!("*") } else { json!([place]) };
                let body = json!({ "name": "n", "scopes": [scope.as_str()], "tenants": tenants });
                let answer = caller.client(&app).post("/v1/api-keys").json(&body).await;
                let expected = verdict(&caller, Scope::KeysWrite, &[*scope].into(), place, 201);
                assert_verdict(&answer, expected, &format!("{caller:?}: {scope} in {place}"));
                minted.extend(answer.body["api_key"]["key_id"].as_str().map(str::to_owned));
            }
        }
    }
    let mut kept = names(&app, "/v1/api-keys?", "api_keys", "key_id").await;
    kept.sort();
    minted.sort();
    assert_eq!(kept, minted, "a key was minted that nobody was answered");
}

#[tokio::test]
async fn nobody_revokes_a_key_that_is_worth_more_than_they_are() {
    let app = start().await;
    for caller in holders() {
        for (scope, place) in [(Scope::KeysWrite, "acme"), (Scope::JobsRead, "*"), (Scope::All, "acme")] {
            let tenants = if place == "*" { json!("*") } else { json!([place]) };
            let body = json!({ "name": "n", "scopes": [scope.as_str()], "tenants": tenants });
            let minted = app.as_platform_admin().post("/v1/api-keys").json(&body).await;
            let path = format!("/v1/api-keys/{}", minted.body["api_key"]["key_id"].as_str().unwrap());
            let answer = caller.client(&app).post(format!("{path}/revoke")).await;
            let expected = verdict(&caller, Scope::KeysWrite, &[scope].into(), place, 200);
            assert_verdict(&answer, expected, &format!("{caller:?}: {scope} in {place}"));
            let shown = app.as_platform_admin().get(&path).await;
            let state = if expected.0 == 200 { "revoked" } else { "active" };
            assert_eq!(shown.body["api_key"]["state"], state);
        }
    }
}

#[tokio::test]
async fn nobody_creates_a_user_beyond_their_own_rights() {
    let app = start().await;
    for (number, caller) in holders().into_iter().enumerate() {
        for role in Role::ALL {
            for place in PLACES {
                let expected = verdict(&caller, Scope::UsersWrite, &scopes_of(role.as_str()), place, 201);
                let suffix = if place == "*" { "all" } else { place };
                let name = format!("u{number}-{}-{suffix}", role.as_str());
                let body = json!({
                    "user_name": name, "password": "blue canary only", "roles": { place: role.as_str() },
                });
                let answer = caller.client(&app).post("/v1/users").json(&body).await;
                assert_verdict(&answer, expected, &format!("{caller:?}: {} in {place}", role.as_str()));
                let shown = app.as_platform_admin().get(format!("/v1/users/{name}")).await;
                assert_eq!(shown.status == 200, expected.0 == 201, "{caller:?}: {shown}");
            }
        }
    }
}

/// A change of somebody, and what it is worth beside what they hold.
fn changes() -> Vec<(Value, Option<(Role, &'static str)>)> {
    let mut changes = vec![
        (json!({ "state": "disabled" }), None),
        (json!({ "state": "active" }), None),
        (json!({ "display_name": "Other" }), None),
        (json!({ "roles": {} }), None),
    ];
    for role in Role::ALL {
        changes
            .extend(PLACES.map(|place| (json!({ "roles": { place: role.as_str() } }), Some((role, place)))));
    }
    changes
}

#[tokio::test]
async fn nobody_changes_somebody_who_holds_more_or_makes_them_hold_more() {
    let app = start().await;
    let root = app.as_platform_admin();
    let targets =
        [("nobody", None), ("vera", Some((Role::Viewer, "acme"))), ("boss", Some((Role::Admin, "*")))];
    for (name, holds) in targets {
        let roles = holds.map_or_else(|| json!({}), |(role, place)| json!({ place: role.as_str() }));
        let body = json!({ "user_name": name, "password": "blue canary only", "roles": roles });
        assert_eq!(root.post("/v1/users").json(&body).await.status, 201);
    }
    // Another platform admin, so that the last one is not what stands in the way.
    let body = json!({ "user_name": "spare", "password": "blue canary only", "roles": { "*": "admin" } });
    assert_eq!(root.post("/v1/users").json(&body).await.status, 201);
    for caller in holders() {
        for (name, holds) in targets {
            let path = format!("/v1/users/{name}");
            let worth = |what: Option<(Role, &str)>| {
                what.is_none_or(|(role, place)| caller.holds_all(&scopes_of(role.as_str()), place))
            };
            let expected = |allowed: bool| match (caller.is_admitted(Scope::UsersWrite), allowed) {
                (false, _) => (403, "forbidden"),
                (true, true) => (200, ""),
                (true, false) => (403, "beyond-own-rights"),
            };
            for (change, grants) in changes() {
                let before = root.get(&path).await;
                let answer = caller.client(&app).patch(&path).if_match(before.etag()).json(&change).await;
                let expected = expected(worth(holds) && worth(grants));
                assert_verdict(&answer, expected, &format!("{caller:?}: {change} of {name}"));
                let after = root.get(&path).await;
                assert_eq!(
                    after.etag() == before.etag(),
                    expected.0 != 200,
                    "{caller:?}: {change} of {name}"
                );
                if expected.0 == 200 {
                    let back = json!({ "state": "active", "roles": before.body["user"]["roles"] });
                    let undone = root.patch(&path).if_match(after.etag()).json(&back).await;
                    assert_eq!(undone.status, 200, "{undone}");
                }
            }
            let before = root.get(&path).await;
            let body = json!({ "password": "green canary only" });
            let answer = caller.client(&app).post(format!("{path}/password")).json(&body).await;
            assert_verdict(&answer, expected(worth(holds)), &format!("{caller:?} resets {name}"));
            let after = root.get(&path).await;
            assert_eq!(after.etag() == before.etag(), answer.status != 200);
            let answer = caller.client(&app).delete(format!("{path}/sessions")).await;
            assert_verdict(&answer, expected(worth(holds)), &format!("{caller:?} ends sessions of {name}"));
            // None has one, which is said to those who might take it.
            let answer = caller.client(&app).delete(format!("{path}/second-factor")).await;
            let expected = match expected(worth(holds)) {
                (200, _) => (404, "not-found"),
                refused => refused,
            };
            assert_verdict(&answer, expected, &format!("{caller:?} resets the second factor of {name}"));
        }
    }
}

#[tokio::test]
async fn nobody_makes_tenants_or_projects_beyond_their_own_tenants() {
    let app = start().await;
    let root = app.as_platform_admin();
    for tenant in ["acme", "beta"] {
        app.table.create_tenant(tenant).await;
    }
    for (number, caller) in holders().into_iter().enumerate() {
        for place in ["acme", "beta"] {
            let held = caller.holds(Scope::ProjectsWrite, place);
            let path = format!("/v1/projects/{place}-{number}");
            let body = json!({ "tenant": place });
            let answer = caller.client(&app).put(&path).header("if-none-match", "*").json(&body).await;
            assert_eq!(answer.status == 201, held, "{caller:?}: a project of {place}\n{answer}");
            assert_eq!(root.get(&path).await.status == 200, held, "{caller:?}: a project of {place}");
            if !held {
                root.put(&path).header("if-none-match", "*").json(&body).await;
            }
            let etag = root.get(&path).await.etag().to_owned();
            let answer = caller.client(&app).delete(&path).if_match(&etag).await;
            assert_eq!(answer.status == 204, held, "{caller:?}: deleting a project of {place}\n{answer}");
        }
        let path = format!("/v1/tenants/t{number}");
        let held = caller.holds(Scope::ProjectsWrite, "*");
        let answer = caller.client(&app).put(&path).json(&json!({ "display_name": "T" })).await;
        assert_eq!(answer.status == 200, held, "{caller:?}: a tenant\n{answer}");
        root.put(&path).json(&json!({ "display_name": "T" })).await;
        let answer = caller.client(&app).delete(&path).await;
        assert_eq!(answer.status == 204, held, "{caller:?}: deleting a tenant\n{answer}");
    }
}

#[tokio::test]
async fn a_refusal_says_what_is_missing() {
    let app = start().await;
    let narrow = app.as_api_key(&[Scope::KeysWrite, Scope::UsersWrite], "*");
    let body = json!({ "name": "n", "scopes": ["*"], "tenants": "*" });
    insta::assert_snapshot!(narrow.post("/v1/api-keys").json(&body).await, @"
    403 Forbidden
    beyond-own-rights: Nobody grants more than they hold, and you do not hold `*` in all tenants.
    ");
    let body = json!({ "user_name": "eve", "password": "blue canary only", "roles": { "*": "admin" } });
    insta::assert_snapshot!(narrow.post("/v1/users").json(&body).await, @"
    403 Forbidden
    beyond-own-rights: Nobody grants more than they hold, and you do not hold `admin` in all tenants.
    ");
    app.as_platform_admin().post("/v1/users").json(&body).await;
    let reset = narrow.post("/v1/users/eve/password").json(&json!({ "password": "green canary only" })).await;
    insta::assert_snapshot!(reset, @"
    403 Forbidden
    beyond-own-rights: Nobody changes what holds more than they do, and you do not hold `admin` in all tenants.
    ");
}
