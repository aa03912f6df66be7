//! Reading a jobs file, entry by entry.

use gatehouse_domain::{
    jobs::{ImportEntry, JobDraft},
    validation::FieldError,
};
use gatehouse_http::{
    Problem,
    extract::{self, Object},
    problem::{MALFORMED_BODY, UNSUPPORTED_MEDIA_TYPE},
};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::wire::JobBody;

/// A jobs file. Its entries are read one by one, so that each can be refused on its own.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct JobsFile {
    jobs: Vec<Map<String, Value>>,
    /// What `discover` had to say; for people.
    #[serde(default)]
    #[expect(dead_code, reason = "accepted so that what discover answers can be imported as it is")]
    notes: Vec<Value>,
}

/// How a jobs file is written.
#[derive(Debug, Clone, Copy)]
enum Format {
    Json,
    Yaml,
}

impl Format {
    /// What the content type says. There must be one: what a form of another site's page can send has none of these.
    fn of(content_type: Option<&str>) -> Result<Self, Problem> {
        let essence = content_type.and_then(|text| text.split(';').next()).unwrap_or_default().trim();
        match essence.to_ascii_lowercase().as_str() {
            "application/json" => Ok(Self::Json),
            "application/yaml" | "application/x-yaml" | "text/yaml" | "text/x-yaml" => Ok(Self::Yaml),
            _ => {
                let detail = "Send the file as `Content-Type: application/yaml`, or `application/json`.";
                Err(Problem::new(UNSUPPORTED_MEDIA_TYPE, detail))
            }
        }
    }
}

/// Reads the entries of a jobs file, in the format that its content type names.
///
/// # Errors
///
/// When the file as a whole cannot be read.
pub fn read(content_type: Option<&str>, body: &[u8]) -> Result<Vec<ImportEntry>, Problem> {
    let file = read_file(Format::of(content_type)?, body)?;
    Ok(file.jobs.into_iter().map(read_entry).collect())
}

fn read_file(format: Format, body: &[u8]) -> Result<JobsFile, Problem> {
    let value: Value = match format {
        Format::Json => {
            extract::check_json(body)?;
            serde_json::from_slice(body).map_err(|error| malformed("JSON", &error))?
        }
        Format::Yaml => {
            let text = std::str::from_utf8(body).map_err(|error| malformed("UTF-8", &error))?;
            let value = serde_saphyr::from_str(text).map_err(|error| malformed("YAML", &error))?;
            extract::check_value(&value)?;
            value
        }
    };
    serde_path_to_error::deserialize(value).map(|Object(file)| file).map_err(|error| {
        let pointer = extract::pointer(error.path());
        Problem::invalid(vec![FieldError::new(pointer, error.into_inner().to_string())])
    })
}

fn malformed(what: &str, error: &dyn std::fmt::Display) -> Problem {
    let reason: String = error.to_string().lines().next().unwrap_or_default().chars().take(300).collect();
    Problem::new(MALFORMED_BODY, format!("The file is not {what}: {reason}"))
}

fn read_entry(mut entry: Map<String, Value>) -> ImportEntry {
    let written = entry.remove("job_id");
    let written_id = match &written {
        Some(Value::String(id)) => id.chars().take(200).collect(),
        Some(other) => other.to_string().chars().take(200).collect(),
        None => String::new(),
    };
    ImportEntry { written_id, draft: read_draft(written, entry) }
}

fn read_draft(id: Option<Value>, entry: Map<String, Value>) -> Result<JobDraft, FieldError> {
    let at_id = |detail: String| FieldError::new("/job_id", detail);
    let id = match id {
        Some(Value::String(id)) => id.parse().map_err(|error| at_id(format!("{error}")))?,
        Some(_) => return Err(at_id("must be a string".to_owned())),
        None => return Err(at_id("is required".to_owned())),
    };
    let body: JobBody = serde_path_to_error::deserialize(Value::Object(entry)).map_err(|error| {
        let pointer = extract::pointer(error.path());
        FieldError::new(pointer, error.into_inner().to_string())
    })?;
    body.into_draft(id)
}
