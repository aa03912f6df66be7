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
