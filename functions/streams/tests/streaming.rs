//! The real binary under a stub of the Lambda Runtime API: its answers leave it while they are made.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use aws_sdk_dynamodb::config::{Credentials, Region, SharedCredentialsProvider};
use futures_util::StreamExt;
use gatehouse_domain::{
    access::Scope,
    api_key::{ApiKey, ApiKeyId, SaveApiKey},
    audit::{AuditContext, Origin},
    caller::{Caller, Grant, Tenants},
    ci::{Account, ConcourseTarget, ProviderKind, Sharing, Target},
    clock::Clock,
    jobs::{JobDraft, JobSpec},
    providers::{Credentials as ProviderCredentials, Provider, SaveProvider},
    revision::{Precondition, Revision},
    runs::start,
    secret::{SecretName, WriteSecret},
};
use gatehouse_dynamodb::{DynamoDb, Storage, prepare_table};
use gatehouse_local::{
    aws::{Account as AwsAccount, json::RunningService},
    secrets_manager::SecretsManager,
};
use gatehouse_outbound::OutboundHttp;
use gatehouse_runtime::{
    aws::Aws,
    clock::{System, SystemClock, SystemIds},
};
use gatehouse_secrets::Secrets;
use gatehouse_store::Table;
use gatehouse_template::Template;
use gatehouse_testkit::{
    concourse::{ConcourseTwin, Role, Script},
    runtime_api::FunctionProcess,
};
use serde_json::{Value, json};

/// Longer than anything here takes.
const DEADLINE: Duration = Duration::from_mins(1);

/// What the function finds around it.
struct Dependencies {
    dynamodb: DynamoDb,
    secrets: RunningService,
    twin: ConcourseTwin,
    _directory: tempfile::TempDir,
}

fn aws(endpoint: String) -> Aws {
    let credentials = SharedCredentialsProvider::new(Credentials::new("test", "test", None, None, "test"));
    Aws::new(Some(Region::from_static("us-east-1")), credentials, Some(endpoint)).unwrap()
}

async fn dependencies() -> Dependencies {
    let script = Script::new().task("talk", |task| task.log("first\n").wait_for_release().log("second\n"));
    let twin = ConcourseTwin::builder()
        .user("ci-gateway", "s3cret")
        .team("main", |team| team.role("ci-gateway", Role::PipelineOperator))
        .pipeline("main", "app", |pipeline| pipeline.job("talk", |job| job.script(script)))
        .start()
        .await;
    let dynamodb = DynamoDb::start(Storage::Memory).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let account = AwsAccount { id: "000000000000".into(), region: "us-east-1".into() };
    let (clock, ids) = (Arc::new(SystemClock), Arc::new(SystemIds));
    let secrets = SecretsManager::open(directory.path().join("secrets.json"), &account, clock, ids).unwrap();
    let secrets = secrets.serve(([127, 0, 0, 1], 0).into(), std::future::pending()).await.unwrap();
    Dependencies { dynamodb, secrets, twin, _directory: directory }
}

impl Dependencies {
    fn table(&self) -> Table {
        Table::new(aws(self.dynamodb.endpoint_url()).dynamodb(), "gatehouse", Arc::new(System))
    }

    fn secrets(&self) -> Secrets {
        let client = aws(self.secrets.endpoint_url()).secrets_manager();
        Secrets::new(client, "gatehouse/test", Arc::new(SystemClock))
    }

    /// Registers the twin and a job that points at it.
    async fn fill(&self) {
        let template = Template::parse(include_str!("../../../template.yaml"), &BTreeMap::new()).unwrap();
        let client = aws(self.dynamodb.endpoint_url()).dynamodb();
        prepare_table(&client, "gatehouse", &template.tables[0]).await.unwrap();
        let (table, secrets) = (self.table(), self.secrets());
        let account = Account::Password { username: "ci-gateway".into() };
        let provider = Provider {
            name: "concourse".parse().unwrap(),
            kind: ProviderKind::Concourse,
            url: Some(self.twin.url().to_owned()),
            account: Some(account.clone()),
            ca_certificate: None,
            sharing: Sharing::OpenToAll,
            revision: Revision::unverified("r1".into()),
            credentials_version: "c1".into(),
            updated_at: SystemClock.now(),
            updated_by: "test".into(),
        };
        table.save_provider(&provider, None, None).await.unwrap();
        let credentials =
            ProviderCredentials { account, secret: "s3cret".to_owned().into(), given_for: None };
        let name = SecretName::provider_credentials(&provider.name);
        secrets.write(&name, &credentials.to_secret()).await.unwrap();
        save_job(&table).await;
        // The key of the sample events.
        let now = SystemClock.now();
        let key = ApiKey::of_text("dev-key-12345", "dev".into(), [Scope::All].into(), Tenants::All, now);
        let key = ApiKey { id: ApiKeyId::unverified("key_0123456789abcdef0123".into()), ..key };
        table.save_api_key(&key, None).await.unwrap();
    }

