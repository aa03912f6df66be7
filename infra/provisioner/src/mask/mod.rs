//! Keeping secrets out of everything that leaves the worker.
//!
//! A secret is looked for as it is, and in what texts say once their JSON escapes or URL encoding are read; in base 64 it
//! looks different at each of three alignments, so the part of each that depends on nothing around it is looked for.

mod encodings;

use std::{
    cmp::Reverse,
    collections::BTreeSet,
    sync::{Arc, PoisonError, RwLock},
};

use gatehouse_domain::json::Json;

use self::encodings::{Reading, base64_parts, is_base64, readings};

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
    whole: Vec<Needle>,
    lines: Vec<Needle>,
    /// What is never hidden.
    public: BTreeSet<String>,
}

/// What is looked for.
#[derive(Clone, PartialEq, Eq)]
struct Needle {
    text: String,
    /// Whether it is a part of base 64, whose neighbours hold a few more bits of the secret.
    is_base64: bool,
}

impl Mask {
    /// Hides this text from now on, in whatever encoding it is met.
    pub fn hide(&self, secret: &str) {
        let mut secrets = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if secrets.public.contains(secret) {
            return;
        }
        add(&mut secrets.whole, secret, false);
        if secret.len() >= LONG {
            // Base 64 of JSON is how credentials are kept in many places.
            let json = Json::from(secret).to_string();
            for spelling in BTreeSet::from([secret, &json[1..json.len() - 1]]) {
                for part in base64_parts(spelling.as_bytes()) {
                    add(&mut secrets.whole, &part, true);
                }
            }
        }
        // Logs come line by line, so no line of theirs holds the whole of it.
        for line in secret.lines().map(str::trim).filter(|line| line.len() >= TELLING) {
            add(&mut secrets.lines, line, false);
        }
    }

    /// Never hides this text, whoever calls it sensitive. It must be said before anything is hidden.
    pub fn show(&self, public: &str) {
        let mut secrets = self.0.write().unwrap_or_else(PoisonError::into_inner);
        secrets.public.insert(public.to_owned());
    }

    /// Hides the default of a sensitive variable, unless it is trivial: a default is in the module's source, and one
    /// like `dev` would hide a word that half of the outputs say.
    pub fn hide_default(&self, default: &Json) {
        let mut trivial = Vec::new();
        texts(default, &mut |text| {
            let is_word = text.chars().all(char::is_alphabetic);
            if text.len() < TELLING || is_word {
                trivial.push(text.to_owned());
            }
        });
        for text in &trivial {
            self.show(text);
        }
        self.hide_value(default);
    }

    /// Hides every text in this value, and every number that is long enough to be told from others.
    pub fn hide_value(&self, value: &Json) {
        texts(value, &mut |text| self.hide(text));
    }

    /// The text without secrets.
    pub fn text(&self, text: &str) -> String {
        let secrets = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let (long, short): (Vec<_>, Vec<_>) =
            secrets.whole.iter().partition::<Vec<&Needle>, _>(|secret| secret.text.len() >= LONG);
        let text = replace_all(text, &long.into_iter().chain(&secrets.lines).collect::<Vec<_>>());
        short.into_iter().fold(text, |text, secret| replace_alone(&text, &secret.text))
    }

    /// The value without secrets: those that texts in it are, and those within texts that nothing else would be.
    pub fn value(&self, value: Json) -> Json {
        match value {
            Json::String(text) => Json::String(self.datum(&text)),
            Json::Array(values) => Json::Array(values.into_iter().map(|value| self.value(value)).collect()),
            Json::Object(fields) => Json::Object(
                fields.into_iter().map(|(name, value)| (self.datum(&name), self.value(value))).collect(),
            ),
            other => other,
        }
    }

    fn datum(&self, text: &str) -> String {
        let secrets = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if secrets.whole.iter().any(|secret| !secret.is_base64 && secret.text == text) {
            return HIDDEN.to_owned();
        }
        let telling: Vec<_> = secrets.whole.iter().filter(|secret| secret.text.len() >= TELLING).collect();
        replace_all(text, &telling)
    }
}

