//! Every token that must be refused, and why it is.

mod support;

use data_encoding::{BASE64, BASE64URL, BASE64URL_NOPAD};
use gatehouse_domain::{id::KeyId, name::TenantId};
use gatehouse_jwt::{Issuer, KeyPair, Refusal, Verified, Verifier};
use jiff::Timestamp;
use ring::hmac;
use serde_json::{Value, json};

use self::support::{ISSUER, Installation, NOW, encode, now, ring, service_claims, session_claims};

/// The header of a session that is accepted.
fn session_header(ours: &Installation) -> Value {
    with(ours.service_header(), "typ", "session+jwt")
}

/// The members of a service token that is accepted.
fn service_members() -> Value {
    json!({
        "iss": ISSUER,
        "aud": "gatehouse-service",
        "jti": "tok_00000000000000000000000000",
        "project": "payments",
        "service": "worker",
        "iat": NOW - 60,
        "exp": NOW + 3600,
        "typ": "service",
    })
}

/// The members of a session that is accepted.
fn session_members() -> Value {
    json!({
        "iss": ISSUER,
        "aud": "gatehouse-session",
        "sub": "ada",
        "jti": "ses_00000000000000000000000000",
        "iat": NOW - 60,
        "exp": NOW + 3600,
    })
}

/// `value` with one member set to something else.
fn with(mut value: Value, member: &str, other: impl Into<Value>) -> Value {
    value[member] = other.into();
    value
}

/// `value` without one member.
fn without(mut value: Value, member: &str) -> Value {
    value.as_object_mut().unwrap().remove(member).unwrap();
    value
}

#[track_caller]
fn refuses(ours: &Installation, token: &str, refusal: &Refusal, what: &str) {
    let shown: String = token.chars().take(300).collect();
    assert_eq!(ours.verifier.verify(token, now()).as_ref().unwrap_err(), refusal, "{what}: {shown}");
}

#[track_caller]
fn refuses_header(ours: &Installation, header: &Value, refusal: &Refusal) {
    let token = ours.token(&header.to_string(), &service_members().to_string());
    refuses(ours, &token, refusal, &header.to_string());
}

#[track_caller]
fn refuses_service(ours: &Installation, members: &Value, refusal: &Refusal) {
    let token = ours.token(&ours.service_header().to_string(), &members.to_string());
    refuses(ours, &token, refusal, &members.to_string());
}

#[track_caller]
fn refuses_session(ours: &Installation, members: &Value, refusal: &Refusal) {
    let token = ours.token(&session_header(ours).to_string(), &members.to_string());
    refuses(ours, &token, refusal, &members.to_string());
}

/// The parts of a token that is accepted.
fn parts(ours: &Installation) -> [String; 3] {
    let token = ours.token(&ours.service_header().to_string(), &service_members().to_string());
    let parts: Vec<_> = token.split('.').map(str::to_owned).collect();
    parts.try_into().unwrap()
}

#[test]
fn what_the_forger_changes_nothing_of_is_accepted() {
    let ours = Installation::new();
    let token = ours.token(&ours.service_header().to_string(), &service_members().to_string());
    assert_eq!(ours.verifier.verify(&token, now()), Ok(Verified::Service(service_claims())));
    let token = ours.token(&session_header(&ours).to_string(), &session_members().to_string());
    assert_eq!(ours.verifier.verify(&token, now()), Ok(Verified::Session(session_claims())));
}

#[test]
fn no_algorithm_is_none_in_any_spelling() {
    let ours = Installation::new();
    for none in ["none", "None", "nOnE", "NONE", "NonE", "", " none", "null"] {
        let header = with(ours.service_header(), "alg", none);
        refuses_header(&ours, &header, &Refusal::Algorithm);
        let message = format!("{}.{}", encode(&header.to_string()), encode(&service_members().to_string()));
        refuses(&ours, &format!("{message}."), &Refusal::Form, "without a signature");
        refuses(&ours, &format!("{message}.AA"), &Refusal::Algorithm, "with one that is none");
    }
}

