//! How many calls each operation makes: a read is one, a write is one.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use gatehouse_domain::{
    access::Scope,
    api_key::{self, ApiKey, PresentedKey, RecordKeyUse, SaveApiKey},
    audit::{AuditFilter, ListAudit},
    catalog::{self, ServiceQuery},
    ci::ProviderKind,
    claims::ServiceClaims,
    clock::Clock,
    idempotency::IdempotencyKey,
    jobs,
    operations::{
        self, Phase,
        attempt::CallbackKey,
        request::{Ask, OperationRequest, RequestError, request},
        steer,
    },
    paging::PageRequest,
    project::{Project, SaveProject},
    revision::{Precondition, Revision},
    runs::{
        self,
        start::{self, StartError},
    },
    tokens::{self, Minted, RecordUse, Rotation},
    users::{self, LogIn, LoggedIn, LoginError, Proof, RecordSessionUse, UserDraft, UserPatch},
};
use secrecy::ExposeSecret;

use crate::{
    catalog::{begun, saved},
    schedules::{Fate, Only, PretendCi},
    support::{Begins, NoSecrets, Pretend, TestTable, admin, audit, draft, origin, person},
};

#[tokio::test]
async fn an_authorizer_that_does_not_remember_reads_a_key_once_and_writes_its_use_once() {
    let table = TestTable::new().await;
    let scopes = BTreeSet::from([Scope::All]);
    let now = table.system.now();
    let (record, key) = ApiKey::generate(&*table.system, "test".into(), scopes, "*".parse().unwrap(), now);
    table.table.save_api_key(&record, None).await.unwrap();
    table.calls.take();
    let key = PresentedKey::parse(key.expose_secret()).unwrap();
    api_key::authenticate(&*table.table, &key, now).await.unwrap().unwrap();
    assert_eq!(table.calls.take(), ["GetItem"]);
    table.table.record_key_use(&record.id, now).await.unwrap();
    assert_eq!(table.calls.take(), ["UpdateItem"]);
}

#[tokio::test]
async fn an_authorizer_that_does_not_remember_reads_a_persons_key_and_the_person() {
    let table = TestTable::new().await;
    let (root, origin, pretend) = (person("root", "*=admin", "s"), origin(), Pretend::default());
    let (store, system) = (&*table.table, &*table.system);
    let draft = UserDraft {
        name: "root".parse().unwrap(),
        display_name: None,
        roles: "*=admin".parse().unwrap(),
        password: "correct horse".into(),
    };
    users::create(store, &pretend, system, &audit(&root, &origin), draft).await.unwrap();
    let draft = api_key::KeyDraft {
        name: "test".into(),
        scopes: BTreeSet::from([Scope::All]),
        tenants: "*".parse().unwrap(),
        days: None,
    };
    table.calls.take();
    let (_, key) = api_key::mint(store, system, &audit(&root, &origin), draft).await.unwrap();
    assert_eq!(table.calls.take(), ["TransactWriteItems"]);
    let key = PresentedKey::parse(key.expose_secret()).unwrap();
    api_key::authenticate(store, &key, system.now()).await.unwrap().expect("the key is admitted");
    assert_eq!(table.calls.take(), ["GetItem", "GetItem"]);
}

/// Mints a token for a service of project `payments` of tenant `acme`.
async fn mint(table: &TestTable) -> Minted {
    let draft = tokens::Draft {
        project: "payments".parse().unwrap(),
        service: "worker".parse().unwrap(),
        description: None,
        days: None,
    };
    let (caller, origin, pretend) = (admin("acme"), origin(), Pretend::default());
    let minted =
        tokens::mint(&*table.table, &pretend, &*table.system, &audit(&caller, &origin), draft, None).await;
    minted.unwrap()
}

async fn with_project() -> TestTable {
    let table = TestTable::new().await;
    let revision = Revision::new(&*table.system);
    let project =
        Project::new("payments".parse().unwrap(), "acme".parse().unwrap(), revision, table.system.now());
    let entry = table.entry("user:ada", "project:payments", Some("acme"));
    table.table.save_project(&project, None, &entry).await.unwrap();
    table.calls.take();
    table
}

#[tokio::test]
async fn a_token_is_minted_with_its_project_read_and_one_transaction() {
    let table = with_project().await;
    mint(&table).await;
    assert_eq!(table.calls.take(), ["GetItem", "TransactWriteItems"]);
}