/// The leaves that may be secrets.
fn texts(value: &Json, take: &mut dyn FnMut(&str)) {
    match value {
        Json::String(text) => take(text),
        Json::Number(number) if number.as_str().len() >= LONG => take(number.as_str()),
        Json::Array(values) => values.iter().for_each(|value| texts(value, take)),
        Json::Object(fields) => fields.values().for_each(|value| texts(value, take)),
        Json::Null | Json::Bool(_) | Json::Number(_) => {}
    }
}

fn add(secrets: &mut Vec<Needle>, secret: &str, is_base64: bool) {
    let tells = secret.chars().any(char::is_alphanumeric);
    if tells && !secrets.iter().any(|known| known.text == secret) {
        secrets.push(Needle { text: secret.to_owned(), is_base64 });
        secrets.sort_by_key(|known| Reverse(known.text.len()));
    }
}

/// Replaces what is found in any reading of the text.
fn replace_all(text: &str, secrets: &[&Needle]) -> String {
    let mut found: Vec<(usize, usize)> = Vec::new();
    for reading in readings(text) {
        for secret in secrets {
            found.extend(occurrences(text, &reading, secret));
        }
    }
    found.sort_unstable();
    let mut replaced = String::with_capacity(text.len());
    let mut done = 0;
    let mut found = found.into_iter().peekable();
    while let Some((start, mut end)) = found.next() {
        // What overlaps is hidden as one: two secrets, or one in two readings.
        while let Some((_, further)) = found.next_if(|(next, _)| *next < end) {
            end = end.max(further);
        }
        replaced.push_str(&text[done..start]);
        replaced.push_str(HIDDEN);
        done = end;
    }
    replaced.push_str(&text[done..]);
    replaced
}