#[test]
fn the_public_key_is_no_secret_to_sign_with() {
    let ours = Installation::new();
    let header = with(ours.service_header(), "alg", "HS256").to_string();
    let message = format!("{}.{}", encode(&header), encode(&service_members().to_string()));
    let raw = BASE64URL_NOPAD.decode(ours.made.public_key.as_bytes()).unwrap();
    for secret in [raw.as_slice(), ours.made.public_key.as_bytes()] {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let signature = BASE64URL_NOPAD.encode(hmac::sign(&key, message.as_bytes()).as_ref());
        refuses(&ours, &format!("{message}.{signature}"), &Refusal::Algorithm, "HS256");
        // The same signature under our algorithm's name.
        let message = message.replace(&encode(&header), &encode(&ours.service_header().to_string()));
        let signature = BASE64URL_NOPAD.encode(hmac::sign(&key, message.as_bytes()).as_ref());
        refuses(&ours, &format!("{message}.{signature}"), &Refusal::Signature, "HMAC as EdDSA");
    }
}

#[test]
fn other_algorithms_are_refused_even_with_a_right_signature() {
    let ours = Installation::new();
    for other in [
        "HS256", "HS384", "HS512", "RS256", "RS512", "PS256", "ES256", "ES384", "ES256K", "Ed448", "Ed25519",
        "eddsa", "EDDSA", "EdDsa", "EdDSA ", "EdDSA\0", "dir",
    ] {
        refuses_header(&ours, &with(ours.service_header(), "alg", other), &Refusal::Algorithm);
    }
    for other in [json!(null), json!(["EdDSA"]), json!(1), json!({ "EdDSA": null }), json!(true)] {
        refuses_header(&ours, &with(ours.service_header(), "alg", other), &Refusal::Header);
    }
    refuses_header(&ours, &without(ours.service_header(), "alg"), &Refusal::Header);
}

#[test]
fn a_key_that_is_not_in_the_ring_is_named_in_the_refusal() {
    let ours = Installation::new();
    let other = KeyPair::generate().unwrap().kid;
    let header = with(ours.service_header(), "kid", other.as_str());
    refuses_header(&ours, &header, &Refusal::UnknownKey(other));
    let near = ours.made.kid.as_str().to_ascii_uppercase().parse::<KeyId>().unwrap();
    let header = with(ours.service_header(), "kid", near.as_str());
    refuses_header(&ours, &header, &Refusal::UnknownKey(near));
}

#[test]
fn what_can_be_no_id_of_a_key_is_refused() {
    let ours = Installation::new();
    for kid in [
        "",
        "../../../dev/null",
        "a/b",
        "a b",
        "a#b",
        "' OR 1=1 --",
        "%2e%2e",
        "a\0",
        "é",
        "https://evil.example/key",
        &"x".repeat(65),
    ] {
        refuses_header(&ours, &with(ours.service_header(), "kid", kid), &Refusal::Header);
    }
    for kid in [json!(null), json!(1), json!([ours.made.kid.as_str()]), json!({}), json!(true)] {
        refuses_header(&ours, &with(ours.service_header(), "kid", kid), &Refusal::Header);
    }
    refuses_header(&ours, &without(ours.service_header(), "kid"), &Refusal::Header);
}

#[test]
fn a_header_may_not_say_more_than_ours_do() {
    let ours = Installation::new();
    let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": ours.made.public_key });
    for (member, value) in [
        ("jku", json!("https://evil.example/jwks.json")),
        ("x5u", json!("https://169.254.169.254/")),
        ("jwk", jwk),
        ("x5c", json!(["MIIB"])),
        ("x5t", json!("AAAA")),
        ("x5t#S256", json!("AAAA")),
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("b64", json!(false)),
        ("b64", json!(true)),
        ("cty", json!("JWT")),
        ("zip", json!("DEF")),
        ("enc", json!("A128GCM")),
        ("iss", json!(ISSUER)),
        ("Alg", json!("none")),
        ("", json!("")),
        ("jku", json!(null)),
    ] {
        refuses_header(&ours, &with(ours.service_header(), member, value), &Refusal::Header);
    }
}

