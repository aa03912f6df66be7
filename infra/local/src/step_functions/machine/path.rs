//! Places in a state's data: `$.begun.attempt`.

use serde::Deserialize;
use serde_json::{Map, Value};

/// A place in JSON, named by fields. `$` is all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Path(Vec<String>);

impl TryFrom<String> for Path {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

impl Path {
    /// Reads a path. Only names with dots between them are known here: no indices, filters or wildcards.
    pub fn parse(text: &str) -> Result<Self, String> {
        let unknown = || format!("`{text}` is not a path of the kind that is played here, `$.name.name`");
        let rest = text.strip_prefix('$').ok_or_else(unknown)?;
        if rest.is_empty() {
            return Ok(Self::default());
        }
        let fields: Vec<_> =
            rest.strip_prefix('.').ok_or_else(unknown)?.split('.').map(str::to_owned).collect();
        fields.iter().all(|field| is_name(field)).then_some(Self(fields)).ok_or_else(unknown)
    }

    /// What is there, if anything is.
    pub fn find<'a>(&self, data: &'a Value) -> Option<&'a Value> {
        self.0.iter().try_fold(data, |place, field| place.get(field))
    }

    /// Puts `value` there, making objects on the way. `None` where something that is no object is in the way.
    pub fn put(&self, mut data: Value, value: Value) -> Option<Value> {
        let mut place = &mut data;
        for field in &self.0 {
            place = place.as_object_mut()?.entry(field).or_insert_with(|| Value::Object(Map::new()));
        }
        *place = value;
        Some(data)
    }
}

impl std::fmt::Display for Path {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("$")?;
        self.0.iter().try_for_each(|field| write!(formatter, ".{field}"))
    }
}

fn is_name(field: &str) -> bool {
    !field.is_empty() && field.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
