use std::time::Duration;

use secrecy::ExposeSecret;

use super::support::after;
use crate::{
    id::OperationId,
    operations::{
        Attempt, Phase,
        attempt::{CallbackClaims, CallbackKey, CallbackTokenError, WeakCallbackKey},
    },
};

fn key(letter: &str) -> CallbackKey {
    CallbackKey::new(&letter.repeat(32).into()).unwrap()
}

fn claims(operation: &str, attempt: u32) -> CallbackClaims {
    let id: OperationId = operation.parse().unwrap();
    Attempt { number: attempt, ..Attempt::new(1, Phase::Apply, after(0)) }.claims(&id)
}

fn minted(operation: &str, attempt: u32) -> String {
    key("k").mint(&claims(operation, attempt)).expose_secret().to_owned()
}

#[test]
fn a_token_says_what_it_was_made_for_until_it_ends() {
    let token = minted("op_1", 3);
    assert_eq!(key("k").verify(&token, after(0)), Ok(claims("op_1", 3)));
    let last = Phase::Apply.limit() + Duration::from_mins(15);
    assert!(key("k").verify(&token, after(0) + last - Duration::from_secs(1)).is_ok());
    assert_eq!(key("k").verify(&token, after(0) + last), Err(CallbackTokenError::Expired));
}

#[test]
fn no_changed_token_is_taken() {
    let token = minted("op_1", 3);
    let mut changed = Vec::new();
    for place in 0..token.len() {
        for bit in 0..8 {
            let mut bytes = token.clone().into_bytes();
            bytes[place] ^= 1 << bit;
            changed.extend(String::from_utf8(bytes));
        }
        changed.push(token[..place].to_owned());
        changed.push(token[place + 1..].to_owned());
        let (before, behind) = token.split_at(place);
        changed.extend([
            format!("{before}A{behind}"),
            format!("{before}.{behind}"),
            format!("{before}={behind}"),
        ]);
    }
    let parts: Vec<_> = token.split('.').collect();
    let others = minted("op_2", 3);
    let others: Vec<_> = others.split('.').collect();
    changed.extend([
        format!("{}.{}.{}", parts[0], parts[2], parts[1]),
        format!("{}.{}.{}", parts[0], others[1], parts[2]),
        format!("{}.{}.{}", parts[0], parts[1], others[2]),
        format!("{}.{}", parts[0], parts[1]),
        format!("{token}.{}", parts[2]),
        format!("{token}="),
        format!(" {token}"),
        format!("{token}\n"),
        token.to_uppercase(),
        String::new(),
    ]);
    assert!(changed.len() >= 1_000, "{} are too few", changed.len());
    for token in changed {
        assert_eq!(key("k").verify(&token, after(0)), Err(CallbackTokenError::Invalid), "{token:?}");
    }
}

#[test]
fn a_token_of_another_key_is_not_taken() {
    let token = key("l").mint(&claims("op_1", 3));
    let verified = key("k").verify(token.expose_secret(), after(0));
    assert_eq!(verified, Err(CallbackTokenError::Invalid));
}

#[test]
fn a_key_has_at_least_32_bytes_and_is_never_shown() {
    assert_eq!(CallbackKey::new(&"k".repeat(31).into()).err(), Some(WeakCallbackKey));
    assert_eq!(CallbackKey::new(&format!("{} \n", "k".repeat(31)).into()).err(), Some(WeakCallbackKey));
    assert_eq!(format!("{:?}", key("k")), "CallbackKey(..)");
}