#[test]
fn the_kind_is_written_in_one_way_only() {
    let ours = Installation::new();
    for typ in [
        "JWT",
        "jwt",
        "at+jwt",
        "",
        "service",
        "Service+JWT",
        "SERVICE+JWT",
        "application/service+jwt",
        "service+jwt ",
        "id_token",
        "logout+jwt",
        "callback+jwt",
    ] {
        refuses_header(&ours, &with(ours.service_header(), "typ", typ), &Refusal::Kind);
    }
    for typ in [json!(null), json!(["service+jwt"]), json!(0)] {
        refuses_header(&ours, &with(ours.service_header(), "typ", typ), &Refusal::Header);
    }
    refuses_header(&ours, &without(ours.service_header(), "typ"), &Refusal::Header);
}

#[test]
fn a_session_is_no_service_token_and_the_other_way_round() {
    let ours = Installation::new();
    // Only the header says so.
    refuses_session(&ours, &service_members(), &Refusal::Claims);
    refuses_service(&ours, &session_members(), &Refusal::Claims);
    // The audience says so as well.
    refuses_session(&ours, &with(service_members(), "aud", "gatehouse-session"), &Refusal::Claims);
    refuses_service(&ours, &with(session_members(), "aud", "gatehouse-service"), &Refusal::Claims);
    // Only the audience says so.
    refuses_session(&ours, &with(session_members(), "aud", "gatehouse-service"), &Refusal::Audience);
    refuses_service(&ours, &with(service_members(), "aud", "gatehouse-session"), &Refusal::Audience);
    // The ids are of the other kind.
    refuses_session(
        &ours,
        &with(session_members(), "jti", "tok_00000000000000000000000000"),
        &Refusal::Claims,
    );
    refuses_service(
        &ours,
        &with(service_members(), "jti", "ses_00000000000000000000000000"),
        &Refusal::Claims,
    );
    refuses_service(&ours, &with(service_members(), "typ", "session"), &Refusal::Claims);
}

#[test]
fn tokens_of_others_and_for_others_are_refused() {
    let ours = Installation::new();
    for iss in ["", "urn:gatehouse:test:prod", "urn:gatehouse:test:dev ", "URN:GATEHOUSE:TEST:DEV"] {
        refuses_service(&ours, &with(service_members(), "iss", iss), &Refusal::Issuer);
        refuses_session(&ours, &with(session_members(), "iss", iss), &Refusal::Issuer);
    }
    for aud in ["", "gatehouse", "Gatehouse-Service", "gatehouse-service,gatehouse-session"] {
        refuses_service(&ours, &with(service_members(), "aud", aud), &Refusal::Audience);
    }
    for list in [json!(["gatehouse-service"]), json!(["gatehouse-service", "other"]), json!([])] {
        refuses_service(&ours, &with(service_members(), "aud", list.clone()), &Refusal::Claims);
        refuses_service(&ours, &with(service_members(), "iss", list), &Refusal::Claims);
    }
}

#[test]
fn every_claim_is_required_and_none_may_be_null() {
    let ours = Installation::new();
    for member in service_members().as_object().unwrap().keys() {
        refuses_service(&ours, &without(service_members(), member), &Refusal::Claims);
        refuses_service(&ours, &with(service_members(), member, Value::Null), &Refusal::Claims);
    }
    for member in session_members().as_object().unwrap().keys() {
        refuses_session(&ours, &without(session_members(), member), &Refusal::Claims);
        refuses_session(&ours, &with(session_members(), member, Value::Null), &Refusal::Claims);
    }
}

#[test]
fn unknown_claims_are_refused() {
    let ours = Installation::new();
    for member in ["nbf", "scope", "roles", "admin", "tenant", "Exp", "EXP", ""] {
        refuses_service(&ours, &with(service_members(), member, NOW), &Refusal::Claims);
        refuses_session(&ours, &with(session_members(), member, NOW), &Refusal::Claims);
    }
    refuses_session(&ours, &with(session_members(), "typ", "session"), &Refusal::Claims);
}

