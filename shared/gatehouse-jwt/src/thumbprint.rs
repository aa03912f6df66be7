//! Ids of keys that follow from the keys themselves.

use data_encoding::BASE64URL_NOPAD;
use gatehouse_domain::id::KeyId;
use sha2::{Digest, Sha256};

/// The id of the Ed25519 key with these 32 public bytes: its thumbprint, of SHA-256 (RFC 7638, 3; for this
/// kind of key RFC 8037, 2).
pub fn thumbprint(public_key: &[u8; 32]) -> KeyId {
    let x = BASE64URL_NOPAD.encode(public_key);
    // The members that the RFC requires, by name, without white space.
    let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
    let text = BASE64URL_NOPAD.encode(&Sha256::digest(canonical.as_bytes()));
    text.parse::<KeyId>().unwrap_or_else(|_| unreachable!("43 characters of base64url are an id"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_rfc_has_its_thumbprint() {
        // RFC 8037, appendix A.3.
        let key = BASE64URL_NOPAD.decode(b"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap();
        let kid = thumbprint(&key.try_into().unwrap());
        assert_eq!(kid.as_str(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }
}
