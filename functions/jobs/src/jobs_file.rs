//! Reading a jobs file, entry by entry.

use gatehouse_domain::{
    jobs::{ImportEntry, JobDraft},
    validation::{FieldError, pointer_token},
};
use gatehouse_http::{
    Problem, extract,
    file::{self, Format},
};
use serde_json::{Map, Value};

use crate::wire::JobBody;

/// Reads the entries of a jobs file. They are read one by one, so that each can be refused on its own.
///
/// # Errors
///
/// When the file as a whole cannot be read.
pub fn read(format: Format, body: &[u8]) -> Result<Vec<ImportEntry>, Problem> {
    entries(file::value(format, body)?)?
        .into_iter()
        .enumerate()
        .map(|(index, entry)| match entry {
            Value::Object(entry) => Ok(read_entry(entry)),
            _ => Err(invalid(
                format!("/jobs/{index}"),
                "must be a job: a mapping with `job_id`, `project` and `provider`",
            )),
        })
        .collect()
}

/// What stands under `jobs`. Beside it may stand what `discover` had to say, a version, and what people keep for
/// themselves as `x-…`.
fn entries(file: Value) -> Result<Vec<Value>, Problem> {
    let mut file = match file {
        Value::Object(file) => file,
        Value::Null => return Err(invalid("", "the file is empty; it needs `jobs`, a list")),
        _ => return Err(invalid("", "the file must be a mapping with `jobs`, a list")),
    };
    let jobs = file.remove("jobs");
    let is_known = |name: &str| matches!(name, "notes" | "version") || name.starts_with("x-");
    if let Some(name) = file.keys().find(|name| !is_known(name)) {
        let name: String = name.chars().take(100).collect();
        return Err(invalid(
            format!("/{}", pointer_token(&name)),
            "is not known here; `jobs`, `version` and `x-…` are",
        ));
    }
    match jobs {
        Some(Value::Array(jobs)) => Ok(jobs),
        Some(_) => Err(invalid("/jobs", "must be a list of jobs")),
        None => Err(invalid("/jobs", "is required: a list of jobs")),
    }
}

fn invalid(pointer: impl Into<String>, detail: &str) -> Problem {
    Problem::invalid(vec![FieldError::new(pointer, detail)])
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
