//! Refused fields.

/// A field that was refused: a JSON pointer into the request body, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// RFC 6901, such as `/parameters/branch`.
    pub pointer: String,
    pub detail: String,
}

impl FieldError {
    /// A refusal of the field at `pointer`.
    pub fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), detail: detail.into() }
    }
}

/// A name as one part of a JSON pointer (RFC 6901, section 3).
pub fn pointer_token(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// The longest URL for people, in bytes.
const MAX_URL: usize = 2000;

/// What is wrong with a URL for people, if anything is.
pub(crate) fn check_url(url: &str) -> Result<(), &'static str> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let host = rest.and_then(|rest| rest.split(['/', '?', '#']).next()).unwrap_or_default();
    let plain = url.len() <= MAX_URL && url.bytes().all(|byte| byte.is_ascii_graphic());
    if !plain || host.is_empty() {
        return Err("must be an http:// or https:// URL of at most 2,000 ASCII characters");
    }
    if host.contains('@') { Err("must not hold a user name or password") } else { Ok(()) }
}
