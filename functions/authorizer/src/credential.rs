//! What a caller presents, told apart by its form.

use std::collections::HashMap;

use gatehouse_domain::api_key::PresentedKey;

/// A credential of a form that we know. What it opens is another question.
#[derive(Debug)]
pub(crate) enum Credential {
    /// An API key.
    ApiKey(PresentedKey),
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
        let (scheme, token) = value.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        PresentedKey::parse(token.trim_start_matches(' ')).map(Self::ApiKey)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_known(name: &str, value: &str) -> bool {
        Credential::from_headers(&HashMap::from([(name.to_owned(), value.to_owned())])).is_some()
    }

    #[test]
    fn bearer_tokens_are_read_in_any_spelling_of_the_scheme() {
        assert!(is_known("Authorization", "Bearer dev-key-12345"));
        assert!(is_known("authorization", "bearer  dev-key-12345"));
    }

    #[test]
    fn other_credentials_are_not() {
        for value in
            ["", "dev-key-12345", "Basic ZGV2", "Bearer", "Bearer ", "Bearer a b c d e f", "Bearer\tx"]
        {
            assert!(!is_known("Authorization", value), "{value:?}");
        }
        let twice = HashMap::from(
            ["Authorization", "authorization"]
                .map(|name| (name.to_owned(), "Bearer dev-key-12345".to_owned())),
        );
        assert!(Credential::from_headers(&twice).is_none());
    }
}
