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
