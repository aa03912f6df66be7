//! What a caller presents, told apart by its form.

use std::collections::HashMap;

use gatehouse_domain::api_key::PresentedKey;

/// A credential of a form that we know. What it opens is another question. It cannot be printed.
pub(crate) enum Credential {
    ApiKey(PresentedKey),
    /// A JSON web token: of a session or of a service.
    Token(String),
}

impl Credential {
    /// The credential in the `Authorization` header, whose name comes as the caller wrote it.
    pub(crate) fn from_headers(headers: &HashMap<String, String>) -> Option<Self> {
        let mut values = headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("authorization"));
        let (_, value) = values.next()?;
        // Two headers that differ in case only would let one part of the system read another than the next.
        if values.next().is_some() {
            return None;
        }
        let (scheme, credential) = value.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        Self::parse(credential.trim_start_matches(' '))
    }

    fn parse(text: &str) -> Option<Self> {
        if text.bytes().filter(|byte| *byte == b'.').count() == 2 {
            Some(Self::Token(text.to_owned()))
        } else {
            PresentedKey::parse(text).map(Self::ApiKey)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(name: &str, value: &str) -> Option<Credential> {
        Credential::from_headers(&HashMap::from([(name.to_owned(), value.to_owned())]))
    }

    #[test]
    fn bearer_tokens_are_read_in_any_spelling_of_the_scheme() {
        assert!(matches!(read("Authorization", "Bearer dev-key-12345"), Some(Credential::ApiKey(_))));
        assert!(matches!(read("authorization", "bearer  dev-key-12345"), Some(Credential::ApiKey(_))));
    }

    #[test]
    fn what_has_two_dots_is_for_the_verifier() {
        for token in ["a.b.c", "..", "eyJ.e30.", "dev.key.12345"] {
            let read = read("Authorization", &format!("Bearer {token}"));
            assert!(matches!(read, Some(Credential::Token(text)) if text == token));
        }
        for key in ["dev.key-12345", "dev.key.1.2345"] {
            let read = read("Authorization", &format!("Bearer {key}"));
            assert!(matches!(read, Some(Credential::ApiKey(_))), "{key}");
        }
    }

    #[test]
    fn other_credentials_are_not() {
        for value in
            ["", "dev-key-12345", "Basic ZGV2", "Bearer", "Bearer ", "Bearer a b c d e f", "Bearer\tx"]
        {
            assert!(read("Authorization", value).is_none(), "{value:?}");
        }
        let twice = HashMap::from(
            ["Authorization", "authorization"]
                .map(|name| (name.to_owned(), "Bearer dev-key-12345".to_owned())),
        );
        assert!(Credential::from_headers(&twice).is_none());
    }

    fn headers() -> impl Strategy<Value = HashMap<String, String>> {
        proptest::collection::hash_map("(?i)authorization|\\PC{0,12}", "(?i)(bearer ?)?\\PC{0,40}", 0..4)
    }

    proptest! {
        #[test]
        fn any_headers_can_be_read(headers in headers()) {
            let named: Vec<_> =
                headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("authorization")).collect();
            if let Some(credential) = Credential::from_headers(&headers) {
                prop_assert_eq!(named.len(), 1);
                let value = named[0].1.to_ascii_lowercase();
                prop_assert!(value.starts_with("bearer "));
                let dots = value.bytes().filter(|byte| *byte == b'.').count();
                prop_assert_eq!(matches!(credential, Credential::Token(_)), dots == 2);
            }
        }
    }
}