/// Where the secret is, in the text itself.
fn occurrences(text: &str, reading: &Reading, secret: &Needle) -> Vec<(usize, usize)> {
    let neighbour = |byte: Option<&u8>| usize::from(secret.is_base64 && byte.copied().is_some_and(is_base64));
    let found = reading.find(secret.text.as_bytes()).into_iter();
    found
        .map(|(start, end)| {
            let before = start.checked_sub(1).and_then(|before| text.as_bytes().get(before));
            (start - neighbour(before), end + neighbour(text.as_bytes().get(end)))
        })
        .collect()
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
    use data_encoding::{BASE64, BASE64URL_NOPAD};
    use serde_json::{Value, json};

    use super::*;

    fn mask(secrets: &[&str]) -> Mask {
        let mask = Mask::default();
        for secret in secrets {
            mask.hide(secret);
        }
        mask
    }

    fn value(mask: &Mask, value: Value) -> Json {
        mask.value(value.into())
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
    fn json_escapes_are_read() {
        let mask = mask(&["pass\"<wörd>\nline two"]);
        assert_eq!(mask.text(r#"x pass\"<wörd>\nline two y"#), "x *** y");
        // As Terraform's `jsonencode` writes it, and as others do.
        assert_eq!(mask.text(r#"x pass\"\u003cwörd\u003e\nline two y"#), "x *** y");
        assert_eq!(mask.text(r"x pass\u0022\u003Cw\u00f6rd>\u000aline two y"), "x *** y");
        // JSON within JSON.
        assert_eq!(
            mask.text(r#"{"a":"{\"p\":\"pass\\\"<wörd>\\nline two\"}"}"#),
            r#"{"a":"{\"p\":\"***\"}"}"#
        );
        assert_eq!(mask.text("line two alone"), "*** alone");
    }

    #[test]
    fn url_encoding_is_read() {
        let mask = mask(&["p@ss word/ü"]);
        for encoded in
            ["p%40ss+word%2F%C3%BC", "p%40ss%20word%2f%c3%bc", "p@ss%20word/ü", "%70@ss+word/%C3%BC"]
        {
            assert_eq!(mask.text(&format!("db://u:{encoded}@host")), "db://u:***@host", "{encoded}");
            let shown = value(&mask, json!(format!("db://u:{encoded}@host")));
            assert_eq!(shown, Json::from("db://u:***@host"), "{encoded}");
        }
        assert_eq!(mask.text("100% of a%zz 50%2"), "100% of a%zz 50%2");
    }

    #[test]
    fn base64_is_hidden_at_each_alignment() {
        let secret = "correct horse?battery>";
        let mask = mask(&[secret]);
        for before in ["", "u", "u:", "u: ", "user:"] {
            for after in ["", "\n", "xy", " and more"] {
                let plain = format!("{before}{secret}{after}");
                for encoded in [BASE64.encode(plain.as_bytes()), BASE64URL_NOPAD.encode(plain.as_bytes())] {
                    let shown = mask.text(&format!("Authorization: Basic {encoded}"));
                    assert!(shown.contains(HIDDEN), "{before:?} {after:?} {shown}");
                    // Of what is left, nothing decodes to a part of the secret.
                    let left = shown.trim_start_matches("Authorization: Basic ");
                    let longest = left.split(HIDDEN).map(str::len).max().unwrap_or_default();
                    assert!(longest <= (before.len().max(after.len()) * 4).div_ceil(3) + 3, "{shown}");
                }
            }
        }
        let shown = value(&mask, json!(BASE64.encode(b"u:correct horse?battery>")));
        assert!(shown.as_str().unwrap().starts_with("dT***"), "{shown}");
    }

    #[test]
    fn base64_of_json_is_hidden() {
        let encoded = BASE64.encode(br#"{"password":"pass\"word\n1"}"#);
        assert!(mask(&["pass\"word\n1"]).text(&encoded).contains(HIDDEN));
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
    fn trivial_defaults_hide_nothing() {
        let mask = Mask::default();
        let defaults = json!({ "env": "dev", "user": "postgres", "key": "change-me-1", "port": 5432 });
        mask.hide_default(&defaults.into());
        // Not when Terraform marks them in a plan, either.
        mask.hide("dev");
        assert_eq!(mask.text("dev postgres://shop:5432 change-me-1"), "dev postgres://shop:5432 ***");
        let shown = value(&mask, json!({ "env": "dev", "url": "postgres://dev" }));
        assert_eq!(shown, json!({ "env": "dev", "url": "postgres://dev" }).into());
        // What somebody gave for a secret is one, however short.
        mask.hide("prod");
        assert_eq!(value(&mask, json!("prod")), Json::from(HIDDEN));
    }

    #[test]
    fn values_are_taken_to_their_leaves() {
        let mask = Mask::default();
        let text =
            r#"{ "a": ["deep secret"], "pin": 123456789012345678901234567890, "one": 1, "yes": true }"#;
        mask.hide_value(&Json::parse(text).unwrap());
        assert_eq!(mask.text("a deep secret 123456789012345678901234567890 1 true"), "a *** *** 1 true");
    }

    #[test]
    fn values_lose_their_secrets_and_nothing_that_is_only_spelt_alike() {
        let mask = mask(&["deep secret", "shop", "48151623", "two lines\nthat hold it"]);
        let given = json!({ "x": "a deep secret", "deep secret": [1, true, "48151623"], "y": "shop", "z": "shop-dev" });
        let shown = json!({ "x": "a ***", "***": [1, true, "***"], "y": "***", "z": "shop-dev" });
        assert_eq!(value(&mask, given), shown.into());
        assert_eq!(value(&mask, json!("that hold it")), Json::from("that hold it"));
        assert_eq!(mask.text("that hold it"), "***");
    }

    #[test]
    fn texts_of_any_kind_come_through() {
        let mask = mask(&["hunter22"]);
        for text in ["", "\\", "%", "ä\\u", "\\u12", "%C3ü", "\\ud83d\\ude00 ü", "日本%E6"] {
            assert_eq!(mask.text(text), text);
            assert_eq!(mask.text(&format!("{text}hunter22{text}")), format!("{text}***{text}"));
        }
    }
}
