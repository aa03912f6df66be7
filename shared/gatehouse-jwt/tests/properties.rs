//! What holds for every token.

mod support;

use std::sync::LazyLock;

use gatehouse_domain::claims::{ServiceClaims, SessionClaims};
use gatehouse_jwt::{Issuer, Verified};
use jiff::Timestamp;
use proptest::{prelude::*, sample::Index};
use secrecy::ExposeSecret;

use self::support::{ISSUER, Installation, NOW, encode, now, service_claims, session_claims};

static OURS: LazyLock<Installation> = LazyLock::new(Installation::new);

static TOKENS: LazyLock<[String; 2]> = LazyLock::new(|| {
    let (pair, issuer) = (OURS.pair(), Issuer::new(ISSUER));
    let service = pair.sign_service_token(&issuer, &service_claims()).unwrap();
    let session = pair.sign_session(&issuer, &session_claims()).unwrap();
    [service, session].map(|token| token.expose_secret().to_owned())
});

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

#[test]
fn the_header_is_what_the_documents_say() {
    let header = TOKENS[0].split('.').next().unwrap();
    let kid = OURS.made.kid.as_str();
    assert_eq!(header, encode(&format!(r#"{{"typ":"service+jwt","alg":"EdDSA","kid":"{kid}"}}"#)));
    assert!(TOKENS[0].len() < 600, "{} bytes", TOKENS[0].len());
}

#[test]
fn no_byte_of_a_token_can_be_another() {
    for token in TOKENS.iter() {
        assert!(OURS.verifier.verify(token, now()).is_ok());
        for index in 0..token.len() {
            for bit in 0..7 {
                let mut bytes = token.clone().into_bytes();
                bytes[index] ^= 1 << bit;
                let changed = String::from_utf8(bytes).unwrap();
                assert!(OURS.verifier.verify(&changed, now()).is_err(), "byte {index}, bit {bit}: {changed}");
            }
        }
    }
}

proptest! {
    #[test]
    fn a_changed_byte_is_refused(which in 0..2_usize, index in any::<Index>(), byte in 0..128_u8) {
        let mut bytes = TOKENS[which].clone().into_bytes();
        let index = index.index(bytes.len());
        prop_assume!(bytes[index] != byte);
        bytes[index] = byte;
        prop_assert!(OURS.verifier.verify(&String::from_utf8(bytes).unwrap(), now()).is_err());
    }

    #[test]
    fn a_piece_of_a_token_is_refused(which in 0..2_usize, from in any::<Index>(), to in any::<Index>()) {
        let token = &TOKENS[which];
        let (from, to) = (from.index(token.len()), to.index(token.len() + 1));
        prop_assume!(from <= to && to - from < token.len());
        prop_assert!(OURS.verifier.verify(&token[from..to], now()).is_err());
    }

    #[test]
    fn arbitrary_text_is_refused(text in any::<String>()) {
        prop_assert!(OURS.verifier.verify(&text, now()).is_err());
    }

    #[test]
    fn arbitrary_parts_are_refused(parts in "[A-Za-z0-9_-]{0,80}(\\.[A-Za-z0-9_-]{0,90}){2}") {
        prop_assert!(OURS.verifier.verify(&parts, now()).is_err());
    }

    #[test]
    fn arbitrary_json_under_a_right_signature_is_refused(header in "\\PC{0,60}", claims in "\\PC{0,200}") {
        let good = OURS.service_header().to_string();
        prop_assert!(OURS.verifier.verify(&OURS.token(&good, &claims), now()).is_err());
        prop_assert!(OURS.verifier.verify(&OURS.token(&header, &claims), now()).is_err());
    }

    #[test]
    fn a_service_token_that_was_signed_verifies(
        jti in "tok_[0-9a-v]{26}",
        project in "[a-z0-9][a-z0-9-]{0,38}",
        service in "[a-z0-9][a-z0-9-]{0,38}",
        age in 0..31_000_000_i64,
        left in 1..500_000_i64,
    ) {
        let claims = ServiceClaims {
            jti: jti.parse().unwrap(),
            project: project.parse().unwrap(),
            service: service.parse().unwrap(),
            issued_at: at(NOW - age),
            expires_at: at(NOW + left),
        };
        let token = OURS.pair().sign_service_token(&Issuer::new(ISSUER), &claims).unwrap();
        let verified = OURS.verifier.verify(token.expose_secret(), now());
        prop_assert_eq!(verified, Ok(Verified::Service(claims)));
    }

    #[test]
    fn a_session_that_was_signed_verifies(
        id in "ses_[0-9a-v]{26}",
        user in "[a-z0-9][a-z0-9._+@-]{0,63}",
        age in 0..43_199_i64,
    ) {
        let claims = SessionClaims {
            id: id.parse().unwrap(),
            user: user.parse().unwrap(),
            issued_at: at(NOW - age),
            expires_at: at(NOW - age + 43_200),
        };
        let token = OURS.pair().sign_session(&Issuer::new(ISSUER), &claims).unwrap();
        let verified = OURS.verifier.verify(token.expose_secret(), now());
        prop_assert_eq!(verified, Ok(Verified::Session(claims)));
    }
}
