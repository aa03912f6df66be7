//! How users, tokens, keys, the key ring, projects, tenants and the audit trail are stored: what older versions wrote must be
//! readable, and what this one writes too when it is rolled back.

use std::collections::{BTreeMap, BTreeSet};

use gatehouse_domain::{
    access::Scope,
    api_key::{ApiKey, FindApiKey, Revocation, SaveApiKey},
    audit::{Action, AppendAudit, AuditFilter, Entry, ListAudit, Origin, Outcome},
    paging::{Limit, PageRequest},
    project::{FindProject, Project, SaveProject},
    revision::Revision,
    signing::{FindKeyRing, KeyRing, SaveKeyRing, SigningKey},
    tenant::{ListTenants, SaveTenant, Tenant},
    tokens::{FindToken, RecordUse, Replaces, SaveToken, ServiceToken, TokenState, Use},
    users::{
        FindAccount, FindUser, PasswordHash, SaveUser, SealedSecret, SecondFactor, Session, User, UserState,
    },
};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::support::{TestTable, item};

const NOON: &str = "2026-01-02T12:00:00Z";
const LATER: &str = "2026-02-01T12:00:00Z";

const DAY: i64 = 24 * 60 * 60;

fn noon() -> Timestamp {
    NOON.parse().unwrap()
}

fn later() -> Timestamp {
    LATER.parse().unwrap()
}

/// `item` with `more` in it.
fn with(mut item: Value, more: &Value) -> Value {
    item.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    item
}

fn entry(table: &TestTable) -> Entry {
    table.entry("user:root", "anything", None)
}

#[tokio::test]
async fn a_user() {
    let table = TestTable::new().await;
    let least = User {
        known_networks: BTreeMap::new(),
        name: "ada".parse().unwrap(),
        display_name: None,
        roles: "".parse().unwrap(),
        state: UserState::Active,
        password: PasswordHash::unverified("$argon2id$1".into()),
        must_change_password: false,
        second_factor: None,
        second_factor_since: None,
        sessions: BTreeMap::new(),
        revision: Revision::unverified("rev_1".into()),
        created_at: noon(),
        updated_at: noon(),
        updated_by: "user:root".into(),
    };
    let factor =
        SecondFactor { last_step: Some(7), ..SecondFactor::new(SealedSecret::unverified("s".into())) };
    let (older, session) = ("ses_00000000000000000000000001", "ses_00000000000000000000000002");
    let full = User {
        name: "bob".parse().unwrap(),
        display_name: Some("Bob".into()),
        roles: "*=viewer,acme=developer".parse().unwrap(),
        state: UserState::Disabled,
        must_change_password: true,
        second_factor: Some(factor),
        second_factor_since: Some(noon()),
        sessions: BTreeMap::from([
            (older.parse().unwrap(), Session::new(noon(), later())),
            (
                session.parse().unwrap(),
                Session {
                    started_at: noon(),
                    expires_at: later(),
                    last_used_at: Some(noon()),
                    reauthenticated_at: Some(noon()),
                    source_ip: Some("192.0.2.1".into()),
                    user_agent: Some("curl/8.5.0".into()),
                },
            ),
        ]),
        ..least.clone()
    };
    let stored = |name: &str| {
        json!({
            "pk": format!("USER#{name}"), "sk": "USER", "gsi1pk": "USERS", "gsi1sk": name,
            "user_name": name, "password_hash": "$argon2id$1", "roles": "", "state": "active",
            "sessions": {}, "revision": "rev_1",
            "created_at": NOON, "updated_at": NOON, "updated_by": "user:root",
        })
    };
    let more = json!({
        "display_name": "Bob", "roles": "*=viewer,acme=developer", "state": "disabled",
        "must_change_password": true, "second_factor_since": NOON,
        "second_factor": { "secret": "s", "last_step": 7 },
        "sessions": {
            older: { "started_at": NOON, "ends_at": LATER },
            session: {
                "started_at": NOON, "ends_at": LATER, "last_used_at": noon().as_millisecond(),
                "reauthenticated_at": NOON, "source_ip": "192.0.2.1", "user_agent": "curl/8.5.0",
            },
        },
    });
    for (user, expected) in [(least, stored("ada")), (full, with(stored("bob"), &more))] {
        table.table.create_user(&user, &entry(&table)).await.unwrap();
        assert_eq!(item(&table, &format!("USER#{}", user.name), "USER").await, expected);
        let account = table.table.find_account(&user.name).await.unwrap().unwrap();
        assert_eq!(
            (&account.roles, account.state, account.must_change_password, &account.sessions),
            (&user.roles, user.state, user.must_change_password, &user.sessions)
        );
        let found = table.table.find_user(&user.name).await.unwrap().unwrap();
        assert_eq!((found.display_name, found.password.expose()), (user.display_name, "$argon2id$1"));
    }
}