#[test]
fn names_and_ids_that_cannot_be_are_refused() {
    let ours = Installation::new();
    for bad in ["", "a/b", "../x", "a#b", "a b", "a\0", "-a", &"x".repeat(129)] {
        assert!(bad.parse::<TenantId>().is_err(), "{bad:?} tests nothing");
        refuses_service(&ours, &with(service_members(), "project", bad), &Refusal::Claims);
        refuses_service(&ours, &with(service_members(), "service", bad), &Refusal::Claims);
        refuses_service(&ours, &with(service_members(), "jti", bad), &Refusal::Claims);
        refuses_session(&ours, &with(session_members(), "jti", bad), &Refusal::Claims);
    }
    for bad in ["", "a/b", "../x", "a#b", "Ada", "a\0", &"x".repeat(65)] {
        refuses_session(&ours, &with(session_members(), "sub", bad), &Refusal::Claims);
    }
}

#[test]
fn times_are_whole_seconds_and_nothing_else() {
    let ours = Installation::new();
    let odd = [
        json!((NOW + 60).to_string()),
        json!("2099-01-01T00:00:00Z"),
        json!(""),
        json!(1_800_000_060.0),
        json!(1_800_000_060.5),
        json!(-1),
        json!(i64::MIN),
        json!(1e300),
        json!(-1e300),
        json!([NOW + 60]),
        json!({ "seconds": NOW + 60 }),
        json!(true),
    ];
    for time in odd {
        for member in ["iat", "exp"] {
            refuses_service(&ours, &with(service_members(), member, time.clone()), &Refusal::Claims);
            refuses_session(&ours, &with(session_members(), member, time.clone()), &Refusal::Claims);
        }
    }
    for text in ["1e9", "18446744073709551616", "99999999999999999999999999", "-0", "1800000060.0"] {
        let claims = service_members()
            .to_string()
            .replace(&format!("\"exp\":{}", NOW + 3600), &format!("\"exp\":{text}"));
        assert!(claims.contains(text));
        let token = ours.token(&ours.service_header().to_string(), &claims);
        refuses(&ours, &token, &Refusal::Claims, text);
    }
}

#[test]
fn huge_times_are_refused() {
    let ours = Installation::new();
    for time in [4_102_444_800, u64::from(u32::MAX), i64::MAX.unsigned_abs(), u64::MAX] {
        for member in ["iat", "exp"] {
            refuses_service(&ours, &with(service_members(), member, time), &Refusal::Times);
            refuses_session(&ours, &with(session_members(), member, time), &Refusal::Times);
        }
    }
}

#[test]
fn a_token_ends_exactly_when_it_says() {
    let ours = Installation::new();
    refuses_service(&ours, &with(service_members(), "exp", NOW), &Refusal::Ended);
    refuses_session(&ours, &with(session_members(), "exp", NOW), &Refusal::Ended);
    refuses_service(&ours, &with(service_members(), "exp", NOW - 1), &Refusal::Ended);
    let last = with(service_members(), "exp", NOW + 1).to_string();
    let token = ours.token(&ours.service_header().to_string(), &last);
    assert!(ours.verifier.verify(&token, now()).is_ok());
}

#[test]
fn a_token_of_the_future_is_refused_beyond_the_leeway() {
    let ours = Installation::new();
    refuses_service(&ours, &with(service_members(), "iat", NOW + 31), &Refusal::TooEarly);
    refuses_session(&ours, &with(session_members(), "iat", NOW + 31), &Refusal::TooEarly);
    let early = with(service_members(), "iat", NOW + 30).to_string();
    let token = ours.token(&ours.service_header().to_string(), &early);
    assert!(ours.verifier.verify(&token, now()).is_ok());
}

#[test]
fn a_token_does_not_end_before_it_begins_nor_live_too_long() {
    let ours = Installation::new();
    for exp in [NOW - 60, NOW - 61, 0] {
        refuses_service(&ours, &with(service_members(), "exp", exp), &Refusal::Times);
        refuses_session(&ours, &with(session_members(), "exp", exp), &Refusal::Times);
    }
    let year = 365 * 86_400;
    refuses_service(&ours, &with(service_members(), "exp", NOW - 60 + year + 1), &Refusal::Times);
    refuses_service(&ours, &with(service_members(), "iat", 0), &Refusal::Times);
    refuses_session(&ours, &with(session_members(), "exp", NOW - 60 + 43_200 + 31), &Refusal::Times);
    for (header, members, exp) in [
        (ours.service_header(), service_members(), NOW - 60 + year),
        (session_header(&ours), session_members(), NOW - 60 + 43_200 + 30),
    ] {
        let token = ours.token(&header.to_string(), &with(members, "exp", exp).to_string());
        assert!(ours.verifier.verify(&token, now()).is_ok(), "the longest life");
    }
}