#[tokio::test]
async fn an_authorizer_that_does_not_remember_reads_a_token_once_and_writes_its_use_once() {
    let table = with_project().await;
    let Minted { record, .. } = mint(&table).await;
    table.calls.take();
    let claims = ServiceClaims {
        jti: record.jti.clone(),
        project: record.project.clone(),
        service: record.service.clone(),
        issued_at: record.created_at,
        expires_at: record.expires_at,
    };
    let admit = async || tokens::authenticate(&*table.table, &claims, table.system.now()).await;
    let (_, used) = admit().await.unwrap().expect("the token is admitted");
    assert_eq!(table.calls.take(), ["GetItem"]);
    table.table.record_use(&used.expect("it is news")).await.unwrap();
    assert_eq!(table.calls.take(), ["UpdateItem"]);
    let (_, used) = admit().await.unwrap().expect("the token is admitted");
    assert_eq!(used, None, "a second use is written down within five minutes");
}

#[tokio::test]
async fn a_token_is_rotated_with_two_reads_and_its_successors_first_use_is_one_transaction() {
    let table = with_project().await;
    let Minted { record: older, .. } = mint(&table).await;
    table.calls.take();
    let (caller, origin, pretend) = (admin("acme"), origin(), Pretend::default());
    let audit = audit(&caller, &origin);
    let rotation = Rotation::default();
    let rotated =
        tokens::rotate(&*table.table, &pretend, &*table.system, &audit, &older.jti, &rotation, None);
    let newer = rotated.await.unwrap().record;
    assert_eq!(table.calls.take(), ["GetItem", "GetItem", "TransactWriteItems"]);
    let used = tokens::Use { jti: newer.jti, at: table.system.now(), ends: Some(older.jti) };
    table.table.record_use(&used).await.unwrap();
    assert_eq!(table.calls.take(), ["TransactWriteItems"]);
}

#[tokio::test]
async fn a_token_is_revoked_with_one_read_one_transaction_and_its_flush_is_forgotten_with_one_call() {
    let table = with_project().await;
    let Minted { record, .. } = mint(&table).await;
    table.calls.take();
    let (caller, origin, pretend) = (admin("acme"), origin(), Pretend::default());
    let (store, flush, system) = (&*table.table, &pretend.flushes, &*table.system);
    let audit = audit(&caller, &origin);
    let revoked = tokens::revoke(store, flush, system, &audit, &record.jti, None).await.unwrap();
    assert!(revoked.effective.flushed);
    assert_eq!(table.calls.take(), ["GetItem", "TransactWriteItems", "DeleteItem"]);
}

async fn log_in(table: &TestTable, password: &str) -> Result<LoggedIn, users::LoginError> {
    log_in_with(table, password, None).await
}

async fn log_in_with(
    table: &TestTable,
    password: &str,
    code: Option<&str>,
) -> Result<LoggedIn, users::LoginError> {
    let pretend = Pretend::default();
    let (password, code) = (password.into(), code.map(Into::into));
    let wanted = LogIn { user: "ada", password: &password, code: code.as_ref() };
    let (store, system) = (&*table.table, &*table.system);
    users::log_in(store, &pretend, &pretend, &pretend, system, &origin(), &wanted).await
}

/// A table with the user `ada`, a platform admin, who has chosen her password.
async fn with_ada() -> TestTable {
    let table = TestTable::new().await;
    let (root, ada) = (person("root", "*=admin", "s"), person("ada", "*=admin", "s"));
    let (origin, pretend) = (origin(), Pretend::default());
    let (store, flush, system) = (&*table.table, &pretend.flushes, &*table.system);
    let draft = UserDraft {
        name: "ada".parse().unwrap(),
        display_name: None,
        roles: "*=admin".parse().unwrap(),
        password: "first horse".into(),
    };
    users::create(store, &pretend, system, &audit(&root, &origin), draft).await.unwrap();
    let (first, own) = ("first horse".into(), "correct horse".into());
    let audit = audit(&ada, &origin);
    users::change_password(store, &pretend, flush, system, &audit, &first, &own).await.unwrap();
    table
}