#[tokio::test]
async fn an_api_key() {
    let table = TestTable::new().await;
    let least = ApiKey::of_text(
        "some-key",
        "nightly".into(),
        BTreeSet::from([Scope::RunsWrite, Scope::JobsRead]),
        "*".parse().unwrap(),
        noon(),
    );
    let full = ApiKey {
        tenants: "acme,beta".parse().unwrap(),
        created_by: "api_key:key_1".into(),
        minted_by: Some("user:ada".into()),
        expires_at: Some(later()),
        last_used_at: Some(noon()),
        revoked: Some(Revocation { at: noon(), by: "user:eve".into(), reason: Some("leaked".into()) }),
        ..ApiKey::of_text(
            "other-key",
            "nightly".into(),
            BTreeSet::from([Scope::All]),
            "".parse().unwrap(),
            noon(),
        )
    };
    let stored = |key: &ApiKey| {
        let id = key.id.as_str();
        json!({
            "pk": format!("APIKEY#{id}"), "sk": "APIKEY",
            "gsi1pk": "APIKEYS", "gsi1sk": format!("2026-01-02T12:00:00.000Z#{id}"),
            "key_id": id, "hash": key.hash.to_hex(), "name": "nightly", "scopes": ["jobs:read", "runs:write"],
            "tenants": "*", "created_at": NOON, "created_by": "gatehouse",
        })
    };
    let more = json!({
        "scopes": ["*"], "tenants": "acme,beta", "created_by": "api_key:key_1", "minted_by": "user:ada", "ends_at": LATER,
        "last_used_at": noon().as_millisecond(),
        "revoked": { "at": NOON, "by": "user:eve", "reason": "leaked" },
    });
    for (key, expected) in [(&least, stored(&least)), (&full, with(stored(&full), &more))] {
        table.table.save_api_key(key, None).await.unwrap();
        assert_eq!(item(&table, &format!("APIKEY#{}", key.id.as_str()), "APIKEY").await, expected);
        let found = table.table.find_api_key(&key.id).await.unwrap().unwrap();
        assert_eq!((found.hash.to_hex(), &found.scopes), (key.hash.to_hex(), &key.scopes));
        assert_eq!((&found.tenants, &found.created_by), (&key.tenants, &key.created_by));
        assert_eq!(found.minted_by, key.minted_by);
        assert_eq!(
            (found.expires_at, found.last_used_at, &found.revoked),
            (key.expires_at, key.last_used_at, &key.revoked)
        );
    }
    // Written before it was noted whose a key is.
    let id = gatehouse_domain::api_key::ApiKeyId::unverified("key_00000000000000000000".into());
    let older = ApiKey { id: id.clone(), created_by: "user:ada".into(), minted_by: None, ..least.clone() };
    table.table.save_api_key(&older, None).await.unwrap();
    assert_eq!(table.table.find_api_key(&id).await.unwrap().unwrap().minted_by.as_deref(), Some("user:ada"));
    let revocation = Revocation { at: noon(), by: "user:eve".into(), reason: None };
    let revoked = ApiKey { revoked: Some(revocation), ..least.clone() };
    table.table.save_key_revocation(&revoked, &entry(&table)).await.unwrap();
    let expected = with(stored(&least), &json!({ "revoked": { "at": NOON, "by": "user:eve" } }));
    assert_eq!(item(&table, &format!("APIKEY#{}", least.id.as_str()), "APIKEY").await, expected);
}

fn jti(number: u8) -> String {
    format!("tok_{number:026}")
}

fn token(number: u8) -> ServiceToken {
    ServiceToken {
        jti: jti(number).parse().unwrap(),
        tenant: "acme".parse().unwrap(),
        project: "payments".parse().unwrap(),
        service: "billing".parse().unwrap(),
        description: None,
        created_at: noon(),
        created_by: "user:ada".into(),
        expires_at: later(),
        last_used_at: None,
        replaces: None,
        state: TokenState::Active,
    }
}

fn stored_token(number: u8, more: &Value) -> Value {
    let jti = jti(number);
    let item = json!({
        "pk": format!("TOKEN#{jti}"), "sk": "TOKEN",
        "gsi1pk": "TOKENS", "gsi1sk": format!("acme#2026-02-01T12:00:00.000Z#{jti}"),
        "expires_at": later().as_second() + 90 * DAY,
        "jti": jti, "tenant": "acme", "project": "payments", "service": "billing",
        "created_at": NOON, "created_by": "user:ada", "ends_at": LATER, "state": { "is": "active" },
    });
    with(item, more)
}

async fn is_stored(table: &TestTable, number: u8, more: Value) {
    let pk = format!("TOKEN#{}", jti(number));
    assert_eq!(item(table, &pk, "TOKEN").await, stored_token(number, &more));
}

