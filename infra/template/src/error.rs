use std::path::PathBuf;

/// Why a template cannot be played locally.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("not a YAML template: {0}")]
    Yaml(String),
    /// A resource asks for something that the local stack does not play, or that would not deploy.
    #[error("{resource}: {message}")]
    Resource {
        /// The logical id, with what of the resource is meant where it has several.
        resource: String,
        /// What is wrong, and what to write instead.
        message: String,
    },
}

impl TemplateError {
    pub(crate) fn resource(resource: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Resource { resource: resource.into(), message: message.into() }
    }
}
