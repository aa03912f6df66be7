//! Tokens and bodies that nobody of ours made.

use serde_json::json;

use crate::{DEPLOYMENTS, Deploy};

/// A generator of numbers that look random, the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % limit
    }
}

#[tokio::test]
async fn no_forged_token_is_taken() {
    let deploy = Deploy::start().await;
    let before = deploy.stands().await;
    let success = deploy.body(1, "success");
    let mut random = Random(4);
    let token: Vec<char> = deploy.token.chars().collect();
    let alphabet: Vec<char> =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.".chars().collect();
    let mut tried = 0;
    while tried < 1_000 {
        let mut forged = token.clone();
        for _ in 0..=random.below(3) {
            match random.below(4) {
                0 if !forged.is_empty() => drop(forged.remove(random.below(forged.len()))),
                1 => forged.insert(random.below(forged.len() + 1), alphabet[random.below(alphabet.len())]),
                2 => forged.truncate(random.below(forged.len() + 1)),
                _ if forged.is_empty() => {}
                _ => {
                    let place = random.below(forged.len());
                    forged[place] = alphabet[random.below(alphabet.len())];
                }
            }
        }
        if forged == token {
            continue;
        }
        let forged: String = forged.into_iter().collect();
        let answer = deploy.call(DEPLOYMENTS, &forged).json(&success).await;
        assert_eq!((answer.status.as_u16(), answer.problem()), (401, "callback-token-invalid"), "{forged}");
        tried += 1;
    }
    assert_eq!(deploy.stands().await, before);
}

/// What only somebody with a token may be told: what is wrong with a report.
const BODIES: &[(&str, &str)] = &[
    ("application/json", ""),
    ("application/json", "{"),
    ("application/json", "[]"),
    ("application/json", r#"{"nonsense":1}"#),
    ("application/json", r#"{"command":"success","command":"failure"}"#),
    ("application/json", r#"{"operation_id":"op_0","attempt":1,"sequence":1,"command":"success"}"#),
    ("text/plain", "{}"),
    ("", "{}"),
];

#[tokio::test]
async fn the_token_is_judged_before_anything_else() {
    let deploy = Deploy::start().await;
    let before = deploy.stands().await;
    let too_large = "x".repeat(3 * 1024 * 1024);
    let bodies = BODIES.iter().copied().chain([("application/json", too_large.as_str())]);
    for (kind, body) in bodies {
        for path in [DEPLOYMENTS, "/provisioning/callback", "/services/deployments/callback?more=1"] {
            let what = || format!("{path} {kind:?} {}", &body[..body.len().min(60)]);
            let anonymous = deploy.app.anonymous().post(path).body(kind, body.to_owned()).await;
            assert_eq!(
                (anonymous.status.as_u16(), anonymous.problem()),
                (401, "callback-token-invalid"),
                "{}",
                what()
            );
            for token in ["", "x", "gcb.e30.AAAA", &format!("{}x", deploy.token)] {
                let forged = deploy.call(path, token).body(kind, body.to_owned()).await;
                assert_eq!(
                    (forged.status.as_u16(), forged.problem()),
                    (401, "callback-token-invalid"),
                    "{}",
                    what()
                );
            }
            let twice = deploy.call(path, &deploy.token).header("x-callback-token", "x");
            let twice = twice.body(kind, body.to_owned()).await;
            assert_eq!(
                (twice.status.as_u16(), twice.problem()),
                (401, "callback-token-invalid"),
                "{}",
                what()
            );
        }
        let known = deploy.call(DEPLOYMENTS, &deploy.token).body(kind, body.to_owned()).await;
        assert!([400, 403, 413, 415, 422].contains(&known.status.as_u16()), "{kind:?}: {}", known.status);
    }
    assert_eq!(deploy.stands().await, before);
}

#[tokio::test]
async fn no_body_that_is_not_a_report_is_taken() {
    let deploy = Deploy::start().await;
    let before = deploy.stands().await;
    let mut random = Random(5);
    let values = [
        json!(null),
        json!(true),
        json!(-1),
        json!(0),
        json!(1.5),
        json!(""),
        json!("op_0"),
        json!([]),
        json!({}),
        json!("x".repeat(2000)),
        json!(["y".repeat(1001)]),
        json!({ "a": { "value": 1, "extra": 2 } }),
    ];
    let names = [
        "operation_id",
        "attempt",
        "sequence",
        "command",
        "task_token",
        "links",
        "step",
        "state",
        "percentage",
        "message",
        "log",
        "plan",
        "outputs",
        "reason",
        "cancelled",
        "unchanged",
        "artifact",
        "unknown",
    ];
    for _ in 0..1_000 {
        let mut body = deploy.body(1, "unheard-of");
        for _ in 0..=random.below(3) {
            body[names[random.below(names.len())]] = values[random.below(values.len())].clone();
        }
        let answer = deploy.report(&body).await;
        assert!([400, 403, 422].contains(&answer.status.as_u16()), "{body}: {}", answer.text);
    }
    for body in ["", "{", "[]", "null", "\"x\""] {
        let answer = deploy.call(DEPLOYMENTS, &deploy.token).body("application/json", body).await;
        assert!([400, 422].contains(&answer.status.as_u16()), "{body}: {}", answer.text);
    }
    assert_eq!(deploy.stands().await, before);
}
