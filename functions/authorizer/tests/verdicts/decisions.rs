//! Who is let in with which credential, and what is read and written for it.

use std::{collections::BTreeSet, sync::atomic::Ordering, time::Duration};

use authorizer::TimeLimits;
use gatehouse_domain::{
    access::Scope,
    api_key::{ApiKey, Revocation},
    tenant::Tenant,
    tokens::{Replaces, ServiceToken, TokenState},
    users::{Account, UserState},
};
use gatehouse_jwt::{Issuer, KeyPair};
use proptest::prelude::*;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::support::{
    ISSUER, START, Stage, at, claims_of, jti, new_key, ring, sample_key, session_claims, token,
};

const KEY: &str = "dev-key-12345";

fn key(scopes: &[Scope], tenants: &str) -> ApiKey {
    let scopes: BTreeSet<Scope> = scopes.iter().copied().collect();
    ApiKey::of_text(KEY, "test".into(), scopes, tenants.parse().unwrap(), at(START))
}

fn revoked() -> TokenState {
    TokenState::Revoked { at: at(START - 1), by: "user:ada".into(), reason: None }
}

fn rotated(expires_at: Option<i64>) -> TokenState {
    TokenState::Rotated { to: jti('1'), at: at(START - 60), expires_at: expires_at.map(at) }
}

#[tokio::test]
async fn a_person_comes_in_with_their_session_for_one_read_and_a_write_in_five_minutes() {
    let stage = Stage::started().await;
    let session = stage.session("ada", "acme=developer,beta=viewer");
    let find = "find account ada".to_owned();
    let mut calls = vec![find.clone(), "record use of ses_00000000000000000000000000".to_owned()];
    stage.admits(&session).await;
    assert_eq!(stage.store.calls(), calls);
    stage.clock.advance(Duration::from_secs(299));
    let answer = stage.admits(&session).await;
    let context = json!({
        "kind": "user",
        "subject": "ada",
        "tenants": "acme,beta",
        "roles": "acme=developer,beta=viewer",
        "session": "ses_00000000000000000000000000",
        "token_id": "ses_00000000000000000000000000",
        "authenticated_at": "2026-01-01T00:00:00Z",
    });
    assert_eq!(answer["context"], context);
    assert_eq!(answer["principalId"], "user:ada");
    let resources = answer["policyDocument"]["Statement"][0]["Resource"].to_string();
    assert!(resources.contains("/POST/v1/jobs/*/runs") && resources.contains("/POST/auth/*"), "{resources}");
    assert!(!resources.contains("/v1/users") && !resources.contains("PUT/v1"), "{resources}");
    assert_eq!(stage.store.calls(), [find]);
    stage.clock.advance(Duration::from_secs(1));
    // By then the ring is read again as well.
    calls.insert(1, "find key ring".to_owned());
    stage.admits(&session).await;
    assert_eq!(stage.store.calls(), calls);
}

#[tokio::test]
async fn a_session_that_is_not_used_for_two_hours_ends_and_one_that_is_goes_on() {
    let stage = Stage::started().await;
    let session = stage.session("ada", "acme=viewer");
    for _ in 0..3 {
        stage.admits(&session).await;
        stage.clock.advance(Duration::from_mins(119));
    }
    stage.admits(&session).await;
    stage.clock.advance(Duration::from_hours(2));
    stage.refuses(&session, "a session that was left").await;
}

