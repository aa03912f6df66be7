//! Reading a jobs file, entry by entry.

use gatehouse_domain::{
    jobs::{ImportEntry, JobDraft},
    validation::FieldError,
};
use gatehouse_http::{
    Problem,
    extract::{self, Object},
    file::{self, Format},
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

/// Reads the entries of a jobs file.
///
/// # Errors
///
/// When the file as a whole cannot be read.
pub fn read(format: Format, body: &[u8]) -> Result<Vec<ImportEntry>, Problem> {
    let value = file::value(format, body)?;
    let file: Result<Object<JobsFile>, _> = serde_path_to_error::deserialize(value);
    let Object(file) = file.map_err(|error| {
        let pointer = extract::pointer(error.path());
        Problem::invalid(vec![FieldError::new(pointer, error.into_inner().to_string())])
    })?;
    Ok(file.jobs.into_iter().map(read_entry).collect())
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
