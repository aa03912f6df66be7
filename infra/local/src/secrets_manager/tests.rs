use std::{os::unix::fs::PermissionsExt, path::Path};

use aws_sdk_secretsmanager::{
    Client,
    config::{BehaviorVersion, Credentials, Region, retry::RetryConfig},
    error::{ProvideErrorMetadata, SdkError},
    primitives::Blob,
};
use aws_smithy_http_client::Builder;
use gatehouse_domain::{
    clock::Clock,
    secret::{ReadSecret, SecretName, WriteSecret},
};
use gatehouse_secrets::Secrets;
use secrecy::{ExposeSecret, SecretString};
use tempfile::TempDir;
use tokio::sync::oneshot;

use super::*;
use crate::{
    aws::json::RunningService,
    testing::{CountedIds, HandClock, account},
};

struct Running {
    client: Client,
    stop: oneshot::Sender<()>,
    server: RunningService,
    clock: std::sync::Arc<HandClock>,
}

async fn start(path: &Path) -> Running {
    let (clock, ids) = (HandClock::new(), std::sync::Arc::new(CountedIds::default()));
    let manager = SecretsManager::open(path.to_owned(), &account(), clock.clone(), ids).unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let shutdown = async { stopped.await.unwrap_or_default() };
    let server = manager.serve(([127, 0, 0, 1], 0).into(), shutdown).await.unwrap();
    let client = client(&server.endpoint_url());
    Running { client, stop, server, clock }
}

impl Running {
    async fn stop(self) {
        self.stop.send(()).unwrap();
        drop(self.client);
        self.server.finished().await;
    }
}

fn client(endpoint: &str) -> Client {
    let config = aws_sdk_secretsmanager::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "static"))
        .retry_config(RetryConfig::disabled())
        .http_client(Builder::new().build_http())
        .endpoint_url(endpoint)
        .build();
    Client::from_conf(config)
}

fn code<T: std::fmt::Debug, E: ProvideErrorMetadata>(result: Result<T, E>) -> String {
    result.expect_err("an error").code().unwrap_or_default().to_owned()
}

fn file(directory: &TempDir) -> std::path::PathBuf {
    directory.path().join("secrets.json")
}

#[tokio::test]
async fn a_secret_is_written_read_and_deleted() {
    let directory = tempfile::tempdir().unwrap();
    let running = start(&file(&directory)).await;
    let client = &running.client;
    let created = client.create_secret().name("a/b").secret_string("one").send().await.unwrap();
    let arn = created.arn().unwrap();
    assert!(arn.starts_with("arn:aws:secretsmanager:eu-west-1:000000000000:secret:a/b-"));
    for id in ["a/b", arn, arn.rsplit_once('-').unwrap().0] {
        let read = client.get_secret_value().secret_id(id).send().await.unwrap();
        assert_eq!((read.secret_string(), read.version_id()), (Some("one"), created.version_id()));
        assert_eq!(read.version_stages(), ["AWSCURRENT"]);
        assert_eq!(read.created_date().unwrap().secs(), 1_767_323_045);
    }
    client.delete_secret().secret_id("a/b").force_delete_without_recovery(true).send().await.unwrap();
    let gone = client.get_secret_value().secret_id("a/b").send().await;
    assert_eq!(code(gone.map_err(SdkError::into_service_error)), "ResourceNotFoundException");
    client.delete_secret().secret_id("a/b").force_delete_without_recovery(true).send().await.unwrap();
    running.stop().await;
}

#[tokio::test]
async fn labels_move_as_versions_come() {
    let directory = tempfile::tempdir().unwrap();
    let running = start(&file(&directory)).await;
    let client = &running.client;
    client.create_secret().name("s").secret_string("one").send().await.unwrap();
    for value in ["two", "three"] {
        let put = client.put_secret_value().secret_id("s").secret_string(value).send().await.unwrap();
        assert_eq!(put.version_stages(), ["AWSCURRENT"]);
    }
    let read = |stage: &str| client.get_secret_value().secret_id("s").version_stage(stage).send();
    assert_eq!(read("AWSCURRENT").await.unwrap().secret_string(), Some("three"));
    assert_eq!(read("AWSPREVIOUS").await.unwrap().secret_string(), Some("two"));
    let missing = read("AWSPENDING").await.map_err(SdkError::into_service_error);
    assert_eq!(code(missing), "ResourceNotFoundException");
    let described = client.describe_secret().secret_id("s").send().await.unwrap();
    assert_eq!(described.version_ids_to_stages().unwrap().len(), 2);
    running.stop().await;
}

#[tokio::test]
async fn a_token_counts_once() {
    let directory = tempfile::tempdir().unwrap();
    let running = start(&file(&directory)).await;
    let client = &running.client;
    let token = "t".repeat(32);
    let create = |value: &str| {
        client.create_secret().name("s").client_request_token(&token).secret_string(value).send()
    };
    let first = create("one").await.unwrap();
    assert_eq!(create("one").await.unwrap().arn(), first.arn());
    let other = create("two").await.map_err(SdkError::into_service_error);
    assert!(other.is_err_and(|error| error.is_resource_exists_exception()));
    let put = |token: String, value: &str| {
        client.put_secret_value().secret_id("s").client_request_token(token).secret_string(value).send()
    };
    put("u".repeat(32), "two").await.unwrap();
    put("u".repeat(32), "two").await.unwrap();
    let clash = put("u".repeat(32), "three").await.map_err(SdkError::into_service_error);
    assert!(clash.is_err_and(|error| error.is_resource_exists_exception()));
    let read = client.get_secret_value().secret_id("s").send().await.unwrap();
    assert_eq!(read.secret_string(), Some("two"));
    running.stop().await;
}