#[tokio::test]
async fn who_has_no_second_factor_where_a_tenant_wants_one_may_enrol_one() {
    let stage = Stage::started().await;
    let session = stage.session("ada", "acme=developer,beta=viewer");
    let tenant = |id: &str, require_second_factor| Tenant {
        id: id.parse().unwrap(),
        display_name: id.to_owned(),
        require_second_factor,
        default_project: None,
        created_at: at(START),
        created_by: "user:root".into(),
    };
    *stage.store.tenants.lock().unwrap() = vec![tenant("acme", false), tenant("other", true)];
    let enrolled = |since: Option<i64>| {
        stage.store.accounts.lock().unwrap().get_mut("ada").unwrap().second_factor_since = since.map(at);
    };
    stage.admits(&session).await;
    stage.store.calls();
    stage.admits(&session).await;
    assert_eq!(stage.store.calls(), ["find account ada"], "who has one is asked about with one read");
    enrolled(None);
    let answer = stage.admits(&session).await;
    assert_eq!(answer["context"].get("required_action"), None, "a tenant that is not theirs wants one");
    assert_eq!(stage.store.calls(), ["find account ada", "list tenants"]);
    stage.store.tenants.lock().unwrap().push(tenant("beta", true));
    let answer = stage.admits(&session).await;
    assert_eq!(answer["context"]["required_action"], "enrol_second_factor");
    let arn = "arn:aws:execute-api:eu-west-1:000000000000:api0example/dev";
    let open = [
        "GET/auth/me",
        "POST/auth/logout",
        "POST/auth/reauthenticate",
        "POST/auth/second-factor",
        "POST/auth/second-factor/confirm",
    ];
    let open = open.map(|path| format!("{arn}/{path}"));
    assert_eq!(answer["policyDocument"]["Statement"][0]["Resource"], json!(open));
    // Whoever is in all tenants is in this one.
    stage.store.accounts.lock().unwrap().get_mut("ada").unwrap().roles = "*=admin".parse().unwrap();
    let answer = stage.admits(&session).await;
    assert_eq!(answer["context"]["required_action"], "enrol_second_factor");
    enrolled(Some(START));
    let answer = stage.admits(&session).await;
    assert_eq!(answer["context"].get("required_action"), None);
    // What cannot be known is no consent.
    enrolled(None);
    stage.store.no_records.store(true, Ordering::SeqCst);
    stage.cannot_know(&session, "a table that does not answer").await;
}

#[tokio::test]
async fn who_has_to_change_their_password_may_do_that_and_log_out() {
    let stage = Stage::started().await;
    let session = stage.session("ada", "*=admin");
    stage.store.accounts.lock().unwrap().get_mut("ada").unwrap().must_change_password = true;
    let answer = stage.admits(&session).await;
    assert_eq!(answer["context"]["required_action"], "change_password");
    let stage_arn = "arn:aws:execute-api:eu-west-1:000000000000:api0example/dev";
    let open = ["GET/auth/me", "POST/auth/logout", "POST/auth/password"];
    let open = open.map(|path| format!("{stage_arn}/{path}"));
    assert_eq!(answer["policyDocument"]["Statement"][0]["Resource"], json!(open));
}

#[tokio::test]
async fn a_service_comes_in_for_one_read_and_a_write_in_five_minutes() {
    let stage = Stage::started().await;
    let service = stage.service(token('0'));
    let answer = stage.admits(&service).await;
    let context = json!({
        "kind": "service",
        "subject": jti('0').as_str(),
        "tenants": "acme",
        "project": "payments",
        "tenant": "acme",
        "service": "worker",
        "token_id": jti('0').as_str(),
        "token_ends_at": "2026-04-01T00:00:00Z",
    });
    assert_eq!(answer["context"], context);
    assert_eq!(answer["principalId"], "service:payments/worker");
    let statement = &answer["policyDocument"]["Statement"][0];
    assert_eq!(statement["Effect"], "Allow");
    let expected = "arn:aws:execute-api:eu-west-1:000000000000:api0example/dev/GET/auth/me";
    assert_eq!(statement["Resource"], json!([expected]));
    let (find, record) = (format!("find token {}", jti('0')), format!("record use of {}", jti('0')));
    assert_eq!(stage.store.calls(), [find.clone(), record.clone()]);
    stage.clock.advance(Duration::from_secs(299));
    stage.admits(&service).await;
    assert_eq!(stage.store.calls(), std::slice::from_ref(&find));
    stage.clock.advance(Duration::from_secs(1));
    stage.admits(&service).await;
    let calls = stage.store.calls();
    assert!(calls.contains(&find) && calls.contains(&record), "{calls:?}");
}