#[tokio::test]
async fn people_log_in_with_one_read_and_two_transactions_and_out_with_one() {
    let table = TestTable::new().await;
    let (root, origin, pretend) = (person("root", "*=admin", "s"), origin(), Pretend::default());
    let (store, flush, system) = (&*table.table, &pretend.flushes, &*table.system);
    let draft = UserDraft {
        name: "ada".parse().unwrap(),
        display_name: None,
        roles: "*=admin".parse().unwrap(),
        password: "correct horse".into(),
    };
    let ada = users::create(store, &pretend, system, &audit(&root, &origin), draft).await.unwrap();
    assert_eq!(table.calls.take(), ["TransactWriteItems"]);
    let LoggedIn { claims, .. } = log_in(&table, "correct horse").await.unwrap();
    let login = ["GetItem", "TransactWriteItems", "TransactWriteItems"];
    // She has to change her password first, so that nobody asks yet whether a tenant wants a second factor of her.
    assert_eq!(table.calls.take(), login);
    log_in(&table, "wrong").await.unwrap_err();
    assert_eq!(table.calls.take(), login, "a refused login makes other calls than an admitted one");
    let admitted = users::authenticate(&*table.table, &claims, table.system.now()).await.unwrap();
    let (caller, used) = admitted.expect("ada is admitted");
    assert_eq!(table.calls.take(), ["GetItem"]);
    assert_eq!(used, None);
    let expected = Precondition::Revision(ada.revision);
    let patch = UserPatch { display_name: Some("Ada".into()), ..UserPatch::default() };
    users::edit(store, flush, system, &audit(&root, &origin), &ada.name, patch, &expected).await.unwrap();
    assert_eq!(table.calls.take(), ["GetItem", "TransactWriteItems", "DeleteItem"]);
    users::log_out(store, flush, system, &audit(&caller, &origin)).await.unwrap();
    assert_eq!(table.calls.take(), ["TransactWriteItems", "DeleteItem"]);
    let ended = users::authenticate(&*table.table, &claims, table.system.now()).await.unwrap();
    assert_eq!(ended, None);
}

#[tokio::test]
async fn an_authorizer_that_does_not_remember_reads_a_session_once_and_writes_its_use_once_in_five_minutes() {
    let table = with_ada().await;
    let LoggedIn { claims, .. } = log_in(&table, "correct horse").await.unwrap();
    table.calls.take();
    let store = &*table.table;
    let mut writes = Vec::new();
    for minute in 0..24 {
        let (_, used) = users::authenticate(store, &claims, table.system.now()).await.unwrap().expect("ada");
        assert_eq!(table.calls.take(), ["GetItem", "Query"], "who has a second factor needs no second read");
        if let Some(used) = used {
            store.record_session_use(&used).await.unwrap();
            assert_eq!(table.calls.take(), ["UpdateItem"]);
            writes.push(minute);
        }
        table.system.advance(Duration::from_mins(1));
    }
    assert_eq!(writes, [5, 10, 15, 20]);
}

#[tokio::test]
async fn sessions_are_listed_with_one_read_and_ended_with_one_transaction() {
    let table = with_ada().await;
    let (store, system, origin, pretend) = (&*table.table, &*table.system, origin(), Pretend::default());
    let mut sessions = Vec::new();
    for _ in 0..3 {
        sessions.push(log_in(&table, "correct horse").await.unwrap().claims.id);
    }
    table.calls.take();
    let ada = person("ada", "*=admin", sessions[0].as_str());
    let audit = audit(&ada, &origin);
    let own = users::list_sessions(store, &ada, system.now()).await.unwrap();
    assert_eq!(table.calls.take(), ["GetItem"]);
    assert_eq!(own.len(), 3);
    let ended = ["GetItem", "TransactWriteItems", "DeleteItem"];
    users::end_session(store, &pretend.flushes, system, &audit, &sessions[1]).await.unwrap();
    assert_eq!(table.calls.take(), ended);
    users::end_other_sessions(store, &pretend.flushes, system, &audit).await.unwrap();
    assert_eq!(table.calls.take(), ended);
    let name = "ada".parse().unwrap();
    users::end_sessions_of(store, &pretend.flushes, system, &audit, &name).await.unwrap();
    assert_eq!(table.calls.take(), ended);
}

