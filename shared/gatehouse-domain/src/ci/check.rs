//! Whether a provider will do what its jobs need.

use std::collections::BTreeSet;

use crate::ci::targets::Target;

/// What a job points at, as far as it is known before a run is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct TargetUse {
    pub target: Target,
    /// The instance variables that parameters set beside those of the target; of nested ones the outermost.
    pub variables: BTreeSet<String>,
}

impl From<Target> for TargetUse {
    fn from(target: Target) -> Self {
        Self { target, variables: BTreeSet::new() }
    }
}

/// Whether a provider will do what its jobs need.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CheckReport {
    /// The version that the CI system says it has.
    pub version: Option<String>,
    /// Who we are there.
    pub identity: Option<String>,
    /// What was found, per scope that jobs point into.
    pub scopes: Vec<ScopeCheck>,
    /// What a trigger of each [`TargetUse`] would do, in their order; nothing where that cannot be looked at.
    pub outlooks: Vec<Outlook>,
    /// What does not work at all, with what would mend it.
    pub problems: Vec<String>,
}

/// What a trigger would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outlook {
    /// It begins a run.
    Begins,
    /// It makes a run that waits, and for what.
    Waits(String),
    /// It is refused, and why.
    Fails(String),
    /// Nobody knows, and why.
    Unknown(String),
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