#[tokio::test]
async fn a_key_comes_in_for_one_read_and_a_write_in_five_minutes() {
    let stage = Stage::started().await;
    stage.key(key(&[Scope::JobsRead], "acme"));
    let answer = stage.admits(KEY).await;
    assert_eq!(answer["context"]["kind"], "api_key");
    assert_eq!(answer["context"]["scopes"], "jobs:read");
    let id = answer["context"]["token_id"].as_str().unwrap();
    assert_eq!(stage.store.calls(), [format!("find key {id}"), format!("record use of {id}")]);
    stage.clock.advance(Duration::from_secs(299));
    stage.admits(KEY).await;
    assert_eq!(stage.store.calls(), [format!("find key {id}")]);
    stage.clock.advance(Duration::from_secs(1));
    stage.admits(KEY).await;
    assert_eq!(stage.store.calls().len(), 2);
}

#[tokio::test]
async fn a_persons_key_comes_in_for_a_second_read_of_the_person() {
    let stage = Stage::started().await;
    stage.session("ada", "acme=developer");
    let minted_by = Some("user:ada".to_owned());
    let expires_at = Some(at(START + 3600));
    stage.key(ApiKey { minted_by, expires_at, ..key(&[Scope::RunsWrite], "acme") });
    let answer = stage.admits(KEY).await;
    assert_eq!(answer["context"]["minted_by"], "user:ada");
    assert_eq!(answer["context"]["key_expires_at"], "2026-01-01T02:00:00Z");
    let id = answer["context"]["token_id"].as_str().unwrap();
    let calls = [format!("find key {id}"), "find account ada".to_owned(), format!("record use of {id}")];
    assert_eq!(stage.store.calls(), calls);
    // Whoever does not have the key makes nobody read who is behind it.
    stage.refuses("another-key-12345", "an unknown key").await;
    assert_eq!(stage.store.calls().len(), 1);
}

#[tokio::test]
async fn keys_of_people_who_may_not_log_in_or_hold_less_by_now_are_refused() {
    let stage = Stage::started().await;
    let minted_by = Some("user:ada".to_owned());
    stage.key(ApiKey { minted_by, ..key(&[Scope::RunsWrite], "acme") });
    stage.refuses(KEY, "a key of nobody").await;
    for (roles, state, counts) in [
        ("acme=developer", UserState::Active, true),
        ("*=developer", UserState::Active, true),
        ("acme=admin", UserState::Disabled, false),
        ("acme=viewer", UserState::Active, false),
        ("beta=admin", UserState::Active, false),
        ("", UserState::Active, false),
    ] {
        stage.session("ada", roles);
        stage.store.accounts.lock().unwrap().get_mut("ada").unwrap().state = state;
        assert_eq!(stage.ask(KEY).await.is_ok(), counts, "{roles:?} {state:?}");
    }
}

#[tokio::test]
async fn keys_that_have_ended_or_were_revoked_are_refused() {
    let stage = Stage::started().await;
    stage.key(ApiKey { expires_at: Some(at(START)), ..key(&[Scope::All], "*") });
    stage.refuses(KEY, "an ended key").await;
    let revoked = Some(Revocation { at: at(START), by: "user:ada".into(), reason: None });
    stage.key(ApiKey { revoked, ..key(&[Scope::All], "*") });
    stage.refuses(KEY, "a revoked key").await;
    stage.refuses("another-key-12345", "an unknown key").await;
    assert!(stage.store.calls().iter().all(|call| call.starts_with("find key")));
}