#[tokio::test]
async fn a_password_is_said_again_with_one_read_and_two_transactions() {
    let table = with_ada().await;
    let (store, system, origin, pretend) = (&*table.table, &*table.system, origin(), Pretend::default());
    let session = log_in(&table, "correct horse").await.unwrap().claims.id;
    let ada = person("ada", "*=admin", session.as_str());
    let (audit, password) = (audit(&ada, &origin), "correct horse".into());
    table.calls.take();
    let proof = Proof { password: &password, code: None };
    let flush = &pretend.flushes;
    users::reauthenticate(store, &pretend, &pretend, flush, system, &audit, &proof).await.unwrap();
    assert_eq!(table.calls.take(), ["TransactWriteItems", "GetItem", "TransactWriteItems", "DeleteItem"]);
}

#[tokio::test]
async fn a_second_factor_takes_one_read_and_one_transaction_and_spares_the_look_at_tenants() {
    let table = with_ada().await;
    let (store, system, origin, pretend) = (&*table.table, &*table.system, origin(), Pretend::default());
    let session = log_in(&table, "correct horse").await.unwrap().claims.id;
    let ada = person("ada", "*=admin", session.as_str());
    let (audit, flush) = (audit(&ada, &origin), &pretend.flushes);
    table.calls.take();
    let edited = ["GetItem", "TransactWriteItems", "DeleteItem"];
    users::enrol_second_factor(store, &pretend, flush, system, &audit).await.unwrap();
    assert_eq!(table.calls.take(), edited);
    let code = |steps: i64| (system.now().as_second() / 30 + steps).to_string();
    let first = code(-1).into();
    users::confirm_second_factor(store, &pretend, flush, system, &audit, &first).await.unwrap();
    assert_eq!(table.calls.take()[1..], edited, "behind the permit");
    let login = ["GetItem", "TransactWriteItems", "TransactWriteItems"];
    let asked = log_in(&table, "correct horse").await;
    assert!(matches!(asked, Err(LoginError::CodeRequired)), "{asked:?}");
    assert_eq!(table.calls.take(), login, "the permits are given back");
    let LoggedIn { claims, .. } = log_in_with(&table, "correct horse", Some(&code(0))).await.unwrap();
    assert_eq!(table.calls.take(), login);
    users::authenticate(store, &claims, system.now()).await.unwrap().expect("ada");
    assert_eq!(table.calls.take(), ["GetItem"]);
    users::renew_recovery_codes(store, flush, system, &audit).await.unwrap();
    assert_eq!(table.calls.take(), edited);
    users::remove_second_factor(store, flush, system, &audit).await.unwrap();
    assert_eq!(table.calls.take(), edited);
}

#[tokio::test]
async fn a_page_of_any_list_is_one_call() {
    let table = with_project().await;
    mint(&table).await;
    table.calls.take();
    let (page, now, everyone) = (PageRequest::default(), table.system.now(), admin("acme"));
    let read_all = async || {
        let query = tokens::TokenQuery::default();
        tokens::list(&*table.table, &everyone, query, now, &page).await.unwrap();
        gatehouse_domain::project::list(&*table.table, &everyone, &page).await.unwrap();
        api_key::ListApiKeys::list_api_keys(&*table.table, &page).await.unwrap();
        users::FindUser::list_users(&*table.table, &page).await.unwrap();
        gatehouse_domain::tenant::list(&*table.table, &everyone).await.unwrap();
    };
    read_all().await;
    assert_eq!(table.calls.take(), ["Query"; 5]);
    read_all().await;
    assert_eq!(table.calls.take(), ["Query"; 5]);
}

#[tokio::test]
async fn a_page_of_the_trail_is_one_call_for_each_shard_and_one_for_what_is_older() {
    let table = with_project().await;
    mint(&table).await;
    table.calls.take();
    let (page, now) = (PageRequest::default(), table.system.now());
    let read = async |filter: &AuditFilter| {
        table.table.list_audit(filter, now, &page).await.unwrap();
        table.calls.take()
    };
    let shards = ["Query"; 9];
    // The first cursor of an installation makes their key.
    assert_eq!(read(&AuditFilter::Everything).await, [&shards[..], &["GetItem", "PutItem"]].concat());
    assert_eq!(read(&AuditFilter::Everything).await, shards);
    assert_eq!(read(&AuditFilter::Tenant("acme".parse().unwrap())).await, shards);
    let actor = AuditFilter::Actor { actor: "user:ada".into(), tenants: "*".parse().unwrap() };
    assert_eq!(read(&actor).await, shards);
}

