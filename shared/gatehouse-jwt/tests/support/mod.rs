//! Forging tokens.

use data_encoding::{BASE64, BASE64URL_NOPAD};
use gatehouse_domain::{
    claims::{ServiceClaims, SessionClaims},
    id::SessionId,
    revision::Revision,
    signing::{KeyRing, SigningKey},
};
use gatehouse_jwt::{Issuer, KeyPair, Made, Verifier};
use jiff::Timestamp;
use ring::signature::Ed25519KeyPair;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

pub const ISSUER: &str = "urn:gatehouse:test:dev";

/// The second at which every test takes place.
pub const NOW: i64 = 1_800_000_000;

pub fn now() -> Timestamp {
    Timestamp::from_second(NOW).unwrap()
}

/// An installation with one signing key.
pub struct Installation {
    pub made: Made,
    pub verifier: Verifier,
}

impl Installation {
    pub fn new() -> Self {
        let made = KeyPair::generate().unwrap();
        let verifier = Verifier::new(Issuer::new(ISSUER), &ring(&made));
        Self { made, verifier }
    }

    pub fn pair(&self) -> KeyPair {
        KeyPair::from_secret(&self.made.kid, &self.made.private_key).unwrap()
    }

    /// The signature of anything, by the key of the ring.
    pub fn signature(&self, message: &str) -> String {
        let document = BASE64.decode(self.made.private_key.expose_secret().as_bytes()).unwrap();
        let pair = Ed25519KeyPair::from_pkcs8(&document).unwrap();
        BASE64URL_NOPAD.encode(pair.sign(message.as_bytes()).as_ref())
    }

    /// A token of any header and claims, which need not be JSON, with a right signature.
    pub fn token(&self, header: &str, claims: &str) -> String {
        let message = format!("{}.{}", encode(header), encode(claims));
        format!("{message}.{}", self.signature(&message))
    }

    pub fn service_header(&self) -> Value {
        json!({ "typ": "service+jwt", "alg": "EdDSA", "kid": self.made.kid.as_str() })
    }
}

pub fn ring(made: &Made) -> KeyRing {
    let key = SigningKey {
        kid: made.kid.clone(),
        public_key: made.public_key.clone(),
        published_at: now(),
        signs_from: now(),
    };
    KeyRing { keys: vec![key], revision: Revision::unverified("r".into()) }
}

pub fn encode(text: &str) -> String {
    BASE64URL_NOPAD.encode(text.as_bytes())
}

pub fn service_claims() -> ServiceClaims {
    ServiceClaims {
        jti: "tok_00000000000000000000000000".parse().unwrap(),
        project: "payments".parse().unwrap(),
        service: "worker".parse().unwrap(),
        issued_at: Timestamp::from_second(NOW - 60).unwrap(),
        expires_at: Timestamp::from_second(NOW + 3600).unwrap(),
    }
}

pub fn session_claims() -> SessionClaims {
    SessionClaims {
        id: "ses_00000000000000000000000000".parse::<SessionId>().unwrap(),
        user: "ada".parse().unwrap(),
        issued_at: Timestamp::from_second(NOW - 60).unwrap(),
        expires_at: Timestamp::from_second(NOW + 3600).unwrap(),
    }
}
