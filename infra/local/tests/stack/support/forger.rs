//! Somebody who has stolen the signing key of a stack, and writes tokens with it that Gatehouse never made.

use std::path::Path;

use data_encoding::{BASE64, BASE64URL_NOPAD};
use ring::signature::Ed25519KeyPair;
use serde_json::{Value, json};

use super::people::Bearer;

/// The signing key, and its id.
pub struct Forger {
    pair: Ed25519KeyPair,
    kid: String,
}

/// Seconds since 1970, now.
pub fn now() -> i64 {
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("it is later than 1970");
    i64::try_from(since.as_secs()).expect("it is not that late")
}

impl Forger {
    /// Takes the key out of the secrets of a stack.
    pub fn new(data: &Path) -> Self {
        let (kid, key) = stolen(data);
        let document = BASE64.decode(key.as_bytes()).expect("base64");
        Self { pair: Ed25519KeyPair::from_pkcs8(&document).expect("it is one of Ed25519"), kid }
    }

    /// The header of a token of this kind: `session` or `service`.
    pub fn header(&self, kind: &str) -> Value {
        json!({ "typ": format!("{kind}+jwt"), "alg": "EdDSA", "kid": self.kid })
    }

    /// A token with a signature that verifies.
    pub fn sign(&self, header: &Value, claims: &Value) -> Bearer {
        let part = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
        let message = format!("{}.{}", part(header), part(claims));
        let signature = BASE64URL_NOPAD.encode(self.pair.sign(message.as_bytes()).as_ref());
        Bearer(format!("{message}.{signature}"))
    }
}

/// The claims of a token, which everybody can read.
pub fn claims(token: &Bearer) -> Value {
    let claims = token.0.split('.').nth(1).expect("a token has claims");
    serde_json::from_slice(&BASE64URL_NOPAD.decode(claims.as_bytes()).expect("base64url")).expect("JSON")
}

/// `value` with one member changed.
pub fn with(mut value: Value, member: &str, new: Value) -> Value {
    value[member] = new;
    value
}

/// The private half of the signing key, as it is kept.
pub fn private_key(data: &Path) -> String {
    stolen(data).1
}

/// A signing key out of the secrets of a stack: its id and its private half.
fn stolen(data: &Path) -> (String, String) {
    let text = std::fs::read_to_string(data.join("secrets.json")).expect("there are secrets");
    let secrets: Value = serde_json::from_str(&text).expect("secrets are JSON");
    let (name, secret) = secrets["secrets"]
        .as_object()
        .and_then(|secrets| secrets.iter().find(|(name, _)| name.contains("/signing-key/")))
        .expect("there is a signing key");
    let kid = name.rsplit('/').next().expect("a name").to_owned();
    (kid, find_key(secret).expect("the secret holds a key"))
}

/// The only text in there that is a PKCS#8 document.
fn find_key(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => {
            let bytes = BASE64.decode(text.as_bytes()).ok()?;
            (bytes.len() > 80 && bytes.starts_with(&[0x30])).then(|| text.clone())
        }
        Value::Array(items) => items.iter().find_map(find_key),
        Value::Object(members) => members.values().find_map(find_key),
        _ => None,
    }
}
