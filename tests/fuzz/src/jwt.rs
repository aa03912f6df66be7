//! Whatever the text, the verifier answers; and the only tokens that it takes are those that were signed.

use std::sync::LazyLock;

use gatehouse_domain::{
    claims::ServiceClaims,
    revision::Revision,
    signing::{KeyRing, SigningKey},
};
use gatehouse_jwt::{Issuer, KeyPair, Verifier};
use jiff::Timestamp;
use secrecy::ExposeSecret;

use crate::system::now;

/// A verifier, and the one token that was signed for it.
static OURS: LazyLock<(Verifier, String)> = LazyLock::new(|| {
    let issuer = Issuer::new("urn:gatehouse:fuzz");
    let made = KeyPair::generate().expect("there is a random source");
    let pair = KeyPair::from_secret(&made.kid, &made.private_key).expect("it was just made");
    let token = pair.sign_service_token(&issuer, &claims()).expect("the claims can be signed");
    let key =
        SigningKey { kid: made.kid, public_key: made.public_key, published_at: now(), signs_from: now() };
    let ring = KeyRing { keys: vec![key], revision: Revision::unverified("r".to_owned()) };
    (Verifier::new(issuer, &ring), token.expose_secret().to_owned())
});

fn claims() -> ServiceClaims {
    ServiceClaims {
        jti: "tok_00000000000000000000000000".parse().expect("it is an id"),
        project: "payments".parse().expect("it is a name"),
        service: "worker".parse().expect("it is a name"),
        issued_at: now(),
        expires_at: Timestamp::from_second(now().as_second() + 3600).expect("it is in range"),
    }
}

/// `token` with pieces of the input in place of some of its bytes: two bytes say where, and one how much.
pub(crate) fn spliced(token: &str, mut input: &[u8]) -> Vec<u8> {
    let mut bytes = token.as_bytes().to_vec();
    while let [high, low, length, rest @ ..] = input {
        let start = usize::from(u16::from_be_bytes([*high, *low])) % bytes.len();
        let (piece, rest) = rest.split_at(usize::from(*length).min(rest.len()));
        let end = (start + piece.len()).min(bytes.len());
        bytes[start..end].copy_from_slice(&piece[..end - start]);
        input = rest;
    }
    bytes
}

pub(crate) fn check(input: &[u8]) {
    let (verifier, token) = &*OURS;
    for candidate in [input.to_vec(), spliced(token, input)] {
        let Ok(text) = String::from_utf8(candidate) else { continue };
        let verdict = verifier.verify(&text, now());
        assert_eq!(verdict.is_ok(), text == *token, "{verdict:?}");
    }
}
