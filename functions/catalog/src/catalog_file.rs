//! Reading a catalog file, entity by entity.

use gatehouse_domain::{
    catalog::{FileEntry, WrittenEntry},
    entities::{EntityKind, WrittenEntity},
    validation::FieldError,
};
use gatehouse_http::{
    Problem,
    extract::{self, Object},
    file::{self, Format},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};

/// Backstage's versions of the format. It reads both alike.
const VERSIONS: [&str; 2] = ["backstage.io/v1alpha1", "backstage.io/v1beta1"];

/// Backstage's other kinds, and what to do in place of importing them.
const NOT_KEPT: [(&str, &str); 4] = [
    ("User", "people are users of Gatehouse: name them in `members` of their groups"),
    ("Domain", "domains are not kept; systems keep the name of theirs"),
    ("Location", "it names other files: import those themselves"),
    ("Template", "templates are not kept"),
];

/// A document of a catalog file. What is no such thing is no catalog file; what is wrong within one is refused of it alone.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    api_version: String,
    kind: String,
    metadata: Map<String, Value>,
    #[serde(default)]
    spec: Map<String, Value>,
    /// What else is written.
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// Reads the entities of a catalog file.
///
/// # Errors
///
/// When the file as a whole cannot be read.
pub fn read(format: Format, body: &[u8]) -> Result<Vec<FileEntry>, Problem> {
    let documents = without_nulls(file::documents(format, body)?.into());
    let documents: Result<Vec<Object<Document>>, _> = serde_path_to_error::deserialize(documents);
    let documents = documents.map_err(|error| {
        let pointer = extract::pointer(error.path());
        Problem::invalid(vec![FieldError::new(pointer, error.into_inner().to_string())])
    })?;
    if documents.is_empty() {
        return Err(Problem::invalid(vec![FieldError::new("", "the file has no entities")]));
    }
    Ok(documents.into_iter().map(|Object(document)| read_entry(document)).collect())
}

/// What is written without a value is as if it was not written.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let members = members.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(members.map(|(name, value)| (name, without_nulls(value))).collect())
        }
        Value::Array(items) => {
            Value::Array(items.into_iter().filter(|item| !item.is_null()).map(without_nulls).collect())
        }
        other => other,
    }
}

fn read_entry(document: Document) -> FileEntry {
    let name = document.metadata.get("name").and_then(Value::as_str).unwrap_or_default();
    let written = format!("{}:{name}", document.kind.to_ascii_lowercase()).chars().take(200).collect();
    FileEntry { written, entity: read_entity(document).unwrap_or_else(|refused| refused) }
}

fn read_entity(document: Document) -> Result<WrittenEntry, WrittenEntry> {
    let Document { api_version, kind, metadata, spec, rest } = document;
    let refused =
        |pointer: &str, detail: &str| WrittenEntry::Unreadable(vec![FieldError::new(pointer, detail)]);
    if !VERSIONS.contains(&api_version.as_str()) {
        return Err(refused("/apiVersion", "must be `backstage.io/v1alpha1` or `backstage.io/v1beta1`"));
    }
    if let Some((_, why)) = NOT_KEPT.iter().find(|(name, _)| name.eq_ignore_ascii_case(&kind)) {
        return Err(WrittenEntry::NotKept(why));
    }
    let kind: EntityKind = kind.parse().map_err(|error| refused("/kind", &format!("{error}")))?;
    let (metadata, spec) = (section("/metadata", metadata)?, section("/spec", spec)?);
    Ok(WrittenEntry::Entity(Box::new(WrittenEntity { kind, metadata, spec, rest })))
}

fn section<T: DeserializeOwned>(at: &str, section: Map<String, Value>) -> Result<T, WrittenEntry> {
    serde_path_to_error::deserialize(Value::Object(section)).map_err(|error| {
        let pointer = format!("{at}{}", extract::pointer(error.path()));
        WrittenEntry::Unreadable(vec![FieldError::new(pointer, error.into_inner().to_string())])
    })
}