#[tokio::test]
async fn a_service_token() {
    let table = TestTable::new().await;
    let replaces = |ends_it_when_used| {
        Some(Replaces { jti: "tok_0000000000000000000000000v".parse().unwrap(), ends_it_when_used })
    };
    let full = ServiceToken {
        description: Some("nightly".into()),
        last_used_at: Some(noon()),
        replaces: replaces(false),
        ..token(1)
    };
    for token in [&token(0), &full] {
        table.table.save_new_token(token, &entry(&table)).await.unwrap();
        assert_eq!(table.table.find_token(&token.jti).await.unwrap().as_ref(), Some(token));
    }
    is_stored(&table, 0, json!({})).await;
    let stored_full = json!({
        "description": "nightly", "last_used_at": noon().as_millisecond(),
        "replaces": { "jti": "tok_0000000000000000000000000v", "ends_it_when_used": false },
    });
    is_stored(&table, 1, stored_full).await;
}

#[tokio::test]
async fn what_becomes_of_a_service_token() {
    let table = TestTable::new().await;
    // Rotated with a grace period.
    table.table.save_new_token(&token(0), &entry(&table)).await.unwrap();
    let rotated =
        |to: u8, expires_at| TokenState::Rotated { to: jti(to).parse().unwrap(), at: noon(), expires_at };
    let newer =
        ServiceToken { replaces: Some(Replaces { jti: token(0).jti, ends_it_when_used: false }), ..token(1) };
    let older = ServiceToken { state: rotated(1, Some(later())), ..token(0) };
    table.table.save_rotation(&newer, &older, &entry(&table)).await.unwrap();
    is_stored(&table, 0, json!({ "state": { "is": "rotated", "to": jti(1), "at": NOON, "until": LATER } }))
        .await;
    assert_eq!(table.table.find_token(&older.jti).await.unwrap(), Some(older));

    // Rotated until the newer one is used, and then ended by that.
    let older = ServiceToken { state: rotated(2, None), ..newer };
    let newer =
        ServiceToken { replaces: Some(Replaces { jti: token(1).jti, ends_it_when_used: true }), ..token(2) };
    table.table.save_rotation(&newer, &older, &entry(&table)).await.unwrap();
    let replaces = json!({ "jti": jti(0), "ends_it_when_used": false });
    let state = json!({ "is": "rotated", "to": jti(2), "at": NOON });
    is_stored(&table, 1, json!({ "replaces": replaces, "state": state })).await;
    let used = Use { jti: newer.jti.clone(), at: noon(), ends: Some(older.jti.clone()) };
    table.table.record_use(&used).await.unwrap();
    let state = json!({
        "is": "revoked", "at": NOON, "by": "gatehouse", "reason": "the token that replaces it is in use",
    });
    is_stored(&table, 1, json!({ "replaces": replaces, "state": state })).await;

    // Revoked by somebody.
    let revoked = TokenState::Revoked { at: noon(), by: "user:eve".into(), reason: None };
    let revoked = ServiceToken { state: revoked, last_used_at: Some(noon()), ..newer };
    table.table.save_revocation(&revoked, &entry(&table)).await.unwrap();
    let expected = json!({
        "replaces": { "jti": jti(1), "ends_it_when_used": true }, "last_used_at": noon().as_millisecond(),
        "state": { "is": "revoked", "at": NOON, "by": "user:eve" },
    });
    is_stored(&table, 2, expected).await;
    assert_eq!(table.table.find_token(&revoked.jti).await.unwrap(), Some(revoked));
}

#[tokio::test]
async fn a_project_and_its_tenant() {
    let table = TestTable::new().await;
    let revision = Revision::unverified("rev_1".into());
    let least = Project::new("shop".parse().unwrap(), "acme".parse().unwrap(), revision.clone(), noon());
    let full = Project {
        name: "till".parse().unwrap(),
        description: Some("sells".into()),
        accepted_services: Some(BTreeSet::from(["web".parse().unwrap(), "app".parse().unwrap()])),
        ..least.clone()
    };
    let stored = |name: &str| {
        json!({
            "pk": format!("PROJECT#{name}"), "sk": "PROJECT",
            "gsi1pk": "PROJECTS", "gsi1sk": format!("acme#{name}"),
            "project": name, "tenant": "acme", "revision": "rev_1", "created_at": NOON,
        })
    };
    let more = json!({ "description": "sells", "accepted_services": ["app", "web"] });
    for (project, expected) in [(least, stored("shop")), (full, with(stored("till"), &more))] {
        table.table.save_project(&project, None, &entry(&table)).await.unwrap();
        assert_eq!(item(&table, &format!("PROJECT#{}", project.name), "PROJECT").await, expected);
        assert_eq!(table.table.find_project(&project.name).await.unwrap(), Some(project));
    }
    let tenant = Tenant {
        id: "acme".parse().unwrap(),
        display_name: "Acme".into(),
        require_second_factor: true,
        default_project: Some("payments".parse().unwrap()),
        created_at: noon(),
        created_by: "user:root".into(),
    };
    table.table.save_tenant(&tenant, &entry(&table)).await.unwrap();
    let expected = json!({
        "pk": "TENANTS", "sk": "TENANT#acme", "tenant": "acme", "display_name": "Acme",
        "require_second_factor": true, "default_project": "payments", "created_at": NOON, "created_by": "user:root",
    });
    assert_eq!(item(&table, "TENANTS", "TENANT#acme").await, expected);
    assert_eq!(table.table.list_tenants().await.unwrap(), [tenant]);
}