#[tokio::test]
async fn tokens_that_do_not_count_are_refused_and_their_use_is_not_written_down() {
    let stage = Stage::started().await;
    for (what, record) in [
        ("revoked", ServiceToken { state: revoked(), ..token('0') }),
        ("rotated, and its grace is over", ServiceToken { state: rotated(Some(START)), ..token('0') }),
    ] {
        let service = stage.service(record);
        stage.refuses(&service, what).await;
        assert_eq!(stage.store.calls(), [format!("find token {}", jti('0'))], "{what}");
    }
    let unknown = stage.sign(&claims_of(&token('7')));
    stage.refuses(&unknown, "never minted").await;
    assert_eq!(stage.store.calls(), [format!("find token {}", jti('7'))]);
}

#[tokio::test]
async fn a_token_whose_time_is_over_is_refused_without_a_read() {
    let stage = Stage::started().await;
    let service = stage.service(ServiceToken { expires_at: at(START), ..token('0') });
    stage.refuses(&service, "an ended token").await;
    assert!(stage.store.calls().is_empty());
}

#[tokio::test]
async fn a_rotated_token_counts_until_its_grace_is_over() {
    let stage = Stage::started().await;
    let service = stage.service(ServiceToken { state: rotated(Some(START + 60)), ..token('0') });
    stage.admits(&service).await;
    stage.clock.advance(Duration::from_mins(1));
    stage.refuses(&service, "after the grace").await;
}

#[tokio::test]
async fn the_first_use_of_a_token_ends_the_one_that_it_took_over_from() {
    let stage = Stage::started().await;
    stage.service(ServiceToken { state: rotated(None), ..token('0') });
    let replaces = Replaces { jti: jti('0'), ends_it_when_used: true };
    let newer = stage.service(ServiceToken { replaces: Some(replaces), ..token('1') });
    stage.admits(&newer).await;
    let expected =
        [format!("find token {}", jti('1')), format!("record use of {}, which ends {}", jti('1'), jti('0'))];
    assert_eq!(stage.store.calls(), expected);
    stage.clock.advance(Duration::from_mins(5));
    stage.admits(&newer).await;
    let calls = stage.store.calls();
    assert!(calls.contains(&format!("record use of {}", jti('1'))), "the second use ends nothing: {calls:?}");
}

#[tokio::test]
async fn a_token_with_a_grace_is_not_ended_by_the_one_that_took_over() {
    let stage = Stage::started().await;
    let replaces = Replaces { jti: jti('0'), ends_it_when_used: false };
    let newer = stage.service(ServiceToken { replaces: Some(replaces), ..token('1') });
    stage.admits(&newer).await;
    assert_eq!(stage.store.calls()[1], format!("record use of {}", jti('1')));
}

#[tokio::test]
async fn claims_that_the_record_does_not_have_are_refused_though_the_signature_is_right() {
    let stage = Stage::started().await;
    stage.service(token('0'));
    for (what, other) in [
        ("project", ServiceToken { project: "billing".parse().unwrap(), ..token('0') }),
        ("service", ServiceToken { service: "admin".parse().unwrap(), ..token('0') }),
        ("a longer life", ServiceToken { expires_at: at(START + 200 * 86_400), ..token('0') }),
        ("an earlier beginning", ServiceToken { created_at: at(START - 3601), ..token('0') }),
    ] {
        stage.refuses(&stage.sign(&claims_of(&other)), what).await;
    }
}

#[tokio::test]
async fn sessions_of_the_disabled_and_those_that_were_ended_are_refused() {
    let stage = Stage::started().await;
    let session = stage.session("ada", "*=admin");
    stage.admits(&session).await;
    stage.store.accounts.lock().unwrap().get_mut("ada").unwrap().state = UserState::Disabled;
    stage.refuses(&session, "a disabled user").await;
    let session = stage.session("ada", "*=admin");
    stage.store.accounts.lock().unwrap().get_mut("ada").unwrap().sessions.clear();
    stage.refuses(&session, "an ended session").await;
    stage.store.accounts.lock().unwrap().clear();
    stage.refuses(&session, "nobody's session").await;
}