#[test]
fn repeated_members_are_refused_even_where_they_agree() {
    let ours = Installation::new();
    let header = ours.service_header();
    for (member, value) in header.as_object().unwrap() {
        let twice = format!("{{\"{member}\":{value},{}", &header.to_string()[1..]);
        let token = ours.token(&twice, &service_members().to_string());
        refuses(&ours, &token, &Refusal::Header, &twice);
    }
    let escaped = format!("{{\"\\u0061lg\":\"none\",{}", &header.to_string()[1..]);
    refuses(&ours, &ours.token(&escaped, &service_members().to_string()), &Refusal::Header, &escaped);
    for (header, members) in
        [(ours.service_header(), service_members()), (session_header(&ours), session_members())]
    {
        for (member, value) in members.as_object().unwrap() {
            let twice = format!("{{\"{member}\":{value},{}", &members.to_string()[1..]);
            refuses(&ours, &ours.token(&header.to_string(), &twice), &Refusal::Claims, &twice);
        }
    }
}

#[test]
fn what_is_no_json_object_is_refused() {
    let ours = Installation::new();
    let (header, claims) = (ours.service_header().to_string(), service_members().to_string());
    for odd in ["null", "[]", "\"EdDSA\"", "1", "{", "{}x", " ", "\u{feff}{}", "{}{}"] {
        refuses(&ours, &ours.token(odd, &claims), &Refusal::Header, odd);
        refuses(&ours, &ours.token(&header, odd), &Refusal::Claims, odd);
    }
    let list = format!("[\"service+jwt\",\"EdDSA\",\"{}\"]", ours.made.kid.as_str());
    refuses(&ours, &ours.token(&format!("{header}{header}"), &claims), &Refusal::Header, "two objects");
    refuses(&ours, &ours.token(&list, &claims), &Refusal::Header, "a list of the members");
    let values: Vec<_> = ["iss", "aud", "jti", "project", "service", "iat", "exp", "typ"]
        .map(|member| service_members()[member].clone())
        .into();
    refuses(
        &ours,
        &ours.token(&header, &json!(values).to_string()),
        &Refusal::Claims,
        "a list of the claims",
    );
}

#[test]
fn nested_json_is_refused_without_going_down_into_it() {
    let ours = Installation::new();
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let depth = 2000 / open.len();
        let bomb = format!("{}1{}", open.repeat(depth), close.repeat(depth));
        let claims = service_members().to_string();
        let within = format!("{{\"kid\":{}{}", open.repeat(300), "1");
        refuses(
            &ours,
            &ours.token(&bomb.chars().take(2500).collect::<String>(), "{}"),
            &Refusal::Header,
            "header",
        );
        refuses(&ours, &ours.token(&within, &claims), &Refusal::Header, "within a member");
        let header = ours.service_header().to_string();
        let claims = format!("{{\"exp\":{}1{}}}", open.repeat(300), close.repeat(300));
        refuses(&ours, &ours.token(&header, &claims), &Refusal::Claims, "claims");
    }
}

#[test]
fn long_tokens_are_refused_before_they_are_read() {
    let ours = Installation::new();
    let token = parts(&ours).join(".");
    refuses(&ours, &"A".repeat(10 << 20), &Refusal::TooLong, "10 MB");
    refuses(&ours, &format!("{token}{}", "A".repeat(10 << 20)), &Refusal::TooLong, "10 MB behind a token");
    refuses(&ours, &".".repeat(10 << 20), &Refusal::TooLong, "10 MB of dots");
    refuses(&ours, &"A".repeat(4097), &Refusal::TooLong, "one byte more");
    refuses(&ours, &"A".repeat(4096), &Refusal::Form, "as long as may be");
}

