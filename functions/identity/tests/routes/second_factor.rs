//! The second factor: enrolling it, logging in with it, losing it, and tenants that want one.

use std::time::Duration;

use data_encoding::BASE32_NOPAD;
use futures_util::future::join_all;
use gatehouse_domain::{
    access::Scope,
    caller::{Caller, Grant, RequiredAction},
    clock::Clock,
    users::{FindAccount, FindUser, User},
};
use gatehouse_testkit::app::{Answer, Client, TestApp, callers};
use insta::assert_snapshot;
use serde_json::{Value, json};
use totp_rs::{Builder, Secret};

use crate::{log_in, start, texts, with_grace};

const PASSWORD: &str = "blue canary only";

/// A device that was told a secret.
struct Device([u8; 20]);

impl Device {
    fn new(enrolment: &Answer) -> Self {
        let secret = enrolment.body["secret"].as_str().unwrap_or_else(|| panic!("no secret: {enrolment}"));
        Self(BASE32_NOPAD.decode(secret.as_bytes()).unwrap().try_into().unwrap())
    }

    /// The code that it shows this many steps from now.
    fn code(&self, app: &TestApp, steps: i64) -> String {
        let second = app.system.now().as_second() + steps * 30;
        let totp = Builder::new().with_secret(Secret::new_stack(self.0)).build().unwrap();
        totp.generate(second.try_into().unwrap()).to_string()
    }
}

async fn user(app: &TestApp) -> User {
    app.table.table.find_user(&"grace".parse().unwrap()).await.unwrap().unwrap()
}

/// The ids of the sessions of `grace`.
async fn sessions(app: &TestApp) -> Vec<String> {
    let account = app.table.table.find_account(&"grace".parse().unwrap()).await.unwrap().unwrap();
    account.sessions.keys().map(ToString::to_string).collect()
}

/// `grace` in her newest session.
async fn grace(app: &TestApp) -> Client<'_> {
    let account = app.table.table.find_account(&"grace".parse().unwrap()).await.unwrap().unwrap();
    let newest = account.sessions.iter().max_by_key(|(_, session)| session.started_at);
    let (id, _) = newest.expect("a session");
    app.as_caller(callers::person("grace", "acme=developer", id.as_str()))
}

async fn log_in_with(app: &TestApp, code: &str) -> Answer {
    let body = json!({ "username": "grace", "password": PASSWORD, "code": code });
    app.anonymous().post("/auth/login").json(&body).await
}

/// `grace` with a second factor: her device, and her recovery codes.
async fn enrolled() -> (TestApp, Device, Vec<String>) {
    let (app, _) = with_grace().await;
    assert_eq!(log_in(&app, "grace", PASSWORD).await.status, 200);
    let device = Device::new(&grace(&app).await.post("/auth/second-factor").await);
    let code = json!({ "code": device.code(&app, 0) });
    let confirmed = grace(&app).await.post("/auth/second-factor/confirm").json(&code).await;
    let codes = recovery_codes(&confirmed);
    app.system.advance(Duration::from_mins(1));
    (app, device, codes)
}

