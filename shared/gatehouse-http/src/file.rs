//! Files as bodies: YAML, or JSON.
//!
//! YAML is read within the bounds of `serde_saphyr`'s defaults: depth, size, anchors and how often they are used are
//! limited, and a mapping with a key twice is refused.

use axum::http::HeaderMap;
use serde_json::Value;
use serde_saphyr::UserMessageFormatter;

use crate::{
    extract::{check_json, check_value, media_type},
    problem::{MALFORMED_BODY, Problem, UNSUPPORTED_MEDIA_TYPE},
};

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Json,
    Yaml,
}

impl Format {
    /// What the content type says. What says none is read as YAML, of which JSON is a part.
    ///
    /// # Errors
    ///
    /// When it is neither.
    pub fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let Some(media_type) = media_type(headers) else { return Ok(Self::Yaml) };
        match media_type.to_ascii_lowercase().as_str() {
            "application/json" => Ok(Self::Json),
            "application/yaml" | "application/x-yaml" | "text/yaml" | "text/x-yaml" => Ok(Self::Yaml),
            _ => {
                let detail = "Send the file as `Content-Type: application/yaml`, or `application/json`.";
                Err(Problem::new(UNSUPPORTED_MEDIA_TYPE, detail))
            }
        }
    }
}

/// The one value of a file.
///
/// # Errors
///
/// When it cannot be read, or is beyond all measure.
pub fn value(format: Format, body: &[u8]) -> Result<Value, Problem> {
    match format {
        Format::Json => json(body),
        Format::Yaml => {
            let value: Value = serde_saphyr::from_str(text(body)?).map_err(|error| no_yaml(&error))?;
            check_value(&value)?;
            Ok(value)
        }
    }
}

/// The documents of a file: those of YAML that are not empty, the items of a list in JSON, or the one value that it is.
///
/// # Errors
///
/// When it cannot be read, or is beyond all measure.
pub fn documents(format: Format, body: &[u8]) -> Result<Vec<Value>, Problem> {
    match format {
        Format::Json => Ok(match json(body)? {
            Value::Array(documents) => documents,
            only => vec![only],
        }),
        Format::Yaml => {
            let documents: Vec<Value> =
                serde_saphyr::from_multiple(text(body)?).map_err(|error| no_yaml(&error))?;
            let documents = Value::Array(documents);
            check_value(&documents)?;
            Ok(documents.as_array().cloned().unwrap_or_default())
        }
    }
}

fn json(body: &[u8]) -> Result<Value, Problem> {
    check_json(body)?;
    serde_json::from_slice(body).map_err(|error| malformed("JSON", &error.to_string()))
}

fn text(body: &[u8]) -> Result<&str, Problem> {
    std::str::from_utf8(body).map_err(|error| malformed("UTF-8", &error.to_string()))
}

/// The library's other words are for whoever calls it.
fn no_yaml(error: &serde_saphyr::Error) -> Problem {
    malformed("YAML", &error.render_with_formatter(&UserMessageFormatter))
}

fn malformed(what: &str, reason: &str) -> Problem {
    let reason = reason.trim_start_matches("error: ").lines().next().unwrap_or_default();
    let reason: String = reason.chars().take(300).collect();
    Problem::new(MALFORMED_BODY, format!("The file is not {what}: {reason}"))
}