#[test]
fn a_token_has_three_parts_and_none_is_empty() {
    let ours = Installation::new();
    let [header, claims, signature] = parts(&ours);
    for bad in [
        String::new(),
        ".".into(),
        "..".into(),
        header.clone(),
        format!("{header}.{claims}"),
        format!("{header}.{claims}."),
        format!(".{claims}.{signature}"),
        format!("{header}..{signature}"),
        format!("{header}.{claims}.{signature}."),
        format!(".{header}.{claims}.{signature}"),
        format!("{header}.{claims}.{signature}.{signature}"),
        format!("{header}.{claims}.{signature}.{signature}.{signature}"),
        format!("{header}...{claims}.{signature}"),
        json!({ "protected": header, "payload": claims, "signature": signature }).to_string(),
    ] {
        refuses(&ours, &bad, &Refusal::Form, "parts");
    }
}

#[test]
fn only_characters_of_base64url_are_read() {
    let ours = Installation::new();
    let good = parts(&ours);
    for index in 0..3 {
        for odd in [" ", "\n", "\r\n", "\t", "\0", "=", "==", "+", "/", "%", "é", "\u{200b}", "\u{ff0e}"] {
            for place in [0, 4, good[index].len()] {
                let mut bad = good.clone();
                bad[index].insert_str(place, odd);
                refuses(&ours, &bad.join("."), &Refusal::Form, odd);
            }
        }
    }
}

#[test]
fn padding_is_refused_where_it_would_be_right() {
    let ours = Installation::new();
    let good = parts(&ours);
    for index in 0..3 {
        let bytes = BASE64URL_NOPAD.decode(good[index].as_bytes()).unwrap();
        let mut bad = good.clone();
        bad[index] = BASE64URL.encode(&bytes);
        if bad != good {
            refuses(&ours, &bad.join("."), &Refusal::Form, "padded");
        }
        bad[index] = BASE64.encode(&bytes);
        if bad != good {
            refuses(&ours, &bad.join("."), &Refusal::Form, "the other alphabet");
        }
    }
}

/// The last character of `part` with a bit set that no byte holds, if it has such bits.
fn with_loose_bits(part: &str) -> Option<String> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (head, last) = part.split_at(part.len() - 1);
    let value = ALPHABET.iter().position(|char| *char == last.as_bytes()[0]).unwrap();
    (!part.len().is_multiple_of(4)).then(|| format!("{head}{}", char::from(ALPHABET[value | 1])))
}

#[test]
fn a_part_is_written_in_one_way_only() {
    let ours = Installation::new();
    // White space in the JSON gives every part each length.
    let mut tested = [0; 3];
    for spaces in 0..3 {
        let header = format!("{}{}", ours.service_header(), " ".repeat(spaces));
        let claims = format!("{}{}", service_members(), " ".repeat(spaces));
        let message = format!("{}.{}", encode(&header), encode(&claims));
        let good = [encode(&header), encode(&claims), ours.signature(&message)];
        assert!(ours.verifier.verify(&good.join("."), now()).is_ok());
        for index in 0..3 {
            let Some(loose) = with_loose_bits(&good[index]) else { continue };
            let mut bad = good.clone();
            bad[index] = loose;
            // Signed again, where the part is signed: then the signature is right.
            bad[2] = if index == 2 { bad[2].clone() } else { ours.signature(&bad[..2].join(".")) };
            refuses(&ours, &bad.join("."), &Refusal::Form, "loose bits");
            tested[index] += 1;
        }
    }
    assert!(tested.iter().all(|count| *count > 0), "{tested:?}");
}