fn recovery_codes(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 200, "{answer}");
    let codes = answer.body["recovery_codes"].as_array().unwrap();
    codes.iter().map(|code| code.as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_device_counts_once_a_code_of_it_is_confirmed() {
    let (app, _) = with_grace().await;
    for _ in 0..3 {
        assert_eq!(log_in(&app, "grace", PASSWORD).await.status, 200);
        app.system.advance(Duration::from_secs(1));
    }
    let own = grace(&app).await;
    let first = Device::new(&own.post("/auth/second-factor").await);
    let mut answer = own.post("/auth/second-factor").await;
    let device = Device::new(&answer);
    assert_ne!(first.0, device.0, "another one can be made until one is confirmed");
    let secret = answer.body["secret"].as_str().unwrap().to_owned();
    let uri = answer.body["uri"].as_str().unwrap().replace(&secret, "SECRET");
    (answer.body["secret"], answer.body["uri"]) = (json!("SECRET"), json!(uri));
    assert_snapshot!(answer, @r#"
    200 OK
    {
      "secret": "SECRET",
      "uri": "otpauth://totp/Gatehouse:grace?secret=SECRET&issuer=Gatehouse&algorithm=SHA1&digits=6&period=30"
    }
    "#);
    assert_eq!(log_in(&app, "grace", PASSWORD).await.status, 200, "it does not count yet");
    let confirm =
        async |code: &str| own.post("/auth/second-factor/confirm").json(&json!({ "code": code })).await;
    assert_snapshot!(confirm(&first.code(&app, 0)).await, @"
    401 Unauthorized
    login-refused: The code is wrong, or was used already.
    ");
    assert!(user(&app).await.second_factor_since.is_none());
    let mut confirmed = confirm(&device.code(&app, 0)).await;
    assert_eq!(confirmed.body["recovery_codes"].as_array().map(Vec::len), Some(10));
    confirmed.body["recovery_codes"] = json!("(ten codes)");
    assert_snapshot!(confirmed, @r#"
    200 OK
    {
      "effective_by": "2026-09-21T14:13:23Z",
      "flushed": true,
      "recovery_codes": "(ten codes)"
    }
    "#);
    assert_eq!(sessions(&app).await.len(), 1, "sessions that began without it go on");
    for answer in [confirm(&device.code(&app, 1)).await, own.post("/auth/second-factor").await] {
        assert_eq!(answer.problem(), "conflict", "{answer}");
    }
    let shown = app.as_platform_admin().get("/v1/users/grace").await;
    assert_eq!(shown.body["user"]["second_factor"], true);
}

#[tokio::test]
async fn a_login_takes_the_password_and_a_code_which_is_good_once() {
    let (app, device, _) = enrolled().await;
    assert_snapshot!(log_in(&app, "grace", PASSWORD).await, @"
    401 Unauthorized
    second-factor-required: This user has a second factor: send its code as well.
    ");
    let wrong = app.anonymous().post("/auth/login");
    let body = json!({ "username": "grace", "password": "a wrong guess", "code": device.code(&app, 0) });
    assert_snapshot!(wrong.json(&body).await, @"
    401 Unauthorized
    login-refused: The user name or the password is wrong.
    ");
    let code = device.code(&app, 0);
    assert_eq!(log_in_with(&app, &code).await.status, 200, "no wrong password spends a code");
    assert_snapshot!(log_in_with(&app, &code).await, @"
    401 Unauthorized
    login-refused: The code is wrong, or was used already.
    ");
    for (steps, good) in [(-1, false), (2, false), (1, true), (1, false), (0, false)] {
        let answer = log_in_with(&app, &device.code(&app, steps)).await;
        assert_eq!(answer.status == 200, good, "{steps}: {answer}");
    }
}

#[tokio::test]
async fn of_many_logins_at_once_with_one_code_one_begins() {
    let (app, device, _) = enrolled().await;
    let code = device.code(&app, 0);
    let before = sessions(&app).await.len();
    let answers = join_all((0..10).map(async |_| log_in_with(&app, &code).await)).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    assert_eq!(sessions(&app).await.len(), before + 1);
}

#[tokio::test]
async fn each_recovery_code_is_good_once() {
    let (app, _, codes) = enrolled().await;
    let first = codes[0].to_uppercase().replace('-', " ");
    assert_eq!(log_in_with(&app, &first).await.status, 200);
    assert_eq!(log_in_with(&app, &codes[0]).await.problem(), "login-refused");
    assert_eq!(log_in_with(&app, &codes[1]).await.status, 200);
    assert_eq!(user(&app).await.second_factor.unwrap().recovery_codes.len(), 8);
    let trail = app.as_platform_admin().get("/v1/audit?actor=user:grace&limit=100").await;
    let entries = trail.body["entries"].as_array().unwrap();
    let logins = entries.iter().filter(|entry| entry["action"] == "session.login").cloned();
    let mut details = texts(&logins.collect::<Vec<_>>(), "detail");
    details.sort();
    assert_eq!(details, ["-", "with a recovery code", "with a recovery code", "wrong code"]);
}

#[tokio::test]
async fn new_recovery_codes_take_the_place_of_all_before_and_leave_device_and_sessions() {
    let (app, device, old) = enrolled().await;
    assert_eq!(log_in_with(&app, &old[0]).await.status, 200);
    let before = sessions(&app).await;
    let mut renewed = grace(&app).await.post("/auth/second-factor/recovery-codes").await;
    let new = recovery_codes(&renewed);
    assert_eq!((new.len(), new.iter().any(|code| old.contains(code))), (10, false));
    renewed.body["recovery_codes"] = json!("(ten codes)");
    assert_snapshot!(renewed, @r#"
    200 OK
    {
      "effective_by": "2026-09-21T14:14:20Z",
      "flushed": true,
      "recovery_codes": "(ten codes)"
    }
    "#);
    assert_eq!(sessions(&app).await, before);
    for (code, good) in
        [(&old[0], false), (&old[1], false), (&new[0], true), (&new[0], false), (&device.code(&app, 0), true)]
    {
        let answer = log_in_with(&app, code).await;
        assert_eq!(answer.status == 200, good, "{answer}");
    }
    let stored = format!("{:?}", user(&app).await);
    assert!(new.iter().all(|code| !stored.contains(code) && !stored.contains(&code.replace('-', ""))));
    let trail = app.as_platform_admin().get("/v1/audit?actor=user:grace&limit=100").await;
    let actions = texts(trail.body["entries"].as_array().unwrap(), "action");
    assert_eq!(actions.iter().filter(|action| *action == "second_factor.recovery_codes").count(), 1);
}

#[tokio::test]
async fn recovery_codes_are_of_a_device_that_was_confirmed() {
    let (app, _) = with_grace().await;
    assert_eq!(log_in(&app, "grace", PASSWORD).await.status, 200);
    let own = grace(&app).await;
    assert_snapshot!(own.post("/auth/second-factor/recovery-codes").await, @"
    404 Not Found
    not-found: There is no second factor.
    ");
    assert_eq!(own.post("/auth/second-factor").await.status, 200);
    assert_eq!(own.post("/auth/second-factor/recovery-codes").await.problem(), "not-found");
    assert!(user(&app).await.second_factor.unwrap().recovery_codes.is_empty());
    assert_eq!(own.post("/auth/second-factor/recovery-codes?x=1").await.problem(), "invalid-query");
}

#[tokio::test]
async fn guesses_at_codes_are_limited_as_those_at_passwords_are() {
    let (app, device, _) = enrolled().await;
    for _ in 0..20 {
        assert_eq!(log_in(&app, "grace", PASSWORD).await.problem(), "second-factor-required");
    }
    let guesses = join_all((0..40).map(async |_| log_in_with(&app, "000000").await)).await;
    assert_eq!(guesses.iter().filter(|answer| answer.problem() == "login-refused").count(), 11);
    assert_eq!(guesses.iter().filter(|answer| answer.problem() == "throttled").count(), 29);
    assert_eq!(log_in_with(&app, &device.code(&app, 0)).await.problem(), "throttled");
    // So are those within a session.
    let own = grace(&app).await;
    let say = async |code: &str| {
        own.post("/auth/reauthenticate").json(&json!({ "password": PASSWORD, "code": code })).await
    };
    let guesses = join_all((0..9).map(async |_| say("000000").await)).await;
    assert_eq!(guesses.iter().filter(|answer| answer.problem() == "throttled").count(), 4);
    assert_eq!(say(&device.code(&app, 0)).await.problem(), "throttled");
}

#[tokio::test]
async fn saying_the_password_again_takes_a_code_too() {
    let (app, device, codes) = enrolled().await;
    let own = grace(&app).await;
    let say = async |body: Value| own.post("/auth/reauthenticate").json(&body).await;
    assert_snapshot!(say(json!({ "password": PASSWORD })).await, @"
    401 Unauthorized
    second-factor-required: You have a second factor: send its code as well.
    ");
    let code = device.code(&app, 0);
    for (code, status) in [(code.as_str(), 200), (&code, 401), (&codes[3], 200), (&codes[3], 401)] {
        let answer = say(json!({ "password": PASSWORD, "code": code })).await;
        assert_eq!(answer.status, status, "{answer}");
    }
    assert_eq!(log_in_with(&app, &code).await.problem(), "login-refused", "it was spent within the session");
}

#[tokio::test]
async fn it_is_removed_by_its_owner_and_for_them() {
    let (app, _, _) = enrolled().await;
    let root = app.as_platform_admin();
    assert_eq!(grace(&app).await.delete("/auth/second-factor").await.status, 200);
    let stands = user(&app).await;
    assert!(stands.second_factor.is_none() && stands.second_factor_since.is_none());
    assert_eq!(log_in(&app, "grace", PASSWORD).await.status, 200);
    assert_snapshot!(grace(&app).await.delete("/auth/second-factor").await, @"
    404 Not Found
    not-found: There is no second factor.
    ");
    assert_eq!(root.delete("/v1/users/grace/second-factor").await.problem(), "not-found");
    assert_eq!(root.delete("/v1/users/nobody/second-factor").await.problem(), "not-found");
    let (app, _, _) = enrolled().await;
    assert_eq!(app.as_admin("acme").delete("/v1/users/grace/second-factor").await.problem(), "forbidden");
    assert_eq!(app.as_platform_admin().delete("/v1/users/grace/second-factor").await.status, 200);
    assert!(sessions(&app).await.is_empty(), "whoever has the device is logged in");
    assert_eq!(log_in(&app, "grace", PASSWORD).await.status, 200);
}

#[tokio::test]
async fn nobody_confirms_what_was_not_begun_and_only_people_have_devices() {
    let (app, _) = with_grace().await;
    assert_eq!(log_in(&app, "grace", PASSWORD).await.status, 200);
    let code = json!({ "code": "123456" });
    let confirm = grace(&app).await.post("/auth/second-factor/confirm").json(&code).await;
    assert_eq!(confirm.problem(), "not-found");
    for client in [app.as_api_key(&[Scope::All], "*"), app.as_service("acme", "payments", "worker")] {
        for answer in [
            client.post("/auth/second-factor").await,
            client.post("/auth/second-factor/confirm").json(&code).await,
            client.post("/auth/second-factor/recovery-codes").await,
            client.delete("/auth/second-factor").await,
        ] {
            assert_eq!(answer.problem(), "forbidden");
        }
    }
    assert_eq!(app.anonymous().post("/auth/second-factor").await.problem(), "unauthorized");
    assert_eq!(app.as_viewer("acme").post("/auth/second-factor").await.problem(), "not-found");
}

#[tokio::test]
async fn what_the_table_holds_opens_nothing_by_itself() {
    let (app, device, codes) = enrolled().await;
    let key = gatehouse_domain::secret::SecretName::second_factor_key();
    let stored = format!("{:?}", app.table.table.find_user(&"grace".parse().unwrap()).await.unwrap());
    let sealed = user(&app).await.second_factor.unwrap().secret;
    let secret = BASE32_NOPAD.encode(&device.0);
    for text in [&stored, sealed.as_str()] {
        assert!(!text.contains(&secret), "the secret is there");
        assert!(codes.iter().all(|code| !text.contains(code) && !text.contains(&code.replace('-', ""))));
    }
    // With another key than the one that sealed it, it opens nothing, and does not say why.
    app.secrets.put(&key, &"canary-of-another-key".into());
    assert_eq!(log_in_with(&app, &device.code(&app, 0)).await.problem(), "internal");
    // The recovery codes need no key.
    assert_eq!(log_in_with(&app, &codes[0]).await.status, 200);
}

mod tenants_that_want_one {
    use super::*;

    async fn put(app: &TestApp, body: &Value) -> Answer {
        app.as_platform_admin().put("/v1/tenants/acme").json(body).await
    }

    async fn required(app: &TestApp) -> Value {
        let login = log_in(app, "grace", PASSWORD).await;
        assert_eq!(login.status, 200, "{login}");
        login.body.get("required_action").cloned().unwrap_or_default()
    }

    /// `grace` with a password of her own choice.
    async fn with_own_password() -> TestApp {
        let (app, _) = with_grace().await;
        let first = json!({ "current_password": PASSWORD, "new_password": "another canary only" });
        assert_eq!(log_in(&app, "grace", PASSWORD).await.status, 200);
        assert_eq!(grace(&app).await.post("/auth/password").json(&first).await.status, 200);
        let back = json!({ "current_password": "another canary only", "new_password": PASSWORD });
        assert_eq!(grace(&app).await.post("/auth/password").json(&back).await.status, 200);
        app
    }

    #[tokio::test]
    async fn their_members_are_told_to_enrol_and_what_is_not_said_stays() {
        let app = with_own_password().await;
        assert_eq!(put(&app, &json!({ "display_name": "Acme" })).await.status, 200);
        assert_eq!(required(&app).await, Value::Null);
        let wanted = put(&app, &json!({ "display_name": "Acme", "require_second_factor": true })).await;
        assert_eq!(wanted.body["tenant"]["require_second_factor"], true);
        assert!(app.flushes.count() > 0);
        assert_eq!(required(&app).await, "enrol_second_factor");
        let renamed = put(&app, &json!({ "display_name": "Acme Ltd" })).await;
        assert_eq!(renamed.body["tenant"]["require_second_factor"], true);
        assert_eq!(required(&app).await, "enrol_second_factor");
        let device = Device::new(&grace(&app).await.post("/auth/second-factor").await);
        let code = json!({ "code": device.code(&app, 0) });
        assert_eq!(grace(&app).await.post("/auth/second-factor/confirm").json(&code).await.status, 200);
        let login = log_in_with(&app, &device.code(&app, 1)).await;
        assert_eq!((login.status.as_u16(), login.body.get("required_action")), (200, None));
        let trail = app.as_platform_admin().get("/v1/audit?tenant=acme").await;
        let details = texts(trail.body["entries"].as_array().unwrap(), "detail");
        assert!(details.iter().any(|detail| detail == "members need a second factor"), "{details:?}");
    }

    #[tokio::test]
    async fn until_then_a_member_may_only_enrol() {
        let app = start().await;
        let Caller { subject, grant } = callers::person("grace", "acme=admin", "ses_grace");
        let Grant::User { roles, session, authenticated_at, .. } = grant else { panic!("a person") };
        let required_action = Some(RequiredAction::EnrolSecondFactor);
        let grant = Grant::User { roles, session, authenticated_at, required_action };
        let grace = app.as_caller(Caller { subject, grant });
        assert_snapshot!(grace.get("/v1/tenants").await, @"
        403 Forbidden
        action-required: A tenant of yours wants a second factor. Enrol one first, with `POST /auth/second-factor`.
        ");
        assert_eq!(grace.get("/auth/me").await.body["required_action"], "enrol_second_factor");
        assert_eq!(grace.delete("/auth/second-factor").await.problem(), "action-required");
        assert_eq!(grace.post("/auth/second-factor").await.problem(), "not-found");
    }
}
