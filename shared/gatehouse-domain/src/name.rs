//! Names that people and files choose, parsed at the edge.
//!
//! None of them can hold `#`, which separates the parts of a key in the table, or a character that needs
//! escaping in a URL path.

use crate::text::checked_text;

/// A name that was refused, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} must be 1 to {max} characters of {allowed}")]
pub struct InvalidName {
    /// What the name names, with an article: `a job id`.
    pub what: &'static str,
    /// The greatest length, in characters.
    pub max: usize,
    /// The characters that are allowed, in words.
    pub allowed: &'static str,
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $max:literal, $allowed:literal, $first:expr, $rest:expr) => {
        checked_text!(
            $(#[$doc])*
            $name,
            InvalidName,
            |raw| {
                let first: fn(u8) -> bool = $first;
                let rest: fn(u8) -> bool = $rest;
                let valid = raw.len() <= $max
                    && raw.bytes().next().is_some_and(first)
                    && raw.bytes().skip(1).all(rest);
                if valid { Ok(()) } else { Err(InvalidName { what: $what, max: $max, allowed: $allowed }) }
            }
        );
    };
}

fn slug(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'
}

fn slug_start(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

fn word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-')
}

fn word_start(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

name!(
    /// Id of a job, unique in the installation: `job_hello`.
    JobId, "a job id", 128, "A-Z, a-z, 0-9, '_', '.' and '-', not starting with '.' or '-'", word_start, word
);

name!(
    /// Name of a tenant: `example`.
    TenantId, "a tenant", 39, "a-z, 0-9 and '-', not starting with '-'", slug_start, slug
);

name!(
    /// Name of a project, unique in the installation: `payments`. Pipelines have been called so, and projects after
    /// them: `My_Pipeline`, `my.pipeline`.
    ProjectName, "a project", 128, "A-Z, a-z, 0-9, '_', '.' and '-', not starting with '.' or '-'", word_start, word
);

name!(
    /// Name under which a CI system is registered: `concourse`.
    ProviderName, "a provider", 39, "a-z, 0-9 and '-', not starting with '-'", slug_start, slug
);

name!(
    /// Name of an environment that a job serves: `prod`, `Production`.
    EnvironmentName, "an environment", 39, "A-Z, a-z, 0-9, '_', '.' and '-', starting with a letter or digit",
    |byte| byte.is_ascii_alphanumeric(), word
);

name!(
    /// Name of a parameter that a job declares: `branch`.
    ParameterName, "a parameter", 64, "A-Z, a-z, 0-9, '_', '.' and '-', not starting with '.' or '-'",
    word_start, word
);

name!(
    /// Name with which a person logs in: `ada`, `ada@example.com`.
    UserName, "a user name", 64, "a-z, 0-9, '.', '_', '-', '+' and '@', starting with a letter or digit",
    slug_start, |byte| slug(byte) || matches!(byte, b'.' | b'_' | b'+' | b'@')
);

name!(
    /// Name of a service that calls others: `worker`.
    ServiceName, "a service", 39, "a-z, 0-9 and '-', not starting with '-'", slug_start, slug
);

name!(
    /// Name of a module that provisions environments: `example`.
    ModuleName, "a module", 64, "a-z, 0-9 and '-', not starting with '-'", slug_start, slug
);

/// A name of a-z, 0-9 and '-' that is as like `text` as can be: `billing-api` of `Billing API`. `None` where nothing of
/// the text is left.
pub fn slug_of(text: &str) -> Option<String> {
    let lower = text.to_lowercase();
    let words: Vec<_> =
        lower.split(|it: char| !it.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    (!words.is_empty()).then(|| words.join("-"))
}

/// A name with every byte that a path segment or a table key cannot carry written as `~XX`.
pub(crate) fn escape(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-') {
            text.push(char::from(byte));
        } else {
            text.push('~');
            text.push_str(&data_encoding::HEXLOWER.encode(&[byte]));
        }
    }
    text
}

/// What [`escape`] made `text` of; `None` when that was not so, or is empty.
pub(crate) fn unescape(text: &str) -> Option<String> {
    let mut pieces = text.split('~');
    let mut bytes = pieces.next()?.as_bytes().to_vec();
    for piece in pieces {
        let (code, rest) = piece.split_at_checked(2)?;
        bytes.extend(data_encoding::HEXLOWER.decode(code.as_bytes()).ok()?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).ok().filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_refuse_key_separators_and_path_tricks() {
        for bad in ["", "#", "a#b", "a/b", "..", "-a", "a b", "a%2Fb", "a\0", "ä", &"x".repeat(129)] {
            assert!(bad.parse::<JobId>().is_err(), "{bad:?} was accepted as a job id");
            assert!(bad.parse::<ProjectName>().is_err(), "{bad:?} was accepted as a project");
        }
    }

    #[test]
    fn names_of_the_old_job_file_are_accepted() {
        for good in ["job_hello", "deploy-prod", "v1.2", "J"] {
            assert_eq!(good.parse::<JobId>().map(String::from).as_deref(), Ok(good));
        }
    }

    #[test]
    fn projects_are_called_as_pipelines_are() {
        let longest = "x".repeat(128);
        for good in ["payments", "My_Pipeline", "my.pipeline", "_old", "7", &longest] {
            assert!(good.parse::<ProjectName>().is_ok(), "{good}");
        }
        for bad in ["my pipeline", ".hidden", "a:b", "a~b"] {
            assert!(bad.parse::<ProjectName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn environments_are_called_as_people_write_them() {
        for good in ["prod", "Production", "eu-west.1", "QA_2"] {
            assert!(good.parse::<EnvironmentName>().is_ok(), "{good}");
        }
        for bad in ["", "_x", "-x", ".x", "a b", "a#b", "a/b"] {
            assert!(bad.parse::<EnvironmentName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_refusal_says_what_is_allowed() {
        let refusal = "Bad!".parse::<TenantId>().unwrap_err().to_string();
        assert_eq!(refusal, "a tenant must be 1 to 39 characters of a-z, 0-9 and '-', not starting with '-'");
    }
}