#[tokio::test]
async fn jobs_are_read_with_one_call_and_written_with_two_reads_and_one_transaction() {
    let table = TestTable::new().await;
    let caller = admin("example");
    let job = table.save_job("build").await;
    let with_project = ["BatchGetItem", "GetItem", "GetItem", "TransactWriteItems"];
    assert_eq!(table.calls.take(), with_project, "the job, the provider, and the tenant of a new project");
    table.save_job("test").await;
    assert_eq!(table.calls.take(), ["BatchGetItem", "GetItem", "TransactWriteItems"]);
    jobs::show(&*table.table, &caller, &job.id).await.unwrap();
    assert_eq!(table.calls.take(), ["GetItem"]);
    let page = PageRequest::default();
    jobs::list(&*table.table, &caller, None, None, &page).await.unwrap();
    assert_eq!(table.calls.take(), ["Query"]);
    let project = Some(&job.spec.project);
    jobs::list(&*table.table, &caller, project, None, &page).await.unwrap();
    assert_eq!(table.calls.take(), ["GetItem", "Query"], "whose project it is, and its jobs");
    let expected = Precondition::Revision(job.revision.clone());
    let (system, origin) = (&*table.system, origin());
    jobs::delete(&*table.table, system, &audit(&caller, &origin), &job.id, &expected).await.unwrap();
    assert_eq!(table.calls.take(), ["GetItem", "TransactWriteItems"]);
}

#[tokio::test]
async fn a_hundred_jobs_are_imported_with_three_reads_and_five_transactions() {
    let table = TestTable::new().await;
    let kinds = BTreeSet::from(ProviderKind::ALL);
    let (store, system, caller) = (&*table.table, &*table.system, admin("example"));
    let entries = (0..99).map(|n| jobs::ImportEntry {
        written_id: format!("job-{n}"),
        draft: Ok(draft(&format!("job-{n}"), "example")),
    });
    let mode = jobs::ImportMode::EachOnItsOwn;
    let origin = origin();
    jobs::import(store, system, &kinds, &audit(&caller, &origin), entries.collect(), None, mode)
        .await
        .unwrap();
    let calls = table.calls.take();
    let reads = ["BatchGetItem", "Query", "GetItem"];
    assert_eq!(calls[..3], reads, "the jobs and projects, the providers, and the tenant of a new project");
    assert_eq!(calls[3..], ["TransactWriteItems"; 5], "24 jobs in each, and their project");
}

#[tokio::test]
async fn a_run_is_triggered_with_two_reads_and_two_transactions() {
    let table = TestTable::new().await;
    let job = table.save_job("build").await;
    let (caller, origin) = (admin("example"), origin());
    let audit = audit(&caller, &origin);
    let ci = PretendCi::new(table.system.clone(), 1, vec![Fate::Answers]);
    let (store, system, providers) = (&*table.table, &*table.system, Only(ci));
    let trigger = async |key| {
        let nothing = BTreeMap::new();
        start::trigger(store, &providers, system, &audit, &job.id, &nothing, key).await.unwrap()
    };
    table.calls.take();
    let started = trigger(None).await;
    assert_eq!(table.calls.take(), ["GetItem", "GetItem", "TransactWriteItems", "TransactWriteItems"]);
    let key = "k".parse().unwrap();
    trigger(Some(&key)).await;
    let reads = ["GetItem", "GetItem", "GetItem"];
    assert_eq!(table.calls.take(), [&reads[..], &["TransactWriteItems", "TransactWriteItems"]].concat());
    trigger(Some(&key)).await;
    assert_eq!(table.calls.take(), reads, "a repetition only reads: the job, the provider, the request");
    runs::show(store, &providers, system, &caller, &started.run.id).await.unwrap();
    assert_eq!(table.calls.take(), ["GetItem"]);
}

