//! Keeping secrets out of everything that leaves the worker.

use std::{
    cmp::Reverse,
    sync::{Arc, PoisonError, RwLock},
};

use data_encoding::BASE64;
use serde_json::Value;

/// What stands where a secret stood.
const HIDDEN: &str = "***";

/// Shorter secrets are hidden only where they stand alone: they would make other words unreadable.
const LONG: usize = 4;

/// As long must a secret be to be hidden within a longer value, and one line of a secret to be hidden at all.
/// Values are data: something short that is only spelt alike must not damage them.
const TELLING: usize = 8;

/// The secrets that are known. Clones share them.
#[derive(Clone, Default)]
pub struct Mask(Arc<RwLock<Secrets>>);

/// Longest first: one may be part of another.
#[derive(Default)]
struct Secrets {
    /// As they are, and as they look in other spellings.
    whole: Vec<String>,
    lines: Vec<String>,
}

impl Mask {
    /// Hides this text from now on, as it is and as it looks within JSON and base 64.
    pub fn hide(&self, secret: &str) {
        let mut secrets = self.0.write().unwrap_or_else(PoisonError::into_inner);
        add(&mut secrets.whole, secret);
        if secret.len() >= LONG {
            let json = Value::from(secret).to_string();
            let json = &json[1..json.len() - 1];
            add(&mut secrets.whole, json);
            // As Terraform's `jsonencode` writes it.
            let escaped = json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026");
            add(&mut secrets.whole, &escaped);
            add(&mut secrets.whole, &BASE64.encode(secret.as_bytes()));
        }
        // Logs come line by line, so no line of theirs holds the whole of it.
        for line in secret.lines().map(str::trim).filter(|line| line.len() >= TELLING) {
            add(&mut secrets.lines, line);
        }
    }

    /// Hides every text in this value, and every number that is long enough to be told from others.
    pub fn hide_value(&self, value: &Value) {
        match value {
            Value::String(text) => self.hide(text),
            Value::Number(number) => {
                let text = number.to_string();
                if text.len() >= LONG {
                    self.hide(&text);
                }
            }
            Value::Array(values) => values.iter().for_each(|value| self.hide_value(value)),
            Value::Object(fields) => fields.values().for_each(|value| self.hide_value(value)),
            Value::Null | Value::Bool(_) => {}
        }
    }

    /// The text without secrets.
    pub fn text(&self, text: &str) -> String {
        let secrets = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let (long, short): (Vec<_>, Vec<_>) =
            secrets.whole.iter().partition::<Vec<&String>, _>(|secret| secret.len() >= LONG);
        let text = replace_all(text, long.into_iter().chain(&secrets.lines));
        short.into_iter().fold(text, |text, secret| replace_alone(&text, secret))
    }

    /// The value without secrets: those that texts in it are, and those within texts that nothing else would be.
    pub fn value(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.datum(&text)),
            Value::Array(values) => values.into_iter().map(|value| self.value(value)).collect(),
            Value::Object(fields) => {
                fields.into_iter().map(|(name, value)| (self.datum(&name), self.value(value))).collect()
            }
            other => other,
        }
    }

    fn datum(&self, text: &str) -> String {
        let secrets = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if secrets.whole.iter().any(|secret| secret == text) {
            return HIDDEN.to_owned();
        }
        replace_all(text, secrets.whole.iter().filter(|secret| secret.len() >= TELLING))
    }
}

fn add(secrets: &mut Vec<String>, secret: &str) {
    let tells = secret.chars().any(char::is_alphanumeric);
    if tells && !secrets.iter().any(|known| known == secret) {
        secrets.push(secret.to_owned());
        secrets.sort_by_key(|known| Reverse(known.len()));
    }
}

fn replace_all<'a>(text: &str, secrets: impl Iterator<Item = &'a String>) -> String {
    secrets.fold(
        text.to_owned(),
        |text, secret| {
            if text.contains(secret) { text.replace(secret, HIDDEN) } else { text }
        },
    )
}

/// Replaces `secret` where no letter or digit touches it.
fn replace_alone(text: &str, secret: &str) -> String {
    let mut replaced = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(secret) {
        let (before, found) = rest.split_at(at);
        let after = &found[secret.len()..];
        let touched = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        let last = before.chars().next_back().or_else(|| replaced.chars().next_back());
        let alone = !touched(last) && !touched(after.chars().next());
        replaced.push_str(before);
        replaced.push_str(if alone { HIDDEN } else { secret });
        rest = after;
    }
    replaced.push_str(rest);
    replaced
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn mask(secrets: &[&str]) -> Mask {
        let mask = Mask::default();
        for secret in secrets {
            mask.hide(secret);
        }
        mask
    }

    #[test]
    fn a_secret_is_hidden_wherever_it_stands() {
        let mask = mask(&["hunter22"]);
        assert_eq!(mask.text("hunter22, xhunter22y"), "***, x***y");
        assert_eq!(mask.text("nothing"), "nothing");
    }

    #[test]
    fn the_longer_of_two_secrets_is_hidden_first() {
        assert_eq!(mask(&["hunter", "hunter22"]).text("hunter22 hunter"), "*** ***");
    }

    #[test]
    fn other_spellings_are_hidden_too() {
        let mask = mask(&["pass\"<word>\nline two"]);
        assert_eq!(mask.text(r#"x pass\"<word>\nline two y"#), "x *** y");
        assert_eq!(mask.text(r#"x pass\"\u003cword\u003e\nline two y"#), "x *** y");
        assert_eq!(mask.text(&BASE64.encode(b"pass\"<word>\nline two")), "***");
        assert_eq!(mask.text("line two alone"), "*** alone");
    }

    #[test]
    fn a_short_secret_is_hidden_where_it_stands_alone() {
        let mask = mask(&["a1", "", "-"]);
        assert_eq!(
            mask.text("a1 \"a1\" ba1 a1b pin=a1, a1a1 a - b"),
            "*** \"***\" ba1 a1b pin=***, a1a1 a - b"
        );
    }

    #[test]
    fn values_are_taken_to_their_leaves() {
        let mask = Mask::default();
        mask.hide_value(&json!({ "a": ["deep secret"], "pin": 48_151_623, "one": 1, "yes": true }));
        assert_eq!(mask.text("a deep secret 48151623 1 true"), "a *** *** 1 true");
    }

    #[test]
    fn values_lose_their_secrets_and_nothing_that_is_only_spelt_alike() {
        let mask = mask(&["deep secret", "shop", "48151623", "two lines\nthat hold it"]);
        let value = json!({ "x": "a deep secret", "deep secret": [1, true, "48151623"], "y": "shop", "z": "shop-dev" });
        let shown = json!({ "x": "a ***", "***": [1, true, "***"], "y": "***", "z": "shop-dev" });
        assert_eq!(mask.value(value), shown);
        assert_eq!(mask.value(json!("that hold it")), json!("that hold it"));
        assert_eq!(mask.text("that hold it"), "***");
    }
}
