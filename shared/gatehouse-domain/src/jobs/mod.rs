//! Jobs: what can be run, where it runs, and the rules for keeping the list.

mod discover;
mod edit;
mod import;
mod job;
mod show;
mod uses;

pub(crate) use self::job::MAX_WRITES;
pub use self::{
    discover::{DiscoverError, Discovery, discover},
    edit::{DeleteJobError, JobDraft, PutJob, PutJobError, Refusal, delete, put},
    import::{ImportEntry, ImportError, ImportMode, ImportRefusal, Imported, MAX_IMPORT, import},
    job::{
        DeleteJob, Existing, FindForEdit, FindJob, FindJobsByTarget, Job, JobEdit, JobFilter, JobSpec,
        ListJobs, MAX_ATOMIC_IMPORT, SaveJobs,
    },
    show::{ShowJobError, list, show},
    uses::{Uses, uses},
};