#[tokio::test]
async fn which_of_the_lost_builds_are_recorded_is_one_call() {
    let table = TestTable::new().await;
    let job = table.save_job("build").await;
    let (caller, origin) = (admin("example"), origin());
    let audit = audit(&caller, &origin);
    let ci = PretendCi::new(table.system.clone(), 1, vec![Fate::Answers]);
    let (store, system, providers) = (&*table.table, &*table.system, Only(ci.clone()));
    let trigger = async |key: &str| {
        let (nothing, key) = (BTreeMap::new(), key.parse().unwrap());
        start::trigger(store, &providers, system, &audit, &job.id, &nothing, Some(&key)).await
    };
    // Two requests lose their answers within a minute, with three builds that are the runs of others after them.
    ci.hide_builds(true);
    for key in ["first", "second"] {
        ci.loses_answer(Duration::ZERO);
        assert!(matches!(trigger(key).await, Err(StartError::OutcomeUnknown { .. })));
    }
    for key in ["third", "fourth", "fifth"] {
        trigger(key).await.unwrap();
    }
    ci.hide_builds(false);
    table.calls.take();
    trigger("first").await.unwrap();
    let found = ["GetItem", "GetItem", "GetItem", "UpdateItem"];
    let (competitors, unrecorded) = (["Query", "BatchGetItem"], ["BatchGetItem"]);
    let expected = [&found[..], &competitors, &unrecorded, &["TransactWriteItems"]].concat();
    assert_eq!(table.calls.take(), expected, "two builds are free for two requests: one is taken");
}

#[tokio::test]
async fn a_service_is_shown_listed_and_looked_through_with_one_call() {
    let table = TestTable::new().await;
    let shop = saved(&table, "acme", "shop").await;
    begun(&table, &shop, "dev").await;
    begun(&table, &shop, "prod").await;
    let (caller, page) = (admin("acme"), PageRequest::default());
    table.calls.take();
    catalog::show(&*table.table, &caller, &shop.id).await.unwrap();
    let query = ServiceQuery { text: Some("shop".into()), ..ServiceQuery::default() };
    let found = catalog::list(&*table.table, &caller, query, &page).await.unwrap();
    assert_eq!((found.items.len(), table.calls.take()), (1, vec!["Query".to_owned(); 2]));
    let status = operations::status(&*table.table, &caller, &shop.id).await.unwrap();
    assert!(status.environments.iter().all(|environment| environment.running.is_some()));
    assert_eq!(table.calls.take(), ["Query", "BatchGetItem"]);
    operations::history(&*table.table, &caller, &shop.id, &page).await.unwrap();
    assert_eq!(table.calls.take(), ["Query"; 2]);
}

#[tokio::test]
async fn an_operation_begins_with_one_transaction_and_a_change_of_it_is_one_write() {
    let table = TestTable::new().await;
    let shop = saved(&table, "acme", "shop").await;
    let (caller, origin) = (admin("acme"), origin());
    let (audit, dev) = (audit(&caller, &origin), "dev".parse().unwrap());
    let asked = async |key: Option<&IdempotencyKey>| {
        let ask = Ask::Provision(gatehouse_domain::json::Object::new());
        let wanted = OperationRequest { service: &shop.id, environment: Some(&dev), ask: &ask, key };
        request(&*table.table, &NoSecrets, &Begins, &*table.system, &audit, &wanted).await
    };
    let key = "k".parse().unwrap();
    table.calls.take();
    let requested = asked(Some(&key)).await.unwrap();
    // The service, the request, the module.
    let begun = ["Query", "GetItem", "GetItem", "TransactWriteItems"];
    let acknowledged = ["GetItem", "PutItem"];
    assert_eq!(table.calls.take(), [&begun[..], &acknowledged[..]].concat());
    let again = asked(Some(&key)).await.unwrap();
    assert!(again.replayed);
    assert_eq!(table.calls.take(), ["Query", "GetItem"], "a repetition only reads");
    let busy = asked(None).await;
    assert!(matches!(busy, Err(RequestError::Busy { .. })), "{busy:?}");
    assert_eq!(table.calls.take(), ["Query", "GetItem", "TransactWriteItems"]);
    let (store, clock) = (&*table.table, &*table.system);
    let callback_key = CallbackKey::new(&"k".repeat(32).into()).unwrap();
    let id = &requested.operation.id;
    steer::begin_attempt(store, clock, &callback_key, id, Phase::Plan).await.unwrap();
    assert_eq!(table.calls.take(), ["GetItem", "TransactWriteItems"], "lists show another status");
    steer::begin_attempt(store, clock, &callback_key, id, Phase::Plan).await.unwrap();
    assert_eq!(table.calls.take(), ["GetItem", "PutItem"]);
    steer::fail(store, clock, id, "States.Timeout", "").await.unwrap();
    assert_eq!(table.calls.take(), ["GetItem", "TransactWriteItems"]);
}
