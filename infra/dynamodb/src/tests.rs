use std::{
    collections::{BTreeMap, HashMap},
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use aws_sdk_dynamodb::{
    Client,
    config::{BehaviorVersion, Credentials, Region, retry::RetryConfig},
    error::SdkError,
    types::{AttributeValue, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem},
};
use aws_smithy_http_client::Builder;

use super::*;
use gatehouse_template::{TableSettings, Template};

const TABLE: &str = "gatehouse";

fn settings() -> TableSettings {
    let template = include_str!("../../template/src/sample.yaml");
    Template::parse(template, &BTreeMap::new()).unwrap().tables.remove(0)
}

fn client(endpoint: &str) -> Client {
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "static"))
        .retry_config(RetryConfig::disabled())
        .http_client(Builder::new().build_http())
        .endpoint_url(endpoint)
        .build();
    Client::from_conf(config)
}

async fn started(storage: Storage) -> (DynamoDb, Client) {
    let server = DynamoDb::start(storage).await.unwrap();
    let client = client(&server.endpoint_url());
    prepare_table(&client, TABLE, &settings()).await.unwrap();
    (server, client)
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.into())
}

fn item(pk: &str, sk: &str, job: &str) -> HashMap<String, AttributeValue> {
    [("pk", pk), ("sk", sk), ("job", job)].map(|(name, value)| (name.to_owned(), text(value))).into()
}

/// A put that fails when the item exists, and then shows what is there.
fn new_item(pk: &str, sk: &str, job: &str) -> TransactWriteItem {
    let put = Put::builder()
        .table_name(TABLE)
        .set_item(Some(item(pk, sk, job)))
        .condition_expression("attribute_not_exists(pk)")
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
    TransactWriteItem::builder().put(put.build().unwrap()).build()
}

async fn get(client: &Client, pk: &str, sk: &str) -> Option<HashMap<String, AttributeValue>> {
    let key = [("pk".to_owned(), text(pk)), ("sk".to_owned(), text(sk))].into();
    client.get_item().table_name(TABLE).set_key(Some(key)).send().await.unwrap().item
}

#[tokio::test]
async fn the_templates_table_has_its_index_and_expiry() {
    let (server, client) = started(Storage::Memory).await;
    let table = client.describe_table().table_name(TABLE).send().await.unwrap().table.unwrap();
    assert_eq!(table.global_secondary_indexes()[0].index_name(), Some("by_job"));
    let expiry = client.describe_time_to_live().table_name(TABLE).send().await.unwrap();
    let expiry = expiry.time_to_live_description().unwrap().attribute_name().map(str::to_owned);
    assert_eq!(expiry.as_deref(), Some("expires_at"));
    prepare_table(&client, TABLE, &settings()).await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn a_condition_that_fails_shows_what_is_there() {
    let (server, client) = started(Storage::Memory).await;
    let put = || {
        client
            .put_item()
            .table_name(TABLE)
            .set_item(Some(item("a", "1", "j")))
            .condition_expression("attribute_not_exists(pk)")
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
    };
    put().await.unwrap();
    let failed = put().await.map_err(SdkError::into_service_error).unwrap_err();
    let aws_sdk_dynamodb::operation::put_item::PutItemError::ConditionalCheckFailedException(failed) = failed
    else {
        panic!("{failed:?}")
    };
    assert_eq!(failed.item().unwrap()["job"], text("j"));
    server.stop().await;
}

#[tokio::test]
async fn a_cancelled_transaction_gives_its_reasons_and_writes_nothing() {
    let (server, client) = started(Storage::Memory).await;
    let write =
        |items: Vec<TransactWriteItem>| client.transact_write_items().set_transact_items(Some(items)).send();
    write(vec![new_item("a", "1", "old")]).await.unwrap();
    let failed = write(vec![new_item("b", "1", "j"), new_item("a", "1", "new")]).await;
    let failed = failed.map_err(SdkError::into_service_error).unwrap_err();
    let aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError::TransactionCanceledException(
        cancelled,
    ) = failed
    else {
        panic!("{failed:?}")
    };
    let codes: Vec<_> =
        cancelled.cancellation_reasons().iter().map(|reason| reason.code().unwrap()).collect();
    assert_eq!(codes, ["None", "ConditionalCheckFailed"]);
    assert_eq!(cancelled.cancellation_reasons()[1].item().unwrap()["job"], text("old"));
    assert_eq!(get(&client, "b", "1").await, None);
    server.stop().await;
}

#[tokio::test]
async fn the_index_answers_queries_in_order_and_in_pages() {
    let (server, client) = started(Storage::Memory).await;
    for number in ["3", "1", "2"] {
        let item = item(&format!("p{number}"), number, "job-a");
        client.put_item().table_name(TABLE).set_item(Some(item)).send().await.unwrap();
    }
    let query = |start| {
        client
            .query()
            .table_name(TABLE)
            .index_name("by_job")
            .key_condition_expression("job = :job")
            .expression_attribute_values(":job", text("job-a"))
            .scan_index_forward(false)
            .limit(2)
            .set_exclusive_start_key(start)
            .send()
    };
    let first = query(None).await.unwrap();
    let second = query(first.last_evaluated_key.clone()).await.unwrap();
    let keys = |items: &[HashMap<_, AttributeValue>]| -> Vec<_> {
        items.iter().map(|item| item["sk"].clone()).collect()
    };
    assert_eq!(keys(first.items()), [text("3"), text("2")]);
    assert_eq!(keys(second.items()), [text("1")]);
    server.stop().await;
}

#[tokio::test]
async fn items_survive_a_restart_and_an_added_index_is_filled() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("table.db");
    let server = DynamoDb::start(Storage::File(path.clone())).await.unwrap();
    let before = client(&server.endpoint_url());
    let without_index = TableSettings {
        indexes: Vec::new(),
        attributes: settings().attributes.into_iter().filter(|attribute| attribute.name != "job").collect(),
        ..settings()
    };
    prepare_table(&before, TABLE, &without_index).await.unwrap();
    before.put_item().table_name(TABLE).set_item(Some(item("a", "1", "j"))).send().await.unwrap();
    drop(before);
    server.stop().await;

    let (server, after) = started(Storage::File(path)).await;
    assert_eq!(get(&after, "a", "1").await, Some(item("a", "1", "j")));
    let found = after
        .query()
        .table_name(TABLE)
        .index_name("by_job")
        .key_condition_expression("job = :job")
        .expression_attribute_values(":job", text("j"))
        .send()
        .await
        .unwrap();
    assert_eq!(found.count(), 1);
    server.stop().await;
}

