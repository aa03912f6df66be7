//! The account of this stack, and clients that reach its services.

use aws_sdk_dynamodb::config::{Credentials, Region, SharedCredentialsProvider};
use gatehouse_runtime::aws::Aws;

use crate::aws::Account;

const REGION: &str = "us-east-1";
const ACCOUNT: &str = "000000000000";

pub(super) fn account() -> Account {
    Account { id: ACCOUNT.to_owned(), region: REGION.to_owned() }
}

/// Clients of the service that is served at `endpoint`, on loopback.
pub(super) fn clients(endpoint: String) -> anyhow::Result<Aws> {
    let credentials = Credentials::new("local", "local", None, None, "local stack");
    let credentials = SharedCredentialsProvider::new(credentials);
    Ok(Aws::new(Some(Region::from_static(REGION)), credentials, Some(endpoint))?)
}