#[tokio::test]
async fn a_session_ends_when_its_record_says_even_where_the_token_says_later() {
    let stage = Stage::started().await;
    let session = stage.session("ada", "*=admin");
    let id = session_claims("ada").id;
    let shorten = |account: &mut Account| account.sessions.get_mut(&id).unwrap().expires_at = at(START);
    shorten(stage.store.accounts.lock().unwrap().get_mut("ada").unwrap());
    stage.refuses(&session, "a session that was shortened").await;
}

#[tokio::test]
async fn roles_are_those_of_the_record_and_hold_from_the_next_question_on() {
    let stage = Stage::started().await;
    let session = stage.session("ada", "*=admin");
    assert_eq!(stage.admits(&session).await["context"]["roles"], "*=admin");
    stage.store.accounts.lock().unwrap().get_mut("ada").unwrap().roles = "acme=viewer".parse().unwrap();
    let answer = stage.admits(&session).await;
    assert_eq!(answer["context"]["roles"], "acme=viewer");
    assert!(!answer["policyDocument"].to_string().contains("/v1/users"));
}

#[tokio::test]
async fn a_person_without_roles_may_log_out_and_little_else() {
    let stage = Stage::started().await;
    let answer = stage.admits(&stage.session("ada", "")).await;
    assert_eq!(answer["context"]["roles"], "");
    let resources = answer["policyDocument"]["Statement"][0]["Resource"].as_array().unwrap();
    let paths: Vec<_> =
        resources.iter().map(|resource| resource.as_str().unwrap().splitn(3, '/').nth(2).unwrap()).collect();
    assert_eq!(paths, ["GET/auth/*", "POST/auth/*", "DELETE/auth/*"]);
}

#[tokio::test]
async fn a_service_token_is_not_taken_for_a_session_of_the_same_id() {
    let stage = Stage::started().await;
    let session = stage.session("ada", "*=admin");
    let [_, claims, signature]: [&str; 3] = session.split('.').collect::<Vec<_>>().try_into().unwrap();
    let service = stage.service(token('0'));
    let header = service.split('.').next().unwrap();
    stage.refuses(&format!("{header}.{claims}.{signature}"), "the other kind's header").await;
    assert!(stage.store.calls().is_empty());
}

#[tokio::test]
async fn tokens_of_another_installation_are_refused_without_a_read() {
    let stage = Stage::started().await;
    let elsewhere = Issuer::new("urn:gatehouse:example:prod");
    let token = stage.pair.sign_service_token(&elsewhere, &claims_of(&token('0'))).unwrap();
    stage.refuses(token.expose_secret(), "another stage's token").await;
    assert!(stage.store.calls().is_empty());
}

#[tokio::test]
async fn nobody_is_let_in_while_records_cannot_be_read() {
    let stage = Stage::started().await;
    stage.key(key(&[Scope::All], "*"));
    let (session, service) = (stage.session("ada", "*=admin"), stage.service(token('0')));
    stage.store.no_records.store(true, Ordering::SeqCst);
    for credential in [&session, &service, KEY] {
        stage.cannot_know(credential, credential).await;
    }
    assert!(stage.store.calls().iter().all(|call| call.starts_with("find")), "nothing is written");
}

#[tokio::test]
async fn a_use_that_cannot_be_written_down_keeps_nobody_out() {
    let stage = Stage::started().await;
    stage.key(key(&[Scope::All], "*"));
    let service = stage.service(token('0'));
    stage.store.no_writes.store(true, Ordering::SeqCst);
    stage.admits(&service).await;
    stage.admits(KEY).await;
    stage.store.calls();
    // It is tried again with the next use.
    stage.store.no_writes.store(false, Ordering::SeqCst);
    stage.admits(&service).await;
    assert_eq!(stage.store.calls()[1], format!("record use of {}", jti('0')));
}

