//! The public keys, as everybody may read them.

use gatehouse_domain::signing::{KeyRing, SigningKey};
use serde::Serialize;

/// A set of keys (RFC 7517, 5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JwkSet {
    /// The keys, the oldest first.
    pub keys: Vec<Jwk>,
}

/// An Ed25519 public key (RFC 7517, 4; RFC 8037, 2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Jwk {
    /// The kind of key: `OKP`.
    pub kty: &'static str,
    /// The curve: `Ed25519`.
    pub crv: &'static str,
    /// What it is for: `sig`.
    #[serde(rename = "use")]
    pub usage: &'static str,
    /// The one algorithm that it is used with: `EdDSA`.
    pub alg: &'static str,
    pub kid: String,
    /// The public key, base64url.
    pub x: String,
}

impl From<&KeyRing> for JwkSet {
    /// Every key of the ring: those that sign later as well, so that everybody knows them when they do.
    fn from(ring: &KeyRing) -> Self {
        Self { keys: ring.keys.iter().map(Jwk::from).collect() }
    }
}

impl From<&SigningKey> for Jwk {
    fn from(key: &SigningKey) -> Self {
        Self {
            kty: "OKP",
            crv: "Ed25519",
            usage: "sig",
            alg: "EdDSA",
            kid: key.kid.as_str().to_owned(),
            x: key.public_key.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use gatehouse_domain::{id::KeyId, revision::Revision};
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn a_ring_is_published_as_a_set_of_public_keys() {
        let key = SigningKey {
            kid: "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k".parse::<KeyId>().unwrap(),
            public_key: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo".to_owned(),
            published_at: Timestamp::UNIX_EPOCH,
            signs_from: Timestamp::MAX,
        };
        let ring = KeyRing { keys: vec![key], revision: Revision::unverified("r".into()) };
        let expected = serde_json::json!({ "keys": [{
            "kty": "OKP",
            "crv": "Ed25519",
            "use": "sig",
            "alg": "EdDSA",
            "kid": "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
            "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
        }] });
        assert_eq!(serde_json::to_value(JwkSet::from(&ring)).unwrap(), expected);
    }
}
