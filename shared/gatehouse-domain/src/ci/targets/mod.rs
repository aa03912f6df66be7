//! What a job points at in its CI system, and what each kind of CI system decides for itself.
//!
//! A new kind is one file here with its target and its [`rules`], and one line of the list in [`kinds`].

mod concourse;
mod kinds;
mod process;
mod rules;

pub use self::{
    concourse::ConcourseTarget,
    kinds::{NamedBuild, ProviderKind, Target},
    process::ProcessTarget,
};