#[tokio::test]
async fn a_store_that_is_silent_is_not_waited_for_until_lambda_ends_it() {
    let none = TimeLimits { looking_up: Duration::ZERO, writing_down: Duration::ZERO };
    let mut stage = Stage::started().await;
    stage.authorizer = stage.authorizer.within(none);
    stage.key(key(&[Scope::All], "*"));
    stage.store.silent_about_uses.store(true, Ordering::SeqCst);
    stage.admits(KEY).await;
    assert_eq!(stage.store.calls().len(), 2, "its use was to be written down");
    stage.store.silent_about_keys.store(true, Ordering::SeqCst);
    stage.cannot_know(KEY, "the key cannot be read").await;
}

#[tokio::test]
async fn a_key_that_was_published_later_is_found() {
    let mut stage = Stage::started().await;
    let (key, pair) = new_key();
    *stage.store.ring.lock().unwrap() = Some(ring([sample_key().0, key]));
    let older = stage.service(token('0'));
    stage.pair = pair;
    let newer = stage.service(token('1'));
    stage.admits(&newer).await;
    assert_eq!(stage.store.calls()[..2], ["find key ring".to_owned(), format!("find token {}", jti('1'))]);
    stage.admits(&older).await;
    stage.admits(&newer).await;
    assert!(!stage.store.calls().contains(&"find key ring".to_owned()));
}

#[tokio::test]
async fn forged_key_ids_make_nobody_read_more_than_once_in_ten_seconds() {
    let stage = Stage::started().await;
    let forged = || {
        let made = KeyPair::generate().unwrap();
        let pair = KeyPair::from_secret(&made.kid, &made.private_key).unwrap();
        let token = pair.sign_service_token(&Issuer::new(ISSUER), &claims_of(&token('0'))).unwrap();
        token.expose_secret().to_owned()
    };
    for _ in 0..50 {
        stage.refuses(&forged(), "a key of nobody").await;
    }
    assert_eq!(stage.store.calls(), ["find key ring"]);
    stage.clock.advance(Duration::from_secs(9));
    stage.refuses(&forged(), "a key of nobody").await;
    assert!(stage.store.calls().is_empty());
    stage.clock.advance(Duration::from_secs(1));
    stage.refuses(&forged(), "a key of nobody").await;
    assert_eq!(stage.store.calls(), ["find key ring"]);
}

#[tokio::test]
async fn many_callers_with_a_new_key_wait_for_one_read_of_the_ring() {
    let mut stage = Stage::started().await;
    let (key, pair) = new_key();
    *stage.store.ring.lock().unwrap() = Some(ring([sample_key().0, key]));
    stage.pair = pair;
    let session = stage.session("ada", "*=admin");
    let (one, two, three) = tokio::join!(stage.ask(&session), stage.ask(&session), stage.ask(&session));
    assert!(one.is_ok() && two.is_ok() && three.is_ok());
    assert_eq!(stage.store.calls().iter().filter(|call| *call == "find key ring").count(), 1);
}

#[tokio::test]
async fn an_empty_ring_is_asked_for_again_since_the_first_key_signs_at_once() {
    let stage = Stage::new();
    let ring = stage.store.ring.lock().unwrap().take();
    stage.authorizer.warm_up().await;
    let session = stage.session("ada", "*=admin");
    stage.refuses(&session, "before there is a key").await;
    *stage.store.ring.lock().unwrap() = ring;
    stage.admits(&session).await;
}

