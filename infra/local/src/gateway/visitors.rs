//! What a request that came over the network may not bring.

use std::collections::BTreeSet;

use http::header;
use serde::Deserialize;

use super::request::Incoming;

/// Credentials that stand in the documentation.
#[derive(Clone, Debug, Default)]
pub struct KnownToEverybody {
    pub keys: BTreeSet<String>,
    pub passwords: BTreeSet<String>,
}

/// A body that holds a password, whatever else is in it.
#[derive(Deserialize)]
struct WithPassword {
    password: String,
}

impl KnownToEverybody {
    /// Whether the request comes with one of them. No path is asked: whichever way it is spelled, none takes them.
    pub(super) fn is_in(&self, request: &Incoming) -> bool {
        let mut credentials = request.headers.get_all(header::AUTHORIZATION).iter();
        credentials.any(|value| {
            let text = String::from_utf8_lossy(value.as_bytes());
            text.split([' ', ',']).any(|word| self.keys.contains(word))
        }) || self.holds_password(&request.body)
    }

    fn holds_password(&self, body: &[u8]) -> bool {
        if self.passwords.is_empty() {
            return false;
        }
        let body = serde_json::from_slice::<WithPassword>(body);
        body.is_ok_and(|body| self.passwords.contains(&body.password))
    }
}