#[tokio::test]
async fn the_ring_of_signing_keys() {
    let table = TestTable::new().await;
    let key = SigningKey {
        kid: "key-1".parse().unwrap(),
        public_key: "AAAA".into(),
        published_at: noon(),
        signs_from: later(),
    };
    let ring = KeyRing { keys: vec![key], revision: Revision::unverified("rev_1".into()) };
    table.table.save_key_ring(&ring, None, &entry(&table)).await.unwrap();
    let expected = json!({
        "pk": "SIGNING_KEYS", "sk": "SIGNING_KEYS", "revision": "rev_1",
        "signing_keys": [
            { "kid": "key-1", "public_key": "AAAA", "published_at": NOON, "signs_from": LATER },
        ],
    });
    assert_eq!(item(&table, "SIGNING_KEYS", "SIGNING_KEYS").await, expected);
    assert_eq!(table.table.find_key_ring().await.unwrap(), Some(ring));
}

#[tokio::test]
async fn an_entry_of_the_trail() {
    let table = TestTable::new().await;
    let least = Entry {
        count: None,
        id: "aud_1".into(),
        at: noon(),
        actor: "user:ada".into(),
        on_behalf_of: None,
        action: Action::CreateUser,
        target: "user:bob".into(),
        tenant: None,
        outcome: Outcome::Done,
        detail: None,
        origin: Origin { request_id: "req-1".into(), source_ip: None, user_agent: None },
    };
    let full = Entry {
        id: "aud_2".into(),
        actor: "api_key:key_1".into(),
        on_behalf_of: Some("user:ada".into()),
        action: Action::TriggerRun,
        tenant: Some("acme".parse().unwrap()),
        outcome: Outcome::Requested,
        detail: Some("more".into()),
        origin: Origin {
            request_id: "req-2".into(),
            source_ip: Some("192.0.2.1".into()),
            user_agent: Some("curl/8".into()),
        },
        ..least.clone()
    };
    // The shards follow from the ids.
    let stored = |id: &str, partition: &str| {
        json!({
            "pk": partition, "sk": format!("2026-01-02T12:00:00.000Z#{id}"),
            "expires_at": noon().as_second() + 400 * DAY,
            "entry_id": id, "at": NOON, "actor": "user:ada", "action": "user.create", "target": "user:bob",
            "outcome": "done", "request_id": "req-1",
        })
    };
    let more = json!({
        "gsi1pk": "AUDIT#TENANT#acme#2026-01#3", "gsi1sk": "2026-01-02T12:00:00.000Z#aud_2",
        "actor": "api_key:key_1", "on_behalf_of": "user:ada",
        "action": "run.trigger", "tenant": "acme", "outcome": "requested", "detail": "more",
        "request_id": "req-2", "source_ip": "192.0.2.1", "user_agent": "curl/8",
    });
    let least_stored = stored("aud_1", "AUDIT#2026-01#7");
    let full_stored = with(stored("aud_2", "AUDIT#2026-01#3"), &more);
    for (entry, expected) in [(&least, least_stored), (&full, full_stored)] {
        table.table.append_audit(entry).await.unwrap();
        let place = format!("2026-01-02T12:00:00.000Z#{}", entry.id);
        assert_eq!(item(&table, expected["pk"].as_str().unwrap(), &place).await, expected);
        let mut of_actor = expected;
        of_actor.as_object_mut().unwrap().retain(|name, _| !name.starts_with("gsi1"));
        let key = gatehouse_store::keys::audit_of_actor(entry);
        of_actor["pk"] = json!(key.pk);
        assert_eq!(item(&table, &key.pk, &key.sk).await, of_actor);
    }
    let page = PageRequest { limit: Limit::new(10).unwrap(), ..PageRequest::default() };
    let trail = table.table.list_audit(&AuditFilter::Everything, noon(), &page).await.unwrap();
    assert_eq!(trail.items, [full, least]);
}
