//! The wire: requests, answers and errors.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::secret::SecretValue;
use crate::aws::json::Fault;

pub fn not_found() -> Fault {
    Fault::new("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
}

pub fn exists(message: impl Into<String>) -> Fault {
    Fault::new("ResourceExistsException", message)
}

pub fn invalid_request(message: impl Into<String>) -> Fault {
    Fault::new("InvalidRequestException", message)
}

pub fn internal() -> Fault {
    Fault::internal("InternalServiceError", "An error occurred on the server side.")
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateSecret {
    pub name: String,
    pub description: Option<String>,
    pub client_request_token: Option<String>,
    pub secret_string: Option<String>,
    pub secret_binary: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PutSecretValue {
    pub secret_id: String,
    pub client_request_token: Option<String>,
    pub secret_string: Option<String>,
    pub secret_binary: Option<String>,
    pub version_stages: Option<BTreeSet<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetSecretValue {
    pub secret_id: String,
    pub version_id: Option<String>,
    pub version_stage: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteSecret {
    pub secret_id: String,
    #[serde(default)]
    pub force_delete_without_recovery: bool,
    pub recovery_window_in_days: Option<u32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeSecret {
    pub secret_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Written {
    #[serde(rename = "ARN")]
    pub arn: String,
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version_stages: Option<BTreeSet<String>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Read {
    #[serde(rename = "ARN")]
    pub arn: String,
    pub name: String,
    pub version_id: String,
    #[serde(flatten)]
    pub value: SecretValue,
    pub version_stages: BTreeSet<String>,
    pub created_date: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Deleted {
    #[serde(rename = "ARN")]
    pub arn: String,
    pub name: String,
    pub deletion_date: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Described {
    #[serde(rename = "ARN")]
    pub arn: String,
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    pub created_date: f64,
    pub last_changed_date: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deleted_date: Option<f64>,
    pub version_ids_to_stages: BTreeMap<String, BTreeSet<String>>,
}

/// The one value that a request may carry.
pub fn value(text: Option<String>, binary: Option<String>) -> Result<Option<SecretValue>, Fault> {
    match (text, binary) {
        (Some(_), Some(_)) => Err(Fault::new(
            "InvalidParameterException",
            "You can't specify both a binary secret value and a string secret value in the same secret.",
        )),
        (Some(text), None) => Ok(Some(SecretValue::Text(text))),
        (None, Some(base64)) => Ok(Some(SecretValue::Binary(base64))),
        (None, None) => Ok(None),
    }
}