#[tokio::test]
async fn a_deletion_can_be_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let running = start(&file(&directory)).await;
    let client = &running.client;
    client.create_secret().name("s").secret_binary(Blob::new([0xff, 0])).send().await.unwrap();
    let read = client.get_secret_value().secret_id("s").send().await.unwrap();
    assert_eq!(read.secret_binary().unwrap().as_ref(), [0xff, 0]);
    client.delete_secret().secret_id("s").recovery_window_in_days(7).send().await.unwrap();
    let read = client.get_secret_value().secret_id("s").send().await;
    let read = read.map_err(SdkError::into_service_error);
    assert!(read.is_err_and(|error| error.is_invalid_request_exception()));
    let create = || client.create_secret().name("s").secret_string("x").send();
    let early = create().await.map_err(SdkError::into_service_error);
    assert!(early.is_err_and(|error| error.is_invalid_request_exception()));
    running.clock.advance(7 * 86_400);
    create().await.unwrap();
    running.stop().await;
}

/// For whom so many days pass in each pause.
struct Days(std::sync::Arc<HandClock>, u64);

#[async_trait::async_trait]
impl Clock for Days {
    fn now(&self) -> jiff::Timestamp {
        self.0.now()
    }

    async fn sleep(&self, _pause: std::time::Duration) {
        self.0.advance(self.1 * 86_400);
    }
}

#[tokio::test]
async fn a_name_that_is_being_deleted_is_written_as_soon_as_it_is_free() {
    let directory = tempfile::tempdir().unwrap();
    let running = start(&file(&directory)).await;
    let client = &running.client;
    let name = SecretName::provider_token(&"concourse".parse().unwrap());
    let secrets =
        |days| Secrets::new(client.clone(), "p", std::sync::Arc::new(Days(running.clock.clone(), days)));
    let value = |text: &str| SecretString::from(text);
    secrets(0).write(&name, &value("canary-one")).await.unwrap();
    let delete =
        || client.delete_secret().secret_id("p/provider/concourse/token").recovery_window_in_days(7).send();
    delete().await.unwrap();
    assert!(secrets(0).write(&name, &value("canary-two")).await.is_err(), "it is not waited for without end");
    secrets(3).write(&name, &value("canary-three")).await.unwrap();
    let read = secrets(0).read_fresh(&name).await.unwrap().unwrap();
    assert_eq!(read.expose_secret(), "canary-three");
    running.stop().await;
}

#[tokio::test]
async fn secrets_survive_a_restart_in_a_file_for_their_owner_only() {
    let directory = tempfile::tempdir().unwrap();
    let path = file(&directory);
    let running = start(&path).await;
    running.client.create_secret().name("s").secret_string("kept").send().await.unwrap();
    running.stop().await;
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "no temporary file is left");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let running = start(&path).await;
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let read = running.client.get_secret_value().secret_id("s").send().await.unwrap();
    assert_eq!(read.secret_string(), Some("kept"));
    running.stop().await;
}

#[tokio::test]
async fn what_cannot_be_written_did_not_happen() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("data").join("secrets.json");
    std::fs::create_dir(path.parent().unwrap()).unwrap();
    let running = start(&path).await;
    std::fs::remove_dir(path.parent().unwrap()).unwrap();
    let failed = running.client.create_secret().name("s").secret_string("x").send().await;
    assert_eq!(code(failed.map_err(SdkError::into_service_error)), "InternalServiceError");
    let read = running.client.get_secret_value().secret_id("s").send().await;
    assert!(read.is_err());
    running.stop().await;
}

#[tokio::test]
async fn bad_requests_are_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let running = start(&file(&directory)).await;
    let client = &running.client;
    let named = client.create_secret().name("a b").secret_string("x").send().await;
    assert_eq!(code(named.map_err(SdkError::into_service_error)), "ValidationException");
    let large = client.create_secret().name("l").secret_string("x".repeat(65_537)).send().await;
    assert_eq!(code(large.map_err(SdkError::into_service_error)), "ValidationException");
    let unplayed = client.list_secrets().send().await;
    assert_eq!(code(unplayed.map_err(SdkError::into_service_error)), "UnknownOperationException");
    running.stop().await;
}

#[test]
fn a_broken_file_is_named_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = file(&directory);
    std::fs::write(&path, "{\"secrets\": {\"s\": \"hunter2").unwrap();
    let error = file::SecretsFile::open(path.clone()).unwrap_err();
    assert!(!error.to_string().contains("hunter2") && error.to_string().contains("secrets.json"));
    assert!(std::fs::read_to_string(&path).unwrap().contains("hunter2"));
}

#[test]
fn values_do_not_print_themselves() {
    let value = secret::SecretValue::Text("hunter2".into());
    assert_eq!(format!("{value:?}"), "[redacted]");
}
