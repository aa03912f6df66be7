//! By what a secret is known in a text.

/// What every secret that a test makes up has in it, and nothing else that a test makes up.
pub const MARKER: &str = "canary";

/// A form that secrets have which Gatehouse makes.
struct Form {
    /// For people.
    what: &'static str,
    /// What it begins with.
    prefix: &'static str,
    /// How many characters of base64url or dots follow at least.
    length: usize,
}

const FORMS: [Form; 3] = [
    Form { what: "a JSON web token", prefix: "eyJ", length: 60 },
    Form { what: "an API key", prefix: "gh_", length: 20 },
    Form { what: "a callback token", prefix: "cb1.", length: 20 },
];

/// What secret a text shows, if it shows one.
pub fn secret_in(text: &str) -> Option<&'static str> {
    if text.contains(MARKER) {
        return Some("a secret of the test");
    }
    FORMS.iter().find(|form| has(text, form)).map(|form| form.what)
}

fn has(text: &str, form: &Form) -> bool {
    text.match_indices(form.prefix).any(|(at, _)| {
        let rest = text[at + form.prefix.len()..].bytes();
        let inside = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        rest.take_while(inside).count() >= form.length
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_the_marker_and_by_their_form() {
        for (text, found) in [
            (r#"{"password":"blue canary only"}"#, Some("a secret of the test")),
            ("Authorization: Bearer gh_0k6p2q9v8m4t1c7d3f5g0h2j4k0k6p", Some("an API key")),
            (
                "token eyJhbGciOiJFZERTQSJ9.eyJpc3MiOiJ1cm46Z2F0ZWhvdXNlOmZ1enoifQ.c2lnbmF0dXJlLW9mLWl0",
                Some("a JSON web token"),
            ),
            ("cb1.eyJvcGVyYXRpb24iOiJvcF8.c2lnbmF0dXJl", Some("a callback token")),
            ("api_key:key_f82f3a6e3350334b18b0 admitted", None),
            ("a `gh_` key with a wrong checksum", None),
            ("op_0k6p2q9v8m4t1c7d3f5g0h2j4k", None),
            ("", None),
        ] {
            assert_eq!(secret_in(text), found, "{text}");
        }
    }
}