#[test]
fn a_signature_is_64_bytes_of_this_very_message() {
    let ours = Installation::new();
    let [header, claims, signature] = parts(&ours);
    let bytes = BASE64URL_NOPAD.decode(signature.as_bytes()).unwrap();
    let other = ours.signature("another message");
    // The order of the group, added to the second half: the same equation with another number.
    let order = BASE64.decode(b"7dP1XBpjEljWnPei3vneFAAAAAAAAAAAAAAAAAAAABA=").unwrap();
    let mut malleable = bytes.clone();
    let mut carry = 0;
    for (byte, more) in malleable[32..].iter_mut().zip(order) {
        let sum = u16::from(*byte) + u16::from(more) + carry;
        (*byte, carry) = (sum.to_le_bytes()[0], sum >> 8);
    }
    let encoded = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
    let swapped = [&bytes[32..], &bytes[..32]].concat();
    for (what, bad) in [
        ("truncated", encoded(&bytes[..63])),
        ("half", encoded(&bytes[..32])),
        ("one byte", encoded(&bytes[..1])),
        ("extended", encoded(&[bytes.as_slice(), &[0]].concat())),
        ("doubled", encoded(&[bytes.as_slice(), &bytes].concat())),
        ("of another message", other),
        ("zero", encoded(&[0; 64])),
        ("ones", encoded(&[255; 64])),
        ("swapped", encoded(&swapped)),
        ("malleable", encoded(&malleable)),
        ("in hexadecimal", data_encoding::HEXLOWER.encode(&bytes)),
        ("encoded twice", encode(&signature)),
    ] {
        refuses(&ours, &format!("{header}.{claims}.{bad}"), &Refusal::Signature, what);
    }
    for cut in [&signature[..85], &signature[..1]] {
        let token = format!("{header}.{claims}.{cut}");
        assert!(ours.verifier.verify(&token, now()).is_err(), "cut text");
    }
}

#[test]
fn claims_of_another_token_do_not_fit_under_a_signature() {
    let ours = Installation::new();
    let [header, _, signature] = parts(&ours);
    let others = with(service_members(), "project", "billing").to_string();
    refuses(&ours, &format!("{header}.{}.{signature}", encode(&others)), &Refusal::Signature, "other claims");
    let spaced = format!(" {}", ours.service_header());
    let claims = encode(&service_members().to_string());
    refuses(&ours, &format!("{}.{claims}.{signature}", encode(&spaced)), &Refusal::Signature, "other header");
}

#[test]
fn a_key_of_another_ring_does_not_sign_here() {
    let (ours, theirs) = (Installation::new(), Installation::new());
    let (header, claims) = (ours.service_header().to_string(), service_members().to_string());
    refuses(&ours, &theirs.token(&header, &claims), &Refusal::Signature, "under our id");
    let token = theirs.pair().sign_service_token(&Issuer::new(ISSUER), &service_claims()).unwrap();
    let token = secrecy::ExposeSecret::expose_secret(&token);
    refuses(&ours, token, &Refusal::UnknownKey(theirs.made.kid.clone()), "under its own id");
    assert!(theirs.verifier.verify(token, now()).is_ok());
}

#[test]
fn a_ring_with_something_that_is_no_key_verifies_with_the_others() {
    let ours = Installation::new();
    let mut ring = ring(&ours.made);
    let mut broken = ring.keys[0].clone();
    broken.kid = "broken".parse::<KeyId>().unwrap();
    broken.public_key = "AAAA".to_owned();
    ring.keys.insert(0, broken);
    let verifier = Verifier::new(Issuer::new(ISSUER), &ring);
    let token = parts(&ours).join(".");
    assert!(verifier.verify(&token, now()).is_ok());
    let header = with(ours.service_header(), "kid", "broken");
    let token = ours.token(&header.to_string(), &service_members().to_string());
    assert!(matches!(verifier.verify(&token, now()), Err(Refusal::UnknownKey(_))));
}

#[test]
fn time_is_what_the_caller_says_it_is() {
    let ours = Installation::new();
    let token = parts(&ours).join(".");
    let at = |seconds| ours.verifier.verify(&token, Timestamp::from_second(seconds).unwrap());
    assert!(at(NOW + 3599).is_ok());
    assert_eq!(at(NOW + 3600), Err(Refusal::Ended));
    assert!(at(NOW - 90).is_ok());
    assert_eq!(at(NOW - 91), Err(Refusal::TooEarly));
}

#[test]
fn a_refusal_repeats_nothing_of_the_token() {
    let ours = Installation::new();
    let bad = with(service_members(), "service", "NOT-A-SERVICE");
    let token = ours.token(&ours.service_header().to_string(), &bad.to_string());
    let refusal = ours.verifier.verify(&token, now()).unwrap_err();
    assert!(!format!("{refusal} {refusal:?}").contains("NOT-A-SERVICE"));
}