#[tokio::test]
async fn the_ring_is_read_again_after_five_minutes_beside_the_record() {
    let stage = Stage::started().await;
    let session = stage.session("ada", "*=admin");
    stage.admits(&session).await;
    stage.store.calls();
    stage.clock.advance(Duration::from_secs(299));
    stage.admits(&session).await;
    assert_eq!(stage.store.calls(), ["find account ada"]);
    stage.clock.advance(Duration::from_secs(1));
    stage.admits(&session).await;
    let mut calls = stage.store.calls();
    calls.sort();
    assert_eq!(calls[..2], ["find account ada", "find key ring"]);
    stage.admits(&session).await;
    assert_eq!(stage.store.calls(), ["find account ada"]);
}

#[tokio::test]
async fn a_key_that_was_taken_out_of_the_ring_signs_nothing_any_more() {
    let stage = Stage::started().await;
    let service = stage.service(token('0'));
    *stage.store.ring.lock().unwrap() = Some(ring([new_key().0]));
    stage.clock.advance(Duration::from_mins(5));
    stage.refuses(&service, "signed by a key that was taken out").await;
    assert!(
        !stage.store.calls().iter().any(|call| call.starts_with("record")),
        "its use is not written down"
    );
    stage.refuses(&service, "the next time").await;
}

#[tokio::test]
async fn who_is_known_stays_so_while_the_ring_cannot_be_read_again() {
    let stage = Stage::started().await;
    let session = stage.session("ada", "*=admin");
    stage.store.no_ring.store(true, Ordering::SeqCst);
    stage.clock.advance(Duration::from_mins(5));
    stage.admits(&session).await;
}

#[tokio::test]
async fn a_ring_that_was_never_read_lets_nobody_in_and_is_read_when_it_can_be() {
    let stage = Stage::new();
    let session = stage.session("ada", "*=admin");
    stage.store.no_ring.store(true, Ordering::SeqCst);
    stage.authorizer.warm_up().await;
    stage.cannot_know(&session, "without a ring").await;
    stage.store.no_ring.store(false, Ordering::SeqCst);
    stage.admits(&session).await;
}

#[tokio::test]
async fn a_key_that_cannot_be_looked_for_is_no_reason_to_refuse_somebody() {
    let mut stage = Stage::started().await;
    let (key, pair) = new_key();
    *stage.store.ring.lock().unwrap() = Some(ring([sample_key().0, key]));
    stage.pair = pair;
    let session = stage.session("ada", "*=admin");
    stage.store.no_ring.store(true, Ordering::SeqCst);
    stage.cannot_know(&session, "while the ring is out of reach").await;
    stage.store.no_ring.store(false, Ordering::SeqCst);
    stage.store.calls();
    stage.cannot_know(&session, "a moment later").await;
    assert!(stage.store.calls().is_empty());
    stage.clock.advance(Duration::from_secs(10));
    stage.admits(&session).await;
}

/// Headers in which nobody's credential is, whatever else there may be.
fn headers() -> impl Strategy<Value = Value> {
    let name = prop_oneof!["(?i)authorization", "[A-Za-z-]{1,12}"];
    let value = prop_oneof![
        "\\PC{0,80}",
        "Bearer [A-Za-z0-9_=+/-]{0,40}",
        "Bearer [A-Za-z0-9_=+/-]{0,40}\\.[A-Za-z0-9_=+/-]{0,40}\\.[A-Za-z0-9_=+/-]{0,40}",
        "bearer  eyJ[A-Za-z0-9_-]{0,40}(\\.eyJ[A-Za-z0-9_-]{0,40}){1,4}",
    ];
    proptest::collection::hash_map(name, value, 0..4).prop_map(|headers| json!(headers))
}

proptest! {
    #[test]
    fn whatever_stands_in_the_headers_nobody_is_let_in(headers in headers(), arn in "\\PC{0,80}") {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let error = runtime.block_on(async {
            let stage = Stage::started().await;
            let event = json!({ "methodArn": arn, "headers": headers });
            stage.authorizer.authorize(serde_json::from_value(event).unwrap()).await.unwrap_err()
        });
        prop_assert_eq!(error.to_string(), "Unauthorized");
    }
}