    /// Triggers the job, as the function does that triggers.
    async fn trigger(&self) -> String {
        let (table, secrets) = (Arc::new(self.table()), Arc::new(self.secrets()));
        let http = OutboundHttp::new().allow_loopback();
        let providers = gatehouse_providers::directory(table.clone(), secrets, Arc::new(System), http);
        let (caller, job) = (caller(), "talk".parse().unwrap());
        let audit = AuditContext { caller: &caller, origin: &Origin::default() };
        let nothing = BTreeMap::new();
        let started = start::trigger(&*table, &providers, &System, &audit, &job, &nothing, None).await;
        started.unwrap().run.id.to_string()
    }

    async fn spawn(&self, mode: &str) -> FunctionProcess {
        let variables = [
            ("GATEHOUSE_RESPONSE_MODE", mode),
            ("GATEHOUSE_TABLE", "gatehouse"),
            ("GATEHOUSE_SECRET_PREFIX", "gatehouse/test"),
            ("GATEHOUSE_LOOPBACK_PROVIDERS", "allowed"),
            ("AWS_ENDPOINT_URL_DYNAMODB", &self.dynamodb.endpoint_url()),
            ("AWS_ENDPOINT_URL_SECRETS_MANAGER", &self.secrets.endpoint_url()),
        ];
        FunctionProcess::spawn(env!("CARGO_BIN_EXE_streams"), &variables).await.unwrap()
    }
}

/// An API key that may do everything in tenant `example`.
fn caller() -> Caller {
    let grant = Grant::ApiKey {
        scopes: [Scope::All].into(),
        tenants: Tenants::Only(["example".parse().unwrap()].into()),
        expires_at: None,
        minted_by: None,
    };
    Caller { subject: "test".into(), grant }
}

async fn save_job(table: &Table) {
    let target = ConcourseTarget {
        team: "main".into(),
        pipeline: "app".into(),
        job: "talk".into(),
        vars: serde_json::Map::new(),
    };
    let spec = JobSpec {
        project: "example".parse().unwrap(),
        display_name: "Talk".into(),
        description: None,
        environment: None,
        provider: "concourse".parse().unwrap(),
        target: Target::Concourse(target),
        parameters: Vec::new(),
        undeclared: None,
    };
    let kinds = ProviderKind::ALL.into();
    let caller = caller();
    let draft = JobDraft { id: "talk".parse().unwrap(), spec };
    let expected = Precondition::Absent;
    let audit = AuditContext { caller: &caller, origin: &Origin::default() };
    let put = gatehouse_domain::jobs::put(table, &System, &kinds, &audit, draft, None, &expected);
    put.await.unwrap();
}

/// A sample event of this run, without the headers that belong to another one.
fn event(text: &str, run: &str) -> String {
    let mut event: Value = serde_json::from_str(text).unwrap();
    event["pathParameters"] = json!({ "run_id": run });
    for headers in ["headers", "multiValueHeaders"] {
        event[headers].as_object_mut().unwrap().remove("Last-Event-ID");
    }
    event.to_string()
}

fn watch(run: &str) -> String {
    event(include_str!("../../../events/streams/stream-run-events.json"), run)
}

#[tokio::test]
async fn a_line_is_sent_before_the_next_one_is_written() {
    let around = dependencies().await;
    around.fill().await;
    let mut streams = around.spawn("stream").await;
    let run = around.trigger().await;
    let mut answer = streams.invoke_streaming(watch(&run), DEADLINE).await.unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["content-type"], "text/event-stream; charset=utf-8");
    let mut seen = String::new();
    while !seen.contains(r#""text":"first\n""#) {
        let chunk = answer.chunks.next().await.expect("the stream goes on").unwrap();
        seen.push_str(&String::from_utf8_lossy(&chunk.bytes));
    }
    assert!(!seen.contains("second"), "the second line was not written yet");
    let build = around.twin.builds().last().unwrap().id;
    around.twin.release(build);
    let rest = answer.text().await.unwrap();
    assert!(rest.contains(r#""text":"second\n""#) && rest.contains("event: end"), "{rest}");
    streams.stop().await;
}

#[tokio::test]
async fn a_stream_ends_itself_before_the_function_is_ended() {
    let around = dependencies().await;
    around.fill().await;
    let mut streams = around.spawn("stream").await;
    let run = around.trigger().await;
    // The build waits to be released, which nobody does: only the deadline ends this stream.
    let answer = streams.invoke_streaming(watch(&run), Duration::from_secs(7)).await.unwrap();
    let text = answer.text().await.unwrap();
    assert!(text.contains(r#""text":"first\n""#), "{text}");
    assert!(text.ends_with("event: reconnect\ndata: {}\n\n"), "{text}");
    streams.stop().await;
}

#[tokio::test]
async fn a_buffered_function_answers_whole() {
    let around = dependencies().await;
    around.fill().await;
    let mut streams = around.spawn("buffered").await;
    let run = around.trigger().await;
    let build = around.twin.builds().last().unwrap().id;
    around.twin.release(build);
    around.twin.wait_until_finished(build).await;
    let log = event(include_str!("../../../events/streams/show-run-log.json"), &run);
    let answer = streams.invoke(log, DEADLINE).await.unwrap();
    let answer: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(answer["statusCode"], 200, "{answer}");
    assert!(answer["body"].as_str().unwrap().contains("first\nsecond\n"), "{answer}");
    streams.stop().await;
}
