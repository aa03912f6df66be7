//! DynamoDB's operations over HTTP.
//!
//! dynoxide has a server of its own, which answers whoever asks, and tells browsers that every page may read along.
//! This one plays the operations that Gatehouse and its tests use, behind a guard.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use dynoxide::{Database, DynoxideError};
use http::{HeaderMap, StatusCode, header};
use serde::{Serialize, de::DeserializeOwned};

/// What `X-Amz-Target` holds before the operation.
const TARGET: &str = "DynamoDB_20120810.";

/// Answers `POST /`.
///
/// The database is asked on this very thread: it is the only one, since SQLite waits for the disk.
pub async fn answer(State(database): State<Database>, headers: HeaderMap, body: String) -> Response {
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
    let operation = target.strip_prefix(TARGET).unwrap_or_default();
    let (status, body) = match run(&database, operation, &body) {
        Some(Ok(answer)) => (StatusCode::OK, answer),
        Some(Err(error)) => (status(&error), error.to_json()),
        None => (
            StatusCode::BAD_REQUEST,
            r#"{"__type":"com.amazon.coral.service#UnknownOperationException"}"#.to_owned(),
        ),
    };
    (status, [(header::CONTENT_TYPE, "application/x-amz-json-1.0")], body).into_response()
}

fn status(error: &DynoxideError) -> StatusCode {
    StatusCode::from_u16(error.status_code()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// `None` when the operation is not played.
fn run(database: &Database, operation: &str, body: &str) -> Option<dynoxide::Result<String>> {
    let answer = match operation {
        "BatchGetItem" => call(body, |request| database.batch_get_item(request)),
        "BatchWriteItem" => call(body, |request| database.batch_write_item(request)),
        "CreateTable" => call(body, |request| database.create_table(request)),
        "DeleteItem" => call(body, |request| database.delete_item(request)),
        "DescribeTable" => call(body, |request| database.describe_table(request)),
        "DescribeTimeToLive" => call(body, |request| database.describe_time_to_live(request)),
        "GetItem" => call(body, |request| database.get_item(request)),
        "ListTables" => call(body, |request| database.list_tables(request)),
        "PutItem" => call(body, |request| database.put_item(request)),
        "Query" => call(body, |request| database.query(request)),
        "Scan" => call(body, |request| database.scan(request)),
        "TransactGetItems" => call(body, |request| database.transact_get_items(request)),
        "TransactWriteItems" => call(body, |request| database.transact_write_items(request)),
        "UpdateItem" => call(body, |request| database.update_item(request)),
        "UpdateTable" => call(body, |request| database.update_table(request)),
        "UpdateTimeToLive" => call(body, |request| database.update_time_to_live(request)),
        _ => return None,
    };
    Some(answer)
}

fn call<T: DeserializeOwned, A: Serialize>(
    body: &str,
    operation: impl FnOnce(T) -> dynoxide::Result<A>,
) -> dynoxide::Result<String> {
    let request = serde_json::from_str(body);
    let answer =
        operation(request.map_err(|error| DynoxideError::SerializationException(error.to_string()))?)?;
    serde_json::to_string(&answer).map_err(|error| DynoxideError::InternalServerError(error.to_string()))
}
