//! Whether a provider will do what its jobs need.

/// Whether a provider will do what its jobs need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckReport {
    /// The version that the CI system says it has.
    pub version: Option<String>,
    /// Who we are there.
    pub identity: Option<String>,
    /// What was found, per scope that jobs point into.
    pub scopes: Vec<ScopeCheck>,
    /// What does not work at all, with what would mend it.
    pub problems: Vec<String>,
}

/// What will work in one scope of the CI system: whatever it grants roles in, such as a team of Concourse.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "one answer per verb, as the API shows them")]
pub struct ScopeCheck {
    pub scope: String,
    /// The roles that we have in it.
    pub roles: Vec<String>,
    /// Whether jobs can be listed.
    pub list: bool,
    /// Whether runs can be triggered and rerun.
    pub trigger: bool,
    /// Whether events and logs can be read.
    pub watch: bool,
    /// Whether runs can be cancelled.
    pub cancel: bool,
    /// What would mend what does not work.
    pub remedy: Option<String>,
}
