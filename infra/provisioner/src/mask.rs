//! Keeping secrets out of everything that leaves the worker.

use std::sync::{Arc, RwLock};

use data_encoding::BASE64;
use serde_json::Value;

/// What stands where a secret stood.
const HIDDEN: &str = "***";

/// Shorter secrets are hidden only where they stand alone: they would make other words unreadable.
const LONG: usize = 4;

/// The secrets that are known. Clones share them.
#[derive(Clone, Default)]
pub struct Mask(Arc<RwLock<Secrets>>);

#[derive(Default)]
struct Secrets {
    /// Hidden wherever they stand. Longest first: one may be part of another.
    long: Vec<String>,
    /// Hidden where they stand alone.
    short: Vec<String>,
}

impl Mask {
    /// Hides this text from now on, as it is and as it looks within JSON and base 64.
    pub fn hide(&self, secret: &str) {
        let mut secrets = self.0.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        secrets.add(secret);
        // Logs come line by line, so no line of theirs holds the whole of it.
        secret.lines().filter(|line| line.trim().len() >= LONG).for_each(|line| secrets.add(line.trim()));
        if secret.len() >= LONG {
            let json = Value::from(secret).to_string();
            let json = &json[1..json.len() - 1];
            secrets.add(json);
            // As Terraform's `jsonencode` writes it.
            secrets.add(&json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026"));
            secrets.add(&BASE64.encode(secret.as_bytes()));
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
        let secrets = self.0.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut text = text.to_owned();
        for secret in &secrets.long {
            if text.contains(secret) {
                text = text.replace(secret, HIDDEN);
            }
        }
        for secret in &secrets.short {
            text = replace_alone(&text, secret);
        }
        text
    }

    /// The value with every text in it, and every name, without secrets.
    pub fn value(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(&text)),
            Value::Array(values) => values.into_iter().map(|value| self.value(value)).collect(),
            Value::Object(fields) => {
                fields.into_iter().map(|(name, value)| (self.text(&name), self.value(value))).collect()
            }
            other => other,
        }
    }
}

impl Secrets {
    fn add(&mut self, secret: &str) {
        let list = if secret.len() >= LONG { &mut self.long } else { &mut self.short };
        let tells = secret.chars().any(char::is_alphanumeric);
        if tells && !list.iter().any(|known| known == secret) {
            list.push(secret.to_owned());
            list.sort_by_key(|known| std::cmp::Reverse(known.len()));
        }
    }
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
    fn values_are_taken_and_hidden_to_their_leaves() {
        let mask = Mask::default();
        mask.hide_value(&json!({ "a": ["deep secret"], "pin": 48_151_623, "one": 1, "yes": true }));
        let value = json!({ "x": "a deep secret", "deep secret": [1, true, "48151623"] });
        assert_eq!(mask.value(value), json!({ "x": "a ***", "***": [1, true, "***"] }));
    }
}
