//! What the events of every version of Concourse carry, each its own part of it.
//!
//! Reading is lenient: a member of another form than expected counts as absent, and takes nothing with it.

use gatehouse_domain::ci::MetadataField;
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::{names::Substep, origin::Origin};

fn lenient<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + DeserializeOwned,
{
    Value::deserialize(deserializer).map(|value| serde_json::from_value(value).unwrap_or_default())
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Data {
    #[serde(deserialize_with = "lenient")]
    pub(super) time: Option<i64>,
    #[serde(deserialize_with = "lenient")]
    pub(super) origin: Origin,
    /// Of `log`.
    #[serde(deserialize_with = "lenient")]
    pub(super) payload: Option<String>,
    /// Of `status`.
    #[serde(deserialize_with = "lenient")]
    pub(super) status: Option<String>,
    /// Of `error`.
    #[serde(deserialize_with = "lenient")]
    pub(super) message: Option<String>,
    /// Of `initialize-check`.
    #[serde(deserialize_with = "lenient")]
    pub(super) name: Option<String>,
    /// Of the events of tasks.
    #[serde(deserialize_with = "lenient")]
    pub(super) config: TaskConfig,
    #[serde(deserialize_with = "lenient")]
    pub(super) exit_status: Option<i64>,
    /// Of `finish`.
    #[serde(deserialize_with = "lenient")]
    pub(super) succeeded: Option<bool>,
    #[serde(deserialize_with = "lenient")]
    pub(super) version: Map<String, Value>,
    #[serde(deserialize_with = "lenient")]
    pub(super) metadata: Vec<Field>,
    /// Of `set-pipeline-changed`.
    #[serde(deserialize_with = "lenient")]
    pub(super) changed: Option<bool>,
    #[serde(deserialize_with = "lenient")]
    pub(super) selected_worker: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) volume: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) source_worker: Option<String>,
    /// Of `image-check`, `image-get`, `sub-get-var`: a plan; of old gets and puts, what they got or put.
    pub(super) plan: Value,
    /// Of `across-substeps`.
    #[serde(deserialize_with = "lenient")]
    pub(super) substeps: Vec<Substep>,
    /// Of `input` and `output` of builds from before there were steps.
    #[serde(alias = "output", deserialize_with = "lenient")]
    pub(super) input: Resource,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct TaskConfig {
    #[serde(deserialize_with = "lenient")]
    pub(super) image: String,
    #[serde(deserialize_with = "lenient")]
    run: TaskRun,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct TaskRun {
    #[serde(deserialize_with = "lenient")]
    path: String,
    #[serde(deserialize_with = "lenient")]
    args: Vec<String>,
}

impl TaskConfig {
    /// The program and its arguments; nothing while that is not known.
    pub(super) fn command(self) -> Vec<String> {
        if self.run.path.is_empty() {
            return Vec::new();
        }
        std::iter::once(self.run.path).chain(self.run.args).collect()
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Resource {
    #[serde(deserialize_with = "lenient")]
    pub(super) name: String,
    #[serde(deserialize_with = "lenient")]
    pub(super) version: Map<String, Value>,
    #[serde(deserialize_with = "lenient")]
    pub(super) metadata: Vec<Field>,
}

/// A field of metadata.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Field {
    #[serde(deserialize_with = "lenient")]
    name: String,
    #[serde(deserialize_with = "lenient")]
    value: String,
}

impl From<Field> for MetadataField {
    fn from(Field { name, value }: Field) -> Self {
        Self { name, value }
    }
}