#[tokio::test]
async fn what_has_expired_is_removed_from_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("table.db");
    let (server, client) = started(Storage::File(path.clone())).await;
    let expiring = |sk: &str, at: i64| {
        let mut item = item("a", sk, "j");
        item.insert("expires_at".into(), AttributeValue::N(at.to_string()));
        client.put_item().table_name(TABLE).set_item(Some(item)).send()
    };
    expiring("expired", 1).await.unwrap();
    expiring("lasting", i64::from(u32::MAX)).await.unwrap();
    server.stop().await;

    let (server, client) = started(Storage::File(path)).await;
    let gone = async {
        while get(&client, "a", "expired").await.is_some() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), gone).await.expect("it is still there");
    assert!(get(&client, "a", "lasting").await.is_some());
    server.stop().await;
}

#[tokio::test]
async fn a_table_with_another_key_is_refused() {
    let (server, client) = started(Storage::Memory).await;
    let mut other = settings();
    other.key.pop();
    let refused = prepare_table(&client, TABLE, &other).await;
    assert!(matches!(refused, Err(TableError::OtherKey(name)) if name == TABLE));
    server.stop().await;
}

#[tokio::test]
async fn a_file_that_is_no_database_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("table.db");
    std::fs::write(&path, "not a database, but long enough to be looked at as one".repeat(40)).unwrap();
    let error = DynamoDb::start(Storage::File(path)).await.unwrap_err();
    assert!(error.to_string().contains("table.db"), "{error}");
}

/// The variable by which the test below starts this test binary again, as a server to kill.
const VICTIM: &str = "GATEHOUSE_TEST_DYNAMODB_FILE";

/// The child's half of the test below; does nothing when started as a test.
#[tokio::test]
async fn victim() {
    let Some((_, path)) = std::env::vars().find(|(name, _)| name == VICTIM) else { return };
    let (server, _client) = started(Storage::File(path.into())).await;
    println!("\nendpoint {}", server.endpoint_url());
    tokio::time::sleep(Duration::from_mins(1)).await;
}

fn start_victim(path: &Path) -> (Child, String) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "tests::victim", "--nocapture"])
        .env(VICTIM, path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut endpoints = lines.filter_map(|line| Some(line.unwrap().strip_prefix("endpoint ")?.to_owned()));
    let endpoint = endpoints.next().expect("the child says where it serves");
    (child, endpoint)
}

/// Writes pairs until the server is gone; returns how many were acknowledged.
async fn write_pairs(endpoint: String, from: u32) -> u32 {
    let client = client(&endpoint);
    let mut number = from;
    loop {
        let pair = ["left", "right"].map(|side| new_item(&number.to_string(), side, "j"));
        let write = client.transact_write_items().set_transact_items(Some(pair.into())).send();
        if write.await.is_err() {
            return number;
        }
        number += 1;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killing_the_process_loses_nothing_acknowledged_and_splits_no_transaction() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("table.db");
    let mut acknowledged: Vec<u32> = Vec::new();
    for round in 0_u32..3 {
        let (mut child, endpoint) = start_victim(&path);
        let from = round * 10_000;
        let writer = tokio::spawn(write_pairs(endpoint, from));
        tokio::time::sleep(Duration::from_millis(400 + u64::from(round) * 37)).await;
        child.kill().unwrap();
        child.wait().unwrap();
        acknowledged.extend(from..writer.await.unwrap());
    }
    assert!(acknowledged.len() > 10, "only {} writes", acknowledged.len());

    let (server, client) = started(Storage::File(path)).await;
    for number in &acknowledged {
        assert!(get(&client, &number.to_string(), "left").await.is_some(), "{number} is lost");
    }
    let all = client.scan().table_name(TABLE).send().await.unwrap();
    let mut sides: BTreeMap<String, u32> = BTreeMap::new();
    for item in all.items() {
        *sides.entry(item["pk"].as_s().unwrap().clone()).or_default() += 1;
    }
    assert!(sides.values().all(|count| *count == 2), "a transaction was split");
    assert!(sides.len() >= acknowledged.len());
    server.stop().await;
}
