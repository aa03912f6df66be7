//! What a job points at, one file per kind of CI system.

mod concourse;
mod kinds;
mod limits;
mod process;

pub use self::{
    concourse::ConcourseTarget,
    kinds::{ProviderKind, Target},
    process::ProcessTarget,
};
